"""Images, and any other OCI artifact: carried as they are, index and signatures included."""

from __future__ import annotations

from dataclasses import replace

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.content.forms import Graph
from airgap.content.graph import (
    ANNOTATION_IMAGE_NAME,
    ANNOTATION_PLATFORMS,
    Descriptor,
    Node,
    Source,
    by_platform,
    walk,
)
from airgap.content.lock import Item
from airgap.content.platforms import arriving, check_platform, narrow
from airgap.content.reference import local_scheme
from airgap.resources.model import ImageRequest
from airgap.store.locate import Reach, find_attached
from airgap.store.memory import Memory


def resolve(request: ImageRequest, reach: Reach) -> Item:
    """Pins a reference: its root, its size in bytes, and everything attached to the index and to every child.

    Raises `InputError`, `NotFoundError`, `UpstreamError`, `IntegrityError`.
    """
    located = reach.locate(request.ref)
    check_platform(located.source, located.root, request.platforms)
    inside, _ = narrow(located.source, located.root, request.platforms)
    nodes, sizes = measure(located.source, located.root, request.platforms)
    attached = find_attached(located, nodes)
    for one in attached:
        sizes |= measure(located.source, one.descriptor, ())[1]
    return Item(
        name=request.name,
        kind="image",
        source=request.ref,
        root=Descriptor(located.root.media_type, located.root.digest, located.root.size),
        bytes=sum(sizes.values()),
        phase=request.phase,
        platforms=request.platforms,
        inside=None if inside.digest == located.root.digest else inside,
        attached=attached,
        converted=located.converted,
    )


def measure(source: Source, root: Descriptor, platforms: tuple[str, ...]) -> tuple[list[Digest], dict[Digest, int]]:
    """The nodes of a graph, and every blob's size in bytes. Reads manifests only."""
    nodes, sizes = [], dict[Digest, int]()
    for found in walk(source, root, by_platform(platforms)):
        descriptor = found.descriptor if isinstance(found, Node) else found
        sizes[descriptor.digest] = descriptor.size
        if isinstance(found, Node):
            nodes.append(descriptor.digest)
    return nodes, sizes


def source(item: Item, reach: Reach) -> Source:
    """Where the pinned graph is read from."""
    return reach.locate(item.source, item.root).source


def expect(item: Item) -> Graph:
    """The form as the lock alone tells it: with `platforms:` its root is what a registry is given."""
    root = item.inside or item.root
    if root is None:
        raise InputError("bad-lock", f"image {item.name!r} has no root in the lock", "lock it again")
    attached = arriving(item.attached, (item.root or root).digest, root.digest)
    whole = form(item, root, Memory())
    return replace(whole, platforms=(), attached=attached)


def check(_item: Item, _root: Descriptor, _source: Source) -> list[str]:
    """What is wrong with the graph in the store: nothing, as the digests fix all of it."""
    return []


def form(item: Item, root: Descriptor, source: Source) -> Graph:
    """A graph. Its original name is the reference, or the item's name where the source is local."""
    original = _original(item)
    return Graph(item.name, original, root, source, item.platforms, item.attached)


def index_annotations(item: Item) -> dict[str, str]:
    """What a store's index.json says of an image besides its name, so that `extract` needs no lock.

    containerd takes an image's name from the first, and without a full name it imports nothing.
    """
    said = {ANNOTATION_IMAGE_NAME: _original(item)}
    return said | ({ANNOTATION_PLATFORMS: ",".join(item.platforms)} if item.platforms else {})


def _original(item: Item) -> str:
    return item.name if _is_local(item.source) else item.source


def _is_local(source: str) -> bool:
    return local_scheme(source) != ""
