"""A Waiver document as a value. It says nothing by itself: what counts is an approval of the file's very bytes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from airgap.base.digest import Digest
from airgap.resources.problems import Steps, quoted
from airgap.resources.reader import DocumentReader
from airgap.resources.references import parse_time

MAX_WAIVER = 1 << 20
"""Bytes of a waiver's file: some ten thousand digests."""
UNKNOWN_TIME = datetime.min.replace(tzinfo=UTC)
"""Stands for a time that could not be read; such a document is refused anyhow."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """For each of `digests`, each of `checks` may say no until `expires`. It never lifts a deny."""

    name: str
    digests: tuple[Digest, ...]
    """What checks are about: roots of items, child manifests; of an item without a root its pin."""
    checks: tuple[str, ...]
    approver: str
    reason: str
    expires: datetime
    raw: bytes
    """The file's bytes, which the approval is about."""

    @property
    def digest(self) -> Digest:
        """That of the file: by it verdicts name the waiver."""
        return Digest.of(self.raw)

    def covers(self, check: str, subject: Digest) -> bool:
        """True where this check of this digest may say no."""
        return check in self.checks and subject in self.digests

    def expired(self, at: datetime) -> bool:
        """True when it does not hold any more at that time."""
        return at >= self.expires


def waiver(reader: DocumentReader, name: str, raw: bytes) -> Waiver:
    """Reads a Waiver document; what is wrong ends up in `reader.problems`."""
    steps, spec = reader.spec()
    found = spec or {}
    for field in ("digests", "checks"):
        seen: dict[str, Steps] = {}
        for index, text in enumerate(found.get(field, ())):
            reader.unique(seen, (*steps, field, index), text, quoted(text))
    expires = parse_time(found["expires"]) if spec else UNKNOWN_TIME
    if isinstance(expires, str):
        reader.bad((*steps, "expires"), expires)
        expires = UNKNOWN_TIME
    return Waiver(
        name=name,
        digests=tuple(map(Digest, found.get("digests", ()))),
        checks=tuple(found.get("checks", ())),
        approver=found.get("approver", ""),
        reason=found.get("reason", ""),
        expires=expires,
        raw=raw,
    )
