"""`copy`: a delivery onto a medium, disc by disc, read back from there before anybody is told to remove it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from airgap.base.disk import check_free
from airgap.base.errors import DamageError, InputError, NotFoundError
from airgap.base.inputs import plain_size
from airgap.delivery.copy import CopiedFiles, check_medium, check_place, copy_files, small_files
from airgap.delivery.disc_plan import Disc, on_medium, plan_discs
from airgap.delivery.files import Listing, first_files, payload, read_listing
from airgap.delivery.read import Media, open_media
from airgap.jobs.surroundings import Surroundings
from airgap.jobs.verify import open_verified, verified_outside

SLACK = 1 << 20
"""Bytes of a medium besides the files themselves: folders, and the mark of an unfinished copy."""


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """Which delivery, whose signatures are accepted, and where it goes."""

    delivery: tuple[Path, ...]
    """The folders with its files."""
    to: Path | None
    """A new folder on the medium; a dry run needs none."""
    trust: Path | None = None
    """The Trust resource: whose signatures are accepted."""
    unverified: bool = False
    """True to copy without checking who signed the delivery."""
    at: datetime | None = None
    """Judge the delivery as of this past time; `None` for now."""
    disc_size: int | None = None
    """Bytes of one disc; `None` if everything goes on one."""
    disc: int | None = None
    """The disc to write, from 1."""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class CopyResult:
    """The delivery, how it is spread over discs, which disc this is, and what was copied; `None` in a dry run."""

    index: Listing
    media: Media
    discs: tuple[Disc, ...]
    disc: Disc | None
    copied: CopiedFiles | None = None


def copy_delivery(options: CopyOptions, surroundings: Surroundings) -> CopyResult:
    """Copies a delivery, or the part of it that belongs on one disc.

    1. Check the signatures. 2. Plan the discs. 3. Check the medium: its place, the sizes of files, the free space. 4.
    Copy, sync, and read everything back. What reads back wrong is in the result. Raises `InputError`, `TrustError`,
    `IntegrityError`, `NotFoundError`, `StoreError`.
    """
    # 1.
    index, media = _open(options, surroundings)
    # 2.
    first = first_files(index)
    large = [one for one in payload(index) if one not in first]
    small = small_files(index, media)
    sizes = [*(len(one.data) for one in small), *(one.size for one in first)]
    # Without a size there is one disc, as large as need be.
    endless = sum(on_medium(one.size) for one in large) + sum(map(on_medium, sizes)) + (1 << 30)
    discs = plan_discs(large, sizes, options.disc_size or endless)
    disc = _chosen(options, discs)
    done = CopyResult(index, media, discs, disc)
    if options.to is None or disc is None:
        return done
    # 3.
    files = (*disc.files, *first)
    if any(options.to.exists() and options.to.samefile(folder) for folder in media.folders):
        what = f"--to {options.to} is a folder of the delivery, in which nothing is changed"
        raise InputError("bad-path", what, "name a new folder")
    check_place(options.to, media.digest)
    check_medium(options.to, files)
    missing = [one for one in files if plain_size(options.to / one.name) != one.size]
    needed = sum(on_medium(one.size) for one in missing) + sum(on_medium(len(one.data)) for one in small) + SLACK
    check_free(options.to, needed, "the copy")
    if options.dry_run:
        return done
    # 4.
    progress, throttle = surroundings.progress(), surroundings.throttle
    try:
        copied = copy_files(media.folders, files, small, options.to, media.digest, progress, throttle)
    except (DamageError, NotFoundError) as error:
        if index.parity is None:
            raise
        raise error.with_hint(
            f"{error.hint}; or write it again from the parity files first, with `airgap repair`"
        ) from error
    return CopyResult(index, media, discs, disc, copied)


def _open(options: CopyOptions, surroundings: Surroundings) -> tuple[Listing, Media]:
    if options.trust is not None:
        outside = verified_outside(options.delivery, options.trust, options.at, surroundings)
        if outside is not None:  # an encrypted delivery is copied as it is, by who cannot read it
            return outside.index, outside.media
        opened = open_verified(options.delivery, options.trust, options.at, surroundings)
        return opened.index, opened.media
    if not options.unverified:
        raise InputError(
            "usage",
            "copy: a delivery is copied after its signatures were checked",
            "use --trust FILE; --unverified copies what nobody may have signed",
        )
    media = open_media(options.delivery)
    return read_listing(media.index_bytes), media


def _chosen(options: CopyOptions, discs: Sequence[Disc]) -> Disc | None:
    if options.disc is not None:
        if options.disc > len(discs):
            raise InputError(
                "usage", f"--disc {options.disc}: the delivery needs {len(discs)}", "see the plan with --dry-run"
            )
        return discs[options.disc - 1]
    if len(discs) == 1:
        return discs[0]
    if not options.dry_run:
        raise InputError(
            "usage",
            f"copy: the delivery needs {len(discs)} discs of this size",
            f"pass --disc N, from 1 to {len(discs)}, once for each; see the plan with --dry-run",
        )
    return None
