"""Walks protobuf messages of strangers, field by field, without a schema: long values are passed by, not kept.

Source: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airgap.scanning.models.stream import BoundedStream

MAX_FIELDS = 20_000_000
"""Fields of a file: a graph of 10,000 nodes has a million."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class BadProtobufError(ValueError):
    """Not a message, or not one that ends where it should."""


class ProtobufLimitError(ValueError):
    """A limit of this reader."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field. For `BYTES`, `end` is where its value ends, and the walker passes it by if nobody reads it."""

    number: int
    type: int
    value: int
    end: int


class Walker:
    """The fields of a message and of those in it."""

    def __init__(self, stream: BoundedStream) -> None:
        self.stream = stream
        self._left = MAX_FIELDS

    def fields(self, end: int) -> Iterator[Field]:
        """The fields up to `end`. Raises `BadProtobufError`, `EndsTooEarlyError`, `ProtobufLimitError`."""
        stream = self.stream
        while stream.at < end:
            self._left -= 1
            if self._left < 0:
                raise ProtobufLimitError(f"more than {MAX_FIELDS} fields")
            tag = self._varint()
            number, kind = tag >> 3, tag & 7
            if not number or number >= 1 << 29:
                raise BadProtobufError(f"field {number} at byte {stream.at}")
            value = self._value(kind)
            finish = stream.at + value if kind == BYTES else stream.at
            if finish > end:
                raise BadProtobufError(f"a field at byte {stream.at} is longer than its message")
            yield Field(number, kind, value, finish)
            if stream.at > finish:
                raise BadProtobufError(f"a message ends inside a field at byte {stream.at}")
            stream.skip(finish - stream.at)

    def text(self, field: Field, most: int = 4096) -> str:
        """The value of a field as text; only its first `most` bytes."""
        size = min(field.end - self.stream.at, most) if field.type == BYTES else 0
        return self.stream.take(size).decode("utf-8", "backslashreplace")

    def _value(self, kind: int) -> int:
        if kind in (VARINT, BYTES):
            return self._varint()
        if kind in (FIXED64, FIXED32):
            return int.from_bytes(self.stream.take(8 if kind == FIXED64 else 4), "little")
        raise BadProtobufError(f"a field of type {kind} at byte {self.stream.at}")

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.stream.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value & ((1 << 64) - 1)
            shift += 7
            if shift > 63:
                raise BadProtobufError(f"a number of more than 64 bits at byte {self.stream.at}")
