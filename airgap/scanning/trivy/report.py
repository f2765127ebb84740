"""Reads Trivy's report: bounded, and strictly where something is decided by it.

Source: the structs of Trivy's `pkg/types` (report.go, vulnerability.go, secret.go, misconfiguration.go), in 0.59.1 and
0.74.0; fields that later versions add are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, ToolError
from airgap.base.strict_json import decode_json
from airgap.base.text import one_line
from airgap.content.scan_finding import MAX_ID, MAX_TEXT, FindingKind, ScanFinding, Severity
from airgap.tools.trivy import garbage

SCHEMA = 2
"""The version of the report that is read."""
MAX_FINDINGS = 500_000
"""More than the largest image has by far."""
_SEVERITIES = {0: Severity.UNKNOWN, 1: Severity.LOW, 2: Severity.MEDIUM, 3: Severity.HIGH, 4: Severity.CRITICAL}
_LISTS = ("Packages", "Vulnerabilities", "Secrets", "Misconfigurations")
_OTHER_SOURCE = "scanner"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a report must be about."""

    type: str
    """`container_image`, `filesystem`."""
    name: str
    config: Digest | None = None
    """The digest of the image's config."""
    diff_ids: tuple[Digest, ...] = ()


@dataclass(frozen=True, slots=True)
class TrivyReport:
    """A report whose shape was checked, and which is about the right thing."""

    document: Mapping[str, Any]
    packages: int
    """How many packages it lists."""
    os_family: str
    """Empty if it knows none."""
    os_name: str
    end_of_life: bool
    os_packages: int | None
    """How many packages the operating system has; `None` if it was not looked at."""

    @property
    def results(self) -> list[Mapping[str, Any]]:
        """Its results, one for each thing in the content."""
        return self.document.get("Results") or []


def read_report(data: bytes, expected: Expected) -> TrivyReport:
    """Reads what a run printed. Raises `ToolError` (`scanner-garbage`, `scanner-mismatch`)."""
    try:
        document = decode_json(data)
    except ValueError as error:
        what = "it printed nothing" if not data.strip() else f"not valid JSON: {error}"
        raise garbage("report", what) from error
    if not isinstance(document, dict) or document.get("SchemaVersion") != SCHEMA:
        raise garbage("report", f"expected a report with SchemaVersion {SCHEMA}")
    _compare(document, expected)
    results = document.get("Results")
    if results is not None and not _are(results, dict):
        raise garbage("report", "Results: expected a list of objects")
    for one in results or []:
        for name in _LISTS:
            if one.get(name) is not None and not _are(one[name], dict):
                raise garbage("report", f"{name}: expected a list of objects")
    return _summed(document)


def _summed(document: Mapping[str, Any]) -> TrivyReport:
    found = _inner(_inner(document, "Metadata"), "OS")
    results = document.get("Results") or []
    system = [one for one in results if one.get("Class") == "os-pkgs"]
    return TrivyReport(
        document=document,
        packages=sum(len(one.get("Packages") or ()) for one in results),
        os_family=_text(found, "Family"),
        os_name=_text(found, "Name"),
        end_of_life=found.get("EOSL") is True,
        os_packages=sum(len(one.get("Packages") or ()) for one in system) if system else None,
    )


def _compare(document: Mapping[str, Any], expected: Expected) -> None:
    metadata = _inner(document, "Metadata")
    said: list[tuple[str, object, object]] = [("ArtifactType", document.get("ArtifactType"), expected.type)]
    said.append(("ArtifactName", document.get("ArtifactName"), expected.name))
    if expected.config is not None:
        said.append(("ImageID", metadata.get("ImageID"), expected.config))
        said.append(("DiffIDs", metadata.get("DiffIDs") or [], list(expected.diff_ids)))
    for name, got, wanted in said:
        if got != wanted:
            raise ToolError(
                "scanner-mismatch",
                f"trivy: {name}: got {got!r:.200}, expected {wanted!r:.200}",
                "the scanner answered about something else: scan again; if it stays so, do not use this program",
            )


def findings(report: TrivyReport, layers: Mapping[str, Digest], path: Callable[[str], str]) -> list[ScanFinding]:
    """Everything that the report found: the same package with the same vulnerability counts once, at its first place.

    `layers` has the digest of the layer for each diff id; `path` gives the path in the content for one in the report.
    A secret is never in its finding. Raises `ToolError` (`scanner-garbage`).
    """
    made = dict[tuple[str, ...], ScanFinding]()
    for one in _each(report, layers, path):
        where = (one.path, str(one.line), str(one.layer or ""))
        package = (one.package, one.purl, one.installed)
        key = (one.kind, one.id, *(package if one.kind is FindingKind.VULNERABILITY else where))
        known = made.get(key)
        made[key] = one if known is None else _merged(known, one)
        if len(made) > MAX_FINDINGS:
            raise garbage("report", f"more than {MAX_FINDINGS} findings")
    return list(made.values())


