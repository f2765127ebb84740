"""A whole Sigstore instance in one object: everything that a signer gets and a verifier is given.

    sigstore = FakeSigstore()
    how = How(at=datetime(2024, 5, 1, tzinfo=UTC))
    bundle = sigstore.sign_image("sha256:…", how)      # as cosign v3 writes it
    layer = sigstore.old_signature("sha256:…", how)    # as cosign v2 wrote it
    root = sigstore.trusted_root()

Any time may be chosen. The same calls in the same order give the same bytes (but for RSA keys).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from . import legacy, logs
from .bundles import (
    IN_TOTO,
    STATEMENT_V01,
    BundleVersion,
    attestation_statement,
    bundle,
    cosign_statement,
    dumps,
    envelope,
    message_signature,
    pae,
)
from .ca import Authority, CtLog, Leaf
from .keys import Signer, b64
from .logs import Body, Entry, RekorV1, RekorV2
from .trusted_root import Contents, Window
from .tsa import TimeStamper

START = datetime(2020, 1, 1, tzinfo=UTC)
EntryKind = Literal["dsse", "intoto1", "intoto2"]


@dataclass(frozen=True, slots=True)
class How:
    """How something is signed. The default is what cosign does against the public instance."""

    at: datetime
    """When: the certificate begins then."""
    signer: Signer | None = None
    """Somebody else than a fresh key with a good certificate, e.g. `managed("name")`."""
    leaf: Leaf | None = None
    """Another certificate; its `at` counts."""
    log: Literal["v1", "v2", "none"] = "v1"
    stamp: bool = False
    """Whether a time stamp is had. Rekor v2 needs one, because it has no time."""
    kind: EntryKind = "dsse"
    """What Rekor v1 keeps of an envelope; a message is always a hashedrekord."""
    kind2: Literal["hashedrekord", "dsse"] = "hashedrekord"
    """What Rekor v2 keeps of an envelope: verifiers differ in which of the two they know."""
    logged: timedelta = timedelta(seconds=5)
    """After `at`."""
    stamped: timedelta = timedelta(seconds=3)
    """After `at`."""
    version: BundleVersion = "0.3"
    promise: bool = True
    """Whether a bundle's entry has the log's promise (Rekor v1 only)."""
    proof: bool = True
    """Whether it has the inclusion proof: old bundles (0.1) did without."""
    payload_type: str = IN_TOTO
    rekor: RekorV1 | RekorV2 | None = field(default=None, compare=False)
    """Another log than the instance's."""
    tsa: TimeStamper | None = field(default=None, compare=False)
    """Another time stamping authority than the instance's."""


