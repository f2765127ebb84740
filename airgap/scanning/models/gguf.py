"""Reads the header of a GGUF file: its metadata, its tensors, and whether they fit the file.

llama.cpp trusted these numbers once (CVE-2024-23496, -21802, -21836, -23605: counts that overflow). Source: ggml,
docs/gguf.md; ggml/src/gguf.cpp; the sizes of ggml's types: ggml/src/ggml.c (`type_traits`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO

from airgap.scanning.models.blob import Blob
from airgap.scanning.models.rules import Report
from airgap.scanning.models.stream import BoundedStream, EndsTooEarlyError

MAGIC = b"GGUF"
MAX_PAIRS = 100_000
"""Entries of the metadata: real files have some dozens."""
MAX_TENSORS = 200_000
MAX_KEY = 1 << 16
MAX_TEMPLATE = 1 << 20
"""Characters of a chat template, the only text that is kept."""
_MAX_DIMENSIONS = 4
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_TYPES = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    9: (32, 36),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    15: (256, 292),
    16: (256, 66),
    17: (256, 74),
    18: (256, 98),
    19: (256, 50),
    20: (32, 18),
    21: (256, 110),
    22: (256, 82),
    23: (256, 136),
    24: (1, 1),
    25: (1, 2),
    26: (1, 4),
    27: (1, 8),
    28: (1, 8),
    29: (256, 56),
    30: (1, 2),
    34: (256, 54),
    35: (256, 66),
    39: (32, 17),
}
"""Values in a block and bytes of a block, by the type's number."""


class BadGgufError(ValueError):
    """The header cannot be read."""


@dataclass(slots=True)
class Gguf:
    """What the header says."""

    templates: dict[str, str] = field(default_factory=dict)
    """Chat templates by their keys."""
    alignment: int = 32
    tensors: list[tuple[int, int | None, str]] = field(default_factory=list)
    """Place, size (`None` for a type that is not known), and name of each tensor."""


def check_gguf(blob: Blob, limit: int, report: Report) -> dict[str, str]:
    """Reports what is wrong with the header, of at most `limit` bytes; its chat templates by their keys."""
    read = Gguf()
    with blob.open() as file:
        stream = _Bounded(file, limit)
        try:
            _read(stream, blob.size, read)
        except (BadGgufError, EndsTooEarlyError) as error:
            report("gguf-header", str(error) or "it ends too early")
            return read.templates
        except _LimitError as error:
            report("not-read-limit", str(error))
            return read.templates
        start = stream.at + -stream.at % read.alignment
    _check_tensors(read, start, blob.size, report)
    return read.templates


class _LimitError(ValueError):
    pass


class _Bounded(BoundedStream):
    """A stream with numbers, of which at most `limit` bytes are read."""

    __slots__ = ("_limit",)

    def __init__(self, file: BinaryIO, limit: int) -> None:
        super().__init__(file)
        self._limit = limit

    def allow(self, size: int) -> None:
        """Raises `_LimitError` if `size` more bytes are too many."""
        if self.at + size > self._limit:
            raise _LimitError(f"a header of more than {self._limit} bytes")

    def number(self, size: int) -> int:
        """An unsigned number of `size` bytes."""
        self.allow(size)
        return int.from_bytes(self.take(size), "little")

    def text(self, most: int) -> str:
        """A text with its length before it."""
        length = self.number(8)
        if length > most:
            raise BadGgufError(f"a text of {length} bytes, expected at most {most}")
        self.allow(length)
        return self.take(length).decode("utf-8", "backslashreplace")

    def pass_by(self, size: int) -> None:
        """Skips `size` bytes."""
        self.allow(size)
        self.skip(size)


def _read(stream: _Bounded, size: int, read: Gguf) -> None:
    if stream.take(4) != MAGIC:
        raise BadGgufError("it does not begin with GGUF")
    version = stream.number(4)
    if version not in (2, 3):
        raise BadGgufError(f"version {version}, expected 2 or 3 in the byte order of most machines")
    tensors, pairs = stream.number(8), stream.number(8)
    if tensors > MAX_TENSORS or pairs > MAX_PAIRS or tensors * 24 + pairs * 12 > size:
        raise BadGgufError(f"{tensors} tensors and {pairs} entries in {size} bytes")
    keys = set()
    for _ in range(pairs):
        key = stream.text(MAX_KEY)
        if key in keys:
            raise BadGgufError(f"the key {key[:100]} occurs twice")
        keys.add(key)
        _pair(stream, key, read)
    names = set()
    for _ in range(tensors):
        name = stream.text(MAX_KEY)
        if name in names:
            raise BadGgufError(f"the tensor {name[:100]} occurs twice")
        names.add(name)
        read.tensors.append(_tensor(stream, name))


def _pair(stream: _Bounded, key: str, read: Gguf) -> None:
    kind = stream.number(4)
    if kind == _STRING and key.startswith("tokenizer.chat_template"):
        read.templates[key] = stream.text(MAX_TEMPLATE)
    elif key == "general.alignment":
        read.alignment = stream.number(4)
        if kind != 4 or not 0 < read.alignment <= 1 << 20 or read.alignment & (read.alignment - 1):
            raise BadGgufError("the alignment is no power of two")
    else:
        _pass_value(stream, kind, 0)


def _pass_value(stream: _Bounded, kind: int, depth: int) -> None:
    if kind in _SIZES:
        stream.pass_by(_SIZES[kind])
    elif kind == _STRING:
        stream.pass_by(stream.number(8))
    elif kind == _ARRAY and depth < 2:
        inner, count = stream.number(4), stream.number(8)
        if inner in _SIZES:
            stream.pass_by(_SIZES[inner] * count)
            return
        stream.allow(count * 8)
        for _ in range(count):
            _pass_value(stream, inner, depth + 1)
    else:
        raise BadGgufError(f"a value of type {kind}")


def _tensor(stream: _Bounded, name: str) -> tuple[int, int | None, str]:
    dimensions = stream.number(4)
    if dimensions > _MAX_DIMENSIONS:
        raise BadGgufError(f"the tensor {name[:100]} has {dimensions} dimensions")
    shape = [stream.number(8) for _ in range(dimensions)]
    kind, place = stream.number(4), stream.number(8)
    values = 1
    for one in shape:
        values *= one
    if values >= 1 << 63:
        raise BadGgufError(f"the tensor {name[:100]} has {values} values")
    if kind not in _TYPES:
        return place, None, name
    block, size = _TYPES[kind]
    if (shape[0] if shape else 1) % block:
        raise BadGgufError(f"a row of the tensor {name[:100]} is no number of whole blocks")
    return place, values // block * size, name


def _check_tensors(read: Gguf, start: int, size: int, report: Report) -> None:
    end, following = 0, 0
    for place, length, name in sorted(read.tensors, key=lambda one: one[0]):
        if place % read.alignment or place < end:
            report("gguf-tensor", name)
            return
        if place != following and following >= 0:
            report("gguf-size", f"bytes before the tensor {name[:100]} belong to none")
            return
        end = place + (length or 0)
        following = -1 if length is None else end + -end % read.alignment
    if start + end > size:
        report("gguf-size", f"the tensors end at byte {start + end}, and the file at {size}")
    elif following >= 0 and size > start + max(following, end) and read.tensors:
        report("gguf-size", f"{size - start - following} bytes follow the tensors")
