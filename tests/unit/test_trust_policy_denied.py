"""The judge: what is denied, what is waived, and certificates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.content.item import Item, LockedFile
from airgap.judgement.checks.base import Outcome
from tests.parts.fake_sigstore import ISSUER, SAN, FakeSigstore, How, Leaf, keys, managed
from tests.worlds.policy import (
    ACME,
    ANYTHING,
    AT,
    LOCKED,
    NAME,
    RULE,
    World,
    demands,
    refused,
    waiver,
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def keyless(world: World, who: str = f"identity: {SAN}", root: bytes | None = None) -> tuple[str, str]:
    """A rule for certificates, and the trust root that it names."""
    pytest.importorskip("sigstore", reason="needs airgap[keyless]")
    data = root or world.fake.trusted_root()
    (world.folder / "root.json").write_bytes(data)
    more = f"  trustRoots: [{{name: s, file: root.json, sha256: {hashlib.sha256(data).hexdigest()}}}]"
    rule = f"- {{match: [ghcr.io/acme/*], require: {{trustRoot: s, identities: [{{issuer: {ISSUER}, {who}}}]}}}}"
    return rule, more


# --- what is denied --------------------------------------------------------------------------------


def things(world: World) -> Iterator[str]:
    item = world.item()
    yield str(item.root.digest if item.root else "")
    yield world.children[1]["digest"]
    yield json.loads(world.files.read(world.children[1]["digest"]))["layers"][0]["digest"]
    yield str(item.attached[0].descriptor.digest)


@pytest.mark.parametrize("which", range(4), ids=["root", "child", "layer", "attached"])
def test_a_denied_digest_fails_whatever_a_rule_or_a_waiver_says(world: World, which: int) -> None:
    world.bundle(ACME)
    digest = list(things(world))[which]
    more, given = f"  deny: {{digests: ['{digest}']}}", waiver(world.digest, digest)
    made = world.judge(LOCKED, more=more, waivers=(given,))
    refused(made, "denied", "denied by digest")
    assert [check.check for check in made.answers] == ["deny"]


def test_a_file_of_a_model_can_be_denied(world: World) -> None:
    file = LockedFile("a", Digest.of(b"a"), 1)
    item = Item(NAME, "model", "hf:x/y", root=None, files=(file,))
    refused(world.judge(ANYTHING, item=item, more=f"  deny: {{digests: ['{file.digest}']}}"), "denied")


def test_a_denied_key_does_not_count_and_no_waiver_lifts_it(world: World) -> None:
    world.bundle(ACME)
    more = f"  deny: {{keys: ['{Digest.of(keys.spki(managed('acme').key))}']}}"
    refused(world.judge(more=more, waivers=(waiver(world.digest),)), "denied", "its key sha256:")
    world.bundle(How(AT, signer=managed("auditor"), log="none"))
    assert world.judge(RULE.replace("[acme]", "[acme, auditor]"), more=more).passed


# --- waivers ---------------------------------------------------------------------------------------


def test_a_waiver_lets_its_check_of_its_digest_pass_until_it_ends(world: World) -> None:
    made = world.judge(waivers=(waiver(world.digest),))
    assert made.passed
    assert (made.answers[0].outcome, made.answers[0].reason) == (Outcome.WAIVED, "absent")
    assert made.answers[0].waiver is not None
    refused(world.judge(waivers=(waiver(world.digest, days=0),)), "absent", "the waiver 'w' expired")
    refused(world.judge(waivers=(waiver(world.children[0]["digest"]),)), "absent")
    refused(world.judge(demands(), waivers=(waiver(world.digest),)), "absent", "no attestation")
    both = waiver(world.digest, checks=("signature", "attestation"))
    assert world.judge(demands(), waivers=(both,)).passed


def test_a_waiver_lifts_no_rule_that_denies_and_makes_no_rule(world: World) -> None:
    given = (waiver(world.digest),)
    refused(world.judge("- {match: ['**'], deny: {reason: r}}", waivers=given), "denied")
    refused(world.judge("- {match: [x], deny: {reason: r}}", waivers=given), "no-rule")


# --- certificates ----------------------------------------------------------------------------------


def test_a_certificate_of_the_identity_that_is_demanded(world: World) -> None:
    rule, more = keyless(world)
    world.bundle(How(AT))
    made = world.judge(rule, more=more)
    assert made.passed
    assert SAN in made.detail
    assert "trust root 's'" in made.detail
    assert made.findings[0].trust_root_digest == Digest.of((world.folder / "root.json").read_bytes())


def test_an_identity_may_be_demanded_by_a_pattern(world: World) -> None:
    world.bundle(How(AT))
    pattern = r"identityPattern: '^https://code\.example/acme/[^/]+/\.github/workflows/.*@refs/tags/v.*$'"
    rule, more = keyless(world, pattern)
    assert world.judge(rule, more=more).passed
    rule, more = keyless(world, pattern.replace("/acme/", "/other/"))
    refused(world.judge(rule, more=more), "wrong-identity", SAN)


def test_another_identity_explains_more_than_another_instance(world: World) -> None:
    other = FakeSigstore("other")
    world.old(other.old_signature(world.digest, How(AT)))
    rule, more = keyless(world)
    refused(world.judge(rule, more=more), "unknown-log", "too old")
    world.bundle(How(AT, leaf=Leaf(AT, san="https://code.example/evil")))
    refused(world.judge(rule, more=more), "wrong-identity", "evil")


def test_a_key_is_no_identity_and_an_identity_is_no_key(world: World) -> None:
    rule, more = keyless(world)
    world.bundle(ACME)
    refused(world.judge(rule, more=more), "key-for-identity")
    (world.folder / "fresh").mkdir()
    fresh = World(world.folder / "fresh")
    fresh.bundle(How(AT))
    refused(fresh.judge(), "identity-for-key")


@pytest.mark.parametrize("denied", [SAN, r"^https://code\.example/acme/.*$"], ids=["exact", "pattern"])
def test_a_denied_identity_does_not_count(world: World, denied: str) -> None:
    rule, more = keyless(world)
    world.bundle(How(AT))
    more += f"\n  deny: {{identities: ['{denied}']}}"
    refused(world.judge(rule, more=more, waivers=(waiver(world.digest),)), "denied", SAN)


def test_a_denied_log_entry_does_not_count(world: World) -> None:
    rule, more = keyless(world)
    world.bundle(How(AT))
    proof = world.judge(rule, more=more).findings[0].proof
    assert proof is not None
    (entry,) = proof.log_entries
    deny = f"{more}\n  deny: {{logEntries: [{{log: {entry[0]}, index: '%d'}}]}}"
    refused(world.judge(rule, more=deny % entry[1]), "denied", entry[0])
    assert world.judge(rule, more=deny % (entry[1] + 1)).passed
