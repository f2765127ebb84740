"""`import`: delivery → Sovereign. Trust first, every blob hashed as it is pushed, names last, a signed receipt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from airgap.destinations.graph import GraphDestination, check_collisions
from airgap.errors import AirgapError, InputError, StoreError
from airgap.forms import Change, Destination, Form, Graph, Tree, Verdict
from airgap.graph import Node, walk
from airgap.progress import Progress
from airgap.stage import receipts
from airgap.stage.accept import Opened
from airgap.stage.destinations import Destinations
from airgap.stage.kinds import kind_of
from airgap.stage.station import Station
from airgap.transfer import Copy, copy_graph
from airgap.trees import check_keys
from airgap.trust.predicates import Receipt
from airgap.trust.state import Standing, StateFile

AnyDestination = GraphDestination | Destination


@dataclass(slots=True)
class Line:
    """One form at one destination: what is planned, and later what came of it."""

    destination: AnyDestination
    form: Form
    changes: Sequence[Change]
    error: AirgapError | None = None


@dataclass(slots=True)
class Imported:
    """What an import did, or with a dry run would do."""

    opened: Opened
    lines: list[Line]
    missing_volumes: list[str] = field(default_factory=list)
    receipt: bytes | None = None

    @property
    def errors(self) -> list[AirgapError]:
        """What failed, in the order of the lines."""
        return [line.error for line in self.lines if line.error is not None]

    @property
    def changes(self) -> list[tuple[str, Change]]:
        """Every change with its destination's URL."""
        return [(line.destination.url, change) for line in self.lines for change in line.changes]


def plan_import(opened: Opened, destinations: Destinations, jobs: int) -> Imported:
    """What an import would do. Writes nothing.

    Raises `InputError` for what has no place or collides, before anything is asked; an unreachable destination is an
    error of its lines.
    """
    forms = []
    for item, root in opened.roots():
        if not opened.volumes.has(root):
            opened.volumes.open(root)  # says which volume is missing
        forms.append(kind_of(item).form(item, root, opened.volumes))
    for form in forms:
        destinations.of(form)
    graphs = [form for form in forms if isinstance(form, Graph)]
    for destination in destinations.graphs:
        check_collisions(destination, graphs)
    check_keys([form for form in forms if isinstance(form, Tree)])
    lines = [Line(one, form, ()) for form in forms for one in destinations.of(form)]
    each(jobs, _plan, lines)
    return Imported(opened, lines, opened.volumes.missing())


def each(jobs: int, work: Callable[[Line], None], lines: Sequence[Line]) -> None:
    """`work` for every line, several at once; an error of the destination becomes the line's."""
    from concurrent.futures import ThreadPoolExecutor

    def guarded(line: Line) -> None:
        if line.error is not None:
            return
        try:
            work(line)
        except (InputError, StoreError):
            raise
        except AirgapError as error:
            line.error = error

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(guarded, lines))


def _plan(line: Line) -> None:
    line.changes = line.destination.plan(line.form)  # type: ignore[arg-type]


def run_import(
    planned: Imported,
    state: StateFile,
    station: Station | None,
    *,
    jobs: int,
    progress: Progress,
) -> Imported:
    """Does what was planned.

    1. Write the acceptance down, before anything becomes visible; 2. bring all content, each blob read once and hashed
    as it goes; 3. stop here while volumes are missing; 4. publish names in one sweep; 5. sign the receipt.
    A destination or an item that fails drops out, the others go on, and the same command finishes it later.
    """
    opened = planned.opened
    # 1. Accepted, durably.
    state.record(opened.admitted.record, restore=opened.admitted.standing is Standing.RESTORE)
    # 2. Content.
    live = [line for line in planned.lines if line.error is None]
    progress.start("import", _total(live, opened), len(live))
    _transfer_graphs(live, jobs, progress)
    _transfer_others(live)
    # 3. Nothing is published while something is not there.
    planned.missing_volumes = opened.volumes.missing()
    if planned.missing_volumes:
        return planned

    # 4. Names.
    def publish(line: Line) -> None:
        line.changes = line.destination.publish(line.form, line.changes)  # type: ignore[arg-type]
        progress.done(
            line.form.item, ", ".join(sorted({str(change.outcome) for change in line.changes}))
        )

    each(jobs, publish, planned.lines)
    # 5. The receipt.
    if station is not None:
        planned.receipt = station.sign(opened.media.digest, _receipt(planned))
    return planned


def _total(lines: Sequence[Line], opened: Opened) -> int:
    sizes: dict[str, int] = {}
    for line in lines:
        if line.form.item not in sizes:
            try:
                sizes[line.form.item] = sum(
                    (found.descriptor if isinstance(found, Node) else found).size
                    for found in walk(opened.volumes, line.form.root)
                )
            except AirgapError:
                sizes[line.form.item] = 0  # the transfer says what is wrong with it
    return sum(sizes.values())


def _transfer_graphs(lines: Sequence[Line], jobs: int, progress: Progress) -> None:
    copies: list[Copy] = []
    owners: list[Line] = []
    for line in lines:
        if isinstance(line.destination, GraphDestination) and isinstance(line.form, Graph):
            made = line.destination.copies(line.form, line.changes)
            copies += made
            owners += [line] * len(made)
    for copied, line in zip(copy_graph(copies, jobs=jobs, progress=progress), owners, strict=True):
        line.error = line.error or copied.error


def _transfer_others(lines: Sequence[Line]) -> None:
    by_destination: dict[int, list[Line]] = {}
    for line in lines:
        if not isinstance(line.destination, GraphDestination):
            by_destination.setdefault(id(line.destination), []).append(line)
    for group in by_destination.values():
        destination = group[0].destination
        if isinstance(destination, GraphDestination):
            continue
        failed = destination.transfer([line.form for line in group])
        for line in group:
            line.error = failed.get(line.form.item)


def _receipt(done: Imported) -> Receipt:
    journey = done.opened.index.journey
    grouped: dict[tuple[str, str], list[Change]] = {}
    for line in done.lines:
        changes = line.changes
        if line.error is not None:
            reason = str(line.error)
            changes = [replace(change, outcome=Verdict.FAILED, reason=reason) for change in changes]
        grouped.setdefault((line.destination.url, line.destination.form), []).extend(changes)
    parts = tuple(receipts.placed(url, form, changes) for (url, form), changes in grouped.items())
    return Receipt(journey.id, journey.stream, journey.sequence, parts)
