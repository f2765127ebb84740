"""`copy_graph`: the one mover. Walks to the leaves, skips per blob, children before parents; names are the caller's.

Blobs are handled by digest over all copies of a run: one that several items or repositories need is read once and,
within a registry, mounted from the first repository into the others.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar

from airgap.digest import Digest
from airgap.errors import AirgapError, StoreError
from airgap.graph import Descriptor, Node, Opener, Outcome, Source, Target, walk
from airgap.progress import Progress, Silent

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Copy:
    """One graph that shall be at one target.

    `peer` and `repository` name the registry and the repository within it (for mounts), `""` for other stores.
    `keep` chooses among an index's children, as for `airgap.graph.walk`.
    """

    item: str
    source: Source
    target: Target
    root: Descriptor
    keep: Callable[[Node, Descriptor], bool] | None = None
    peer: str = ""
    repository: str = ""


@dataclass(slots=True)
class Copied:
    """What became of one `Copy`: every digest with its outcome, or the first error."""

    copy: Copy
    outcomes: dict[Digest, Outcome] = field(default_factory=dict)
    bytes: int = 0
    written: int = 0
    error: AirgapError | None = None
    nodes: list[Node] = field(default_factory=list)
    leaves: list[Descriptor] = field(default_factory=list)


class _Meter:
    """Counts what a blob's streams deliver, so that progress is right also when a blob is begun again."""

    def __init__(
        self, opener: Opener, descriptor: Descriptor, progress: Progress, stop: threading.Event
    ) -> None:
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
            raise StoreError(
                "stopped", f"{self._descriptor.digest}: stopped because another part failed"
            )
        self._at += number
        self._progress.advance(number)

    def finish(self) -> None:
        self.move(self._descriptor.size)


class _Metered(io.RawIOBase):
    """A stream that tells its meter what it gave."""

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
    copies: Sequence[Copy], *, jobs: int = 4, progress: Progress | None = None
) -> list[Copied]:
    """Makes every graph whole at its target; returns one `Copied` for each copy, in their order.

    A failed copy does not stop the others, but a failing disk of ours (`StoreError`) stops them all and is raised.
    Nothing is published: that is the caller's last step, for the copies that have no error.
    """
    run = _Run(progress or Silent(), jobs)
    with ThreadPoolExecutor(jobs, "copy") as pool:
        try:
            return run.all(pool, copies)
        except BaseException:
            run.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _Run:
    def __init__(self, progress: Progress, jobs: int) -> None:
        self.progress, self.jobs = progress, jobs
        self.stop = threading.Event()

    def all(self, pool: ThreadPoolExecutor, copies: Sequence[Copy]) -> list[Copied]:
        results = [Copied(copy) for copy in copies]
        # 1. Walk every graph to its leaves; nodes are read once and kept (each at most 4 MiB).
        self._each(pool, self._walk, results)
        # 2. Leaves, each digest once, in the order of their first use.
        wanted: dict[Digest, tuple[Descriptor, list[Copied]]] = {}
        for result in results:
            for leaf in result.leaves:
                wanted.setdefault(leaf.digest, (leaf, []))[1].append(result)
        self._each(pool, self._leaf, list(wanted.values()))
        # 3. Nodes, children before parents; copies do not wait for each other.
        self._each(pool, self._nodes, results)
        return results

    def _each(
        self, pool: ThreadPoolExecutor, work: Callable[[_T], None], things: Iterable[_T]
    ) -> None:
        futures: list[Future[None]] = [pool.submit(work, thing) for thing in things]
        finished, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in finished:
            future.result()

    def _walk(self, result: Copied) -> None:
        copy = result.copy
        try:
            for found in walk(copy.source, copy.root, copy.keep):
                if isinstance(found, Node):
                    result.nodes.append(found)
                else:
                    result.leaves.append(found)
        except StoreError:
            raise
        except AirgapError as error:
            result.error = error

    def _leaf(self, wanted: tuple[Descriptor, list[Copied]]) -> None:
        descriptor, results = wanted
        results = [result for result in results if result.error is None]
        here: dict[str, list[str]] = {}
        missing = []
        for result in results:
            if result.copy.target.has(descriptor):
                self._account(result, descriptor, Outcome.PRESENT)
                here.setdefault(result.copy.peer, []).append(result.copy.repository)
            else:
                missing.append(result)
        if results and not missing:
            self.progress.advance(descriptor.size)
        counted = False
        for result in missing:
            copy = result.copy
            progress = Silent() if counted else self.progress
            meter = _Meter(_opener(copy.source, descriptor), descriptor, progress, self.stop)
            try:
                outcome = copy.target.put(
                    descriptor, meter, tuple(here.get(copy.peer, ())) if copy.peer else ()
                )
            except StoreError:
                raise
            except AirgapError as error:
                result.error = error
                continue
            meter.finish()
            counted = True
            self._account(result, descriptor, outcome)
            here.setdefault(copy.peer, []).append(copy.repository)

    def _nodes(self, result: Copied) -> None:
        if result.error is not None:
            return
        try:
            for node in result.nodes:
                outcome = result.copy.target.put(node.descriptor, _bytes_opener(node.data))
                self._account(result, node.descriptor, outcome)
                self.progress.advance(node.descriptor.size)
        except StoreError:
            raise
        except AirgapError as error:
            result.error = error

    def _account(self, result: Copied, descriptor: Descriptor, outcome: Outcome) -> None:
        result.outcomes[descriptor.digest] = outcome
        result.bytes += descriptor.size
        if outcome is Outcome.WRITTEN:
            result.written += descriptor.size


def _opener(source: Source, descriptor: Descriptor) -> Opener:
    return lambda offset: source.open(descriptor, offset)


def _bytes_opener(data: bytes) -> Opener:
    return lambda offset: io.BytesIO(data[offset:])
