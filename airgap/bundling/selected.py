"""All content of locks in a store, in the order in which it is carried."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from airgap.base.digest import Digest
from airgap.base.errors import InputError, IntegrityError, NotFoundError
from airgap.content.graph import Descriptor, Node, by_platform, walk
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.content.platforms import CONFIG_TYPES
from airgap.station.files import pin_name
from airgap.store.layout import Layout


@dataclass(frozen=True, slots=True)
class Selected:
    """All content of the locks, in order: nodes and configs first, so that one volume describes all content."""

    roots: tuple[tuple[Item, Descriptor], ...]
    blobs: tuple[Descriptor, ...]
    always: frozenset[Digest]
    """What always travels: nodes, and configs that a lock is compared with, or that no destination keeps."""

    @property
    def leaves(self) -> list[Descriptor]:
        """What can be left out."""
        return [blob for blob in self.blobs if blob.digest not in self.always]


def item_root(item: Item, layout: Layout) -> Descriptor:
    """The root of a locked item in the store. Raises `InputError` (`not-pulled`)."""
    root = item.root if item.root is not None else layout.find(pin_name(item))
    if root is None or not layout.has(root):
        raise InputError(
            "not-pulled",
            f"{item.kind} {item.name!r} is not in the store {layout.path}",
            "run `airgap pull` with this lock and this store first",
        )
    return Descriptor(root.media_type, root.digest, root.size)


def select(locks: Sequence[Lock], layout: Layout, only: Collection[str] = ()) -> Selected:
    """Walks every graph of the locks in the store, or of the items `only`. Raises `InputError`, `IntegrityError`."""
    roots, nodes, leaves = [], dict[Digest, Descriptor](), dict[Digest, Descriptor]()
    configs, always = dict[Digest, Descriptor](), set[Digest]()
    for item in (item for lock in locks for item in lock.items if not only or item.name in only):
        root = item_root(item, layout)
        roots.append((item, root))
        for top, keep in item.graphs(root):
            try:
                for found in walk(layout, top, keep):
                    if isinstance(found, Node):
                        nodes.setdefault(found.descriptor.digest, found.descriptor)
                        if found.config is not None:
                            configs.setdefault(found.config.digest, found.config)
                            if found.config.media_type not in CONFIG_TYPES or _compared(item, root):
                                always.add(found.config.digest)
                    else:
                        leaves.setdefault(found.digest, found)
            except (IntegrityError, NotFoundError) as error:
                raise _incomplete(item, layout, error) from error
    missing = next((leaf for leaf in leaves.values() if not layout.has(leaf)), None)
    if missing is not None:
        owner = owner_of(missing.digest, roots, layout)
        raise _incomplete(owner, layout, NotFoundError("blob-missing", f"{missing.digest} is missing"))
    # A digest may be a config in one place and a layer in another, or even a node.
    first = nodes | {digest: config for digest, config in configs.items() if digest not in nodes}
    rest = (leaf for digest, leaf in leaves.items() if digest not in first)
    return Selected(tuple(roots), (*first.values(), *rest), frozenset(nodes.keys() | always))


def _compared(item: Item, root: Descriptor) -> bool:
    """True if the platform of a lock is compared with the config: an index names those of its children."""
    return bool(item.platforms) and not root.is_index


def owner_of(digest: Digest, roots: Sequence[tuple[Item, Descriptor]], layout: Layout) -> Item:
    """An item that has a leaf; the first one if none of its own graph has it."""
    for item, root in roots:
        for found in walk(layout, root, by_platform(item.platforms)):
            if not isinstance(found, Node) and found.digest == digest:
                return item
    return roots[0][0]


def _incomplete(item: Item, layout: Layout, error: IntegrityError | NotFoundError) -> InputError | IntegrityError:
    if isinstance(error, IntegrityError):
        what = f"{item.kind} {item.name!r} in {layout.path}: {error.what}"
        repair = "run `airgap pull` again with this lock; this repairs the store"
        return IntegrityError(error.code, what, error.hint or repair)
    return InputError(
        "not-pulled",
        f"{item.kind} {item.name!r} is incomplete in the store {layout.path}: {error.what}",
        "run `airgap pull` again with this lock and this store",
    )
