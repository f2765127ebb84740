"""The judge and OpenVEX documents: only those whom the policy names lift findings, and only what they may speak of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airgap.base.errors import InputError
from airgap.judgement.checks.base import Answer
from airgap.judgement.judge import Judgement
from airgap.signatures.vex import CONTEXT, OPENVEX
from tests.parts.fake_sigstore import How
from tests.worlds.policy import ACME, EVIL, LOCKED, NOW, World
from tests.worlds.scans import days, flaw, result, run_of, trivy

CVE, PURL = "CVE-2021-36159", "pkg:apk/alpine/apk-tools@2.12.5-r0?arch=x86_64"
SIGNERS = "{vex: [{keys: [acme], match: [ghcr.io/acme/*]}]}"
BROKEN = {"vulnerability": {"name": CVE}, "status": "not_affected"}
AFFECTED = {"vulnerability": {"name": CVE}, "status": "affected", "timestamp": "2026-05-01T00:00:00Z"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An index of two images, to which nothing is attached."""
    return World(tmp_path)


def document(world: World, **changed: Any) -> dict[str, Any]:
    """What lifts the finding in the first image."""
    said = {
        "vulnerability": {"name": CVE},
        "products": [{"@id": f"pkg:oci/app@{world.children[0]['digest']}"}],
        "status": "not_affected",
        "justification": "vulnerable_code_not_present",
        "impact_statement": "patched",
    } | changed
    return {
        "@context": CONTEXT,
        "@id": "https://acme.example/vex-1",
        "author": "acme",
        "timestamp": "2026-04-01T00:00:00Z",
        "version": 1,
        "statements": [{name: value for name, value in said.items() if value is not None}],
    }


def write(world: World, made: Mapping[str, Any], how: How = ACME, name: str = "vex.json") -> Path:
    """The document as a file, with its signature beside."""
    path = world.folder / name
    path.write_text(json.dumps(made))
    (world.folder / f"{name}.sigstore.json").write_bytes(world.fake.sign_blob(path.read_bytes(), how))
    return path


def ask(world: World, *vex: Path, findings: str = SIGNERS, **more: Any) -> Judgement:
    """The judgement of the index whose first image has one critical vulnerability."""
    from airgap.base.digest import Digest

    subject = Digest(world.children[0]["digest"])
    found = result(subject, trivy(NOW - days(1)), flaw(purl=PURL, **more))
    return world.judge(LOCKED, more=f"  findings: {findings}", run=run_of(world.item(), (subject, [found])), vex=vex)


def about(made: Judgement) -> Answer:
    """The answer about the vulnerability."""
    [answer] = [one for one in made.answers if one.check == "vulnerability"]
    return answer


def test_a_signed_file_lifts_a_finding_and_the_verdict_repeats_why_and_by_whom(world: World) -> None:
    """Without it, the same finding blocks."""
    assert not ask(world).passed
    made = ask(world, write(world, document(world)))
    assert made.passed
    answer = about(made)
    assert "not affected: vulnerable_code_not_present: patched (signed by key 'acme'" in answer.detail
    assert f"{CVE} is critical" in answer.detail
    assert [one.document.id for one in answer.vex] == ["https://acme.example/vex-1"]
    assert answer.finding is not None
    assert answer.finding.verified


@pytest.mark.parametrize(
    ("findings", "changed"),
    [
        ("{}", {}),  # the policy names nobody
        ("{vex: [{keys: [auditor]}]}", {}),  # it names somebody else
        ("{vex: [{keys: [acme], match: [ghcr.io/other/*]}]}", {}),  # not for this item
        ("{vex: [{keys: [acme], packages: [pkg:golang/**]}]}", {}),  # not for this package
        (SIGNERS, {"justification": None}),  # free text
        (SIGNERS, {"status": "fixed", "justification": None, "impact_statement": None}),
        (SIGNERS, {"products": [{"@id": "pkg:oci/other@sha256:00"}]}),
        (SIGNERS, {"vulnerability": {"name": "CVE-2021-1"}}),
    ],
)
def test_what_does_not_count_leaves_the_finding(world: World, findings: str, changed: Mapping[str, Any]) -> None:
    """Each of these documents is signed well."""
    assert not ask(world, write(world, document(world, **changed)), findings=findings).passed


