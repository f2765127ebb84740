"""What a delta omits, where it is: a `Source` over all destinations.

A destination that lacks a blob gets it from another repository there, else from another destination. What is read is
hashed on the way, and a wrong byte is said to be damage where it was read, not on the medium.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from airgap.base.digest import Digest
from airgap.base.errors import (
    AirgapError,
    DamageError,
    InputError,
    IntegrityError,
    NotFoundError,
    OmittedError,
    StoreError,
    UnreachableError,
)
from airgap.content.graph import Descriptor
from airgap.content.verified import VerifiedStream
from airgap.destinations.base import AnyDestination, Spot

Ats = Callable[[Digest], Mapping[str, Collection[str]]]
"""Of an omitted blob, by URL: the repositories, or other places, to which receipts say that its item was brought."""
_MEND = (
    "find out what damaged it (`airgap audit --deep`), and delete it there; then `airgap want DELIVERY --deep` lists "
    "what is missing and what is damaged"
)


@dataclass(slots=True)
class OmittedBlobs:
    """A `Source` of the blobs that a delivery omits. Asks destinations when a blob is needed, and remembers answers.

    Thread-safe: two threads may ask the same at once, and remember the same.
    """

    items: Mapping[Digest, str]
    """Each omitted blob with the item that brought it."""
    destinations: Sequence[AnyDestination]
    ats: Ats
    unasked: dict[str, AirgapError] = field(default_factory=dict)
    """By URL: why a destination could not be asked. One that does not answer is not asked again."""
    _found: dict[tuple[str, Digest], Spot | None] = field(default_factory=dict)
    """By URL and digest."""

    def has(self, descriptor: Descriptor) -> bool:
        """True if a destination has the blob. Presence is not integrity."""
        return next(self._spots(descriptor), None) is not None

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """The blob's bytes from `offset` on; from the beginning, they are hashed on the way.

        Raises `OmittedError`; `IntegrityError` (`damaged-inside`) when wrong bytes were read.
        """
        for spot in self._spots(descriptor):
            try:
                stream = spot.opener(offset)
            except NotFoundError:
                self._found[spot.url, descriptor.digest] = None
                continue
            return stream if offset else cast("BinaryIO", _FromInside(stream, descriptor, spot))
        raise OmittedError(
            "omitted-missing",
            f"{descriptor.digest} ({descriptor.size} bytes), which this delta omits, is nowhere inside",
            "run `airgap want` for what is missing, and have it cut with `airgap bundle --want`",
            side="destination",
        )

    def roots(self) -> Sequence[tuple[str, Descriptor]]:
        """None: these are leaves."""
        return ()

    def holders(self, url: str, descriptor: Descriptor) -> Sequence[str]:
        """Where at a destination the blob is, so that it can be copied there: a repository, or a bucket and key."""
        if descriptor.digest not in self.items:
            return ()
        spot = next((self._at(one, descriptor) for one in self.destinations if one.url == url), None)
        return (spot.at,) if spot is not None else ()

    def _spots(self, descriptor: Descriptor) -> Iterator[Spot]:
        """Where the blob is, one destination after the other."""
        for destination in self.destinations:
            spot = self._at(destination, descriptor)
            if spot is not None:
                yield spot

    def _at(self, destination: AnyDestination, descriptor: Descriptor) -> Spot | None:
        key = destination.url, descriptor.digest
        if key in self._found:
            return self._found[key]
        if isinstance(self.unasked.get(destination.url), UnreachableError):
            return None
        item, ats = self.items[descriptor.digest], self.ats(descriptor.digest).get(destination.url, ())
        try:
            found = next(destination.spots(descriptor, item, ats), None)
        except (InputError, StoreError):
            raise
        except AirgapError as error:
            self.unasked[destination.url] = error
            return None
        self._found[key] = found
        return found


class _FromInside(VerifiedStream):
    """A blob that is read from a destination: if its bytes are wrong, the error says where."""

    def __init__(self, stream: BinaryIO, descriptor: Descriptor, spot: Spot) -> None:
        super().__init__(stream, descriptor)
        self._spot = spot

    def _check(self) -> None:
        try:
            super()._check()
        except DamageError as error:
            raise IntegrityError("damaged-inside", f"{self._spot}: {error.what}", _MEND) from error
