"""A verdict in words: by which rule and by whom items passed, and which did not pass. Decides nothing."""

from __future__ import annotations

from airgap.report.scanned import let_pass, of_scans, stopped_lines, stopped_words
from airgap.statements.scan_answers import SCAN_CHECKS
from airgap.statements.verdict import WAIVED, YES, CheckResult, JudgedItem, PassedBy, Verdict

MAX_REFUSED = 50
"""Items that are listed: more do not fit a screen, and most have the same reason."""
FEW = 10
"""Items that passed the same way and are named; if there are more, only their number is given."""


def passed(verdict: Verdict) -> dict[str, list[str]]:
    """The items that may go on, by the rule that let them and by who vouched for them; largest group first."""
    found: dict[str, list[str]] = {}
    for name, item in verdict.items.items():
        if not item.why_not():
            found.setdefault(_way(item, verdict), []).append(name)
    return dict(sorted(found.items(), key=lambda one: -len(one[1])))


def refused(verdict: Verdict) -> list[str]:
    """The items that may not go on."""
    return [name for name, item in verdict.items.items() if item.why_not()]


def passed_lines(verdict: Verdict) -> list[str]:
    """How many items passed each way, and their names if they are few."""
    lines = []
    for way, names in passed(verdict).items():
        lines.append(f"  {len(names)} by {way}")
        if len(names) <= FEW:
            lines += [f"    {name}" for name in names]
    return lines


def refused_lines(verdict: Verdict) -> list[str]:
    """Each item that may not go on, and the checks that stop it."""
    names = refused(verdict)
    lines = []
    for name in names[:MAX_REFUSED]:
        item = verdict.items[name]
        rule = next((check.rule for check in item.checks if check.rule), "no rule")
        bad = [check for check in item.checks if check.outcome not in (YES, WAIVED)]
        scans = of_scans(bad)
        others = [check for check in bad if check not in scans]
        # The first reason says it, unless it is the first of many findings.
        why = item.why_not() if others or not bad else f"{item.outcome}: {stopped_words(scans)}"
        lines.append(f"  {name}: {rule}: {why}")
        lines += [f"    {_name(check)}, {check.subject}: {check.outcome}" for check in others[:FEW]]
        lines += [f"    and {len(others) - FEW} more" for _ in others[FEW : FEW + 1]]
        lines += stopped_lines(scans)
    more = len(names) - MAX_REFUSED
    return [*lines, f"  and {more} more: --json lists them"] if more > 0 else lines


def finding_answers(verdict: Verdict) -> list[str]:
    """What the verdict says of the findings of its lock: waived by whom, or not."""
    lines = [f"findings of the lock: {len(verdict.findings)}"] if verdict.findings else []
    return [*lines, *(f"  {one.subject}: {_accepted(one)}" for one in verdict.findings)]


def _accepted(one: CheckResult) -> str:
    if one.outcome == YES:
        return f"left out, as the policy allows ({one.rule})"
    by = f"waived by {one.by.approver}" if one.outcome == WAIVED and one.by else "not waived"
    return f"{by}: {one.reason}"


def _way(item: JudgedItem, verdict: Verdict) -> str:
    others = [check for check in item.checks if check.check not in SCAN_CHECKS]
    ways = [*dict.fromkeys(map(_said, others)), *let_pass(item, verdict)]
    return f"{item.checks[0].rule}: {', '.join(ways)}"


def _said(check: CheckResult) -> str:
    by = check.by or PassedBy()
    if check.outcome == WAIVED:
        return f"{_name(check)} waived by {by.approver}"
    if by.approver:
        return f"by digest only, approved by {by.approver}"
    if check.by is None:
        return _name(check)
    return f"{_name(check)} of {_who(by)}"


def _who(by: PassedBy) -> str:
    """An identity contains a tag or a branch, so nearly each is different; their issuers are few."""
    return f"key {by.key!r}" if by.key else f"a certificate by {by.issuer or 'an unnamed issuer'}"


def _name(check: CheckResult) -> str:
    return f"{check.check} {check.predicate_type}" if check.predicate_type else check.check
