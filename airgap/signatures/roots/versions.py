"""The versions of named trust roots: added one after another, never replaced, never removed.

    ROOTS/<name>/versions.jsonl         the record: a hash-chained log (`airgap.statements.log`), one line a version
    ROOTS/<name>/NNNN-<sha256>.json     a trusted_root.json, byte for byte as received
    ROOTS/<name>/NNNN-<sha256>.<what>   why it was accepted: an approval, TUF metadata; the line has their digests

An old version stays, because a policy may have pinned it. A new version must contain everything that the one before it
contains; otherwise what the old logs and authorities signed would no longer verify. A file that the record does not
name is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.disk import disk_errors, make_folder, write_durably
from airgap.base.errors import InputError, IntegrityError, TrustError
from airgap.base.inputs import read_input
from airgap.base.locks import locked
from airgap.base.text import Lines
from airgap.base.times import utc_text
from airgap.signatures.roots.instances import Window
from airgap.signatures.roots.trust_root import MAX_ROOT, TrustRoot, merge
from airgap.statements.log import LogLine, StationLog

ACTION = "trust-root-added"
RECORD = "versions.jsonl"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a named root. `origin` says where it came from."""

    number: int
    digest: Digest
    path: Path
    added: datetime
    origin: str
    evidence: tuple[Digest, ...] = ()
    """The digests of the included evidence."""

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "version": self.number,
            "digest": str(self.digest),
            "file": str(self.path),
            "added": utc_text(self.added),
            "origin": self.origin,
            "evidence": [str(digest) for digest in self.evidence],
        }


@dataclass(frozen=True, slots=True)
class Changes:
    """What a root has that the one before it does not have, and the reverse; one line of text each."""

    added: tuple[str, ...] = ()
    narrowed: tuple[str, ...] = ()
    """Windows that end earlier, or begin later, than before: how an instance is retired or revoked."""
    missing: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """All changes, marked: `+` for additions, `!` for reductions."""
        return [*(f"+ {line}" for line in self.added), *(f"! {line}" for line in self.less)]

    @property
    def less(self) -> list[str]:
        """The reductions."""
        return [*(f"missing: {line}" for line in self.missing), *self.narrowed]

    def as_dict(self) -> dict[str, list[str]]:
        """For `--json`."""
        return {
            "added": list(self.added),
            "narrowed": list(self.narrowed),
            "missing": list(self.missing),
        }


@dataclass(frozen=True, slots=True)
class Offer:
    """A root that is to become the newest version, and the evidence for it."""

    root: TrustRoot
    origin: str
    """For the record: `file`, `delivery sha256:…`, `tuf https://…`."""
    evidence: Mapping[str, bytes] = field(default_factory=dict, hash=False)
    """The evidence to keep with it, by the suffix of its file name."""
    retire: bool = False
    """Allows windows to be narrower than before: an instance is retired, or revoked."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What adding a root would do. `version` is the existing one (if `present`) or the future one."""

    version: Version
    changes: Changes
    present: bool


