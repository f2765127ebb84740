"""`VerifiedStream`: a blob that is hashed while it is read. Its last bytes are returned only if it is correct."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, BinaryIO, cast

from airgap.base.digest import Digest
from airgap.base.streams import read_into
from airgap.content.graph import Descriptor, check_sum

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class VerifiedStream(io.RawIOBase):
    """The bytes of `stream`, which must be the blob `descriptor` from its beginning.

    The last piece is returned only after size and digest are verified. Therefore a sender or writer never completes a
    wrong blob: a receiver that counts bytes does not get enough. Reading raises `IntegrityError`, or the stream's
    error; closing closes the stream.
    """

    def __init__(self, stream: BinaryIO, descriptor: Descriptor) -> None:
        super().__init__()
        self._stream = stream
        self._descriptor = descriptor
        self._hasher = hashlib.sha256()
        self._size = 0
        self._whole = False

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Reads once into `buffer`; returns the number of bytes, 0 at the end."""
        if self._whole:
            return 0
        view = memoryview(buffer).cast("B")
        count = read_into(self._stream, view)
        self._hasher.update(view[:count])
        self._size += count
        if (view and not count) or self._size >= self._descriptor.size:
            self._check()
        return count

    def close(self) -> None:
        """Closes the underlying stream."""
        if not self.closed:
            self._stream.close()
        super().close()

    def _check(self) -> None:
        """Looks for one extra byte, which is never returned, and verifies size and digest."""
        more = len(self._stream.read(1)) if self._size == self._descriptor.size else 0
        check_sum(self._descriptor, Digest.from_hash(self._hasher), self._size + more)
        self._whole = True


def verified(stream: BinaryIO, descriptor: Descriptor) -> BinaryIO:
    """Wraps `stream` in a `VerifiedStream`, typed as a `BinaryIO`."""
    return cast("BinaryIO", VerifiedStream(stream, descriptor))
