"""The Trust resource of who will receive what is signed here: what it would refuse is refused before it leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from airgap.acceptance.rehearsal import Next, Rehearsed, check_number, rehearse
from airgap.base.digest import Digest
from airgap.base.errors import InputError, TrustError
from airgap.bundling.bundle import Prepared
from airgap.bundling.evidence import REPORTS, VEX, WAIVERS
from airgap.delivery import tar as tape
from airgap.delivery.files import Listing, read_listing
from airgap.delivery.index import MAX_EVIDENCE
from airgap.jobs.surroundings import Surroundings
from airgap.resources.load import load_trust
from airgap.resources.trust import Trust
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.scans import SBOMS, SCANS
from airgap.statements.trust import VerifiedStatement
from airgap.station import receipts
from airgap.station.files import Records

FOLDER = "trust"
"""The folder of Trust resources in a store's `airgap/`: one file `*.yaml` for each receiving side."""
UNCHECKED = "the name of the Sovereign, what it requires, and whether the signers of pulls and verdicts count there"
"""What nobody checks of a delivery that is cut without a Trust resource."""


def trust_of_receiver(given: Path | None, records: Records, sovereign: str, surroundings: Surroundings) -> Trust | None:
    """The Trust resource of a Sovereign: the one that was `given`, else that in the store; `None` if there is none.

    Raises `TrustError` (`wrong-trust`) if the one that was given, or all that the store has, are for others.
    """
    if given is not None:
        trust = load_trust(given)
        if trust.sovereign != sovereign:
            raise _wrong_trust(given, trust.sovereign, repr(sovereign))
        return trust
    kept = _kept(records)
    for path, trust in kept:
        if trust.sovereign == sovereign:
            surroundings.note(f"note: checked against {path}")
            return trust
    if kept:
        names = ", ".join(sorted({repr(trust.sovereign) for _, trust in kept}))
        raise TrustError(
            "wrong-trust",
            f"{records.folder / FOLDER} has Trust resources for {names}, and none for {sovereign!r}",
            "correct --for; if it is right, put the Trust resource of that Sovereign there, or name it with --trust",
        )
    return None


