"""OCI image layouts made by hand, so that a judge of our code does not come out of our code.

    layout = Layout(tmp_path / "images")
    image = layout.image({"hello.txt": b"hello"})
    layout.tag("v1", layout.index(image, layout.image({"a": b"b"}, platform="linux/arm64")))

Everything is deterministic: the same call gives the same digest.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"

# mediaType, digest, size, and whatever else an edge carries.
Descriptor = dict[str, Any]


def tar_layer(files: Mapping[str, bytes]) -> bytes:
    """A tar of these files, the same bytes every time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            info = tarfile.TarInfo(name)
            info.size = len(files[name])
            archive.addfile(info, io.BytesIO(files[name]))
    return buffer.getvalue()


def tar_members(*members: tuple[str, bytes, bytes | str]) -> bytes:
    """A tar of (path, type, content or target), in this order, with paths as bytes can be."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if isinstance(content, bytes):
                info.size = len(content)
            else:
                info.linkname = content
            archive.addfile(info, io.BytesIO(content if isinstance(content, bytes) else b""))
    return buffer.getvalue()


def zipped(data: bytes) -> bytes:
    """Gzip without a clock in it."""
    return gzip.compress(data, compresslevel=1, mtime=0)


def digest_of(data: bytes) -> str:
    """sha256:…"""
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layout:
    """An OCI image layout folder that grows."""

    def __init__(self, folder: Path) -> None:
        """Make the folder when it is not there."""
        self.folder = folder
        (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        if not (folder / "index.json").exists():
            self._write_index([])

    def path(self, digest: str) -> Path:
        """Where the blob of this digest is."""
        return self.folder / "blobs" / digest.replace(":", "/")

    def read(self, digest: str) -> bytes:
        """A blob."""
        return self.path(digest).read_bytes()

    def blob(self, data: bytes, media_type: str, **more: Any) -> Descriptor:
        """Store bytes; `more` goes into the descriptor."""
        digest = digest_of(data)
        self.path(digest).write_bytes(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data), **more}

    def document(self, value: Mapping[str, Any], media_type: str, **more: Any) -> Descriptor:
        """Store JSON."""
        return self.blob(json.dumps(value, separators=(",", ":")).encode(), media_type, **more)

    def image(
        self,
        *layers: Mapping[str, bytes] | bytes,
        platform: str = "linux/amd64",
        annotations: Mapping[str, str] | None = None,
        subject: Descriptor | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> Descriptor:
        """An image of these layers: files to pack, or the bytes of a tar."""
        tars = [layer if isinstance(layer, bytes) else tar_layer(layer) for layer in layers]
        system, architecture, *variant = platform.split("/")
        described = {
            "architecture": architecture,
            "os": system,
            "config": {"Cmd": ["/hello"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]},
            **(config or {}),
        }
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.document(described, CONFIG),
            "layers": [self.blob(zipped(tar), LAYER) for tar in tars],
        }
        if annotations:
            manifest["annotations"] = dict(annotations)
        if subject:
            manifest["subject"] = bare(subject)
        child = {"os": system, "architecture": architecture}
        if variant:
            child["variant"] = variant[0]
        return self.document(manifest, MANIFEST, platform=child)

    def index(self, *children: Descriptor, annotations: Mapping[str, str] | None = None) -> Descriptor:
        """An index of images, of indexes, or of both."""
        value: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": list(children),
        }
        if annotations:
            value["annotations"] = dict(annotations)
        return self.document(value, INDEX)

    def artifact(
        self,
        artifact_type: str,
        *blobs: tuple[str, bytes],
        subject: Descriptor | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> Descriptor:
        """An OCI 1.1 artifact of (media type, bytes) blobs; with a subject, a referrer of it."""
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": artifact_type,
            "config": self.blob(b"{}", EMPTY),
            "layers": [self.blob(data, media_type) for media_type, data in blobs],
        }
        if subject:
            manifest["subject"] = bare(subject)
        if annotations:
            manifest["annotations"] = dict(annotations)
        return self.document(manifest, MANIFEST, artifactType=artifact_type)

    def signature_tag(self, subject: Descriptor, suffix: str = "sig", payload: bytes = b"{}") -> str:
        """Something under cosign's old tag for the subject: .sig, .att or .sbom; gives the tag."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.document({"architecture": "", "os": "", "rootfs": {}}, CONFIG),
            "layers": [self.blob(payload, "application/vnd.dev.cosign.simplesigning.v1+json")],
        }
        tag = str(subject["digest"]).replace(":", "-") + "." + suffix
        self.tag(tag, self.document(manifest, MANIFEST))
        return tag

    def fallback_tag(self, subject: Descriptor, *referrers: Descriptor) -> str:
        """The index of referrers under the tag that registries without the API use."""
        tag = str(subject["digest"]).replace(":", "-")
        self.tag(tag, self.index(*(_listed(each) for each in referrers)))
        return tag

    def tag(self, name: str, descriptor: Descriptor) -> Descriptor:
        """Give a root its name in index.json; an empty name lists it without one."""
        entries = [each for each in self.entries() if not name or _name(each) != name]
        made = dict(descriptor)
        if name:
            made["annotations"] = {**made.get("annotations", {}), REF_NAME: name}
        self._write_index([*entries, made])
        return made

    def entries(self) -> list[Descriptor]:
        """What index.json lists."""
        return list(json.loads((self.folder / "index.json").read_bytes())["manifests"])

    def _write_index(self, entries: Iterable[Descriptor]) -> None:
        value = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries)}
        (self.folder / "index.json").write_text(json.dumps(value))


def bare(descriptor: Descriptor) -> Descriptor:
    """Only what names the content."""
    return {key: descriptor[key] for key in ("mediaType", "digest", "size")}


def _listed(referrer: Descriptor) -> Descriptor:
    kept = ("mediaType", "digest", "size", "artifactType", "annotations")
    return {key: value for key, value in referrer.items() if key in kept}


def _name(descriptor: Descriptor) -> str:
    return str(descriptor.get("annotations", {}).get(REF_NAME, ""))


def make_image(
    folder: Path,
    name: str = "v1",
    *,
    layers: Iterable[Mapping[str, bytes] | bytes] = ({"hello.txt": b"hello\n"},),
    platforms: Iterable[str] = ("linux/amd64",),
    annotations: Mapping[str, str] | None = None,
) -> Descriptor:
    """Write a layout with one image under `name`; several platforms make an index.

    The layers of different platforms differ by one small file that names the platform.
    """
    layout = Layout(folder)
    wanted, content = list(platforms), list(layers)
    if len(wanted) == 1:
        root = layout.image(*content, platform=wanted[0], annotations=annotations)
        return layout.tag(name, root)
    children = [layout.image(*content, {"etc/platform": each.encode()}, platform=each) for each in wanted]
    return layout.tag(name, layout.index(*children, annotations=annotations))


def tar_of(folder: Path, path: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        for name in sorted(os.listdir(folder)):
            archive.add(folder / name, name)
    return path
