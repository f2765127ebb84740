"""Deletes objects: none that changed, and no file of a revision that a pointer still names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, UnreachableError
from airgap.content.removal import Removal, RemovalOutcome
from airgap.destinations.trees.keys import folders

POINTER = "refs/main"
"""The key of a pointer below its model: see `Tree.pointer`."""

H = TypeVar("H", bound="Hashed")


class Hashed(Protocol):
    """The present content of a key, hashed."""

    @property
    def digest(self) -> Digest:
        """Its digest."""


@dataclass(slots=True)
class TreeRemover(Generic[H]):
    """`look` hashes an object. `delete` deletes it if it still has the version, and returns what people should know."""

    look: Callable[[str, str], H | None]
    delete: Callable[[str, str, H], str]
    _pointers: dict[tuple[str, str], Digest | None] = field(default_factory=dict)

    def __call__(self, lines: Sequence[Removal], /) -> Iterator[Removal]:
        """See `Destination.remove`. Pointers go first: nothing is ever named that is not there."""
        gone: AirgapError | None = None
        for line in sorted(lines, key=lambda one: not one.name.endswith(f"/{POINTER}")):
            try:
                if gone is not None:
                    raise gone.with_traceback(None)
                yield self._remove(line)
            except AirgapError as error:
                gone = error if isinstance(error, UnreachableError) else None
                yield line.failed(error)

    def _remove(self, line: Removal) -> Removal:
        held = self.look(line.at, line.name)
        if held is None:
            return line.ended(RemovalOutcome.ABSENT)
        if held.digest != line.digest:
            return line.changed(held.digest)
        pointer = self._pointer(line)
        if pointer:
            return line.kept(f"{pointer} names it")
        said = self.delete(line.at, line.name, held)
        if line.name.endswith(f"/{POINTER}"):
            self._pointers[line.at, line.name] = None
        return line.ended(RemovalOutcome.DELETED, said)

    def _pointer(self, line: Removal) -> str:
        """The key of the pointer that names the revision in which a file is; `""` for none."""
        for folder in folders(line.name):
            pointer = f"{folder}/{POINTER}"
            if pointer == line.name:
                continue
            place = (line.at, pointer)
            if place not in self._pointers:
                held = self.look(*place)
                self._pointers[place] = None if held is None else held.digest
            revision = line.name.removeprefix(f"{folder}/").partition("/")[0]
            if self._pointers[place] == Digest.of(revision.encode()):
                return pointer
        return ""
