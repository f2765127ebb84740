"""Databases of scanners in a store: recognized, bounded, unpacked once, checked before use, dated."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airgap.base.errors import AirgapError
from airgap.content.graph import Descriptor, read_node
from airgap.content.item import Item
from airgap.kinds.subjects import graph_subjects
from airgap.scanning.coverage import CoverageScanner
from airgap.scanning.databases import read, unpacked
from airgap.scanning.databases.read import artifact_of, read_info
from airgap.scanning.databases.unpacked import Databases
from airgap.store.layout import Layout as Store
from tests.parts.images import Layout, zipped
from tests.worlds import scanner_databases as world

WANTED = {"trivy-db": world.DB, "trivy-java-db": world.JAVA, "trivy-checks": world.CHECKS}


@pytest.fixture(name="made")
def make(tmp_path: Path) -> Layout:
    """A layout with the three databases."""
    return world.three(tmp_path / "store")


def opened(made: Layout, wanted: dict[str, str] | None = None) -> Databases:
    """The databases as a station opens them."""
    return Databases.open(Store(made.folder), wanted or WANTED, made.folder.parent / "databases")


def refused(made: Layout, wanted: dict[str, str] | None = None) -> AirgapError:
    """What is wrong with them. Nothing is left behind."""
    with pytest.raises(AirgapError) as caught:
        opened(made, wanted)
    kept = made.folder.parent / "databases"
    left = [path.name for path in kept.rglob("*")] if kept.exists() else []
    assert not [name for name in left if not name.endswith(".lock")]
    return caught.value


def trivy_db(made: Layout, content: bytes | dict[str, bytes]) -> dict[str, str]:
    """Puts this in the place of trivy-db."""
    made.tag(world.DB, world.artifact(made, world.DB_LAYER, content))
    return {"trivy-db": world.DB}


def test_they_are_found_by_name_and_say_their_date(made: Layout) -> None:
    """In the order of their types, with the date of the artifact where it has no metadata.json."""
    found = opened(made)
    assert [(one.type.name, one.version, one.updated) for one in found.infos] == [
        ("trivy-db", "2", world.WHEN),
        ("trivy-java-db", "1", world.WHEN),
        ("trivy-checks", "2.1.0", world.WHEN),
    ]
    assert [one.name for one in found.records] == ["trivy-checks", "trivy-db", "trivy-java-db"]
    roots = {name: str(one.digest) for name, one in Store(made.folder).roots()}
    assert [str(one.digest) for one in found.records] == [roots[world.CHECKS], roots[world.DB], roots[world.JAVA]]


def test_the_folder_is_a_cache_of_trivy(made: Layout, tmp_path: Path) -> None:
    """`link_into` makes what `--cache-dir` names; the files are read-only, and closed to others."""
    cache = tmp_path / "cache"
    cache.mkdir()
    opened(made).link_into(cache)
    assert (cache / "db/trivy.db").read_bytes() == b"advisories"
    assert json.loads((cache / "java-db/metadata.json").read_bytes())["Version"] == 1
    assert (cache / "policy/content/policies/kubernetes/policies/root.rego").read_bytes() == world.CHECK
    assert (cache / "db/trivy.db").stat().st_mode & 0o777 == 0o400
    assert (cache / "db/trivy.db").resolve().parent.stat().st_mode & 0o777 == 0o500
    assert not (cache / "policy/content").is_symlink()
    assert (tmp_path / "databases").stat().st_mode & 0o777 == 0o700


def test_each_digest_is_unpacked_once(made: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run reads no layer; `ready` hashes what is there."""
    opened(made)
    monkeypatch.setattr(unpacked, "read_files", None)
    assert len(opened(made).ready()) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "trivy.db").write_bytes(b"Advisories"),
        lambda folder: (folder / "trivy.db").unlink(),
        lambda folder: (folder / "more").write_bytes(b""),
        lambda folder: (folder / "metadata.json").write_bytes(world.metadata(world.WHEN + timedelta(days=99))),
        lambda folder: folder.with_suffix(".json").write_bytes(b"{"),
        lambda folder: folder.with_suffix(".json").write_bytes(b'{"files": {}}'),
    ],
)
def test_what_changed_is_unpacked_again(made: Layout, change: Callable[[Path], object]) -> None:
    """Also what changes while the databases are open: nothing of it is used, and no date of it is believed."""
    wanted = {"trivy-db": world.DB}
    [one] = opened(made, wanted).ready()
    again = opened(made, wanted)
    os.chmod(one.folder, 0o700)
    for path in one.folder.iterdir():
        path.chmod(0o600)
    change(one.folder)
    assert opened(made, wanted).infos[0].updated == world.WHEN
    for databases in (again, opened(made, wanted)):
        [ready] = databases.ready()
        assert {path.name: path.read_bytes() for path in ready.folder.iterdir()} == world.vulnerabilities()


