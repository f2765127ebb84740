"""The graph of a packed repository: how it is written, and how it is read as `Refs`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO

from airgap.base.canonical import canonical
from airgap.base.errors import IntegrityError
from airgap.base.strict_json import parse_json
from airgap.content.bound import not_as_locked
from airgap.content.forms import Refs
from airgap.content.graph import OCI_MANIFEST, Descriptor, Source, Target, read_node, read_verified
from airgap.content.item import Item
from airgap.content.names import is_url, repository_name, without_git
from airgap.kinds.git.left_out import LEFT_OUT, is_lfs_oid, left_out
from airgap.kinds.git.request import GIT_TYPE
from airgap.tools.git_refs import check_refs, is_oid
from airgap.tools.lfs import LFS_TYPE

CONFIG_TYPE = "application/vnd.airgap.git.config.v1+json"
BUNDLE_TYPE = "application/vnd.airgap.git.bundle.v1"
PASSING = "io.openova.airgap.git"
"""The annotation of a layer. Its one value says that the bundle has branches that come and go."""
PASSING_BUNDLE = {PASSING: "passing"}
MAX_BUNDLES = 1000
"""Bundles of one repository: each costs a process when it is unpacked. airgap writes at most 100."""
MAX_CONFIG = 64 << 20
"""Bytes of a config: 200,000 refs with long names and 20,000 LFS objects."""


def put_graph(target: Target, item: Item, bundles: Sequence[Descriptor], lfs: Sequence[Descriptor]) -> Descriptor:
    """Writes config and manifest for layers that are already in `target`; returns the root."""
    config = {
        "head": item.head,
        "lfs": [{"oid": layer.digest.hex, "size": layer.size} for layer in lfs],
        "prerequisites": [],
        "refs": dict(item.refs),
        **({"lost": list(left_out(item))} if left_out(item) else {}),
    }
    described = _put(target, CONFIG_TYPE, canonical(config))
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": GIT_TYPE,
        "config": described.as_dict(),
        "layers": [
            layer.as_dict() | ({"annotations": dict(layer.annotations)} if layer.annotations else {})
            for layer in (*bundles, *lfs)
        ],
    }
    return _put(target, OCI_MANIFEST, canonical(manifest))


def _put(target: Target, media_type: str, data: bytes) -> Descriptor:
    descriptor = Descriptor.of(media_type, data)
    target.put(descriptor, lambda offset: BytesIO(data[offset:]))
    return descriptor


def original_name(item: Item) -> str:
    """`host[:port]/path` of the source without scheme and `.git`; the item's name where the source is a path."""
    return repository_name(item.source) if is_url(item.source) else without_git(item.name)


def git_form(item: Item, root: Descriptor, source: Source) -> Refs:
    """A packed repository as `Refs`. Raises `IntegrityError` (`bad-git-graph`, …), `NotAsLockedError`."""
    found = git_refs(item.name, root, source)
    _compare(item, found)
    return replace(found, original=original_name(item), whole_lfs=bool(item.lfs))


def git_refs(name: str, root: Descriptor, source: Source) -> Refs:
    """A packed repository as its graph alone tells it. Raises `IntegrityError` (`bad-git-graph`, …)."""
    node = read_node(source, root)
    config = node.config
    if node.artifact_type != GIT_TYPE or config is None or config.media_type != CONFIG_TYPE:
        raise _bad_graph(root, f"got type {node.artifact_type!r}, expected {GIT_TYPE}")
    layers = node.children[1:]
    bundles = tuple(layer for layer in layers if layer.media_type == BUNDLE_TYPE)
    lfs = tuple(layer for layer in layers if layer.media_type == LFS_TYPE)
    document = parse_json(read_verified(source, config, MAX_CONFIG), f"git config {config.digest}")
    try:
        refs = check_refs(document["refs"], name, IntegrityError)
        head = document["head"]
        named = [(entry["oid"], entry["size"]) for entry in document["lfs"]]
        lost = tuple(document.get("lost", ()))
        unknown = set(document) - {"head", "lfs", "lost", "prerequisites", "refs"}
        whole = all(is_oid(oid) for oid in document["prerequisites"])
    except (KeyError, TypeError, AttributeError, IntegrityError) as error:
        why = error.what if isinstance(error, IntegrityError) else str(error)
        raise _bad_graph(root, f"its config is malformed: {why}") from error
    if unknown or len(layers) != len(bundles) + len(lfs):
        raise _bad_graph(root, "it has parts that this version of airgap does not know")
    if len(bundles) > MAX_BUNDLES:
        raise _bad_graph(root, f"it has {len(bundles)} bundles, expected at most {MAX_BUNDLES}")
    if named != [(layer.digest.hex, layer.size) for layer in lfs]:
        raise _bad_graph(root, "its LFS objects differ from those in its config")
    if not all(isinstance(oid, str) and is_lfs_oid(oid) for oid in lost):
        raise _bad_graph(root, "an LFS object that it has lost is none")
    if not whole or head not in ("", *refs) or bool(refs) != bool(bundles):
        raise _bad_graph(root, "its refs, head and bundles are inconsistent")
    return Refs(name, without_git(name), refs, head, bundles, lfs, source, root, bool(lfs), lost)


def _compare(item: Item, found: Refs) -> None:
    """Compares what a graph says of itself with the lock. Raises `NotAsLockedError`."""
    for name in sorted(found.refs.keys() | item.refs.keys()):
        if found.refs.get(name) != item.refs.get(name):
            raise not_as_locked(item, f"refs: {name}", found.refs.get(name), item.refs.get(name))
    if found.head != item.head:
        raise not_as_locked(item, "head", found.head, item.head)
    if found.lfs and not item.lfs:
        raise not_as_locked(item, "lfs", f"{len(found.lfs)} LFS objects", "")
    if found.lost_lfs != left_out(item):
        raise not_as_locked(item, LEFT_OUT, ", ".join(found.lost_lfs), ", ".join(left_out(item)))


def _bad_graph(root: Descriptor, why: str) -> IntegrityError:
    return IntegrityError("bad-git-graph", f"{root.digest} is not a packed Git repository: {why}")
