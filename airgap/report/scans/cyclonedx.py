"""A report as CycloneDX 1.6 with vulnerabilities, for Dependency-Track and other inventories.

Items are components, and so are the packages in which something was found. A waiver or a VEX document is an `analysis`.
What is no vulnerability of a package (secrets, malware, models …) is listed with its kind in `properties`. Source:
CycloneDX 1.6, ECMA-424.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from airgap.base.digest import Digest
from airgap.base.times import utc_text
from airgap.report.scans.model import FindingEffect, ReportFinding, ReportItem, ScanReport

ANALYSES: Mapping[FindingEffect, tuple[str, ...]] = {
    FindingEffect.BLOCKS: ("exploitable",),
    FindingEffect.WAIVED: ("exploitable", "will_not_fix"),
    FindingEffect.NOT_AFFECTED: ("not_affected",),
}
"""State and response. What only warns or informs was not analysed by anybody."""
JUSTIFICATIONS = {
    "component_not_present": "code_not_present",
    "vulnerable_code_not_present": "code_not_present",
    "vulnerable_code_not_in_execute_path": "code_not_reachable",
    "vulnerable_code_cannot_be_controlled_by_adversary": "requires_environment",
    "inline_mitigations_already_exist": "protected_by_mitigating_control",
}
"""OpenVEX to CycloneDX."""
TYPES = {"image": "container", "model": "machine-learning-model", "file": "file"}
_WEB = re.compile(r"https?://[^\s<>\"{}|\\^`]+")


def cyclonedx(report: ScanReport) -> dict[str, Any]:
    """The document. The same report gives the same serial number."""
    items = [_item(one) for one in _once(report.items)]
    packages = {_package_ref(one): _package(one) for one in report.findings if one.package}
    name = str(report.about.digest or report.about.path)
    serial = uuid5(NAMESPACE_URL, f"{name} {utc_text(report.made_at)}")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "airgap", "version": report.airgap}]},
            "timestamp": utc_text(report.made_at),
            "component": {"type": "application", "bom-ref": "about", "name": report.about.path},
            "properties": _properties(
                [
                    ("airgap:outcome", report.outcome),
                    ("airgap:summary", report.summary),
                    ("airgap:about", name),
                    ("airgap:trust", report.trust),
                    *(("airgap:scanner", f"{one.name} {one.version} {one.digest}") for one in report.scanners),
                    *(("airgap:problem", f"{one.code}: {one.text}") for one in report.problems),
                    *(
                        ("airgap:not-scanned", f"{one.item}: {one.scanner}: {one.code}: {one.detail}")
                        for one in report.not_scanned
                    ),
                ]
            ),
        },
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "components": [*items, *packages.values()],
        "vulnerabilities": _vulnerabilities(report.findings),
    }


def _once(items: Iterable[ReportItem]) -> Iterable[ReportItem]:
    return {(one.name, one.digest): one for one in items}.values()


def _properties(pairs: Iterable[tuple[str, object]]) -> list[dict[str, str]]:
    return [{"name": name, "value": str(value)} for name, value in pairs if str(value)]


def _item_ref(name: str, digest: Digest) -> str:
    return f"item:{name}@{digest}"


def _item(one: ReportItem) -> dict[str, Any]:
    return {
        "type": TYPES.get(one.kind, "application"),
        "bom-ref": _item_ref(one.name, one.digest),
        "name": one.name,
        "hashes": [{"alg": "SHA-256", "content": one.digest.hex}],
        "properties": _properties(
            [("airgap:kind", one.kind), ("airgap:outcome", one.outcome), ("airgap:reason", one.reason)]
        ),
    }


def _package_ref(one: ReportFinding) -> str:
    return f"package:{one.purl or one.package}@{one.installed}"


def _package(one: ReportFinding) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "library", "bom-ref": _package_ref(one), "name": one.package}
    if one.installed:
        made["version"] = one.installed
    if one.purl:
        made["purl"] = one.purl
    return made


def _vulnerabilities(findings: Iterable[ReportFinding]) -> list[dict[str, Any]]:
    """One for each id, package and answer, with every item that it affects."""
    groups: dict[tuple[object, ...], list[ReportFinding]] = {}
    for one in findings:
        place = _package_ref(one) if one.package else (one.path, one.line)
        key = (one.kind, one.id, place, one.severity, one.decision, one.waiver, one.reason)
        groups.setdefault(key, []).append(one)
    return [_vulnerability(number, each) for number, each in enumerate(groups.values())]


def _vulnerability(number: int, each: list[ReportFinding]) -> dict[str, Any]:
    one = each[0]
    affects = [_package_ref(one)] if one.package else []
    affects += [_item_ref(found.item, found.item_digest) for found in each]
    made: dict[str, Any] = {
        "bom-ref": f"finding:{number}",
        "id": one.id,
        "ratings": [{"source": {"name": "airgap policy"}, "severity": str(one.severity)}]
        + [{"source": {"name": name}, "severity": said} for name, said in one.severities.items()],
        "description": one.title,
        "affects": [{"ref": ref} for ref in dict.fromkeys(affects)],
        "properties": _properties(
            [
                ("airgap:kind", one.kind),
                ("airgap:decision", one.decision),
                ("airgap:rule", one.rule),
                ("airgap:scanner", f"{one.scanner} {one.scanner_version}"),
                ("airgap:layer", one.layer or ""),
                ("airgap:path", one.path),
                ("airgap:waiver", one.waiver or ""),
                *(("airgap:vex", document) for document in one.vex),
            ]
        ),
    }
    if one.fixed:
        made["recommendation"] = f"Update {one.package} to {one.fixed}"
    if _WEB.fullmatch(one.reference):
        made["advisories"] = [{"url": one.reference}]
    if one.aliases:
        made["references"] = [{"id": alias, "source": {"name": alias.partition("-")[0]}} for alias in one.aliases]
    if one.decision in ANALYSES:
        made["analysis"] = _analysis(one)
    return made


def _analysis(one: ReportFinding) -> dict[str, Any]:
    state, *response = ANALYSES[one.decision]
    made: dict[str, Any] = {"state": state}
    said = JUSTIFICATIONS.get(one.reason.partition(":")[0].strip())
    if said and one.decision is FindingEffect.NOT_AFFECTED:
        made["justification"] = said
    if response:
        made["response"] = response
    detail = ": ".join(filter(None, (one.waived_by, one.reason)))
    return made | ({"detail": detail} if detail else {})
