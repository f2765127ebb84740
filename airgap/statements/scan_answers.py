"""What a gate says about the scan results of one subject: the same questions for the judge and for acceptance.

Fails closed: what no scanner looked for, what did not run, and what a scanner could not read is an answer, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from airgap.base.amounts import count, span_words
from airgap.base.digest import Digest
from airgap.base.times import CLOCK_SKEW, utc_text
from airgap.content.names import RuleNames
from airgap.content.scan_finding import FindingKind, ScanFinding, Severity
from airgap.content.scan_result import Database, ScannerIdentity, ScanResult
from airgap.content.scan_subject import SubjectForm
from airgap.resources.waiver import Waiver
from airgap.statements.gate import Decision, Effect, Gate
from airgap.statements.scan_run import SubjectScans
from airgap.statements.scans import FindingName

SCAN = "scan"
"""The check whether a scanner came to its end."""
COVERAGE = str(FindingKind.COVERAGE)
"""The check whether everything was looked at."""
SCAN_CHECKS = frozenset({SCAN, *map(str, FindingKind)})
"""The names of all checks about scans."""
BLOCKS = "finding-blocks"
"""The reason of a finding that blocks."""
NO_PACKAGES = ScanFinding(
    FindingKind.COVERAGE,
    "no-packages",
    Severity.UNKNOWN,
    title="no package was found in it, which does not mean that there are none",
)
_MAX_TITLE = 120


@dataclass(frozen=True, slots=True)
class ScanAnswer:
    """One answer about a subject. `outcome` is `pass`, `fail` or `not-run`."""

    check: str
    """`scan`, or the kind of the finding."""
    outcome: str
    subject: Digest
    detail: str
    rule: str = ""
    """What in the policy decided."""
    reason: str = ""
    """A stable code; empty if there is nothing to say."""
    finding: ScanFinding | None = None

    @property
    def good(self) -> bool:
        """True if it does not stop the item."""
        return self.outcome == "pass"

    @property
    def name(self) -> FindingName | None:
        """The name of the finding, if it is about one."""
        return None if self.finding is None else FindingName.of(self.finding)


def answers(
    gate: Gate,
    kind: str,
    names: RuleNames,
    subject: SubjectScans,
    scanners: Collection[ScannerIdentity],
    now: datetime | None,
) -> Iterator[ScanAnswer]:
    """The answers about one subject of an item of that kind and those names.

    1. For each result, whether it is one: of this run (`scanners`), about this subject, by a scanner that came to its
       end, with databases that are not too old at `now` (`None`: not asked).
    2. The findings that block, the worst first.
    3. What the policy requires, and nobody looked for.
    """
    good = []
    decided = []
    # 1.
    for result in subject.results:
        found = [gate.decide(kind, names, one) for one in _findings(kind, result)]
        decided += found
        trouble = _trouble(gate, subject, result, scanners, now)
        if trouble is None:
            good.append(result)
            yield ScanAnswer(SCAN, "pass", subject.digest, _counted(result, found))
        else:
            yield trouble
    # 2.
    yield from _blocking(subject, decided)
    # 3.
    yield from _missing(gate, kind, subject, good)


def _findings(kind: str, result: ScanResult) -> Iterable[ScanFinding]:
    """The findings, and that there are no packages if the scanner has not said so itself."""
    sought = kind == "image" and FindingKind.VULNERABILITY in result.looked_for and not result.not_run
    silent = sought and not result.packages and all(one.kind is not FindingKind.COVERAGE for one in result.findings)
    return (*result.findings, NO_PACKAGES) if silent else result.findings


def _trouble(
    gate: Gate, subject: SubjectScans, result: ScanResult, scanners: Collection[ScannerIdentity], now: datetime | None
) -> ScanAnswer | None:
    """Why a result is no answer to the question; `None` if it is one."""
    name = result.scanner.name
    if result.subject != subject.digest or result.scanner not in scanners:
        what = f"{name}: the result is about {result.subject}, or of another run of the scanner: scan again"
        return ScanAnswer(SCAN, "not-run", subject.digest, what, "findings notRun", "scan-of-other-run")
    code, what = ("", "") if now is None else database_age(gate, result.scanner, now)
    if code:
        return ScanAnswer(SCAN, "not-run", subject.digest, f"{name}: {what}", "findings databaseMaxAge", code)
    if result.not_run:
        outcome = "not-run" if gate.not_run is Effect.BLOCK else "pass"
        return ScanAnswer(SCAN, outcome, subject.digest, f"{name}: {result.detail}", "findings notRun", result.not_run)
    if FindingKind.VULNERABILITY in result.looked_for and not result.scanner.databases:
        what = f"{name}: it looked for vulnerabilities, and names no database"
        return ScanAnswer(SCAN, "not-run", subject.digest, what, "findings databaseMaxAge", "database-missing")
    return None


def database_age(gate: Gate, scanner: ScannerIdentity, now: datetime) -> tuple[str, str]:
    """The code and the words if one of its databases is older than the gate allows, or of the future; else `""`."""
    found = (_age(gate, database, now) for database in scanner.databases)
    return next((one for one in found if one[0]), ("", ""))


def _age(gate: Gate, database: Database, now: datetime) -> tuple[str, str]:
    """The code and the words if a database is older than the gate allows, or of the future; `""` if it is neither."""
    most = gate.database_max_ages.get(database.name, gate.database_max_age)
    said = f"the database {database.name} is of {utc_text(database.updated)}, and now it is {utc_text(now)}"
    if database.updated > now + CLOCK_SKEW:
        return "database-in-future", f"{said}: correct the clock of this machine, or lock another database"
    if now - database.updated <= most:
        return "", ""
    allowed = span_words(most)
    return "database-old", f"{said}: the policy allows {allowed}; pull a newer one, and scan again"


def _counted(result: ScanResult, decided: Sequence[Decision]) -> str:
    """`trivy 0.74.0: 3 findings in 14 packages: 1 critical, 2 high; 1 blocks, 2 warn`."""
    severities = Counter(one.severity for one in decided)
    effects = Counter(one.effect for one in decided)
    words = ", ".join(f"{severities[one]} {one}" for one in Severity if severities[one])
    does = ", ".join(
        f"{effects[one]} {one}{'s' if effects[one] == 1 else ''}" for one in (Effect.BLOCK, Effect.WARN) if effects[one]
    )
    packages = f" in {count(result.packages, 'package')}" if result.packages else ""
    what = count(len(decided), "finding") if decided else "no finding"
    scanner = f"{result.scanner.name} {result.scanner.version}"
    return f"{scanner}: {what}{packages}" + (f": {words}" if words else "") + (f"; {does}" if does else "")


def _blocking(subject: SubjectScans, decided: Iterable[Decision]) -> Iterator[ScanAnswer]:
    """One answer for each finding that blocks, the worst first; one finding in several places is one."""
    places: dict[tuple[FindingKind, FindingName], list[Decision]] = {}
    for one in decided:
        if one.effect is Effect.BLOCK:
            places.setdefault((one.finding.kind, FindingName.of(one.finding)), []).append(one)
    worst = [(min(found, key=lambda one: one.severity.rank), len(found)) for found in places.values()]
    for one, number in sorted(worst, key=lambda pair: (pair[0].severity.rank, pair[0].finding.id)):
        detail = _words(one) + (f", in {number} places" if number > 1 else "")
        check = str(one.finding.kind)
        yield ScanAnswer(check, "fail", subject.digest, detail, one.rule, BLOCKS, one.finding)


def _words(one: Decision) -> str:
    """`CVE-2021-36159 is critical: apk-tools 2.12.5-r0, fixed in 2.12.6-r0: <title>`."""
    finding = one.finding
    package = f"{finding.package} {finding.installed}".strip()
    where = package or finding.path
    fix = f", fixed in {finding.fixed}" if finding.fixed else ""
    no_fix = f", without a fix ({finding.status})" if finding.package and not finding.fixed and finding.status else ""
    title = f": {finding.title[:_MAX_TITLE]}" if finding.title else ""
    return f"{finding.id} is {one.severity}" + (f": {where}" if where else "") + fix + no_fix + title


def looked_for(results: Iterable[ScanResult]) -> frozenset[FindingKind]:
    """What was looked for by those of the scanners that came to their end."""
    return frozenset[FindingKind]().union(*(one.looked_for for one in results if not one.not_run))


def counts_as(kind: str, results: Iterable[ScanResult]) -> str:
    """The kind of content as which a subject counts: in an image, what was read as files is a file."""
    forms = {one.form for one in results if not one.not_run}
    return "file" if kind == "image" and forms == {SubjectForm.FILES} else kind


def _missing(gate: Gate, kind: str, subject: SubjectScans, good: Sequence[ScanResult]) -> Iterator[ScanAnswer]:
    kind = counts_as(kind, good)
    required, looked = gate.required.get(kind), looked_for(good)
    rule = f"findings required ({kind})"
    for one in sorted(required - looked) if required is not None else ():
        what = f"no scanner that came to its end looked for {one}, which the policy requires for the kind {kind}"
        yield ScanAnswer(COVERAGE, "fail", subject.digest, what, rule, "not-scanned")
    if required is None and not looked - {FindingKind.COVERAGE}:
        what = "no scanner that came to its end looked into it"
        yield ScanAnswer(COVERAGE, "fail", subject.digest, what, rule, "not-scanned")


def waives(
    waiver: Waiver, check: str, subject: Digest, finding: FindingName | None, root: Digest | None, names: RuleNames
) -> bool:
    """True if a waiver lets a check about a scan fail, whatever its end.

    A digest may be that of the subject, or of the `root` of the item that contains it. A finding must be named; the
    checks `scan` and `coverage` may be named themselves. Without a `finding`, a check of another kind stands for many.
    """
    about = {subject, *(() if root is None else (root,))}
    if check in (SCAN, COVERAGE) and any(waiver.covers(check, one) for one in about):
        return True
    if check == SCAN or (check == COVERAGE and finding is None) or not waiver.is_for(about, names.deciding):
        return False
    return bool(waiver.findings) if finding is None else waiver.names(finding.id, finding.package, finding.path)
