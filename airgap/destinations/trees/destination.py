"""Trees at a destination: the two phases, once, for every store of keys and objects.

What differs between S3 and a directory is behind `Objects`; when something becomes visible, what a plan says and
what is refused is decided here. A tree with a pointer lives under a path that is never reused, so its files are
brought in `transfer` and the pointer is written in `publish`. A tree without one has no name but its keys, so its
files are written in `publish`: writing a key is atomic at both destinations, and no store can rename.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Event, Lock
from typing import BinaryIO, Protocol, TypeVar

from airgap.base.digest import CHUNK, Digest
from airgap.base.errors import AbsentError, AirgapError, RaceError, StoreError
from airgap.base.parallel import parallel
from airgap.content.finding import Finding, State
from airgap.content.forms import Change, ChangeOutcome, Tree
from airgap.content.graph import Descriptor, Source
from airgap.content.verified import VerifiedStream
from airgap.destinations.base import Moved, Run
from airgap.destinations.trees.keys import check_keys, conflict

_Thing = TypeVar("_Thing")
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Held:
    """What a key holds now. `version` is the store's own mark of this content (an ETag), `""` where it has none."""

    digest: Digest
    size: int
    version: str = ""


class ObjectBody:
    """The bytes of one object, read from its source as often as asked, hashed in the pass that moves them."""

    def __init__(self, descriptor: Descriptor, opener: Callable[[], BinaryIO], run: Run, stop: Event) -> None:
        self.descriptor = descriptor
        self._opener = opener
        self._run = run
        self._stop = stop
        self._told = 0

    def pieces(self) -> Iterator[memoryview]:
        """The bytes in pieces of up to 1 MiB; a piece is good until the next one is asked for.

        The last piece comes only after size and digest were found right, so whoever sends a body that is short of
        its last piece has sent nothing that a store would keep. Raises `IntegrityError`, or what the source raises.
        """
        self._run.progress.advance(-self._told)
        self._told = 0
        buffer = memoryview(bytearray(min(CHUNK, self.descriptor.size)))
        try:
            with VerifiedStream(self._opener(), self.descriptor) as stream:
                while count := stream.readinto(buffer):
                    if self._stop.is_set():
                        raise StoreError("interrupted", f"{self.descriptor.digest}: stopped")
                    self._tell(count)
                    yield buffer[:count]
        except OSError as error:
            raise StoreError("cannot-read", f"{self.descriptor.digest}: {error}") from error

    def _tell(self, count: int) -> None:
        self._told += count
        self._run.progress.advance(count)


