"""What is read through a `VerifiedStream`, and what nobody gets of it."""

from __future__ import annotations

import io
from typing import BinaryIO, cast

import pytest

from airgap.base.errors import DamageError
from airgap.base.streams import fill, read_into
from airgap.content.graph import Descriptor
from airgap.content.verified import VerifiedStream, verified

WHOLE = b"0123456789"


class OnlyRead:
    """A stream without `readinto`, as some libraries give, that returns little at once."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)
        self.closed = False

    def read(self, size: int) -> bytes:
        return self._data.read(min(size, 3))

    def close(self) -> None:
        self.closed = True


def descriptor(data: bytes = WHOLE) -> Descriptor:
    return Descriptor.of("x", data)


@pytest.mark.parametrize("size", [1, 3, 4, 9, 10, 11, 100])
def test_the_right_bytes_come_in_pieces_of_any_size(size: int) -> None:
    for stream in (io.BytesIO(WHOLE), cast("BinaryIO", OnlyRead(WHOLE))):
        with verified(stream, descriptor()) as reader:
            found = b""
            while piece := reader.read(size):
                found += piece
            assert found == WHOLE
            assert reader.read(size) == b""
        assert stream.closed


@pytest.mark.parametrize("size", [1, 3, 4, 9, 10, 11, 100])
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"0123456780", "digest-mismatch"),
        (b"x123456789", "digest-mismatch"),
        (b"012345678", "truncated"),
        (b"", "truncated"),
        (b"01234567890", "oversized"),
        (WHOLE * 3, "oversized"),
    ],
)
def test_the_end_of_wrong_bytes_is_never_given_out(data: bytes, code: str, size: int) -> None:
    reader = VerifiedStream(io.BytesIO(data), descriptor())
    given = list[bytes]()
    with pytest.raises(DamageError) as caught:
        given.extend(iter(lambda: reader.read(size) or b"", b""))
    assert caught.value.code == code
    assert sum(map(len, given)) < len(WHOLE)


def test_an_empty_blob_is_looked_at_too() -> None:
    assert verified(io.BytesIO(b""), descriptor(b"")).read(1) == b""
    for buffer in (bytearray(0), bytearray(1)):
        with pytest.raises(DamageError):
            VerifiedStream(io.BytesIO(b"x"), descriptor(b"")).readinto(buffer)


def test_asking_for_nothing_is_not_the_end() -> None:
    reader = verified(io.BytesIO(WHOLE), descriptor())
    assert reader.read(0) == b""
    assert reader.read(20) == WHOLE


def test_any_stream_fills_a_buffer() -> None:
    for stream in (io.BytesIO(WHOLE), cast("BinaryIO", OnlyRead(WHOLE))):
        buffer = bytearray(8)
        assert fill(stream, memoryview(buffer)) == 8
        assert bytes(buffer) == WHOLE[:8]
        assert fill(stream, memoryview(buffer)) == 2
        assert read_into(stream, memoryview(buffer)) == 0
