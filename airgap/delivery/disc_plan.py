"""Which file of a delivery goes on which disc, and what is written on the disc's label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airgap.base.errors import InputError
from airgap.delivery.fields import FileSum
from airgap.delivery.journey import Journey

BLOCK = 64 << 10
"""Bytes in which a file system may hand out its space: the largest unit of FAT32, and a common one of exFAT. UDF and
ISO 9660 have smaller ones."""
RESERVE = 4 << 20
"""Bytes of a disc for its own tables and folders."""


@dataclass(frozen=True, slots=True)
class Disc:
    """One disc: its number from 1, of how many, its large files, and the bytes that it needs with all small files."""

    number: int
    count: int
    files: tuple[FileSum, ...]
    size: int


def on_medium(size: int) -> int:
    """The bytes that a file of `size` bytes takes on a medium."""
    return size + -size % BLOCK


def plan_discs(files: Sequence[FileSum], small: Sequence[int], disc_size: int) -> tuple[Disc, ...]:
    """Spreads `files` over discs of `disc_size` bytes, in their order. Every disc also gets the `small` files.

    So each disc can be checked alone, and import works whichever is inserted first. Raises `InputError` (`disc-size`)
    for a file that no disc has room for.
    """
    common = RESERVE + sum(map(on_medium, small))
    filled: list[list[FileSum]] = [[]]
    room = disc_size - common
    for file in files:
        needed = on_medium(file.size)
        if needed > disc_size - common:
            raise InputError(
                "disc-size",
                f"{file.name}: {file.size} bytes do not fit on a disc of {disc_size} bytes, of which {common} are for "
                "the small files and the disc's own tables",
                "pass a larger --disc-size, or cut the delivery with a smaller --volume-size",
            )
        if needed > room:
            filled.append([])
            room = disc_size - common
        filled[-1].append(file)
        room -= needed
    return tuple(
        Disc(number, len(filled), tuple(some), common + sum(on_medium(one.size) for one in some))
        for number, some in enumerate(filled, 1)
    )


def label(journey: Journey, disc: Disc) -> str:
    """What to write on the disc: for whom, which delivery, which disc, and its first and last file."""
    first, last = disc.files[0].name, disc.files[-1].name
    held = first if first == last else f"{first} … {last}"
    return (
        f"{journey.sovereign} · {journey.stream} {journey.sequence} · disc {disc.number} of {disc.count} · {held} · "
        f"{journey.id[:8]}"
    )
