"""Why a signature of others does not count: each reason has a row in the runbook, and each row is a reason."""

from __future__ import annotations

import re

from airgap.signatures import explain
from tests.worlds.source_reasons import ROOT, source

RUNBOOK = ROOT / "docs/runbooks/signatures.md"

HANDED_ON = {
    "attestation.py: best.reason",
    "signature.py: best.reason",
    "judge.py: failed.reason if failed else ''",
    "lock_findings.py: finding.code",
    "read.py: refusal.reason",
    "strict.py: error.code",
    "strict.py: reason",
    "verify.py: refusal.reason",
    "verify.py: signed.reason",
}
"""Reasons out of one of the calls above, or of another finding."""

SCANS = ("judgement/checks/findings.py", "statements/scan_answers.py")
NO_REASONS = {"not-run", "no-packages"}
"""An outcome, and the id of a finding."""


def rows() -> list[str]:
    """The reasons in the first cells of the runbook's table."""
    table = RUNBOOK.read_text("utf-8").partition("| reason |")[2].partition("\n\n")[0]
    lines = [line for line in table.splitlines()[2:] if line.startswith("|")]
    return [reason for line in lines for reason in re.findall(r"`([^`]+)`", line.split("|")[1])]


def test_every_reason_has_a_row_and_every_row_is_one() -> None:
    listed = rows()
    assert sorted(source()[0] - set(listed)) == []
    assert sorted(set(listed) - source()[0]) == []
    assert len(listed) == len(set(listed)), "a reason has two rows"


def test_the_source_is_read_whole() -> None:
    assert sorted(source()[1]) == sorted(HANDED_ON)


def test_what_the_judge_says_of_scans_has_a_row_in_their_runbook() -> None:
    text = (ROOT / "docs/runbooks/scan.md").read_text("utf-8").partition("| reason |")[2].partition("\n\n")[0]
    listed = {
        reason
        for line in text.splitlines()
        for reason in re.findall(r"`([^`]+)`", line.partition("|")[2].partition("|")[0])
    }
    source = "".join((ROOT / "airgap" / name).read_text("utf-8") for name in SCANS)
    given = {one for one in re.findall(r'"([a-z]+(?:-[a-z]+)+)"', source) if one not in NO_REASONS}
    assert listed == given


def test_what_is_told_first_is_told_of_reasons_that_there_are() -> None:
    assert set(explain._EXPLAINS + explain._SAYS_LITTLE) <= source()[0]