class FakeSigstore:
    """The instance. Another seed is another instance, of the same shape and with other keys."""

    def __init__(self, seed: str = "fake", *, start: datetime = START) -> None:
        self.seed, self.start = seed, start
        self.ct = CtLog(seed)
        self.authority = Authority(seed, start, self.ct)
        self.rekor = RekorV1(seed, f"rekor.{seed}.example")
        self.rekor2 = RekorV2(seed, f"log.{seed}.example")
        self.tsa = TimeStamper(seed, start)

    def contents(self, window: Window | None = None) -> Contents:
        """What its trusted root lists: change it with `dataclasses.replace`."""
        when = window or Window(self.start)
        return Contents(
            authorities=[(self.authority, when)],
            logs=[(self.rekor, when), (self.rekor2, when)],
            ct_logs=[(self.ct, when)],
            stampers=[(self.tsa, when)],
        )

    def trusted_root(self, contents: Contents | None = None) -> bytes:
        """trusted_root.json; other contents than all of it when given."""
        return dumps((contents or self.contents()).document())

    # --- who signs, and who saw it -------------------------------------------------------------

    def signer(self, how: How) -> Signer:
        """The key and certificate with which `how` signs."""
        return how.signer or self.authority.signer(how.leaf or Leaf(how.at))

    def logged(self, how: How, message: bytes, signature: bytes, signer: Signer) -> Entry | None:
        """The log's entry of a signature over a message."""
        if how.log == "none":
            return None
        if how.log == "v2":
            return self._in_v2(how, logs.hashedrekord2(message, signature, signer))
        return self._in_v1(how, logs.hashedrekord(message, signature, signer))

    def logged_envelope(self, how: How, raw: bytes, signed: tuple[bytes, bytes], signer: Signer) -> Entry | None:
        """The log's entry of an envelope's bytes; `signed` is what is under its signature, and it."""
        if how.log == "none":
            return None
        if how.log == "v2":
            if how.kind2 == "dsse":
                return self._in_v2(how, logs.dsse2(raw, signer))
            return self._in_v2(how, logs.hashedrekord2(*signed, signer))
        makers = {"dsse": logs.dsse, "intoto1": logs.intoto1, "intoto2": logs.intoto2}
        return self._in_v1(how, makers[how.kind](raw, signer))

    def _in_v1(self, how: How, body: Body) -> Entry:
        log = how.rekor or self.rekor
        assert isinstance(log, RekorV1)
        return log.add(body, how.at + how.logged)

    def _in_v2(self, how: How, body: Body) -> Entry:
        log = how.rekor or self.rekor2
        assert isinstance(log, RekorV2)
        return log.add(body)

    def stamp(self, how: How, data: bytes) -> bytes | None:
        """A time stamp over these bytes, if `how` wants one."""
        if not how.stamp:
            return None
        return (how.tsa or self.tsa).stamp(data, how.at + how.stamped)

    # --- bundles -------------------------------------------------------------------------------

    def sign_blob(self, data: bytes, how: How) -> bytes:
        """A bundle with a message signature, as `cosign sign-blob` writes it."""
        signer = self.signer(how)
        signature = signer.sign(data)
        entry = self.logged(how, data, signature, signer)
        return self._bundle(how, signer, signature, message_signature(data, signature, signer), entry)

    def sign_statement(self, payload: bytes, how: How) -> bytes:
        """A bundle with an envelope around this payload."""
        signer = self.signer(how)
        message = pae(payload, how.payload_type)
        signature = signer.sign(message)
        wrapped = envelope(payload, signature, how.payload_type)
        entry = self.logged_envelope(how, dumps(wrapped), (message, signature), signer)
        return self._bundle(how, signer, signature, {"dsseEnvelope": wrapped}, entry)

    def sign_image(self, digest: str, how: How) -> bytes:
        """The signature of an image, as `cosign sign` of version 3 writes it."""
        return self.sign_statement(cosign_statement(digest), how)

    def attest(
        self,
        digest: str,
        predicate_type: str,
        predicate: Any,
        how: How,
        *,
        kind: str = STATEMENT_V01,
    ) -> bytes:
        """An attestation about an image, as `cosign attest` of version 3 writes it."""
        statement = attestation_statement(digest, predicate_type, predicate, kind=kind)
        return self.sign_statement(statement, how)

    def _bundle(
        self,
        how: How,
        signer: Signer,
        signature: bytes,
        content: dict[str, Any],
        entry: Entry | None,
    ) -> bytes:
        stamp = self.stamp(how, signature)
        shown = [entry.in_bundle(promise=how.promise, proof=how.proof)] if entry else []
        return bundle(
            signer,
            content,
            entries=shown,
            stamps=[stamp] if stamp else [],
            version=how.version,
        )

    # --- what cosign wrote before bundles ------------------------------------------------------

    def old_signature(self, digest: str, how: How, *, payload: bytes | None = None) -> legacy.Layer:
        """One layer of a `.sig` manifest. The stamp is over the signature."""
        signed = legacy.simple_signing(digest) if payload is None else payload
        signer = self.signer(how)
        signature = signer.sign(signed)
        entry = self.logged(how, signed, signature, signer)
        made = legacy.annotations_of(signer, b64(signature), entry=entry, stamp=self.stamp(how, signature))
        return legacy.Layer(legacy.SIMPLE_SIGNING, signed, made)

    def old_attestation(self, digest: str, predicate_type: str, predicate: Any, how: How) -> legacy.Layer:
        """One layer of an `.att` manifest. The stamp is over the whole layer."""
        return self.old_statement(attestation_statement(digest, predicate_type, predicate), how)

    def old_statement(self, payload: bytes, how: How) -> legacy.Layer:
        """The same around any statement."""
        signer = self.signer(how)
        message = pae(payload, how.payload_type)
        signature = signer.sign(message)
        blob = legacy.old_envelope(payload, signature, how.payload_type)
        entry = self.logged_envelope(how, blob, (message, signature), signer)
        made = legacy.annotations_of(
            signer,
            "",
            entry=entry,
            stamp=self.stamp(how, blob),
            more={legacy.PREDICATE_TYPE: _predicate_type(payload)},
        )
        return legacy.Layer(legacy.DSSE, blob, made)


def _predicate_type(statement: bytes) -> str:
    return str(json.loads(statement).get("predicateType", ""))
