"""`verify`: a delivery's signatures, then every byte of every file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from airgap.acceptance.open import Opened, accept
from airgap.acceptance.outside import Outside, accept_outside
from airgap.base.errors import EndedKeyError, ExpiredError, InputError
from airgap.base.times import utc_text
from airgap.delivery.verify import FileReport, check_files
from airgap.jobs.as_locked import carried, check_leaves, forms_of
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.resources.load import load_trust
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.trust import VerifiedStatement


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
    """A delivery, and the state of each of its files."""

    opened: Opened | Outside
    """Accepted, or of an encrypted delivery without an identity: only seen from outside."""
    files: tuple[FileReport, ...]
    """Empty where the volumes were not read."""
    unread: tuple[str, ...] = ()
    """The items of a delta whose content could not be compared with the lock, because it is omitted."""

    @property
    def statements(self) -> tuple[VerifiedStatement, ...]:
        """The statements that count: those about AIRGAP.json, and about the locks where these were looked at."""
        opened = self.opened
        return opened.statements if isinstance(opened, Outside) else opened.admitted.statements

    @property
    def encrypted(self) -> bool:
        """True for an encrypted delivery, whether it was opened or not."""
        return isinstance(self.opened, Outside) or self.opened.media.seal is not None

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

    Of an encrypted delivery without an identity, this is the journey and the signatures, and the sums of the encrypted
    files. Damaged files are in the result. Raises `InputError`, `TrustError` (`ExpiredError` for a delivery whose time
    is over, `EndedKeyError` for a key whose time is), `IntegrityError` (`not-as-locked`, …).
    """
    outside = verified_outside(options.delivery, options.trust, options.at, surroundings)
    if outside is not None and not surroundings.identities():
        progress = surroundings.progress
        files = [] if options.index_only else check_files(outside.index, outside.media, options.jobs, progress())
        _tell(outside.notes, options.at, surroundings)
        return Verified(outside, tuple(files))
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
    trust, now = load_trust(trust_file), _moment(at, surroundings)
    state = AcceptedState(trust.sovereign)
    with _archive_hint():
        opened = accept(
            delivery,
            trust,
            state,
            sovereign=trust.sovereign,
            now=now,
            judges=judges,
            identities=surroundings.identities,
        )
    _tell(opened.admitted.notes, at, surroundings)
    return opened


def verified_outside(
    delivery: Sequence[Path], trust_file: Path, at: datetime | None, surroundings: Surroundings
) -> Outside | None:
    """The signatures and the journey of an encrypted delivery, which need no identity; `None` for a plain one.

    Raises as `open_verified`.
    """
    trust, now = load_trust(trust_file), _moment(at, surroundings)
    with _archive_hint():
        return accept_outside(delivery, trust, now)


def _moment(at: datetime | None, surroundings: Surroundings) -> datetime:
    now = surroundings.clock()
    check_past(at, now)
    return at or now


@contextmanager
def _archive_hint() -> Iterator[None]:
    try:
        yield
    except (ExpiredError, EndedKeyError) as error:
        hint = f"{error.hint}; for a delivery from an archive that was accepted in time, pass --at TIME"
        raise error.with_hint(hint) from error


def _tell(notes: Sequence[str], at: datetime | None, surroundings: Surroundings) -> None:
    if at is not None:
        surroundings.note(f"note: judged as of {utc_text(at)}; an import uses the current time")
    for note in notes:
        surroundings.note(f"note: {note}")
