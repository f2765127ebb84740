"""What a lock lacks of its request: the lock binds it, a verdict judges it, and a delivery needs a waiver for it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import (
    DamageError,
    InputError,
    IntegrityError,
    LoginError,
    NotFoundError,
    ToolError,
    TrustError,
    UnreachableError,
    UpstreamError,
    WrongItemError,
)
from airgap.content.lock import Lock
from airgap.content.lock_finding import MAX_DETAIL, LockFinding
from airgap.jobs.lock import diff_locks
from airgap.jobs.lock_partial import can_be_left_out
from airgap.judgement.lock_findings import judge_findings
from airgap.resources.load import load_waiver
from airgap.statements.verdict import CheckResult, Verdict, finding_objection
from tests.worlds.trust import DAY, HOUR, NOW, World, image
from tests.worlds.verdicts import EXPIRES, refused, say, verdict, waiver

GONE = LockFinding.of("gone.local/a:1", "not-found", "got 404 (X-Request-Id 5a1f)")
OTHER = LockFinding.of("gone.local/b:1", "not-found", "got 404")


def lacking(*findings: LockFinding) -> Lock:
    return Lock.of("platform", [image("alpine:3.20")], findings)


def test_the_same_cause_is_the_same_finding() -> None:
    again = LockFinding.of("gone.local/a:1", "not-found", "got 404 (X-Request-Id 77ff)")
    assert (again, again.digest) == (GONE, GONE.digest)
    assert GONE.digest == Digest.of(canonical({"item": "gone.local/a:1", "code": "not-found", "detail": "got 404"}))
    long = LockFinding.of("a\nb", "not-found", "x" * 5000 + "\x1b[31m")
    assert (long.item, len(long.detail)) == ("a\\nb", MAX_DETAIL)


def test_a_lock_keeps_its_findings_sorted_and_within_its_digest() -> None:
    lock = lacking(OTHER, GONE, GONE)
    assert lock.findings == (GONE, OTHER)
    assert Lock.decode(lock.encode(), "a lock") == lock
    assert lock.digest != lacking(GONE).digest
    assert "findings" not in json.loads(lacking().encode()), "a lock without findings is written as before"


@pytest.mark.parametrize(
    "findings",
    [
        [],
        {},
        [GONE.as_dict() | {"more": 1}],
        [GONE.as_dict() | {"code": "Not found"}],
        [GONE.as_dict() | {"detail": "two\nlines"}],
        [GONE.as_dict() | {"detail": "x" * (MAX_DETAIL + 1)}],
        [GONE.as_dict() | {"item": ""}],
        [GONE.as_dict(), GONE.as_dict()],
        [OTHER.as_dict(), GONE.as_dict()],
        [GONE.as_dict() | {"item": "alpine:3.20"}],
    ],
    ids=str,
)
def test_a_lock_with_findings_that_lock_does_not_write_is_refused(findings: Any) -> None:
    document = lacking(GONE).as_dict() | {"findings": findings}
    with pytest.raises(InputError) as caught:
        Lock.decode(canonical(document) + b"\n", "a lock")
    assert caught.value.code == "bad-lock"


def test_a_difference_in_findings_is_a_change_for_the_approver() -> None:
    rows = [(row["change"], row["kind"], row["name"]) for row in diff_locks(lacking(GONE), lacking(OTHER))]
    assert rows == [("removed", "finding", GONE.item), ("added", "finding", OTHER.item)]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NotFoundError("not-found", "gone"), True),
        (UpstreamError("unauthorized", "Docker Hub says this of what it does not have", status=401), True),
        (IntegrityError("bad-manifest", "malformed"), True),
        (WrongItemError("no-platform", "no such child"), True),
        (InputError("password-missing", "a password that cannot be read"), False),
        (DamageError("digest-mismatch", "on the way"), False),
        (UnreachableError("unreachable", "the network"), False),
        (LoginError("login-failed", "a wrong password", status=401), False),
        (UpstreamError("upstream-failed", "the server", status=503), False),
        (ToolError("git-failed", "git"), False),
    ],
)
def test_what_the_item_itself_causes_can_be_left_out(error: Any, expected: bool) -> None:
    assert can_be_left_out(error) is expected


def carried(*waivers: bytes) -> World:
    """A delivery of a lock that lacks something, with approved waivers and without a verdict."""
    made = World(lock=lacking(GONE))
    made.waivers = list(waivers)
    for number, one in enumerate(waivers):
        made.evidence[f"approval-{number}"] = made.approve(Digest.of(one), NOW - DAY)
    return made


def test_a_delivery_needs_a_waiver_for_each_finding_of_its_locks() -> None:
    good = waiver(GONE.digest, check="finding")
    assert carried(good).accept().locks[0].findings == (GONE,)
    for wrong in (
        carried(),
        carried(waiver(OTHER.digest, check="finding")),
        carried(waiver(GONE.digest, check="signature")),
        carried(waiver(GONE.digest, NOW - HOUR, "finding")),
    ):
        assert refused(wrong).code == "finding-not-waived"
    unsigned = carried(good)
    del unsigned.evidence["approval-0"]
    assert refused(unsigned).code == "finding-not-waived"


def judged(*answers: CheckResult) -> Verdict:
    used = sorted({one.waiver for one in answers if one.waiver})
    waivers = verdict(*[replace(one, waiver=digest) for one, digest in zip(answers, used, strict=False)]).waivers
    return replace(verdict(), findings=answers, waivers=waivers)


def test_a_verdict_lets_a_finding_pass_only_by_a_waiver() -> None:
    file = waiver(GONE.digest, check="finding")
    good = CheckResult("finding", "waived", GONE.digest, "", waiver=Digest.of(file))
    made = carried(file)
    say(made, judged(good))
    made.accept()
    for body, code in (
        (judged(replace(good, outcome="fail", waiver=None)), "verdict-failed"),
        (verdict(), "verdict-mismatch"),
    ):
        say(made, body)
        assert refused(made).code == code
        assert body.outcome == ("fail" if code == "verdict-failed" else "pass")
    with pytest.raises(TrustError, match="no partial deliveries"):
        say(made, judged(replace(good, waiver=None, outcome="pass")))


def test_the_station_judges_findings_by_waivers_alone() -> None:
    mine = load_waiver(waiver(GONE.digest, check="finding"))
    waived, failed = judge_findings((GONE, OTHER), [mine], NOW)
    assert (str(waived.outcome), str(failed.outcome)) == ("waived", "fail")
    (expired,) = judge_findings((GONE,), [mine], EXPIRES)
    assert not expired.good
    assert "expired" in expired.detail
    assert finding_objection(judged(), lacking()) is None
