"""`VerifiedStream`: a blob that is hashed while it is read. Nobody gets its end unless it is the right one."""

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
    """The bytes of `stream`, which are to be the blob `descriptor`, from its beginning on.

    The last piece is given out only after size and digest were found right. So who sends a blob, or writes one, never
    finishes a wrong one: a receiver that counts bytes is short of some. Reading raises `IntegrityError`, or what the
    stream raises; closing closes the stream.
    """

    def __init__(self, stream: BinaryIO, descriptor: Descriptor) -> None:
        super().__init__()
        self._stream = stream
        self._descriptor = descriptor
        self._hasher = hashlib.sha256()
        self._size = 0
        self._whole = False

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fills `buffer` by one read; returns how many bytes, 0 at the end."""
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
        """Closes what it reads from."""
        if not self.closed:
            self._stream.close()
        super().close()

    def _check(self) -> None:
        """A byte more than there should be is looked for, and never given out."""
        more = len(self._stream.read(1)) if self._size == self._descriptor.size else 0
        check_sum(self._descriptor, Digest.from_hash(self._hasher), self._size + more)
        self._whole = True


def verified(stream: BinaryIO, descriptor: Descriptor) -> BinaryIO:
    """`stream` as a `VerifiedStream`, for who wants a `BinaryIO`."""
    return cast("BinaryIO", VerifiedStream(stream, descriptor))
