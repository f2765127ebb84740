"""A source that says how often it was read, and lacks what is on another disc."""

from __future__ import annotations

from collections import Counter
from typing import BinaryIO

from airgap.content.graph import Descriptor
from airgap.store.memory import Memory


class Counted(Memory):
    """A source that counts how often each blob was opened, and lacks what is in `elsewhere`."""

    def __init__(self, name: str = "source") -> None:
        super().__init__(name)
        self.opened: Counter[str] = Counter()
        self.elsewhere: set[str] = set()

    def has(self, descriptor: Descriptor) -> bool:
        return descriptor.digest not in self.elsewhere and super().has(descriptor)

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        self.opened[descriptor.digest] += 1
        return super().open(descriptor, offset)
