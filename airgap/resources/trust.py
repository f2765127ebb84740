"""Trust: who may sign what for one Sovereign."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from airgap.resources.fields import given, spec, spec_map
from airgap.resources.keys import KEY_NAME, public_key_file
from airgap.resources.parts import DIGEST, RESOURCE_NAME, TIME, in_order
from airgap.resources.resource import Resource
from airgap.resources.shapes import Choice, ListOf, Place, Text
from airgap.resources.trust_verdicts import VerdictLimits

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
    accept: ['sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae']
  - name: station-2025
    role: station
    publicKeyFile: station.pub
    notBefore: '2025-06-01T00:00:00Z'
    notAfter: '2026-06-01T00:00:00Z'
    revoked:
      at: '2026-02-01T00:00:00Z'
      accept: ['sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08']
  require: [pull, verdict, delivery]
  verdicts:
    maxAge: 30d
    databaseMaxAge: 10d
    required: {image: [vulnerability, secret]}
    blocks: {vulnerability: critical, secret: unknown, malware: unknown}
"""

ROLES = ("exporter", "station", "security-officer", "sovereign")


_REQUIRED = Choice(("pull", "verdict", "delivery", "approval", "delivery-approval"))


@spec_map("a map with the time from which the key is not trusted")
class Revocation:
    """From `at` on, nothing counts that the key signed at any time, except the digests in `accept`."""

    at: datetime = spec(TIME)
    accept: tuple[str, ...] = spec(
        ListOf(DIGEST, "a list of digests"),
        "What the key signed, at any time, and is still trusted: the digest of an AIRGAP.json (then all that the key "
        "signed in that delivery), a lock, a waiver. What was accepted before needs no entry.",
        default=(),
    )


@spec_map("a map with the key's name, role, file and times")
class TrustedKey:
    """A public key, what it may sign and when. Times have a time zone. `public_key_pem` is the file's content."""

    name: str = spec(Text("the key's name, such as exporter-2026", pattern=KEY_NAME))
    role: str = spec(Choice(ROLES), "One key has one role.")
    public_key_pem: bytes = spec(public_key_file("`airgap keys generate` or cosign write"), name="publicKeyFile")
    not_before: datetime = spec(TIME)
    not_after: datetime = spec(TIME)
    revoked: Revocation | None = spec(Revocation, default=None)
    accept: tuple[str, ...] = spec(
        ListOf(DIGEST, "a list of digests"),
        "What the key signed before `notAfter`, and still counts after that although nothing proves when it was "
        "signed: digests as in `revoked.accept`. It has no effect on a revoked key.",
        default=(),
    )

    def checked(self, at: Place) -> TrustedKey:
        """The key. Checks the order of its times."""
        in_order(at, self.not_before, self.not_after)
        return self


@spec_map("a map with the Sovereign's name and the keys")
class Trust:
    """Who may sign what for one Sovereign. `require` names the statements that a delivery must contain."""

    resource: ClassVar = Resource(
        doc="Who may sign what for one Sovereign. It must reach the Sovereign separately, never on the media of a "
        "delivery. Commands that read statements take it with `--trust`.",
        taken_by="commands that read statements take a Trust with --trust",
        examples=(_EXAMPLE,),
    )
    sovereign: str = spec(RESOURCE_NAME, "The Sovereign that deliveries must be addressed to.")
    keys: tuple[TrustedKey, ...] = spec(ListOf(TrustedKey, "a list of public keys", least=1, names=True))
    require: tuple[str, ...] = spec(
        ListOf(_REQUIRED, "a list of statements", least=1, unique=True),
        "The statements that a delivery must contain, each signed by a key whose role may make it. "
        "`delivery` is always required. `approval` is an approval of each lock, or of the delivery; that of a lock "
        "never ends. `delivery-approval` is an approval of the delivery itself.",
        default=("delivery",),
    )
    verdicts: VerdictLimits | None = spec(VerdictLimits, default=None)
    raw: bytes = given("raw", default=b"")
    """The file's bytes, kept as evidence."""

    def checked(self, at: Place) -> Trust:
        """The Trust resource. Checks that `require` contains `delivery`."""
        if "delivery" not in self.require:
            # Without it AIRGAP.json would need no signature, and every other check depends on that file.
            at.bad("'delivery' is missing, but every list must contain it", "require")
        if self.verdicts is not None and "verdict" not in self.require:
            at.bad(
                "limits for verdicts, but 'require' does not contain 'verdict': without one, nothing is asked",
                "verdicts",
            )
        return self
