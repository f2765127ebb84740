"""What a policy says about findings of scanners: its defaults, and each field that turns a decision."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airgap.content.names import RuleNames
from airgap.content.scan_finding import FindingKind, ScanFinding, Severity
from airgap.resources.load import load_policy
from airgap.statements.gate import Effect, Gate
from tests.worlds.scans import gate_of

APP = RuleNames("ghcr.io/acme/app", (("team/app",),))
BLOCK, WARN, INFORM = Effect
ACME = "{{match: [ghcr.io/acme/*], findings: [vulnerability], effect: {}}}"
FLAW = ScanFinding(FindingKind.VULNERABILITY, "CVE-1", Severity.HIGH, package="zlib", status="affected")


def effect(findings: str, finding: ScanFinding = FLAW, kind: str = "image", names: RuleNames = APP) -> Effect:
    return gate_of(findings).decide(kind, names, finding).effect


DEFAULTS = {
    "vulnerability": (BLOCK, WARN, INFORM, INFORM, WARN),
    "misconfiguration": (BLOCK, WARN, INFORM, INFORM, WARN),
    "secret": (BLOCK,) * 5,
    "malware": (BLOCK,) * 5,
    "model": (BLOCK, BLOCK, BLOCK, INFORM, BLOCK),
    "archive": (BLOCK, BLOCK, BLOCK, INFORM, BLOCK),
    "coverage": (BLOCK,) * 5,
}


@pytest.mark.parametrize("kind", FindingKind)
def test_every_kind_has_a_default_for_every_severity(kind: FindingKind) -> None:
    made = gate_of("{}")
    got = [made.decide("image", APP, ScanFinding(kind, "x", severity)) for severity in Severity]
    assert tuple(one.effect for one in got) == DEFAULTS[kind]
    assert {one.rule for one in got} == {"findings default"}
    assert (made.not_run, made.database_max_age) == (BLOCK, timedelta(days=7))
    assert made.database_max_ages == {"trivy-checks": timedelta(days=180)}
    assert made.required == {
        "image": {"vulnerability", "secret"},
        "chart": {"misconfiguration", "secret"},
        "git": {"secret"},
        "file": {"secret"},
        "model": {"model"},
    }


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ("{rules: [{findings: [vulnerability], severity: {high: block}}]}", BLOCK),
        ("{rules: [{findings: [vulnerability], severity: {critical: inform}}]}", WARN),
        ("{rules: [{findings: [vulnerability], effect: inform}]}", INFORM),
        ("{rules: [{findings: [secret], effect: block}]}", WARN),
        ("{rules: [{match: [ghcr.io/acme/*], findings: [vulnerability], effect: block}]}", BLOCK),
        ("{rules: [{match: [ghcr.io/*/*], findings: [vulnerability], effect: block, kinds: [image]}]}", BLOCK),
        ("{rules: [{match: [ghcr.io/acme/*], findings: [vulnerability], effect: block, kinds: [chart]}]}", WARN),
        # The name inside decides nothing: where it comes from does.
        ("{rules: [{match: [team/*], findings: [vulnerability], effect: block}]}", WARN),
        (f"{{rules: [{ACME.format('block')}, {{findings: [vulnerability], effect: inform}}]}}", BLOCK),
        (f"{{rules: [{ACME.format('warn')}, {{findings: [vulnerability], effect: block}}]}}", WARN),
        ("{rules: [{findings: [vulnerability], effect: block, ignoreUnfixed: true}]}", INFORM),
        ("{rules: [{findings: [vulnerability, secret], ignoreUnfixed: true}]}", INFORM),
    ],
)
def test_the_first_rule_that_matches_decides(findings: str, expected: Effect) -> None:
    assert effect(findings) is expected


def test_one_rule_may_be_about_kinds_with_other_defaults() -> None:
    made = "{rules: [{findings: [vulnerability, secret, model], severity: {medium: warn}}]}"
    for kind, severity, expected in (
        ("vulnerability", "medium", WARN), ("secret", "medium", WARN), ("model", "medium", WARN),
        ("vulnerability", "critical", BLOCK), ("vulnerability", "low", INFORM), ("secret", "low", BLOCK),
        ("model", "low", INFORM),
    ):  # fmt: skip
        finding = ScanFinding(FindingKind(kind), "x", Severity(severity))
        assert effect(made, finding) is expected
        assert gate_of(made).decide("image", APP, finding).rule == "findings rule 1 (**)"


def test_coverage_has_a_field_and_rules() -> None:
    hole = ScanFinding(FindingKind.COVERAGE, "unknown-os", Severity.UNKNOWN)
    assert effect("{coverage: warn}", hole) is WARN
    one = "{coverage: inform, rules: [{match: [ghcr.io/acme/*], findings: [coverage], effect: block}]}"
    assert effect(one, hole) is BLOCK
    assert effect(one, hole, names=RuleNames("ghcr.io/other/app", ())) is INFORM


def test_unfixed_is_what_a_vendor_says_has_no_fix() -> None:
    made = "{rules: [{findings: [vulnerability], effect: block, ignoreUnfixed: true}]}"
    assert effect(made, replace(FLAW, status="will_not_fix")) is INFORM
    for status in ("", "end_of_life", "under_investigation", "fixed"):
        assert effect(made, replace(FLAW, status=status)) is BLOCK
    assert effect(made, replace(FLAW, fixed="1.2.13")) is BLOCK
    # Other kinds have no fixes.
    assert effect(made, ScanFinding(FindingKind.SECRET, "key", Severity.LOW, status="affected")) is BLOCK


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ("[highest]", "critical"),
        ("[debian]", "low"),
        ("[debian, nvd]", "low"),
        ("[nvd, debian]", "critical"),
        ("[scanner]", "high"),
        ("[redhat, debian]", "low"),
        # Who is asked says nothing, or unknown: the worst that anybody says counts.
        ("[redhat]", "critical"),
        ("[ghsa]", "critical"),
        ("[ghsa, highest]", "critical"),
    ],
)
def test_the_source_of_the_severity_is_written_in_the_policy(sources: str, expected: str) -> None:
    said: dict[str, Any] = {"debian": Severity.LOW, "nvd": Severity.CRITICAL, "ghsa": Severity.UNKNOWN}
    finding = replace(FLAW, severities=said, source="debian")
    assert gate_of(f"{{severityFrom: {sources}}}").decide("image", APP, finding).severity == expected
    assert gate_of("{}").severity_of(finding) is Severity.CRITICAL


def test_what_is_required_is_said_for_each_kind_of_content() -> None:
    made = gate_of("{required: {image: [malware], file: []}, databaseMaxAges: {trivy-db: 1d}, databaseMaxAge: 2d}")
    assert made.required["image"] == {"malware"}
    assert made.required["file"] == frozenset()
    assert made.required["git"] == {"secret"}
    assert made.database_max_age == timedelta(days=2)
    assert made.database_max_ages["trivy-db"] == timedelta(days=1)


def test_the_example_in_the_repository_has_findings_to_switch_on() -> None:
    manifests = Path(__file__).parents[2] / "manifests"
    text = (manifests / "platform.policy.yaml").read_text()
    head, mark, rest = text.partition("  # findings:\n")
    assert mark
    on = head + "\n".join(line.replace("  # ", "  ", 1) for line in (mark + rest).splitlines()) + "\n"
    policy = load_policy(on.encode(), base_dir=manifests, label="policy.yaml")
    assert policy.findings is not None
    assert Gate.of(policy.findings).required["image"] == {"vulnerability", "secret", "malware"}
    assert load_policy(manifests / "platform.policy.yaml").findings is None
