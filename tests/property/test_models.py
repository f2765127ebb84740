"""Models: what honest writers write is never broken, and what imports something is never silent."""

from __future__ import annotations

import contextlib
import io
import pickle
import pickletools
import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from airgap.scanning.models.blob import Blob
from airgap.scanning.models.imports import is_harmless
from airgap.scanning.models.pickles import read_pickles
from airgap.scanning.models.safetensors import check_safetensors
from airgap.scanning.models.stream import BoundedStream, EndsTooEarlyError
from tests.worlds.model_files import safetensors, tensor, text

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=300)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=25,
)
BEFORE = st.sampled_from([b"N", b"(", b"]", b"K\x01", b"N0", b"N2", b"(1", b"Nq\x05", b"\x8c\x01a"])
MODULES = st.sampled_from(["os", "subprocess", "builtins", "acme", "torch"])
CODES = {code.code.encode("latin-1"): code for code in pickletools.opcodes}


def reported(data: bytes) -> list[str]:
    found: list[str] = []
    read_pickles(BoundedStream(io.BytesIO(data)), lambda rule, _: found.append(rule), expected=True)
    return found


@given(VALUES, st.integers(0, 5))
def test_plain_values_are_harmless_in_each_protocol(value: object, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    assert reported(data) == ["pickle"]
    seen = read_pickles(BoundedStream(io.BytesIO(data)), lambda *_: None, expected=True)
    assert [one.end for one in seen] == [len(data)]


def test_large_values_lie_between_frames() -> None:
    for protocol in (4, 5):
        assert reported(pickle.dumps([1, b"x" * 200_000, "y" * 200_000, list(range(50_000))], protocol)) == ["pickle"]


@given(
    st.data(), st.sampled_from(["os", "subprocess", "builtins", "acme", "torch"]), st.sampled_from(["system", "x.y"])
)
def test_an_import_by_any_way_is_named(data: st.DataObject, module: str, name: str) -> None:
    """Whatever stands before it: a stack, marks, memo, texts that are taken away again."""
    before = data.draw(st.lists(BEFORE, max_size=20))
    how = data.draw(st.sampled_from(["global", "stack", "memo", "inst"]))
    texts = [b"\x8c" + bytes([len(one)]) + one.encode() for one in (module, name)]
    imported = {
        "global": f"c{module}\n{name}\n".encode(),
        "stack": b"".join(texts) + b"\x93",
        "memo": texts[0] + b"q\x07" + texts[1] + b"q\x0800h\x07h\x08\x93",
        "inst": f"(i{module}\n{name}\n".encode(),
    }[how]
    found = reported(b"\x80\x04" + b"".join(before) + imported + b")R.")
    assert {"pickle-import-unsafe", "pickle-import-unknown"} & set(found), found


@given(st.lists(st.sampled_from(sorted(CODES)), max_size=40), st.binary(max_size=60))
def test_what_pickletools_reads_as_an_import_is_reported(codes: list[bytes], rest: bytes) -> None:
    """Two readers of instructions: nothing that Python's own one calls an import is missed."""
    data = b"\x80\x04" + b"".join(codes) + rest
    read: list[tuple[str, object]] = []
    with contextlib.suppress(ValueError):
        read.extend((code.name, argument) for code, argument, _ in pickletools.genops(data))
    found = reported(data)
    reached = read_pickles(BoundedStream(io.BytesIO(data)), lambda *_: None, expected=True)[0]
    for number, (name, argument) in enumerate(read):
        if number >= reached.steps - 1:
            break  # here our reader saw that no loader goes on
        if name in ("GLOBAL", "INST") and not is_harmless(*str(argument).split(" ", 1)):
            assert {"pickle-import-unsafe", "pickle-import-unknown"} & set(found)
        if name in ("EXT1", "EXT2", "EXT4"):
            assert "pickle-hidden-import" in found


_SINGLE = b"012(tld]})NRbaesuoQ.\x93\x94\x81\x92\x85\x86\x91"
PIECES = st.sampled_from(
    (
        *(bytes([one]) for one in _SINGLE),
        *(b"cos\nsystem\n", b"ios\nsystem\n", b"ctorch\nFloatStorage\n", text("os"), text("system"), b"\x80\x04"),
        *(b"q\x00", b"h\x00", b"q\x01", b"h\x01", b"p0\n", b"g0\n", b"P1\n", b"K\x01", b"C\x02os", b"B\x04\0\0\0abcd"),
        *(b"Vos\n", b"S'os'\n", b"U\x06system", b"\x95\x05" + bytes(7), b"\x95\x10" + bytes(7)),
    )
)


class _Made:
    """What stands for everything that is imported: it can be called and changed, and does nothing."""

    def __new__(cls, *_: object, **__: object) -> _Made:
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def _imports(reader: Any, data: bytes) -> list[tuple[str, str]]:
    """What a reader of CPython imports; it gets a class that does nothing."""
    seen: list[tuple[str, str]] = []

    class Watched(reader):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> type:
            seen.append((module, name))
            return _Made

        def persistent_load(self, key: object) -> object:
            return key

    with contextlib.suppress(Exception):
        Watched(io.BytesIO(data)).load()
    return seen


@given(st.lists(PIECES, max_size=30))
def test_what_either_reader_of_cpython_imports_is_reported(pieces: list[bytes]) -> None:
    data = b"".join(pieces) + b"."
    found: list[tuple[str, str]] = []
    read_pickles(BoundedStream(io.BytesIO(data)), lambda rule, detail: found.append((rule, detail)), expected=True)
    rules, details = {rule for rule, _ in found}, {detail for _, detail in found}
    for reader in (pickle.Unpickler, pickle._Unpickler):
        for module, name in _imports(reader, data):
            hidden = rules & {"pickle-hidden-import", "pickle-frame"}
            assert is_harmless(module, name) or f"{module}.{name}" in details or hidden


@given(st.binary(max_size=400), st.lists(st.integers(0, 80), max_size=12))
def test_a_stream_gives_each_byte_once(data: bytes, sizes: list[int]) -> None:
    stream, at = BoundedStream(io.BytesIO(data)), 0
    for number, size in enumerate(sizes):
        assert stream.at == at
        try:
            if number % 3 == 0:
                stream.skip(size)
            elif number % 3 == 1:
                assert stream.take(size) == data[at : at + size]
            else:
                assert stream.peek(size) == data[at : at + size]
                continue
        except EndsTooEarlyError:
            assert at + size > len(data)
            return
        at += size


@given(st.lists(st.integers(0, 9), max_size=6), st.integers(0, 5), st.booleans())
def test_tensors_one_after_the_other_are_right_and_a_moved_one_is_not(sizes: list[int], which: int, late: bool) -> None:
    header, at = {}, 0
    for number, size in enumerate(sizes):
        header[str(number)] = tensor("I16", [size], at, at + 2 * size)
        at += 2 * size
    assert _faults(safetensors(header, bytes(at))) == []
    if which < len(sizes):
        start, end = header[str(which)]["data_offsets"]
        header[str(which)]["data_offsets"] = [start + (1 if late else -1), end + (1 if late else -1)]
        assert _faults(safetensors(header, bytes(at))) != [] or (sizes[which] == 0 and start - 1 >= 0)


def _faults(data: bytes) -> list[str]:
    found: list[str] = []
    check_safetensors(Blob(len(data), lambda: io.BytesIO(data)), 1 << 20, lambda rule, _: found.append(rule))
    return found


def test_a_header_that_claims_much_costs_little() -> None:
    for size in (1 << 20, 1 << 40, (1 << 64) - 1):
        assert _faults(struct.pack("<Q", size) + b"{}") == ["safetensors-size"]
