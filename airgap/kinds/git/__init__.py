"""Git among the kinds: it is packed instead of being read, so it needs a folder to work in (`packer`)."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from airgap.base.digest import Digest
from airgap.content.forms import Refs
from airgap.content.graph import OCI_MANIFEST, Descriptor, Source, Target
from airgap.content.known_kinds import ItemFields
from airgap.content.lock import Item
from airgap.kinds.kind import Kind
from airgap.resources.fields import Flag, ListOf, Map, Place, Text, given, spec_field
from airgap.resources.parts import ITEM_NAME, RELATIVE
from airgap.resources.problems import quoted
from airgap.resources.references import git_complaint, ref_complaint
from airgap.store.memory import Memory

if TYPE_CHECKING:
    from airgap.kinds.git.packer import GitPacker
    from airgap.store.locate import Reach

_SHOWN = 5
"""Refs that `show` lists."""


@dataclass(frozen=True, slots=True)
class GitRequest:
    """`url` is https (or http) or a path; `refs` are full names or patterns with `*`."""

    spec: ClassVar = Map("a map with the repository's url")
    url: str = field(
        metadata=spec_field(
            "url",
            Text(
                "an https address or a path",
                f"{RELATIVE} ssh is not taken: airgap holds no ssh keys.",
                least=1,
            ),
        )
    )
    name: str = field(
        metadata=spec_field("name", ITEM_NAME, "Left out: the last part of the url, without `.git`.", needed=False)
    )
    refs: tuple[str, ...] = field(
        default=("refs/heads/*", "refs/tags/*"),
        metadata=spec_field(
            "refs",
            ListOf(
                Text("a full ref name, such as refs/heads/main or refs/tags/v*", least=1, complaint=ref_complaint),
                "a list of refs",
                least=1,
                unique=True,
            ),
        ),
    )
    lfs: bool = field(
        default=False, metadata=spec_field("lfs", Flag("Whether the LFS objects that the refs reach come along."))
    )
    where: str = field(default="", metadata=given("where"))

    def checked(self, at: Place) -> GitRequest:
        """The address or absolute path, and the name that it gives."""
        complaint = git_complaint(self.url)
        at.bad(complaint, "url")
        if complaint:
            return self
        url = self.url if "://" in self.url else str(at.reader.path((*at.steps, "url"), self.url))
        name = self.name or PurePosixPath(url).name.removesuffix(".git")
        if not re.match(r"\S{1,300}\Z", name):
            at.bad(f"no name can be made of {quoted(url)}, expected a 'name'")
        return replace(self, url=url, name=name)


class GitKind(Kind[GitRequest]):
    """Refs of a repository at an address or a path."""

    name = "git"
    section = "git"
    section_title = "a list of Git repositories"
    request = GitRequest
    item_fields = ItemFields(frozenset({"refs", "lfs"}), frozenset({"head", "asked"}), {"refs": list})
    packed = True
    path_prefixes = ("",)

    def origin(self, asked: GitRequest) -> str:
        """The address or the path."""
        return asked.url

    def said(self, asked: GitRequest) -> Mapping[str, Any]:
        """Whether LFS objects are carried."""
        return {"lfs": asked.lfs}

    def pinned(self, item: Item) -> Mapping[str, Any]:
        """Whether LFS objects are carried."""
        return {"lfs": item.lfs}

    def unwritten(self, asked: GitRequest) -> Mapping[str, str | list[str]]:
        """The names and patterns."""
        return {"refs": sorted(asked.refs)}

    def resolve(self, asked: GitRequest, reach: Reach) -> Item:
        """Pins refs."""
        return _packer(reach.spool, reach).resolve(asked)

    def pack(self, item: Item, target: Target, work: Path, reach: Reach) -> Descriptor:
        """Makes the graph in `target`. A relative path in a lock is relative to its folder."""
        local = "://" not in item.source
        # Only the way to the source is made absolute: what is packed depends on the lock alone.
        placed = replace(item, source=str(reach.path(item.source))) if local else item
        return _packer(work, reach).pack(placed, target)

    def check(self, item: Item, root: Descriptor, source: Source) -> list[str]:
        """Unpacks the bundle for real; needs no network."""
        from airgap.base.progress import Silent
        from airgap.kinds.git.packer import GitPacker
        from airgap.net.http import Client

        with tempfile.TemporaryDirectory(prefix="airgap-git-") as folder:
            return GitPacker(Path(folder), Client(zone="gap"), Silent()).check(item, root, source)

    def form(self, item: Item, root: Descriptor, source: Source) -> Refs:
        """Refs, bundles and LFS objects."""
        from airgap.kinds.git.graph import git_form

        return git_form(item, root, source)

    def expect(self, item: Item) -> Refs:
        """The refs as the lock alone tells them."""
        from airgap.kinds.git.graph import original_name

        nothing = Descriptor(OCI_MANIFEST, Digest.of(b""), 0)
        return Refs(item.name, original_name(item), item.refs, item.head, (), (), Memory(), nothing)

    def is_local(self, item: Item) -> bool:
        """Everything but an address."""
        return re.match(r"https?://", item.source, re.IGNORECASE) is None

    def address(self, item: Item) -> str:
        """Host and path."""
        return super().address(item).removesuffix(".git")

    def local_name(self, item: Item) -> str:
        """Its name."""
        return super().local_name(item).removesuffix(".git")

    def shown(self, item: Item) -> str:
        """The first refs."""
        return ", ".join(f"{ref} {oid[:12]}" for ref, oid in list(item.refs.items())[:_SHOWN])

    def identity(self, item: Item) -> str:
        """How many refs."""
        return f"{len(item.refs)} refs"

    def changed(self, field: str, before: Any, after: Any) -> list[str]:
        """Of refs each one that moved."""
        if field != "refs":
            return super().changed(field, before, after)
        old, new = before or {}, after or {}
        return [
            f"{ref} {(old.get(ref) or 'nothing')[:12]} → {(new.get(ref) or 'nothing')[:12]}"
            for ref in sorted(old.keys() | new.keys())
            if old.get(ref) != new.get(ref)
        ]


def _packer(work: Path, reach: Reach) -> GitPacker:
    from airgap.kinds.git.packer import GitPacker

    return GitPacker(work / "git", reach.http, reach.progress, proxies=reach.proxies, jobs=reach.jobs)


KIND = GitKind()
