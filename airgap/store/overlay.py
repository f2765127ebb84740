"""A `Source` made of several: the first that has a blob gives it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from airgap.base.errors import NotFoundError
from airgap.content.graph import Descriptor, Source


class Overlay:
    """Looks into each source in turn. Names are those of the last."""

    def __init__(self, *sources: Source) -> None:
        self._sources = sources

    def has(self, descriptor: Descriptor) -> bool:
        """True when one of them has it."""
        return any(source.has(descriptor) for source in self._sources)

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """From the first that has it; else whatever the last says."""
        for source in self._sources[:-1]:
            if source.has(descriptor):
                try:
                    return source.open(descriptor, offset)
                except NotFoundError:
                    continue
        return self._sources[-1].open(descriptor, offset)

    def roots(self) -> Sequence[tuple[str, Descriptor]]:
        """Of the last source."""
        return self._sources[-1].roots()
