"""`AgeFile`: the plain bytes of an age file, at any place, without a plain copy of it.

The payload is a series of chunks of 64 KiB, each encrypted on its own with its number, and the last one with a mark.
So a chunk that was changed, moved, left out or added is found when it is read, and a cut end when the file is opened.
Source: C2SP, age.md, "Payload".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from airgap.base.errors import DamageError, WrongIdentityError
from airgap.delivery.sealing.header import MAX_HEADER, NONCE, derive, file_key, parse_header
from airgap.delivery.sealing.keys import AgeIdentity

PIECE = 64 << 10
"""Plain bytes of a chunk; the last one may have fewer."""
TAG = 16
"""Bytes by which each chunk grows."""
SEALED_PIECE = PIECE + TAG
"""Bytes of a chunk in the file; the last one may have fewer."""
RUN = 16
"""Chunks that are read from the disk at once: 1 MiB."""
_AGAIN = "copy it again from the original medium"


def sealed_size(plain: int, header: int) -> int:
    """The bytes of an age file with `plain` bytes in it, and a header of `header` bytes."""
    return header + NONCE + plain + TAG * max(1, -(-plain // PIECE))


def plain_size(sealed: int, header: int) -> int:
    """The most plain bytes of an age file of at most `sealed` bytes, whose header has at most `header` bytes."""
    payload = sealed - header - NONCE
    return max(0, payload - TAG * max(1, -(-payload // SEALED_PIECE)))


Read = Callable[[int, int], bytes]
"""Reads up to so many bytes of an age file from an offset on. Raises `OSError`."""


class AgeFile:
    """An opened age file, or the part of one that was kept. Any number of threads may read it."""

    def __init__(
        self, read: Read, size: int, name: str, identities: Sequence[AgeIdentity], *, begin: int = 0, whole: bool = True
    ) -> None:
        """Opens the header, and the last chunk of a `whole` file; of others, chunks from number `begin` on are kept.

        `size` is that of the whole file, in bytes. Raises `DamageError` (`bad-seal`), `WrongIdentityError`,
        `OSError`.
        """
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        self.name = name
        self._read = read
        head = read(MAX_HEADER + NONCE, 0)
        header = parse_header(head[:MAX_HEADER], name)
        key = file_key(header, [one.unwrap for one in identities], name)
        if key is None:
            raise WrongIdentityError(
                "wrong-identity",
                f"{name} is encrypted, and not to the key of any identity that was given",
                "pass the identity of this Sovereign with --identity FILE; `airgap keys identity --show FILE` prints "
                "the recipient that belongs to it",
            )
        self.head = head[: header.size + NONCE]
        """The header and the nonce after it."""
        self._first = len(self.head)
        self._kept = begin
        self._cipher = ChaCha20Poly1305(derive(key, head[header.size : header.size + NONCE], b"payload"))
        payload = size - self._first
        self._count = -(-payload // SEALED_PIECE)
        last = payload - (self._count - 1) * SEALED_PIECE
        # Only the one chunk of an empty file is empty.
        if payload < TAG or last < TAG or (last == TAG and self._count > 1):
            raise DamageError("bad-seal", f"{name}: it ends too early", _AGAIN)
        self.size = payload - TAG * self._count
        """Plain bytes."""
        self._recent: tuple[int, bytes] = (-1, b"")
        self._lock = threading.Lock()
        if whole:
            self._chunk(self._count - 1)  # the mark of the end is in it

    def readinto(self, into: memoryview, offset: int) -> int:
        """Fills `into` with the plain bytes from `offset` on, as far as is convenient; returns their number.

        It is 0 at the end only. Raises `DamageError` (`bad-seal`), `OSError`.
        """
        number, skip = divmod(offset, PIECE)
        want = min(len(into), self.size - offset)
        if want <= 0:
            return 0
        if skip or want < PIECE:
            piece = memoryview(self._chunk(number))[skip : skip + want]
            into[: len(piece)] = piece
            return len(piece)
        done = 0
        for plain in self._opened(number, self._chunks(number, min(RUN, want // PIECE))):
            into[done : done + len(plain)] = plain
            done += len(plain)
        return done

    def read_all(self) -> bytes:
        """All plain bytes: of a small file."""
        return b"".join(self.pieces(lambda _piece: None))

    def pieces(self, raw: Callable[[bytes], object]) -> Iterator[bytes]:
        """All plain bytes, in pieces of at most 1 MiB. `raw` gets all bytes of the file itself, in their order.

        Raises as `readinto`.
        """
        raw(self.head)
        for number in range(0, self._count, RUN):
            sealed = self._chunks(number, RUN)
            raw(sealed)
            yield b"".join(self._opened(number, sealed))

    def span(self, offset: int, length: int) -> tuple[int, int]:
        """The place and the length, in the file, of the chunks with some plain bytes; the file may end first."""
        first, last = offset // PIECE, max(offset, offset + length - 1) // PIECE
        return self._first + first * SEALED_PIECE, (last + 1 - first) * SEALED_PIECE

    def _chunks(self, number: int, many: int) -> bytes:
        return self._read(many * SEALED_PIECE, self._first + (number - self._kept) * SEALED_PIECE)

    def _chunk(self, number: int) -> bytes:
        """One chunk. The newest is kept: small blobs lie side by side."""
        with self._lock:
            if self._recent[0] == number:
                return self._recent[1]
        plain = b"".join(self._opened(number, self._chunks(number, 1)))
        with self._lock:
            self._recent = (number, plain)
        return plain

    def _opened(self, number: int, sealed: bytes) -> Iterator[bytes]:
        """The chunks from `number` on."""
        from cryptography.exceptions import InvalidTag

        view = memoryview(sealed)
        for at in range(0, max(1, len(sealed)), SEALED_PIECE):
            one = number + at // SEALED_PIECE
            nonce = one.to_bytes(11, "big") + bytes([one == self._count - 1])
            try:
                yield self._cipher.decrypt(nonce, view[at : at + SEALED_PIECE], None)
            except (InvalidTag, ValueError) as error:
                begin = self._first + one * SEALED_PIECE
                what = f"{self.name}: the chunk at byte {begin} was changed, or does not belong there"
                raise DamageError("bad-seal", what, _AGAIN) from error


def open_bytes(data: bytes, name: str, identities: Sequence[AgeIdentity]) -> bytes:
    """The plain bytes of a small age file. Raises `DamageError` (`bad-seal`), `WrongIdentityError`."""
    return AgeFile(lambda size, at: data[at : at + size], len(data), name, identities).read_all()
