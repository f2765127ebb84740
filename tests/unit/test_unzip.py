"""Zip archives of strangers: read as `zipfile` reads them, and refused where readers do not agree."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.base.unzip import BadZipError, ZipReader

NAMES = st.text(st.characters(exclude_characters="\0\\", exclude_categories=["Cs"]), min_size=1, max_size=60).filter(
    lambda name: not name.endswith("/")
)


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        archive.comment = comment
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            archive.writestr(info, data, method)
    return made.getvalue()


def members(data: bytes, entries: int = 100) -> dict[str, bytes]:
    reader = ZipReader(io.BytesIO(data), len(data), entries=entries)
    return {one.name: reader.open(one).read() for one in reader}


@given(
    files=st.dictionaries(NAMES, st.binary(max_size=1200), max_size=5),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    comment=st.binary(max_size=30).filter(lambda text: b"PK" not in text),
    before=st.binary(max_size=30),
)
def test_what_zipfile_writes_is_read(files: dict[str, bytes], method: int, comment: bytes, before: bytes) -> None:
    data = packed(files, method, comment)
    assert members(data) == files
    assert members(before + data) == files


def test_members_of_unknown_length_and_of_zip64_are_read() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("a", "w", force_zip64=True) as member:
            member.write(b"x" * 5000)
        archive.writestr("b", b"y")
    assert members(pipe.getvalue()) == {"a": b"x" * 5000, "b": b"y"}


def test_the_type_and_the_mode_of_members_are_said() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, mode in (("s", 0o120777), ("x", 0o104755), ("p", 0o010644), ("d/", 0o040755)):
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, mode << 16
            archive.writestr(info, "")
    data = made.getvalue()
    found = [(one.name, one.type, one.mode) for one in ZipReader(io.BytesIO(data), len(data), entries=9)]
    expected = [("s", "symlink", 0o777), ("x", "file", 0o4755), ("p", "other", 0o644), ("d/", "folder", 0o755)]
    assert found == expected


def _changed(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _hostile() -> list[tuple[str, bytes, str]]:
    good = packed({"a": b"x" * 1000, "b": b"y" * 1000})
    first, second = good.index(b"PK\1\2"), good.rindex(b"PK\1\2")
    end = good.index(b"PK\5\6")
    many = packed({str(n): b"" for n in range(101)})
    inner = packed({"other": b"z"})
    return [
        ("overlap", _changed(good, second + 42, struct.pack("<L", 0)), "overlap"),
        ("directory", _changed(good, second + 42, struct.pack("<L", first - 5)), "overlap"),
        ("name", _changed(good, good.index(b"a"), b"c"), "another name"),
        ("size", _changed(good, second + 24, struct.pack("<L", 999)), "something else"),
        ("cut", good[:-1], "no end record"),
        ("tail", good + b"x", "no end record"),
        ("two-ends", packed({"a": b""}, comment=inner), "two end records"),
        ("count", _changed(good, end + 8, b"\x01\x00\x01\x00"), "as many members"),
        ("many", many, "101 members"),
        ("large", _changed(good, first + 24, b"\xff" * 4), "zip64"),
        ("encrypted", _changed(_changed(good, 6, b"\1"), first + 8, b"\1"), "encrypted"),
        ("method", _changed(_changed(good, 8, b"\x0e"), first + 10, b"\x0e"), "method 14"),
        ("nothing", b"", "no end record"),
    ]


@pytest.mark.parametrize(("data", "answer"), [one[1:] for one in _hostile()], ids=[one[0] for one in _hostile()])
def test_archives_that_readers_take_for_different_files_are_refused(data: bytes, answer: str) -> None:
    with pytest.raises(BadZipError, match=answer):
        members(data)


def test_a_member_that_unpacks_to_more_than_it_says_is_refused() -> None:
    good = packed({"a": bytes(5000)})
    central = good.index(b"PK\1\2")
    lying = _changed(_changed(good, 22, struct.pack("<L", 10)), central + 24, struct.pack("<L", 10))
    with pytest.raises(BadZipError, match="larger or smaller"):
        members(lying)
    wrong = _changed(_changed(good, 14, b"abcd"), central + 16, b"abcd")
    with pytest.raises(BadZipError, match="checksum"):
        members(wrong)


@given(at=st.integers(0, 400), new=st.binary(min_size=1, max_size=4))
def test_any_bytes_are_an_archive_or_refused(at: int, new: bytes) -> None:
    good = packed({"a": b"x" * 100, "b/c": b"y"}, comment=b"hi")
    data = _changed(good, at % len(good), new)[: len(good)]
    with contextlib.suppress(BadZipError):
        members(data)
