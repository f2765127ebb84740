"""The one record of a signature, whatever its format, and the one result of verifying it.

A format's reader makes `Signed` out of bytes and verifies nothing; an engine (`keyless`, `keyed`) makes a `Proof` out
of `Signed` or raises `Refusal`; `verify` puts both together into a `VerificationResult`. Only `Status.VERIFIED` counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from airgap.base.digest import Digest


class Status(StrEnum):
    """How verification ended. Everything but `VERIFIED` fails closed."""

    VERIFIED = "verified"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"
    """A format or an algorithm that this version does not verify: it may be good, and does not count."""
    ABSENT = "absent"


class SignatureLayout(StrEnum):
    """How a signature is laid out in a registry (docs/format.md, "Upstream signatures")."""

    BUNDLE = "bundle"
    """A Sigstore bundle, in a referrer or under a fallback tag: what cosign v3 writes."""
    SIMPLE_SIGNING = "simple-signing"
    """cosign's older signatures: a payload, and the signature in its layer's annotations."""
    ENVELOPE = "envelope"
    """cosign's older attestations: a DSSE envelope as layer, the material in its annotations."""
    NOTATION = "notation"
    BUILDX = "buildx"
    """Attestations that BuildKit writes into an index. Nobody signed them."""
    SBOM = "sbom"
    """`cosign attach sbom`: nobody signed it."""
    OTHER = "other"


SIGNATURE = "signature"
"""What a demand wants when it wants a signature; an attestation is wanted by its predicate type."""
COSIGN_SIGN = "https://sigstore.dev/cosign/sign/v1"
"""The predicate type of a cosign v3 signature: a statement without a predicate. It is no attestation."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An entry of a transparency log as the format carried it: nothing of it is verified."""

    body: bytes
    """Rekor's canonical body."""
    log_id: bytes
    """sha256 of the log's public key (DER SPKI)."""
    log_index: int
    integrated_time: int
    """Seconds; 0 where there is none (Rekor v2)."""
    promise: bytes = b""
    """The signed entry timestamp (SET), empty where there is none."""
    proof: Mapping[str, Any] | None = field(default=None, hash=False)
    """The inclusion proof as a bundle spells it."""
    kind: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature and all that came with it. Made by readers of formats; nothing of it is verified."""

    subject: Digest
    """The manifest or index to which it is attached: the digest of bytes that we hashed ourselves."""
    where: str
    """For people: `referrer sha256:…`, `tag sha256-….sig, layer 2`."""
    layout: SignatureLayout
    attestation: bool
    """True where it states something about the subject, False where it only signs it."""
    payload: bytes
    """What was signed: simple signing's JSON, or an in-toto statement."""
    payload_type: str
    """The envelope's payload type, `""` where there is no envelope."""
    signature: bytes
    message: bytes
    """The exact bytes under the signature: the payload, or its DSSE pre-authentication encoding."""
    blob: bytes
    """The layer's bytes: an envelope's JSON, or the payload. Empty for a bundle, of which nothing is verified whole."""
    certificate: bytes = b""
    """The leaf, DER; empty where a key signed."""
    chain: tuple[bytes, ...] = ()
    """Certificates above the leaf as they came along, DER. They are hints, never roots."""
    entries: tuple[LogEntry, ...] = ()
    timestamps: tuple[bytes, ...] = ()
    """RFC 3161 responses, DER."""
    stamped: bytes = b""
    """The bytes that the timestamps cover: the signature, or (legacy attestations) the whole layer."""
    hint: str = ""
    """A bundle's hint at its key. It proves nothing."""
    version: str = ""
    """A bundle's: `0.1`, `0.2` or `0.3`."""
    statement: AttestedStatement | None = field(default=None, compare=False, repr=False)
    """What the reader parsed out of an envelope's payload, kept because reading a large one takes half a second."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Something attached that is no signature that counts: another format, unsigned, or broken."""

    subject: Digest
    where: str
    layout: SignatureLayout
    status: Status
    reason: str
    detail: str


MAX_DETAIL = 600
"""Characters of a finding's words: names and numbers in them may be a stranger's, of any length."""

MAX_SAID = 300
"""Characters of a library's words that are passed on."""


def plain(text: str, limit: int = MAX_DETAIL) -> str:
    """A text with a stranger's words in it, fit for a terminal and for what is signed: one line, nothing hidden."""
    cut = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return "".join(char if char.isprintable() else "\ufffd" for char in cut)


class Refusal(Exception):  # noqa: N818  (no error of the program: an answer)
    """Why a signature does not count. `reason` is a stable code (docs/runbooks/signatures.md has them all)."""

    def __init__(self, reason: str, detail: str, *, unsupported: bool = False) -> None:
        said = plain(detail)
        super().__init__(reason, said)
        self.reason = reason
        self.detail = said
        self.status = Status.UNSUPPORTED if unsupported else Status.FAILED


@dataclass(frozen=True, slots=True)
class Identity:
    """Who may have signed with a certificate: an issuer, and an exact identity or an anchored pattern (`^…$`)."""

    issuer: str
    identity: str = ""
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class UpstreamKey:
    """A key of somebody else's. Its validity is policy: a key's signature has no time of its own."""

    name: str
    pem: bytes
    not_before: datetime | None = None
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """What an engine made sure of. Either `identity` and `issuer`, or `key`."""

    identity: str = ""
    issuer: str = ""
    key: Digest | None = None
    """The SPKI digest of the key that signed: the leaf's, or the managed key's."""
    key_name: str = ""
    times: tuple[tuple[str, datetime], ...] = ()
    """When it was signed, by whom this is known: (`log` or `tsa`, time)."""
    log_entries: tuple[tuple[str, int], ...] = ()
    """(log id in hex, index) of each entry that was verified: deny lists name them."""


@dataclass(frozen=True, slots=True)
class VerificationResult:
    """One answer about one signature, or about a subject that has none."""

    status: Status
    subject: Digest
    where: str
    layout: SignatureLayout
    reason: str = ""
    """A stable code; empty where it is verified."""
    detail: str = ""
    """The same in words."""
    predicate_type: str = ""
    """Of an attestation; empty for a signature."""
    proof: Proof | None = None
    trust_root: str = ""
    """The name of the trust root that verified it; empty for a key."""
    trust_root_digest: Digest | None = None
    payload: bytes = field(default=b"", repr=False)
    """What was signed: only where it is verified."""

    @property
    def verified(self) -> bool:
        """True for the one status that counts."""
        return self.status is Status.VERIFIED


@dataclass(frozen=True, slots=True)
class AttestedStatement:
    """Of what somebody says about what. Whether it is true, and who says so, is not known here."""

    source: bytes = field(repr=False)
    """The very bytes object that was read."""
    subjects: tuple[Mapping[str, str], ...]
    """A digest set each: algorithm → value."""
    predicate_type: str
    text: bool = False
    """True where the predicate is no object but a text: older attestations of SPDX documents that are no JSON."""

    @property
    def attests(self) -> bool:
        """False for a cosign v3 signature, which is a statement in form alone."""
        return self.predicate_type != COSIGN_SIGN

    def names(self, subject: Digest) -> bool:
        """True when one of the subjects is `subject`, by its sha256."""
        return any(digests.get("sha256") == subject.hex for digests in self.subjects)
