"""One record of a signature for every format, and one result of verifying it.

The reader of a format turns bytes into `Signed` and verifies nothing. An engine (`keyless`, `keyed`) turns `Signed`
into a `Proof` or raises `Refusal`. `verify` combines both into a `VerificationResult`. Only `Status.VERIFIED` counts.
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
    """A format or an algorithm that this version does not verify: it may be valid, but does not count."""
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
    """Attestations that BuildKit writes into an index. They are not signed."""
    SBOM = "sbom"
    """An SBOM from `cosign attach sbom`. It is not signed."""
    OTHER = "other"


SIGNATURE = "signature"
"""The value of a demand that requires a signature; an attestation is required by its predicate type."""
COSIGN_SIGN = "https://sigstore.dev/cosign/sign/v1"
"""The predicate type of a cosign v3 signature: a statement without a predicate. It is not an attestation."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An entry of a transparency log as the format carried it: nothing in it is verified."""

    body: bytes
    """Rekor's canonical body."""
    log_id: bytes
    """sha256 of the log's public key (DER SPKI)."""
    log_index: int
    integrated_time: int
    """Seconds; 0 if there is none (Rekor v2)."""
    promise: bytes = b""
    """The signed entry timestamp (SET), empty if there is none."""
    proof: Mapping[str, Any] | None = field(default=None, hash=False)
    """The inclusion proof as a bundle spells it."""
    kind: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature with everything included with it. Made by readers of formats; nothing in it is verified."""

    subject: Digest
    """The manifest or index to which it is attached: the digest of bytes that airgap hashed itself."""
    where: str
    """For people: `referrer sha256:…`, `tag sha256-….sig, layer 2`."""
    layout: SignatureLayout
    attestation: bool
    """True if it states something about the subject, False if it only signs it."""
    payload: bytes
    """The signed content: simple signing's JSON, or an in-toto statement."""
    payload_type: str
    """The envelope's payload type, `""` if there is no envelope."""
    signature: bytes
    message: bytes
    """The exact bytes under the signature: the payload, or its DSSE pre-authentication encoding."""
    blob: bytes
    """The layer's bytes: an envelope's JSON, or the payload. Empty for a bundle, which is never verified as a whole."""
    certificate: bytes = b""
    """The leaf certificate, DER; empty if a key signed."""
    chain: tuple[bytes, ...] = ()
    """The certificates above the leaf that the signature includes, DER. They are hints, never roots."""
    entries: tuple[LogEntry, ...] = ()
    timestamps: tuple[bytes, ...] = ()
    """RFC 3161 responses, DER."""
    stamped: bytes = b""
    """The bytes that the timestamps cover: the signature, or (legacy attestations) the whole layer."""
    hint: str = ""
    """A bundle's hint about its key. It proves nothing."""
    version: str = ""
    """The version of a bundle: `0.1`, `0.2` or `0.3`."""
    statement: AttestedStatement | None = field(default=None, compare=False, repr=False)
    """The statement that the reader parsed from an envelope's payload, kept because a large one takes half a second."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Something attached that is not a signature that counts: another format, unsigned, or broken."""

    subject: Digest
    where: str
    layout: SignatureLayout
    status: Status
    reason: str
    detail: str


MAX_DETAIL = 600
"""Characters of a finding's text: names and numbers in it may come from a stranger, at any length."""

MAX_SAID = 300
"""Characters of a library's message that are passed on."""


def plain(text: str, limit: int = MAX_DETAIL) -> str:
    """Makes a text that contains a stranger's words safe for terminals and signed files: one printable line."""
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
    """Who may have signed with a certificate: issuer and identity, each exact or by an anchored pattern (`^…$`)."""

    issuer: str = ""
    identity: str = ""
    pattern: str = ""
    """Of the identity."""
    issuer_pattern: str = ""


@dataclass(frozen=True, slots=True)
class UpstreamKey:
    """A key of another party. Its validity is policy: a signature by a key carries no time of its own.

    Policy is also how it signs: a signature does not say, and what a signer could choose, a forger could choose.
    """

    name: str
    pem: bytes
    not_before: datetime | None = None
    not_after: datetime | None = None
    hash_algorithm: str = "sha256"
    """`sha256`, `sha384` or `sha512`. Ed25519 has no choice."""
    rsa_padding: str = "pkcs1v15"
    """`pkcs1v15` or `pss`."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What an engine verified. Either `identity` and `issuer` are set, or `key`."""

    identity: str = ""
    issuer: str = ""
    key: Digest | None = None
    """The SPKI digest of the key that signed: the leaf's, or the managed key's."""
    key_name: str = ""
    times: tuple[tuple[str, datetime], ...] = ()
    """When it was signed, and which source proves it: (`log` or `tsa`, time)."""
    log_entries: tuple[tuple[str, int], ...] = ()
    """(log id in hex, index) of each verified entry: deny lists name them."""


@dataclass(frozen=True, slots=True)
class VerificationResult:
    """One answer about one signature, or about a subject that has none."""

    status: Status
    subject: Digest
    where: str
    layout: SignatureLayout
    reason: str = ""
    """A stable code; empty if it is verified."""
    detail: str = ""
    """The reason in words."""
    predicate_type: str = ""
    """The predicate type of an attestation; empty for a signature."""
    proof: Proof | None = None
    trust_root: str = ""
    """The name of the trust root that verified it; empty for a key."""
    trust_root_digest: Digest | None = None
    payload: bytes = field(default=b"", repr=False)
    """The signed content; set only if it is verified."""

    @property
    def verified(self) -> bool:
        """True for the one status that counts."""
        return self.status is Status.VERIFIED


@dataclass(frozen=True, slots=True)
class AttestedStatement:
    """An in-toto statement of another party. Whether it is true, and who signed it, is not known here."""

    source: bytes = field(repr=False)
    """The same bytes object that was read."""
    subjects: tuple[Mapping[str, str], ...]
    """One digest set for each subject: algorithm → value."""
    predicate_type: str
    text: bool = False
    """True if the predicate is a string, not an object: older attestations of SPDX documents that are not JSON."""

    @property
    def attests(self) -> bool:
        """False for a cosign v3 signature, which is a statement only in form."""
        return self.predicate_type != COSIGN_SIGN

    def names(self, subject: Digest) -> bool:
        """True if one of the subjects is `subject`, by its sha256."""
        return any(digests.get("sha256") == subject.hex for digests in self.subjects)
