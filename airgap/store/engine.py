"""Images of a local engine (`docker-daemon:`), converted into an OCI graph that is the same byte for byte each time.

A Docker engine keeps no registry manifest, so the image gets a new digest. The graph contains the unchanged config (its
digest is the image id) and each layer as the uncompressed tar whose digest the config lists. Nothing is accepted
unchecked: layers are hashed and compared with the config's diff ids. Source: Docker image spec v1.2, "Combined Image
JSON + Filesystem Changeset".
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from airgap.base.canonical import canonical
from airgap.base.digest import CHUNK, Digest
from airgap.base.disk import check_free, disk_errors
from airgap.base.errors import InputError, IntegrityError, NotFoundError, TooLargeError, UpstreamError, WrongItemError
from airgap.base.strict_json import parse_json
from airgap.base.untar import BadTarError, TarEntry, TarReader
from airgap.content.graph import MAX_NODE, OCI_CONFIG, OCI_MANIFEST, Descriptor
from airgap.store.archive import MAX_MEMBERS, Slice

LAYER = "application/vnd.oci.image.layer.v1.tar"


class EngineImage:
    """A `Source` with one image of a Docker or podman engine, spooled to an unnamed file in `spool`.

    `url` is the engine's address, `""` for the library's default. Raises `InputError` if the image or the engine does
    not exist, `IntegrityError` if the layers do not match the config.
    """

    def __init__(self, reference: str, spool: Path, url: str = "") -> None:
        self.reference = reference
        self._where: dict[Digest, tuple[int, int]] = {}
        self._memory: dict[Digest, bytes] = {}
        with disk_errors(spool):
            self._file: BinaryIO = tempfile.TemporaryFile(dir=spool)  # noqa: SIM115
        try:
            with disk_errors(spool):
                for piece in _save(reference, url, spool):
                    self._file.write(piece)
                self._file.flush()
            self.root = self._convert()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the spooled archive, which frees its disk space."""
        self._file.close()

    def _convert(self) -> Descriptor:
        self._file.seek(0)
        size = os.fstat(self._file.fileno()).st_size
        try:
            reader = TarReader(self._file, entries=MAX_MEMBERS, total=size, seek=True)
            members = {one.name.removeprefix("./"): one for one in reader if one.type in ("file", "link", "symlink")}
            listing = parse_json(_content(self._file, members, "manifest.json"), "manifest.json of the engine")
            config_data = _content(self._file, members, listing[0]["Config"])
            layers = [self._layer(members, name) for name in listing[0]["Layers"]]
            expected = parse_json(config_data, "image config")["rootfs"]["diff_ids"]
        except (BadTarError, KeyError, IndexError, TypeError) as error:
            raise UpstreamError(
                "bad-engine-answer",
                f"docker-daemon:{self.reference}: the engine's archive cannot be read: {error!r:.200}",
                side="origin",
            ) from error
        config = Descriptor.of(OCI_CONFIG, config_data)
        if [str(layer.digest) for layer in layers] != expected:
            raise IntegrityError(
                "layer-mismatch",
                f"docker-daemon:{self.reference}: the layers differ from those that the config lists",
            )
        manifest = canonical(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": config.as_dict(),
                "layers": [layer.as_dict() for layer in layers],
            }
        )
        root = Descriptor.of(OCI_MANIFEST, manifest)
        self._memory = {config.digest: config_data, root.digest: manifest}
        return root

    def _layer(self, members: Mapping[str, TarEntry], name: str) -> Descriptor:
        member = members[name]
        if member.type != "file":  # older engines store a link for a layer that occurs twice
            target = os.path.normpath(f"{name}/../{member.link}") if member.type == "symlink" else member.link
            member = members[target]
        digest = _hash(self._file, member)
        self._where[digest] = (member.offset, member.size)
        return Descriptor(LAYER, digest, member.size)

    def has(self, descriptor: Descriptor) -> bool:
        """True for the config, the layers and the manifest."""
        return descriptor.digest in self._where or descriptor.digest in self._memory

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """The blob from `offset` on. Raises `NotFoundError`."""
        if descriptor.digest in self._memory:
            return io.BytesIO(self._memory[descriptor.digest][offset:])
        where = self._where.get(descriptor.digest)
        if where is None:
            raise NotFoundError("blob-missing", f"docker-daemon:{self.reference}: no {descriptor.digest}")
        left = max(0, where[1] - offset)
        return cast("BinaryIO", Slice(self._file, where[0] + offset, left, Path(self.reference)))

    def roots(self) -> Sequence[tuple[str, Descriptor]]:
        """The one image."""
        return [(self.reference, self.root)]


def _content(file: BinaryIO, members: Mapping[str, TarEntry], name: str) -> bytes:
    member = members[name]
    if member.size > MAX_NODE:
        raise TooLargeError("too-large", f"{name:.200}: got {member.size} bytes, expected at most {MAX_NODE}")
    return os.pread(file.fileno(), member.size, member.offset)


def _hash(file: BinaryIO, member: TarEntry) -> Digest:
    hasher = hashlib.sha256()
    at, end = member.offset, member.offset + member.size
    while at < end and (piece := os.pread(file.fileno(), min(CHUNK, end - at), at)):
        hasher.update(piece)
        at += len(piece)
    return Digest.from_hash(hasher)


def _save(reference: str, url: str, spool: Path) -> Iterable[bytes]:
    """The engine's archive of the image, if there is room for it in `spool`.

    Converts the library's errors, including those raised inside its stream. Raises `InputError`, `StoreError`,
    `UpstreamError`.
    """
    try:
        import docker
        import docker.errors
    except ImportError as error:
        raise InputError(
            "missing-extra",
            "docker-daemon: needs the Python package docker",
            "pip install 'airgap[docker]'",
        ) from error
    try:
        client = docker.DockerClient(base_url=url) if url else docker.from_env()
        try:
            image: Any = client.images.get(reference)
            # The size that the engine reports: that of the unpacked layers, which the archive contains.
            check_free(spool, int(image.attrs.get("Size") or 0), f"docker-daemon:{reference}")
            yield from image.save(chunk_size=CHUNK)
        finally:
            client.close()
    except docker.errors.NotFound as error:
        raise WrongItemError(
            "no-image",
            f"docker-daemon:{reference}: the engine has no such image",
            "`docker images` lists the images that it has",
        ) from error
    except (docker.errors.DockerException, OSError, json.JSONDecodeError) as error:
        raise UpstreamError(
            "no-engine",
            f"docker-daemon:{reference}: {error}",
            "check that the engine runs, and that you may use its socket (DOCKER_HOST)",
            side="origin",
        ) from error
