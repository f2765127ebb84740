"""`GraphPlace`: one repository, as a destination of graphs uses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from airgap.base.digest import Digest, hash_stream
from airgap.base.errors import BlockedError, IntegrityError
from airgap.content.graph import Descriptor, Node, Opener, PutResult, Source, Target


class GraphPlace(Target, Protocol):
    """One repository."""

    def resolve(self, name: str) -> Descriptor:
        """Resolves a tag or digest. Raises `NotFoundError`, `BlockedError`."""

    def holds(self, name: str) -> Digest:
        """The digest that a tag or digest names, also where its bytes may not be read.

        Raises `NotFoundError`; `BlockedError` if that cannot be found out.
        """

    def publish(self, names: Mapping[str, Descriptor], source: Source | None = None) -> None:
        """See `Target.publish`. `source` gives the bytes of roots that may not be read here.

        Raises `UnconfirmedError` for a name that was written and that nobody may read.
        """

    def node(self, digest: Digest) -> Descriptor:
        """The manifest or index with this digest, even if no name reaches it. Raises as `resolve` does."""

    def check_writable(self) -> None:
        """Raises `UpstreamError` (`no-rights`) if it is already known that nothing may be written. Writes nothing."""

    def tags(self) -> Sequence[str]:
        """All tags of the repository; none if it does not exist."""

    def lists(self, referrer: Digest, subject: Digest) -> bool:
        """True if a referrers query on the subject returns the referrer."""

    def refer(self, node: Node, subject: Digest) -> None:
        """Makes the next `publish` list a manifest under a subject that it does not name, if the place can do that."""

    def discard(self, descriptor: Descriptor) -> bool:
        """Removes a damaged blob, so that it can be transferred again. False if the place cannot do that."""


class Deep:
    """A place in which content counts as present only after its bytes have been hashed again."""

    def __init__(self, place: GraphPlace) -> None:
        self._place = place
        self.settle, self.publish, self.open = place.settle, place.publish, place.open
        self.roots, self.check_room = place.roots, place.check_room

    def has(self, descriptor: Descriptor) -> bool:
        """True for a present and undamaged blob. Raises `IntegrityError` (`damaged-inside`) if it cannot be removed."""
        if not self._place.has(descriptor):
            return False
        try:
            with self._place.open(descriptor) as stream:
                if hash_stream(stream) == (descriptor.digest, descriptor.size):
                    return True
        except BlockedError:  # it may not be read, but its blobs are hashed all the same
            return True
        if self._place.discard(descriptor):
            return False
        raise IntegrityError(
            "damaged-inside",
            f"{self._place}: {descriptor.digest} is damaged, and a registry does not accept a second copy of a blob",
            "delete the blob there (or the repository, with garbage collection), then run the same command again",
        )

    def asks(self, _descriptor: Descriptor) -> bool:
        """False: existing content has to be hashed."""
        return False

    def put(self, descriptor: Descriptor, opener: Opener, mount_from: Sequence[str] = ()) -> PutResult:
        """Removes a damaged node first, then puts as the place does.

        An undamaged node is put too, because it may still have to be made findable.
        """
        if descriptor.is_node:
            self.has(descriptor)
        return self._place.put(descriptor, opener, mount_from)
