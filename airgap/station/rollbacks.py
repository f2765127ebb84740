"""What a rollback of one delivery would do, by the receipts alone; and what receipts say after a rollback."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from airgap.base.digest import Digest
from airgap.content.forms import Change, ChangeOutcome
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.predicates import Placed
from airgap.statements.trust import VerifiedStatement
from airgap.station.names import Written
from airgap.station.receipts import DONE, PUT, placed_of

FOREIGN = (
    "no receipt of another delivery lists what it held before, so nobody approved that: pass the receipt with "
    "--earlier, or set the name by hand if that is meant"
)


@dataclass(slots=True)
class Undo:
    """What the receipts of one delivery say about one destination."""

    url: str
    form: str
    lines: list[Change] = field(default_factory=list)
    """Names that the delivery moved: `digest` is what each held before, `previous` what the delivery gave it. Refused
    lines cannot go back, whatever the destination says."""
    stays: list[Change] = field(default_factory=list)
    """Names that were new with the delivery: only `airgap prune` deletes."""
    unmoved: list[Change] = field(default_factory=list)
    """Names that held the delivery's content before it came."""
    known: Sequence[Change] = ()
    """Every line that other deliveries have in place at this destination."""


def undo(
    delivery: Digest,
    ours: Sequence[VerifiedStatement],
    others: Sequence[VerifiedStatement],
    written: Written,
    accepted: AcceptedState,
    undone: Collection[Digest] = (),
) -> list[Undo]:
    """What a rollback of the delivery has to do. `ours` are its receipts, from the oldest to the newest.

    `undone` are the deliveries that were rolled back before.
    """
    known: dict[tuple[str, str], list[Change]] = {}
    for part in (part for one in others for part in placed_of(one)):
        known.setdefault((part.url, part.form), []).extend(line for line in part.items if line.outcome in DONE)
    first, last = dict[tuple[str, str, str, str], Change](), dict[tuple[str, str, str, str], Change]()
    for part in (part for one in ours for part in placed_of(one)):
        for line in part.items:
            if line.outcome in PUT and _is_name(part.form, line):
                place = (part.url, part.form, line.at, line.name)
                last[place] = line
                if line.outcome is not ChangeOutcome.PRESENT:
                    first.setdefault(place, line)
    later = _later(delivery, others, accepted, undone)
    brought = {(*place, line.at, line.name, line.digest) for place, lines in known.items() for line in lines}
    made: dict[tuple[str, str], Undo] = {}
    for place, line in last.items():
        url, form, at, name = place
        one = made.setdefault((url, form), Undo(url, form, known=known.get((url, form), ())))
        wrote = first.get(place)
        if wrote is None or wrote.previous == line.digest:
            one.unmoved.append(replace(line, outcome=ChangeOutcome.PRESENT, reason=""))
        elif not wrote.previous:
            one.stays.append(
                replace(line, previous="", outcome=ChangeOutcome.STAYS, reason="it was new; nothing is deleted")
            )
        else:
            back = replace(line, digest=wrote.previous, previous=line.digest, outcome=ChangeOutcome.MOVED, reason="")
            foreign = "" if (*place, back.digest) in brought else FOREIGN
            held = written.holder((url, at, name), delivery, accepted) or later.get(place, "")
            why = held or foreign
            one.lines.append(back.refused(why) if why else back)
    return list(made.values())


def _later(
    delivery: Digest, others: Sequence[VerifiedStatement], accepted: AcceptedState, undone: Collection[Digest]
) -> dict[tuple[str, str, str, str], str]:
    """The names that a delivery accepted later has in place, by its receipt, and which: names.json may be lost."""
    order = {one.digest: at for at, one in enumerate(accepted.deliveries)}
    mine = order.get(delivery, len(order))
    found = {}
    for one in others:
        subject = one.statement.subject
        if subject in undone or order.get(subject, -1) <= mine:
            continue
        which = accepted.deliveries[order[subject]]
        for part in placed_of(one):
            for line in part.items:
                if line.outcome in PUT:
                    what = f"delivery {which.sequence} of stream {which.stream!r} has this name in place"
                    found[part.url, part.form, line.at, line.name] = what
    return found


def after(receipt: VerifiedStatement, rollbacks: Iterable[VerifiedStatement]) -> tuple[Placed, ...]:
    """What a receipt says as it is since the later of `rollbacks` that are about the same delivery."""
    held: dict[tuple[str, str, str], str] = {}
    for one in rollbacks:
        same = one.statement.subject == receipt.statement.subject
        if same and one.statement.signed_at >= receipt.statement.signed_at:
            held |= {
                (part.url, line.at, line.name): line.digest
                for part in placed_of(one)
                for line in part.items
                if line.outcome in DONE
            }
    return tuple(
        replace(
            part,
            items=tuple(
                replace(line, digest=held.get((part.url, line.at, line.name), line.digest))
                if line.signs is None and line.name
                else line
                for line in part.items
            ),
        )
        for part in placed_of(receipt)
    )


def _is_name(form: str, line: Change) -> bool:
    """True for what can hold other content: no signature of ours, nothing under its digest, no file of a revision."""
    if line.signs is not None or not line.name or line.digest.rpartition(":")[2] in line.name:
        return False
    return form != "tree" or "/" not in line.at
