"""The statements about a lock that acceptance requires before the lock's items are let in: pull, verdict, waivers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from airgap.acceptance.scans import SCAN_AGAIN, Demands, Stands, check_scans
from airgap.base.digest import Digest
from airgap.base.errors import InputError, TrustError
from airgap.base.times import utc_text
from airgap.content import known_kinds
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.content.lock_finding import CHECK
from airgap.resources.load import load_waiver
from airgap.resources.waiver import MAX_WAIVER, Waiver
from airgap.signatures.scanner_report import Report
from airgap.statements.predicates import Pull
from airgap.statements.scan_answers import SCAN_CHECKS, waives
from airgap.statements.statement import Statement
from airgap.statements.verdict import WAIVED, CheckResult, Verdict, allows, finding_objection, objection


@dataclass(frozen=True, slots=True)
class EvidenceFiles:
    """What a delivery carries besides statements; what a trusted statement names of it counts."""

    roots: Mapping[str, Digest] = field(hash=False)
    """Those of the delivery, by item name."""
    waivers: Mapping[Digest, bytes] = field(hash=False)
    """Files by their digest."""
    reports: Mapping[Digest, bytes] = field(hash=False)
    """Files by their digest."""
    scans: Mapping[str, bytes] = field(hash=False)
    """Scan results and SBOMs, by their names in the evidence."""
    only: bool = False
    """True if the delivery brings only some items of its locks: those of `roots`."""

    def brought(self, lock: Lock) -> Sequence[Item]:
        """The items of a lock that have to be good, because the delivery brings them."""
        return [item for item in lock.items if item.name in self.roots] if self.only else lock.items


def check_pull(lock: Lock, statements: Sequence[Statement], carried: EvidenceFiles) -> None:
    """Checks that the newest pull statement, if there is one, says that the root of every item was fetched.

    `statements` are newest first. Raises `TrustError` (`pull-incomplete`).
    """
    for body in (one.body for one in statements[:1] if isinstance(one.body, Pull)):
        for item in carried.brought(lock):
            pulled = body.items.get(item.name)
            good = pulled is not None and pulled.outcome == "pass" and pulled.root is not None
            root = None if pulled is None else pulled.root
            if not good or (item.root is not None and root != item.root.digest):
                said = "nothing" if pulled is None else f"{pulled.outcome}, {pulled.root}"
                raise TrustError(
                    "pull-incomplete",
                    f"lock {lock.name!r}: {item.kind} {item.name!r}: the pull statement says {said}",
                    "run `airgap pull` again with this lock, then have the delivery cut again",
                )


def check_verdict(
    lock: Lock,
    statements: Sequence[Statement],
    carried: EvidenceFiles,
    approved: Callable[[Digest], None],
    demands: Demands,
) -> None:
    """Checks that the newest verdict, if there is one, lets every item of the lock in.

    `statements` are newest first; `approved` raises an error unless a trusted security-officer signed a waiver.

    1. Each item has a judgement that says pass, and each of its checks passed or is lifted by a waiver, as is each
       finding of the lock: `verdict-failed`.
    2. The judgement is about the root that the lock has and the delivery contains: `verdict-mismatch`.
    3. Each waiver that it names is in the evidence (`waiver-missing`), is approved (`waiver-unapproved`), was valid
       when the verdict was signed (`waiver-expired`), and applies to those checks of those items (`waiver-mismatch`).
    4. It stands on the scan results that it names, and they meet what is asked here (`check_scans`).

    Raises `TrustError`. If two verdicts claim the same second, both must pass, because it is unknown which is newer.
    """
    for statement in statements:
        if statement.signed_at < statements[0].signed_at:
            break
        body = statement.body
        if not isinstance(body, Verdict):
            continue
        for item in carried.brought(lock):
            # 1. and 2.
            found = objection(body, item, carried.roots.get(item.name))
            if found is not None:
                raise TrustError(
                    found.code,
                    f"lock {lock.name!r}: {item.kind} {item.name!r}: {found.what}",
                    SCAN_AGAIN,
                )
        lacking = finding_objection(body, lock)
        if lacking is not None:
            raise TrustError(lacking.code, f"lock {lock.name!r}: {lacking.what}", SCAN_AGAIN)
        # 3.
        used = _check_waivers(lock, body, statement.signed_at, carried, approved)
        # 4.
        check_scans(Stands(lock, body, statement.signed_at, used, carried.scans, carried.brought(lock)), demands)


def _check_waivers(
    lock: Lock,
    verdict: Verdict,
    signed_at: datetime,
    carried: EvidenceFiles,
    approved: Callable[[Digest], None],
) -> Sequence[Waiver]:
    """The waivers that a verdict names, each of which applies to what the verdict says of it."""
    found: dict[Digest, Waiver] = {}
    for used in verdict.waivers:
        data = carried.waivers.get(used.digest)
        if data is None:
            raise _waiver_refused(
                "waiver-missing", used.digest, ("the verdict names it, but the evidence does not contain it")
            )
        # Do not parse a file before a trusted role has signed it.
        approved(used.digest)
        waiver = found[used.digest] = read_waiver(data)
        if waiver.expired(signed_at):
            what = f"it expired at {utc_text(waiver.expires)}, before the verdict was signed at {utc_text(signed_at)}"
            raise _waiver_refused("waiver-expired", used.digest, what)
        if waiver.expires.replace(microsecond=0) != used.expires:
            what = (
                f"the verdict says that it expires at {utc_text(used.expires)}, but the waiver says "
                f"{utc_text(waiver.expires)}"
            )
            raise _waiver_refused("waiver-mismatch", used.digest, what)
    for item in carried.brought(lock):
        for check in verdict.items[item.name].checks:
            _check_covered(check, f"{item.kind} {item.name!r}", found, verdict.items[item.name].root, item)
    for check in verdict.findings:
        _check_covered(check, f"lock {lock.name!r}", found)
    return tuple(found.values())


def _check_covered(
    check: CheckResult, of: str, found: Mapping[Digest, Waiver], root: Digest | None = None, item: Item | None = None
) -> None:
    if check.outcome != WAIVED or check.waiver is None:
        return
    waiver, kind = found[check.waiver], None if item is None else known_kinds.find(item.kind)
    if check.subject is None:
        good = False
    elif item is not None and kind is not None and check.check in SCAN_CHECKS:
        good = waives(waiver, check.check, check.subject, check.finding, root, kind.rule_names(item))
    else:
        good = waiver.covers(check.check, check.subject)
    if not good:
        raise _waiver_refused("waiver-mismatch", check.waiver, f"it does not waive the check {check.check!r} of {of}")


def check_findings(
    lock: Lock,
    files: Mapping[Digest, bytes],
    approved: Callable[[Digest], None],
    created: datetime,
    verdicts: Sequence[Statement] = (),
    *,
    partial: bool = True,
) -> None:
    """Checks that waivers in the evidence accept everything that a lock lacks of its request, verdict or not.

    `files` are waivers by their digest. One counts if it is approved (`approved` raises an error otherwise) and was
    valid when the delivery was `created`. What a promoted lock left out needs none if the newest of `verdicts` allows
    that, and this Sovereign too (`partial`). Raises `TrustError` (`finding-not-waived`).
    """
    newest = [one.body for one in verdicts if one.signed_at == verdicts[0].signed_at]
    bodies = [one for one in newest if isinstance(one, Verdict)]
    counting, refused = list[Waiver](), list[str]()
    for digest, data in files.items() if lock.findings else ():
        try:
            approved(digest)
        except TrustError as error:
            refused.append(error.what)
            continue
        waiver = read_waiver(data)
        if not waiver.expired(created):
            counting.append(waiver)
    for finding in lock.findings:
        allowed = bool(bodies) and all(allows(one, finding) for one in bodies)
        if allowed and partial:
            continue
        if not any(one.covers(CHECK, finding.digest) for one in counting):
            why = "".join(f"; {one}" for one in refused[:1])
            if allowed:
                why += "; the station's policy lets the rest pass, and the Trust resource does not (`verdicts.partial`)"
            raise TrustError(
                "finding-not-waived",
                f"lock {lock.name!r} lacks something, and no waiver in the delivery accepts it: {finding.item}: "
                f"{finding.detail} [{finding.code}], finding {finding.digest}{why}",
                "have a waiver of this finding approved, and the delivery cut again with it; at the station that will "
                "scan it, `airgap import --store` lets it in",
            )


def check_vex(lock: Lock, statements: Sequence[Statement], files: Mapping[Digest, bytes]) -> None:
    """Checks that the OpenVEX documents are there that the newest verdicts of a lock name.

    The station verified who signed them, and the verdict says it. `statements` are newest first. Raises `TrustError`
    (`vex-missing`).
    """
    bodies = [one.body for one in statements if one.signed_at == statements[0].signed_at]
    for named in (one for body in bodies if isinstance(body, Verdict) for one in body.vex):
        if named.digest not in files:
            raise TrustError(
                "vex-missing",
                f"lock {lock.name!r}: the verdict lets findings pass by the OpenVEX document {named.digest}, but the "
                "evidence does not contain it",
                f"{SCAN_AGAIN}; the document may have been removed on the way",
            )


def carried_reports(lock: Lock, statements: Sequence[Statement], files: Mapping[Digest, bytes]) -> Iterator[Report]:
    """The scanner reports that verdicts about a lock name, those of the newest verdict last.

    `statements` are newest first. A file is parsed only if a trusted verdict named its digest. Raises `TrustError`
    (`report-missing`, `bad-report`).
    """
    bodies = [one.body for one in statements if one.signed_at == statements[0].signed_at]
    for named in (one for body in bodies if isinstance(body, Verdict) for one in body.reports):
        data = files.get(named.digest)
        if data is None:
            raise TrustError(
                "report-missing",
                f"lock {lock.name!r}: the verdict names report {named.digest} about {named.subject}, but the "
                "evidence does not contain it",
                f"{SCAN_AGAIN}; the report may have been removed on the way",
            )
        yield Report.read(named.subject, data, f"reports/{named.digest.hex}.json")


def read_waiver(data: bytes) -> Waiver:
    """Parses a waiver from the evidence. Raises `TrustError` (`bad-waiver`)."""
    digest = Digest.of(data)
    if len(data) > MAX_WAIVER:
        raise _waiver_refused("bad-waiver", digest, f"got {len(data)} bytes, expected at most {MAX_WAIVER}")
    try:
        return load_waiver(data, label=f"waivers/{digest.hex}.yaml")
    except InputError as error:
        raise _waiver_refused("bad-waiver", digest, error.what) from error


def _waiver_refused(code: str, waiver: Digest, what: str) -> TrustError:
    return TrustError(code, f"waiver {waiver}: {what}", SCAN_AGAIN)
