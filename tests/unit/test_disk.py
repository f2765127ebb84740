"""Durable files, folders and locks: whole or not at all, and one at a time."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from airgap.base import disk, locks
from airgap.base.disk import make_folder, make_private, mode_in, replacing, write_below, write_durably
from airgap.base.errors import InputError, StoreError
from airgap.base.locks import held, locked, try_lock


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    for data in (b"", b"one", b"x" * (3 << 20)):
        write_durably(path, data, 0o600)
        assert path.read_bytes() == data
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["state.json"]


GONE = InputError("there", "it exists", "choose")


@pytest.mark.parametrize("links", [True, False])
def test_a_new_file_replaces_nothing_also_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "FAT has none")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    write_below(tmp_path, ("in", "a"), b"one", exists=GONE)
    assert (tmp_path / "in/a").read_bytes() == b"one"
    (tmp_path / "in/dead").symlink_to("nowhere")
    for name in ("a", "dead"):
        with pytest.raises(InputError, match="it exists"):
            write_below(tmp_path, ("in", name), b"two", exists=GONE)
    assert (tmp_path / "in/a").read_bytes() == b"one"
    write_below(tmp_path, ("in", "a"), b"three")
    assert (tmp_path / "in/a").read_bytes() == b"three"
    assert names(tmp_path / "in") == ["a", "dead"]


def test_below_a_folder_no_link_is_followed_and_above_it_each_is(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(StoreError):
        write_below(tmp_path, ("link", "a"), b"one")
    assert names(tmp_path / "real") == []
    write_below(tmp_path / "link", ("a",), b"one")
    (tmp_path / "outside").write_bytes(b"old")
    (tmp_path / "real/b").symlink_to("../outside")
    write_below(tmp_path, ("real", "b"), b"new")  # the link itself is replaced
    assert ((tmp_path / "outside").read_bytes(), (tmp_path / "real/b").read_bytes()) == (b"old", b"new")


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
    with replacing(tmp_path / "a", partial=partial):
        pass
    assert (tmp_path / "elsewhere").read_bytes() == b"precious"
    assert names(tmp_path) == ["a", "elsewhere"]


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
    with locked(path):
        assert mode(path) == 0o600
        with pytest.raises(StoreError) as caught, locked(path, wait=False):
            pass
        assert caught.value.code == "locked"
        with pytest.raises(InputError), locked(path, wait=False, busy=InputError("in-use", "mine")):
            pass
        with path.open("rb") as other:
            assert not try_lock(other.fileno())
    with locked(path, wait=False):
        pass


@pytest.mark.parametrize(
    ("folder", "before", "after"),
    [
        (0o755, 0o644, 0o600),
        (0o755, 0o666, 0o600),
        (0o700, 0o644, 0o600),
        (0o750, 0o644, 0o640),
        (0o2775, 0o644, 0o660),
        (0o770, 0o600, 0o660),
    ],
)
def test_a_lock_file_is_closed_to_others(tmp_path: Path, folder: int, before: int, after: int) -> None:
    """Also one of an older version: whoever can open it can hold it. A group that shares the folder shares the lock."""
    tmp_path.chmod(folder)
    path = tmp_path / ".lock"
    path.touch()
    path.chmod(before)
    with locked(path):
        assert mode(path) == after
    os.chown(path, -1, next((group for group in os.getgroups() if group != os.getgid()), -1))
    if path.stat().st_gid != tmp_path.stat().st_gid:
        with locked(path):
            assert mode(path) == 0o600


def test_a_folder_is_held_by_a_file_that_nobody_else_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with held(tmp_path / "media"):
        with pytest.raises(StoreError) as caught, held(tmp_path / "media"):
            pass
        assert caught.value.code == "locked"
        assert [mode(path) for path in (tmp_path / "media").iterdir()] == [0o600]
    assert names(tmp_path / "media") == []
    # The lock of somebody who can only read the folder stops nobody.
    fd = os.open(tmp_path / "media", os.O_RDONLY | os.O_DIRECTORY)
    assert try_lock(fd)
    with held(tmp_path / "media"):
        pass
    os.close(fd)
    # What a killed run left is no lock.
    (tmp_path / "media" / locks.HELD).touch(0o600)
    with held(tmp_path / "media"):
        pass
    assert names(tmp_path / "media") == []

    def no_locks(fd: int) -> bool:
        raise OSError(95, "not supported")

    monkeypatch.setattr(locks, "try_lock", no_locks)
    with held(tmp_path / "media"):
        pass


def test_a_folder_that_its_last_holder_has_left_is_held_by_a_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def late(fd: int) -> bool:
        if not seen:  # it was opened, and is removed before it is locked
            (tmp_path / locks.HELD).unlink()
        seen.append(os.fstat(fd).st_ino)
        return try_lock(fd)

    monkeypatch.setattr(locks, "try_lock", late)
    with held(tmp_path):
        assert (tmp_path / locks.HELD).stat().st_ino == seen[-1]
    assert len(seen) == 2


def test_a_private_folder_is_made_or_closed(tmp_path: Path) -> None:
    assert not make_private(tmp_path / "new/state")
    assert mode(tmp_path / "new/state") == 0o700
    (tmp_path / "new/state").chmod(0o2775)
    assert make_private(tmp_path / "new/state")
    assert mode(tmp_path / "new/state") == 0o2700
    assert not make_private(tmp_path / "new/state")


@pytest.mark.parametrize(("bits", "taken"), [(0o2775, True), (0o2770, True), (0o700, True), (0o777, False)])
def test_a_folder_of_another_account_must_not_be_open_to_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: int, taken: bool
) -> None:
    """A volume that Kubernetes mounts with `fsGroup` belongs to root and to the group of the pod."""
    tmp_path.chmod(bits)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    if taken:
        assert not make_private(tmp_path)
    else:
        with pytest.raises(StoreError, match="folder-open") as caught:
            make_private(tmp_path)
        assert str(tmp_path / "airgap") in caught.value.hint
    assert mode(tmp_path) == bits


def test_a_folder_whose_mode_cannot_be_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_modes(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no modes")

    tmp_path.chmod(0o755)
    monkeypatch.setattr(os, "chmod", no_modes)
    with pytest.raises(StoreError, match="folder-open"):
        make_private(tmp_path)


@pytest.mark.parametrize(("folder", "file"), [(0o700, 0o600), (0o755, 0o644), (0o775, 0o644), (0o750, 0o640)])
def test_a_file_is_as_open_as_its_folder(tmp_path: Path, folder: int, file: int) -> None:
    tmp_path.chmod(folder)
    assert mode_in(tmp_path) == file
