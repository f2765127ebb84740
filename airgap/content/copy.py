"""`copy_graph`: the only code that copies content. Copies children before parents, skips blobs that are present.

Names are the caller's task. Blobs are handled by digest over all copies of a run: a blob that several items or
repositories need is read once, sent to all registries in the same pass and, within a registry, mounted from the first
repository into the others.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar

from airgap.base.digest import Digest
from airgap.base.errors import AbsentError, AirgapError, StoppedError, StoreError, UnreachableError
from airgap.base.progress import Progress, Silent
from airgap.content.fanout import Fanout, FanoutReader
from airgap.content.graph import Descriptor, Keep, Node, Opener, PutResult, Source, Target, walk

_T = TypeVar("_T")
Holders = Callable[[str, Descriptor], Sequence[str]]
"""`(peer, leaf)` → repositories of that registry from which the leaf can be mounted, besides those of the copies."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One graph to copy to one target.

    `peer` and `repository` name the registry and the repository in it (for mounts); both are `""` for other stores.
    `keep` selects children of an index, as for `airgap.content.graph.walk`. With `partial` the source may lack some
    leaves for now, and is asked before each leaf is sent; everything else is copied, and the error is an `AbsentError`.
    """

    item: str
    source: Source
    target: Target
    root: Descriptor
    keep: Keep | None = None
    peer: str = ""
    repository: str = ""
    partial: bool = False


@dataclass(slots=True)
class Copied:
    """The result of one `Copy`: every digest with its outcome, or the first error."""

    copy: Copy
    outcomes: dict[Digest, PutResult] = field(default_factory=dict)
    bytes: int = 0
    written: int = 0
    error: AirgapError | None = None
    lacking: list[Digest] = field(default_factory=list)
    """Leaves that the target lacks, and the source lacks for now."""
    nodes: list[Node] = field(default_factory=list)
    leaves: list[Descriptor] = field(default_factory=list)


class _Meter:
    """Counts the bytes that a blob's streams deliver, so that progress stays right if a blob starts again."""

    def __init__(self, opener: Opener, descriptor: Descriptor, progress: Progress, stop: threading.Event) -> None:
        self._opener, self._descriptor, self._progress, self.stop = (
            opener,
            descriptor,
            progress,
            stop,
        )
        self._at = 0

    def __call__(self, offset: int) -> BinaryIO:
        self.move(offset)
        return _Metered(self._opener(offset), self)  # type: ignore[return-value]

    def move(self, position: int) -> None:
        self._progress.advance(position - self._at)
        self._at = position

    def count(self, number: int) -> None:
        if self.stop.is_set():
            raise StoreError("stopped", f"{self._descriptor.digest}: stopped because another part failed")
        self._at += number
        self._progress.advance(number)


class _Metered(io.RawIOBase):
    """A stream that reports every read to its meter."""

    def __init__(self, stream: BinaryIO, meter: _Meter) -> None:
        super().__init__()
        self._stream, self._meter = stream, meter
        self._readinto = stream.readinto  # type: ignore[attr-defined]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        count: int = self._readinto(buffer) or 0
        self._meter.count(count)
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


def copy_graph(
    copies: Sequence[Copy], *, jobs: int = 4, progress: Progress | None = None, holders: Holders | None = None
) -> list[Copied]:
    """Copies every graph completely to its target; returns one `Copied` for each copy, in their order.

    A failed copy does not stop the others. When a registry cannot be reached any more, all of its copies fail at once.
    A failure of the local disk (`StoreError`) and the end of the time (`StoppedError`) stop everything and are raised.
    Content that was put is durable on return. Nothing is published: the caller does that as the last step, for the
    copies without an error.
    """
    # A thread for each further registry of each blob: the passes over one blob run in parallel.
    registries = len({copy.peer for copy in copies})
    pools = (
        ThreadPoolExecutor(jobs, "copy"),
        ThreadPoolExecutor(max(1, jobs * (registries - 1)), "peer"),
    )
    run = _Run(progress or Silent(), *pools, holders)
    wait_for_threads = True
    try:
        return run.all(copies)
    except BaseException as error:
        run.stop.set()
        # After Ctrl-C, do not wait for a server's answer; everything on disk is crash-safe.
        wait_for_threads = not isinstance(error, KeyboardInterrupt)
        raise
    finally:
        for pool in pools:
            pool.shutdown(wait=wait_for_threads, cancel_futures=True)


