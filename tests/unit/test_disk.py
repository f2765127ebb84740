"""Durable files, folders and locks: whole or not at all, and one at a time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from airgap.base import disk
from airgap.base.disk import held, locked, make_folder, replacing, try_lock, write_durably
from airgap.base.errors import InputError, StoreError


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    for data in (b"", b"one", b"x" * (3 << 20)):
        write_durably(path, data, 0o600)
        assert path.read_bytes() == data
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["state.json"]


@pytest.mark.parametrize("fixed", [False, True])
def test_a_failed_block_leaves_the_old_file(tmp_path: Path, fixed: bool) -> None:
    path, partial = tmp_path / "a", tmp_path / ".a.partial"
    path.write_bytes(b"old")

    def fail() -> None:
        with replacing(path, partial=partial if fixed else None) as fd:
            os.write(fd, b"half")
            assert path.read_bytes() == b"old"
            assert (".a.partial" in names(tmp_path)) == fixed
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_what_a_killed_run_left_is_used_up(tmp_path: Path) -> None:
    path, partial = tmp_path / "a", tmp_path / ".a.partial"
    partial.write_bytes(b"left by a killed run")
    with replacing(path, partial=partial) as fd:
        os.write(fd, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a"]


def test_a_link_in_the_place_of_the_partial_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"precious")
    partial = tmp_path / ".a.partial"
    partial.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError), replacing(tmp_path / "a", partial=partial):
        pass
    assert (tmp_path / "elsewhere").read_bytes() == b"precious"


def test_the_file_is_synced_before_its_name_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "a", list[str]()

    def fsync(fd: int) -> None:
        seen.append(f"{stat.S_ISDIR(os.fstat(fd).st_mode)} {path.exists()}")

    monkeypatch.setattr(os, "fsync", fsync)
    write_durably(path, b"x")
    assert seen == ["False False", "True True"]
    path.unlink()
    with replacing(path, sync=False) as fd:
        os.write(fd, b"x")
    assert seen[2:] == ["False False"]


def test_folders_are_made_durably(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = list[Path]()
    monkeypatch.setattr(disk, "sync_folder", lambda folder: synced.append(Path(folder)))
    make_folder(tmp_path / "a" / "b" / "c", 0o700)
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    assert stat.S_IMODE((tmp_path / "a" / "b" / "c").stat().st_mode) == 0o700
    make_folder(tmp_path / "a" / "b")
    assert len(synced) == 3
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError):
        make_folder(tmp_path / "file")


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with locked(path, mode=0o600):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(StoreError) as caught, locked(path, wait=False):
            pass
        assert caught.value.code == "locked"
        with pytest.raises(InputError), locked(path, wait=False, busy=InputError("in-use", "mine")):
            pass
        with path.open("rb") as other:
            assert not try_lock(other.fileno())
    with locked(path, wait=False):
        pass


def test_a_folder_is_held_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with held(tmp_path / "media"):
        with pytest.raises(StoreError) as caught, held(tmp_path / "media"):
            pass
        assert caught.value.code == "locked"
    assert names(tmp_path / "media") == []

    def no_locks(fd: int) -> bool:
        raise OSError(95, "not supported")

    monkeypatch.setattr(disk, "try_lock", no_locks)
    with held(tmp_path / "media"):
        pass
