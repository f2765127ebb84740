"""Archives and gzip of strangers: read as `tarfile` and `gzip` read them, and bounded where those are not."""

from __future__ import annotations

import contextlib
import gzip
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.base.errors import InputError
from airgap.base.gunzip import MAX_PARTS, BadGzipError, Gunzip
from airgap.base.untar import BLOCK, BadTarError, TarReader
from airgap.resources.document import read_top_texts
from tests.worlds.chart_bombs import tar_header, tar_member

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=200).filter(
    lambda name: not name.endswith("/")
)
"""Of files: in archives of old, a slash at the end makes a folder."""


def _members(data: bytes, *, seek: bool = False, total: int = 1 << 30) -> list[tuple[str, int, bytes]]:
    reader = TarReader(io.BytesIO(data), entries=1000, total=total, seek=seek)
    return [(one.name, one.size, b"" if seek else reader.read(1 << 30)) for one in reader if one.type == "file"]


@given(files=st.dictionaries(NAMES, st.binary(max_size=1200), max_size=5), form=st.sampled_from([1, 2]))
def test_what_tarfile_writes_is_read(files: dict[str, bytes], form: int) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    expected = [(name, len(data), data) for name, data in files.items()]
    assert _members(made.getvalue()) == expected
    assert [one[:2] for one in _members(made.getvalue(), seek=True)] == [one[:2] for one in expected]


@pytest.mark.parametrize("seek", [False, True])
def test_an_archive_that_ends_too_early_is_refused(seek: bool) -> None:
    whole = tar_member("a", b"x" * 1000) + tar_member("b", b"y")
    for cut in range(1, len(whole)):
        if cut % BLOCK or cut in (BLOCK, 2 * BLOCK, 4 * BLOCK):
            with pytest.raises(BadTarError):
                _members(whole[:cut], seek=seek)


def test_links_and_folders_have_no_content() -> None:
    data = tar_header("l", b"2", 5000) + tar_header("d", b"5", 1) + tar_member("a", b"x")
    assert _members(data) == [("a", 1, b"x")]


def test_no_more_bytes_are_read_than_allowed() -> None:
    data = tar_member("a", bytes(10_000)) + tar_member("b", b"y")
    with pytest.raises(BadTarError, match="more than 4096 bytes"):
        _members(data, total=4096)


@given(data=st.binary(max_size=3000), at=st.integers(0, 2999))
def test_any_bytes_are_an_archive_or_refused(data: bytes, at: int) -> None:
    good = bytearray(tar_member("a", b"x" * 600) + tar_member("p", b"12 path=abc\n", b"x") + tar_member("b", b"y"))
    good[at % len(good) : at % len(good) + 3] = data[:3]
    for one in (data, bytes(good)):
        for seek in (False, True):
            with contextlib.suppress(BadTarError):
                _members(one, seek=seek, total=len(one))


@given(data=st.binary(max_size=5000), parts=st.integers(1, 3), at=st.integers(0, 5000))
def test_gzip_is_unpacked_as_gzip_does(data: bytes, parts: int, at: int) -> None:
    packed = gzip.compress(data) * parts + b"\0" * (at % 100)
    assert io.BufferedReader(Gunzip(io.BytesIO(packed), 1 << 20)).read() == data * parts
    with pytest.raises(BadGzipError):
        io.BufferedReader(Gunzip(io.BytesIO(gzip.compress(data)[: -1 - at % 8]), 1 << 20)).read()
    if data:
        with pytest.raises(BadGzipError, match="more than"):
            io.BufferedReader(Gunzip(io.BytesIO(packed), len(data) * parts - 1)).read()


def test_gzip_has_a_limit_of_parts() -> None:
    with pytest.raises(BadGzipError, match="gzip files"):
        Gunzip(io.BytesIO(gzip.compress(b"") * (MAX_PARTS + 1)), 10).read(1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: a\nversion: 1.10\n", {"name": "a", "version": "1.10"}),
        ("a: &x b\nname: *x\nversion: *nothing\n", "no anchor"),
        ("a: &x b\nname: *x\n", {"a": "b", "name": "b"}),
        ("a: &x [b, *x]\nname: *x\n", {}),
        ("name: |\n  a\n  b\nversion: !!str 1\n", {"version": "1"}),
        ("1: x\ntrue: y\n", {"1": "x", "true": "y"}),
        ("name: a\nname: b\n", "set twice"),
        ("<<: {name: b}\n", "merge key"),
        ("a: {<<: {name: b}}\n", {}),
        ("- a\n", "expected one document"),
        ("a: b\n---\na: c\n", "expected one document"),
        ("", "expected one document"),
    ],
)
def test_the_texts_at_the_top_of_a_strangers_yaml(text: str, expected: dict[str, str] | str) -> None:
    if isinstance(expected, dict):
        assert read_top_texts(text.encode(), "x") == expected
    else:
        with pytest.raises(InputError, match=expected):
            read_top_texts(text.encode(), "x")
