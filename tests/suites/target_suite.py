"""What every `Target` must do, and above all what it must not.

A store's own test subclasses `TargetSuite` and gives the fixture `reopen`, a factory of handles on
one empty store: each call is a new handle, so that what is checked is what really was stored.
"""

from __future__ import annotations

import io
import json
import random
import threading
from collections.abc import Callable
from typing import BinaryIO

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import IntegrityError, NotFoundError, UpstreamError
from airgap.content.graph import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Opener,
    PutResult,
    Target,
    read_verified,
)

Reopen = Callable[[], Target]
LAYER = "application/vnd.oci.image.layer.v1.tar"
SMALL, LARGE = 1000, (3 << 20) + 17
SIZES = pytest.mark.parametrize("size", [1, SMALL, 1 << 20, LARGE])


def blob(size: int, seed: int = 0) -> tuple[Descriptor, bytes]:
    """Random bytes, the same for the same arguments."""
    data = random.Random(f"{size} {seed}").randbytes(size)
    return Descriptor.of(LAYER, data), data


def opener(data: bytes) -> Opener:
    """Gives `data` from an offset on."""
    return lambda offset: io.BytesIO(data[offset:])


def never(offset: int) -> BinaryIO:
    """For blobs that must not be read."""
    raise AssertionError(f"opened at {offset}, though nothing had to be read")


class Trickle(io.RawIOBase):
    """Gives at most `most` bytes at once, and fails at byte `fail_at`."""

    def __init__(self, data: bytes, most: int = 4096, fail_at: int | None = None) -> None:
        """Over `data`, which begins at the blob's first byte or at an offset."""
        super().__init__()
        self._data = memoryview(data)
        self._most, self._left = most, fail_at

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """A little of it."""
        if self._left == 0:
            raise UpstreamError("connection-lost", "the origin went away")
        count = min(len(buffer), self._most, len(self._data))
        if self._left is not None:
            count = min(count, self._left)
            self._left -= count
        buffer[:count] = self._data[:count]
        self._data = self._data[count:]
        return count


def read_all(target: Target, descriptor: Descriptor, offset: int = 0) -> bytes:
    """Everything from an offset on, over short reads."""
    pieces = []
    with target.open(descriptor, offset) as stream:
        while piece := stream.read(1 << 20):
            pieces.append(piece)
    return b"".join(pieces)


def image(target: Target, seed: int = 0, indent: int | None = None) -> Descriptor:
    """Puts a small image, children first."""
    config, layer = blob(50, seed)[1], blob(SMALL, seed)[1]
    config = json.dumps({"os": "linux", "architecture": "amd64", "seed": seed}).encode()
    parts = [Descriptor.of(OCI_CONFIG, config), Descriptor.of(LAYER, layer)]
    for part, data in zip(parts, (config, layer), strict=True):
        target.put(part, opener(data))
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": parts[0].as_dict(),
        "layers": [parts[1].as_dict()],
    }
    data = json.dumps(document, indent=indent).encode()
    manifest = Descriptor.of(OCI_MANIFEST, data)
    target.put(manifest, opener(data))
    return manifest