def test_what_nobody_names_is_removed(made: Layout, tmp_path: Path) -> None:
    """A new database takes the place of the old one, but not while another process still uses that."""
    wanted = {"trivy-db": world.DB}
    old = opened(made, wanted)
    [folder] = [one.folder for one in old.ready()]
    (tmp_path / "databases" / ".0123.partial").mkdir()
    trivy_db(made, world.vulnerabilities(content=b"newer"))
    new = opened(made, wanted)
    assert folder.exists()
    assert not (tmp_path / "databases" / ".0123.partial").exists()
    del old
    opened(made, wanted)
    assert not folder.exists()
    assert sorted(path.suffix for path in (tmp_path / "databases").iterdir()) == ["", "", ".json", ".lock"]
    assert new.infos[0].type.name == "trivy-db"


def test_missing(made: Layout) -> None:
    """No such name, another database, an image."""
    assert refused(made, {"trivy-db": "no:1"}).code == "database-missing"
    assert "a trivy-java-db" in refused(made, {"trivy-db": world.JAVA}).what
    made.tag("image", made.image({"a": b"b"}))
    made.tag("index", made.index(made.image({"a": b"b"})))
    for name in ("image", "index"):
        assert "no database" in refused(made, {"trivy-db": name}).what


def tar(*members: tuple[str, bytes, bytes]) -> bytes:
    """A tar.gz of (name, type, content or link target)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(content)
            else:
                info.linkname = content.decode()
            archive.addfile(info, io.BytesIO(content))
    return zipped(buffer.getvalue())


FILE, LINK, HARD, PIPE = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE
WHOLE = (("trivy.db", FILE, b"x"), ("metadata.json", FILE, world.metadata()))


@pytest.mark.parametrize(
    "layer",
    [
        *(
            tar(*WHOLE, (name, FILE, b""))
            for name in ("../x", "/etc/x", "a/../../x", "a\\b", "a//b", "trivy.db", "a\x01")
        ),
        *(tar(*WHOLE, ("x", kind, b"/etc/passwd")) for kind in (LINK, HARD, PIPE)),
        tar(*WHOLE, ("trivy.db/x", FILE, b"")),
        tar(*WHOLE, ("x/y", FILE, b""), ("x", FILE, b"")),
        tar(WHOLE[0]),
        tar(WHOLE[1]),
        tar(),
        b"not gzip",
        gzip.compress(b"not tar" * 100),
        tar(*WHOLE)[:-20],
        tar(*WHOLE) + b"more",
        *(
            tar(WHOLE[0], ("metadata.json", FILE, said))
            for said in (
                b"{",
                b"[]",
                b"{}",
                world.metadata(version=3),
                world.metadata(version=1),
                world.metadata(Version="2"),
                world.metadata(Version=True),
                world.metadata(UpdatedAt="yesterday"),
                world.metadata(UpdatedAt=None),
                b'{"Version":2,"Version":2,"UpdatedAt":"2026-11-29T06:12:33Z"}',
                b" " * (read.MAX_METADATA + 1),
            )
        ),
    ],
    ids=lambda layer: str(len(layer)),
)
def test_what_is_no_database_of_its_type(made: Layout, layer: bytes, tmp_path: Path) -> None:
    """Refused, with nothing written outside and nothing left behind."""
    assert refused(made, trivy_db(made, layer)).code == "database-schema"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["databases", "store"]


def test_unusual_and_good(made: Layout) -> None:
    """Tars of a folder (`./`), more files, other fields, a time with an offset."""
    said = world.metadata(UpdatedAt="2026-11-29T08:12:33.5+02:00", NextUpdate="", Extra=[1])
    layer = tar(
        ("./", tarfile.DIRTYPE, b""), ("./trivy.db", FILE, b"x"), ("./metadata.json", FILE, said), ("NOTICE", FILE, b"")
    )
    [one] = opened(made, trivy_db(made, layer)).infos
    assert (one.updated, one.next_update) == (world.WHEN, None)


def test_bounds(made: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bomb ends at the limit."""
    wanted = trivy_db(made, world.vulnerabilities(content=bytes(1 << 20)))
    monkeypatch.setattr(read, "MAX_UNPACKED", 1 << 19)
    assert "more than" in refused(made, wanted).what
    monkeypatch.setattr(read, "MAX_UNPACKED", 1 << 30)
    monkeypatch.setattr(read, "MAX_ENTRIES", 1)
    assert "too many entries" in refused(made, wanted).what


