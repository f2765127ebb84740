"""`GitPlace`: one repository at a destination, on a server or in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from airgap.content.graph import Descriptor, Opener
from airgap.tools.git import Remote

HEAD = "HEAD"
"""The name of the line that says what HEAD stands for; its digest is the object id of the ref that it names."""
LFS_PREFIX = "lfs/"
"""Lines of LFS objects are named so, with the object's id."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What is there: refs (unpeeled), the ref that HEAD names and its object id, `""` for none."""

    refs: Mapping[str, str] = field(default_factory=dict)
    head: str = ""
    head_oid: str = ""


class GitPlace(Protocol):
    """One repository. `at` names it for people and receipts."""

    at: str
    remote: Remote
    can_set_head: bool

    def look(self) -> Listing | None:
        """What is there now, `None` without a repository. Raises `UpstreamError` where it can't be used."""

    def refuses(self, ref: str) -> str:
        """Why a ref can't be there, `""` when it can."""

    def ready(self, head: str, object_format: str) -> None:
        """Makes the repository, where it is missing, so that objects can be brought."""

    def set_head(self, ref: str) -> None:
        """Points HEAD to a branch that is there."""

    def lfs_present(self, objects: Sequence[Descriptor]) -> set[str]:
        """Ids of those LFS objects that are there with the right size."""

    def lfs_put(self, descriptor: Descriptor, opener: Opener) -> None:
        """Brings one LFS object, checked; durable and visible only when whole."""

    def lfs_open(self, descriptor: Descriptor) -> BinaryIO:
        """Reads one LFS object. Raises `NotFoundError`."""
