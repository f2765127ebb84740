"""Git among the kinds: it packs instead of being read, so it needs a folder to work in."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.progress import Silent
from airgap.content.forms import Refs
from airgap.content.graph import OCI_MANIFEST, Descriptor, Source, Target
from airgap.content.lock import Item
from airgap.kinds.git import GitKind
from airgap.kinds.git.graph import git_form, original_name
from airgap.net.http import Client
from airgap.resources.model import GitRequest
from airgap.store.locate import Reach
from airgap.store.memory import Memory


def _kind(work: Path, reach: Reach) -> GitKind:
    return GitKind(work / "git", reach.http, reach.progress, proxies=reach.proxies, jobs=reach.jobs)


def resolve(request: GitRequest, reach: Reach) -> Item:
    """Pins refs."""
    return _kind(reach.spool, reach).resolve(request)


def pack(item: Item, target: Target, work: Path, reach: Reach) -> Descriptor:
    """Makes the graph in `target`. A relative path in a lock is relative to its folder."""
    local = "://" not in item.source
    # Only the way to the source is made absolute: what is packed depends on the lock alone.
    placed = replace(item, source=str(reach.path(item.source))) if local else item
    return _kind(work, reach).pack(placed, target)


def check(item: Item, root: Descriptor, source: Source) -> list[str]:
    """Unpacks the bundle for real; needs no network."""
    with tempfile.TemporaryDirectory(prefix="airgap-git-") as folder:
        return GitKind(Path(folder), Client(zone="gap"), Silent()).check(item, root, source)


def form(item: Item, root: Descriptor, source: Source) -> Refs:
    """Refs, bundles and LFS objects."""
    return git_form(item, root, source)


def expect(item: Item) -> Refs:
    """The refs as the lock alone tells them."""
    nothing = Descriptor(OCI_MANIFEST, Digest.of(b""), 0)
    return Refs(item.name, original_name(item), item.refs, item.head, (), (), Memory(), nothing)
