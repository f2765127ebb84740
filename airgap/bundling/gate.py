"""The gate before a delivery: checks the statements in the store's records about the content that will cross.

The far side refuses content that fails here, and cannot repair it. The decision belongs to the far side: it knows whose
signatures count. Here, the signers of the records are not checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from airgap.base.digest import Digest, is_digest
from airgap.base.errors import AirgapError, InputError, PolicyError, StoreError
from airgap.base.inputs import read_input
from airgap.base.times import CLOCK_SKEW, utc_text
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.content.lock_finding import CHECK
from airgap.content.promotion import difference
from airgap.resources.waiver import Waiver
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE
from airgap.statements.predicates import Predicate, Pull
from airgap.statements.statement import Statement
from airgap.statements.trust import unverified
from airgap.statements.verdict import Objection, Verdict, finding_objection, objection
from airgap.station.files import Records, made_of
from airgap.station.scans import ScanRecords

B = TypeVar("B", bound=Predicate)
_AGAIN = {"pull": "run `airgap pull` again with --key", "verdict": "run `airgap scan` again"}


def full_lock(lock: Lock, records: Records) -> Lock | None:
    """The lock from which a lock was promoted, compared with it; `None` for one that was not promoted.

    Raises `InputError` (`full-lock-missing`, `promotion-mismatch`), `StoreError`.
    """
    if lock.promoted_from is None:
        return None
    full = records.lock(lock.promoted_from)
    again = "promote the full lock again: `airgap scan LOCK --promote FILE`"
    if full is None:
        what = f"lock {lock.name!r} was promoted from {lock.promoted_from}, which the store's records do not contain"
        raise InputError("full-lock-missing", what, again)
    if wrong := difference(lock, full):
        raise InputError("promotion-mismatch", f"lock {lock.name!r}: {wrong}", again)
    return full


def check_pulled(locks: Sequence[Lock], roots: Mapping[str, Digest], records: Records) -> None:
    """Checks that the newest pull statements in the store say that every root in the store was fetched and passed.

    `roots` are the roots in the store of what will be carried, by item name. A lock without a statement passes: only
    the Trust resource knows whether it must have one. Raises `PolicyError` (`pull-incomplete`), `StoreError`, and as
    `full_lock`.
    """
    for lock in locks:
        full_lock(lock, records)
        body = recorded(records, lock, Pull)
        if body is None:
            continue
        for item in _carried(lock, roots):
            said = body.items.get(item.name)
            if said is None or said.outcome != "pass":
                why = "nothing" if said is None else f"{said.outcome}: {said.reason or 'no reason'}"
                hint = "correct it at its origin or in the request, run `airgap lock` again, and pull with --key"
            elif said.root != roots[item.name]:
                why, hint = f"{said.root}, but the store has {roots[item.name]}", _AGAIN["pull"]
            else:
                continue
            raise PolicyError(
                "pull-incomplete",
                f"lock {lock.name!r}: {item.kind} {item.name!r}: the pull statement says {why}",
                hint,
            )


def check_scanned(
    locks: Sequence[Lock],
    roots: Mapping[str, Digest],
    records: Records,
    now: datetime,
    *,
    demanded: bool,
) -> None:
    """Checks that the newest verdicts in the store let every item pass, with the roots that are in the store.

    With `demanded`, each lock must have a verdict. An expired waiver blocks the delivery, even if it was valid when the
    verdict was signed. Raises `PolicyError` (`not-scanned`, `verdict-failed`, `verdict-mismatch`, `waiver-expired`, and
    `waiver-missing`, `vex-missing`, `report-missing`, `scan-missing`, `sbom-missing`), `StoreError`. A verdict that
    is older than the pull counts as none; one about a promoted lock, only until its full lock is judged again.
    """
    for lock in locks:
        body = recorded(records, lock, Verdict)
        if body is None:
            if demanded:
                raise PolicyError(
                    "not-scanned",
                    f"lock {lock.name!r} has not been scanned; bundling with a station key, or from a store that "
                    "contains verdicts, requires a verdict",
                    "run `airgap scan` with this lock; to send it unscanned to another station, add --unscanned",
                )
            continue
        for item in _carried(lock, roots):
            found = objection(body, item, roots[item.name])
            if found is not None:
                raise PolicyError(
                    found.code,
                    f"lock {lock.name!r}: {item.kind} {item.name!r}: {found.what}",
                    "correct what the verdict names, or have it waived, then run `airgap scan` again"
                    if found.code == "verdict-failed"
                    else _AGAIN["verdict"],
                )
        lacking = finding_objection(body, lock)
        if lacking is not None:
            hint = f"have a waiver approved that accepts it, then {_AGAIN['verdict']} with --waiver"
            raise PolicyError(lacking.code, f"lock {lock.name!r}: {lacking.what}", hint)
        _check_full(lock, roots, records)
        _check_needed(lock, body, records, now)
        judged, pulled = _recorded(records, lock, Verdict), _recorded(records, lock, Pull)
        if judged is not None and pulled is not None and judged.signed_at + CLOCK_SKEW < pulled.signed_at:
            raise PolicyError(
                "not-scanned",
                f"lock {lock.name!r} was pulled at {utc_text(pulled.signed_at)}, but its verdict is older, of "
                f"{utc_text(judged.signed_at)}",
                _AGAIN["verdict"],
            )


def check_findings(
    locks: Sequence[Lock], records: Records, waivers: Sequence[Waiver], now: datetime, *, unscanned: bool
) -> None:
    """Checks that waivers accept what locks without a verdict lack of their requests.

    A verdict says it of its lock (`check_scanned`). With `unscanned`, a station will judge it. Raises `PolicyError`
    (`finding-not-waived`), `StoreError`.
    """
    for lock in locks:
        if unscanned or recorded(records, lock, Verdict) is not None:
            continue
        for finding in lock.findings:
            if not any(one.covers(CHECK, finding.digest) and not one.expired(now) for one in waivers):
                raise PolicyError(
                    "finding-not-waived",
                    f"lock {lock.name!r} lacks something, and no waiver accepts it: {finding.item}: {finding.detail} "
                    f"[{finding.code}], finding {finding.digest}",
                    "have a Waiver approved with `checks: [finding]` and this digest, and pass it with --waiver; "
                    "or correct the request, and lock it again without --partial",
                )


def _carried(lock: Lock, roots: Mapping[str, Digest]) -> list[Item]:
    """The items of a lock that will be carried: with `bundle --only`, not all of them."""
    return [item for item in lock.items if item.name in roots]


def _check_full(lock: Lock, roots: Mapping[str, Digest], records: Records) -> None:
    """Checks that no later verdict about the full lock refuses what a lock was promoted with, or to go on in part."""
    full, mine = full_lock(lock, records), _recorded(records, lock, Verdict)
    later = None if full is None else _recorded(records, full, Verdict)
    if mine is None or later is None or later.signed_at < mine.signed_at or not isinstance(later.body, Verdict):
        return
    partial = later.body.gate is not None and later.body.gate.partial
    found = next(filter(None, (objection(later.body, item, roots[item.name]) for item in _carried(lock, roots))), None)
    if found is None and not partial:
        found = Objection("verdict-failed", "its policy allows no partial deliveries (findings.partial: true)")
    if found is not None:
        raise PolicyError(
            found.code,
            f"lock {lock.name!r} was promoted at {utc_text(mine.signed_at)}; its full lock was judged again at "
            f"{utc_text(later.signed_at)}: {found.what}",
            "promote the full lock again: `airgap scan LOCK --promote FILE`",
        )


def _check_needed(lock: Lock, body: Verdict, records: Records, now: datetime) -> None:
    """Checks that the records contain all that a verdict needs, and that it is valid."""
    for waiver in body.waivers:
        if now >= waiver.expires:
            raise PolicyError(
                "waiver-expired",
                f"lock {lock.name!r}: its verdict needs waiver {waiver.digest}, which expired at "
                f"{utc_text(waiver.expires)}",
                f"have a longer waiver approved, or remove the need for it; then {_AGAIN['verdict']}",
            )
        there = records.waiver(waiver.digest), records.statement("approval", waiver.digest)
        if None in there:
            raise PolicyError(
                "waiver-missing",
                f"lock {lock.name!r}: the store's records no longer contain waiver {waiver.digest} or its approval",
                _AGAIN["verdict"],
            )
    for document in body.vex:
        if records.vex(document.digest) is None:
            raise PolicyError(
                "vex-missing",
                f"lock {lock.name!r}: the store's records no longer contain the OpenVEX document {document.digest}",
                f"{_AGAIN['verdict']}, with --vex",
            )
    for report in body.reports:
        if records.report(report.digest) is None:
            raise PolicyError(
                "report-missing",
                f"lock {lock.name!r}: the store's records no longer contain the report about {report.subject}",
                f"{_AGAIN['verdict']}, with --reports",
            )
    if body.scans:
        _check_scans(lock, body, ScanRecords(records.folder))


def _check_scans(lock: Lock, body: Verdict, scans: ScanRecords) -> None:
    """Checks that the records contain the results that a verdict names, and the SBOMs that these name."""
    for scan in body.scans:
        found, lost = scans.named(scan), f"lock {lock.name!r}: the store's records no longer contain"
        if found is None:
            what = f"{lost} the scan result {scan.result} about {scan.subject}"
            raise PolicyError("scan-missing", what, _AGAIN["verdict"])
        if found[1] is not None and scans.sbom(found[1]) is None:
            raise PolicyError("sbom-missing", f"{lost} the SBOM {found[1]} of {scan.subject}", _AGAIN["verdict"])


def recorded(records: Records, lock: Lock, kind: type[B]) -> B | None:
    """The body of the newest statement of a kind about a lock, if the records have one.

    Raises `StoreError` (`bad-statement`) if it cannot be read or is about something else.
    """
    found = _recorded(records, lock, kind)
    return found.body if found is not None and isinstance(found.body, kind) else None


def kept_verdicts(records: Records) -> Iterator[tuple[Statement, Verdict, Lock | None, bytes]]:
    """All verdicts of a station, earlier ones too, with its lock (`None` if that is lost) and its file.

    Raises `StoreError` (`bad-statement`): one that cannot be read may stop something.
    """
    for path in made_of(records.folder, Verdict.kind):
        subject = path.name.removeprefix(f"{Verdict.kind}-").partition(".")[0]
        if is_digest(f"sha256:{subject}"):
            data = read_input(path, MAX_EVIDENCE_BUNDLE, "bad-statement")
            try:
                found = _read(data, Digest(f"sha256:{subject}"), Verdict)
            except StoreError as error:
                raise error.with_hint(
                    f"restore {path} from a backup, or move it away and scan its lock again"
                ) from error
            if isinstance(found.body, Verdict):
                yield found, found.body, records.lock(found.subject), data


def _recorded(records: Records, lock: Lock, kind: type[Predicate]) -> Statement | None:
    for subject in lock.pulled_as if kind is Pull else (lock.digest,):
        data = records.statement(kind.kind, subject)
        if data is not None:
            return _read(data, subject, kind)
    return None


def _read(data: bytes, subject: Digest, kind: type[Predicate]) -> Statement:
    where = f"the {kind.kind} statement in the store, {kind.kind}-{subject.hex}.sigstore.json"
    try:
        found = unverified(data, where)
    except AirgapError as error:
        raise StoreError("bad-statement", f"{where}: {error.what}", _AGAIN[kind.kind]) from error
    if not isinstance(found.body, kind) or found.subject != subject:
        what = f"a {found.kind} statement about {found.subject}"
        raise StoreError("bad-statement", f"{where}: {what}", _AGAIN[kind.kind])
    return found
