"""`airgap.delivery.copy`: what counts as copied was read back, and a folder of something else is left alone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import DamageError, InputError, NotFoundError, StoreError
from airgap.base.media import FileSystem, ReadBack, file_system
from airgap.base.progress import Silent
from airgap.delivery import copy
from airgap.delivery.copy import UNFINISHED, CopiedFiles, Small, check_medium, check_place, copy_files, signature_files
from airgap.delivery.fields import FileSum

DELIVERY = Digest.of(b"a delivery")
SMALL = (Small(("signatures", "exporter.sigstore.json"), b"{}"), Small(("AIRGAP.json",), b"index"))


class Meddling(Silent):
    """Does something at the beginning of a phase, as a bad stick would."""

    def __init__(self, phase: str, work: Callable[[], object]) -> None:
        self.phase, self.work = phase, work

    def start(self, what: str, total_bytes: int, total_items: int = 0) -> None:
        """Once."""
        if what == self.phase:
            self.work()


@pytest.fixture
def files(tmp_path: Path) -> list[FileSum]:
    made = []
    (tmp_path / "from").mkdir()
    for number, size in enumerate((3_000_001, 0, 512), 1):
        data = os.urandom(size)
        (tmp_path / "from" / f"vol-{number}").write_bytes(data)
        made.append(FileSum(f"vol-{number}", hashlib.sha256(data).hexdigest(), size))
    return made


def _copy(folder: Path, files: list[FileSum], progress: Silent | None = None) -> CopiedFiles:
    return copy_files([folder / "none", folder / "from"], files, SMALL, folder / "to", DELIVERY, progress or Silent())


def test_everything_is_copied_and_read_back_and_a_second_run_only_reads(tmp_path: Path, files: list[FileSum]) -> None:
    done = _copy(tmp_path, files)
    assert set(done.files.values()) == {"written"}
    names = {path.relative_to(tmp_path / "to").as_posix() for path in (tmp_path / "to").rglob("*") if path.is_file()}
    assert names == {*(one.name for one in files), "signatures/exporter.sigstore.json", "AIRGAP.json"}
    before = (tmp_path / "to" / "vol-1").stat().st_ino
    assert {_copy(tmp_path, files).files[one.name] for one in files} == {"present"}
    assert (tmp_path / "to" / "vol-1").stat().st_ino == before


def test_a_byte_that_the_medium_does_not_keep_is_found_and_the_next_run_mends_it(
    tmp_path: Path, files: list[FileSum]
) -> None:
    def flip() -> None:
        with (tmp_path / "to" / "vol-1").open("r+b") as file:
            file.seek(2_000_000)
            byte = file.read(1)
            file.seek(2_000_000)
            file.write(bytes([byte[0] ^ 1]))
            file.flush()
            os.fsync(file.fileno())

    done = _copy(tmp_path, files, Meddling("read back", flip))
    assert done.bad == ["vol-1"]
    assert (tmp_path / "to" / UNFINISHED).exists()
    again = _copy(tmp_path, files)
    assert not again.bad
    assert again.files["vol-1"] == "written"
    assert not (tmp_path / "to" / UNFINISHED).exists()


def test_a_source_that_is_damaged_or_absent_is_named_and_no_file_gets_its_name(
    tmp_path: Path, files: list[FileSum]
) -> None:
    (tmp_path / "from" / "vol-3").write_bytes(b"\0" * 512)
    with pytest.raises(DamageError) as damaged:
        _copy(tmp_path, files)
    assert damaged.value.code == "damaged-file"
    (tmp_path / "from" / "vol-3").unlink()
    with pytest.raises(NotFoundError) as absent:
        _copy(tmp_path, files)
    assert absent.value.code == "file-missing"
    assert not (tmp_path / "to" / "vol-3").exists()
    assert not (tmp_path / "to" / "AIRGAP.json").exists()


def test_links_and_pipes_on_the_medium_lead_nowhere(tmp_path: Path, files: list[FileSum]) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "kept").write_bytes(b"kept")
    os.mkfifo(tmp_path / "to" / ".vol-1.partial")
    (tmp_path / "to" / ".vol-2.partial").symlink_to(tmp_path / "other" / "kept")
    (tmp_path / "to" / ".vol-3.partial").hardlink_to(tmp_path / "other" / "kept")
    _copy(tmp_path, files)
    assert (tmp_path / "other" / "kept").read_bytes() == b"kept"
    signatures = tmp_path / "to" / "signatures"
    signatures.rename(tmp_path / "moved")
    signatures.symlink_to(tmp_path / "other")
    with pytest.raises(InputError) as caught:
        check_place(tmp_path / "to", Digest.of(b"index"))
    assert caught.value.code == "bad-path"
    with pytest.raises(StoreError):
        _copy(tmp_path, files)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["kept"]


def test_a_link_at_the_source_is_not_followed(tmp_path: Path, files: list[FileSum]) -> None:
    (tmp_path / "from" / "vol-2").unlink()
    (tmp_path / "from" / "vol-2").symlink_to("/dev/null")
    with pytest.raises(NotFoundError):
        _copy(tmp_path, files)


def test_a_folder_of_something_else_is_refused_and_what_systems_leave_is_not(tmp_path: Path) -> None:
    check_place(tmp_path / "new", DELIVERY)
    stick = tmp_path / "stick"
    stick.mkdir()
    for name in ("System Volume Information", ".Trash-0", "lost+found"):
        (stick / name).mkdir()
    check_place(stick, DELIVERY)
    (stick / "AIRGAP.json").write_bytes(b"a delivery")
    check_place(stick, DELIVERY)
    for name, data in (("AIRGAP.json", b"another one"), ("letter.txt", b"")):
        (stick / "AIRGAP.json").unlink(missing_ok=True)
        (stick / name).write_bytes(data)
        with pytest.raises(InputError) as caught:
            check_place(stick, DELIVERY)
        assert caught.value.code == "not-empty"
    (tmp_path / "link").symlink_to(stick)
    with pytest.raises(InputError):
        check_place(tmp_path / "link", DELIVERY)


def test_the_names_of_signatures_are_such_that_fat_holds_them_all() -> None:
    given = {"a:b.sigstore.json": b"1", "A-B.sigstore.json": b"2", "a-b.sigstore.json (/media/x)": b"3", "é?": b"4"}
    made = signature_files(given)
    names = [one.names[1] for one in made]
    assert len(set(map(str.lower, names))) == 4
    assert all(name.isascii() and not set(name) & set('"*/:<>?\\|') for name in names)
    assert {one.data for one in made} == {b"1", b"2", b"3", b"4"}


def test_a_volume_that_is_too_large_for_fat_is_refused_before_it_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's word for the type is taken from elsewhere: no FAT with 4 GiB is made for this."""
    monkeypatch.setattr(copy, "file_system", lambda folder: FileSystem("vfat", folder, "/dev/sdb1"))
    check_medium(tmp_path, [FileSum("vol-1", "0" * 64, (4 << 30) - 1)])
    with pytest.raises(InputError) as caught:
        check_medium(tmp_path, [FileSum("vol-1", "0" * 64, 4 << 30)])
    assert caught.value.code == "file-too-large"


def test_the_file_system_of_a_folder_that_is_not_there_yet_is_its_parents(tmp_path: Path) -> None:
    assert file_system(tmp_path / "a" / "b") == file_system(tmp_path)
    assert file_system(Path("/proc/self")).type == "proc"


def test_what_is_read_back_is_the_whole_file(tmp_path: Path) -> None:
    for size in (0, 1, 4096, (1 << 20) + 1):
        data = os.urandom(size)
        (tmp_path / "file").write_bytes(data)
        assert b"".join(map(bytes, ReadBack(tmp_path / "file").pieces())) == data
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(StoreError):
        list(ReadBack(tmp_path / "link").pieces())