class TargetSuite:
    """Inherit from it and give the fixture `reopen`."""

    @pytest.fixture
    def reopen(self) -> Reopen:
        """A factory of handles on one empty store."""
        raise NotImplementedError

    def assert_absent(self, reopen: Reopen, descriptor: Descriptor) -> None:
        """Nothing of it is to be seen, by a handle that knows of nothing."""
        target = reopen()
        assert not target.has(descriptor)
        with pytest.raises(NotFoundError):
            read_all(target, descriptor)

    # --- what it stores --------------------------------------------------------------------

    @pytest.mark.parametrize("size", [0, 1, SMALL, 1 << 20, LARGE])
    def test_what_is_put_can_be_read(self, reopen: Reopen, size: int) -> None:
        descriptor, data = blob(size)
        assert not reopen().has(descriptor)
        assert reopen().put(descriptor, opener(data)) is PutResult.WRITTEN
        assert reopen().has(descriptor)
        assert read_all(reopen(), descriptor) == data

    def test_what_is_there_is_not_read_again(self, reopen: Reopen) -> None:
        descriptor, data = blob(SMALL)
        reopen().put(descriptor, opener(data))
        assert reopen().put(descriptor, never) is PutResult.PRESENT

    @pytest.mark.parametrize("offset", [1, SMALL, LARGE - 1])
    def test_reading_begins_at_any_byte(self, reopen: Reopen, offset: int) -> None:
        descriptor, data = blob(LARGE)
        reopen().put(descriptor, opener(data))
        assert read_all(reopen(), descriptor, offset) == data[offset:]

    def test_a_stream_may_come_in_drops(self, reopen: Reopen) -> None:
        descriptor, data = blob(LARGE)

        def trickle(offset: int) -> BinaryIO:
            return Trickle(data[offset:])  # type: ignore[return-value]

        assert reopen().put(descriptor, trickle) is PutResult.WRITTEN
        assert read_all(reopen(), descriptor) == data

    def test_what_is_missing_is_not_found(self, reopen: Reopen) -> None:
        self.assert_absent(reopen, blob(SMALL)[0])
        absent = Descriptor.of(OCI_MANIFEST, b"{}")
        self.assert_absent(reopen, absent)

    def test_many_may_put_the_same_at_once(self, reopen: Reopen) -> None:
        descriptor, data = blob(LARGE)
        target, outcomes = reopen(), []

        def put() -> None:
            outcomes.append(target.put(descriptor, opener(data)))

        threads = [threading.Thread(target=put) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(outcomes) == 6
        assert set(outcomes) <= {PutResult.WRITTEN, PutResult.PRESENT}
        assert read_all(reopen(), descriptor) == data

    # --- what it refuses -------------------------------------------------------------------

    @SIZES
    @pytest.mark.parametrize("where", [0.0, 0.5, 1.0], ids=["first", "middle", "last"])
    def test_one_flipped_bit_is_refused(self, reopen: Reopen, size: int, where: float) -> None:
        descriptor, data = blob(size)
        wrong = bytearray(data)
        wrong[round(where * (size - 1))] ^= 1
        with pytest.raises(IntegrityError) as caught:
            reopen().put(descriptor, opener(bytes(wrong)))
        assert caught.value.code == "digest-mismatch"
        self.assert_absent(reopen, descriptor)
        self.assert_absent(reopen, Descriptor.of(LAYER, bytes(wrong)))

    @SIZES
    def test_a_short_stream_is_refused(self, reopen: Reopen, size: int) -> None:
        descriptor, data = blob(size)
        with pytest.raises(IntegrityError) as caught:
            reopen().put(descriptor, opener(data[:-1]))
        assert caught.value.code == "truncated"
        self.assert_absent(reopen, descriptor)

    @SIZES
    def test_a_long_stream_is_refused(self, reopen: Reopen, size: int) -> None:
        descriptor, data = blob(size)
        with pytest.raises(IntegrityError) as caught:
            reopen().put(descriptor, opener(data + b"x"))
        assert caught.value.code == "oversized"
        self.assert_absent(reopen, descriptor)

    @pytest.mark.parametrize("delta", [-1, 1])
    def test_a_wrong_size_is_refused_though_the_digest_is_right(self, reopen: Reopen, delta: int) -> None:
        right, data = blob(SMALL)
        wrong = Descriptor(LAYER, right.digest, right.size + delta)
        with pytest.raises(IntegrityError):
            reopen().put(wrong, opener(data))
        self.assert_absent(reopen, right)

    def test_a_manifest_with_other_bytes_is_refused(self, reopen: Reopen) -> None:
        data = b'{"schemaVersion":2,"manifests":[]}'
        descriptor = Descriptor.of(OCI_INDEX, data)
        with pytest.raises(IntegrityError):
            reopen().put(descriptor, opener(data.replace(b"2", b"3")))
        self.assert_absent(reopen, descriptor)

    @pytest.mark.parametrize("size", [SMALL, LARGE])
    @pytest.mark.parametrize("fraction", [0.0, 0.95])
    def test_the_source_may_fail_and_the_next_attempt_succeeds(
        self, reopen: Reopen, size: int, fraction: float
    ) -> None:
        descriptor, data = blob(size)

        def broken(offset: int) -> BinaryIO:
            left = max(int(size * fraction) - offset, 0)
            return Trickle(data[offset:], 100_000, left)  # type: ignore[return-value]

        with pytest.raises(UpstreamError):
            reopen().put(descriptor, broken)
        self.assert_absent(reopen, descriptor)
        assert reopen().put(descriptor, opener(data)) is PutResult.WRITTEN
        assert read_all(reopen(), descriptor) == data

    @SIZES
    def test_after_a_refusal_the_right_bytes_are_taken(self, reopen: Reopen, size: int) -> None:
        descriptor, data = blob(size)
        target = reopen()
        with pytest.raises(IntegrityError):
            target.put(descriptor, opener(bytes(size - 1)))
        assert target.put(descriptor, opener(data)) is PutResult.WRITTEN
        assert read_all(reopen(), descriptor) == data

    # --- names -----------------------------------------------------------------------------

    def test_a_graph_gets_its_name_last(self, reopen: Reopen) -> None:
        target = reopen()
        root = image(target)
        assert dict(reopen().roots()) == {}
        target.publish({"v1": root})
        assert digests(reopen()) == {"v1": root.digest}
        assert Digest.of(read_verified(reopen(), root)) == root.digest

    def test_a_manifest_keeps_its_bytes(self, reopen: Reopen) -> None:
        root = image(reopen(), indent=3)
        assert Digest.of(read_all(reopen(), root)) == root.digest

    def test_a_name_can_move_and_others_stay(self, reopen: Reopen) -> None:
        target = reopen()
        one, two = image(target, 1), image(target, 2)
        target.publish({"v1": one, "v2": one})
        reopen().publish({"v2": two})
        assert digests(reopen()) == {"v1": one.digest, "v2": two.digest}

    def test_publishing_again_changes_nothing(self, reopen: Reopen) -> None:
        target = reopen()
        root = image(target)
        target.publish({"v1": root})
        reopen().publish({"v1": root})
        assert digests(reopen()) == {"v1": root.digest}

    def test_an_index_of_images_can_be_published(self, reopen: Reopen) -> None:
        target = reopen()
        children = [image(target, seed) for seed in (1, 2)]
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [child.as_dict() for child in children],
        }
        data = json.dumps(document).encode()
        root = Descriptor.of(OCI_INDEX, data)
        assert target.put(root, opener(data)) is PutResult.WRITTEN
        target.publish({"all": root})
        assert digests(reopen()) == {"all": root.digest}
        assert read_all(reopen(), root) == data


def digests(target: Target) -> dict[str, Digest]:
    """Names and the digests that they point to."""
    return {name: root.digest for name, root in target.roots()}
