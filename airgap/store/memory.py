"""A store in memory: for computed graphs (a model's manifest) and for tests of all code above the stores."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO

from airgap.base.digest import Digest
from airgap.base.errors import NotFoundError
from airgap.base.streams import read_limited
from airgap.content.graph import Descriptor, Opener, PutResult, check_bytes


class Memory:
    """A `Target` whose blobs are `bytes`. Thread-safe."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self._blobs: dict[Digest, bytes] = {}
        self._names: dict[str, Descriptor] = {}
        self._lock = threading.Lock()

    def add(self, media_type: str, data: bytes) -> Descriptor:
        """Stores `data`; returns its descriptor."""
        descriptor = Descriptor.of(media_type, data)
        with self._lock:
            self._blobs[descriptor.digest] = data
        return descriptor

    def has(self, descriptor: Descriptor) -> bool:
        """True if the blob is here."""
        return descriptor.digest in self._blobs

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """The blob from `offset` on. Raises `NotFoundError`."""
        data = self._blobs.get(descriptor.digest)
        if data is None:
            raise NotFoundError("blob-missing", f"{self.name}: {descriptor.digest} is missing")
        return io.BytesIO(data[offset:])

    def roots(self) -> Sequence[tuple[str, Descriptor]]:
        """Names in the order in which they were published."""
        return list(self._names.items())

    def asks(self, _descriptor: Descriptor) -> bool:
        """False: `has` costs nothing."""
        return False

    def put(self, descriptor: Descriptor, opener: Opener, mount_from: Sequence[str] = ()) -> PutResult:
        """Verifies and stores a blob. Raises `IntegrityError`."""
        if self.has(descriptor):
            return PutResult.PRESENT
        with opener(0) as stream:
            data = read_limited(stream, descriptor.size + 1)
        check_bytes(descriptor, data)
        with self._lock:
            self._blobs[descriptor.digest] = data
        return PutResult.WRITTEN

    def check_room(self, blobs: Iterable[Descriptor]) -> None:
        """Does nothing: memory does not report its free space."""

    def settle(self) -> None:
        """Does nothing: blobs are visible at once."""

    def publish(self, names: Mapping[str, Descriptor]) -> None:
        """Points names to roots."""
        with self._lock:
            self._names.update(names)
