"""Registries for a run: started empty, filled where asked, looked into, and gone afterwards with their bytes."""

from __future__ import annotations

import http.client
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from airgap.base.digest import Digest
from airgap.content.graph import OCI_MANIFEST
from benchlib.content import Content, Image
from benchlib.yardstick import THREADS, push_blob
from partslib import cache
from partslib.catalogue import BY_NAME
from tests.parts.registry import Registry, start_registry

VERSIONS = (3, 2)
"""Of Distribution, the better one first."""


def version() -> int:
    """The registry that is here. Raises `SystemExit` where there is none."""
    for one in VERSIONS:
        if cache.present(BY_NAME[f"distribution{one}"]):
            return one
    raise SystemExit("bench: needs a registry: scripts/parts distribution3")


@contextmanager
def empty(folder: Path) -> Iterator[Registry]:
    """An empty registry with its storage below `folder`, on the same disk as everything else."""
    place = Path(tempfile.mkdtemp(prefix="registry-", dir=folder))
    made = start_registry(place, version=version())
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(place)


def fill(content: Content, host: str) -> None:
    """Pushes all images, each into a repository of its own; shared layers are mounted from the first."""
    first, *others = content.images
    known = {blob.digest for blob in first.blobs}
    _push_image(content, first, host, set(), "")
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda one: _push_image(content, one, host, known, first.repository), others))


def _push_image(content: Content, image: Image, host: str, known: set[Digest], source: str) -> None:
    connection, repository = http.client.HTTPConnection(host), image.repository
    for blob in image.blobs:
        if blob.digest in known:
            mount = f"mount={blob.digest}&from={source}"
            _ask(connection, "POST", f"/v2/{repository}/blobs/uploads/?{mount}", 201)
        else:
            push_blob(connection, content.layout.blob_path(blob.digest), repository)
    data = content.layout.blob_path(image.manifest.digest).read_bytes()
    _ask(connection, "PUT", f"/v2/{repository}/manifests/v1", 201, data)
    connection.close()


def check(images: Sequence[Image], host: str, prefix: str = "") -> None:
    """Raises `SystemExit` unless every image is at `host` as it was made: whoever does less work is not compared."""
    connection = http.client.HTTPConnection(host)
    for image in images:
        path = f"/v2/{prefix}{image.repository}/manifests/{image.name.partition(':')[2]}"
        data = _ask(connection, "GET", path, 200)
        if Digest.of(data) != image.manifest.digest:
            raise SystemExit(f"bench: {host}/{prefix}{image.name} is not what was sent")
    connection.close()


def _ask(connection: http.client.HTTPConnection, method: str, path: str, expect: int, data: bytes = b"") -> bytes:
    headers = {"Content-Type": OCI_MANIFEST, "Accept": OCI_MANIFEST}
    connection.request(method, path, data or None, headers | {"Content-Length": str(len(data))})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != expect:
        raise SystemExit(f"bench: {method} {path}: {answer.status} {body[:200]!r}")
    return body
