"""A Waiver. It says nothing by itself: what counts is an approval of the file's very bytes."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from airgap.base.digest import Digest
from airgap.resources.fields import given, spec, spec_map
from airgap.resources.parts import APPROVER, DIGEST, REASON, TIME
from airgap.resources.resource import Resource
from airgap.resources.shapes import Choice, ListOf

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


@spec_map("a map with digests, checks, approver, reason and expires")
class Waiver:
    """For each of `digests`, each of `checks` may say no until `expires`. It never lifts a deny."""

    resource: ClassVar = Resource(
        doc="What may pass although a check said no: by digest, for a time, with somebody's name on it. It counts "
        "only with a security-officer's signature (`airgap sign WAIVER`). `airgap scan` takes it with "
        "`--waiver`; it travels in the delivery, and the Sovereign judges it again. A waiver never lifts a "
        "`deny`.",
        taken_by="`airgap sign` signs a Waiver, `airgap scan` takes it with --waiver",
        examples=(_EXAMPLE,),
    )
    name: str = given("name")
    digests: tuple[Digest, ...] = spec(
        ListOf(DIGEST, "a list of digests", least=1, unique=True),
        "What is waived: the digest that the check is about, as `airgap scan` prints it. "
        "Names are not enough, because tags move.",
    )
    """What checks are about: roots of items, child manifests; of an item without a root its pin."""
    checks: tuple[str, ...] = spec(
        ListOf(Choice(("signature", "attestation")), "a list of checks", least=1, unique=True),
        "Which checks of these digests may say no.",
    )
    approver: str = spec(APPROVER)
    reason: str = spec(REASON)
    expires: datetime = spec(TIME)
    raw: bytes = given("raw")
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
