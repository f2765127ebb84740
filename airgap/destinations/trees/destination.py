"""Trees at a destination: the two phases, for every store of keys and objects.

`Objects` covers the differences between S3 and a directory. This module decides when content becomes visible, what a
plan contains and what is refused. A tree with a pointer has a path that is never reused, so its files are written in
`transfer` and the pointer in `publish`. A tree without a pointer has no name except its keys, so its files are written
in `publish`: writing a key is atomic at both destinations, and no store can rename.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Event, Lock
from typing import BinaryIO, TypeVar

from airgap.base.errors import AbsentError, AirgapError, RaceError, UpstreamError
from airgap.base.parallel import parallel
from airgap.content.copy import Holders
from airgap.content.finding import Finding, State, because
from airgap.content.forms import Change, ChangeOutcome, Tree
from airgap.content.graph import Descriptor, Source
from airgap.content.removal import NOT_OURS, Removal
from airgap.destinations.base import RESTORE, Inside, Moved, Run, Spot
from airgap.destinations.trees.back import move_pointer, plan_pointer
from airgap.destinations.trees.keys import check_keys, conflict
from airgap.destinations.trees.objects import Held, ObjectBody, Objects
from airgap.destinations.trees.remove import TreeRemover

_Thing = TypeVar("_Thing")
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class _Line:
    """One object of a tree: its key and its content."""

    item: str
    bucket: str
    prefix: str
    name: str
    descriptor: Descriptor
    source: Source | None
    """The source of its content; `None` for a pointer, whose content comes only from `opener`."""
    opener: Callable[[], BinaryIO]
    late: bool = False
    """True for a tree without a pointer: its files are its names, and are written in `publish`."""

    @property
    def is_pointer(self) -> bool:
        return self.source is None

    @property
    def at_hand(self) -> bool:
        return self.source is None or self.source.has(self.descriptor)

    @property
    def at(self) -> str:
        return f"{self.bucket}/{self.prefix}" if self.prefix else self.bucket

    @property
    def key(self) -> str:
        return f"{self.prefix}/{self.name}" if self.prefix else self.name


class TreeDestination:
    """A `Destination` for trees over any `Objects`. One `Change` for each object, that of the pointer last."""

    form = "tree"
    plan_suffices = False

    def __init__(self, url: str, objects: Objects, run: Run) -> None:
        self.url = url
        self._objects = objects
        self._run = run
        self._stop = Event()
        self._replaced = set[tuple[str, str]]()
        self.holders: Holders = _nobody
        """Under which other key an omitted blob is here."""

    def check(self, trees: Sequence[Tree]) -> None:
        """`check_keys` with this destination's buckets."""
        check_keys(trees, self._objects.bucket)

    def expected(self, tree: Tree) -> Sequence[Change]:
        """See `Destination.expected`. Checks that the bucket is usable, and reads no object."""
        return [Change(one.item, one.at, one.name, str(one.descriptor.digest)) for one in self._checked(tree)]

    def plan(self, tree: Tree) -> Sequence[Change]:
        """See `Destination.plan`. A key with other content is `moved`, with the present digest."""
        lines = self._checked(tree)
        changes = self._each(self._planned, lines)
        moved = (line for line, one in zip(lines, changes, strict=True) if one.outcome is ChangeOutcome.MOVED)
        self._replaced |= {(line.bucket, line.key) for line in moved}
        return changes

    def _checked(self, tree: Tree) -> Sequence[_Line]:
        self.check([tree])
        self._objects.ready(self._objects.bucket(tree.bucket))
        return self._lines(tree)

    def _planned(self, line: _Line) -> Change:
        held = self._objects.look(line.bucket, line.key, deep=self._run.deep)
        change = Change(line.item, line.at, line.name, str(line.descriptor.digest))
        if held is None:
            other = self._objects.in_the_way(line.bucket, line.key)
            if other:
                raise conflict(line.item, line.bucket, line.key, other)
            return self._kept(line, change, there=False) or change
        change = replace(change, previous=str(held.digest))
        if _same(held, line):
            return replace(change, outcome=ChangeOutcome.PRESENT)
        return self._kept(line, change, there=True) or replace(change, outcome=ChangeOutcome.MOVED)

    def _kept(self, line: _Line, change: Change, *, there: bool) -> Change | None:
        """The change as refused, if the name must stay as it is. A path that is never reused is no name."""
        named = line.late or line.is_pointer
        if named:
            why = self._run.keeps(change, there=there, file=line.late)
        else:
            why = RESTORE if self._run.add_only and there else ""
        return change.refused(why) if why else None

    def omitted(self, tree: Tree, plan: Sequence[Change]) -> Sequence[tuple[Descriptor, bool]]:
        """See `Destination.omitted`. What the plan found, or leaves as it is, needs nothing."""
        planned = (ChangeOutcome.WRITE, ChangeOutcome.MOVED)
        due = {(change.at, change.name) for change in plan if change.outcome in planned}
        lines = (line for line in self._lines(tree) if line.descriptor.digest in self._run.omitted)
        return [(line.descriptor, (line.at, line.name) not in due) for line in lines if not line.is_pointer]

    def spots(self, blob: Descriptor, _item: str, _ats: Collection[str]) -> Iterator[Spot]:
        """See `Destination.spots`: other keys with the same content, as receipts list them, that no plan replaces."""
        for (at, name), digest in self._run.ours.items():
            if digest == blob.digest:
                bucket, _, prefix = at.partition("/")
                key = f"{prefix}/{name}" if prefix else name
                if (bucket, key) in self._replaced:
                    continue
                held = self._objects.look(bucket, key, deep=self._run.deep)
                if held is not None and (held.digest, held.size) == (blob.digest, blob.size):
                    yield Spot(self.url, f"{bucket}/{key}", partial(self._objects.open, bucket, key))

    def announce(self, trees: Sequence[Tree]) -> int:
        """See `Destination.announce`."""
        return sum(blob.size for tree in trees for blob in tree.blobs())

    def transfer(self, trees: Sequence[Tree]) -> Mapping[str, AirgapError]:
        """See `Destination.transfer`. A key with other content is left to `publish`, which has the plan."""
        self.check(trees)
        failed: dict[str, AirgapError] = {}
        lacking: dict[str, list[str]] = {}
        guard = Lock()

        def bring(line: _Line) -> None:
            if line.item in failed:
                return
            try:
                brought = self._bring(line)
            except AirgapError as error:
                with guard:
                    failed.setdefault(line.item, error)
            else:
                if not brought:
                    with guard:
                        lacking.setdefault(line.item, []).append(line.descriptor.digest)

        lines: list[_Line] = []
        for tree in trees:
            try:
                self._objects.ready(self._objects.bucket(tree.bucket))
            except AirgapError as error:
                failed[tree.item] = error
            else:
                lines += [line for line in self._lines(tree) if not line.is_pointer]
        self._each(bring, lines)
        return {item: AbsentError(digests) for item, digests in lacking.items()} | failed

    def _bring(self, line: _Line) -> bool:
        """Writes a file that is due. False if its source lacks content that is needed now or in `publish`."""
        if line.late and line.at_hand:
            return True
        held = self._objects.look(line.bucket, line.key, deep=self._run.deep)
        if held is not None and _same(held, line):
            if not line.late:
                self._run.progress.advance(line.descriptor.size)
            return True
        if not line.at_hand:
            return False
        if held is None and not self._copied(line):
            self._write(line, self._objects.look(line.bucket, line.key, deep=True))
        return True

    def _copied(self, line: _Line) -> bool:
        """True if the store itself copied an omitted blob from another key."""
        if line.descriptor.digest not in self._run.omitted:
            return False
        for at in self.holders(self.url, line.descriptor):
            bucket, _, key = at.partition("/")
            if self._objects.copy((bucket, key), (line.bucket, line.key), line.descriptor):
                self._run.progress.advance(line.descriptor.size)
                return True
        return False

    def _write(self, line: _Line, replaces: Held | None) -> None:
        body = ObjectBody(line.descriptor, line.opener, self._run, self._stop)
        self._objects.write(line.bucket, line.key, body, replaces)

    def moved(self, _tree: Tree) -> Moved:
        """See `Destination.moved`: bytes sent to keys are not counted."""
        return Moved()

    def publish(self, tree: Tree, plan: Sequence[Change]) -> Sequence[Change]:
        """See `Destination.publish`. A failed line has a failed outcome; the pointer then stays unchanged."""
        lines = {(line.at, line.name): line for line in self._lines(tree)}
        planned = [(lines[change.at, change.name], change) for change in plan]
        brought = tree.pointer is not None

        def settle(pair: tuple[_Line, Change]) -> Change:
            return self._settle(*pair, count=not brought)

        done = list(self._each(settle, [pair for pair in planned if not pair[0].is_pointer]))
        broken = sum(change.outcome not in (ChangeOutcome.WRITTEN, ChangeOutcome.PRESENT) for change in done)
        for line, change in planned:
            if line.is_pointer and broken:
                what = f"{line.item}: {change.name} was not written: {broken} of the tree's files are not in place"
                hint = "correct what the lines of these files say, then run the same command again"
                error = UpstreamError("tree-incomplete", what, hint, side="destination")
                done.append(change.ended(ChangeOutcome.FAILED, error))
            elif line.is_pointer:
                done.append(self._settle(line, change, count=True))
        return tuple(done)

    def _settle(self, line: _Line, change: Change, *, count: bool) -> Change:
        """Brings one line into its expected state. With `count`, progress counts content that is already present."""
        if change.outcome is ChangeOutcome.REFUSED:
            return change
        try:
            held = self._objects.look(line.bucket, line.key, deep=self._run.deep)
            if held is not None and _same(held, line):
                if count:
                    self._run.progress.advance(line.descriptor.size)
                was_there = change.outcome is ChangeOutcome.PRESENT
                return replace(change, outcome=ChangeOutcome.PRESENT if was_there else ChangeOutcome.WRITTEN)
            if held is not None and str(held.digest) != change.previous:
                raise RaceError(
                    "changed-meanwhile",
                    f"{line.bucket}/{line.key}: got {held.digest}, expected {change.previous or 'nothing'} as planned",
                    "another client writes the same key; run the import again",
                    side="destination",
                )
            self._write(line, held)
        except AirgapError as error:
            return change.ended(ChangeOutcome.FAILED, error)
        return replace(change, outcome=ChangeOutcome.WRITTEN)

    def plan_back(self, lines: Sequence[Change], known: Sequence[Change]) -> Sequence[Change]:
        """See `Destination.plan_back`."""
        return self._each(lambda line: plan_pointer(line, known, self._digest), lines)

    def move_back(self, plan: Sequence[Change], known: Sequence[Change]) -> Sequence[Change]:
        """See `Destination.move_back`."""
        return self._each(lambda line: move_pointer(line, known, self._digest, self._replace), plan)

    def _digest(self, bucket: str, key: str) -> str:
        held = self._objects.look(bucket, key)
        return "" if held is None else str(held.digest)

    def _replace(self, bucket: str, key: str, descriptor: Descriptor, opener: Callable[[], BinaryIO]) -> None:
        body = ObjectBody(descriptor, opener, self._run, self._stop)
        self._objects.write(bucket, key, body, self._objects.look(bucket, key))

    def inspect(self, changes: Sequence[Change], *, deep: bool) -> Sequence[Finding]:
        """See `Destination.inspect`. Every object is read and hashed.

        `deep` finds no more, because each key has its own bytes.
        """
        return self._each(self._inspected, changes)

    def _inspected(self, change: Change) -> Finding:
        bucket, _, prefix = change.at.partition("/")
        key = f"{prefix}/{change.name}" if prefix else change.name
        finding = Finding(change.item, change.at, change.name, State.GOOD, change.digest)
        try:
            held = self._objects.look(bucket, key, deep=True)
        except AirgapError as error:
            return replace(finding, state=State.UNKNOWN, detail=because(error))
        if held is None:
            return replace(finding, state=State.MISSING)
        state = State.GOOD if held.digest == change.digest else State.CHANGED
        return replace(finding, state=state, got=str(held.digest))

    def contents(self, _known: Collection[str]) -> Iterator[Inside]:
        """See `Destination.contents`."""
        try:
            for bucket in self._objects.buckets():
                yield from self._bucket(bucket)
        except AirgapError as error:
            yield Inside("", problem=error)

    def _bucket(self, bucket: str) -> Iterator[Inside]:
        try:
            for key in self._objects.keys(bucket):
                yield Inside(bucket, key)
        except AirgapError as error:
            yield Inside(bucket, problem=error)

    def remove(self, lines: Sequence[Removal]) -> Iterator[Removal]:
        """See `Destination.remove`. Every object is read and hashed."""
        try:
            buckets = frozenset(self._objects.buckets())
        except AirgapError as error:
            yield from (line.failed(error) for line in lines)
            return
        remover = TreeRemover(lambda bucket, key: self._objects.look(bucket, key, deep=True), self._objects.delete)
        for line in lines:
            if line.at not in buckets:
                yield line.kept(NOT_OURS)
        yield from remover([line for line in lines if line.at in buckets])

    def address(self, at: str, name: str) -> str:
        """See `Destination.address`."""
        held = self._objects.look(at, name)
        return "" if held is None else str(held.digest)

    def _lines(self, tree: Tree) -> list[_Line]:
        bucket = self._objects.bucket(tree.bucket)
        late = tree.pointer is None
        lines = [
            _Line(tree.item, bucket, tree.prefix, path, one, tree.source, _opener(tree, one), late)
            for path, one in sorted(tree.entries.items())
        ]
        if tree.pointer is not None:
            path, data = tree.pointer
            descriptor = Descriptor.of("text/plain", data)
            lines.append(_Line(tree.item, bucket, "", path, descriptor, None, _bytes_opener(data)))
        return lines

    def _each(self, work: Callable[[_Thing], _Made], things: Sequence[_Thing]) -> Sequence[_Made]:
        """Does `work` for all things, in order. An exception or Ctrl-C stops the bodies in progress."""
        self._stop.clear()

        def guarded(thing: _Thing) -> _Made:
            try:
                return work(thing)
            except BaseException:
                self._stop.set()
                raise

        try:
            return parallel(self._run.jobs, guarded, things, "tree")
        except KeyboardInterrupt:
            self._stop.set()
            raise


def _nobody(_url: str, _blob: Descriptor) -> Sequence[str]:
    return ()


def _opener(tree: Tree, descriptor: Descriptor) -> Callable[[], BinaryIO]:
    return lambda: tree.source.open(descriptor)


def _bytes_opener(data: bytes) -> Callable[[], BinaryIO]:
    return lambda: io.BytesIO(data)


def _same(held: Held, line: _Line) -> bool:
    return held.digest == line.descriptor.digest and held.size == line.descriptor.size
