"""The delivery's plan and index: for every size of blobs and volumes."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, TrustError
from airgap.base.progress import Silent
from airgap.content.graph import Descriptor
from airgap.delivery.bundle_journal import BundleJournal
from airgap.delivery.contents import Contents, Root, volume_name
from airgap.delivery.fields import FileSum
from airgap.delivery.index import Index
from airgap.delivery.journey import Evidence, Journey
from airgap.delivery.plan import MIN_VOLUME, Plan, plan_volumes
from airgap.delivery.read import Volumes
from airgap.delivery.write import write_volumes
from airgap.store.memory import Memory
from tests.worlds.effort import cases

SIZES = st.lists(st.integers(0, 300_000), min_size=1, max_size=8)


def _blobs(sizes: list[int]) -> tuple[Memory, list[Descriptor]]:
    memory = Memory()
    blobs = [memory.add("x", f"{n}".encode() * size) for n, size in enumerate(sizes)]
    return memory, list({blob.digest: blob for blob in blobs}.values())


@given(sizes=SIZES, limit=st.integers(MIN_VOLUME, 400_000))
@settings(max_examples=cases(50, 1500))
def test_a_plan_fits_its_volumes_and_places_every_byte_once(sizes: list[int], limit: int) -> None:
    _, blobs = _blobs(sizes)
    plan = plan_volumes(blobs, [], limit)
    assert plan == plan_volumes(blobs, [], limit)
    assert all(volume.size <= limit for volume in plan.volumes)
    for blob in blobs:
        extents = plan.blobs[blob.digest]
        assert sum(extent.length for extent in extents) == blob.size
        assert len(extents) == 1 or blob.size > limit - 2 * 1024 - 1536
    names = [volume_name(number, len(plan.volumes)) for number in range(1, len(plan.volumes) + 1)]
    volumes = tuple(FileSum(name, "0" * 64, volume.size) for name, volume in zip(names, plan.volumes, strict=True))
    index = _index()
    index = replace(index, contents=replace(index.contents, volumes=volumes, blobs=plan.blobs))
    assert Index.decode(index.encode()) == index


@given(sizes=SIZES, limit=st.integers(MIN_VOLUME, 400_000))
@settings(max_examples=cases(10, 250), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_back_and_tar_can_open_it(
    sizes: list[int], limit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    memory, blobs = _blobs(sizes)
    plan = plan_volumes(blobs, [], limit)
    folder = tmp_path_factory.mktemp("media")
    journal = BundleJournal.open(folder, plan, "test")
    written = write_volumes(plan, memory, folder, journal, Silent(), lambda _blob, error: error)
    contents = Contents((), (), tuple(one.plain for one in written), plan.blobs)
    volumes = Volumes(contents, (folder,))
    for blob in blobs:
        with volumes.open(blob) as stream:
            assert Digest.of(stream.read()) == blob.digest
        if blob.size:
            with volumes.open(blob, blob.size - 1) as stream:
                assert len(stream.read()) == 1
    _check_tars(folder, plan)


def _check_tars(folder: Path, plan: Plan) -> None:
    for volume, path in zip(plan.volumes, sorted(folder.glob("vol-*.tar")), strict=True):
        assert path.stat().st_size == volume.size
        with tarfile.open(path) as archive:
            names = archive.getnames()
        assert names == [member.name for member in volume.members]
        assert names[0] == "oci-layout"


def _index() -> Index:
    digest = Digest.of(b"root")
    plan = plan_volumes([Descriptor("x", digest, 4)], [], MIN_VOLUME)
    evidence = Evidence(FileSum("evidence.tar", "0" * 64, 1024), (("https://example.org/v1", digest),))
    journey = Journey(
        "id", "main", 7, "bank", datetime(2026, 11, 23, 10, tzinfo=UTC), datetime(2027, 1, 22, 10, tzinfo=UTC), evidence
    )
    volume = FileSum("vol-0001-of-0001.tar", "1" * 64, plan.volumes[0].size)
    return Index(Contents((digest,), (Root("a", "image", digest),), (volume,), plan.blobs), journey)


def test_an_index_is_read_as_it_was_written() -> None:
    index = _index()
    assert Index.decode(index.encode()) == index


@pytest.mark.parametrize("time", ["2026-11-23T10:00:00Z", "2027-01-22T10:00:00Z"])
@pytest.mark.parametrize("other", ["soon", "2026-11-23", "2026-11-23T10:00:00+00:00"])
def test_a_journey_has_times(time: str, other: str) -> None:
    with pytest.raises(TrustError) as caught:
        Index.decode(_index().encode().replace(time.encode(), other.encode()))
    assert caught.value.code == "bad-journey"


@given(at=st.integers(0, len(_index().encode()) - 1), bit=st.integers(0, 7))
@settings(max_examples=cases(100, 4000))
def test_a_changed_index_is_another_one_or_none(at: int, bit: int) -> None:
    index = _index()
    data = bytearray(index.encode())
    data[at] ^= 1 << bit
    try:
        found = Index.decode(bytes(data))
    except AirgapError:
        return
    assert found != index


@given(data=st.binary(max_size=200))
def test_no_bytes_raise_anything_but_our_errors(data: bytes) -> None:
    with pytest.raises(AirgapError):
        Index.decode(data)


def test_a_volume_cut_anew_is_the_same_file(tmp_path: Path) -> None:
    memory, blobs = _blobs([10, 200_000, 70_000])
    sums = []
    for name in ("one", "two"):
        plan = plan_volumes(blobs, [("root", blobs[0])], 100_000)
        journal = BundleJournal.open(tmp_path / name, plan, "test")
        sums.append(write_volumes(plan, memory, tmp_path / name, journal, Silent(), lambda _b, e: e))
    assert sums[0] == sums[1]


def test_an_interrupted_bundle_goes_on_behind_finished_volumes(tmp_path: Path) -> None:
    memory, blobs = _blobs([10, 250_000, 70_000])
    plan = plan_volumes(blobs, [], 100_000)
    first = BundleJournal.open(tmp_path / "media", plan, "test")
    written = write_volumes(plan, memory, tmp_path / "media", first, Silent(), lambda _b, e: e)
    last = sorted((tmp_path / "media").glob("vol-*.tar"))[-1]
    data = last.read_bytes()
    last.unlink()
    del first.done[last.name]
    first.save()
    again = BundleJournal.open(tmp_path / "media", plan, "test")
    assert write_volumes(plan, memory, tmp_path / "media", again, Silent(), lambda _b, e: e) == written
    assert last.read_bytes() == data
    assert io.BytesIO(data).read(10) == b"oci-layout"
