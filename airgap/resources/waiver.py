"""A Waiver. It says nothing by itself: what counts is an approval of the file's very bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from airgap.base.digest import Digest
from airgap.resources.fields import Choice, ListOf, Map, given, spec_field
from airgap.resources.parts import APPROVER, DIGEST, REASON, TIME
from airgap.resources.resource import Resource

_EXAMPLE = """\
metadata:
  name: alpine-until-christmas
spec:
  digests: ['sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08']
  checks: [signature]
  approver: Amina al-Harthy
  reason: Upstream signs from 3.21 on; compared by hand with the distribution's checksums.
  expires: '2026-12-24T00:00:00Z'
"""

MAX_WAIVER = 1 << 20
"""Bytes of a waiver's file: some ten thousand digests."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """For each of `digests`, each of `checks` may say no until `expires`. It never lifts a deny."""

    spec: ClassVar = Map("a map with digests, checks, approver, reason and expires")
    resource: ClassVar = Resource(
        doc="What may pass although a check said no: by digest, for a time, with somebody's name on it. It counts "
        "only with a security-officer's signature (`airgap sign WAIVER`). `airgap scan` takes it with "
        "`--waiver`; it travels in the delivery, and the Sovereign judges it again. A waiver never lifts a "
        "`deny`.",
        taken_by="`airgap sign` signs a Waiver, `airgap scan` takes it with --waiver",
        examples=(_EXAMPLE,),
    )
    name: str = field(metadata=given("name"))
    digests: tuple[Digest, ...] = field(
        metadata=spec_field(
            "digests",
            ListOf(
                DIGEST,
                "a list of digests",
                "What is waived: the digest that the check is about, as `airgap scan` prints it. "
                "Names are not enough, because tags move.",
                least=1,
                unique=True,
            ),
        )
    )
    """What checks are about: roots of items, child manifests; of an item without a root its pin."""
    checks: tuple[str, ...] = field(
        metadata=spec_field(
            "checks",
            ListOf(
                Choice(("signature", "attestation")),
                "a list of checks",
                "Which checks of these digests may say no.",
                least=1,
                unique=True,
            ),
        )
    )
    approver: str = field(metadata=spec_field("approver", APPROVER))
    reason: str = field(metadata=spec_field("reason", REASON))
    expires: datetime = field(metadata=spec_field("expires", TIME))
    raw: bytes = field(metadata=given("raw"))
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
