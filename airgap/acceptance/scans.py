"""The scan results that a delivery carries: judged again as its verdict says, and by this Sovereign's own limits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from airgap.base.amounts import span_words
from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, ExpiredError, IntegrityError, TrustError
from airgap.base.times import CLOCK_SKEW, utc_text
from airgap.base.zstd import unpacked
from airgap.content import known_kinds
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.content.names import RuleNames
from airgap.content.scan_result import MAX_RESULT, Database, ScanResult
from airgap.resources.trust_verdicts import VerdictLimits
from airgap.resources.waiver import Waiver
from airgap.statements.gate import Gate
from airgap.statements.scan_answers import COVERAGE, SCAN, answers, counts_as, looked_for, waives
from airgap.statements.scan_run import SubjectScans
from airgap.statements.scans import PACKED, SCANS, FindingName, Scan
from airgap.statements.trust import unverified
from airgap.statements.verdict import YES, JudgedItem, Verdict

SCAN_AGAIN = "have the station scan the lock and cut the delivery again: airgap scan, then airgap bundle"
_LIMITS = "the Trust resource limits it (`verdicts`)"


Earlier = Callable[[Digest], Sequence[bytes]]
"""Gives the verdicts about a lock that were accepted before, newest first."""


def nothing_earlier(_lock: Digest) -> Sequence[bytes]:
    """An `Earlier` for who does not know, or need not ask."""
    return ()


@dataclass(frozen=True, slots=True)
class Demands:
    """What is asked of verdicts, besides that they stand on what they name."""

    now: datetime
    limits: VerdictLimits | None = None
    """Those of the Trust resource; `None` for a delivery that was accepted before."""
    earlier: Earlier = nothing_earlier


@dataclass(frozen=True, slots=True)
class Stands:
    """A verdict with what it stands on."""

    lock: Lock
    verdict: Verdict
    signed_at: datetime
    waivers: Collection[Waiver]
    """Those that it names: approved, and valid when it was signed."""
    files: Mapping[str, bytes] = field(hash=False)
    """The scan results in the evidence, by their names there."""
    items: Sequence[Item] = field(hash=False)
    """The items of the lock that the delivery brings."""

    def result(self, scan: Scan) -> ScanResult:
        """A result that the verdict names. Raises `TrustError` (`scan-missing`, `scan-mismatch`)."""
        name = f"{SCANS}{scan.result.hex}{PACKED}"
        data = self.files.get(name)
        if data is None:
            what = f"the verdict names the scan result {scan.result} about {scan.subject}, and the evidence lacks it"
            raise _verdict_refused("scan-missing", self, what)
        try:
            plain = unpacked(data, MAX_RESULT)
            if Digest.of(plain) != scan.result:
                raise ValueError(f"its digest is {Digest.of(plain)}")
            found = ScanResult.decode(plain, name)
        except (ValueError, IntegrityError) as error:
            what = error.what if isinstance(error, AirgapError) else str(error)
            raise _verdict_refused("scan-mismatch", self, f"{name}: {what}") from error
        if (found.subject, found.scanner.own_digest) != (scan.subject, scan.scanner):
            what = f"{name} is about {found.subject}, by {found.scanner.name}: the verdict names it for something else"
            raise _verdict_refused("scan-mismatch", self, what)
        return found


def _verdict_refused(code: str, one: Stands, what: str, hint: str = SCAN_AGAIN) -> TrustError:
    return TrustError(code, f"lock {one.lock.name!r}: {what}", hint)


def check_scans(one: Stands, demands: Demands) -> None:
    """Checks a verdict that lets everything pass by the scan results that it names.

    1. It is not older than what this Sovereign allows (`verdict-old`, `database-old`), nor than one about the same lock
       that was accepted before (`verdict-replaced`).
    2. Each item has scans, and their results are here: `scan-missing`, `scan-mismatch`.
    3. What the verdict's own gate says of them is what the verdict says: `verdict-contradicted`.
    4. What this Sovereign requires was looked for, and what it blocks is waived: `not-scanned`, `finding-blocks`.

    Raises `TrustError`.
    """
    limits, gate = demands.limits, one.verdict.gate
    # 1.
    if limits is not None:
        _check_age(one, limits, demands.now)
    _check_earlier(one, demands.earlier)
    if gate is None:
        if limits is not None and limits.scanned:
            what = f"nothing was scanned: its verdict says nothing about findings of scanners, and {_LIMITS}"
            raise _verdict_refused(
                "not-scanned", one, what, "have a policy with `findings` at the station; scan and cut it again"
            )
        return
    scans: dict[Digest, list[Scan]] = {}
    for scan in one.verdict.scans:
        scans.setdefault(scan.subject, []).append(scan)
    for item in one.items:
        about = _Item(one, gate, item, one.verdict.items[item.name])
        for subject in about.subjects():
            # 2.
            found = SubjectScans(subject, item.name, tuple(map(one.result, scans.get(subject, ()))))
            # 3.
            about.check_answers(found)
            # 4.
            if limits is not None:
                about.check_limits(found, limits)


def _check_age(one: Stands, limits: VerdictLimits, now: datetime) -> None:
    age = now - one.signed_at
    if limits.max_age is not None and age > limits.max_age:
        what = (
            f"its verdict was signed at {utc_text(one.signed_at)}, {span_words(age)} ago, and the Trust "
            f"resource allows {span_words(limits.max_age)} (`verdicts.maxAge`)"
        )
        raise ExpiredError("verdict-old", f"lock {one.lock.name!r}: {what}", SCAN_AGAIN)
    for database in _databases(one.verdict):
        most, age = limits.max_age_of(database.name), one.signed_at - database.updated
        if most is not None and (age > most or age < -CLOCK_SKEW):
            what = (
                f"its verdict was signed at {utc_text(one.signed_at)} with the database {database.name} of "
                f"{utc_text(database.updated)}, and the Trust resource allows {span_words(most)} "
                "(`verdicts.databaseMaxAge`)"
            )
            raise _verdict_refused("database-old", one, what, f"pull a newer database at the station, and {SCAN_AGAIN}")


def _check_earlier(one: Stands, earlier: Earlier) -> None:
    """Refuses a verdict in the place of one about the same lock which was signed later, or with newer databases.

    Locks that were promoted from one full lock are the same lock here: each is what passed of it at its time.
    """
    for data in (data for lock in one.lock.pulled_as for data in earlier(lock)):
        before = unverified(data, "a verdict that was accepted before")
        if not isinstance(before.body, Verdict) or before.body.gate is None:
            continue
        why = f"signed at {utc_text(before.signed_at)}" if before.signed_at > one.signed_at else ""
        if one.verdict.gate is None:
            why = "after scans, and this one names none"
        known = {database.name: database.updated for database in _databases(one.verdict)}
        for database in _databases(before.body):
            mine = known.get(database.name)
            if mine is None or mine < database.updated:
                has = "no such database" if mine is None else f"that of {utc_text(mine)}"
                why = why or f"with {database.name} of {utc_text(database.updated)}, and this one has {has}"
        if why:
            what = (
                f"its verdict was signed at {utc_text(one.signed_at)}; one about this lock was accepted before, {why}"
                + ("" if before.subject == one.lock.digest else f" (lock {before.subject}, of the same full lock)")
            )
            raise _verdict_refused("verdict-replaced", one, what, f"take the newer one, or {SCAN_AGAIN}")


def _databases(verdict: Verdict) -> Sequence[Database]:
    return [database for scanner in verdict.scanners for database in scanner.databases]


@dataclass(frozen=True, slots=True)
class _Item:
    """One item, and what the verdict says about it."""

    one: Stands
    gate: Gate
    item: Item
    judged: JudgedItem

    @property
    def names(self) -> RuleNames:
        """Its names, by which rules and waivers match."""
        kind = known_kinds.find(self.item.kind)
        if kind is None:
            raise RuntimeError(f"a lock with kind {self.item.kind!r}")
        return kind.rule_names(self.item)

    def subjects(self) -> Sequence[Digest]:
        """What was scanned of it, as its checks say. What else is in an index is asked when its content is read."""
        checks = self.judged.checks
        found = list(dict.fromkeys(one.subject for one in checks if one.check == SCAN and one.subject is not None))
        index = self.item.root is not None and self.item.root.is_index
        if not found or not (index or self.judged.root in found):
            raise self._contradicted(f"nothing of {self.judged.root}")
        return found

    def check_answers(self, found: SubjectScans) -> None:
        """What the gate says of the results is what the verdict says."""
        for one in answers(self.gate, self.item.kind, self.names, found, self.one.verdict.scanners, None):
            if not one.good and not self._lifted(one.check, found.digest, one.name):
                raise self._contradicted(f"{one.check} of {one.subject}: {one.outcome}: {one.reason}: {one.detail}")

    def check_limits(self, found: SubjectScans, limits: VerdictLimits) -> None:
        """What this Sovereign asks besides."""
        where = f"{self.item.kind} {self.item.name!r}"
        required = limits.required.get(counts_as(self.item.kind, found.results), ())
        missing = sorted(set(required) - looked_for(found.results))
        if missing and not self._lifted(COVERAGE, found.digest, None):
            what = f"{where}: nobody looked for {', '.join(missing)} in {found.digest}, and {_LIMITS}"
            raise _verdict_refused(
                "not-scanned", self.one, what, "have such a scanner at the station; scan and cut it again"
            )
        for finding in (finding for result in found.results for finding in result.findings):
            severity, name = self.gate.severity_of(finding), FindingName.of(finding)
            if limits.forbids(finding, severity) and not self._lifted(finding.kind, found.digest, name):
                place = finding.package or finding.path or found.digest
                what = f"{where}: {finding.kind} {finding.id} ({severity}) in {place}, and {_LIMITS}"
                hint = f"correct the item, or have a waiver of it approved; then {SCAN_AGAIN}"
                raise _verdict_refused("finding-blocks", self.one, what, hint)

    def _lifted(self, check: str, subject: Digest, finding: FindingName | None) -> bool:
        """True if a waiver of the verdict lets it fail, or the verdict says that a VEX document lifted the finding."""
        root, names = self.judged.root, self.names
        if any(waives(waiver, check, subject, finding, root, names) for waiver in self.one.waivers):
            return True
        return finding is not None and any(
            (one.check, one.outcome, one.subject, one.finding) == (check, YES, subject, finding) and bool(one.vex)
            for one in self.judged.checks
        )

    def _contradicted(self, what: str) -> TrustError:
        return _verdict_refused(
            "verdict-contradicted",
            self.one,
            f"{self.item.kind} {self.item.name!r}: the verdict lets it pass, but its scan results say: {what}",
            "tell the security-officer: the station's verdict does not stand on what it names; have it scanned again",
        )
