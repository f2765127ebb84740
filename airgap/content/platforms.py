"""`platforms:` at a registry: which root a tag names if only some children of an index were carried.

For one child, the tag names that child, unchanged. For several, it names a derived index that lists exactly the
selected children and is otherwise unchanged. The original index is carried as evidence, but a registry would refuse it
while children are missing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, DamageError, IntegrityError, NotFoundError, WrongItemError
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
    walk,
)
from airgap.content.item import Attached

MAX_LISTED = 10
"""Children of an index that a message lists."""
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


def about_children(error: AirgapError, source: Source, root: Descriptor, platforms: Sequence[str]) -> AirgapError:
    """The error of reading a graph, with the children of an index that it is about, and the platforms without them.

    Mirrors keep an index and only some of its children, and a layer of Windows may be stored elsewhere: then
    `platforms:` carries the others. What was damaged on the way is not explained.
    """
    if not root.is_index or isinstance(error, DamageError):
        return error
    bad, good, why = list[str](), set[str](), error
    try:
        index, keep = read_node(source, root), by_platform(platforms)
        for child in index.children:
            if keep is not None and not keep(index, child):
                continue
            found = _fault(source, child)
            if found is None:
                good.add(child.platform)
            else:
                why = why if bad else found.with_where(f"{child.platform or 'a child'} ({child.digest})")
                bad.append(child.platform or str(child.digest))
    except AirgapError:
        return error
    if not bad:
        return error
    others = sorted(one for one in good if _can_be_asked(one) and not any(is_for(name, one) for name in bad))
    hint = f"to carry the rest, write `platforms: [{', '.join(others)}]` in the request" if others else why.hint
    listed = ", ".join(bad[:MAX_LISTED]) + (f" and {len(bad) - MAX_LISTED} more" if len(bad) > MAX_LISTED else "")
    return why.with_where(f"the index lists {listed}, which cannot be carried").with_hint(hint)


def _fault(source: Source, child: Descriptor) -> AirgapError | None:
    """Why a child of an index cannot be read whole, `None` if it can. Raises `DamageError`, `UpstreamError`."""
    try:
        for _ in walk(source, child):
            pass
    except DamageError:
        raise
    except (IntegrityError, NotFoundError) as error:
        return error
    return None


def _can_be_asked(platform: str) -> bool:
    """True for a platform that `platforms:` can name and that machines have: BuildKit writes `unknown/unknown`."""
    return platform.count("/") >= 1 and not platform.startswith("unknown/")


def _derive(index: Node, digests: set[str]) -> tuple[Descriptor, Node]:
    document = parse_json(index.data, "index")
    document["manifests"] = [entry for entry in document["manifests"] if entry["digest"] in digests]
    data = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    descriptor = Descriptor.of(index.descriptor.media_type, data)
    return descriptor, parse_node(descriptor, data)
