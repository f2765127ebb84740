"""What each kind of content gives to scanners: each subject once, its files whole, and what nobody can look into."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import DamageError, IntegrityError
from airgap.base.progress import Silent
from airgap.content.graph import ANNOTATION_TITLE, OCI_MANIFEST, Descriptor
from airgap.content.item import Item, LockedFile
from airgap.content.scan_subject import ScanSubject, SubjectForm
from airgap.kinds import chart, file, git, image, model
from airgap.kinds.git.packer import GitPacker
from airgap.kinds.git.request import GitRequest
from airgap.kinds.subjects import Paths
from airgap.net.http import Client
from airgap.store.layout import Layout
from airgap.store.memory import Memory
from tests.parts import images
from tests.worlds.chart_bombs import CONFIG, CONTENT, GOOD, chart_tar, chart_yaml, tar_member
from tests.worlds.git_sources import Work
from tests.worlds.policy import World


def files(subject: ScanSubject) -> dict[str, bytes]:
    """Every file with its content, read as a scanner reads it."""
    assert subject.files is not None
    found = dict[str, bytes]()
    for one in subject.files():
        assert one.path not in found
        with one.open() as stream:
            found[one.path] = stream.read()
        assert len(found[one.path]) == one.size
    return found


def put(store: Memory, data: bytes, media_type: str) -> Descriptor:
    blob = Descriptor.of(media_type, data)
    store.put(blob, lambda offset: io.BytesIO(data[offset:]))
    return blob


def manifest(store: Memory, config: Descriptor, *layers: Descriptor, titles: Mapping[Digest, str] = {}) -> Descriptor:
    edges = [one.as_dict() for one in layers]
    for edge, one in zip(edges, layers, strict=True):
        edge.update({"annotations": {ANNOTATION_TITLE: titles[one.digest]}} if one.digest in titles else {})
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.as_dict(), "layers": edges}
    return put(store, canonical(document), OCI_MANIFEST)


def subjects_of_image(store: Memory, root: Descriptor, tmp_path: Path) -> list[ScanSubject]:
    item = Item("ghcr.io/acme/app:1", "image", "ghcr.io/acme/app:1", root)
    return list(image.KIND.subjects(item, root, store, tmp_path))


def test_an_image_is_each_manifest_that_is_carried(tmp_path: Path) -> None:
    world = World(tmp_path)
    layout, item = Layout(world.files.folder), world.item()
    assert item.root is not None
    found = list(image.KIND.subjects(item, item.root, layout, tmp_path))
    assert [str(one.digest) for one in found] == [child["digest"] for child in world.children]
    assert [one.title for one in found] == ["ghcr.io/acme/app:1.0 (linux/amd64)", "ghcr.io/acme/app:1.0 (linux/arm64)"]
    assert {(one.form, one.files) for one in found} == {(SubjectForm.IMAGE, None)}
    (only,) = image.KIND.subjects(world.item(platforms=("linux/arm64",)), item.root, layout, tmp_path)
    assert (str(only.digest), only.title) == (world.children[1]["digest"], "ghcr.io/acme/app:1.0")
    assert not list(only.coverage())


def test_an_artifact_is_its_layers_as_files_and_says_so(tmp_path: Path) -> None:
    store = Memory()
    layers = [put(store, data, "application/vnd.example.thing") for data in (b"one", b"two", b"three")]
    titles = {layers[0].digest: "../a.txt", layers[1].digest: "__/a.txt"}
    root = manifest(store, put(store, b"{}", "application/vnd.example.config"), *layers, titles=titles)
    (only,) = subjects_of_image(store, root, tmp_path)
    assert only.form is SubjectForm.FILES
    assert files(only) == {"config": b"{}", "__/a.txt": b"one", "__/a.txt~2": b"two", layers[2].digest.hex: b"three"}
    (said,) = only.coverage()
    assert (said.kind, said.id) == ("coverage", "artifact")
    assert "application/vnd.example.config" in said.title


@pytest.mark.parametrize(
    ("layer", "data", "form", "said"),
    [
        ("application/vnd.oci.image.layer.v1.tar+zstd", b"{}", SubjectForm.IMAGE, 0),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", b"{}", SubjectForm.IMAGE, 0),
        ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", b"{}", SubjectForm.FILES, 1),
        ("application/vnd.in-toto+json", b"{}", SubjectForm.FILES, 0),
        ("application/vnd.in-toto+json", images.zipped(images.tar_layer({"a": b"b"})), SubjectForm.FILES, 1),
        ("text/plain", images.tar_layer({"a": b"b"}), SubjectForm.FILES, 1),
        ("text/plain", b"a" * 2000 + b"\0", SubjectForm.FILES, 1),
    ],
)
def test_what_is_no_image_is_a_text_or_says_so(
    layer: str, data: bytes, form: SubjectForm, said: int, tmp_path: Path
) -> None:
    """BuildKit's attestations are texts in an image's manifest. Podman and CRI-O unpack layers of any type."""
    store = Memory()
    root = manifest(store, put(store, b"{}", images.CONFIG), put(store, data, layer))
    (only,) = subjects_of_image(store, root, tmp_path)
    assert (only.form, len(list(only.coverage()))) == (form, said)


def test_a_chart_is_its_unpacked_files(tmp_path: Path) -> None:
    store = Memory()
    members = [
        chart_yaml(GOOD),
        tar_member("hello/values.yaml", b"a: 1\n"),
        tar_member("/hello//./values.yaml", b"again"),
        tar_member("../../etc/passwd", b"out"),
        tar_member("hello/values.yaml/below", b"through a file"),
        tar_member("hello/link", b"", b"2"),
    ]
    packed = put(store, chart_tar(*members), CONTENT)
    config = put(store, json.dumps({"name": "hello", "version": "0.1.0"}).encode(), CONFIG)
    root = manifest(store, config, packed, put(store, b"signed", chart.PROVENANCE))
    item = Item("ghcr.io/acme/hello:0.1.0", "chart", "oci://ghcr.io/acme/hello:0.1.0", root)
    (only,) = chart.KIND.subjects(item, root, store, tmp_path)
    assert (only.digest, only.form, list(only.coverage())) == (root.digest, SubjectForm.FILES, [])
    assert (
        files(only)
        == files(only)
        == {
            "provenance.prov": b"signed",
            "hello/Chart.yaml": GOOD.encode(),
            "hello/values.yaml": b"a: 1\n",
            "hello/values.yaml~2": b"again",
            "__/__/etc/passwd": b"out",
            "hello~values.yaml~below": b"through a file",
        }
    )


def test_a_chart_that_cannot_be_unpacked_was_not_scanned(tmp_path: Path) -> None:
    store = Memory()
    whole = chart_tar(chart_yaml(GOOD), tar_member("hello/big", bytes(100_000)))
    root = manifest(store, put(store, b"{}", CONFIG), put(store, whole[:-40], CONTENT))
    (only,) = chart.KIND.subjects(Item("c", "chart", "oci://a.b/c:1", root), root, store, tmp_path)
    with pytest.raises(IntegrityError) as caught:
        files(only)
    assert caught.value.code == "bad-chart"


def test_a_model_and_a_file_are_their_files(tmp_path: Path) -> None:
    store = Memory()
    locked = []
    for path, data in (("a/config.json", b"{}"), ("model.safetensors", b"weights")):
        put(store, data, "application/octet-stream")
        locked.append(LockedFile(path, Digest.of(data), len(data)))
    memory, root = model.graph("BAAI/bge-m3", locked)
    store.put(root, lambda offset: memory.open(root, offset))
    item = Item("BAAI/bge-m3", "model", "hf:BAAI/bge-m3", root, files=tuple(locked))
    (only,) = model.KIND.subjects(item, root, store, tmp_path)
    assert (only.kind, only.size, only.digest) == ("model", 9, root.digest)
    assert files(only) == {"a/config.json": b"{}", "model.safetensors": b"weights"}
    (file_root,) = [file._graph(locked[0])[1]]
    item = Item("c", "file", "https://a.b/c", file_root, files=(locked[0],), path="a/config.json")
    (only,) = file.KIND.subjects(item, file_root, store, tmp_path)
    assert files(only) == {"a/config.json": b"{}"}


def test_damage_in_the_store_ends_no_file(tmp_path: Path) -> None:
    world = World(tmp_path)
    blob = world.files.blob(b"good", "application/vnd.example.thing")
    config = world.files.blob(b"{}", "application/vnd.example.config")
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [blob]}
    made = world.files.document(document, OCI_MANIFEST)
    world.files.path(blob["digest"]).write_bytes(b"evil")
    root = Descriptor(made["mediaType"], Digest(made["digest"]), made["size"])
    (only,) = image.KIND.subjects(Item("a.b/c:1", "image", "a.b/c:1", root), root, Layout(world.files.folder), tmp_path)
    with pytest.raises(DamageError):
        files(only)


class Repository:
    """A repository that was packed into a store, and what scanners are given of it."""

    def __init__(self, folder: Path, work: Work, refs: tuple[str, ...], *, lfs: bool = False) -> None:
        self.store, self.folder = Memory(), folder
        packer = GitPacker(folder / "packer", Client(zone="connected"), Silent())
        self.item = packer.resolve(GitRequest(url=str(work.path), name="thing", refs=refs, lfs=lfs))
        self.root = packer.pack(self.item, self.store)

    def subject(self) -> ScanSubject:
        (only,) = git.KIND.subjects(self.item, self.root, self.store, self.folder / "scan")
        return only


def test_a_repository_is_the_files_of_each_ref_once(tmp_path: Path) -> None:
    work = Work(tmp_path / "source")
    work.commit("gone", "only in history")
    work.git("rm", "--quiet", "gone")
    work.commit("a", "same")
    work.commit("d/odd\n\\ name", "odd")
    (work.path.joinpath("d") / "link").symlink_to("../a")
    work.commit("big", bytes(3_000_000))
    work.git("tag", "-a", "v1", "-m", "one")
    work.commit("a", "new")
    work.git("tag", "blob", work.git("hash-object", "-w", "--stdin", stdin="tagged").strip())
    work.git("tag", "tree", "HEAD^{tree}")
    found = files(Repository(tmp_path, work, ("refs/*",)).subject())
    assert found == {
        "refs/heads/main/a": b"new",
        "refs/heads/main/big": bytes(3_000_000),
        "refs/heads/main/d/odd\n\\\\ name": b"odd",
        "refs/heads/main/d/link": b"../a",
        "refs/tags/blob": b"tagged",
        "refs/tags/v1/a": b"same",
    }


def test_a_file_that_is_not_read_does_not_shift_the_next_ones(tmp_path: Path) -> None:
    work = Work(tmp_path / "source")
    for name, size in (("a", 5_000), ("b", 2_000), ("c", 3)):
        work.commit(name, name.encode() * size)
    subject = Repository(tmp_path, work, ("refs/*",)).subject()
    assert subject.files is not None
    read = dict[str, bytes]()
    for one in subject.files():
        with one.open() as stream:
            read[one.path[-1]] = stream.read(1) if one.path[-1] != "b" else b""
    assert read == {"a": b"a", "b": b"", "c": b"c"}
    assert [one.path[-1] for one in subject.files()] == ["a", "b", "c"]


@pytest.mark.parametrize("carried", [True, False])
def test_a_pointer_stands_for_its_content_or_is_said(tmp_path: Path, carried: bool) -> None:
    work = Work(tmp_path / "source")
    work.lfs("*.bin", b"")
    work.commit("weights.bin", b"from LFS" * 1000)
    subject = Repository(tmp_path, work, ("refs/heads/*",), lfs=carried).subject()
    found = files(subject)
    assert found["refs/heads/main/weights.bin"].startswith(b"from LFS" if carried else b"version https://git-lfs")
    said = [(one.id, one.path) for one in subject.coverage()]
    assert said == ([] if carried else [("lfs-not-carried", "refs/heads/main/weights.bin")])


def test_an_empty_repository_has_no_files(tmp_path: Path) -> None:
    work = Work(tmp_path / "source")
    subject = Repository(tmp_path, work, ("refs/*",)).subject()
    assert (files(subject), list(subject.coverage())) == ({}, [])


def test_no_two_names_become_one_path() -> None:
    paths = Paths()
    given = [paths.plain(name) for name in ("a", "a", "a/b", "/a", "b/c", "b", "..", "", "//", "b/c/d")]
    assert given == ["a", "a~2", "a~b", "a~3", "b/c", "b~2", "__", "unnamed", "unnamed~2", "b~c~d"]