class RootStore:
    """The versions of one name in the folder `roots`. Safe for several processes."""

    __slots__ = ("_log", "folder", "name")

    def __init__(self, roots: Path, name: str) -> None:
        self.folder, self.name = roots / name, name
        self._log = StationLog(self.folder / RECORD)

    def versions(self) -> tuple[Version, ...]:
        """All versions, oldest first. Each file exists, and matches the digest in the record.

        Raises `IntegrityError`: as `StationLog.entries`, and `root-damaged`; `StoreError`.
        """
        entries = [entry for entry in self._log.entries() if entry.action == ACTION]
        found = tuple(self._version(number, entry) for number, entry in enumerate(entries, 1))
        for version in found:
            self.read(version)
        return found

    def read(self, version: Version) -> bytes:
        """A version's bytes. Raises `IntegrityError` (`root-damaged`)."""
        hint = "restore the file from a backup, or from the delivery or repository that it came from"
        try:
            data = read_input(version.path, MAX_ROOT, "root-damaged")
        except InputError as error:
            raise IntegrityError("root-damaged", error.what, hint) from error
        if Digest.of(data) != version.digest:
            what = f"{version.path}: got {Digest.of(data)}, expected {version.digest}"
            raise IntegrityError("root-damaged", what, hint)
        return data

    def unlisted(self) -> list[str]:
        """Names of roots in the folder that the record does not name: they are ignored."""
        listed = {version.path.name for version in self.versions()}
        with disk_errors(self.folder):
            there = {path.name for path in self.folder.glob("*.json")} if self.folder.is_dir() else set()
        return sorted(there - listed)

    def weigh(self, offer: Offer, now: datetime) -> Weighed:
        """What `add` would do. Writes nothing.

        Raises `TrustError`: `root-older` for one that is present already but is not the newest; `root-shrinks` if
        something in the newest version is missing, or its window is narrower and `offer.retire` is not set;
        `trust-root-changed` if a window is wider than before.
        """
        versions = self.versions()
        known = next((one for one in versions if one.digest == offer.root.digest), None)
        if known is not None and known is versions[-1]:
            return Weighed(known, Changes(), present=True)
        if known is not None:
            raise TrustError(
                "root-older",
                f"trust root {self.name!r}: {known.digest} is version {known.number}; the newest is "
                f"{versions[-1].number}, added {utc_text(versions[-1].added)}",
                "old versions are kept, and a policy can still name them",
            )
        before = None
        if versions:
            before = TrustRoot.load(self.name, self.read(versions[-1]), versions[-1].digest)
        changes = compare(before, offer.root)
        if before is not None:
            self._check(changes, retire=offer.retire)
            merge(before.raw, offer.root.raw)  # checks what else may not change
        digests = tuple(Digest.of(data) for data in offer.evidence.values())
        number = len(versions) + 1
        path = self._path(number, offer.root.digest, "json")
        version = Version(number, offer.root.digest, path, now, offer.origin, digests)
        return Weighed(version, changes, present=False)

    def add(self, offer: Offer, now: datetime) -> Weighed:
        """Makes the root the newest version, durably; does nothing if it is that already. Raises as `weigh`.

        The files are written first, the line of the record last: what an interruption leaves behind is ignored.
        """
        make_folder(self.folder)
        with locked(self.folder / ".lock"):
            weighed = self.weigh(offer, now)
            if weighed.present:
                return weighed
            version = weighed.version
            for what, data in offer.evidence.items():
                write_durably(self._path(version.number, version.digest, what), data)
            write_durably(version.path, offer.root.raw)
            subjects = [version.digest, *version.evidence]
            self._log.append(time=now, actor=offer.origin, action=ACTION, subjects=subjects)
            return weighed

    def _check(self, changes: Changes, *, retire: bool) -> None:
        if not changes.missing and (retire or not changes.narrowed):
            return
        hint = "check that it is a newer root of the same instance; it must contain everything that the old one does"
        if not changes.missing:
            hint = "compare it with what the instance announced; if the instance retired or revoked it, add --retire"
        what = f"trust root {self.name!r}: it lacks parts of the newest version here"
        raise TrustError(
            "root-shrinks",
            Lines.of([f"{what}:", *changes.less], "\n  "),
            hint,
        )

    def _path(self, number: int, digest: Digest, what: str) -> Path:
        return self.folder / f"{number:04d}-{digest.hex}.{what}"

    def _version(self, number: int, entry: LogLine) -> Version:
        if not entry.subjects:
            raise IntegrityError("root-damaged", f"{self._log.path}: a version has no digest")
        digest = entry.subjects[0]
        path = self._path(number, digest, "json")
        return Version(number, digest, path, entry.time, entry.actor, entry.subjects[1:])


def compare(before: TrustRoot | None, after: TrustRoot) -> Changes:
    """What `after` has that `before` does not have, and the reverse. An instance is its key or chain, and its use."""
    old, new = [] if before is None else _instances(before), _instances(after)
    known = {one.identity for one in old}
    narrowed, missing = [], []
    for one in old:
        same = [other for other in new if other.identity == one.identity]
        if not same:
            missing.append(f"{one.words}, {one.window}")
        elif not any(_covers(other.window, one.window) for other in same):
            narrowed.append(f"{one.words}: {one.window}, now {same[0].window}")
    added = (f"{one.words}, {one.window}" for one in new if one.identity not in known)
    return Changes(tuple(added), tuple(narrowed), tuple(missing))


@dataclass(frozen=True, slots=True)
class _Instance:
    identity: tuple[object, ...]
    words: str
    window: Window


def _instances(root: TrustRoot) -> list[_Instance]:
    found = []
    for kind, logs in (("log", root.logs), ("CT log", root.ct_logs)):
        for log in logs:
            words = f"{kind} {log.url or 'no URL'} ({log.id.hex()})"
            found.append(_Instance((kind, log.id, log.raw_key, log.details), words, log.window))
    stamps = "time stamping authority"
    for kind, listed in (("certificate authority", root.authorities), (stamps, root.stampers)):
        for one in listed:
            words = f"{kind} {one.name} ({one.uri or 'no URL'})"
            found.append(_Instance((kind, one.chain), words, one.window))
    return found


def _covers(new: Window, old: Window) -> bool:
    """True if each moment of `old` is in `new`."""
    return new.start <= old.start and (new.end is None or (old.end is not None and old.end <= new.end))


def names(roots: Path) -> list[str]:
    """The names that have versions in `roots`."""
    with disk_errors(roots):
        return sorted(path.parent.name for path in roots.glob(f"[!.]*/{RECORD}"))
