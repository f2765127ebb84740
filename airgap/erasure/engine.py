"""What multiplies rows by a matrix: ISA-L if it is installed and computes what it should, else plain Python.

Both give the same bytes. Plain Python is some 20 times slower, and holds the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from airgap.erasure.field import TIMES, cauchy

Row = bytes | bytearray | memoryview
"""The bytes of a row. Where a row is written, its buffer is writable; a memoryview is of bytes, and contiguous."""

_COLUMNS = 32 << 10
"""Bytes of each row that one call of ISA-L takes: fewer cost calls, more leave the processor's cache."""
_PLAIN_COLUMNS = 64 << 10
"""The same for plain Python, where a call costs more."""
_TABLE = 32
"""Bytes of ISA-L's table for one coefficient."""
_SYSTEM = "libisal.so.2"
_VECTOR = "d97d00ab0ee5d9078ef6bb4edd5e17b667784d4f7e1c496622927724127b5972"
"""sha256 of the parity rows of `_self_test`."""


class Tables(Protocol):
    """A matrix, prepared by an engine for its own use."""

    def multiply(self, sources: Sequence[Row], targets: Sequence[Row], size: int) -> None:
        """Writes the matrix times `sources` into `targets`; all rows have `size` bytes.

        A target is none of the sources. Safe to call from several threads at once.
        """

    def multiply_in(self, memory: Row, sources: Sequence[int], targets: Sequence[int], size: int) -> None:
        """As `multiply`, for rows that all lie in one writable buffer: these are the places where they begin."""


class Engine(Protocol):
    """A way to multiply rows of bytes by a matrix over GF(256)."""

    @property
    def name(self) -> str:
        """For people: `ISA-L` or `plain Python`."""

    def tables(self, matrix: Sequence[bytes]) -> Tables:
        """Prepares a matrix: a row of it makes one target, its bytes are the coefficients of the sources."""


class PlainPython:
    """The standard library alone: `bytes.translate` multiplies, and XOR of large whole numbers adds."""

    name = "plain Python"

    def tables(self, matrix: Sequence[bytes]) -> Tables:
        """The matrix as it is."""
        return _PlainTables(tuple(matrix))


class _PlainTables:
    def __init__(self, matrix: tuple[bytes, ...]) -> None:
        self._matrix = matrix

    def multiply(self, sources: Sequence[Row], targets: Sequence[Row], size: int) -> None:
        for begin in range(0, size, _PLAIN_COLUMNS):
            end = min(size, begin + _PLAIN_COLUMNS)
            pieces = [bytes(memoryview(source)[begin:end]) for source in sources]
            plain: list[int | None] = [None] * len(pieces)
            for coefficients, target in zip(self._matrix, targets, strict=True):
                total = 0
                for at, coefficient in enumerate(coefficients):
                    if coefficient > 1:
                        total ^= int.from_bytes(pieces[at].translate(TIMES[coefficient]), "little")
                    elif coefficient:
                        if (value := plain[at]) is None:
                            value = plain[at] = int.from_bytes(pieces[at], "little")
                        total ^= value
                memoryview(target)[begin:end] = total.to_bytes(end - begin, "little")

    def multiply_in(self, memory: Row, sources: Sequence[int], targets: Sequence[int], size: int) -> None:
        whole = memoryview(memory)
        read = [whole[at : at + size] for at in sources]
        self.multiply(read, [whole[at : at + size] for at in targets], size)


class IsaL:
    """Intel's ISA-L, called by ctypes, which releases the interpreter's lock.

    Source: isa-l 2.30, include/erasure_code.h (`ec_init_tables`, `ec_encode_data`).
    """

    name = "ISA-L"

    def __init__(self, library: str) -> None:
        """Loads the library; raises `OSError` or `AttributeError` if it is not there, or is another one."""
        loaded = ctypes.CDLL(library)
        self.init, self.encode = loaded.ec_init_tables, loaded.ec_encode_data
        self.init.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p]
        self.encode.argtypes = [ctypes.c_int] * 3 + [ctypes.c_void_p] * 3
        self.init.restype = self.encode.restype = None

    def tables(self, matrix: Sequence[bytes]) -> Tables:
        """ISA-L's own tables, 32 bytes for each coefficient."""
        return _IsaLTables(self, matrix)


