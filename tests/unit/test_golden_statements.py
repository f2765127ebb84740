"""Statements about what is inside, as this version and earlier ones wrote them: read, and written again alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from airgap.content.finding import State
from airgap.content.scan_finding import FindingKind
from airgap.statements.audited import Audit
from airgap.statements.predicates import Receipt
from airgap.statements.prune_plan import PrunePlan
from airgap.statements.scans import FindingName
from airgap.statements.statement import Statement
from airgap.statements.verdict import Verdict

FOLDER = Path(__file__).parents[1] / "golden" / "statements"


def read(name: str) -> Statement:
    return Statement.parse((FOLDER / f"{name}.json").read_bytes().rstrip(b"\n"), name)


@pytest.mark.parametrize(
    "name", ["audit", "audit-earlier", "receipt", "receipt-earlier", "prune", "want", "verdict", "verdict-earlier"]
)
def test_a_statement_is_read_and_written_again_alike(name: str) -> None:
    found = read(name)
    again = Statement.of(found.subject, found.body, signed_at=found.signed_at, log_head=found.log_head, role=found.role)
    assert again.payload == found.payload


def test_what_earlier_versions_left_out_is_not_there() -> None:
    audit, receipt = read("audit-earlier").body, read("receipt-earlier").body
    assert isinstance(audit, Audit)
    assert isinstance(receipt, Receipt)
    assert (audit.inside, receipt.locks) == (None, ())


def test_what_was_scanned_is_read() -> None:
    verdict, earlier = read("verdict").body, read("verdict-earlier").body
    assert isinstance(verdict, Verdict)
    assert isinstance(earlier, Verdict)
    assert [one.name for one in verdict.scanners] == ["clamav", "trivy"]
    assert [one.scanner for one in verdict.scans] == [one.own_digest for one in verdict.scanners]
    assert verdict.gate is not None
    assert verdict.gate.required == {"image": frozenset({FindingKind.SECRET, FindingKind.VULNERABILITY})}
    check = verdict.items["app"].checks[0]
    assert check.finding == FindingName("CVE-2021-36159", "apk-tools")
    assert (earlier.scanners, earlier.scans, earlier.vex, earlier.gate) == ((), (), (), None)


def test_what_is_inside_is_read() -> None:
    audit = read("audit").body
    assert isinstance(audit, Audit)
    assert audit.inside is not None
    assert (audit.inside.listed, audit.inside.declared, audit.inside.others) == ("all", 12, 4)
    assert [one.state for one in (*audit.inside.removed, *audit.inside.superseded)] == [State.REMOVED, State.SUPERSEDED]


def test_a_prune_plan_has_one_spelling() -> None:
    data = (FOLDER / "prune-plan.json").read_bytes()
    plan = PrunePlan.decode(data, "plan")
    assert plan.encode() == data
    assert [one.state for one in plan.lines] == ["removed", "extra"]