@dataclass(slots=True)
class _Lane:
    """One registry's share of a leaf: the repositories that have it, and the copies that lack it."""

    here: list[str] = field(default_factory=list)
    missing: list[Copied] = field(default_factory=list)


class _Run:
    def __init__(
        self, progress: Progress, pool: ThreadPoolExecutor, peers: ThreadPoolExecutor, holders: Holders | None
    ) -> None:
        self.progress, self.pool, self.peers, self.holders = progress, pool, peers, holders
        self.stop = threading.Event()
        self.gone: dict[str, AirgapError] = {}
        """Registries that cannot be reached any more, and why. Their other copies fail without waiting again."""

    def all(self, copies: Sequence[Copy]) -> list[Copied]:
        results = [Copied(copy) for copy in copies]
        # 1. Walk every graph to its leaves; nodes are read once and kept (each at most 4 MiB).
        self._each(self._walk, results)
        # 2. Leaves, each digest once, in the order of their first use.
        wanted: dict[Digest, tuple[Descriptor, list[Copied]]] = {}
        for result in results:
            for leaf in result.leaves:
                wanted.setdefault(leaf.digest, (leaf, []))[1].append(result)
        nodes = sum(node.descriptor.size for result in results for node in result.nodes)
        self.progress.grow(nodes + sum(leaf.size for leaf, _ in wanted.values()))
        for target, leaves in self._by_target(results).values():
            target.check_room(leaves.values())
        self._each(self._leaf, list(wanted.values()))
        for result in results:
            if result.lacking:
                result.error = result.error or AbsentError(result.lacking)
        # 3. Nodes, children before parents; copies do not wait for each other.
        self._each(self._nodes, results)
        for target, _ in self._by_target(results).values():
            target.settle()
        return results

    def _by_target(self, results: Sequence[Copied]) -> dict[int, tuple[Target, dict[Digest, Descriptor]]]:
        """Each target with the leaves that it needs, each leaf once."""
        targets: dict[int, tuple[Target, dict[Digest, Descriptor]]] = {}
        for result in results:
            target = result.copy.target
            leaves = targets.setdefault(id(target), (target, {}))[1]
            leaves.update((leaf.digest, leaf) for leaf in result.leaves)
        return targets

    def _each(self, work: Callable[[_T], None], things: Iterable[_T]) -> None:
        futures: list[Future[None]] = [self.pool.submit(work, thing) for thing in things]
        finished, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in finished:
            future.result()

    def _walk(self, result: Copied) -> None:
        copy = result.copy
        with self._errors(result):
            for found in walk(copy.source, copy.root, copy.keep):
                if isinstance(found, Node):
                    result.nodes.append(found)
                else:
                    result.leaves.append(found)

    @contextmanager
    def _errors(self, result: Copied) -> Iterator[None]:
        """Records an error for its copy, and for a registry that is unreachable. A local disk error ends the run."""
        peer = result.copy.peer
        try:
            yield
        except (StoreError, StoppedError):
            raise
        except AirgapError as error:
            result.error = error
            if peer and isinstance(error, UnreachableError):
                self.gone.setdefault(peer, error)

    def _leaf(self, wanted: tuple[Descriptor, list[Copied]]) -> None:
        descriptor, results = wanted
        lanes: dict[str, _Lane] = {}
        for result in results:
            if result.error is None:
                self._look(descriptor, result, lanes.setdefault(result.copy.peer, _Lane()))
        waiting = [lane for lane in lanes.values() if lane.missing]
        if not waiting:
            if any(lane.here for lane in lanes.values()):
                self.progress.advance(descriptor.size)
            return
        source = waiting[0].missing[0].copy.source
        meter = _Meter(_opener(source, descriptor), descriptor, self.progress, self.stop)
        if len(waiting) == 1:
            self._send(descriptor, waiting[0], meter)
        else:
            self._send_all(descriptor, waiting, meter)
        meter.move(descriptor.size if any(lane.here for lane in lanes.values()) else 0)

    def _look(self, descriptor: Descriptor, result: Copied, lane: _Lane) -> None:
        """Adds a copy to its registry's lane: it has the leaf, or it lacks the leaf and the source has it."""
        copy = result.copy
        if copy.peer in self.gone:
            result.error = self.gone[copy.peer]
            return
        with self._errors(result):
            at_hand = not copy.partial or copy.source.has(descriptor)
            asked = not (at_hand and copy.target.asks(descriptor))
            if asked and copy.target.has(descriptor):
                self._account(result, descriptor, PutResult.PRESENT)
                lane.here.append(copy.repository)
            elif not at_hand:
                result.lacking.append(descriptor.digest)
            else:
                lane.missing.append(result)

    def _send_all(self, descriptor: Descriptor, lanes: Sequence[_Lane], opener: Opener) -> None:
        """Sends a leaf to all registries in one pass. The pool has a thread for each, so none waits for another."""
        alone = self._uncounted(lanes[0].missing[0].copy, descriptor)
        with Fanout(opener, alone) as fanout:
            readers = [fanout.reader() for _ in lanes]

            def one(lane: _Lane, reader: FanoutReader) -> None:
                try:
                    self._send(descriptor, lane, reader)
                finally:
                    reader.leave()

            others = [self.peers.submit(one, lane, reader) for lane, reader in zip(lanes[1:], readers[1:], strict=True)]
            try:
                one(lanes[0], readers[0])
            finally:
                wait(others)
            for other in others:
                other.result()

    def _send(self, descriptor: Descriptor, lane: _Lane, opener: Opener) -> None:
        """Puts a leaf into the repositories of one registry: the first receives the bytes, the others mount it."""
        for number, result in enumerate(lane.missing):
            copy = result.copy
            if number:  # the following repositories read from their own source, and are not counted twice
                opener = self._uncounted(copy, descriptor)
            with self._errors(result):
                sources = self._mounts(lane, copy.peer, descriptor)
                outcome = copy.target.put(descriptor, opener, sources)
                self._account(result, descriptor, outcome)
                lane.here.append(copy.repository)

    def _mounts(self, lane: _Lane, peer: str, descriptor: Descriptor) -> Sequence[str]:
        if not peer or lane.here or self.holders is None:
            return tuple(lane.here) if peer else ()
        return self.holders(peer, descriptor)

    def _uncounted(self, copy: Copy, descriptor: Descriptor) -> Opener:
        return _Meter(_opener(copy.source, descriptor), descriptor, Silent(), self.stop)

    def _nodes(self, result: Copied) -> None:
        result.error = result.error or self.gone.get(result.copy.peer)
        if result.error is not None:
            return
        with self._errors(result):
            for node in result.nodes:
                outcome = result.copy.target.put(node.descriptor, _bytes_opener(node.data))
                self._account(result, node.descriptor, outcome)
                self.progress.advance(node.descriptor.size)

    def _account(self, result: Copied, descriptor: Descriptor, outcome: PutResult) -> None:
        result.outcomes[descriptor.digest] = outcome
        result.bytes += descriptor.size
        if outcome is PutResult.WRITTEN:
            result.written += descriptor.size


def _opener(source: Source, descriptor: Descriptor) -> Opener:
    return lambda offset: source.open(descriptor, offset)


def _bytes_opener(data: bytes) -> Opener:
    return lambda offset: io.BytesIO(data[offset:])
