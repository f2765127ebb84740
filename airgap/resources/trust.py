"""Trust: who may sign what for one Sovereign."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from airgap.resources.fields import Choice, ListOf, Map, Place, Text, given, spec_field
from airgap.resources.keys import KEY_NAME, public_key_file
from airgap.resources.parts import DIGEST, RESOURCE_NAME, TIME, in_order
from airgap.resources.resource import Resource

_EXAMPLE = """\
metadata:
  name: bankdhofar
spec:
  sovereign: bankdhofar
  keys:
  - name: exporter-2026
    role: exporter
    publicKeyFile: exporter.pub
    notBefore: '2026-01-01T00:00:00Z'
    notAfter: '2027-01-01T00:00:00Z'
  - name: station-2025
    role: station
    publicKeyFile: station.pub
    notBefore: '2025-06-01T00:00:00Z'
    notAfter: '2026-06-01T00:00:00Z'
    revoked:
      at: '2026-02-01T00:00:00Z'
      accept: ['sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08']
  require: [pull, verdict, delivery]
"""

ROLES = ("exporter", "station", "security-officer", "sovereign")


@dataclass(frozen=True, slots=True)
class Revocation:
    """The key is not believed from `at` on, but for what `accept` names by digest."""

    spec: ClassVar = Map("a map with the time from which the key is not believed")
    at: datetime = field(metadata=spec_field("at", TIME))
    accept: tuple[str, ...] = field(
        default=(),
        metadata=spec_field(
            "accept",
            ListOf(
                DIGEST,
                "a list of digests",
                "What the key signed after that time and is believed all the same.",
            ),
        ),
    )


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key, what it may sign and when. Times have a zone; `public_key_pem` is the file's content."""

    spec: ClassVar = Map("a map with the key's name, role, file and times")
    name: str = field(metadata=spec_field("name", Text("the key's name, such as exporter-2026", pattern=KEY_NAME)))
    role: str = field(metadata=spec_field("role", Choice(ROLES, "One key has one role.")))
    public_key_pem: bytes = field(
        metadata=spec_field("publicKeyFile", public_key_file("`airgap keys generate` or cosign write"))
    )
    not_before: datetime = field(metadata=spec_field("notBefore", TIME))
    not_after: datetime = field(metadata=spec_field("notAfter", TIME))
    revoked: Revocation | None = field(default=None, metadata=spec_field("revoked", Revocation))

    def checked(self, at: Place) -> TrustedKey:
        """The key, whose times are in order."""
        in_order(at, self.not_before, self.not_after)
        return self


@dataclass(frozen=True, slots=True)
class Trust:
    """Who may sign what for one Sovereign. `require` names the statements that a delivery must bring."""

    spec: ClassVar = Map("a map with the Sovereign's name and the keys")
    resource: ClassVar = Resource(
        doc="Who may sign what for one Sovereign. It comes into the Sovereign by a way of its own, never on the "
        "media. Commands that read statements take it with `--trust`.",
        taken_by="commands that read statements take a Trust with --trust",
        examples=(_EXAMPLE,),
    )
    sovereign: str = field(
        metadata=spec_field("sovereign", RESOURCE_NAME, "The Sovereign that deliveries must be made for.")
    )
    keys: tuple[TrustedKey, ...] = field(
        metadata=spec_field("keys", ListOf(TrustedKey, "a list of public keys", least=1, names=True))
    )
    require: tuple[str, ...] = field(
        default=("delivery",),
        metadata=spec_field(
            "require",
            ListOf(
                Choice(("pull", "verdict", "delivery", "approval")),
                "a list of statements",
                "What a delivery must bring, each signed by a key whose role may make it. "
                "`delivery` is always among them.",
                least=1,
                unique=True,
            ),
        ),
    )
    raw: bytes = field(default=b"", metadata=given("raw"))
    """The file's bytes, kept as evidence."""

    def checked(self, at: Place) -> Trust:
        """The trust, whose `require` is complete."""
        if "delivery" not in self.require:
            # Without it nothing would have to sign AIRGAP.json, which is what every other check hangs on.
            at.bad("'delivery' is missing, expected it in every list", "require")
        return self
