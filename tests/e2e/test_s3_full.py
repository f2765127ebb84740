"""S3 services whose disk is full: real small disks, and every answer that MinIO and SeaweedFS give then.

MinIO has five, depending on where it notices: 507 XMinioStorageFull, 500 InternalError with the system's words,
400 IncompleteBody, 404 NoSuchUpload for an upload that is there, and with several drives 503 SlowDownWrite.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from airgap.base.errors import UpstreamError
from airgap.base.progress import Silent
from airgap.content.forms import ChangeOutcome, Tree
from airgap.destinations.base import Run
from airgap.destinations.s3 import S3Destination
from airgap.destinations.s3 import client as s3_client
from tests.parts.fixtures import MakeProxy
from tests.parts.need import require_root
from tests.parts.s3 import S3Service, start_minio, start_seaweedfs
from tests.parts.system import mount_tmpfs, unmount
from tests.suites.destination_suite import carry, outcomes, tree
from tests.worlds.s3 import PART, S3Place, big, s3_config

pytestmark = pytest.mark.e2e

MIB = 1 << 20
DISK = 64 * MIB
Mount = Callable[[int], Path]


@dataclass(frozen=True, slots=True)
class FullDisk:
    """A MinIO of its own with one drive of 64 MiB, and a file that takes room on it."""

    place: S3Place
    disk: Path

    def leave(self, room: int) -> None:
        """Leaves that many bytes, just after MinIO has looked how many there are."""
        self.place.plant("models", "looked", b"1")
        status = os.statvfs(self.disk)
        ballast = status.f_bavail * status.f_frsize - room
        with (self.disk / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, ballast)

    def make_room(self) -> None:
        """Takes the file away."""
        (self.disk / "ballast").unlink()


@pytest.fixture
def full_disk(tmp_path: Path, stack: ExitStack, tiny_tmpfs: Mount) -> Iterator[FullDisk]:
    require_root("mounting a small disk")
    disk = tiny_tmpfs(DISK)
    service = start_minio(tmp_path, disk)
    stack.callback(service.stop)
    client = service.client()
    config = s3_config(service, tmp_path, {"models": service.new_bucket()})
    yield FullDisk(S3Place(service, config, tmp_path / "journals", client), disk)
    client.close()


def transferred(destination: S3Destination, form: Tree) -> bool:
    """Whether all of it arrives, tried until MinIO has looked at its disk again, as it does now and then."""
    for _ in range(60):
        if not destination.transfer([form]):
            return True
        time.sleep(1)
    return False


def test_a_full_server_says_so_and_is_finished_later(full_disk: FullDisk, tmp_path: Path) -> None:
    destination = full_disk.place.make(Run(Silent(), jobs=1))
    form = tree({f"{number}": os.urandom(20 * MIB) for number in range(4)})
    [error] = destination.transfer([form]).values()
    assert isinstance(error, UpstreamError)
    assert error.code == "destination-full"
    subprocess.run(["mount", "-o", "remount,size=256m", str(full_disk.disk)], check=True)
    assert transferred(destination, form)
    assert outcomes(carry(destination, form)) <= {ChangeOutcome.WRITTEN, ChangeOutcome.PRESENT}


# Objects, or last parts, under 1 MiB are written at once: that falls short, where longer ones fail.
SIZES = [1_000_000, 2 * PART + 1_000_000, 12_000_001]


@pytest.mark.parametrize("missing", [400_000, 1_000_000, 3_000_000])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("parts", [False, True], ids=["whole", "parts"])
def test_whatever_is_left_of_the_disk_it_is_said_to_be_full(
    full_disk: FullDisk, size: int, missing: int, parts: bool
) -> None:
    place = full_disk.place
    full_disk.leave(max(0, size - missing))
    run = Run(Silent(), jobs=1)
    destination = place.in_parts(run) if parts else place.make(run)
    form = tree({"weights": big(size)})
    [error] = destination.transfer([form]).values()
    assert isinstance(error, UpstreamError)
    # MinIO may call each attempt incomplete, if it never looks at its disk in time: then the hint names the disks.
    assert error.code in ("destination-full", "cut-request")
    assert "free space" in error.hint
    assert "acme/mini/r1/weights" not in place.listing("models")
    full_disk.make_room()
    assert transferred(destination, form)
    assert outcomes(carry(destination, form)) <= {ChangeOutcome.WRITTEN, ChangeOutcome.PRESENT}
    assert place.read("models", "acme/mini/r1/weights") == big(size)
    assert place.uploads() == 0
    assert list(place.journals.glob("*.jsonl")) == []


def refused_at_last(service: S3Service, folder: Path, count: int) -> UpstreamError:
    """The refusal of a service that is given objects of 1 MB until it takes no more."""
    config = s3_config(service, folder, {"models": service.new_bucket()})
    destination = S3Destination(config, folder / "journals", Run(Silent(), jobs=1))
    form = tree({f"{number}": os.urandom(1_000_000) for number in range(count)})
    [error] = destination.transfer([form]).values()
    assert isinstance(error, UpstreamError)
    return error


def test_full_drives_of_a_set_say_so(tmp_path: Path, stack: ExitStack) -> None:
    require_root("mounting small disks")
    for number in range(1, 5):
        drive = tmp_path / f"drive{number}"
        drive.mkdir()
        mount_tmpfs(drive, 24 * MIB)
        stack.callback(unmount, drive)
    service = start_minio(tmp_path, tmp_path / "drive{1...4}")
    stack.callback(service.stop)
    error = refused_at_last(service, tmp_path, 60)
    # For the first second it says only that too few drives can be written.
    assert error.code in ("destination-full", "not-writable")
    assert "full" in error.hint


def test_a_full_seaweedfs_gives_no_reason_and_is_told_to_be_looked_at(
    tmp_path: Path, stack: ExitStack, tiny_tmpfs: Mount
) -> None:
    require_root("mounting a small disk")
    service = start_seaweedfs(tiny_tmpfs(DISK))
    stack.callback(service.stop)
    error = refused_at_last(service, tmp_path, 100)
    assert error.code == "server-error"
    assert "disks are full" in error.hint


def test_a_put_that_is_called_incomplete_is_sent_again(
    full_disk: FullDisk, fault_proxy: MakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = fault_proxy(full_disk.place.service.endpoint)
    body = b"<Error><Code>IncompleteBody</Code><Message>short</Message></Error>"
    proxy.fault("PUT", r"/one$", times=1, status=400, body=body)
    place = full_disk.place
    destination = place.in_parts(endpoint=proxy.url)
    assert outcomes(carry(destination, tree({"one": big(PART)}))) == {ChangeOutcome.WRITTEN}
    assert place.read("models", "acme/mini/r1/one") == big(PART)
    monkeypatch.setattr(s3_client, "ASK_AGAIN", 0.1)
    proxy.fault("PUT", r"/two$", status=400, body=body)
    [error] = destination.transfer([tree({"two": big(PART)})]).values()
    assert error.code == "cut-request"
    assert proxy.count("PUT", r"/two$") == s3_client.ATTEMPTS
