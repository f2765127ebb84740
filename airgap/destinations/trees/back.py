"""Points a tree's pointer back to the tree that it named before. A file that was replaced in place cannot come back."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError
from airgap.content.forms import Change, ChangeOutcome
from airgap.content.graph import Descriptor
from airgap.destinations.base import read_back

IN_PLACE = "the file was replaced in place, and its old bytes are gone: have a delivery cut that brings them again"


class Looks(Protocol):
    """What is held under a key, by its bucket: see `Objects.look`."""

    def __call__(self, bucket: str, key: str) -> str:
        """The digest; `""` for nothing."""


Write = Callable[[str, str, Descriptor, Callable[[], io.BytesIO]], None]
"""Writes an object over the one that is there: bucket, key, what, and its bytes."""


def plan_pointer(line: Change, known: Sequence[Change], look: Looks) -> Change:
    """See `Destination.plan_back`, for one line."""
    found = _pointed(line, known)
    if found is None:
        return line.refused(IN_PLACE)
    held = look(line.at, line.name)
    if held not in (line.digest, line.previous):
        return line.refused(f"it holds {held or 'nothing'} now, not what the delivery wrote: somebody changed it")
    for one in found[1]:
        bucket, _, prefix = one.at.partition("/")
        if look(bucket, f"{prefix}/{one.name}") != one.digest:
            return line.refused(f"what it named before is not there completely any more: {one.at}/{one.name}")
    return replace(line, outcome=ChangeOutcome.PRESENT if held == line.digest else ChangeOutcome.MOVED)


def move_pointer(line: Change, known: Sequence[Change], look: Looks, write: Write) -> Change:
    """See `Destination.move_back`, for one line."""
    found = _pointed(line, known)
    if line.outcome is not ChangeOutcome.MOVED or found is None:
        return line
    data = found[0]
    try:
        now = plan_pointer(line, known, look)
        if now.outcome is not ChangeOutcome.MOVED:
            return now
        write(line.at, line.name, Descriptor.of("text/plain", data), lambda: io.BytesIO(data))
        held = look(line.at, line.name)
    except AirgapError as error:
        return line.ended(ChangeOutcome.FAILED, error)
    if held != line.digest:
        return line.ended(ChangeOutcome.FAILED, read_back(held, line))
    return replace(line, outcome=ChangeOutcome.WRITTEN)


def _pointed(line: Change, known: Sequence[Change]) -> tuple[bytes, Sequence[Change]] | None:
    """The bytes that the pointer had, whose digest is in `line`, and the files of the tree that it named.

    A pointer has the last part of its tree's prefix for content: earlier receipts list the files below that.
    """
    places = {one.at for one in known if one.at.startswith(f"{line.at}/")}
    for at in sorted(places):
        above, _, last = at.removeprefix(f"{line.at}/").rpartition("/")
        data = last.encode()
        if above and line.name.startswith(f"{above}/") and str(Digest.of(data)) == line.digest:
            return data, [one for one in known if one.at == at]
    return None
