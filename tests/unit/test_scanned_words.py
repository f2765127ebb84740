"""What a verdict says about scans, in lines of a terminal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from airgap.content.scan_finding import Severity
from airgap.judgement.checks.base import Answer, Outcome
from airgap.judgement.judge import Judgement
from airgap.report.explain import Explanation
from airgap.report.scanned import not_run_lines, scanner_lines
from airgap.report.verdict import passed_lines, refused_lines
from airgap.resources.load import load_policy
from airgap.statements.scans import FindingName
from airgap.statements.verdict import CheckResult
from tests.worlds.scanned import ScannedWorld, usual, vulnerability

POLICY = """\
apiVersion: airgap.openova.io/v1alpha1
kind: Policy
metadata: {name: p}
spec: {rules: [{match: ["**"], deny: {reason: r}}]}
"""
ROOT = usual().root["postgres:16"]


def test_what_stops_an_item_is_counted_and_said_below_the_digest_that_a_waiver_names() -> None:
    assert refused_lines(usual().verdict()) == [
        "  postgres:16: rule 1: fail: 1 vulnerability, 1 secret, 1 scan without an answer",
        f"    {ROOT}, by findings: default:",
        "      vulnerability fail",
        "      secret fail",
        "      clamd-unreachable: clamav: start clamd",
    ]


def test_of_many_findings_the_first_are_said_in_their_own_words() -> None:
    found = tuple(vulnerability(number, Severity.CRITICAL) for number in range(10, 20))
    verdict = ScannedWorld(findings={"demo:1": found}).verdict()
    item = verdict.items["demo:1"]

    def worded(check: CheckResult) -> CheckResult:
        why = f"finding-blocks: {check.finding.id} is critical: {'x' * 190}" if check.finding else None
        return replace(check, reason=why)

    made = replace(item, checks=tuple(map(worded, item.checks)))
    heading, place, *lines = refused_lines(replace(verdict, items={"demo:1": made}))
    assert heading == "  demo:1: rule 1: fail: 10 vulnerabilities"
    assert place.endswith(", by findings: default:")
    assert [line[:29] for line in lines[:5]] == [f"      CVE-2026-000{n} is criti" for n in range(10, 15)]
    assert all(len(line) == 160 and line.endswith("…") for line in lines[:5])
    assert lines[5:] == ["      and 5 more: `airgap report` has all"]


def test_why_scans_have_no_answer_is_said_once_and_whole() -> None:
    long = f"scanner-missing: trivy: {'x' * 300}; next: install it"
    world = usual().verdict()
    checks = [replace(one, check="scan", outcome="not-run", reason=long) for one in world.items["demo:1"].checks[:1]]
    two = {name: replace(world.items["demo:1"], checks=tuple(checks)) for name in ("a", "b")}
    assert not_run_lines([replace(world, items=two)]) == [
        f"not-run, 2 scans: {long}",
        "  next: airgap help scanner-missing",
    ]
    many = {str(n): replace(two["a"], checks=(replace(checks[0], reason=f"code-{n}: x"),)) for n in range(7)}
    assert not_run_lines([replace(world, items=many)])[-1] == "  and 2 other reasons: --json has all"


def test_a_waiver_is_proposed_only_for_findings_that_are_named() -> None:
    """Of more than the judge names one by one, it would be a waiver of whatever nobody looked at."""
    world = usual()
    item = world.lock.items[0]
    some = Answer("coverage", Outcome.FAILED, item.pin, reason="finding-blocks", named=FindingName("artifact"))
    for answers, proposed in (((some,), True), ((some, replace(some, named=None)), False)):
        made = Judgement(item.name, item.kind, None, item.pin, Outcome.FAILED, "rule", answers=answers)
        policy = load_policy(POLICY.encode())
        said = Explanation.of(item, made, (), policy, datetime(2026, 11, 30, tzinfo=UTC))
        assert ("artifact" in said.waiver) == proposed


def test_what_let_an_item_pass_is_said() -> None:
    assert passed_lines(usual().verdict()) == [
        "  1 by rule 1: rule, scanned",
        "    alpine:3.20",
        "  1 by rule 1: rule, scanned, 1 finding waived by Amina al-Harthy, 1 finding not affected, says key 'vendor'",
        "    demo:1",
    ]


def test_who_looked_is_said_and_that_nobody_did() -> None:
    verdict = usual().verdict()
    assert scanner_lines(verdict) == [
        "scanner clamav 1.4.3: 3 scans",
        "scanner trivy 0.74.0 with trivy-db of 2026-11-22: 3 scans",
    ]
    assert scanner_lines(replace(verdict, gate=None)) == ["scanners: none; nobody looked into the content"]
