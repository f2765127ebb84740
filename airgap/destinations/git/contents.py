"""What is inside a Git server or a folder of repositories, in the organizations that airgap fills: every ref."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.base.disk import disk_errors
from airgap.base.errors import AirgapError, NotFoundError, UnreachableError, UpstreamError
from airgap.base.parallel import in_batches
from airgap.destinations.base import Inside
from airgap.destinations.git.gitea import GiteaApi
from airgap.destinations.git.place import GitPlace

BATCH = 50
"""Repositories that are asked for before their refs are given: so many lists are in memory."""
SUFFIX = ".git"
UNFINISHED = ".new-"
"""The beginning of the name of a folder in which an import makes a repository."""


@dataclass(frozen=True, slots=True)
class GitContents:
    """`place` gives a repository. `api` is `None` for a folder, and for a server that cannot list repositories."""

    place: Callable[[str], GitPlace]
    organizations: Collection[str]
    """The organizations that airgap fills; empty if repositories keep their names, in a folder alone."""
    api: GiteaApi | None = None
    folder: Path | None = None
    jobs: int = 4

    def __call__(self, known: Collection[str], /) -> Iterator[Inside]:
        """See `Destination.contents`."""
        try:
            if self.folder is not None:
                yield from self._in_folder(self.folder)
            elif self.api is not None:
                for organization in sorted(self.organizations):
                    yield from self._in_organization(self.api, organization, known)
            else:
                yield Inside("", problem=_no_list())
                yield from self._looked(sorted(known))
        except AirgapError as error:
            yield Inside("", problem=error)

    def _in_organization(self, api: GiteaApi, organization: str, known: Collection[str]) -> Iterator[Inside]:
        seen: set[str] = set()
        below = f"{organization}/".casefold()
        ours = {at.casefold(): at for at in known if at.casefold().startswith(below)}

        def listed() -> Iterator[str]:
            for at in api.repositories(organization):
                seen.add(at.casefold())
                yield ours.get(at.casefold(), at)  # Gitea ignores the case of names; receipts have what was asked

        try:
            yield from self._looked(listed())
        except UnreachableError:
            raise
        except AirgapError as error:
            yield Inside(organization, problem=error.with_where("its repositories cannot be listed"))
        yield from self._looked(at for folded, at in sorted(ours.items()) if folded not in seen)

    def _in_folder(self, folder: Path) -> Iterator[Inside]:
        tops = [folder / one for one in sorted(self.organizations)] if self.organizations else [folder]
        for top in tops:
            for path in _walk(top):
                relative = str(path.relative_to(folder))
                if path.name.endswith(SUFFIX) and not path.is_symlink() and path.is_dir():
                    yield from self._looked([relative.removesuffix(SUFFIX)])
                else:
                    at, _, name = relative.rpartition("/")
                    yield Inside(at, name)

    def _looked(self, repositories: Iterable[str]) -> Iterator[Inside]:
        for found in in_batches(self.jobs, self._repository, repositories, BATCH, "list"):
            yield from found

    def _repository(self, at: str) -> Sequence[Inside]:
        try:
            place = self.place(at)
            listing = place.look(to_write=False)
        except NotFoundError:
            return []
        except UnreachableError:
            raise
        except AirgapError as error:
            return [Inside(at, problem=error)]
        if listing is None:
            return []
        # Pull requests that were opened inside are the server's own refs, which no client can push.
        return [Inside(at, name, oid) for name, oid in listing.refs.items() if not place.refuses(name)] or [Inside(at)]


def _walk(top: Path) -> Iterator[Path]:
    """Repositories below a folder, and everything that is neither a repository nor a folder above one."""
    with disk_errors(top):
        entries = sorted(os.scandir(top), key=lambda one: one.name) if top.is_dir() else []
    for entry in entries:
        path = top / entry.name
        if entry.is_dir(follow_symlinks=False) and not entry.name.endswith(SUFFIX):
            if not entry.name.startswith(UNFINISHED):
                yield from _walk(path)
        else:
            yield path


def _no_list() -> UpstreamError:
    return UpstreamError(
        "cannot-list",
        "this server has no API that lists its repositories",
        "--only-listed leaves out what no receipt lists, and the report says so",
        side="destination",
    )
