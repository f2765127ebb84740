"""The judge: what a policy says of items in a store, over layouts with signatures of every kind."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.content.graph import Descriptor
from airgap.content.item import Attached, Item
from airgap.content.lock import Lock
from airgap.judgement.checks.base import Outcome
from airgap.judgement.items import judge_locks
from airgap.kinds.table import rule_names
from airgap.resources.load import load_policy
from airgap.signatures.record import Status
from airgap.store.layout import Layout
from tests.parts import images
from tests.parts.fake_sigstore import ISSUER, SAN, How, attach, bundles, managed
from tests.worlds.policy import (
    ACME,
    ANYTHING,
    AT,
    EVIL,
    LOCKED,
    NAME,
    NOW,
    RULE,
    SBOM,
    World,
    demands,
    policy_text,
    refused,
    waiver,
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# --- rules -----------------------------------------------------------------------------------------


def test_one_good_signature_by_a_demanded_key_is_enough(world: World) -> None:
    world.bundle(ACME)
    made = world.judge()
    assert (made.outcome, made.rule, made.reason) == (Outcome.PASSED, "rule 1 (ghcr.io/acme/*)", "")
    assert "signed by key 'acme'" in made.detail
    (check,) = made.answers
    assert (check.check, check.outcome, check.subject) == ("signature", Outcome.PASSED, world.digest)
    assert check.finding in made.findings


def test_what_no_rule_matches_fails(world: World) -> None:
    world.bundle(ACME)
    made = world.judge("- {match: [ghcr.io/other/*], require: {keys: [acme]}}")
    refused(made, "no-rule", "no rule matches image ghcr.io/acme/app")
    assert made.rule == ""


def test_the_first_rule_that_matches_decides(world: World) -> None:
    deny = "- {match: ['**'], deny: {reason: taken over}}"
    assert world.judge(f"{LOCKED}\n{deny}").passed
    deny = "- {match: [ghcr.io/acme/app], deny: {reason: taken over}}"
    refused(world.judge(f"{deny}\n{LOCKED}"), "denied", "taken over")


def test_upper_and_lower_case_lead_past_no_deny(world: World) -> None:
    deny = "- {match: [github.com/Evil/*], deny: {reason: taken over}}"
    item = world.item(kind="git", source="https://GitHub.com/evil/x.git", root=None, attached=())
    refused(world.judge(f"{deny}\n{ANYTHING}", item=item), "denied")


def test_a_rule_for_other_kinds_does_not_match(world: World) -> None:
    refused(world.judge(LOCKED.replace("{match", "{kinds: [chart], match")), "no-rule")
    assert world.judge(LOCKED.replace("{match", "{kinds: [chart, image], match")).passed


def test_an_approval_by_digest_ends(world: World) -> None:
    made = world.judge(LOCKED)
    assert made.passed
    assert made.answers[0].approver == "Amina"
    ended = LOCKED.replace("2026-12-01", "2026-11-01")
    refused(world.judge(ended), "approval-expired", "Amina", "2026-11-01T00:00:00Z")


def test_approvals_and_waivers_hold_until_the_second_before_they_end(world: World) -> None:
    assert world.judge(LOCKED.replace("2026-12-01T00:00:00Z", "2026-11-01T00:00:01Z")).passed
    ends_now = replace(waiver(world.digest), expires=NOW)
    holds = replace(ends_now, expires=NOW + timedelta(seconds=1))
    assert world.judge(waivers=(holds,)).passed
    refused(world.judge(waivers=(ends_now,)), "absent", "expired at")


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("image", "oci:content:v1"),
        ("image", "oci-archive:content.tar:v1"),
        ("image", "docker-daemon:ghcr.io/acme/app:1.0"),
        ("chart", "oci:content:v1"),
        ("git", "content/app.git"),
        ("model", "directory:content"),
        ("file", "file:content/x"),
    ],
)
def test_what_was_only_called_so_passes_by_no_approval_for_that_place(world: World, kind: str, source: str) -> None:
    item = world.item(kind=kind, source=source, attached=(), path=NAME)
    for rule in (LOCKED, ANYTHING):
        made = world.judge(rule, item=item)
        refused(made, "local-source", source)
        assert [check.check for check in made.answers] == ["digest-only"]
        assert world.judge(rule.replace("reason: r", "reason: r, local: true"), item=item).passed


def test_a_signature_counts_wherever_the_image_lay(world: World) -> None:
    world.bundle(ACME)
    assert world.judge(item=world.item(source="oci:content:v1")).passed


def test_what_is_denied_by_name_may_not_be_called_so_either(world: World) -> None:
    deny = "- {match: [ghcr.io/acme/*], deny: {reason: taken over}}"
    refused(world.judge(deny, item=world.item(source="oci:content:v1")), "denied")


@pytest.mark.parametrize(
    ("kind", "source", "name"),
    [
        ("image", "docker.io/library/alpine:3.20", "docker.io/library/alpine"),
        ("image", "localhost:5000/a/b@sha256:" + "0" * 64, "localhost:5000/a/b"),
        ("image", "oci:content/image:x:1.0", "registry.local/named"),
        ("image", "docker-daemon:alpine:3", "registry.local/named"),
        ("image", "file:5000/a/b:1", "file:5000/a/b"),
        ("chart", "oci://ghcr.io/acme/chart:1.0.0", "ghcr.io/acme/chart"),
        ("git", "https://git.example:3000/acme/app.git", "git.example:3000/acme/app"),
        ("git", "/srv/ghcr.io/acme/app.git", "registry.local/named:1.0"),
        ("git", "content/app.git", "registry.local/named:1.0"),
        ("model", "hf:BAAI/bge-m3", "huggingface.co/BAAI/bge-m3"),
        ("model", "directory:content/model", "registry.local/named:1.0"),
        ("file", "https://a.example/x/y.tgz?token=1", "a.example/x/y.tgz"),
        ("file", "file:content/y.tgz", "registry.local/named:1.0"),
        # One place, however its address is written.
        ("image", "GHCR.io:443/acme/app:1", "ghcr.io/acme/app"),
        ("chart", "oci://registry-1.docker.io/bitnami/redis:1", "docker.io/bitnami/redis"),
        ("git", "HTTPS://Git.example:0443/acme/%61pp.git/", "git.example/acme/app"),
        ("git", "http://git.example:80/acme/app.GIT", "git.example/acme/app"),
        ("git", "https://git.example:80/acme/app", "git.example:80/acme/app"),
        ("git", "https://[0:0::1]:3000/acme/app", "[::1]:3000/acme/app"),
        ("file", "https://a.example//x%2Fy.tgz", "a.example/x/y.tgz"),
    ],
)
def test_rules_are_asked_for_the_source_or_for_the_name_of_what_is_local(kind: str, source: str, name: str) -> None:
    item = Item("registry.local/named:1.0", kind, source, path="registry.local/named:1.0")
    assert rule_names(item).deciding[0] == name


# --- signatures ------------------------------------------------------------------------------------


def test_without_a_signature_the_answer_is_absent(world: World) -> None:
    made = world.judge()
    refused(made, "absent", "no signature is attached")
    assert made.findings == ()


def test_a_signature_by_somebody_else_does_not_count(world: World) -> None:
    world.bundle(EVIL)
    refused(world.judge(), "wrong-key", "acme")


def test_a_bundle_of_somebody_else_hides_no_older_signature(world: World) -> None:
    world.old(world.fake.old_signature(world.digest, ACME))
    world.bundle(EVIL)
    made = world.judge()
    assert made.passed
    assert {finding.status for finding in made.findings} == {Status.VERIFIED, Status.FAILED}


def test_a_key_counts_as_long_as_the_policy_says(world: World) -> None:
    world.bundle(How(AT, signer=managed("old"), log="none"))
    made = world.judge(RULE.replace("[acme]", "[acme, old]"))
    refused(made, "key-not-valid", "'old'", "2026-01-01T00:00:00Z")


def test_a_signature_of_another_image_does_not_count(world: World) -> None:
    moved = world.fake.sign_image(world.children[0]["digest"], ACME)
    attach.referrer(world.files, world.image, moved)
    refused(world.judge(), "wrong-subject", world.children[0]["digest"][7:])


def test_an_attestation_is_no_signature(world: World) -> None:
    world.attest(bundles.SPDX, SBOM, ACME)
    refused(world.judge(), "not-a-signature", bundles.SPDX)


def test_of_several_reasons_the_one_that_came_furthest_is_told(world: World) -> None:
    world.bundle(EVIL)
    world.attest(bundles.SPDX, SBOM, ACME)
    attach.referrer(world.files, world.image, b"{}")
    attach.notation(world.files, world.image)
    world.bundle(How(AT, signer=managed("old"), log="none"))
    made = world.judge(RULE.replace("[acme]", "[old]"))
    refused(made, "key-not-valid")
    assert len(made.findings) == 5


def test_what_is_not_verified_here_is_told_as_such(world: World) -> None:
    attach.notation(world.files, world.image)
    refused(world.judge(), "unsupported-format", "Notation")


def test_every_manifest_that_is_carried_can_be_demanded(world: World) -> None:
    rule = RULE.replace("keys:", "subjects: all, keys:")
    world.bundle(ACME)
    world.bundle(ACME, world.children[0])
    made = world.judge(rule)
    refused(made, "absent", world.children[1]["digest"])
    assert [check.outcome for check in made.answers].count(Outcome.PASSED) == 2
    assert world.judge(rule, item=world.item(platforms=("linux/amd64",))).passed
    world.bundle(ACME, world.children[1])
    assert world.judge(rule).passed


@pytest.mark.parametrize("kind", ["git", "model", "file"])
def test_what_registries_do_not_keep_cannot_be_signed(world: World, kind: str) -> None:
    root = None if kind == "git" else world.item().root
    item = Item(name=NAME, kind=kind, source=f"https://{NAME}", root=root)
    made = world.judge("- {match: ['**'], require: {keys: [acme]}}", item=item)
    refused(made, "absent", "digestOnly")
    assert world.judge(ANYTHING, item=item).passed


# --- attestations ----------------------------------------------------------------------------------


def test_an_attestation_that_is_demanded_must_be_there(world: World) -> None:
    world.bundle(ACME)
    refused(world.judge(demands()), "absent", f"no attestation {bundles.SPDX} is attached")
    world.attest(bundles.CYCLONEDX, {"bomFormat": "CycloneDX"}, ACME)
    refused(world.judge(demands()), "absent", f"attached instead: {bundles.CYCLONEDX}")
    world.attest(bundles.SPDX, SBOM, EVIL)
    refused(world.judge(demands()), "wrong-key")
    world.attest(bundles.SPDX, SBOM, ACME)
    made = world.judge(demands())
    assert made.passed
    assert made.answers[1].predicate_type == bundles.SPDX


def test_an_attestation_does_not_stand_for_a_signature_beside_it(world: World) -> None:
    world.attest(bundles.SPDX, SBOM, ACME)
    made = world.judge(demands())
    refused(made, "not-a-signature")
    assert made.answers[1].outcome is Outcome.PASSED


def test_an_sbom_must_have_packages_in_it(world: World) -> None:
    world.bundle(ACME)
    world.attest(bundles.SPDX, {**SBOM, "packages": []}, ACME)
    assert world.judge(demands()).passed
    refused(world.judge(demands(more=", content: sbom")), "bad-sbom")
    world.attest(bundles.SPDX, SBOM, ACME)
    assert world.judge(demands(more=", content: sbom")).passed


def test_an_attestation_may_be_somebody_elses_to_sign(world: World) -> None:
    world.bundle(ACME)
    world.attest(bundles.SPDX, SBOM, ACME)
    rule = demands(more=", keys: [auditor]")
    refused(world.judge(rule), "wrong-key", "auditor")
    world.attest(bundles.SPDX, SBOM, How(AT, signer=managed("auditor"), log="none"))
    assert world.judge(rule).passed


def test_what_nobody_signed_is_told_and_does_not_count(world: World) -> None:
    world.bundle(ACME)
    attach.sbom_tag(world.files, world.image, json.dumps(SBOM).encode())
    refused(world.judge(demands()), "unsigned", "SBOM")


# --- many ------------------------------------------------------------------------------------------


def test_items_of_locks_are_judged_in_their_order_and_each_for_itself(world: World) -> None:
    world.bundle(ACME)
    good = world.item()
    missing = replace(good, name="ghcr.io/acme/gone:1", root=Descriptor(images.MANIFEST, Digest.of(b"x"), 1))
    broken = Attached(Digest(world.digest), "referrer", Descriptor(images.MANIFEST, Digest.of(b"y"), 1))
    lacking = replace(good, name="lacking", attached=(broken,))
    locks = [Lock.of("one", [good, missing]), Lock.of("two", [lacking])]
    policy = load_policy(policy_text(RULE, ""), base_dir=world.folder)
    made = judge_locks(locks, Layout(world.files.folder), policy, NOW, jobs=3)
    assert [(one.item, one.outcome) for one in made] == [
        ("ghcr.io/acme/app:1.0", Outcome.PASSED),
        ("ghcr.io/acme/gone:1", Outcome.NOT_RUN),
        ("lacking", Outcome.NOT_RUN),
    ]
    assert made[1].reason == "not-pulled"
    assert not made[2].passed


@pytest.mark.parametrize(
    ("log", "reason"),
    [("", "not-logged"), (", log: required", "not-logged"), (", log: optional", "")],
)
def test_a_rule_says_whether_a_log_must_have_it(world: World, log: str, reason: str) -> None:
    """An older signature with a time stamp alone, under a root that names logs."""
    root = world.fake.trusted_root()
    (world.folder / "root.json").write_bytes(root)
    more = f"  trustRoots: [{{name: s, file: root.json, sha256: {hashlib.sha256(root).hexdigest()}}}]"
    how = How(AT, log="none", stamp=True)
    world.old(world.fake.old_signature(world.digest, how))
    who = f"identities: [{{issuer: '{ISSUER}', identity: '{SAN}'}}]"
    rule = f"- {{match: [ghcr.io/acme/*], require: {{trustRoot: s, {who}{log}}}}}"
    made = world.judge(rule, more=more)
    assert (made.passed, made.reason) == (not reason, reason)


def test_a_rule_about_logs_needs_a_root_that_names_them(world: World) -> None:
    with pytest.raises(InputError, match="log: trustRoot is missing, expected the one that names the logs"):
        world.judge(RULE.replace("[acme]", "[acme], log: required"))
