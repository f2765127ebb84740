"""The layout store: the suite of every target, and what only a disk can do."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import threading
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from airgap.base.errors import InputError, IntegrityError, StoreError
from airgap.content.graph import OCI_INDEX, Descriptor, PutResult
from airgap.store.layout import Layout
from airgap.store.memory import Memory
from tests.suites.target_suite import LAYER, Reopen, TargetSuite, blob, opener


class TestLayout(TargetSuite):
    """One folder, a new handle each time."""

    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Reopen:
        return lambda: Layout(tmp_path / "store", create=True)


class TestMemory(TargetSuite):
    """The same store again: memory has no second handle."""

    @pytest.fixture
    def reopen(self) -> Reopen:
        memory = Memory()
        return lambda: memory


def test_a_partial_blob_is_continued_and_not_fetched_again(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "store", create=True)
    descriptor, data = blob(3 << 20)
    partial = layout.blob_path(descriptor.digest).with_name(f".{descriptor.digest.hex}.partial")
    partial.write_bytes(data[: 2 << 20])
    asked = []

    def from_offset(offset: int) -> io.BytesIO:
        asked.append(offset)
        return io.BytesIO(data[offset:])

    assert layout.put(descriptor, from_offset) is PutResult.WRITTEN
    assert asked == [2 << 20]
    assert layout.blob_path(descriptor.digest).read_bytes() == data
    assert not partial.exists()


@pytest.mark.parametrize("kept", [b"\0" * 1000, b"x" * (4 << 20)], ids=["zeros", "too long"])
def test_a_partial_blob_that_is_wrong_is_fetched_once_more_from_zero(tmp_path: Path, kept: bytes) -> None:
    layout = Layout(tmp_path / "store", create=True)
    descriptor, data = blob(3 << 20)
    layout.blob_path(descriptor.digest).with_name(f".{descriptor.digest.hex}.partial").write_bytes(kept)
    assert layout.put(descriptor, opener(data)) is PutResult.WRITTEN
    assert layout.blob_path(descriptor.digest).read_bytes() == data


def test_a_rejected_blob_leaves_nothing(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "store", create=True)
    descriptor, data = blob(1000)
    with pytest.raises(IntegrityError):
        layout.put(descriptor, opener(data[:-1] + b"?"))
    assert list((tmp_path / "store/blobs/sha256").iterdir()) == []


def _put_many(path: Path, seeds: list[int]) -> None:
    layout = Layout(path, create=True, batch=True)
    for seed in seeds:
        descriptor, data = blob(500, seed)
        layout.put(descriptor, opener(data))
    layout.publish({f"by-{os.getpid()}": Descriptor(LAYER, blob(500, seeds[0])[0].digest, 500)})


def test_processes_that_want_each_others_blobs_do_not_wait_for_ever(tmp_path: Path) -> None:
    seeds = list(range(300))
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_put_many, args=(tmp_path / "store", order))
        for order in (seeds, seeds[::-1], seeds[150:] + seeds[:150])
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    layout = Layout(tmp_path / "store")
    assert len(layout.digests()) == 300
    assert len(layout.roots()) == 3
    assert not list((tmp_path / "store/blobs/sha256").glob(".*"))


def test_threads_that_bring_one_blob_into_a_batch_do_not_wait_for_ever(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "store", create=True, batch=True)
    descriptor, data = blob(500)
    outcomes = []
    second = threading.Thread(target=lambda: outcomes.append(layout.put(descriptor, opener(data))), daemon=True)

    def slowly(offset: int) -> BinaryIO:
        """The first thread holds the partial file until the second one stands before it."""
        second.start()
        second.join(0.3)
        return opener(data)(offset)

    outcomes.append(layout.put(descriptor, slowly))
    second.join(30)
    assert not second.is_alive()
    assert outcomes in ([PutResult.WRITTEN, PutResult.PRESENT], [PutResult.PRESENT, PutResult.WRITTEN])


def test_a_batch_is_there_once_names_are(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "store", create=True, batch=True)
    descriptor, data = blob(500)
    layout.put(descriptor, opener(data))
    assert not layout.blob_path(descriptor.digest).exists()
    layout.publish({"one": descriptor})
    assert layout.blob_path(descriptor.digest).read_bytes() == data


def test_a_full_disk_is_said_and_the_blob_can_be_finished_later(tiny_tmpfs: object) -> None:
    folder = tiny_tmpfs(4 << 20)  # type: ignore[operator]
    layout = Layout(folder / "store", create=True)
    descriptor, data = blob(5 << 20)
    with pytest.raises(StoreError) as caught:
        layout.put(descriptor, opener(data))
    assert caught.value.code == "disk-full"
    assert not layout.has(descriptor)


def test_a_folder_of_someone_else_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(InputError) as caught:
        Layout(tmp_path, create=True)
    assert caught.value.code == "not-empty"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["note.txt"]


@pytest.mark.parametrize("name", ["oci-layout", "index.json"])
def test_a_pipe_in_a_store_of_others_does_not_block(tmp_path: Path, name: str) -> None:
    Layout(tmp_path / "store", create=True)
    (tmp_path / "store" / name).unlink()
    os.mkfifo(tmp_path / "store" / name)
    with pytest.raises((InputError, StoreError), match=r"no-store|not a file"):
        Layout(tmp_path / "store").roots()


def test_a_pipe_in_place_of_a_blob_does_not_block(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "store", create=True)
    blob = Descriptor.of("x", b"x")
    os.mkfifo(layout.blob_path(blob.digest))
    assert not layout.has(blob)
    with pytest.raises(StoreError, match="not a file"):
        layout.open(blob)


def test_the_index_is_written_as_json_writes_it(tmp_path: Path) -> None:
    """What is kept between two writes changes no byte, and what another program wrote meanwhile is not lost."""
    layout = Layout(tmp_path / "store", create=True)
    path = layout.path / "index.json"

    def stored(layout: Layout, name: str) -> Descriptor:
        data = name.encode()
        descriptor = Descriptor.of(OCI_INDEX, data)
        layout.put(descriptor, opener(data))
        return descriptor

    def check() -> dict[str, Any]:
        document = json.loads(path.read_bytes())
        assert path.read_bytes() == json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"
        return dict(document)

    check()
    for name in ("a", "b", "a"):
        layout.publish({name: stored(layout, name)})
        check()
    document = check()
    foreign = {
        "mediaType": OCI_INDEX,
        "digest": f"sha256:{'0' * 64}",
        "size": 2,
        "x": [{"y": "\u2028"}],
        "annotations": {},
    }
    document["manifests"].insert(0, foreign)
    other = path.with_name("other")
    other.write_text(json.dumps(document))
    other.replace(path)
    layout.publish({"c": stored(layout, "c")})
    assert check()["manifests"][0] == foreign
    assert [name for name, _ in layout.roots()] == ["", "b", "a", "c"]
