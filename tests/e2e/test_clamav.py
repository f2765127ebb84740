"""ClamAV's daemon looks into layers, charts and Git trees. Its signatures are our own: tests/parts/clamd.py."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import ToolError
from airgap.content.graph import Descriptor
from airgap.content.item import Item
from airgap.content.scan_result import ScanResult
from airgap.content.scan_subject import ScanSubject, SubjectFile, SubjectForm
from airgap.kinds.table import kind_of
from airgap.resources.station import ArchiveLimits, ClamdConfig
from airgap.scanning.clamav import ClamavScanner
from airgap.store.layout import Layout
from airgap.store.memory import Memory
from tests.parts.clamd import EICAR, FOUND, WORM, WORM_FOUND, ask, reload, running_clamd, write_signatures
from tests.parts.images import Layout as Images
from tests.parts.images import digest_of, tar_layer, zipped
from tests.parts.process import LOOPBACK, free_ports
from tests.worlds.chart_bombs import add_chart, tar_member

pytestmark = [pytest.mark.e2e, pytest.mark.part("clamav")]

NOW = datetime(2026, 11, 30, tzinfo=UTC)
FRESH = NOW - timedelta(days=1)


@pytest.fixture(scope="module")
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with running_clamd(tmp_path_factory.mktemp("clamd") / "c", FRESH) as socket:
        yield socket


def scanner(socket: Path, **more: object) -> ClamavScanner:
    return ClamavScanner(ClamdConfig(socket=socket, **more), ArchiveLimits(), NOW)  # type: ignore[arg-type]


def found(result: ScanResult) -> list[tuple[str, str, str]]:
    assert not result.not_run
    return sorted((str(one.kind), one.id, one.path) for one in result.findings)


def image(folder: Path, *layers: bytes) -> ScanSubject:
    images = Images(folder / "images")
    made = images.tag("v1", images.image(*layers))
    root = Descriptor(made["mediaType"], Digest(made["digest"]), made["size"])
    item = Item("example.org/a:v1", "image", "example.org/a:v1", root=root)
    (subject,) = kind_of(item).subjects(item, root, Layout(images.folder), folder / "unpacked")
    return subject


def listed(files: dict[str, bytes]) -> list[SubjectFile]:
    return [
        SubjectFile(name, len(data), lambda data=data: cast("BinaryIO", io.BytesIO(data)))  # type: ignore[misc]
        for name, data in files.items()
    ]


def tree(files: dict[str, bytes]) -> ScanSubject:
    root = Digest.of(b"x")
    node = Descriptor("application/x", root, 1)
    return ScanSubject(root, "git", SubjectForm.FILES, "x", Memory(), node, 1, lambda: iter(listed(files)))


def nested(name: str, data: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return made.getvalue()


def test_eicar_in_a_layer_is_found_with_its_layer_and_path(tmp_path: Path, clamd: Path) -> None:
    bad = tar_layer({"etc/passwd": b"root", "opt/a/eicar.com": EICAR, "opt/large": WORM + bytes(2 << 20)})
    packed = tar_layer({"srv/x.zip": nested("y.tar.gz", gzip.compress(tar_layer({"eicar.com": EICAR})))})
    good = tar_layer({str(number): b"x" * number for number in range(300)})
    subject = image(tmp_path, good, bad, packed, good)
    result = scanner(clamd).scan(subject, tmp_path)
    assert found(result) == [
        ("malware", FOUND, "opt/a/eicar.com"),
        ("malware", FOUND, "srv/x.zip"),
        ("malware", WORM_FOUND, "opt/large"),
    ]
    layers = {one.path: str(one.layer) for one in result.findings}
    assert layers["opt/a/eicar.com"] == layers["opt/large"] == digest_of(zipped(bad))
    assert layers["srv/x.zip"] == digest_of(zipped(packed))


def test_a_layer_that_cannot_be_read_to_its_end_is_not_clean(tmp_path: Path, clamd: Path) -> None:
    bad = tar_member("eicar.com", EICAR) + b"x" * 512
    result = scanner(clamd).scan(image(tmp_path, bad), tmp_path)
    assert found(result) == [("coverage", "unreadable-layer", ""), ("malware", FOUND, "eicar.com")]


def test_eicar_in_a_chart_and_in_a_tree_is_found(tmp_path: Path, clamd: Path) -> None:
    images = Images(tmp_path / "charts")
    packed = zipped(
        tar_member("hello/Chart.yaml", b"apiVersion: v2\nname: hello\nversion: 0.1.0\n")
        + tar_member("hello/files/eicar.com", EICAR)
        + bytes(1024)
    )
    made = add_chart(images, "0.1.0", packed, name="hello", version="0.1.0")
    root = Descriptor(made["mediaType"], Digest(made["digest"]), made["size"])
    item = Item("example.org/hello:0.1.0", "chart", "oci://example.org/hello:0.1.0", root=root)
    (subject,) = kind_of(item).subjects(item, root, Layout(images.folder), tmp_path / "unpacked")
    assert [one[1] for one in found(scanner(clamd).scan(subject, tmp_path))] == [FOUND]
    git = tree({"README": b"hello", "a/b.com": EICAR, "empty": b""})
    assert found(scanner(clamd).scan(git, tmp_path)) == [("malware", FOUND, "a/b.com")]


def test_what_is_beyond_a_limit_is_a_finding(tmp_path: Path, clamd: Path) -> None:
    files = {
        "too-large": bytes(5 << 20),
        "larger-than-sent": bytes(7 << 20),
        "many.zip": many(200),
        "deep.gz": deep(150),
        "good": b"x",
        "bad": EICAR,
    }
    result = scanner(clamd, size_limit=6 << 20).scan(tree(files), tmp_path)
    assert found(result) == [
        *(("coverage", "clamd-limit", name) for name in ("deep.gz", "larger-than-sent", "many.zip", "too-large")),
        ("malware", FOUND, "bad"),
    ]
    assert {one.title.rpartition(": ")[2] for one in result.findings if one.path == "deep.gz"} == {
        "beyond its limit MaxRecursion"
    }


def many(count: int) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(count):
            archive.writestr(str(number), "x" * 100)
    return made.getvalue()


def deep(count: int) -> bytes:
    data = b"x"
    for _ in range(count):
        data = gzip.compress(data, mtime=0)
    return data


@pytest.mark.parametrize(
    ("config", "updated", "known", "code"),
    [
        ("", FRESH, EICAR, "clamd-limit"),
        ("AlertExceedsMax yes\n", NOW - timedelta(days=8), EICAR, "clamd-old"),
        ("AlertExceedsMax yes\n", None, EICAR, "clamd-old"),
        ("AlertExceedsMax yes\n", FRESH, b"something else", "clamd-old"),
    ],
    ids=["limits", "old", "undated", "blind"],
)
def test_a_daemon_that_does_not_look_is_not_used(
    tmp_path: Path, config: str, updated: datetime | None, known: bytes, code: str
) -> None:
    with running_clamd(tmp_path / "c", updated, config, known) as socket:
        with pytest.raises(ToolError) as caught:
            scanner(socket).identity()
        assert caught.value.code == code


def test_a_daemon_at_a_host_and_a_port(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    config = f"AlertExceedsMax yes\nTCPSocket {port}\nTCPAddr {LOOPBACK}\n"
    with running_clamd(tmp_path / "c", FRESH, config):
        asked = ClamavScanner(ClamdConfig(host=LOOPBACK, port=port), ArchiveLimits(), NOW)
        assert found(asked.scan(tree({"a": EICAR, "b": bytes(3 << 20)}), tmp_path)) == [("malware", FOUND, "a")]


def test_a_daemon_that_reloads_or_ends_during_the_run(tmp_path: Path) -> None:
    with running_clamd(tmp_path / "c", FRESH) as socket:
        asked = scanner(socket)
        assert found(asked.scan(tree({"a": EICAR}), tmp_path))

        def newer() -> Iterator[SubjectFile]:
            write_signatures(tmp_path / "c", NOW)
            reload(socket)
            yield from ()

        again = replace(tree({}), files=newer)
        with pytest.raises(ToolError) as caught:
            asked.scan(again, tmp_path)
        assert caught.value.code == "scanner-changed"
        asked = scanner(socket)
        asked.identity()
    with pytest.raises(ToolError) as caught:
        asked.scan(tree({"a": b"x"}), tmp_path)
    assert caught.value.code == "clamd-unreachable"


def test_a_daemon_that_is_gone_in_the_middle(tmp_path: Path) -> None:
    with running_clamd(tmp_path / "c", FRESH) as socket:
        asked = scanner(socket)
        asked.identity()

        def gone() -> Iterator[SubjectFile]:
            yield from listed({"a": b"x"})
            ask(socket, b"SHUTDOWN")
            yield from listed({"b": EICAR, "c": bytes(3 << 20)})

        subject = replace(tree({}), files=gone)
        with pytest.raises(ToolError) as caught:
            asked.scan(subject, tmp_path)
        assert caught.value.code in ("clamd-unreachable", "scanner-crashed")
