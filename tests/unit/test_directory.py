"""The embedded Sovereign's objects."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from airgap.base.errors import StoreError
from airgap.base.progress import Silent
from airgap.content.forms import ChangeOutcome
from airgap.destinations.base import Run
from airgap.destinations.trees.directory import DirectoryDestination
from tests.suites.destination_suite import DestinationSuite, carry, outcomes, tree


class DirectoryPlace:
    """A directory, and what is really in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def make(self, run: Run) -> DirectoryDestination:
        return DirectoryDestination(self.root, run)

    def at(self, prefix: str) -> str:
        return f"models/{prefix}" if prefix else "models"

    def path(self, bucket: str, key: str) -> Path:
        return self.root / "objects" / bucket / key

    def read(self, bucket: str, key: str) -> bytes | None:
        path = self.path(bucket, key)
        return path.read_bytes() if path.is_file() else None

    def plant(self, bucket: str, key: str, data: bytes) -> None:
        path = self.path(bucket, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def remove(self, bucket: str, key: str) -> None:
        self.path(bucket, key).unlink()

    def listing(self, bucket: str) -> set[str]:
        top = self.root / "objects" / bucket
        return {str(path.relative_to(top)) for path in top.rglob("*") if not path.is_dir()}


@pytest.fixture
def place(tmp_path: Path) -> DirectoryPlace:
    return DirectoryPlace(tmp_path / "sovereign")


@pytest.fixture
def run() -> Run:
    return Run(Silent(), jobs=2)


class TestDirectory(DestinationSuite):
    """The suite."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> DirectoryPlace:
        return DirectoryPlace(tmp_path / "sovereign")


def test_looking_makes_no_folder(place: DirectoryPlace, run: Run) -> None:
    place.make(run).plan(tree())
    assert not place.root.exists()


@pytest.mark.parametrize("where", ["acme", "acme/mini/r1", "acme/mini/r1/config.json"])
def test_links_below_the_root_are_refused(place: DirectoryPlace, run: Run, tmp_path: Path, where: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = place.path("models", where)
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(StoreError) as caught:
        place.make(run).plan(tree())
    assert caught.value.code == "symlink"
    failed = place.make(run).transfer([tree()])
    assert [error.code for error in failed.values()] == ["symlink"]
    assert list(outside.iterdir()) == []


def test_a_named_pipe_is_not_waited_for(place: DirectoryPlace, run: Run) -> None:
    pipe = place.path("models", "acme/mini/r1/config.json")
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    with pytest.raises(StoreError, match="not a plain file"):
        place.make(run).plan(tree())


def test_a_link_and_a_file_among_the_buckets_are_listed(place: DirectoryPlace, run: Run) -> None:
    carry(place.make(run), tree({"one": b"1"}))
    place.path("models", "acme/mini/r1/link").symlink_to("/etc")
    (place.root / "objects/stray").write_text("no bucket")
    listed = {(one.at, one.name) for one in place.make(run).contents(())}
    assert {("models", "acme/mini/r1/link"), ("stray", "")} < listed


def test_too_little_room_is_said_before_writing(
    place: DirectoryPlace, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fstatvfs
    monkeypatch.setattr(os, "fstatvfs", lambda fd: os.statvfs_result((*real(fd)[:4], 0, *real(fd)[5:])))
    [error] = place.make(run).transfer([tree({"one": b"1"})]).values()
    assert error.code == "disk-full"
    assert "needs 1 bytes, but only 0 are free" in error.what
    assert place.listing("models") == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_fills_up_leaves_nothing_half(tmp_path: Path, run: Run) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        place = DirectoryPlace(disk / "sovereign")
        form = tree({name: os.urandom(1 << 20) for name in "abcdef"})
        [error] = place.make(run).transfer([form]).values()
        assert isinstance(error, StoreError)
        assert error.code == "disk-full"
        assert 0 < len(place.listing("models")) < 6
        assert not [key for key in place.listing("models") if ".airgap" in key]
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
        assert outcomes(carry(place.make(run), form)) == {ChangeOutcome.WRITTEN, ChangeOutcome.PRESENT}
    finally:
        subprocess.run(["umount", disk], check=True)


def test_what_a_killed_run_left_is_used_up(place: DirectoryPlace, run: Run) -> None:
    child = os.fork()
    if child == 0:  # dies in the middle of a file
        os.fsync = lambda fd: os.kill(os.getpid(), 9)
        os.mkdir(place.root)
        place.make(Run(Silent(), jobs=1)).transfer([tree({"one": b"1"})])
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    assert place.read("models", "acme/mini/r1/one") is None
    carry(place.make(run), tree({"one": b"1"}))
    assert place.listing("models") == {"acme/mini/r1/one", "acme/mini/refs/main"}


def test_a_file_that_another_run_writes_is_left_alone(place: DirectoryPlace, run: Run) -> None:
    form = tree({"one": b"1"}, pointer=False)
    held: list[str] = []

    class Nested(type(form.source)):  # type: ignore[misc]
        """Starts a second run while the first has the file open."""

        def open(self, descriptor, offset=0):  # type: ignore[no-untyped-def]
            if not held:
                held.append("once")
                second = tree({"one": b"1"}, pointer=False)
                [change] = carry(place.make(run), second)
                held.append(change.reason)
            return super().open(descriptor, offset)

    nested = Nested()
    nested.add("application/octet-stream", b"1")
    object.__setattr__(form, "source", nested)
    assert outcomes(carry(place.make(run), form)) == {ChangeOutcome.WRITTEN}
    assert "in-use" in held[1]


def test_no_rights_is_our_own_error(place: DirectoryPlace, run: Run) -> None:
    place.root.parent.mkdir(exist_ok=True)
    place.root.write_text("a file, not a folder")
    [error] = place.make(run).transfer([tree({"one": b"1"})]).values()
    assert isinstance(error, StoreError)
    assert os.strerror(errno.ENOTDIR) in error.what or os.strerror(errno.EEXIST) in error.what
