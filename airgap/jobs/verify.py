"""`verify`: a delivery's signatures, then every byte of every file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from airgap.acceptance.open import Opened, accept
from airgap.base.errors import EndedKeyError, ExpiredError, InputError
from airgap.base.times import utc_text
from airgap.delivery.verify import FileReport, check_files
from airgap.jobs.as_locked import carried, check_leaves, forms_of
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.resources.load import load_trust
from airgap.statements.accepted_state import AcceptedState


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """Which delivery, whose signatures are accepted, and how much of it is read."""

    delivery: tuple[Path, ...]
    """The folders with its files."""
    trust: Path
    """The Trust resource: whose signatures are accepted."""
    index_only: bool = False
    """Do not read the volumes."""
    at: datetime | None = None
    """Judge as of this past time; `None` for now."""
    jobs: int = DEFAULT_JOBS


@dataclass(frozen=True, slots=True)
class Verified:
    """An accepted delivery, and the state of each of its files."""

    opened: Opened
    files: tuple[FileReport, ...]
    """Empty where the volumes were not read."""
    unread: tuple[str, ...] = ()
    """The items of a delta whose content could not be compared with the lock, because it is omitted."""

    @property
    def bad(self) -> list[FileReport]:
        """The files that are missing or damaged."""
        return [one for one in self.files if one.state in ("missing", "damaged")]

    @property
    def repairable(self) -> list[FileReport]:
        """The files that are missing or damaged, and that parity files replace: an import does it on the way."""
        return [one for one in self.files if one.state == "repairable"]


def verify(options: VerifyOptions, surroundings: Surroundings) -> Verified:
    """Checks a delivery. Ignores which deliveries were accepted before, and writes nothing.

    1. Accept: signatures, audience, times, locks, statements. 2. Hash every file, unless only the index is wanted. 3.
    If no file is bad, or parity files replace what is, compare the content with the locks, except for what only
    unpacking a Git repository shows, and for what a delta omits.

    Damaged files are in the result. Raises `InputError`, `TrustError` (`ExpiredError` for a delivery whose time is
    over, `EndedKeyError` for a key whose time is), `IntegrityError` (`not-as-locked`, …).
    """
    # 1.
    opened = open_verified(options.delivery, options.trust, options.at, surroundings, judges=True)
    # 2.
    if options.index_only:
        return Verified(opened, ())
    done = Verified(opened, tuple(check_files(opened.index, opened.media, options.jobs, surroundings.progress())))
    # 3.
    if done.bad:
        return done
    check_content(opened, options.jobs)
    known = {item.name for item, _ in carried(opened)}
    return replace(done, unread=tuple(item.name for item, _ in opened.roots if item.name not in known))


def check_content(opened: Opened, jobs: int) -> None:
    """Compares the content of a delivery with its locks, as far as no destination does. Its files have their sums.

    Raises `IntegrityError` (`not-as-locked`, …), `TrustError` (`verdict-contradicted`).
    """
    forms_of(opened, jobs)
    check_leaves(opened, opened.roots, jobs)


def check_past(at: datetime | None, now: datetime) -> None:
    """Raises `InputError` (`usage`) for a time to judge by that has not come yet."""
    if at is not None and at > now:
        raise InputError("usage", f"--at {utc_text(at)} is in the future", "give a time in the past")


def open_verified(
    delivery: Sequence[Path],
    trust_file: Path,
    at: datetime | None,
    surroundings: Surroundings,
    *,
    judges: bool = False,
) -> Opened:
    """Accepts a delivery by a Trust resource alone, as of `at` or now. Reads no volume, and writes nothing.

    `judges` is as in `Acceptance`: the caller says what no waiver accepts.

    Raises `InputError`, `TrustError` (`ExpiredError` for a delivery whose time is over, `EndedKeyError` for a key whose
    time is), `IntegrityError`.
    """
    now = surroundings.clock()
    check_past(at, now)
    trust = load_trust(trust_file)
    try:
        state = AcceptedState(trust.sovereign)
        opened = accept(delivery, trust, state, sovereign=trust.sovereign, now=at or now, judges=judges)
    except (ExpiredError, EndedKeyError) as error:
        hint = f"{error.hint}; for a delivery from an archive that was accepted in time, pass --at TIME"
        raise error.with_hint(hint) from error
    if at is not None:
        surroundings.note(f"note: judged as of {utc_text(at)}; an import uses the current time")
    for note in opened.admitted.notes:
        surroundings.note(f"note: {note}")
    return opened
