"""Graphs as OCI layouts, OCI archives and docker archives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from airgap.base.disk import check_free
from airgap.base.errors import InputError
from airgap.base.progress import Progress
from airgap.content.copy import Copy, copy_graph
from airgap.content.graph import ANNOTATION_IMAGE_NAME, Descriptor, Node, Source, is_for, read_node, walk
from airgap.content.platforms import CONFIG_TYPES, check_platform, narrow
from airgap.content.reference import parse_reference
from airgap.delivery.fields import FileSum
from airgap.delivery.plan import Plan, plan_volumes
from airgap.delivery.write import copy_out
from airgap.jobs.extracting.target import exists
from airgap.jobs.offer import Offered
from airgap.store.index_file import LOCK_FILE
from airgap.store.layout import Layout
from airgap.store.memory import Memory
from airgap.store.overlay import Overlay

_ATTESTATION = "unknown/unknown"
"""The platform under which BuildKit lists what is no image in an index."""


@dataclass(frozen=True, slots=True)
class Image:
    """A graph as it is written: its name, its root with the name for containerd, and all of its blobs."""

    name: str
    root: Descriptor
    source: Source
    blobs: tuple[Descriptor, ...]

    @property
    def full_name(self) -> str:
        """The name under which containerd knows it; `""` if it has none."""
        return self.root.annotations.get(ANNOTATION_IMAGE_NAME, "")


def prepare(offered: Offered, source: Source, platform: str = "") -> Image:
    """Reads the nodes. Of an index, it is what a registry would get; or what is for one `platform`.

    Raises `InputError` (`no-platform`), `IntegrityError`, `NotFoundError`.
    """
    if platform and offered.platforms and not any(is_for(platform, one) for one in offered.platforms):
        what = f"{offered.name!r} has nothing for {platform}: it was locked for {', '.join(offered.platforms)}"
        raise InputError("no-platform", what, "name one of them, or leave out --platform")
    chosen = (platform,) if platform else offered.platforms
    check_platform(source, offered.root, (platform,) if platform else ())
    root, derived = narrow(source, offered.root, chosen)
    made = Memory()
    if derived is not None:
        made.add(root.media_type, derived.data)
    overlay = Overlay(made, source)
    blobs = tuple(found.descriptor if isinstance(found, Node) else found for found in walk(overlay, root))
    full = _with_digest(offered.full_name, root)
    return Image(offered.name, replace(root, annotations={ANNOTATION_IMAGE_NAME: full} if full else {}), overlay, blobs)


def _with_digest(name: str, root: Descriptor) -> str:
    """The name for containerd, which trusts it: a digest in it is that of the extracted content, or is left out."""
    if not name:
        return ""
    reference = parse_reference(name)
    if reference.digest in (None, root.digest):
        return name
    return str(replace(reference, digest=None if reference.tag else root.digest))


def single(image: Image) -> Image:
    """An image for one platform, as a docker archive needs it. Raises `InputError` (`not-an-image`, `no-platform`)."""
    if not image.root.is_index:
        config = read_node(image.source, image.root).config
        if config is None or config.media_type not in CONFIG_TYPES:
            got = "nothing" if config is None else config.media_type
            what = f"{image.name!r} is no container image: its config has type {got}"
            raise InputError("not-an-image", what, "use `--as oci-archive`")
        return image
    node = read_node(image.source, image.root)
    real = [child for child in node.children if child.platform != _ATTESTATION]
    if len(real) != 1:
        have = ", ".join(sorted({child.platform or "?" for child in real}))
        what = f"{image.name!r} is for several platforms ({have}), and a docker archive holds one"
        raise InputError("no-platform", what, "add --platform, such as --platform linux/amd64")
    root = Descriptor(real[0].media_type, real[0].digest, real[0].size)
    blobs = tuple(found.descriptor if isinstance(found, Node) else found for found in walk(image.source, root))
    full = _with_digest(image.full_name, root)
    return single(replace(image, root=replace(root, annotations={ANNOTATION_IMAGE_NAME: full}), blobs=blobs))


def plan_archive(images: Sequence[Image], *, docker: bool = False) -> Plan:
    """Where everything will be in an archive of these images. A docker archive has a manifest.json besides."""
    blobs = [blob for image in images for blob in image.blobs]
    more = [("manifest.json", _manifest_json(images))] if docker else []
    named = [(image.name, image.root) for image in images]
    room = sum(blob.size for blob in blobs) + (len(blobs) + 16) * 4096 + sum(len(data) for _, data in more)
    return plan_volumes(blobs, named, room + len(images) * 4096 + (1 << 20), more)


def write_archive(plan: Plan, images: Sequence[Image], to: Path, progress: Progress) -> FileSum:
    """Writes the archive: an OCI layout in a tar, for containerd, k3s, skopeo and podman."""
    return copy_out(plan, Overlay(*(image.source for image in images)), to, progress)


def _manifest_json(images: Sequence[Image]) -> bytes:
    """What `docker load` reads. Source: docker save since version 25, which writes the same besides the OCI layout."""
    listed = []
    for image in images:
        node = read_node(image.source, image.root)
        config, *layers = [f"blobs/sha256/{child.digest.hex}" for child in node.children]
        reference = parse_reference(image.full_name) if image.full_name else None
        tags = [f"{reference.name}:{reference.tag}"] if reference is not None and reference.tag else []
        listed.append({"Config": config, "RepoTags": tags, "Layers": layers})
    return json.dumps(listed, separators=(",", ":")).encode()


def write_layout(images: Sequence[Image], to: Path, progress: Progress) -> None:
    """Writes an OCI layout folder. The names in it come last; if the work fails, everything is removed."""
    new = not to.exists()
    if not new and (not to.is_dir() or any(to.iterdir())):
        raise exists(to)
    try:
        layout = Layout(to, create=True, batch=True)
        progress.start("extract", 0, len(images))
        # One after the other, so that it is known what a fault is about.
        copies = [Copy(image.name, image.source, layout, image.root) for image in images]
        for copied in copy_graph(copies, jobs=1, progress=progress):
            if copied.error is not None:
                raise copied.error
        layout.publish({image.name: image.root for image in images})
        with suppress(OSError):
            (to / LOCK_FILE).unlink()
    except BaseException:
        shutil.rmtree(to / "blobs", ignore_errors=True)
        for file in ("oci-layout", "index.json", LOCK_FILE):
            with suppress(OSError):
                (to / file).unlink()
        if new:
            with suppress(OSError):
                to.rmdir()
        raise


def check_room(images: Sequence[Image], to: Path, what: str) -> int:
    """The bytes of the images, each blob once. Raises `StoreError` (`disk-full`) if they do not fit."""
    blobs = {blob.digest: blob.size for image in images for blob in image.blobs}
    size = sum(blobs.values())
    check_free(to, size + (len(blobs) + 16) * 4096 + (1 << 20), what)
    return size
