"""A Waiver. It has no effect until a security-officer approves exactly these bytes of the file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import ClassVar

from airgap.base.digest import Digest
from airgap.content.lock_finding import CHECK
from airgap.resources.fields import given, one_of, spec, spec_map
from airgap.resources.parts import APPROVER, DIGEST, REASON, TIME
from airgap.resources.patterns import name_matches
from airgap.resources.policy_names import name_complaint
from airgap.resources.policy_rules import rule_names
from airgap.resources.resource import Resource
from airgap.resources.shapes import Choice, ListOf, Place, Text

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

_FINDINGS = """\
metadata:
  name: zlib-until-friday
spec:
  match: [docker.io/library/*]
  findings:
  - id: CVE-2023-45853
    package: zlib1g
  approver: Amina al-Harthy
  reason: MiniZip is not built in Debian's package; fixed images come on Friday.
  expires: '2026-12-04T00:00:00Z'
"""

MAX_WAIVER = 1 << 20
"""Bytes of a waiver's file: some ten thousand digests."""


@spec_map("a map with the finding's id, and perhaps its package or path")
class WaivedFinding:
    """A finding of a scanner that may be there."""

    id: str = spec(Text("the finding's id, such as CVE-2021-36159", pattern=r"^\S(.{0,254}\S)?$"))
    package: str = spec(
        Text("the package's name", least=1, most=2048), "Only in this package. Default: in every one.", default=""
    )
    path: str = spec(
        Text("the file's path", least=1, most=2048),
        "Only in this file, for findings that are in no package, such as secrets.",
        default="",
    )

    def checked(self, at: Place) -> WaivedFinding:
        """The finding."""
        if self.package and self.path:
            at.bad("got package and path, expected only one of them: a finding in a package is named by the package")
        return self

    def names(self, id_: str, package: str, path: str) -> bool:
        """True if it names the finding with this id, package and path."""
        return self.id == id_ and self.package in ("", package) and self.path in ("", path)


@spec_map(
    "a map with digests or match, checks or findings, approver, reason and expires", one_of=one_of("digests", "match")
)
class Waiver:
    """What may fail or be found for each of `digests`, or in items of `match`, until `expires`. Never lifts a deny."""

    resource: ClassVar = Resource(
        doc="What may pass although a check failed: by digest, for a limited time, with the name of the person "
        "responsible; findings of scanners also by the names of items. It needs a security-officer's signature "
        "(`airgap sign WAIVER`). `airgap scan` takes it with `--waiver`. The delivery carries it, and the Sovereign "
        "judges it again. A waiver never overrides a `deny`.",
        taken_by="`airgap sign` signs a Waiver, `airgap scan` takes it with --waiver",
        examples=(_EXAMPLE, _FINDINGS),
    )
    name: str = given("name")
    digests: tuple[Digest, ...] = spec(
        ListOf(DIGEST, "a list of digests", least=1, unique=True),
        "The digests to let pass: what the check is about, as `airgap scan` prints it. For scans and their findings it "
        "may also be the root of the item. Names are not enough, because tags move.",
        default=(),
    )
    """The subjects of checks: roots of items and child manifests; for an item without a root, its pin; findings."""
    match: tuple[str, ...] = spec(
        rule_names("ghcr.io/acme/*", name_complaint),
        "In place of digests, for `findings` only: the items, by the names and wildcards of the rules of a policy. "
        "Their content may change, so only named findings are let in.",
        default=(),
    )
    checks: tuple[str, ...] = spec(
        ListOf(
            Choice(("signature", "attestation", CHECK, "scan", "coverage")), "a list of checks", least=1, unique=True
        ),
        "Which checks of these digests may fail. `finding` accepts findings of a lock (`airgap lock --partial`), whose "
        "digests `airgap show LOCK` prints. `scan` accepts that a scanner did not come to its end, and `coverage` that "
        "something could not be read, or was not looked for.",
        default=(),
    )
    findings: tuple[WaivedFinding, ...] = spec(
        ListOf(WaivedFinding, "a list of findings", least=1),
        "Findings of scanners that may be there: each by its own id, because an alias may be another one tomorrow.",
        default=(),
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

    def checked(self, at: Place) -> Waiver:
        """The waiver. It lifts something, and by name only findings of scanners."""
        if not self.checks and not self.findings:
            at.bad("got neither checks nor findings, expected one of them")
        if self.match and self.checks:
            at.bad(
                "checks may be waived by digest only, because tags move; write 'digests' in place of 'match'", "checks"
            )
        return self

    def covers(self, check: str, subject: Digest) -> bool:
        """True if this check of this digest may fail."""
        return check in self.checks and subject in self.digests

    def is_for(self, digests: Collection[Digest], names: Sequence[str]) -> bool:
        """True if it is about something with one of these digests, or about an item with all of these names."""
        if self.match:
            return bool(names) and all(any(name_matches(pattern, name) for pattern in self.match) for name in names)
        return not set(self.digests).isdisjoint(digests)

    def names(self, id_: str, package: str, path: str) -> bool:
        """True if it names the finding of a scanner with this id, package and path."""
        return any(one.names(id_, package, path) for one in self.findings)

    def expired(self, at: datetime) -> bool:
        """True if the waiver is no longer valid at that time."""
        return at >= self.expires
