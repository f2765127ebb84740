"""Shows an image to Trivy: an OCI layout of one image, with the layers of the store, and a config that tells the truth.

The store's own layout will not do. Of an index Trivy takes the first child, whichever was asked for; a manifest must
stand in `index.json`; and the config decides what is scanned (see `layers`): besides the `diff_id`s, its history makes
layers "base layers", in which Trivy looks for no secrets, and keeps that answer for other images.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airgap.base.digest import Digest
from airgap.base.disk import check_free, disk_errors
from airgap.base.errors import IntegrityError
from airgap.base.strict_json import parse_json
from airgap.content.graph import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Node, Source, read_node, read_verified
from airgap.content.scan_subject import ScanSubject
from airgap.content.verified import verified
from airgap.scanning.trivy.layers import LayerFacts, Layers
from airgap.store.layout import Layout

MAX_CONFIG = 16 << 20
"""Bytes of an image's config."""
MAX_TEXTS = 20_000
"""Texts of a config in which secrets are looked for."""
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image is, after all of it was read."""

    layers: tuple[LayerFacts, ...]
    config: Digest
    os: str
    architecture: str
    texts: tuple[str, ...]
    """What the config says anywhere: variables, labels, commands."""
    complaint: str
    """How the config and the layers contradict each other; empty if they agree."""

    @property
    def java(self) -> bool:
        """True if it has Java archives, as far as that was found out."""
        return any(layer.java for layer in self.layers)

    @property
    def largest(self) -> int:
        """Bytes of the largest layer, unpacked."""
        return max((layer.unpacked for layer in self.layers), default=0)


@dataclass(frozen=True, slots=True)
class ShownImage:
    """A layout that was made for the scanner. Its answer must name exactly this."""

    folder: Path
    manifest: Digest
    config: Digest
    layers: tuple[LayerFacts, ...]

    @property
    def name(self) -> str:
        """As `--input` takes it, and as the report repeats it: below the folder in which Trivy runs. It divides a
        path at any `@` or `:`."""
        return f"{self.folder.name}@{self.manifest}"


def read_image(subject: ScanSubject, layers: Layers) -> ImageFacts:
    """Reads all of an image. Raises `IntegrityError` (damage; `layer-unreadable`), and what the source raises."""
    node = read_node(subject.source, subject.node)
    if node.config is None:
        raise IntegrityError("bad-manifest", f"{subject.digest}: it has no config", "build the image again")
    found = tuple(layers.facts(subject.source, layer) for layer in layers_of(node))
    data = read_verified(subject.source, node.config, MAX_CONFIG)
    config = parse_json(data, f"config {node.config.digest}")
    said = config if isinstance(config, dict) else {}
    texts = tuple(dict.fromkeys(_texts(said)))
    return ImageFacts(
        layers=found,
        config=node.config.digest,
        os=_word(said.get("os")),
        architecture=_word(said.get("architecture")),
        texts=texts[:MAX_TEXTS],
        complaint=_complaint(said, found) or ("it has too many texts" if len(texts) > MAX_TEXTS else ""),
    )


def layers_of(node: Node) -> tuple[Any, ...]:
    """The layers that a manifest names, in their order."""
    return node.children[1:]


def show(facts: ImageFacts, source: Source, folder: Path) -> ShownImage:
    """Makes the layout in `folder`, which is new. Raises `StoreError`."""
    config = {
        "architecture": facts.architecture,
        "os": facts.os,
        # Entries with a command that makes a layer: no rule takes what comes before them for the work of others.
        "history": [{"created_by": text} for text in facts.texts],
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in facts.layers]},
    }
    blobs = folder / "blobs" / "sha256"
    with disk_errors(folder):
        blobs.mkdir(parents=True)
        for layer in {layer.digest: layer for layer in facts.layers}.values():
            _give(source, layer, blobs / layer.digest.hex)
        config_blob = _write(blobs, config, OCI_CONFIG)
        layers = [{"mediaType": one.media_type, "digest": one.digest, "size": one.size} for one in facts.layers]
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config_blob, "layers": layers}
        root = _write(blobs, manifest, OCI_MANIFEST)
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [root]}
        (folder / "index.json").write_text(json.dumps(index))
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return ShownImage(folder, Digest(root["digest"]), Digest(config_blob["digest"]), facts.layers)


def show_layers(layers: Sequence[LayerFacts], source: Source, folder: Path) -> ShownImage:
    """As `show`, for layers of several images. Raises `StoreError`."""
    return show(ImageFacts(tuple(layers), Digest.of(b""), "linux", "amd64", (), ""), source, folder)


def _give(source: Source, layer: LayerFacts, place: Path) -> None:
    """The blob at `place`: another name of the same file, else a copy. Trivy follows no link that is symbolic."""
    from airgap.content.graph import Descriptor

    if isinstance(source, Layout):
        try:
            os.link(source.blob_path(layer.digest), place, follow_symlinks=False)
        except OSError:
            check_free(place.parent, layer.size, "a copy of a layer")
        else:
            return
    blob = Descriptor(layer.media_type, layer.digest, layer.size)
    with verified(source.open(blob), blob) as stream, place.open("xb") as sink:
        shutil.copyfileobj(stream, sink, _PIECE)


def _write(blobs: Path, document: Mapping[str, Any], media_type: str) -> dict[str, Any]:
    data = json.dumps(document).encode()
    digest = Digest.of(data)
    (blobs / digest.hex).write_bytes(data)
    return {"mediaType": media_type, "digest": str(digest), "size": len(data)}


def _complaint(config: Mapping[str, Any], layers: Sequence[LayerFacts]) -> str:
    """What a runtime would refuse when it unpacks the layers."""
    rootfs = config.get("rootfs")
    said = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(said, list) or len(said) != len(layers):
        count = len(said) if isinstance(said, list) else "no"
        return f"the config names {count} diff_ids, the manifest {len(layers)} layers"
    for number, (claim, layer) in enumerate(zip(said, layers, strict=True)):
        if claim != layer.diff_id:
            return f"diff_ids[{number}]: got {claim!s:.80}, expected {layer.diff_id} of layer {layer.digest}"
    return ""


def _word(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= 100 and value.isprintable() else "unknown"


def _texts(value: object, name: str = "") -> Iterator[str]:
    """Every text in a config, with its name, as secrets are written: `AWS_SECRET_ACCESS_KEY=…`."""
    if isinstance(value, str):
        yield f"{name}={value}" if name and "=" not in value else value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
