"""What Trivy could not read, or reads less well: "0 vulnerabilities" of it is not the same as clean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from airgap.content.scan_finding import FindingKind, ScanFinding, Severity
from airgap.scanning.trivy.image import ImageFacts
from airgap.scanning.trivy.report import TrivyReport
from airgap.scanning.trivy.unread import MAX_PATH

_MANAGERS = {
    **dict.fromkeys(("alpine", "chainguard", "minimos", "wolfi"), "apk"),
    **dict.fromkeys(("debian", "echo", "ubuntu"), "dpkg"),
    "activestate": "",
}
"""The package manager of each family of systems; of all others it is rpm. In `activestate`, the scanner looks at no
packages of the system."""
_UNLISTED = re.compile(r"This OS version is not on the EOL list")
_UNSUPPORTED = re.compile(r"Unsupported os")
_CHART = re.compile(r"Skipping chart|Failed to render|failed to parse.{0,60}chart|chart file", re.IGNORECASE)


def of_image(report: TrivyReport, facts: ImageFacts, warnings: Sequence[str], *, java: bool) -> Iterator[ScanFinding]:
    """What the findings of an image do not cover. `java`: there is a database of Java archives."""
    system = f"{report.os_family} {report.os_name}".strip()
    if not report.os_family:
        yield _said("os-unknown", "no operating system that the scanner knows: packages of one were not looked for")
    elif report.end_of_life:
        yield _said("os-end-of-life", f"{system} is at its end of life: new vulnerabilities are no longer published")
    elif _says(warnings, _UNSUPPORTED):
        yield _said("os-unsupported", f"the scanner has no advisories for {system}")
    elif _says(warnings, _UNLISTED):
        yield _said("os-unlisted", f"the scanner does not know this version of {system}: it may lack its advisories")
    if report.os_family and not report.os_packages:
        yield _said("packages-none", f"{system} without a package database: its packages were not found")
    elif not report.packages:
        yield _said("packages-none", "no package was found")
    foreign = {name for layer in facts.layers for name in layer.systems} - {_MANAGERS.get(report.os_family, "rpm")}
    if report.os_family and foreign:
        title = f"it has a package database of {', '.join(sorted(foreign))}, which {report.os_family} does not use"
        yield _said("packages-foreign", f"{title}: advisories for these packages were not asked")
    if facts.java and not java:
        title = "it has Java archives, and the station has no database for them (trivy-java-db): they were left out"
        yield _said("java-without-database", title)
    yield from _unread(facts)
    if facts.complaint:
        yield _said("config-contradicts-layers", facts.complaint)


def of_chart(warnings: Sequence[str], lists: Sequence[str], *, rendered: bool) -> Iterator[ScanFinding]:
    """What the findings of a chart do not cover: templates that do not render have no configuration to check, and into
    the files in `lists` the scanner does not look."""
    for path in lists:
        yield replace(_said("chart-list", "the scanner does not look into a list of resources"), path=path[:MAX_PATH])
    if _says(warnings, _CHART) or not rendered:
        yield _said("chart-not-rendered", "the templates were not rendered: the configuration was not checked")


def of_log(more: int) -> Iterator[ScanFinding]:
    """Warnings that were not kept, because there were so many: one of them may say that something was not covered."""
    if more:
        title = f"the scanner warned {more} times more than is kept: what it could not do is not known"
        yield _said("log-too-long", title)


def _says(warnings: Sequence[str], what: re.Pattern[str]) -> bool:
    return any(what.search(line) for line in warnings)


def _unread(facts: ImageFacts) -> Iterator[ScanFinding]:
    for layer in facts.layers:
        for one in layer.unread:
            title = f"the scanner leaves it out: {one.why}"
            yield replace(_said("file-unread", title), path=one.path, layer=layer.digest)
        if layer.more_unread:
            yield replace(_said("file-unread", f"{layer.more_unread} more files are left out"), layer=layer.digest)


def _said(name: str, title: str) -> ScanFinding:
    return ScanFinding(FindingKind.COVERAGE, name, Severity.UNKNOWN, title=title)
