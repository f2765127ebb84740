"""Layers and archives that hurt who unpacks them are findings, and cost little; what is usual is none."""

from __future__ import annotations

import gzip
import io
import random
import tracemalloc
from pathlib import Path
from typing import BinaryIO, cast

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from airgap.base.digest import Digest
from airgap.base.errors import IntegrityError
from airgap.content.graph import Descriptor
from airgap.content.item import Item
from airgap.content.scan_finding import ScanFinding
from airgap.content.scan_subject import ScanSubject
from airgap.kinds.table import kind_of
from airgap.resources.station import ArchiveLimits
from airgap.scanning.archives import walk as walking
from airgap.scanning.archives.places import plain
from airgap.scanning.archives.scanner import ArchiveScanner
from airgap.scanning.archives.walk import ArchiveWalk
from airgap.store.layout import Layout
from tests.parts.images import CONFIG, LAYER, MANIFEST, digest_of, tar_layer, zipped
from tests.parts.images import Layout as Images
from tests.worlds.hostile_layers import bomb, layers, member, tar_of, usual, zip_of

LIMITS = ArchiveLimits(size=1 << 30, files=10_000, ratio=300, depth=4)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bombs of a test are small."""
    monkeypatch.setattr(walking, "UNSUSPECTED", 64 << 20)


def read(data: bytes, folder: Path, limits: ArchiveLimits = LIMITS) -> tuple[Digest | None, list[ScanFinding]]:
    walk = ArchiveWalk(limits, folder)
    digest = walk.layer(cast("BinaryIO", io.BytesIO(data)))
    return digest, list(walk.notes.findings(None))


def brief(found: list[ScanFinding]) -> list[tuple[str, str, str]]:
    return sorted((str(one.severity), one.id, one.path) for one in found)


@pytest.mark.parametrize(("data", "expected"), [one[1:] for one in layers()], ids=[one[0] for one in layers()])
def test_what_a_layer_hides_is_found(data: bytes, expected: list[tuple[str, str, str]], tmp_path: Path) -> None:
    for packed in (data, gzip.compress(data, 1)):
        digest, found = read(packed, tmp_path)
        kept = [one for one in brief(found) if one != ("low", "world-writable", "usr/share/x")]
        assert kept == expected
        assert digest is None or str(digest) == digest_of(data)
    assert not list(tmp_path.iterdir())


def test_a_bomb_costs_little(tmp_path: Path) -> None:
    data = bomb(160)
    tracemalloc.start()
    _, found = read(data, tmp_path)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert brief(found) == [("critical", "bomb", "")]
    assert used < 8 << 20
    many = tar_of(*(member(f"{number}.tgz", bomb(64)) for number in range(4)))
    assert {one[1] for one in brief(read(many, tmp_path)[1])} == {"bomb"}


def test_there_are_limits_of_size_and_of_members(tmp_path: Path) -> None:
    data = tar_of(*(member(str(number), b"x") for number in range(20)))
    assert brief(read(data, tmp_path, ArchiveLimits(files=10))[1]) == [("high", "too-much", "")]
    packed = gzip.compress(tar_of(member("a", random.randbytes(5000))))
    assert brief(read(packed, tmp_path, ArchiveLimits(size=4000))[1]) == [("critical", "bomb", "")]
    inside = tar_of(member("a.zip", zip_of({str(number): b"" for number in range(20)})))
    assert brief(read(inside, tmp_path, ArchiveLimits(files=10))[1]) == [("low", "bad-archive", "a.zip")]


def test_findings_of_one_rule_are_counted_beyond_the_first(tmp_path: Path) -> None:
    data = tar_of(*(member(f"../{number}", b"x") for number in range(100)))
    _, found = read(data, tmp_path)
    assert len(found) == 21
    assert found[-1].title == "80 more findings of this"


def test_layers_as_others_pack_them(tmp_path: Path) -> None:
    data = usual()
    estargz = b"".join(gzip.compress(data[at : at + 512]) for at in range(0, len(data), 512))
    for packed in (
        zstandard.compress(data),
        zstandard.compress(data[:1024]) + zstandard.compress(data[1024:]),
        estargz,
    ):
        digest, found = read(packed, tmp_path)
        assert (str(digest), found) == (digest_of(data), [])


def subject(images: Images, made: dict[str, object], folder: Path) -> ScanSubject:
    named = images.tag("v1", made)
    root = Descriptor(str(named["mediaType"]), Digest(named["digest"]), int(named["size"]))
    item = Item("example.org/a:v1", "image", "example.org/a:v1", root=root)
    (found,) = kind_of(item).subjects(item, root, Layout(images.folder), folder / "unpacked")
    return found


def test_a_layer_is_read_once_for_all_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = Images(tmp_path / "images")
    base, evil = tar_layer({"a": b"1"}), tar_of(member("../x", b"x"))
    opened: list[Digest] = []
    real = Layout.open

    def counted(self: Layout, blob: Descriptor, offset: int = 0) -> BinaryIO:
        if blob.media_type == LAYER:
            opened.append(blob.digest)
        return real(self, blob, offset)

    monkeypatch.setattr(Layout, "open", counted)
    scanner = ArchiveScanner(LIMITS)
    for number in range(3):
        one = subject(images, images.image(base, evil, tar_layer({str(number): b"x"})), tmp_path)
        (found,) = scanner.scan(one, tmp_path).findings
        assert (found.id, str(found.layer)) == ("path-leaves", digest_of(zipped(evil)))
    assert len(opened) == 5


@pytest.mark.parametrize("said", [["sha256:" + "0" * 64], [], None, ["a", "b"]])
def test_a_layer_that_is_not_what_the_config_says(tmp_path: Path, said: object) -> None:
    images = Images(tmp_path / "images")
    rootfs = {} if said is None else {"rootfs": {"type": "layers", "diff_ids": said}}
    config = {"architecture": "amd64", "os": "linux", **rootfs}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": images.document(config, CONFIG),
        "layers": [images.blob(zipped(tar_layer({"a": b"1"})), LAYER)],
    }
    result = ArchiveScanner(LIMITS).scan(subject(images, images.document(manifest, MANIFEST), tmp_path), tmp_path)
    assert {(str(one.severity), one.id) for one in result.findings} == {("high", "diff-id")}


def test_a_damaged_layer_is_no_answer(tmp_path: Path) -> None:
    images = Images(tmp_path / "images")
    layer = zipped(tar_layer({"a": random.randbytes(3000)}))
    made = subject(images, images.image(tar_layer({"a": b"1"})), tmp_path)
    blob = images.path(digest_of(zipped(tar_layer({"a": b"1"}))))
    blob.chmod(0o600)
    blob.write_bytes(layer[: blob.stat().st_size])
    with pytest.raises(IntegrityError):
        ArchiveScanner(LIMITS).scan(made, tmp_path)


@given(name=st.text(alphabet="ab./", max_size=20))
def test_plain_paths_are_those_of_the_kernel(name: str) -> None:
    parts: list[str] = []
    leaves = False
    for part in name.split("/"):
        if part == "..":
            leaves |= not parts
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    assert plain(name) == ("/".join(parts), leaves)


@given(at=st.integers(0, 8000), new=st.binary(min_size=1, max_size=8), packed=st.booleans())
def test_any_layer_is_answered(at: int, new: bytes, packed: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    good = zipped(usual()) if packed else usual()
    data = good[: at % len(good)] + new + good[at % len(good) + len(new) :]
    read(data, tmp_path_factory.getbasetemp())
