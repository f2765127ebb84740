"""The judge: what a policy says of items in a store, over layouts with signatures of every kind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airgap.digest import Digest
from airgap.graph import Descriptor
from airgap.lock import Attached, Item, Lock, LockedFile
from airgap.resources.load import load_policy
from airgap.resources.policy_model import policy_name
from airgap.resources.waiver import Waiver
from airgap.stage.judge import judge_locks, load_roots
from airgap.store.layout import Layout
from airgap.store.locate import LayoutFinder, Located, find_attached
from airgap.trust.policy import Judgement, Outcome, judge
from airgap.trust.upstream.record import Status
from tests.parts import images
from tests.parts.fake_sigstore import (
    ISSUER,
    SAN,
    FakeSigstore,
    How,
    Leaf,
    attach,
    bundles,
    keys,
    legacy,
    managed,
    public_pem,
)

NOW = datetime(2026, 11, 1, tzinfo=UTC)
AT = datetime(2024, 5, 1, tzinfo=UTC)
NAME = "ghcr.io/acme/app:1.0"
ACME = How(AT, signer=managed("acme"), log="none")
EVIL = How(AT, signer=managed("evil"), log="none")
RULE = "- {match: [ghcr.io/acme/*], require: {keys: [acme]}}"
LOCKED = "- {match: [ghcr.io/acme/*], digestOnly: {approver: Amina, reason: r, expires: 2026-12-01T00:00:00Z}}"
ANYTHING = LOCKED.replace("ghcr.io/acme/*", "'**'")
SBOM = {
    "spdxVersion": "SPDX-2.3",
    "SPDXID": "SPDXRef-DOCUMENT",
    "name": "app",
    "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: test"]},
    "packages": [{"name": "zlib", "SPDXID": "SPDXRef-zlib", "versionInfo": "1.3"}],
}
KEYS = """
  - {name: acme, publicKeyFile: acme.pub}
  - {name: auditor, publicKeyFile: auditor.pub}
  - {name: old, publicKeyFile: old.pub, notAfter: 2026-01-01T00:00:00Z}"""


def policy_text(rules: str, more: str) -> bytes:
    head = "apiVersion: airgap.openova.io/v1alpha1\nkind: Policy\nmetadata: {name: p}\n"
    lines = "".join(f"  {line}\n" for line in rules.split("\n"))
    return f"{head}spec:\n  keys: {KEYS}\n{more}\n  rules:\n{lines}".encode()


class World:
    """A layout with one index of two images, and what is attached to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = images.Layout(folder / "layout")
        self.children = [
            self.files.image({"a": b"1"}),
            self.files.image({"a": b"2"}, platform="linux/arm64"),
        ]
        self.image = self.files.index(*self.children)
        self.fake = FakeSigstore()
        for name in ("acme", "auditor", "old"):
            (folder / f"{name}.pub").write_bytes(public_pem(managed(name).key))

    @property
    def digest(self) -> str:
        return str(self.image["digest"])

    def bundle(self, how: How, subject: images.Descriptor | None = None) -> images.Descriptor:
        """A signature as cosign v3 makes it."""
        about = subject or self.image
        return attach.referrer(self.files, about, self.fake.sign_image(about["digest"], how))

    def attest(self, predicate_type: str, predicate: object, how: How) -> None:
        bundle = self.fake.attest(self.digest, predicate_type, predicate, how)
        attach.referrer(self.files, self.image, bundle)

    def old(self, *layers: legacy.Layer) -> None:
        """Signatures as older cosigns make them."""
        attach.tag(self.files, self.image, "sig", layers)

    def item(self, **changed: object) -> Item:
        """The image as a lock would have it."""
        layout = Layout(self.files.folder)
        root = Descriptor(self.image["mediaType"], Digest(self.digest), self.image["size"])
        nodes = [root.digest, *(Digest(child["digest"]) for child in self.children)]
        attached = find_attached(Located(layout, root, LayoutFinder(layout)), nodes)
        made = Item(name=NAME, kind="image", source=NAME, root=root, attached=attached)
        return replace(made, **changed)  # type: ignore[arg-type]

    def judge(
        self,
        rules: str = RULE,
        *,
        more: str = "",
        item: Item | None = None,
        waivers: tuple[Waiver, ...] = (),
    ) -> Judgement:
        policy = load_policy(policy_text(rules, more), base_dir=self.folder)
        layout = Layout(self.files.folder)
        return judge(item or self.item(), layout, policy, load_roots(policy), NOW, waivers)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def waiver(*digests: str, checks: tuple[str, ...] = ("signature",), days: int = 1) -> Waiver:
    expires = NOW + timedelta(days=days)
    return Waiver("w", tuple(map(Digest, digests)), checks, "Amina", "r", expires, b"w")