class _IsaLTables:
    def __init__(self, library: IsaL, matrix: Sequence[bytes]) -> None:
        self._library = library
        self._rows, self._width = len(matrix), len(matrix[0])
        self._tables = ctypes.create_string_buffer(_TABLE * self._rows * self._width)
        library.init(self._width, self._rows, b"".join(matrix), self._tables)

    def multiply(self, sources: Sequence[Row], targets: Sequence[Row], size: int) -> None:
        if len(sources) != self._width or len(targets) != self._rows:
            raise ValueError("the rows are not those of the matrix")
        held = [_held(row) for row in sources]
        into = [ctypes.c_char.from_buffer(row) for row in targets]
        self._multiply([address for address, _ in held], [ctypes.addressof(one) for one in into], size)

    def multiply_in(self, memory: Row, sources: Sequence[int], targets: Sequence[int], size: int) -> None:
        places = (*sources, *targets)
        if len(sources) != self._width or len(targets) != self._rows:
            raise ValueError("the rows are not those of the matrix")
        if min(places) < 0 or max(places) + size > len(memory):
            raise ValueError("a row is not in the buffer")
        held = ctypes.c_char.from_buffer(memory)
        base = ctypes.addressof(held)
        self._multiply([base + at for at in sources], [base + at for at in targets], size)

    def _multiply(self, read: Sequence[int], written: Sequence[int], size: int) -> None:
        for at in range(0, size, _COLUMNS):
            self._library.encode(
                min(_COLUMNS, size - at),
                self._width,
                self._rows,
                self._tables,
                (ctypes.c_void_p * self._width)(*([address + at for address in read] if at else read)),
                (ctypes.c_void_p * self._rows)(*([address + at for address in written] if at else written)),
            )


def _held(row: Row) -> tuple[int, Any]:
    """The address of a row's first byte, and what keeps it valid."""
    if isinstance(row, bytes):
        return ctypes.cast(ctypes.c_char_p(row), ctypes.c_void_p).value or 0, row
    if memoryview(row).readonly:
        row = bytearray(row)
    one = ctypes.c_char.from_buffer(row)
    return ctypes.addressof(one), one


@cache
def best_engine() -> Engine:
    """ISA-L of the system, else the copy in the wheel of pyeclib, else plain Python; the first that is right."""
    for library in [_SYSTEM, *_in_wheel()]:
        try:
            engine = IsaL(library)
        except (OSError, AttributeError):
            continue
        if _right(engine):
            return engine
    return PlainPython()


def slow_note() -> str:
    """What people should know if there is no ISA-L; `""` if there is."""
    if isinstance(best_engine(), IsaL):
        return ""
    return "ISA-L is not installed, so parity is computed by plain Python, several times slower: install airgap[parity]"


def _in_wheel() -> list[str]:
    spec = importlib.util.find_spec("pyeclib")
    if spec is None or spec.origin is None:
        return []
    return sorted(map(str, (Path(spec.origin).parent.parent / "pyeclib.libs").glob("libisal*.so*")))


def _right(engine: Engine) -> bool:
    """Whether an engine computes what every other one does, for a length that is no multiple of anything."""
    size, count = 1033, 5
    sources = [hashlib.shake_128(bytes([at])).digest(size) for at in range(count)]
    targets = [bytearray(size) for _ in range(4)]
    engine.tables([cauchy(count, row) for row in range(4)]).multiply(sources, targets, size)
    return hashlib.sha256(b"".join(targets)).hexdigest() == _VECTOR
