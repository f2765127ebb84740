"""`copy_graph`: each blob is read once, a failure stays with its own copy, and progress ends where it said."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Sequence
from typing import BinaryIO

import pytest

from airgap.base.digest import CHUNK
from airgap.base.errors import AbsentError, StoreError, UnreachableError, UpstreamError
from airgap.base.progress import Silent
from airgap.content.copy import Copy, copy_graph
from airgap.content.graph import OCI_CONFIG, OCI_MANIFEST, Descriptor, Opener, PutResult
from airgap.store.memory import Memory
from tests.worlds.counted import Counted

LAYER = "application/vnd.oci.image.layer.v1.tar"


class Counting(Silent):
    """A progress that adds up."""

    def __init__(self) -> None:
        self.total = self.done_bytes = 0
        self._lock = threading.Lock()

    def grow(self, count: int) -> None:
        with self._lock:
            self.total += count

    def advance(self, count: int) -> None:
        with self._lock:
            self.done_bytes += count


class Dies(Memory):
    """A target that fails at its `after`th write, and answers nothing from then on."""

    def __init__(self, after: int, error: Exception) -> None:
        super().__init__("dies")
        self.after, self.error, self.asked = after, error, 0

    def has(self, descriptor: Descriptor) -> bool:
        self.asked += 1
        if self.after <= 0:
            raise self.error
        return super().has(descriptor)

    def put(self, descriptor: Descriptor, opener: Opener, mount_from: Sequence[str] = ()) -> PutResult:
        self.after -= 1
        if self.after <= 0:
            with opener(0) as stream:
                stream.read(10)
            raise self.error
        return super().put(descriptor, opener, mount_from)


def _image(source: Memory, *layers: bytes) -> Descriptor:
    made = [source.add(LAYER, data) for data in layers]
    config = source.add(OCI_CONFIG, json.dumps({"layers": len(layers)}).encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.as_dict(),
        "layers": [one.as_dict() for one in made],
    }
    return source.add(OCI_MANIFEST, json.dumps(manifest).encode())


def _layers(count: int, size: int = 3 * CHUNK + 11) -> list[bytes]:
    return [bytes([number]) * size for number in range(1, count + 1)]


def test_a_blob_for_three_registries_is_read_once() -> None:
    source, progress = Counted(), Counting()
    root = _image(source, *_layers(4))
    targets = {name: Memory(name) for name in ("one", "two", "three")}
    copies = [Copy("app", source, target, root, peer=name) for name, target in targets.items()]
    results = copy_graph(copies, jobs=3, progress=progress)
    assert all(result.error is None for result in results)
    leaves = {leaf.digest for leaf in results[0].leaves}
    assert {source.opened[digest] for digest in leaves} == {1}
    for target in targets.values():
        assert all(target.has(leaf) for leaf in results[0].leaves)
    assert progress.done_bytes == progress.total > 0


def test_what_one_registry_has_is_sent_to_the_other_alone() -> None:
    source = Counted()
    root = _image(source, *_layers(2))
    full, empty = Memory("full"), Memory("empty")
    copy_graph([Copy("app", source, full, root, peer="full")])
    results = copy_graph([Copy("app", source, t, root, peer=t.name) for t in (full, empty)])
    assert set(results[0].outcomes.values()) == {PutResult.PRESENT}
    assert set(results[1].outcomes.values()) == {PutResult.WRITTEN}


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_registry_that_dies_in_the_middle_does_not_stop_the_other(after: int) -> None:
    source, progress = Counted(), Counting()
    root = _image(source, *_layers(6))
    good, dead = Memory("good"), Dies(after, UpstreamError("upstream-failed", "dead"))
    copies = [Copy("app", source, dead, root, peer="dead"), Copy("app", source, good, root, peer="good")]
    failed, done = copy_graph(copies, jobs=2, progress=progress)
    assert isinstance(failed.error, UpstreamError)
    assert done.error is None
    assert all(good.has(leaf) for leaf in done.leaves)
    assert good.has(root)
    assert not Memory.has(dead, root)


def test_a_registry_that_cannot_be_reached_is_not_asked_for_every_image() -> None:
    source = Counted()
    roots = [_image(source, *_layers(2, 100), bytes([number])) for number in range(50)]
    dead = Dies(0, UnreachableError("unreachable", "no connection"))
    results = copy_graph([Copy(str(n), source, dead, root, peer="dead") for n, root in enumerate(roots)], jobs=2)
    assert {result.error.code for result in results if result.error} == {"unreachable"}
    assert dead.asked <= 2


def test_our_own_disk_ends_the_run() -> None:
    source = Counted()
    root = _image(source, *_layers(6))
    full = Dies(2, StoreError("disk-full", "no space"))
    with pytest.raises(StoreError):
        copy_graph([Copy("app", source, full, root)], jobs=2)


def test_what_is_on_another_disc_is_left_and_the_rest_brought() -> None:
    source = Counted()
    root = _image(source, *_layers(4))
    leaves = copy_graph([Copy("app", source, Memory(), root)])[0].leaves
    source.elsewhere = {leaves[1].digest, leaves[3].digest}
    target = Memory("target")
    [first] = copy_graph([Copy("app", source, target, root, partial=True)])
    assert isinstance(first.error, AbsentError)
    assert set(first.error.digests) == source.elsewhere
    assert [target.has(leaf) for leaf in leaves] == [True, False, True, False, True]
    assert not target.has(root)
    # The other disc, which has nothing but the rest.
    source.elsewhere = {leaves[0].digest, leaves[2].digest, leaves[4].digest}
    [second] = copy_graph([Copy("app", source, target, root, partial=True)])
    assert second.error is None
    assert target.has(root)


def test_the_next_upstream_is_asked_when_the_first_does_not_give_a_shared_layer() -> None:
    layer = _layers(1)[0]
    broken, good = Counted(), Counted()
    one, two = _image(broken, layer), _image(good, layer, b"more")

    def gone(descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        if descriptor.media_type == LAYER:
            raise UpstreamError("upstream-failed", "gone")
        return io.BytesIO(Memory.open(broken, descriptor, offset).read())

    broken.open = gone  # type: ignore[method-assign]
    target = Memory("store")
    first, second = copy_graph([Copy("one", broken, target, one), Copy("two", good, target, two)])
    assert isinstance(first.error, UpstreamError)
    assert second.error is None
    assert target.has(two)