def refused(made: Judgement, reason: str, *words: str) -> None:
    assert (made.outcome, made.reason) == (Outcome.FAILED, reason), made.detail
    for word in words:
        assert word in made.detail


def keyless(
    world: World, who: str = f"identity: {SAN}", root: bytes | None = None
) -> tuple[str, str]:
    """A rule for certificates, and the trust root that it names."""
    pytest.importorskip("sigstore", reason="needs airgap[keyless]")
    data = root or world.fake.trusted_root()
    (world.folder / "root.json").write_bytes(data)
    more = (
        f"  trustRoots: [{{name: s, file: root.json, sha256: {hashlib.sha256(data).hexdigest()}}}]"
    )
    rule = f"- {{match: [ghcr.io/acme/*], require: {{trustRoot: s, identities: [{{issuer: {ISSUER}, {who}}}]}}}}"
    return rule, more


# --- rules -----------------------------------------------------------------------------------------


def test_one_good_signature_by_a_demanded_key_is_enough(world: World) -> None:
    world.bundle(ACME)
    made = world.judge()
    assert (made.outcome, made.rule, made.reason) == (Outcome.PASSED, "rule 1 (ghcr.io/acme/*)", "")
    assert "signed by key 'acme'" in made.detail
    (check,) = made.checks
    assert (check.name, check.outcome, check.subject) == ("signature", Outcome.PASSED, world.digest)
    assert check.finding in made.findings


def test_what_no_rule_matches_fails(world: World) -> None:
    world.bundle(ACME)
    made = world.judge("- {match: [ghcr.io/other/*], require: {keys: [acme]}}")
    refused(made, "no-rule", "no rule matches image ghcr.io/acme/app")
    assert made.rule == ""


def test_the_first_rule_that_matches_decides(world: World) -> None:
    deny = "- {match: ['**'], deny: {reason: taken over}}"
    assert world.judge(f"{LOCKED}\n{deny}").passed
    refused(world.judge(f"{deny}\n{LOCKED}"), "denied", "taken over")


def test_a_rule_for_other_kinds_does_not_match(world: World) -> None:
    refused(world.judge(LOCKED.replace("{match", "{kinds: [chart], match")), "no-rule")
    assert world.judge(LOCKED.replace("{match", "{kinds: [chart, image], match")).passed


def test_an_approval_by_digest_ends(world: World) -> None:
    made = world.judge(LOCKED)
    assert made.passed
    assert made.checks[0].approver == "Amina"
    ended = LOCKED.replace("2026-12-01", "2026-11-01")
    refused(world.judge(ended), "approval-expired", "Amina", "2026-11-01T00:00:00Z")


@pytest.mark.parametrize(
    ("kind", "source", "name"),
    [
        ("image", "docker.io/library/alpine:3.20", "docker.io/library/alpine"),
        ("image", "localhost:5000/a/b@sha256:" + "0" * 64, "localhost:5000/a/b"),
        ("image", "oci:content/image:x:1.0", "registry.local/named"),
        ("image", "docker-daemon:alpine:3", "registry.local/named"),
        ("chart", "oci://ghcr.io/acme/chart:1.0.0", "ghcr.io/acme/chart"),
        ("git", "https://git.example:3000/acme/app.git", "git.example:3000/acme/app"),
        ("git", "/srv/ghcr.io/acme/app.git", "registry.local/named:1.0"),
        ("git", "content/app.git", "registry.local/named:1.0"),
        ("model", "hf:BAAI/bge-m3", "huggingface.co/BAAI/bge-m3"),
        ("model", "directory:content/model", "registry.local/named:1.0"),
        ("file", "https://a.example/x/y.tgz?token=1", "a.example/x/y.tgz"),
        ("file", "file:content/y.tgz", "registry.local/named:1.0"),
    ],
)
def test_rules_are_asked_for_the_source_or_for_the_name_of_what_is_local(
    kind: str, source: str, name: str
) -> None:
    assert policy_name(Item("registry.local/named:1.0", kind, source)) == name


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
    assert [check.outcome for check in made.checks].count(Outcome.PASSED) == 2
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


