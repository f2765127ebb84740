"""The kind for Git: a repository is packed and not read as it is, so it needs a working folder (`packer`)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.content.bound import LOCK_AGAIN
from airgap.content.forms import Refs
from airgap.content.graph import OCI_MANIFEST, Descriptor, Source, Target
from airgap.content.item import Item
from airgap.content.known_kinds import ItemFields
from airgap.content.lock_finding import LockFinding
from airgap.content.names import is_url, repository_complaint, repository_name
from airgap.content.ref_name import SERVERS_OWN
from airgap.content.scan_subject import ScanSubject, SubjectForm
from airgap.kinds.git.left_out import LEFT_OUT, check_left_out, left_out
from airgap.kinds.git.request import GIT_TYPE, GitRequest, name_complaint
from airgap.kinds.kind import Kind
from airgap.resources.references import git_complaint, plain_path_complaint
from airgap.store.memory import Memory

if TYPE_CHECKING:
    from airgap.kinds.git.packer import GitPacker
    from airgap.store.locate import Reach

_SHOWN = 5
"""Refs that `show` lists."""


class GitKind(Kind[GitRequest]):
    """Refs of a repository at an address or a path."""

    name = "git"
    artifact_type = GIT_TYPE
    section = "git"
    section_title = "a list of Git repositories"
    request = GitRequest
    item_fields = ItemFields(frozenset({"refs", "lfs"}), frozenset({"head", "asked", LEFT_OUT}), {"refs": list})
    packed = True
    path_prefixes = ("",)

    def origin(self, asked: GitRequest) -> str:
        """The address or the path."""
        return asked.url

    def said(self, asked: GitRequest) -> Mapping[str, Any]:
        """Which LFS objects are carried."""
        return {"lfs": asked.lfs, LEFT_OUT: _listed(asked.lost_lfs)}

    def pinned(self, item: Item) -> Mapping[str, Any]:
        """Which LFS objects are carried."""
        return {"lfs": item.lfs, LEFT_OUT: _listed(left_out(item))}

    def unwritten(self, asked: GitRequest, reach: Reach) -> Mapping[str, str | list[str]]:
        """The names and patterns."""
        return {"refs": sorted(asked.refs)}

    def resolve(self, asked: GitRequest, reach: Reach) -> Item:
        """Pins refs."""
        return _packer(reach.spool, reach).resolve(asked, partial=reach.partial)

    def pack(self, item: Item, target: Target, work: Path, reach: Reach) -> Descriptor:
        """Makes the graph in `target`. A relative path in a lock is relative to its folder."""
        local = "://" not in item.source
        # Only the way to the source is made absolute: what is packed depends on the lock alone.
        placed = replace(item, source=str(reach.path(item.source))) if local else item
        return _packer(work, reach).pack(placed, target)

    def check_item(self, item: Item, where: str) -> None:
        """Its refs are refs, and HEAD names one of them."""
        from airgap.tools.git_refs import check_refs

        try:
            check_refs(item.refs, where, InputError)
        except InputError as error:
            raise InputError("bad-lock", error.what, LOCK_AGAIN) from error
        if item.head not in ("", *item.refs):
            raise InputError("bad-lock", f"{where}: head: {item.head[:200]!r} is none of its refs", LOCK_AGAIN)
        if LEFT_OUT in item.more:
            check_left_out(item, where)

    def findings(self, item: Item) -> list[LockFinding]:
        """The LFS objects that are left out."""
        what = "this LFS object is not carried: the request says that its origin has lost it"
        return [LockFinding(item.name, "lfs-left-out", f"{oid}: {what}") for oid in left_out(item)]

    def check_content(self, item: Item, root: Descriptor, source: Source) -> list[str]:
        """Unpacks the bundle for real; needs no network."""
        from airgap.base.progress import Silent
        from airgap.kinds.git.packer import GitPacker
        from airgap.net.http import Client

        with tempfile.TemporaryDirectory(prefix="airgap-git-") as folder:
            return GitPacker(Path(folder), Client(zone="gap"), Silent()).check(item, root, source)

    def opened(self, item: Item, root: Descriptor, source: Source) -> None:
        """A destination unpacks the bundles, and compares the same."""

    def form(self, item: Item, root: Descriptor, source: Source) -> Refs:
        """Refs, bundles and LFS objects."""
        from airgap.kinds.git.graph import git_form

        return git_form(item, root, source)

    def thing(self, name: str, root: Descriptor, source: Source) -> Refs:
        """The repository."""
        from airgap.kinds.git.graph import git_refs

        return git_refs(name, root, source)

    def subjects(self, item: Item, root: Descriptor, source: Source, work: Path) -> Iterable[ScanSubject]:
        """The files in the trees of the refs, unpacked below `work`."""
        from airgap.kinds.git.tree import GitTrees

        form = self.form(item, root, source)
        trees = GitTrees(form, work)
        size = sum({blob.digest: blob.size for blob in form.blobs()}.values())
        return (
            ScanSubject(
                digest=root.digest,
                kind=self.name,
                form=SubjectForm.FILES,
                title=item.name,
                source=source,
                node=root,
                size=size,
                files=trees.files,
                coverage=trees.coverage,
            ),
        )

    def expect(self, item: Item) -> Refs:
        """The refs as the lock alone tells them."""
        from airgap.kinds.git.graph import original_name

        nothing = Descriptor(OCI_MANIFEST, Digest.of(b""), 0)
        return Refs(item.name, original_name(item), item.refs, item.head, (), (), Memory(), nothing)

    def is_local(self, item: Item) -> bool:
        """True for everything except an address."""
        return not is_url(item.source)

    def source_complaint(self, source: str) -> str:
        """A URL, or a path."""
        if is_url(source) or "://" in source:
            return git_complaint(source)
        return plain_path_complaint(source)

    def check_names(self, item: Item, where: str) -> None:
        """The source is one of a request; the name of a local repository is its place inside."""
        super().check_names(item, where)
        complaint = name_complaint(item.name) if self.is_local(item) else ""
        if complaint:
            raise InputError("bad-lock", f"{where}: name: {complaint}", "give it such a name in the request")

    def address(self, item: Item) -> str:
        """Host and path."""
        return repository_name(item.source)

    def inside(self, item: Item) -> str:
        """Host and path, or the name where the source is a path."""
        from airgap.kinds.git.graph import original_name

        return original_name(item)

    def notes(self, item: Item) -> list[str]:
        """The refs that Gitea refuses, and a name that it refuses."""
        kept = {prefix: sum(ref.startswith(prefix) for ref in item.refs) for prefix in SERVERS_OWN}
        return [
            f"{item.name}: {prefix}* belongs to the server: Gitea will refuse these {count} refs at every import. Take "
            "them out of `refs` in the request, unless they go into a folder"
            for prefix, count in kept.items()
            if count
        ] + self._name_note(item)

    def _name_note(self, item: Item) -> list[str]:
        name = self.inside(item)
        complaint = repository_complaint(name)
        way = f"map it in the Sovereign resource, under git.organizations: `{name}: ORGANIZATION/NAME`"
        return [f"{item.name}: inside, {complaint}. For a Gitea, {way}"] if complaint else []

    def shown(self, item: Item) -> str:
        """The first refs."""
        return ", ".join(f"{ref} {oid[:12]}" for ref, oid in list(item.refs.items())[:_SHOWN])

    def identity(self, item: Item) -> str:
        """How many refs."""
        return f"{len(item.refs)} refs"

    def changed(self, field: str, before: Any, after: Any) -> list[str]:
        """Each ref that moved."""
        if field != "refs":
            return super().changed(field, before, after)
        old, new = before or {}, after or {}
        return [
            f"{ref} {(old.get(ref) or 'nothing')[:12]} → {(new.get(ref) or 'nothing')[:12]}"
            for ref in sorted(old.keys() | new.keys())
            if old.get(ref) != new.get(ref)
        ]


def _listed(oids: Sequence[str]) -> str:
    return ", ".join(sorted(oids)) or "none"


def _packer(work: Path, reach: Reach) -> GitPacker:
    from airgap.kinds.git.packer import GitPacker

    return GitPacker(work / "git", reach.http, reach.progress, proxies=reach.proxies, jobs=reach.jobs)


KIND = GitKind()
