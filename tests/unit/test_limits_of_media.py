"""What is refused of a delivery before it costs anything: sizes that lie, bytes that count twice, long messages."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import MAX_LINE, MAX_LINES, InputError, IntegrityError
from airgap.base.text import Lines
from airgap.delivery import tar as tape
from airgap.delivery.contents import Extent
from airgap.delivery.index import Index
from airgap.delivery.on_media import hash_file
from tests.golden.site import FOLDER
from tests.worlds import bombs

GOLDEN = Index.decode((FOLDER / "delivery-v1alpha1/delivery/AIRGAP.json").read_bytes())
LIMIT = 1 << 30
HOLE = 300 << 30


# AIRGAP.json


@pytest.mark.parametrize("path", sorted((FOLDER / "media-refused").iterdir()), ids=lambda path: str(path.name))
def test_what_is_refused_now_is_refused_for_ever(path: Path) -> None:
    """No version wrote such files."""
    is_index = path.name.endswith(".AIRGAP.json")
    with pytest.raises(IntegrityError) as caught:
        Index.decode(path.read_bytes()) if is_index else tape.read_archive(path.read_bytes(), LIMIT)
    assert caught.value.code == ("bad-index" if is_index else "bad-archive")


def _decoded(**blobs: tuple[Extent, ...]) -> Index:
    """The golden index with other extents for its first blobs, as bytes and back."""
    digests = list(GOLDEN.contents.blobs)
    found = {**GOLDEN.contents.blobs, **dict(zip(digests, blobs.values(), strict=False))}
    return Index.decode(replace(GOLDEN, contents=replace(GOLDEN.contents, blobs=found)).encode())


def test_the_golden_extents_are_good() -> None:
    assert _decoded() == GOLDEN


@pytest.mark.parametrize(
    "change",
    [
        lambda one: (one, one),  # the same bytes twice
        lambda one: (replace(one, offset=one.offset + 1),),
        lambda one: (replace(one, offset=0),),  # no room for a header
        lambda one: (replace(one, length=one.length + 512),),  # into the next header
        lambda one: (replace(one, length=1 << 62),),
        lambda one: (replace(one, volume=2),),
        lambda one: (replace(one, volume=0),),
        lambda one: (replace(one, length=0), replace(one, volume=one.volume + 1)),
        lambda one: (),
    ],
)
def test_extents_that_no_volume_can_have_are_refused(change: Callable[[Extent], tuple[Extent, ...]]) -> None:
    first = next(iter(GOLDEN.contents.blobs.values()))[0]
    with pytest.raises(IntegrityError, match="bad-index"):
        _decoded(first=change(first))


def test_two_blobs_with_the_same_bytes_are_refused() -> None:
    first = next(iter(GOLDEN.contents.blobs.values()))
    with pytest.raises(IntegrityError, match="where a file of a tar can begin"):
        _decoded(first=first, second=first)


def test_more_volumes_than_names_can_count_are_refused() -> None:
    data = (FOLDER / "delivery-v1alpha1/delivery/AIRGAP.json").read_bytes()
    for count in (0, 10_000):
        document = json.loads(data)
        document["contents"]["volumes"] = document["contents"]["volumes"][:1] * count
        with pytest.raises(IntegrityError, match=f"volumes: got {count}"):
            Index.decode(json.dumps(document).encode())


# evidence.tar


def test_what_is_packed_is_read() -> None:
    files = {"a": b"", "b/c.json": b"x" * 512, "d": b"y" * 700}
    assert tape.read_archive(tape.pack(files.items()), LIMIT) == files
    assert tape.read_archive(tape.pack(files.items()) + bytes(9216), LIMIT) == files  # as GNU tar pads


@pytest.mark.parametrize(
    "member",
    [bombs.tar_member("x", kind, b"00000000000\0") for kind in (b"1", b"2", b"3", b"5", b"6", b"S", b"x", b"g", b"L")]
    + [
        bombs.tar_member("x", b"0", size)
        for size in (b"-0000000001\0", b"\xff" * 12, b"\x80" + bytes(11), bytes(12), b"0000000000x\0", b"0_000000000\0")
    ]
    + [bombs.tar_member("x", b"0", b"77777777777\0"), bombs.tar_member("x", b"0", b"00000001000\0")[:-1], b"\1" * 512],
)
def test_members_that_are_not_plain_files_are_refused(member: bytes) -> None:
    with pytest.raises(IntegrityError, match="bad-archive"):
        tape.read_archive(member + tape.END, LIMIT)


def test_a_wrong_checksum_a_name_twice_and_bytes_after_the_end_are_refused() -> None:
    good = tape.pack([("a", b"x")])
    twice = tape.pack([("a", b"x"), ("a", b"x")])
    for data in (b"b" + good[1:], twice, good + b"x", good[:-600], good + good, b"", b"x"):
        with pytest.raises(IntegrityError, match="bad-archive"):
            tape.read_archive(data, LIMIT)
    with pytest.raises(IntegrityError, match="bad-archive"):
        tape.read_archive(good, 1000)


def test_a_sparse_file_with_a_negative_size_is_one_that_others_read() -> None:
    """It is what it says it is: Python's tarfile takes it for a file of -2^62 bytes."""
    with tarfile.open(fileobj=io.BytesIO(bombs.sparse_evidence())) as archive:
        assert [member.size for member in archive] == [-(1 << 62)]
    with pytest.raises(IntegrityError, match="bad-archive"):
        tape.read_archive(bombs.sparse_evidence(), LIMIT)


# files


def test_a_file_of_another_size_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    assert hash_file(path, 3) == Digest.of(b"abc").hex
    os.truncate(path, HOLE)
    assert hash_file(path, 3) == ""


def test_a_file_that_grows_while_it_is_read_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    real = os.fstat

    def growing(fd: int) -> os.stat_result:
        found = real(fd)
        os.truncate(path, HOLE)
        return found

    monkeypatch.setattr("airgap.delivery.read.os.fstat", growing)
    assert hash_file(path, 3) == ""


# messages


def test_a_message_is_shortened_where_it_is_made() -> None:
    error = InputError("code", f"first: got {'x' * (64 << 20)!r}, expected y", "h" * 10_000)
    for one in (error, error.with_where("w" * 100_000), error.with_hint("h" * 10_000)):
        assert len(one.what) + len(one.hint) < 3 * MAX_LINE
        assert "characters left out" in one.what
    assert error.what.startswith("first: got 'xxx")
    assert error.what.endswith("xxx', expected y")
    assert InputError("code", "x" * MAX_LINE).what == "x" * MAX_LINE
    lines = InputError("code", Lines("line\n" * 100_000)).what.split("\n")
    assert (len(lines), lines[0], lines[-1]) == (MAX_LINES + 1, "line", "…")
