"""`GraphPlace`: one repository, as a destination for graphs sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from airgap.base.digest import Digest, hash_stream
from airgap.base.errors import BlockedError, IntegrityError
from airgap.content.graph import Descriptor, Node, Opener, PutResult, Target


class GraphPlace(Target, Protocol):
    """One repository."""

    def resolve(self, name: str) -> Descriptor:
        """What a tag or digest names. Raises `NotFoundError`, `BlockedError`."""

    def tags(self) -> Sequence[str]:
        """All tags of the repository; none when it does not exist."""

    def lists(self, node: Node) -> bool:
        """True when who looks for what refers to the node's subject finds the node."""

    def refer(self, node: Node, subject: Digest) -> None:
        """Has the next `publish` make a manifest findable at a subject that it does not name itself, where one can."""

    def discard(self, descriptor: Descriptor) -> bool:
        """Takes a damaged blob out of sight, so that it can be brought anew; false where nobody can do that."""


class Deep:
    """A place in which nothing counts as present before its bytes were hashed again."""

    def __init__(self, place: GraphPlace) -> None:
        self._place = place
        self.settle, self.publish, self.open = place.settle, place.publish, place.open
        self.roots, self.check_room = place.roots, place.check_room

    def has(self, descriptor: Descriptor) -> bool:
        """True for a blob that is there and whole. Raises `IntegrityError` (`damaged-inside`) where it stays bad."""
        if not self._place.has(descriptor):
            return False
        try:
            with self._place.open(descriptor) as stream:
                if hash_stream(stream) == (descriptor.digest, descriptor.size):
                    return True
        except BlockedError:  # nobody may read it: its blobs are hashed all the same
            return True
        if self._place.discard(descriptor):
            return False
        raise IntegrityError(
            "damaged-inside",
            f"{self._place}: {descriptor.digest} is damaged, and a registry does not accept a second copy of a blob",
            "delete the blob there (or the repository, with garbage collection), then run the same command again",
        )

    def asks(self, _descriptor: Descriptor) -> bool:
        """False: what is there has to be hashed."""
        return False

    def put(self, descriptor: Descriptor, opener: Opener, mount_from: Sequence[str] = ()) -> PutResult:
        """As the place does, after a damaged node was taken away. A whole one may still have to be made findable."""
        if descriptor.is_node:
            self.has(descriptor)
        return self._place.put(descriptor, opener, mount_from)
