"""`platforms:` at a registry: which root a tag names if only some children of an index were carried.

For one child, the tag names that child, unchanged. For several, it names a derived index that lists exactly the
selected children and is otherwise unchanged. The original index is carried as evidence, but a registry would refuse it
while children are missing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from airgap.base.digest import Digest
from airgap.base.errors import WrongItemError
from airgap.base.strict_json import parse_json
from airgap.content.graph import (
    DOCKER_CONFIG,
    OCI_CONFIG,
    Descriptor,
    Node,
    Source,
    by_platform,
    is_for,
    parse_node,
    platform_name,
    read_node,
    read_verified,
)
from airgap.content.item import Attached

CONFIG_TYPES = frozenset({OCI_CONFIG, DOCKER_CONFIG})
"""Configs that name os, architecture and variant."""


def narrow(source: Source, root: Descriptor, platforms: Sequence[str]) -> tuple[Descriptor, Node | None]:
    """The root for `platforms`, and the derived index if one is needed (else `None`).

    Raises `InputError` (`no-platform`) if one of the platforms has no child.
    """
    keep = by_platform(platforms)
    if keep is None or not root.is_index:
        return root, None
    index = read_node(source, root)
    chosen = [child for child in index.children if keep(index, child)]
    lost = [name for name in platforms if not any(is_for(one.platform, name) for one in chosen)]
    if lost:
        have = sorted({child.platform for child in index.children if child.platform})
        raise WrongItemError(
            "no-platform",
            f"{root.digest} has nothing for {', '.join(lost)}",
            f"it has {', '.join(have) or 'no platforms at all'}; correct `platforms:` in the request",
        )
    if len(chosen) == len(index.children):
        return root, None
    if len(chosen) == 1:
        only = chosen[0]
        return Descriptor(only.media_type, only.digest, only.size), None
    return _derive(index, {str(child.digest) for child in chosen})


def arriving(attached: Sequence[Attached], original: Digest, inside: Digest) -> tuple[Attached, ...]:
    """The ones of `attached` to import where a tag names `inside` instead of the `original` root.

    An artifact attached to an index that is not imported would refer to nothing. The same applies to artifacts attached
    to that artifact.
    """
    if inside == original:
        return tuple(attached)
    subjects: dict[Digest, set[Digest]] = {}
    for one in attached:
        subjects.setdefault(one.descriptor.digest, set()).add(one.subject)
    gone, size = {original}, 0
    while len(gone) > size:
        size = len(gone)
        gone |= {digest for digest, to in subjects.items() if to <= gone}
    return tuple(one for one in attached if one.subject not in gone)


def check_platform(source: Source, root: Descriptor, platforms: Sequence[str]) -> None:
    """Refuses `platforms` for a single manifest whose config names another platform, or none at all.

    An index names the platform of each child; a manifest names it only in its config: OCI image-spec v1.1.1, config.md,
    "Properties". Raises `InputError` (`no-platform`), `IntegrityError`.
    """
    if not platforms or root.is_index:
        return
    config = read_node(source, root).config
    found = ""
    if config is not None and config.media_type in CONFIG_TYPES:
        where = f"config {config.digest}"
        found = platform_name(parse_json(read_verified(source, config), where), where)
    if any(is_for(found, name) for name in platforms):
        return
    hint = (
        f"it is for {found} only: correct `platforms:` in the request, or omit it"
        if found
        else "it is not for any platform: omit `platforms:`"
    )
    raise WrongItemError("no-platform", f"{root.digest} has nothing for {', '.join(platforms)}", hint)


def _derive(index: Node, digests: set[str]) -> tuple[Descriptor, Node]:
    document = parse_json(index.data, "index")
    document["manifests"] = [entry for entry in document["manifests"] if entry["digest"] in digests]
    data = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    descriptor = Descriptor.of(index.descriptor.media_type, data)
    return descriptor, parse_node(descriptor, data)
