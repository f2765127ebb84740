"""OCI archives as a source: plain, gzipped and zstandard tars, and what is none."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import random
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError, IntegrityError, NotFoundError
from airgap.content.graph import Descriptor, Node, descriptor_from, read_verified, walk
from airgap.store.archive import Archive
from tests.parts.images import Layout

PACKED: dict[str, Callable[[bytes], bytes]] = {
    "image.tar": lambda data: data,
    "image.tar.gz": gzip.compress,
    "image.tar.zst": lambda data: zstandard.ZstdCompressor().compress(data),
    "misnamed.tar": gzip.compress,  # what it is shows in its bytes
}


def tar(
    folder: Path, *, prefix: str = "", blobs_last: bool = False, add: Callable[[tarfile.TarFile], None] | None = None
) -> bytes:
    """A tar of all files below a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted((path for path in folder.rglob("*") if path.is_file()), reverse=blobs_last):
            archive.add(path, prefix + str(path.relative_to(folder)))
        if add is not None:
            add(archive)
    return buffer.getvalue()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A layout with an image of a big layer under the tag v1."""
    made = Layout(tmp_path / "made")
    made.tag("v1", made.image({"a": random.Random(1).randbytes(500_000)}))
    return made


@pytest.fixture(params=PACKED)
def archive(request: pytest.FixtureRequest, layout: Layout, tmp_path: Path) -> Iterator[Archive]:
    path = tmp_path / request.param
    path.write_bytes(PACKED[request.param](tar(layout.folder)))
    spool = tmp_path / "spool"
    spool.mkdir()
    made = Archive(path, spool)
    yield made
    made.close()


def test_names_and_blobs_are_those_of_the_layout(archive: Archive, layout: Layout) -> None:
    [(name, root)] = archive.roots()
    [entry] = layout.entries()
    assert (name, str(root.digest)) == ("v1", entry["digest"])
    blobs = [found.descriptor if isinstance(found, Node) else found for found in walk(archive, root)]
    assert len(blobs) == 3
    for blob in blobs:
        assert archive.has(blob)
        assert read_verified(archive, blob, limit=blob.size) == layout.read(str(blob.digest))
    assert {blob.digest for blob in archive.digests()} == {blob.digest for blob in blobs}


def test_a_blob_is_read_from_an_offset_to_its_end(archive: Archive, layout: Layout) -> None:
    for blob in archive.digests():
        data = layout.read(str(blob.digest))
        for offset in (0, 1, len(data) // 2, len(data), len(data) + 5):
            with archive.open(blob, offset) as stream:
                assert stream.read() == data[offset:]


def test_several_read_at_once(archive: Archive, layout: Layout) -> None:
    blob = max(archive.digests(), key=lambda one: one.size)
    data = layout.read(str(blob.digest))
    with archive.open(blob) as one, archive.open(blob, 1000) as two:
        for start in range(0, 5000, 100):
            assert one.read(100) == data[start : start + 100]
            assert two.read(100) == data[1000 + start : 1100 + start]


def test_what_is_not_there_is_said_so(archive: Archive) -> None:
    [(_, root)] = archive.roots()
    missing = Descriptor("", Digest.of(b"nobody"), 6)
    assert not archive.has(missing)
    with pytest.raises(NotFoundError):
        archive.open(missing)
    assert not archive.has(Descriptor(root.media_type, root.digest, root.size + 1))


def test_an_unpacked_copy_leaves_nothing_behind(archive: Archive, tmp_path: Path) -> None:
    assert archive.digests()
    assert list((tmp_path / "spool").iterdir()) == []  # it never had a name


def test_names_may_begin_with_a_dot(layout: Layout, tmp_path: Path) -> None:
    path = tmp_path / "dot.tar"
    path.write_bytes(tar(layout.folder, prefix="./"))
    with contextlib.closing(Archive(path)) as archive:
        [(name, root)] = archive.roots()
        assert name == "v1"
        assert archive.has(root)


def test_links_are_not_blobs(layout: Layout, tmp_path: Path) -> None:
    digest = Digest.of(b"secret")

    def link(archive: tarfile.TarFile) -> None:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            info = tarfile.TarInfo(f"blobs/sha256/{digest.hex}")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)

    path = tmp_path / "link.tar"
    path.write_bytes(tar(layout.folder, add=link))
    with contextlib.closing(Archive(path)) as made:
        assert digest not in {blob.digest for blob in made.digests()}


def test_bytes_that_are_not_their_digests_are_found_when_read(layout: Layout, tmp_path: Path) -> None:
    [entry] = layout.entries()
    data = layout.read(entry["digest"])
    layout.path(entry["digest"]).write_bytes(data[:-1] + b" ")
    path = tmp_path / "damaged.tar"
    path.write_bytes(tar(layout.folder))
    with contextlib.closing(Archive(path)) as archive, pytest.raises(IntegrityError):
        list(walk(archive, descriptor_from(entry, "here")))


@pytest.mark.parametrize("name", list(PACKED))
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("blobs_last", [False, True])
def test_an_archive_that_was_cut_is_refused_or_lacks_what_it_lost(
    layout: Layout, tmp_path: Path, name: str, share: float, blobs_last: bool
) -> None:
    data = PACKED[name](tar(layout.folder, blobs_last=blobs_last))
    path = tmp_path / name
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(AirgapError) as caught:
        read_whole(path)
    assert caught.value.exit_code in (2, 4, 5)


def read_whole(path: Path) -> None:
    """Reads all that the names of an archive stand for."""
    with contextlib.closing(Archive(path, path.parent)) as archive:
        for _, root in archive.roots():
            for found in walk(archive, root):
                if isinstance(found, Descriptor):
                    read_verified(archive, found, limit=found.size)


NONE = {
    "nothing": b"",
    "text": b"hello\n" * 1000,
    "gzipped text": gzip.compress(b"hello\n" * 1000),
    "broken gzip": b"\x1f\x8b" + b"x" * 2000,
    "broken zstd": b"\x28\xb5\x2f\xfd" + b"x" * 2000,
}


@pytest.mark.parametrize("data", NONE.values(), ids=NONE.keys())
def test_another_file_is_no_archive(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        Archive(path, tmp_path)
    assert caught.value.code == "bad-archive"


def test_what_docker_saves_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/manifest.json").write_text("[]")
    path = tmp_path / "saved.tar"
    path.write_bytes(tar(tmp_path / "saved"))
    with pytest.raises(InputError) as caught:
        Archive(path)
    assert "docker-archive" in caught.value.hint


@pytest.mark.parametrize("index", [{}, [], {"manifests": {}}, {"manifests": [{"digest": "x"}]}])
def test_an_index_that_is_none_is_refused(layout: Layout, tmp_path: Path, index: object) -> None:
    (layout.folder / "index.json").write_text(json.dumps(index))
    path = tmp_path / "x.tar"
    path.write_bytes(tar(layout.folder))
    with pytest.raises(IntegrityError):
        Archive(path)


def test_a_path_that_leads_nowhere_is_the_users_to_mend(tmp_path: Path) -> None:
    for path in (tmp_path / "none.tar", tmp_path):
        with pytest.raises(InputError) as caught:
            Archive(path)
        assert caught.value.code == "no-archive"


@pytest.mark.parametrize("pack", [gzip.compress, PACKED["image.tar.zst"]], ids=["gzip", "zstd"])
def test_an_archive_that_unpacks_to_much_more_than_it_is_fills_no_disk(
    pack: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airgap.store.archive.UNSUSPECTED", 1 << 20)
    path = tmp_path / "zeros.tar"
    path.write_bytes(pack(bytes(20 << 20)))
    with pytest.raises(IntegrityError, match="unpacks to more than") as caught:
        Archive(path, tmp_path)
    assert "unpack it yourself" in caught.value.hint