def _merged(one: ScanFinding, other: ScanFinding) -> ScanFinding:
    """The first of two by its place, with the worse of the severities."""
    first, second = sorted((one, other), key=lambda each: (each.path, str(each.layer or "")))
    worse = min(first, second, key=lambda each: each.severity.rank)
    aliases = tuple(sorted({*first.aliases, *second.aliases}))
    return replace(first, severity=worse.severity, source=worse.source, aliases=aliases)


def _each(report: TrivyReport, layers: Mapping[str, Digest], path: Callable[[str], str]) -> Iterator[ScanFinding]:
    for result in report.results:
        target = path(_text(result, "Target"))
        for one in result.get("Vulnerabilities") or ():
            yield _vulnerability(one, layers, path)
        for one in result.get("Secrets") or ():
            yield _secret(one, target, layers)
        for one in result.get("Misconfigurations") or ():
            if one.get("Status", "FAIL") == "FAIL":
                yield _misconfiguration(one, target, layers)


def _vulnerability(one: Mapping[str, Any], layers: Mapping[str, Digest], path: Callable[[str], str]) -> ScanFinding:
    vendors = _inner(one, "VendorSeverity")
    place = _text(one, "PkgPath")
    return ScanFinding(
        kind=FindingKind.VULNERABILITY,
        id=_id(one, "VulnerabilityID"),
        severity=_severity(one),
        title=_text(one, "Title"),
        source=_text(one, "SeveritySource"),
        severities={_word(name): _number(value) for name, value in vendors.items()},
        aliases=_aliases(one, "VendorIDs", "Aliases"),
        package=_text(one, "PkgName"),
        purl=_text(_inner(one, "PkgIdentifier"), "PURL"),
        installed=_text(one, "InstalledVersion"),
        fixed=_text(one, "FixedVersion"),
        status=_text(one, "Status"),
        layer=_layer(one, layers),
        path=path(place) if place else "",
        reference=_text(one, "PrimaryURL"),
    )


def _secret(one: Mapping[str, Any], target: str, layers: Mapping[str, Digest]) -> ScanFinding:
    # Not `Match` and not `Code`: they quote the line, with stars only where the rule of this finding matched.
    return ScanFinding(
        kind=FindingKind.SECRET,
        id=_id(one, "RuleID"),
        severity=_severity(one),
        title=_text(one, "Title"),
        layer=_layer(one, layers),
        path=target,
        line=_line(one.get("StartLine")),
    )


def _misconfiguration(one: Mapping[str, Any], target: str, layers: Mapping[str, Digest]) -> ScanFinding:
    # KSV-0017 is KSV017 with the alias AVD-KSV-0017 in older versions: a policy needs one name for it.
    named = one if one.get("AVDID") else {"AVDID": one.get("ID")}
    return ScanFinding(
        kind=FindingKind.MISCONFIGURATION,
        id=_id(named, "AVDID").removeprefix("AVD-"),
        severity=_severity(one),
        title=_text(one, "Title"),
        aliases=_aliases(one, "ID", "AVDID"),
        status="affected",
        layer=_layer(one, layers),
        path=target,
        line=_line(_inner(one, "CauseMetadata").get("StartLine")),
        reference=_text(one, "PrimaryURL"),
    )


def _severity(one: Mapping[str, Any]) -> Severity:
    said = one.get("Severity")
    try:
        return Severity(said.lower() if isinstance(said, str) and said else "unknown")
    except ValueError:
        raise _odd("Severity", said) from None


def _number(value: object) -> Severity:
    if type(value) is not int or value not in _SEVERITIES:
        raise garbage("report", f"VendorSeverity: got {value!r:.40}, expected a number from 0 to 4")
    return _SEVERITIES[value]


def _layer(one: Mapping[str, Any], layers: Mapping[str, Digest]) -> Digest | None:
    said = _inner(one, "Layer").get("DiffID")
    if not said or not layers:
        return None
    if not isinstance(said, str) or said not in layers:
        raise _odd("Layer", said)
    return layers[said]


def _aliases(one: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    found = set[str]()
    for name in names:
        value = one.get(name)
        some = value if isinstance(value, list) else [value]
        found |= {_word(text) for text in some if isinstance(text, str) and text}
    return tuple(sorted(found))


def _id(one: Mapping[str, Any], name: str) -> str:
    found = one.get(name)
    if not isinstance(found, str) or not re.fullmatch(rf"[!-~]{{1,{MAX_ID}}}", found):
        raise _odd(name, found)
    return found


def _text(one: Mapping[str, Any], name: str) -> str:
    """A text, on one line and shortened; empty if it is missing."""
    found = one.get(name)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise _odd(name, found)
    return one_line(found[:MAX_TEXT])[:MAX_TEXT]


def _word(text: str) -> str:
    return one_line(text[:MAX_ID])[:MAX_ID] or _OTHER_SOURCE


def _line(value: object) -> int:
    return value if type(value) is int and 0 <= value < 1 << 53 else 0


def _inner(one: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = one.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise _odd(name, found)
    return found


def _are(value: object, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(one, kind) for one in value)


def _odd(name: str, got: object) -> AirgapError:
    return garbage("report", f"{name}: got {got!r:.100}")