def _wrong_trust(path: Path, found: str, expected: str) -> TrustError:
    what = f"{path}: the Trust resource is for {found!r}, the delivery for {expected}"
    return TrustError("wrong-trust", what, "pass the Trust resource of the receiving side, or correct --for")


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who will receive a delivery."""

    sovereign: str
    trust: Trust | None
    """Its Trust resource, if it is at hand."""


def receivers(
    sovereigns: Sequence[str], given: Sequence[Path], records: Records, surroundings: Surroundings
) -> tuple[Receiver, ...]:
    """The Sovereigns, each with its Trust resource: one of those `given`, else as `trust_of_receiver`.

    Raises `InputError` (`usage`) if a Sovereign is named twice, and as `trust_of_receiver`.
    """
    twice = next((name for name in sovereigns if sovereigns.count(name) > 1), None)
    if twice is not None:
        raise InputError("usage", f"bundle: --for names {twice!r} twice", "name each Sovereign once")
    at = dict[str, Path]()
    for path in given:
        name = load_trust(path).sovereign
        if name not in sovereigns and len(sovereigns) > 1:
            raise _wrong_trust(path, name, " and ".join(map(repr, sovereigns)))
        if name in at:
            raise InputError("usage", f"bundle: {at[name]} and {path} are both for {name!r}", "pass one --trust for it")
        at[name] = path
    only = given[0] if len(given) == len(sovereigns) == 1 else None
    found = ((name, trust_of_receiver(at.get(name, only), records, name, surroundings)) for name in sovereigns)
    return tuple(Receiver(name, trust) for name, trust in found)


def trust_of_puller(given: Path | None, records: Records, surroundings: Surroundings) -> Trust | None:
    """The Trust resource for a pull: the one that was `given`, else the only one in the store.

    With several there, which one counts is known only when a delivery is cut.
    """
    if given is not None:
        return load_trust(given)
    kept = _kept(records)
    if len(kept) != 1:
        return None
    surroundings.note(f"note: checked against {kept[0][0]}")
    return kept[0][1]


def _kept(records: Records) -> list[tuple[Path, Trust]]:
    return [(path, load_trust(path)) for path in sorted((records.folder / FOLDER).glob("*.yaml"))]


def rehearsal(
    trust: Trust, signer: str, now: datetime, life: timedelta, surroundings: Surroundings
) -> Callable[[Prepared], None]:
    """Checks a delivery that is about to be cut as the receiving side will. `signer` is the id of the key."""

    def check(prepared: Prepared) -> None:
        order = prepared.order
        files = tape.read_archive(prepared.evidence, MAX_EVIDENCE)
        one = Rehearsed(
            sovereign=trust.sovereign,
            stream=order.stream,
            locks=order.locks,
            roots={item.name: root.digest for item, root in prepared.selected.roots},
            statements={name: data for name, data in files.items() if name.startswith("statements/")},
            waivers=[data for name, data in files.items() if name.startswith(WAIVERS)],
            reports=[data for name, data in files.items() if name.startswith((REPORTS, VEX))],
            scans={name: data for name, data in files.items() if name.startswith((SCANS, SBOMS))},
            signer=signer,
            created=now,
            expires=now + life,
            judged=not order.unscanned,
            only=bool(order.only),
        )
        for note in rehearse(one, trust):
            surroundings.note(f"note: {note}")

    return check


def check_receipt(
    path: Path, who: Sequence[Receiver], records: Records, stream: str, now: datetime, flag: str = "--receipt"
) -> list[tuple[Receiver, VerifiedStatement]]:
    """The receivers whose receipt it is: more than one if they have the same key.

    Checks the number of the next delivery by it. Raises `InputError` (`no-trust`, `no-receipt`), `TrustError`.
    """
    found, wrong = list[tuple[Receiver, VerifiedStatement]](), list[TrustError]()
    for one in who:
        if (trust := one.trust) is None:
            continue
        try:
            verified = receipts.read(path, trust, now, lambda: AcceptedState(trust.sovereign))
            _check_audience(path, verified.statement.subject, one, records)
        except TrustError as error:
            wrong.append(error)
            continue
        found.append((one, verified))
    if not found and wrong:
        raise wrong[0]
    if not found:
        raise InputError("no-trust", f"{flag} requires --trust, to check who signed the receipt", "use --trust FILE")
    for one, verified in found:
        last = verified.statement
        number = records.streams().get((one.sovereign, stream), 0) + 1
        said = receipts.receipt_of(verified)
        check_number(Next(stream, number), said, last.subject, last.signed_at, one.sovereign)
    return found


def _check_audience(path: Path, delivery: Digest, one: Receiver, records: Records) -> None:
    """Checks that a delivery was cut for a Sovereign, as far as the records know it. Two may have the same key."""
    cut = records.cut(delivery)
    if cut is not None:
        check_audience(read_listing(cut), one.sovereign, path)


def check_audience(index: Listing, sovereign: str, path: Path) -> None:
    """Checks that what a file is about is a delivery for a Sovereign. Raises `TrustError` (`wrong-sovereign`)."""
    other = index.journey.sovereign
    if other != sovereign:
        what = f"{path}: it is about a delivery for {other!r}, but this one is for {sovereign!r}"
        raise TrustError("wrong-sovereign", what, f"pass what is about a delivery for {sovereign!r}, or correct --for")


def stream_note(records: Records, sovereign: str, stream: str, *, named: bool) -> str:
    """What is new about where a delivery goes, by the counters of the store; `""` if nothing is.

    `named` is true if a Trust resource says the Sovereign's name, too.

    Only the receiving side knows which streams it expects, and a name that is new may be misspelt.
    """
    known = records.streams()
    if (sovereign, stream) in known or not known:
        return ""
    others = sorted({name for name, _ in known})
    if sovereign not in others and named:
        return ""
    if sovereign not in others:
        return (
            f"this is the first delivery for {sovereign!r} from this store; earlier ones were for {', '.join(others)}"
        )
    return (
        f"this is the first delivery of stream {stream!r} for {sovereign!r}: it is accepted if `streams` of the "
        "Sovereign lists it, or if a security-officer approves it (`airgap sign DELIVERY`)"
    )
