"""Small files that people name."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from airgap.base.errors import InputError
from airgap.base.inputs import NotPlainError, read_input, read_plain

LIMIT = 10


def test_a_file_at_the_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * LIMIT)
    assert read_input(tmp_path / "f", LIMIT, "code") == b"x" * LIMIT


def test_a_link_leads_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "link").symlink_to("f")
    assert read_input(tmp_path / "link", LIMIT, "code") == b"x"


def test_a_file_that_says_nothing_of_its_size_is_limited_too() -> None:
    with pytest.raises(InputError, match="more than 10 bytes"):
        read_input(Path("/proc/self/status"), LIMIT, "code")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("large", "more than 10 bytes"), ("pipe", "not a file"), ("folder", "Is a directory"), ("none", "No such file"),
        ("large/x", "Not a directory"), ("loop", "symbolic links"), ("x" * 300, "too long"), ("a\0b", "null byte"),
    ],
)  # fmt: skip
def test_what_is_no_small_file_is_refused_with_a_next_step(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "large").write_bytes(b"x" * (LIMIT + 1))
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=why) as caught:
        read_input(tmp_path / name, LIMIT, "code")
    assert caught.value.code == "code"
    assert caught.value.hint


def test_only_what_is_not_there_gets_the_hint_how_it_is_made(tmp_path: Path) -> None:
    hints = []
    for name in ("none", "."):
        with pytest.raises(InputError) as caught:
            read_input(tmp_path / name, LIMIT, "code", absent="make it")
        hints.append(caught.value.hint)
    assert hints == ["make it", "name the file itself"]


def test_a_fault_of_the_disk_is_none_of_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_fd: int, _count: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    (tmp_path / "f").write_bytes(b"x")
    monkeypatch.setattr(os, "read", broken)
    with pytest.raises(OSError, match="Input/output error") as caught:
        read_input(tmp_path / "f", LIMIT, "code")
    assert caught.value.filename == str(tmp_path / "f")


def test_what_we_keep_is_no_link(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(b"123")
    link.symlink_to(path)
    assert read_plain(path, 3) == b"123"
    assert read_plain(path, 2) is None
    assert read_plain(link, 3, follow=True) == b"123"
    with pytest.raises(OSError, match="symbolic"):
        read_plain(link, 3)
    with pytest.raises(NotPlainError):
        read_plain(tmp_path, 3)