class Objects(Protocol):
    """A store of objects under keys, in buckets. Each write is atomic."""

    def bucket(self, name: str) -> str:
        """The bucket for a tree's `bucket`. Raises `InputError` (`no-mapping`)."""

    def ready(self, bucket: str) -> None:
        """Raises `InputError` or `UpstreamError` unless the bucket is there and may be used. Never makes one."""

    def look(self, bucket: str, key: str, *, deep: bool = False) -> Held | None:
        """What the key holds, `None` for nothing. `deep` reads the object and hashes it."""

    def in_the_way(self, bucket: str, key: str) -> str:
        """Another key there that is a prefix of `key` as a folder, or the reverse; `""` for none."""

    def write(self, bucket: str, key: str, body: ObjectBody, replaces: Held | None) -> None:
        """Writes an object whole or not at all, and reads back what the store made of it.

        Raises `UpstreamError` (`changed-meanwhile`) when the key does not hold `replaces` any more.
        """

    def keys(self, bucket: str, prefix: str) -> Iterable[str]:
        """All keys below a prefix, which ends in a slash."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One object of a tree: where it goes and what it holds."""

    item: str
    bucket: str
    prefix: str
    name: str
    descriptor: Descriptor
    source: Source | None
    """Where its content is read from; `None` for a pointer, whose content is `opener`'s alone."""
    opener: Callable[[], BinaryIO]
    late: bool = False
    """True for a tree without a pointer: its files are names themselves, and written in `publish`."""

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
    """A `Destination` for trees over any `Objects`. One `Change` for each object, the pointer's last."""

    form = "tree"
    plan_suffices = False

    def __init__(self, url: str, objects: Objects, run: Run) -> None:
        self.url = url
        self._objects = objects
        self._run = run
        self._stop = Event()

    def check(self, trees: Sequence[Tree]) -> None:
        """`check_keys` with this destination's buckets."""
        check_keys(trees, self._objects.bucket)

    def expected(self, tree: Tree) -> Sequence[Change]:
        """See `Destination.expected`: asks whether the bucket may be used, and looks at no object."""
        return [Change(one.item, one.at, one.name, str(one.descriptor.digest)) for one in self._checked(tree)]

    def plan(self, tree: Tree) -> Sequence[Change]:
        """See `Destination.plan`. A key that holds other content is `moved`, with the digest that it holds."""
        return self._each(self._planned, self._checked(tree))

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
            return change
        change = replace(change, previous=str(held.digest))
        if _same(held, line):
            return replace(change, outcome=ChangeOutcome.PRESENT)
        if self._run.add_only:
            return replace(
                change, outcome=ChangeOutcome.REFUSED, reason="--restore adds content and never moves a name"
            )
        return replace(change, outcome=ChangeOutcome.MOVED)

    def announce(self, trees: Sequence[Tree]) -> int:
        """See `Destination.announce`."""
        return sum(blob.size for tree in trees for blob in tree.blobs())

    def transfer(self, trees: Sequence[Tree]) -> Mapping[str, AirgapError]:
        """See `Destination.transfer`. A key that holds other content is left for `publish`, which has the plan."""
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
        """Writes a file whose time has come; false when its source lacks what is needed now or in `publish`."""
        if line.late and line.at_hand:
            return True
        held = self._objects.look(line.bucket, line.key, deep=self._run.deep)
        if held is not None and _same(held, line):
            if not line.late:
                self._run.progress.advance(line.descriptor.size)
            return True
        if not line.at_hand:
            return False
        if held is None:
            self._write(line, None)
        return True

    def _write(self, line: _Line, replaces: Held | None) -> None:
        body = ObjectBody(line.descriptor, line.opener, self._run, self._stop)
        self._objects.write(line.bucket, line.key, body, replaces)

    def moved(self, _tree: Tree) -> Moved:
        """See `Destination.moved`: what is sent to keys is not counted."""
        return Moved()

    def publish(self, tree: Tree, plan: Sequence[Change]) -> Sequence[Change]:
        """See `Destination.publish`. A line that fails says so in its outcome; the pointer then stays as it was."""
        lines = {(line.at, line.name): line for line in self._lines(tree)}
        planned = [(lines[change.at, change.name], change) for change in plan]
        brought = tree.pointer is not None

        def settle(pair: tuple[_Line, Change]) -> Change:
            return self._settle(*pair, count=not brought)

        done = list(self._each(settle, [pair for pair in planned if not pair[0].is_pointer]))
        broken = sum(change.outcome not in (ChangeOutcome.WRITTEN, ChangeOutcome.PRESENT) for change in done)
        for line, change in planned:
            if line.is_pointer and broken:
                reason = f"not written: {broken} of the tree's files are not in place"
                done.append(replace(change, outcome=ChangeOutcome.FAILED, reason=reason))
            elif line.is_pointer:
                done.append(self._settle(line, change, count=True))
        return tuple(done)

    def _settle(self, line: _Line, change: Change, *, count: bool) -> Change:
        """Makes one line true. `count` tells progress of content that was found present."""
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
                    "someone else writes there; run the import again",
                    side="destination",
                )
            self._write(line, held)
        except AirgapError as error:
            return replace(change, outcome=ChangeOutcome.FAILED, reason=str(error))
        return replace(change, outcome=ChangeOutcome.WRITTEN)

    def inspect(self, changes: Sequence[Change], *, deep: bool) -> Sequence[Finding]:
        """See `Destination.inspect`. Every object is read and hashed: each key has bytes of its own, so `deep`
        finds no more. What was refused was not promised, so it is only known by name. A bucket's root is shared by
        many items, and nothing in it is too much."""
        asked = [change for change in changes if change.outcome is not ChangeOutcome.REFUSED]
        return (*self._each(self._inspected, asked), *self._extras(changes))

    def _inspected(self, change: Change) -> Finding:
        bucket, _, prefix = change.at.partition("/")
        key = f"{prefix}/{change.name}" if prefix else change.name
        finding = Finding(change.item, change.at, change.name, State.GOOD, change.digest)
        try:
            held = self._objects.look(bucket, key, deep=True)
        except AirgapError as error:
            return replace(finding, state=State.UNKNOWN, detail=str(error))
        if held is None:
            return replace(finding, state=State.MISSING)
        state = State.GOOD if held.digest == change.digest else State.CHANGED
        return replace(finding, state=state, got=str(held.digest))

    def _extras(self, changes: Sequence[Change]) -> Sequence[Finding]:
        """What lies below the prefixes of these lines and is named by none of them."""
        named: dict[str, set[str]] = {}
        owner: dict[str, str] = {}
        for at, name in self._run.ours:  # other deliveries of ours have receipts of their own
            named.setdefault(at, set()).add(name)
        for change in changes:
            if "/" in change.at:
                named.setdefault(change.at, set()).add(change.name)
                owner.setdefault(change.at, change.item)
        found = []
        for at, names in sorted(named.items()):
            if at not in owner:
                continue
            bucket, _, prefix = at.partition("/")
            try:
                there = {key.removeprefix(f"{prefix}/") for key in self._objects.keys(bucket, f"{prefix}/")}
            except AirgapError as error:
                found.append(Finding(owner[at], at, "", State.UNKNOWN, detail=str(error)))
                continue
            found += [Finding(owner[at], at, name, State.EXTRA) for name in sorted(there - names)]
        return found

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
        """`work` for all things, in order. An exception or Ctrl-C stops the bodies that are under way."""
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


def _opener(tree: Tree, descriptor: Descriptor) -> Callable[[], BinaryIO]:
    return lambda: tree.source.open(descriptor)


def _bytes_opener(data: bytes) -> Callable[[], BinaryIO]:
    return lambda: io.BytesIO(data)


def _same(held: Held, line: _Line) -> bool:
    return held.digest == line.descriptor.digest and held.size == line.descriptor.size
