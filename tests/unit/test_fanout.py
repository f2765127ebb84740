"""One pass for several readers: the same bytes for each, one reading of the source, and nobody holds the others up."""

from __future__ import annotations

import io
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import pytest

from airgap.base.digest import CHUNK
from airgap.base.errors import UpstreamError
from airgap.content import fanout
from airgap.content.fanout import Fanout, FanoutReader

SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 7 * CHUNK + 5]


class Bytes:
    """An opener that counts what it is asked for."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.opened: list[int] = []

    def __call__(self, offset: int) -> BinaryIO:
        self.opened.append(offset)
        return io.BytesIO(self.data[offset:])


def _data(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def _read(reader: FanoutReader, piece: int) -> bytes:
    with reader(0) as stream:
        got = bytearray()
        while part := stream.read(piece):
            got += part
        return bytes(got)


@pytest.mark.parametrize("size", SIZES)
def test_every_reader_gets_all_bytes_of_one_pass(size: int) -> None:
    source = Bytes(_data(size))
    with Fanout(source, source) as shared, ThreadPoolExecutor(3) as pool:
        readers = [shared.reader() for _ in range(3)]
        pieces = [64 << 10, CHUNK, 1_000_003]
        got = list(pool.map(_read, readers, pieces))
    assert got == [source.data] * 3
    assert source.opened == [0]


def test_a_second_pass_reads_alone_and_the_others_go_on() -> None:
    source = Bytes(_data(6 * CHUNK))

    def twice(reader: FanoutReader) -> bytes:
        with reader(0) as stream:
            stream.read(CHUNK)  # the connection broke: from the beginning again
        return _read(reader, CHUNK)

    with Fanout(source, source) as shared, ThreadPoolExecutor(2) as pool:
        one, two = shared.reader(), shared.reader()
        first = pool.submit(twice, one)
        second = pool.submit(_read, two, CHUNK)
        assert first.result() == second.result() == source.data
    assert source.opened.count(0) == 2


def test_one_that_goes_on_from_an_offset_reads_alone() -> None:
    source = Bytes(_data(3 * CHUNK))
    with Fanout(source, source) as shared, shared.reader()(CHUNK + 7) as stream:
        assert stream.read() == source.data[CHUNK + 7 :]
    assert source.opened == [CHUNK + 7]


def test_who_never_reads_and_leaves_holds_nobody_up() -> None:
    source = Bytes(_data(3 * fanout.WINDOW * CHUNK))
    with Fanout(source, source) as shared:
        present, reader = shared.reader(), shared.reader()
        present.leave()
        assert _read(reader, CHUNK) == source.data


def test_one_that_hangs_is_left_behind_and_ends_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "PATIENCE", 0.05)
    source = Bytes(_data(3 * fanout.WINDOW * CHUNK))
    go_on = threading.Event()

    def hangs(reader: FanoutReader) -> bytes:
        with reader(0) as stream:
            begin = stream.read(10)
            go_on.wait(60)
            return begin + stream.read()

    with Fanout(source, source) as shared, ThreadPoolExecutor(1) as pool:
        slow, fast = shared.reader(), shared.reader()
        hanging = pool.submit(hangs, slow)
        assert _read(fast, CHUNK) == source.data
        go_on.set()
        assert hanging.result() == source.data


def test_an_error_of_the_source_reaches_every_reader() -> None:
    class Breaks(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            raise UpstreamError("connection-lost", "gone", "again", 503)

    def opener(offset: int) -> BinaryIO:
        return Breaks()  # type: ignore[return-value]

    with Fanout(opener, opener) as shared, ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(_read, shared.reader(), CHUNK) for _ in range(2)]
        errors = [future.exception() for future in futures]
    for error in errors:
        assert isinstance(error, UpstreamError)
        assert (error.code, error.status) == ("connection-lost", 503)
    assert errors[0] is not errors[1]
