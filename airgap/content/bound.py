"""What a lock binds of a graph: compared first in the lock itself, later with the bytes of the graph's nodes.

A lock is approved and signed, and then a graph is carried for it. Whatever of the lock decides a name or a place inside
must follow from the bytes: docs/format.md, "What a lock binds".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import pairwise

from airgap.base.digest import Digest
from airgap.base.errors import InputError, NotAsLockedError
from airgap.content.graph import Descriptor, Node, Source, by_platform, walk
from airgap.content.item import Attached, Item
from airgap.content.platforms import check_platform, narrow
from airgap.content.reference import signature_tags

LOCK_AGAIN = "make it again with `airgap lock`"


Nodes = Mapping[Digest, Digest | None]
"""The manifests and indexes of a graph, each with the subject that it names."""


Blobs = dict[Digest, Descriptor]


def measure(source: Source, root: Descriptor, platforms: Sequence[str] = ()) -> tuple[Nodes, Blobs]:
    """The nodes of a graph, and all of its blobs. Reads manifests only."""
    nodes, blobs = dict[Digest, Digest | None](), Blobs()
    for found in walk(source, root, by_platform(platforms)):
        descriptor = found.descriptor if isinstance(found, Node) else found
        blobs[descriptor.digest] = descriptor
        if isinstance(found, Node):
            nodes[descriptor.digest] = None if found.subject is None else found.subject.digest
    return nodes, blobs


def total(blobs: Blobs) -> int:
    """The bytes of all blobs."""
    return sum(one.size for one in blobs.values())


def check_locked(item: Item, where: str) -> None:
    """Checks in a lock alone what its fields say of each other. Raises `InputError` (`bad-lock`).

    1. Each tag of an attached artifact is one that its subject's digest gives. 2. Everything is attached to something,
    as far as the lock names it: an index has children that only its bytes name. 3. Attached artifacts are in the order
    of `lock`, each once, and no tag names two. 4. Without platforms there is nothing that only `inside` names.
    """
    # 1.
    for one in item.attached:
        why = _wrong_tag(one)
        if why:
            raise _bad_lock(f"{where}: {why}")
    # 2.
    tops = [top for top in (item.root, item.inside, *(one.descriptor for one in item.attached)) if top is not None]
    if not any(top.is_index for top in tops):
        known = {top.digest for top in (item.root, item.inside) if top is not None}
        stray = _stray(known, [(one, frozenset({one.descriptor.digest})) for one in item.attached])
        if stray is not None:
            raise _bad_lock(f"{where}: {_strays(stray)}")
    # 3.
    order = [(one.subject, one.how, one.tag, one.descriptor.digest) for one in item.attached]
    if any(one >= following for one, following in pairwise(order)):
        raise _bad_lock(f"{where}: the attached artifacts are not in order, or one is listed twice")
    tags = [one.tag for one in item.attached if one.tag]
    if len(tags) != len(set(tags)):
        raise _bad_lock(f"{where}: two attached artifacts have one tag")
    # 4.
    if item.inside is not None and not item.platforms:
        raise _bad_lock(f"{where}: inside: got {item.inside.digest}, but the item has no platforms")


def check_attached(attached: Sequence[Attached], nodes: Set[Digest], source: Source) -> Blobs:
    """Checks by bytes that everything attached belongs to the graph with these `nodes`; returns its blobs.

    A subject is a node of the graph, or of something that is itself attached to it: that of the lock, and one that the
    bytes name, because registries list it there. A tag is what its subject's digest gives. Raises `NotAsLockedError`,
    and any error of reading manifests.
    """
    blobs, below = Blobs(), list[tuple[Attached, Nodes]]()
    for one in attached:
        why = _wrong_tag(one)
        if why:
            raise NotAsLockedError("not-as-locked", why, LOCK_AGAIN)
        own, its = measure(source, one.descriptor)
        blobs |= its
        below.append((one, own))
    stray = _stray(nodes, [(one, own.keys()) for one, own in below])
    if stray is not None:
        raise NotAsLockedError("not-as-locked", _strays(stray), LOCK_AGAIN)
    whole = nodes | {digest for _, own in below for digest in own}
    for one, own in below:
        foreign = next((subject for subject in own.values() if subject is not None and subject not in whole), None)
        if foreign is not None:
            what = f"attached {one.descriptor.digest}: it refers to {foreign}, which is not part of this item"
            raise NotAsLockedError("not-as-locked", what, f"remove it upstream from what refers to {one.subject}")
    return blobs


def check_graph(item: Item, root: Descriptor, source: Source) -> Blobs:
    """Compares an item of a registry kind with its graph; returns all its blobs, those of what is attached too.

    Reads manifests and, if `platforms` are asked of a single manifest, its config.

    1. The root is that of the lock. 2. `platforms` are in the graph, and `inside` is what they make of it. 3. What is
    attached belongs to it. 4. `bytes` is the size of everything. Raises `NotAsLockedError`, and any error of reading.
    """
    # 1.
    expected = item.root
    if expected is None or (root.digest, root.size) != (expected.digest, expected.size):
        raise not_as_locked(item, "root", root.digest, None if expected is None else expected.digest)
    # 2.
    try:
        check_platform(source, root, item.platforms)
        inside, _ = narrow(source, root, item.platforms)
    except InputError as error:
        raise NotAsLockedError("not-as-locked", f"{item.kind} {item.name!r}: {error.what}", LOCK_AGAIN) from error
    narrowed = None if inside.digest == root.digest else inside
    if narrowed != item.inside:
        said = item.inside and item.inside.digest
        raise not_as_locked(item, "inside", narrowed and narrowed.digest, said)
    # 3.
    nodes, blobs = measure(source, root, item.platforms)
    try:
        blobs |= check_attached(item.attached, nodes.keys(), source)
    except NotAsLockedError as error:
        raise error.with_where(f"{item.kind} {item.name!r}") from error
    # 4.
    if total(blobs) != item.bytes:
        raise not_as_locked(item, "bytes", total(blobs), item.bytes)
    return blobs


def check_derived(item: Item, made: Descriptor, size: int, where: str) -> None:
    """Compares `root` and `bytes` with what the other fields of the item give. Raises `InputError` (`bad-lock`)."""
    root = item.root
    if root is None or (root.media_type, root.digest, root.size) != (made.media_type, made.digest, made.size):
        got = "none" if root is None else f"{root.media_type} {root.digest}, {root.size} bytes"
        raise _bad_lock(f"{where}: root: got {got}, but its files give {made.digest}")
    if item.bytes != size:
        raise _bad_lock(f"{where}: bytes: got {item.bytes}, but its files give {size}")


def not_as_locked(item: Item, field: str, got: object, expected: object) -> NotAsLockedError:
    """The error for content that says something else than one field of its lock."""
    what = f"{item.kind} {item.name!r}: {field}: got {got or 'none'}, but the lock says {expected or 'none'}"
    return NotAsLockedError("not-as-locked", what, "have it locked and pulled again in the connected zone")


def _wrong_tag(one: Attached) -> str:
    """Why a tag may not be published, `""` if it may: any other tag could be that of an image."""
    if one.how != "tag" or one.tag in signature_tags(one.subject):
        return ""
    expected = " or ".join(signature_tags(one.subject))
    return f"attached {one.descriptor.digest}: tag: got {one.tag[:140]!r}, expected {expected}"


def _stray(known: Iterable[Digest], below: Sequence[tuple[Attached, Set[Digest]]]) -> Attached | None:
    """The first attached artifact that belongs to nothing in `known`, directly or through others; `None` for none."""
    children: dict[Digest, list[Set[Digest]]] = {}
    for one, nodes in below:
        children.setdefault(one.subject, []).append(nodes)
    queue = list(known)
    reached = set(queue)
    while queue:
        for nodes in children.pop(queue.pop(), ()):
            queue += nodes - reached
            reached |= nodes
    return next((one for one, _ in below if one.subject not in reached), None)


def _strays(one: Attached) -> str:
    return f"attached {one.descriptor.digest}: its subject {one.subject} is not part of this item"


def _bad_lock(what: str) -> InputError:
    return InputError("bad-lock", what, LOCK_AGAIN)
