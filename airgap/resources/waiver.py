"""A Waiver. It has no effect until a security-officer approves exactly these bytes of the file."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from airgap.base.digest import Digest
from airgap.content.lock_finding import CHECK
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
    """Each of `checks` may fail for each of `digests`, until `expires`. It never overrides a deny."""

    resource: ClassVar = Resource(
        doc="What may pass although a check failed: by digest, for a limited time, with the name of the person "
        "responsible. It needs a security-officer's signature (`airgap sign WAIVER`). `airgap scan` takes it with "
        "`--waiver`. The delivery carries it, and the Sovereign judges it again. A waiver never overrides a `deny`.",
        taken_by="`airgap sign` signs a Waiver, `airgap scan` takes it with --waiver",
        examples=(_EXAMPLE,),
    )
    name: str = given("name")
    digests: tuple[Digest, ...] = spec(
        ListOf(DIGEST, "a list of digests", least=1, unique=True),
        "The digests to let pass: what the check is about, as `airgap scan` prints it. "
        "Names are not enough, because tags move.",
    )
    """The subjects of checks: roots of items and child manifests; for an item without a root, its pin; findings."""
    checks: tuple[str, ...] = spec(
        ListOf(Choice(("signature", "attestation", CHECK)), "a list of checks", least=1, unique=True),
        "Which checks of these digests may fail. `finding` accepts findings of a lock (`airgap lock --partial`), whose "
        "digests `airgap show LOCK` prints.",
    )
    approver: str = spec(APPROVER)
    reason: str = spec(REASON)
    expires: datetime = spec(TIME)
    raw: bytes = given("raw")
    """The file's bytes: the subject of the approval."""

    @property
    def digest(self) -> Digest:
        """sha256 of the file, as verdicts cite it."""
        return Digest.of(self.raw)

    def covers(self, check: str, subject: Digest) -> bool:
        """True if this check of this digest may fail."""
        return check in self.checks and subject in self.digests

    def expired(self, at: datetime) -> bool:
        """True if the waiver is no longer valid at that time."""
        return at >= self.expires
