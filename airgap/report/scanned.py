"""What a verdict says about scans, in words for a terminal: who looked, what stops an item, what was let pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from airgap.base.amounts import count
from airgap.base.digest import Digest
from airgap.content.scan_finding import FindingKind
from airgap.statements.scan_answers import SCAN, SCAN_CHECKS
from airgap.statements.verdict import WAIVED, YES, CheckResult, JudgedItem, PassedBy, Verdict

MOST_STOPS = 5
"""Findings of one item that are named: `airgap report` has all."""
WIDTH = 160
"""Characters of a line: two lines of a terminal have the version with a fix, and the date of a database."""
KIND_WORDS: Mapping[str, tuple[str, str]] = {
    FindingKind.VULNERABILITY: ("vulnerability", "vulnerabilities"),
    FindingKind.SECRET: ("secret", "secrets"),
    FindingKind.MISCONFIGURATION: ("misconfiguration", "misconfigurations"),
    FindingKind.MALWARE: ("malware finding", "malware findings"),
    FindingKind.MODEL: ("unsafe model", "unsafe models"),
    FindingKind.ARCHIVE: ("bad archive", "bad archives"),
    FindingKind.COVERAGE: ("thing that nobody could read", "things that nobody could read"),
    SCAN: ("scan without an answer", "scans without an answer"),
}
"""What a number of findings of a kind, or of scans, is called."""


def counted_words(numbers: Mapping[str, int]) -> str:
    """`2 vulnerabilities, 1 secret`; kinds in their order, without zeros."""
    return ", ".join(count(numbers[kind], *KIND_WORDS[kind]) for kind in KIND_WORDS if numbers.get(kind))


def of_scans(checks: Sequence[CheckResult]) -> list[CheckResult]:
    """Those about scans and their findings."""
    return [one for one in checks if one.check in SCAN_CHECKS]


def stopped_words(bad: Sequence[CheckResult]) -> str:
    """How many findings and scans stop an item; findings that share a check count once."""
    return counted_words(Counter(one.check for one in bad))


def stopped_lines(bad: Sequence[CheckResult]) -> list[str]:
    """The findings and scans that stop an item, each in its own words, as far as they fit a screen.

    Above them the digest that a waiver names, and the rule.
    """
    lines, before = [], ("", "")
    for one in bad[:MOST_STOPS]:
        here = (str(one.subject or "the item"), one.rule)
        if here != before:
            lines.append(f"    {here[0]}, by {here[1]}:")
            before = here
        lines.append(short(f"      {reason(one)}"))
    more = len(bad) - MOST_STOPS
    return [*lines, f"      and {more} more: `airgap report` has all"] if more > 0 else lines


def not_run_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """Why scans have no answer, each reason once and whole: what is wrong with a scanner is wrong for every item."""
    checks = [check for verdict in verdicts for item in verdict.items.values() for check in item.checks]
    reasons = Counter(reason(one) for one in checks if one.check == SCAN and one.outcome not in (YES, WAIVED))
    lines = []
    for why, number in reasons.most_common(MOST_STOPS):
        lines += [f"not-run, {count(number, 'scan')}: {why}", f"  next: airgap help {why.partition(':')[0]}"]
    more = len(reasons) - MOST_STOPS
    return [*lines, f"  and {more} other reasons: --json has all"] if more > 0 else lines


def reason(check: CheckResult) -> str:
    """Why a check about a scan says no: for a finding without its code, which is always the same."""
    return (check.reason or f"{check.check} {check.outcome}").removeprefix("finding-blocks: ")


def let_pass(item: JudgedItem, verdict: Verdict) -> list[str]:
    """What of a scan was needed to let an item pass: `scanned`, waivers, VEX."""
    scans = of_scans(item.checks)
    words = ["scanned"] if any(one.check == SCAN and one.outcome == YES for one in scans) else []
    waived = Counter(answered_by(one, verdict) for one in scans if one.outcome == WAIVED)
    lifted = Counter(answered_by(one, verdict) for one in scans if one.outcome == YES and one.finding is not None)
    words += [f"{count(number, 'finding')} waived by {by}" for by, number in sorted(waived.items())]
    words += [f"{count(number, 'finding')} not affected, says {by}" for by, number in sorted(lifted.items())]
    return words


def answered_by(check: CheckResult, verdict: Verdict) -> str:
    """Who let a finding pass: the approver of the waiver, or who signed the OpenVEX documents; empty for nobody."""
    signers = [one.by for one in verdict.vex if one.digest in check.vex]
    return " and ".join(dict.fromkeys(map(by_words, signers))) or by_words(check.by)


def by_words(by: PassedBy | None) -> str:
    """Who made a check pass: `key 'x'`, an identity with its issuer, an approver; empty if nobody is named."""
    if by is None:
        return ""
    if by.key:
        return f"key {by.key!r}"
    if by.identity:
        return f"{by.identity} ({by.issuer})" if by.issuer else by.identity
    return by.approver


def scanner_lines(verdict: Verdict) -> list[str]:
    """Which scanners looked, with which databases of what date; that nobody did, if nobody did."""
    if verdict.gate is None:
        return ["scanners: none; nobody looked into the content"]
    asked: dict[Digest, int] = Counter(one.scanner for one in verdict.scans)
    lines = []
    for one in verdict.scanners:
        databases = ", ".join(f"{base.name} of {base.updated:%Y-%m-%d}" for base in one.databases)
        with_what = f" with {databases}" if databases else ""
        lines.append(f"scanner {one.name} {one.version}{with_what}: {count(asked.get(one.own_digest, 0), 'scan')}")
    return lines or ["scanners: none ran"]


def short(line: str) -> str:
    """A line that fits two lines of a terminal."""
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"
