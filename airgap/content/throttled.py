"""`ThrottledSource`: a source that is read through a throttle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from airgap.base.throttle import Throttle, throttled
from airgap.content.graph import Descriptor, Source


@dataclass(frozen=True, slots=True)
class ThrottledSource:
    """Another source, whose bytes come through a throttle."""

    source: Source
    throttle: Throttle

    def has(self, descriptor: Descriptor) -> bool:
        """Of the source."""
        return self.source.has(descriptor)

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """From the source."""
        return throttled(self.source.open(descriptor, offset), self.throttle)

    def roots(self) -> Sequence[tuple[str, Descriptor]]:
        """Of the source."""
        return self.source.roots()
