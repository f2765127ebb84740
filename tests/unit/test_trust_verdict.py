"""Verdicts: what is written can be read, what contradicts itself is refused, and what lets an item through."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import TrustError
from airgap.content.item import Item
from airgap.statements.statement import Statement
from airgap.statements.verdict import (
    CheckResult,
    JudgedItem,
    Named,
    PassedBy,
    UsedWaiver,
    Verdict,
    objection,
)
from tests.worlds.trust import image, statement

LOCK = Digest.of(b"lock")
ROOT = Digest.of(b"alpine:3.20")
OTHER = Digest.of(b"other")
WAIVER = Digest.of(b"waiver")
SIGNED = CheckResult(
    check="signature",
    outcome="pass",
    subject=ROOT,
    rule="rule 1 (docker.io/**)",
    by=PassedBy(identity="https://example.org/ci", issuer="https://issuer.example.org", key_digest=OTHER),
)
ATTESTED = CheckResult(
    check="attestation",
    outcome="waived",
    subject=ROOT,
    rule="rule 1 (docker.io/**)",
    by=PassedBy(approver="Amina"),
    reason="absent: none is attached",
    predicate_type="https://spdx.dev/Document",
    waiver=WAIVER,
)
VERDICT = Verdict(
    policy=Named("bank", Digest.of(b"policy")),
    trust_roots=(Named("sigstore", Digest.of(b"root")),),
    waivers=(UsedWaiver(WAIVER, datetime(2026, 12, 24, tzinfo=UTC)),),
    items={"alpine:3.20": JudgedItem(ROOT, "pass", None, (SIGNED, ATTESTED))},
)


def payload(change: Callable[[Any], object]) -> bytes:
    """The payload of a good verdict whose predicate was changed."""
    document = json.loads(statement(LOCK, VERDICT, "station").payload)
    change(document["predicate"])
    return canonical(document)


def test_what_is_written_can_be_read() -> None:
    made = statement(LOCK, VERDICT, "station")
    assert Statement.parse(made.payload, "here").body == VERDICT
    assert VERDICT.outcome == "pass"


def checks(document: Any) -> list[Any]:
    """The checks in a predicate."""
    found: list[Any] = document["items"]["alpine:3.20"]["checks"]
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.update(scanner={}),
        lambda p: p.pop("policy"),
        lambda p: p.pop("waivers"),
        lambda p: p["policy"].update(digest="sha256:1"),
        lambda p: p["trustRoots"][0].update(extra=1),
        lambda p: p["items"]["alpine:3.20"].update(root=None),
        lambda p: p["items"]["alpine:3.20"].update(outcome="waived"),
        lambda p: p["items"]["alpine:3.20"].update(outcome="PASS"),
        lambda p: checks(p)[0].update(outcome="passed"),
        lambda p: checks(p)[0].update(by={"who": "me"}),
        lambda p: checks(p)[0].update(by=[]),
        lambda p: checks(p)[0].pop("predicateType"),
        # A waiver goes with `waived`, and is listed once.
        lambda p: checks(p)[0].update(outcome="waived"),
        lambda p: checks(p)[0].update(waiver=str(WAIVER)),
        lambda p: checks(p)[1].update(outcome="pass"),
        lambda p: p.update(waivers=[]),
        lambda p: p["waivers"].append({"digest": str(OTHER), "expires": "2026-12-24T00:00:00Z"}),
        lambda p: p["waivers"].append(p["waivers"][0]),
        lambda p: p["waivers"][0].update(expires="2026-12-24"),
    ],
)
def test_what_contradicts_itself_or_is_unknown_is_refused(change: Callable[[Any], object]) -> None:
    with pytest.raises(TrustError) as caught:
        Statement.parse(payload(change), "here")
    assert caught.value.code == "bad-statement"


def judged(**more: Any) -> Verdict:
    """The verdict with another judgement of its one item."""
    return replace(VERDICT, items={"alpine:3.20": replace(VERDICT.items["alpine:3.20"], **more)})


@pytest.mark.parametrize("outcome", ["fail", "not-run"])
def test_one_check_that_did_not_pass_is_enough(outcome: str) -> None:
    bad = replace(SIGNED, outcome=outcome)
    # Also one whose name this version does not know: what a newer station asked counts here.
    for checked in (bad, replace(bad, check="vulnerabilities")):
        verdict = judged(checks=(SIGNED, checked))
        found = objection(verdict, image("alpine:3.20"), ROOT)
        assert found is not None
        assert (found.code, verdict.outcome) == ("verdict-failed", "fail")


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (judged(outcome="fail", reason="absent"), "verdict-failed"),
        (judged(outcome="not-run"), "verdict-failed"),
        (judged(checks=()), "verdict-failed"),
        (judged(root=OTHER), "verdict-mismatch"),
        (replace(VERDICT, items={}), "verdict-mismatch"),
    ],
)
def test_what_stands_against_an_item(verdict: Verdict, code: str) -> None:
    found = objection(verdict, image("alpine:3.20"), ROOT)
    assert found is not None
    assert found.code == code


def test_the_root_must_be_the_one_that_crosses_and_the_one_that_was_locked() -> None:
    locked, git = image("alpine:3.20"), Item(name="alpine:3.20", kind="git", source="https://git/alpine")
    assert objection(VERDICT, locked, ROOT) is None
    assert objection(VERDICT, git, ROOT) is None
    for item, root in ((locked, OTHER), (locked, None), (git, OTHER), (git, None)):
        found = objection(VERDICT, item, root)
        assert found is not None
        assert found.code == "verdict-mismatch"
    moved = objection(judged(root=OTHER), locked, OTHER)
    assert moved is not None
    assert "the lock has" in moved.what
