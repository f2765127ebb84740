"""Room is asked for before anything is written: by what is spooled, and by what is taken out."""

from __future__ import annotations

import gzip
import os
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from airgap.base.errors import StoreError
from airgap.jobs.extract import ExtractOptions, extract
from airgap.jobs.offer import OfferOptions
from airgap.store.archive import Archive
from airgap.store.engine import EngineImage
from tests.parts.engine import Engine
from tests.parts.images import Layout, make_image
from tests.worlds.surroundings import quiet

TinyTmpfs = Callable[[int], Path]


def large(folder: Path) -> Path:
    """A layout with an image of 3 MiB that do not shrink."""
    make_image(folder, layers=[{"random": os.urandom(3 << 20)}])
    return folder


def full(caught: pytest.ExceptionInfo[StoreError], folder: Path) -> None:
    assert caught.value.code == "disk-full"
    assert "nothing was written" in caught.value.hint
    assert list(folder.iterdir()) == []


def test_a_compressed_archive_is_not_unpacked_where_there_is_no_room(tmp_path: Path, tiny_tmpfs: TinyTmpfs) -> None:
    spool = tiny_tmpfs(1 << 20)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(large(tmp_path / "layout"), "")
    packed = tmp_path / "a.tar.gz"
    packed.write_bytes(gzip.compress((tmp_path / "a.tar").read_bytes(), 1))
    with pytest.raises(StoreError) as caught:
        Archive(packed, spool)
    full(caught, spool)
    # A plain one is read where it lies.
    with closing(Archive(tmp_path / "a.tar", spool)) as plain:
        assert plain.roots()


@pytest.mark.part("podman")
def test_an_engine_is_not_asked_for_an_image_that_has_no_room(
    tmp_path: Path, tiny_tmpfs: TinyTmpfs, podman_api: Engine
) -> None:
    spool = tiny_tmpfs(1 << 20)
    layout = Layout(large(tmp_path / "layout"))
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(layout.folder, "")
    image = podman_api.load(tmp_path / "a.tar")
    podman_api.podman("tag", image, "localhost/large:1")
    with pytest.raises(StoreError) as caught:
        EngineImage("localhost/large:1", spool, podman_api.docker_host)
    full(caught, spool)
    with closing(EngineImage("localhost/large:1", tmp_path, podman_api.docker_host)) as found:
        assert found.roots()


@pytest.mark.parametrize("to", ["out", "out.tar"])
def test_nothing_is_taken_out_where_there_is_no_room(tmp_path: Path, tiny_tmpfs: TinyTmpfs, to: str) -> None:
    folder = tiny_tmpfs(1 << 20)
    with pytest.raises(StoreError) as caught:
        extract(ExtractOptions(OfferOptions(large(tmp_path / "layout")), ("v1",), folder / to), quiet(tmp_path))
    full(caught, folder)
