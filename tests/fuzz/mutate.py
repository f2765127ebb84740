"""Changes a good file so that a reader gets past its first bytes: what is inside is changed, and packed again."""

from __future__ import annotations

import base64
import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

BLOCK = 512
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**53, 2**60, 2**64, 10**400, 1.5, 1e308, -0.0, "", " ", "a", "\0", "\n",
    "\x1b[2J", "\ud800", "\u2028", "é", "../..", "x" * 300, "x" * 70_000, "sha256:" + "0" * 64, "[" * 2000,
    "2026-11-23T10:00:00Z", [], {}, [[]], [{}], {"": ""}, {"a": 1}, [0] * 2000,
)  # fmt: skip
TOKENS = (
    b"\0", b"\n", b"\r\n", b"\t", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"-", b"%", b"&a ", b"*a",
    b"!!str ", b"<<: ", b"? ", b"---\n", b"...", b"{", b"}", b"[", b"]", b'"', b"'", b"\\", b"\\ud800", b"1e999",
    b"NaN", b"9" * 30, b"ustar", b"././@LongLink", b"\x1f\x8b", b"sha256:", b"..", b"/", b"|\n", b">", b"#", b": ",
    b", ", b"size=", b"=",
)  # fmt: skip
MAX_INPUT = 1 << 20
"""Bytes of an input: larger ones only make the harness slow."""


class Mutator:
    """Changes files, the same way each time for one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def changed(self, data: bytes, seeds: Sequence[bytes], write: Callable[[Any], bytes]) -> bytes:
        """One to four changes of `data`; `seeds` are other files whose pieces may be put in."""
        for _ in range(self._random.choice((1, 1, 1, 2, 4))):
            data = self._changed(data, seeds, write)[:MAX_INPUT]
        return data

    def _changed(self, data: bytes, seeds: Sequence[bytes], write: Callable[[Any], bytes]) -> bytes:
        if data[:2] == b"\x1f\x8b" and self._often():
            return gzip.compress(self._changed(_unpacked(data), seeds, write), 1, mtime=0)
        if data[257:262] == b"ustar" and self._often():
            return self._tar(data, seeds)
        document = _json(data) if self._often() else None
        if document is not None:
            return _written(self._json(document), write)
        return self._bytes(data, seeds)

    def _often(self) -> bool:
        return self._random.random() < 0.8

    # JSON

    def _json(self, document: Any) -> Any:
        places = list(_places(document))
        path = self._random.choice(places)
        return self._with(document, path)

    def _with(self, value: Any, path: tuple[Any, ...]) -> Any:
        if not path:
            return self._odd(value)
        copy = dict(value) if isinstance(value, dict) else list(value)
        if len(path) == 1 and self._random.random() < 0.3:
            return self._around(copy, path[0])
        copy[path[0]] = self._with(copy[path[0]], path[1:])
        return copy

    def _around(self, copy: Any, key: Any) -> Any:
        """Removes, doubles, renames or adds an entry."""
        what = self._random.randrange(4)
        if what == 0:
            del copy[key]
        elif isinstance(copy, list):
            copy.insert(key, copy[key] if what == 1 else self._random.choice(ODD))
        elif what == 1:
            copy[self._odd_text()] = copy.pop(key)
        else:
            copy[self._odd_text()] = self._random.choice(ODD)
        return copy

    def _odd_text(self) -> str:
        return str(self._random.choice([one for one in ODD if isinstance(one, str)]))

    def _odd(self, value: Any) -> Any:
        if isinstance(value, str) and self._random.random() < 0.6:
            return self._text(value)
        if isinstance(value, int) and not isinstance(value, bool) and self._random.random() < 0.3:
            return value + self._random.choice((-1, 1, 512, 2**32))
        if self._random.random() < 0.05:
            nested: Any = value
            for _ in range(self._random.choice((50, 101, 3000))):
                nested = [nested]
            return nested
        return self._random.choice(ODD)

    def _text(self, value: str) -> str:
        """Another text; where it is base64 or JSON, what is in it is changed."""
        try:
            inner = base64.b64decode(value, validate=True) if len(value) > 20 else b""
        except ValueError:
            inner = b""
        if inner:
            return base64.b64encode(self._changed(inner, [inner], _compact)).decode()
        if value[:1] in "{[" and _json(value.encode("utf-8", "replace")) is not None:
            return self._changed(value.encode("utf-8", "replace"), [], _compact).decode("utf-8", "replace")
        at = self._random.randint(0, len(value))
        return value[:at] + self._odd_text()[:80] + value[at + self._random.randrange(3) :]

    # tar

    def _tar(self, data: bytes, seeds: Sequence[bytes]) -> bytes:
        """A header with other bytes and the right checksum, or a header or a block more."""
        blocks = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
        heads = [number for number, block in enumerate(blocks) if block[257:262] == b"ustar"] or [0]
        at = self._random.choice(heads)
        what = self._random.randrange(4)
        if what == 0:
            blocks[at:at] = [self._random.choice(blocks)] * self._random.choice((1, 2, 30))
        elif what == 1:
            blocks = blocks[: self._random.randint(0, len(blocks))]
        elif what == 2:
            size = self._random.choice(
                (b"00000000000\0", b"\xff" * 12, b"\x80" + b"\x7f" * 11, b"77777777777\0", b" 1 0")
            )
            blocks[at] = _summed(blocks[at][:124] + size.ljust(12)[:12] + blocks[at][136:])
        else:
            place, kind = self._random.randrange(BLOCK), self._random.choice(b"0123456789LKxgSMVD\0\xff")
            head = bytearray(blocks[at].ljust(BLOCK, b"\0"))
            head[place] = self._random.randrange(256)
            head[156] = self._random.choice((head[156], kind))
            blocks[at] = _summed(bytes(head))
        return b"".join(blocks)

    # bytes

    def _bytes(self, data: bytes, seeds: Sequence[bytes]) -> bytes:
        at = self._random.randint(0, len(data))
        end = min(len(data), at + self._random.choice((0, 1, 2, 8, 64, 1000)))
        return data[:at] + self._instead(data[at:end], seeds) + data[end:]

    def _instead(self, piece: bytes, seeds: Sequence[bytes]) -> bytes:
        match self._random.randrange(6):
            case 0:
                return b""
            case 1:
                return piece * self._random.choice((2, 10, 1000))
            case 2:
                return self._random.randbytes(len(piece) or 1)
            case 3:
                return self._random.choice(TOKENS)
            case 4:
                return self._random.choice(TOKENS) * self._random.choice((10, 1000, 20_000))
            case _:
                return self._piece(seeds)

    def _piece(self, seeds: Sequence[bytes]) -> bytes:
        other = self._random.choice(seeds) if seeds else b""
        at = self._random.randint(0, len(other))
        return other[at : at + self._random.choice((4, 100, 5000))]


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(inner, (*path, key))


def _json(data: bytes) -> Any:
    """The document, `None` if it is none."""
    if data.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _written(document: Any, write: Callable[[Any], bytes]) -> bytes:
    """As an honest writer writes it, if that can be."""
    try:
        return write(document)
    except (ValueError, RecursionError, TypeError):
        pass
    try:
        return _compact(document)
    except RecursionError:
        return b"[" * 3000


def _unpacked(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(31)
    try:
        return unpacker.decompress(data, MAX_INPUT)
    except zlib.error:
        return b""


def _summed(head: bytes) -> bytes:
    """With the right checksum."""
    total = sum(head[:148]) + 8 * ord(" ") + sum(head[156:])
    return head[:148] + b"%06o\0 " % (total % 8**6) + head[156:]
