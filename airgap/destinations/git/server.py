"""A repository on a Git server: Gitea, or a plain server that has no API and creates no repositories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import BinaryIO

from airgap.base.errors import AirgapError, RepositoryMissingError, UpstreamError
from airgap.content.graph import Descriptor, Opener
from airgap.content.ref_name import SERVERS_OWN
from airgap.destinations.git.gitea import GiteaApi
from airgap.destinations.git.place import Listing
from airgap.destinations.git.remove import push_away
from airgap.tools.git import Git, Remote
from airgap.tools.git_refs import object_format as format_of
from airgap.tools.git_repository import list_refs
from airgap.tools.lfs import LfsClient

_BRANCHES = "refs/heads/"


class ServerPlace:
    """A `Place` over HTTP. `api` is `None` for a plain Git server."""

    def __init__(self, git: Git, at: str, remote: Remote, lfs: LfsClient, api: GiteaApi | None) -> None:
        self.at = at
        self.remote = remote
        self.can_set_head = self.first_is_head = api is not None
        self._git = git
        self._lfs = lfs
        self._api = api

    def look(self, *, to_write: bool = True) -> Listing | None:
        """See `Place.look`. If HEAD and the default branch in the server's database differ, `head` names both."""
        repo = None
        if self._api is not None:
            repo = self._api.repo(self.at)
            if repo is None:
                return None
            if repo.problem and to_write:
                raise UpstreamError(
                    "git-read-only", f"{self.at}: {repo.problem}", "map it to another place", side="destination"
                )
        refs, head, head_oid = self._listed()
        branches = any(name.startswith(_BRANCHES) for name in refs)
        if self._api is not None and repo is not None and repo.empty and branches:
            # It processes a push now, and what it is going to do to HEAD cannot be seen in HEAD yet.
            repo = self._api.processed(self.at)
            refs, head, head_oid = self._listed()
        made = Listing(refs, head, head_oid, _format(refs) or ("" if repo is None else repo.object_format))
        if repo is None or not branches:
            return made
        if repo.empty:
            return replace(made, unsettled=True)
        shown = _BRANCHES + repo.default_branch
        return made if shown == head else replace(made, head=f"{head or 'no ref'} (but the server shows {shown})")

    def _listed(self) -> tuple[dict[str, str], str, str]:
        try:
            return list_refs(self._git, self.remote)
        except RepositoryMissingError as error:
            if self._api is not None:
                raise
            raise error.with_hint("this server has no API to create repositories: create it there first") from error

    def refuses(self, ref: str) -> str:
        """See `Place.refuses`."""
        own = next((prefix for prefix in SERVERS_OWN if ref.startswith(prefix)), "")
        return f"{own}* belongs to the server" if own else ""

    def check_new(self, object_format: str) -> None:
        """See `Place.check_new`."""
        if self._api is not None:
            self._api.check_new(self.at, object_format)

    def settle(self) -> None:
        """See `Place.settle`."""
        if self._api is not None:
            self._api.processed(self.at)

    def ready(self, head: str, object_format: str) -> None:
        """See `Place.ready`. Actions are switched off before the first push, which would queue a run for each ref."""
        if self._api is None:
            return
        if self._api.repo(self.at) is None:
            self._api.create(self.at, head.removeprefix(_BRANCHES), object_format)
        repo = self._api.repo(self.at)
        if repo is not None and repo.empty and repo.has_actions:
            self._api.actions_off(self.at)

    def set_head(self, ref: str) -> None:
        """See `Place.set_head`."""
        if self._api is None:
            return
        refs, _, _ = list_refs(self._git, self.remote)
        branches = [name for name in refs if name.startswith(_BRANCHES) and name != ref]
        others = [name.removeprefix(_BRANCHES) for name in branches]
        self._api.set_default_branch(self.at, ref.removeprefix(_BRANCHES), others)

    def delete(self, ref: str, oid: str) -> AirgapError | None:
        """See `Place.delete`."""
        return push_away(self._git, self, ref, oid)

    def lfs_present(self, objects: Sequence[Descriptor]) -> set[str]:
        """See `Place.lfs_present`."""
        return self._lfs.present([(one.digest.hex, one.size) for one in objects])

    def lfs_put(self, descriptor: Descriptor, opener: Opener) -> None:
        """See `Place.lfs_put`."""
        self._lfs.upload(descriptor, opener)

    def lfs_open(self, descriptor: Descriptor) -> BinaryIO:
        """See `Place.lfs_open`."""
        ((_, opener),) = self._lfs.openers([(descriptor.digest.hex, descriptor.size)])
        return opener(0)


def _format(refs: Mapping[str, str]) -> str:
    """The object format that the ids show, `""` if there are none."""
    return format_of(refs.values()) if refs else ""