def test_damage_is_damage(made: Layout) -> None:
    """A flipped bit of the layer is not the maker's fault, whatever the reader trips over first."""
    for layer in made.folder.glob("blobs/sha256/*"):
        data = layer.read_bytes()
        if data[:2] == b"\x1f\x8b":
            layer.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])
    error = refused(made, {"trivy-db": world.DB})
    assert error.code == "digest-mismatch"
    assert "airgap pull" in error.hint


def test_checks_without_a_date(made: Layout) -> None:
    """Nobody could say how old they are."""
    made.tag("checks", world.artifact(made, world.CHECKS_LAYER, world.CHECK_FILES, created=None))
    assert refused(made, {"trivy-checks": "checks"}).code == "database-schema"


def test_a_full_disk_is_asked_before(made: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size is that which gzip says of what is in it."""
    asked = list[int]()
    monkeypatch.setattr(unpacked, "check_free", lambda _folder, needed, _what: asked.append(needed))
    opened(made, trivy_db(made, world.vulnerabilities(content=bytes(1 << 20))))
    assert asked[0] >= 1 << 20


def test_the_date_without_unpacking_to_a_folder(made: Layout) -> None:
    """What `show` says of a store."""
    store = Store(made.folder)
    for name, root in store.roots():
        artifact = artifact_of(read_node(store, root))
        assert artifact is not None, name
        assert read_info(artifact, store).updated == world.WHEN


BOLT, SQLITE = b"0" * 16 + b"\xed\xda\x0c\xed" + b"0" * 100, b"SQLite format 3\0" + b"0" * 100


@pytest.mark.parametrize(
    ("layer", "files", "good"),
    [
        (world.DB_LAYER, world.vulnerabilities(content=BOLT), True),
        (world.DB_LAYER, world.vulnerabilities(content=SQLITE), False),
        (world.DB_LAYER, world.vulnerabilities(content=BOLT) | {"malware": b"x"}, False),
        (world.DB_LAYER, world.vulnerabilities(content=BOLT) | {"a/trivy.db": BOLT}, False),
        (world.JAVA_LAYER, world.java(content=SQLITE), True),
        (world.JAVA_LAYER, world.java(content=b"MZ"), False),
        (world.CHECKS_LAYER, world.CHECK_FILES, True),
        (world.CHECKS_LAYER, {**world.CHECK_FILES, "bin/tool": b"x"}, False),
        (world.CHECKS_LAYER, {**world.CHECK_FILES, "a.yaml": b"\0x"}, False),
        (world.CHECKS_LAYER, b"not a tar.gz", False),
    ],
)
def test_only_a_whole_database_is_looked_through(tmp_path: Path, layer: str, files: Any, good: bool) -> None:
    """Whoever gives another artifact the media type of one is told that nobody can look into it."""
    layout = Layout(tmp_path / "store")
    layout.tag("it", world.artifact(layout, layer, files))
    store = Store(layout.folder)
    root = store.find("it")
    assert root is not None
    artifact = Descriptor(root.media_type, root.digest, root.size)
    item = Item("it", "image", "registry.test/it:1", artifact, bytes=1, phase="registry")
    [subject] = graph_subjects(item, artifact, store)
    result = CoverageScanner().scan(subject, tmp_path)
    assert [one.id for one in result.findings] == ([] if good else ["artifact"])
