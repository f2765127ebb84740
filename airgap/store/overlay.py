"""A `Source` made of several: each blob comes from the first source that has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from airgap.base.errors import NotFoundError
from airgap.content.graph import Descriptor, Source


class Overlay:
    """Searches each source in turn. Names are those of the last source."""

    def __init__(self, *sources: Source) -> None:
        self._sources = sources

    def has(self, descriptor: Descriptor) -> bool:
        """True if one of the sources has it."""
        return any(source.has(descriptor) for source in self._sources)

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """Opens the blob in the first source that has it; else in the last, which raises its own error."""
        for source in self._sources[:-1]:
            if source.has(descriptor):
                try:
                    return source.open(descriptor, offset)
                except NotFoundError:
                    continue
        return self._sources[-1].open(descriptor, offset)

    def roots(self) -> Sequence[tuple[str, Descriptor]]:
        """The roots of the last source."""
        return self._sources[-1].roots()
