"""`repair`: writes the files of a delivery that are lost or damaged, from its parity files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from airgap.acceptance.steps import Acceptance
from airgap.base.amounts import count
from airgap.base.disk import check_free, make_folder, write_below
from airgap.base.errors import EndedKeyError, InputError
from airgap.base.places import check_folder
from airgap.delivery.copy import Small, check_medium, check_place, small_files
from airgap.delivery.files import Listing, payload, read_listing
from airgap.delivery.mend import BeyondRepairError, Mender, mender_of
from airgap.delivery.on_media import read_listed
from airgap.delivery.read import Media, open_media
from airgap.delivery.repair import Diagnosis, write_mended
from airgap.delivery.sealed import Sealed
from airgap.delivery.verify import FileReport, check_payload
from airgap.erasure.engine import slow_note
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.jobs.verify import check_past
from airgap.resources.load import load_trust
from airgap.statements.accepted_state import AcceptedState

SLACK = 1 << 20
"""Bytes besides the files: the small ones."""
MAX_SHOWN = 5
"""Bad files that a refusal names."""


@dataclass(frozen=True, slots=True)
class RepairOptions:
    """Which delivery, whose signatures are accepted, and where the files go."""

    delivery: tuple[Path, ...]
    """The folders with its files: all that are left, of every disc."""
    trust: Path
    """The Trust resource: whose signatures are accepted."""
    to: Path | None
    """A folder for the files that are written again; a dry run needs none."""
    at: datetime | None = None
    """Judge the keys as of this past time; `None` for now."""
    dry_run: bool = False
    jobs: int = DEFAULT_JOBS


@dataclass(frozen=True, slots=True)
class Repaired:
    """A delivery whose signature is verified, and the state in which each file was found."""

    index: Listing
    media: Media
    files: tuple[FileReport, ...]

    @property
    def repairable(self) -> list[FileReport]:
        """The files that were written again; in a dry run, those that would be."""
        return [one for one in self.files if one.state == "repairable"]

    @property
    def lost(self) -> list[FileReport]:
        """The bad files that no parity file replaces, such as AIRGAP.json.age."""
        return [one for one in self.files if one.state not in ("good", "repairable")]


def repair(options: RepairOptions, surroundings: Surroundings) -> Repaired:
    """Computes the lost and damaged files of a delivery, and writes only them, with AIRGAP.json and its signatures.

    1. Check the signatures: nothing else decides what is good. A delivery may have expired. 2. Hash every file, and
    every block of the bad ones. 3. Check the place. 4. Compute and write, each file only if its sha256 is that of
    AIRGAP.json. The folders of the delivery are only read.

    The same command goes on after an interruption: what is whole in `to` counts. Raises `InputError` (`no-parity`),
    `TrustError`, `IntegrityError`, `BeyondRepairError` if too much is lost, `StoreError`.
    """
    # 1.
    index, media = _signed(options, surroundings)
    # 2.
    if options.to is not None:
        _check_place(options.to, media)
    sources = Media((*media.folders, *_again(options.to)), media.index_bytes, media.signatures)
    files, found = check_payload(index, sources, options.jobs, surroundings.progress())
    done = Repaired(index, sources, tuple(files))
    bad = [one for one in files if one.state != "good"]
    mender = mender_of(index, sources.folders)
    if found is None or mender is None:
        return done
    try:
        if found.short:
            raise _beyond(bad, found, mender)
        good = {one.name for one in files if one.state == "good"}
        mender.whole = {row for row, file in enumerate(mender.files) if file.name in good}
        # 3. and 4.
        if options.to is not None and done.repairable:
            _write(options, done, mender, surroundings)
    finally:
        mender.close()
    return done


def _signed(options: RepairOptions, surroundings: Surroundings) -> tuple[Listing, Media]:
    """The parsed AIRGAP.json. A key of the Trust resource signed it; who it is for and when is not asked."""
    now = surroundings.clock()
    check_past(options.at, now)
    trust = load_trust(options.trust)
    media = open_media(options.delivery)
    judge = Acceptance(trust, AcceptedState(trust.sovereign), sovereign=trust.sovereign, now=options.at or now)
    try:
        judge.check_signatures(media.index_bytes, media.signatures)
    except EndedKeyError as error:
        raise error.with_hint(f"{error.hint}; for a delivery from an archive, pass --at TIME") from error
    index = judge.read_index(read_listing)
    if index.parity is None:
        raise InputError(
            "no-parity",
            f"{options.delivery[0]}: the delivery has no parity files",
            "have the lost and damaged files copied again from the original; `airgap verify` lists them",
        )
    return index, media


def _again(to: Path | None) -> Sequence[Path]:
    return [to] if to is not None and to.is_dir() else []


def _check_place(to: Path, media: Media) -> None:
    check_folder(to, "--to")
    if any(folder.exists() and to.exists() and to.samefile(folder) for folder in media.folders):
        raise InputError(
            "bad-path",
            f"--to {to} is a folder of the delivery, in which nothing is changed",
            "name another folder; an import takes several: airgap import DIR… NEW",
        )
    check_place(to, media.digest)


def _write(options: RepairOptions, done: Repaired, mender: Mender, surroundings: Surroundings) -> None:
    to = options.to or Path()
    wanted = [file for file in payload(done.index) if file.name in {one.name for one in done.repairable}]
    total = sum(file.size for file in wanted)
    check_medium(to, wanted)
    check_free(to, total + SLACK, "the repaired files")
    if options.dry_run:
        return
    make_folder(to)
    # First, so that the same command finds its own folder again.
    for one in (*_without_parity(done), *small_files(done.index, done.media)):
        write_below(to, one.names, one.data)
    if slow := slow_note():
        surroundings.note(f"note: {slow}")
    progress = surroundings.progress()
    progress.start("repair", total, len(wanted))
    write_mended(mender, {file.name for file in wanted}, to, progress)


def _without_parity(done: Repaired) -> Sequence[Small]:
    """Of an encrypted delivery, the file without which nothing opens it: it goes into the new folder, too."""
    if not isinstance(done.index, Sealed) or done.index.index.name in {one.name for one in done.lost}:
        return ()
    return (Small((done.index.index.name,), read_listed(done.media.folders, done.index.index)),)


def _beyond(bad: Sequence[FileReport], found: Diagnosis, mender: Mender) -> BeyondRepairError:
    names = ", ".join(one.name for one in bad[:MAX_SHOWN]) + (
        f" and {len(bad) - MAX_SHOWN} more" if bad[MAX_SHOWN:] else ""
    )
    grid = mender.grid
    return BeyondRepairError(
        "beyond-repair",
        f"{count(len(bad), 'file')} missing or damaged ({names}), {count(grid.parity, 'parity file')} in the delivery: "
        f"{found.hopeless} of {count(grid.stripes, 'stripe')} lack up to {count(found.short, 'block')} too many",
        f"find {found.short} more of these files, whole or with other damage, and pass their folders too",
        found.short,
    )
