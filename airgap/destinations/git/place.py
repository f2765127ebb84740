"""`GitPlace`: one repository at a destination, on a server or in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from airgap.base.errors import AirgapError, UpstreamError
from airgap.content.forms import Refs
from airgap.content.graph import Descriptor, Opener
from airgap.tools.git import Remote

HEAD = "HEAD"
"""The name of the line for HEAD. Its digest is the object id of the ref that HEAD names."""
LFS_PREFIX = "lfs/"
"""The prefix of the names of LFS lines; the object's id follows."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The present content: refs (unpeeled), the ref that HEAD names, and its object id; `""` for none."""

    refs: Mapping[str, str] = field(default_factory=dict)
    head: str = ""
    head_oid: str = ""
    object_format: str = ""
    """`sha1` or `sha256`, `""` if nothing tells it."""
    unsettled: bool = False
    """True while the server still processes a push, after which it may move HEAD."""


class GitPlace(Protocol):
    """One repository. `at` is its name in messages and receipts."""

    at: str
    remote: Remote
    can_set_head: bool
    first_is_head: bool
    """True if the server takes its default branch from the first push with branches, some time after that push."""

    def look(self, *, to_write: bool = True) -> Listing | None:
        """The present content, or `None` if there is no repository. Raises `UpstreamError` if it is unusable: with
        `to_write` also if it is archived, a mirror, or not writable for this account."""

    def refuses(self, ref: str) -> str:
        """Why the ref is not allowed there; `""` if it is allowed."""

    def check_new(self, object_format: str) -> None:
        """Checks whether the missing repository could be created. Raises `UpstreamError`."""

    def ready(self, head: str, object_format: str) -> None:
        """Creates the repository if it is missing, so that it can receive objects."""

    def settle(self) -> None:
        """Waits until the server has processed the first push with branches: it does not move HEAD after that."""

    def set_head(self, ref: str) -> None:
        """Points HEAD to an existing branch."""

    def delete(self, ref: str, oid: str) -> AirgapError | None:
        """Deletes a ref if it still has this value; returns why the place refuses that. Raises `AirgapError`."""

    def lfs_present(self, objects: Sequence[Descriptor]) -> set[str]:
        """The ids of the LFS objects that are present with the right size."""

    def lfs_put(self, descriptor: Descriptor, opener: Opener) -> None:
        """Checks and stores one LFS object durably. It is visible only when it is complete."""

    def lfs_open(self, descriptor: Descriptor) -> BinaryIO:
        """Opens one LFS object. Raises `NotFoundError`."""


def check_lfs(refs: Refs, place: GitPlace) -> None:
    """Checks that all LFS objects are there. Raises `UpstreamError` (`lfs-not-kept`).

    Answers to uploads are not trusted, and a server accepts refs whose LFS objects it does not have.
    """
    if not refs.lfs:
        return
    missing = {one.digest.hex for one in refs.lfs} - place.lfs_present(refs.lfs)
    if missing:
        raise UpstreamError(
            "lfs-not-kept",
            f"{place.at}: {len(missing)} LFS objects are missing (first: {min(missing)})",
            "check the server's LFS storage, then run the import again",
            side="destination",
        )
