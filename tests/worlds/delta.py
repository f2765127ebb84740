"""A delta made by hand of a delivery: what earlier deliveries brought is in its volumes no more, not even as bytes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airgap.base.digest import Digest
from airgap.content.graph import OCI_MANIFEST, Descriptor
from airgap.content.lock import Lock
from airgap.content.sizes import item_blobs
from airgap.delivery import readme as people
from airgap.delivery import tar as tape
from airgap.delivery.contents import Omitted
from airgap.delivery.index import Index
from airgap.delivery.journey import Baseline
from airgap.delivery.read import Volumes
from airgap.statements.dsse import sign_payload
from airgap.statements.keys.file import load_private
from airgap.statements.log import EMPTY_HEAD
from airgap.statements.predicates import Delivery
from airgap.statements.statement import Statement

OWN = ({"schemaVersion"}, {"modelfs"}, {"refs"}, set[str]())
"""Fields of JSON that is always carried: nodes, and configs that no destination keeps."""


def thin(
    folder: Path, *earlier: Path, to: Path | None = None, omit: Callable[[str], bool] = lambda _digest: True
) -> dict[str, int]:
    """Makes a delivery a delta on earlier ones, in place or in `to`, and signs it as the exporter.

    Returns what it omits, with the sizes. `omit` can keep a blob that could be left out.
    """
    if to is not None:
        shutil.copytree(folder, to)
    target = to or folder
    index = Index.decode((target / "AIRGAP.json").read_bytes())
    left, based_on = dict[Digest, Omitted](), list[Baseline]()
    for number, one in enumerate(earlier, 1):
        based_on.append(Baseline(Digest.of((one / "AIRGAP.json").read_bytes())))
        for digest, item in brought(one).items():
            if (
                digest in index.contents.blobs
                and digest not in left
                and omit(digest)
                and not _own(index, target, digest)
            ):
                left[digest] = Omitted(index.contents.size(digest), number, item)
    for digest in left:
        for extent in index.contents.blobs[digest]:
            with (target / index.contents.volumes[extent.volume - 1].name).open("r+b") as file:
                file.seek(extent.offset)
                file.write(bytes(extent.length))
    rest = {digest: one for digest, one in index.contents.blobs.items() if digest not in left}
    order = sorted(left)
    volumes = tuple(replace(one, sha256=_sum(target / one.name)) for one in index.contents.volumes)
    contents = replace(index.contents, volumes=volumes, blobs=rest, omitted={one: left[one] for one in order})
    made = replace(index, contents=contents, journey=replace(index.journey, based_on=tuple(based_on)))
    sign(made, target)
    return {str(digest): one.size for digest, one in left.items()}


def brought(folder: Path) -> dict[Digest, str]:
    """Every blob that the items of a delivery need, with one of them."""
    index = Index.decode((folder / "AIRGAP.json").read_bytes())
    files = tape.read_archive((folder / "evidence.tar").read_bytes(), 1 << 30)
    items = {
        item.name: item
        for name, data in files.items()
        if name.startswith("locks/")
        for item in Lock.decode(data, name).items
    }
    volumes, found = Volumes(index.contents, (folder,)), dict[Digest, str]()
    for root in index.contents.roots:
        item = items[root.item]
        top = item.root or Descriptor(OCI_MANIFEST, root.digest, index.contents.size(root.digest))
        for blob in item_blobs(item, top, volumes):
            found.setdefault(blob.digest, root.item)
    return found


def _own(index: Index, folder: Path, digest: Digest) -> bool:
    with Volumes(index.contents, (folder,)).open(Descriptor("", digest, 0)) as stream:
        data = stream.read(1 << 20)
    try:
        found = json.loads(data)
    except ValueError:
        return False
    return isinstance(found, dict) and any(names <= found.keys() and (names or not found) for names in OWN)


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sign(made: Index, folder: Path) -> None:
    """Writes the index of a delivery again, and signs it as the exporter."""
    data = made.encode()
    moment = max(datetime.now(UTC), made.journey.created)
    said = Statement.of(Digest.of(data), Delivery(), signed_at=moment, log_head=EMPTY_HEAD, role="exporter")
    key: Any = load_private(folder.parent / "exporter.key", b"for tests")
    for path in (folder / "signatures").iterdir():
        path.unlink()
    (folder / "signatures/exporter.sigstore.json").write_bytes(sign_payload(said.payload, key))
    (folder / "AIRGAP.json").write_bytes(data)
    readme = people.readme(made, data)
    (folder / "README.txt").write_bytes(readme)
    (folder / "SHA256SUMS").write_bytes(people.sums(made, data, readme))
