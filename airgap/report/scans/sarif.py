"""A report as SARIF 2.1.0, for code scanning and IDEs: one run a scanner, one result a finding.

Source: OASIS, Static Analysis Results Interchange Format 2.1.0, plus errata 01.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from airgap.base.times import utc_text
from airgap.content.scan_finding import Severity
from airgap.report.scans.model import FindingEffect, NotScanned, ReportFinding, ReportScanner, ScanReport

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.UNKNOWN: "warning",
}
SCORES = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.5",
    Severity.LOW: "2.0",
}
"""`security-severity`, by which code scanning sorts: the middle of each band of CVSS."""


def sarif(report: ScanReport) -> dict[str, Any]:
    """The document. The first run is airgap's own: the judgement, and what was not scanned."""
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [_own(report), *(_run(report, one) for one in report.scanners)],
    }


def _own(report: ScanReport) -> dict[str, Any]:
    about = {"outcome": str(report.outcome), "summary": report.summary, "trust": report.trust, "more": report.more}
    about |= {"verdicts": [str(one.lock) for one in report.verdicts], "madeAt": utc_text(report.made_at)}
    return {
        "tool": {"driver": {"name": "airgap", "version": report.airgap, "rules": []}},
        "invocations": [
            {
                "executionSuccessful": not report.problems,
                "toolExecutionNotifications": [
                    {"level": "error", "descriptor": {"id": one.code}, "message": {"text": one.text}}
                    for one in report.problems
                ]
                + [_notification(one) for one in report.not_scanned],
            }
        ],
        "results": [],
        "properties": about,
    }


def _run(report: ScanReport, scanner: ReportScanner) -> dict[str, Any]:
    """The findings of one scanner. What it did not scan makes its invocation unsuccessful."""
    mine = [one for one in report.findings if (one.scanner, one.scanner_version) == (scanner.name, scanner.version)]
    ids = list(dict.fromkeys(one.id for one in mine))
    places = {one: number for number, one in enumerate(ids)}
    first = {one.id: one for one in reversed(mine)}
    driver: dict[str, Any] = {
        "name": scanner.name,
        "version": scanner.version,
        "properties": {
            "digest": str(scanner.digest),
            "databases": [
                {"name": one.name, "digest": str(one.digest), "updated": utc_text(one.updated)}
                for one in scanner.databases
            ],
        },
        "rules": [_rule(first[one]) for one in ids],
    }
    return {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"airgap/{scanner.name}/"},
        "invocations": [{"executionSuccessful": scanner.not_run == 0}],
        "results": [_result(one, places[one.id]) for one in mine],
    }


def _rule(one: ReportFinding) -> dict[str, Any]:
    made: dict[str, Any] = {"id": one.id, "shortDescription": {"text": one.title or one.id}}
    if one.reference.startswith(("https://", "http://")):
        made["helpUri"] = quote(one.reference, safe="%:/?#[]@!$&'()*+,;=~")
    properties: dict[str, Any] = {"tags": [str(one.kind), "security", str(one.severity)]}
    if one.severity in SCORES:
        properties["security-severity"] = SCORES[one.severity]
    return made | {"properties": properties}


def _result(one: ReportFinding, rule: int) -> dict[str, Any]:
    made: dict[str, Any] = {
        "ruleId": one.id,
        "ruleIndex": rule,
        "level": LEVELS[one.severity],
        "message": {"text": _message(one)},
        "locations": [_location(one)],
        "partialFingerprints": {"airgap/v1": one.fingerprint},
        "properties": {
            "item": one.item,
            "itemDigest": str(one.item_digest),
            "subject": str(one.subject),
            "layer": str(one.layer or ""),
            "kind": str(one.kind),
            "severity": str(one.severity),
            "decision": str(one.decision),
            "rule": one.rule,
            "package": one.package,
            "purl": one.purl,
            "installed": one.installed,
            "fixed": one.fixed,
        },
    }
    if one.decision in (FindingEffect.WAIVED, FindingEffect.NOT_AFFECTED):
        why = ": ".join(filter(None, (one.waived_by, one.reason))) or str(one.decision)
        made["suppressions"] = [{"kind": "external", "status": "accepted", "justification": why}]
    return made


def _message(one: ReportFinding) -> str:
    what = f"{one.package} {one.installed}".strip() or one.path
    fix = f", fixed in {one.fixed}" if one.fixed else ""
    return f"{one.id} in {what or one.item}{fix}: {one.title or one.kind}"


def _location(one: ReportFinding) -> dict[str, Any]:
    """The file in the item; where the scanner names none, the item."""
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(one.path.lstrip("/") or one.item, safe="/")}}
    if one.line:
        place["region"] = {"startLine": one.line}
    return {
        "physicalLocation": place,
        "logicalLocations": [{"fullyQualifiedName": f"{one.item}@{one.subject}", "kind": "module"}],
    }


def _notification(one: NotScanned) -> dict[str, Any]:
    text = f"{one.item}: {one.scanner or 'no scanner'}: {one.detail or one.code}"
    level = "error" if one.decision is FindingEffect.BLOCKS else "warning"
    return {"level": level, "descriptor": {"id": one.code}, "message": {"text": text}}