def test_policy_may_take_free_text_and_name_packages(world: World) -> None:
    """The two fields that widen and narrow what somebody may say."""
    free = write(world, document(world, justification=None))
    assert ask(world, free, findings="{vex: [{keys: [acme], impactStatements: true}]}").passed
    assert ask(world, write(world, document(world)), findings="{vex: [{keys: [acme], packages: [pkg:apk/**]}]}").passed


def test_a_stranger_and_an_altered_file_count_for_nothing(world: World) -> None:
    """A signature by another key, and a signature of other bytes."""
    assert not ask(world, write(world, document(world), EVIL)).passed
    path = write(world, document(world))
    path.write_text(path.read_text().replace("patched", "PATCHED"))
    with pytest.raises(InputError, match="messageDigest") as caught:
        ask(world, path)
    assert caught.value.code == "bad-vex"


def test_an_attached_attestation_lifts_and_a_later_one_takes_it_back(world: World) -> None:
    """As `cosign attest --type openvex` attaches it, by the vendor; a stranger's is reported."""
    world.attest(OPENVEX, document(world, products=None), EVIL)
    made = ask(world)
    assert not made.passed
    [note] = made.vex
    assert not note.counts
    assert "wrong-key" in note.detail
    world.attest(OPENVEX, document(world, products=None), ACME)
    assert ask(world).passed
    later = document(world) | {"@id": "https://acme.example/vex-2", "statements": [AFFECTED]}
    world.attest(OPENVEX, later, EVIL)
    assert ask(world).passed
    world.attest(OPENVEX, later, ACME)
    assert not ask(world).passed


def test_a_document_of_the_vendor_that_cannot_be_read_may_say_that_it_is_affected(world: World) -> None:
    """Then none of what is attached, or in files, counts."""
    world.attest(OPENVEX, document(world) | {"statements": [BROKEN]}, ACME)
    made = ask(world, write(world, document(world)))
    assert not made.passed
    assert "one cannot be read" in about(made).detail


def test_an_attestation_in_a_file_is_about_its_subject(world: World) -> None:
    """`cosign download attestation`, or the `--bundle` of `cosign attest`."""
    for digest, good in ((world.digest, True), (world.children[1]["digest"], False)):
        path = world.folder / "attestation.json"
        path.write_bytes(world.fake.attest(digest, OPENVEX, document(world, products=None), ACME))
        assert ask(world, path).passed is good


def test_one_finding_in_two_packages_of_one_name_needs_both(world: World) -> None:
    """The judge has one answer for both, and a document about one of them lifts neither."""
    from airgap.base.digest import Digest

    subject = Digest(world.children[0]["digest"])
    two = (flaw(purl=PURL), flaw(purl=PURL.replace("x86_64", "aarch64")))
    run = run_of(world.item(), (subject, [result(subject, trivy(NOW - days(1)), *two)]))
    for product, good in ((PURL, False), (PURL.partition("?")[0], True)):
        path = write(world, document(world, products=[{"@id": product}]))
        made = world.judge(LOCKED, more=f"  findings: {SIGNERS}", run=run, vex=[path])
        assert made.passed is good


def test_mistakes_in_files_stop_before_anything_is_judged(world: World) -> None:
    """No signature, no document, a time in the future, nothing there."""
    alone = world.folder / "alone.json"
    alone.write_text(json.dumps(document(world)))
    future = write(world, document(world, timestamp=(NOW + timedelta(days=2)).isoformat()), name="future.json")
    other = write(world, {"hello": "world"}, name="other.json")
    for path, words in (
        (alone, "no signature beside it"),
        (future, "later than now"),
        (other, "is missing"),
        (world.folder / "gone.json", "cannot be read"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            ask(world, path)
        assert caught.value.code == "bad-vex"
