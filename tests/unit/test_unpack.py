"""Packed files of strangers: unpacked as others unpack them, and bombs stopped early, with little memory."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import shutil
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from airgap.base.unpack import BadPackedError, BombError, Bounds, Unpacked, packed_as

PACK = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
}


class Nowhere(io.RawIOBase):
    def write(self, data: object) -> int:
        return len(bytes(data))  # type: ignore[call-overload]


MEBI = 1 << 20
BOUNDS = Bounds(size=64 * MEBI, ratio=100, unsuspected=MEBI, parts=8)


def unpacked(data: bytes, form: str, bounds: Bounds = BOUNDS) -> bytes:
    return io.BufferedReader(Unpacked(io.BytesIO(data), form, bounds)).read()


@given(
    data=st.binary(max_size=5000), parts=st.integers(1, 3), form=st.sampled_from(sorted(PACK)), zeros=st.integers(0, 9)
)
def test_what_others_pack_is_unpacked(data: bytes, parts: int, form: str, zeros: int) -> None:
    packed = PACK[form](data)
    assert packed_as(packed) == form
    assert unpacked(packed * parts + bytes(zeros), form) == data * parts
    with pytest.raises(BadPackedError):
        unpacked(packed[:-1], form)
    with pytest.raises(BadPackedError):
        unpacked(packed + b"garbage", form)


@pytest.mark.parametrize("form", sorted(PACK))
def test_a_bomb_is_stopped_by_its_ratio_and_by_its_size(form: str) -> None:
    packed = PACK[form](bytes(40 * MEBI))
    tracemalloc.start()
    reader = Unpacked(io.BytesIO(packed), form, BOUNDS)
    with pytest.raises(BombError, match="times its size"):
        shutil.copyfileobj(reader, Nowhere(), 1 << 16)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reader.size < 34 * MEBI
    assert used < 40 * MEBI
    with pytest.raises(BombError, match="more than 1000 bytes"):
        unpacked(packed, form, Bounds(1000, 1 << 30, 0, 8))


@pytest.mark.parametrize("form", sorted(PACK))
def test_there_is_a_limit_of_parts(form: str) -> None:
    with pytest.raises(BadPackedError, match="too many"):
        unpacked(PACK[form](b"") * 9, form)


def test_a_dictionary_that_needs_too_much_memory_is_refused() -> None:
    packed = bytearray(lzma.compress(b"x", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]))
    # The size of the dictionary in the header of the block; the sum over that header is made again.
    packed[12 + 4] = 36
    packed[20:24] = zlib.crc32(bytes(packed[12:20])).to_bytes(4, "little")
    with pytest.raises(BadPackedError, match="cannot be unpacked"):
        unpacked(bytes(packed), "xz")


@given(data=st.binary(max_size=300), at=st.integers(0, 300), form=st.sampled_from(sorted(PACK)))
def test_any_bytes_are_unpacked_or_refused(data: bytes, at: int, form: str) -> None:
    good = bytearray(PACK[form](b"hello" * 40))
    changed = bytes(good[: at % len(good)]) + data[:3] + bytes(good[at % len(good) + 3 :])
    for one in (data, changed):
        with contextlib.suppress(BadPackedError):
            unpacked(one, form)


def test_what_a_file_is_is_told_by_its_first_bytes() -> None:
    assert [packed_as(one) for one in (b"", b"hello", b"PK\3\4x", b"\x50\x2a\x4d\x18\0\0\0\0")] == [
        "",
        "",
        "zip",
        "zstd",
    ]
