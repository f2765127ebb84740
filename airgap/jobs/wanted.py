"""`bundle --want`: exactly what the Sovereign says that an earlier delivery lacks inside, and nothing that it has."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from airgap.base.amounts import count, human
from airgap.base.digest import Digest
from airgap.base.errors import InputError, TrustError
from airgap.base.times import utc_text
from airgap.bundling.baselines import KnownInside
from airgap.content.lock import Lock
from airgap.delivery.index import Index
from airgap.delivery.journey import Baseline
from airgap.jobs.baselines import Baselines, brought, locks_of
from airgap.jobs.cut_records import cut_index
from airgap.jobs.receiving_side import Receiver, check_audience
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.trust import VerifiedStatement
from airgap.statements.want import Want
from airgap.station import receipts
from airgap.station.files import Records
from airgap.store.layout import Layout


@dataclass(frozen=True, slots=True)
class Wanted:
    """A want list, with the delivery that it is about."""

    verified: VerifiedStatement
    body: Want
    index: Index
    """Of the delivery."""
    locks: tuple[Lock, ...]
    """Of the delivery."""

    def added_to(self, known: Baselines, layout: Layout) -> Baselines:
        """What its items have inside, besides what is `known`: all but what it lists, whatever a baseline says of that.

        It rests on the delivery that was accepted last, by the list: the baselines of the delivery may be lost.
        """
        wanted, contents = {one.digest for one in self.body.blobs}, self.index.contents
        base = None if self.body.base is None else Baseline(self.body.base, (Digest.of(self.verified.raw),))
        proven = {digest: one for digest, one in known.proven.items() if digest not in wanted}
        for item, digest in brought(self.index, self.locks, (), layout):
            if digest in wanted or base is None:
                continue
            left = contents.omitted.get(digest)
            proven[digest] = KnownInside(base, item if left is None else left.item)
        note = (
            f"by the want list of {utc_text(self.verified.statement.signed_at)}, which lacks "
            f"{count(len(wanted), 'blob')} ({human(self.body.size)}): delivery {self.body.sequence} of stream "
            f"{self.body.stream!r}"
        )
        return Baselines(proven, known.receipts, (*known.notes, note))


def read_wanted(path: Path, who: Sequence[Receiver], given: Sequence[Lock], records: Records, now: datetime) -> Wanted:
    """Reads a want list that a Sovereign signed about a delivery that was cut here. `given` are the locks, if named.

    Who names the locks says that these are to count, whatever was cut since. Raises `InputError` (`usage`, `no-trust`,
    `no-receipt`, `not-cut-here`, `no-such-item`, `list-outdated`), `TrustError`, `IntegrityError`.
    """
    if len(who) > 1:
        raise InputError("usage", "bundle: --want is for one Sovereign", "name that one with --for")
    [one] = who
    if one.trust is None:
        raise InputError("no-trust", "--want requires --trust, to check who signed the list", "use --trust FILE")
    state = AcceptedState(one.sovereign)
    verified = receipts.read(path, one.trust, now, lambda: state, (Want.kind,))
    body, subject = verified.statement.body, verified.statement.subject
    if not isinstance(body, Want):
        raise TypeError("not a want list")
    if body.sovereign != one.sovereign:
        what = f"{path}: it is by {body.sovereign!r}, but this delivery is for {one.sovereign!r}"
        raise TrustError("wrong-sovereign", what, "correct --for")
    index = cut_index(subject, records)
    locks = () if index is None else locks_of(index, records)
    if index is None or not locks:
        raise InputError(
            "not-cut-here",
            f"{path}: the records of this store do not contain the delivery {subject}, or not its locks",
            "use the store that it was cut from; or cut a full delivery",
        )
    check_audience(index, one.sovereign, path)
    if given and {lock.digest for lock in given} != set(index.contents.locks):
        what = f"bundle: {path} is about a delivery of other locks: {', '.join(index.contents.locks)}"
        raise InputError("usage", what, "name no lock: those of the delivery are in the store's records")
    odd = set(body.items) - {root.item for root in index.contents.roots}
    if odd:
        what = f"{path}: it wants {min(odd)!r:.200}, which the delivery does not have"
        raise InputError("no-such-item", what, "have the list made again")
    if not given:
        _check_newest(path, verified.statement.subject, index, body, records)
    return Wanted(verified, body, index, locks)


def _check_newest(path: Path, subject: Digest, index: Index, body: Want, records: Records) -> None:
    """Checks that nothing else was cut for the items since: what is cut last is what their names hold inside.

    Raises `InputError` (`list-outdated`).
    """
    roots = {root.item: root.digest for root in index.contents.roots if root.item in body.items}
    for digest in records.cuts(index.journey.sovereign, index.journey.stream):
        if digest == subject:
            return
        later = None
        with suppress(InputError):  # of an encrypted one, what is inside may not be known any more
            later = cut_index(digest, records)
        for root in later.contents.roots if later is not None else ():
            if later is not None and roots.pop(root.item, root.digest) != root.digest:
                raise InputError(
                    "list-outdated",
                    f"{path}: it is about delivery {body.sequence}, and delivery {later.journey.sequence} of stream "
                    f"{body.stream!r} has another {root.item!r}: what is cut by the list would take its place inside",
                    "have the list made of the later delivery (`airgap want`); or cut the newest lock. If the earlier "
                    "content is to count again, name its locks, too",
                )