def demands(kind: str = bundles.SPDX, more: str = "") -> str:
    wanted = f"attestations: [{{predicateType: {kind}{more}}}]"
    return RULE.replace("[acme]", f"[acme], {wanted}")


def test_an_attestation_that_is_demanded_must_be_there(world: World) -> None:
    world.bundle(ACME)
    refused(world.judge(demands()), "absent", f"no attestation {bundles.SPDX} is attached")
    world.attest(bundles.CYCLONEDX, {"bomFormat": "CycloneDX"}, ACME)
    refused(world.judge(demands()), "absent", f"there is {bundles.CYCLONEDX}")
    world.attest(bundles.SPDX, SBOM, EVIL)
    refused(world.judge(demands()), "wrong-key")
    world.attest(bundles.SPDX, SBOM, ACME)
    made = world.judge(demands())
    assert made.passed
    assert made.checks[1].predicate_type == bundles.SPDX


def test_an_attestation_does_not_stand_for_a_signature_beside_it(world: World) -> None:
    world.attest(bundles.SPDX, SBOM, ACME)
    made = world.judge(demands())
    refused(made, "not-a-signature")
    assert made.checks[1].outcome is Outcome.PASSED


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
    assert [check.name for check in made.checks] == ["deny"]


def test_a_file_of_a_model_can_be_denied(world: World) -> None:
    file = LockedFile("a", Digest.of(b"a"), 1)
    item = Item(NAME, "model", "hf:x/y", root=None, files=(file,))
    refused(
        world.judge(ANYTHING, item=item, more=f"  deny: {{digests: ['{file.digest}']}}"), "denied"
    )


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
    assert (made.checks[0].outcome, made.checks[0].reason) == (Outcome.WAIVED, "absent")
    assert made.checks[0].waiver is not None
    refused(world.judge(waivers=(waiver(world.digest, days=0),)), "absent", "the waiver 'w' ended")
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
    assert made.findings[0].trust_root_digest == Digest.of(
        (world.folder / "root.json").read_bytes()
    )


def test_an_identity_may_be_demanded_by_a_pattern(world: World) -> None:
    world.bundle(How(AT))
    pattern = (
        r"identityPattern: '^https://code\.example/acme/[^/]+/\.github/workflows/.*@refs/tags/v.*$'"
    )
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


@pytest.mark.parametrize(
    "denied", [SAN, r"^https://code\.example/acme/.*$"], ids=["exact", "pattern"]
)
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


# --- many ------------------------------------------------------------------------------------------


def test_items_of_locks_are_judged_in_their_order_and_each_for_itself(world: World) -> None:
    world.bundle(ACME)
    good = world.item()
    missing = replace(
        good, name="ghcr.io/acme/gone:1", root=Descriptor(images.MANIFEST, Digest.of(b"x"), 1)
    )
    broken = Attached(
        Digest(world.digest), "referrer", Descriptor(images.MANIFEST, Digest.of(b"y"), 1)
    )
    lacking = replace(good, name="ghcr.io/acme/lacking:1", attached=(broken,))
    locks = [Lock.of("one", [good, missing]), Lock.of("two", [lacking])]
    policy = load_policy(policy_text(RULE, ""), base_dir=world.folder)
    made = judge_locks(locks, Layout(world.files.folder), policy, NOW, jobs=3)
    assert [(one.item, one.outcome) for one in made] == [
        ("ghcr.io/acme/app:1.0", Outcome.PASSED),
        ("ghcr.io/acme/gone:1", Outcome.NOT_RUN),
        ("ghcr.io/acme/lacking:1", Outcome.NOT_RUN),
    ]
    assert made[1].reason == "not-pulled"
    assert not made[2].passed
