"""Signatures by a managed key of another party. Keys and algorithms come from the policy and from nowhere else.

ECDSA (DER) and RSA with the hash and the padding that the policy names for the key, and pure Ed25519. Without a name it
is SHA-256, and PKCS #1 v1.5, for every key size: what `cosign verify --key` accepts without further options. cosign
itself signs with SHA-384 and SHA-512 for P-384 and P-521 keys, and images with Ed25519ph. What was signed in a way that
the policy does not name is `unsupported`, not invalid.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from airgap.base.digest import Digest
from airgap.base.times import CLOCK_SKEW, utc_text
from airgap.signatures.engines.algorithms import Signature, named, used, verifies
from airgap.signatures.record import LogEntry, Proof, Refusal, Signed, UpstreamKey
from airgap.statements.keys.file import MAX_KEY

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from airgap.signatures.roots.trust_root import TrustRoot

MIN_RSA, MAX_RSA = 2048, 8192
"""Bits: below is too weak to count (NIST SP 800-131A); above takes long to verify, and is not used in practice."""
_ED25519_SIGNATURE = 64


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A key from the policy, loaded."""

    named: UpstreamKey
    key: PublicKeyTypes
    spki: bytes

    @property
    def hint(self) -> str:
        """The hint that a bundle would give for this key."""
        return base64.b64encode(bytes.fromhex(Digest.of(self.spki).hex)).decode()


def check_key(pem: bytes) -> str | None:
    """Why a public key in a policy cannot be used, in words; `None` if it can.

    The allow-list: ECDSA on P-256, P-384 and P-521, RSA from 2048 to 8192 bits, Ed25519; as SPKI in PEM.
    """
    try:
        _load(pem)
    except Refusal as refusal:
        return refusal.detail
    return None


def verify_keyed(
    signed: Signed,
    keys: Sequence[UpstreamKey],
    root: TrustRoot | None,
    now: datetime,
    *,
    logged: bool | None = None,
) -> Proof:
    """Which of `keys` signed, and when, if that is known.

    1. No certificate is included: a rule with keys does not look into certificates. 2. One of the keys signed the
    message. 3. With a trust root, the included log entries and timestamps verify, and were not made in the future. If
    `logged` is True, there is an entry. 4. The key was valid at each of these times.
    What can be proven of a key's validity: a log entry or a timestamp proves that the signature existed at that
    time, so the key must have been valid then. Without one, nothing proves when the key signed, or that it was valid
    at that time. In that case today's date decides, and a key counts while its window is open. To keep accepting what
    an old key signed without a time, leave `not_after` out, and deny what must not count.
    Raises `Refusal`.
    """
    # 1.
    if signed.certificate:
        raise Refusal("identity-for-key", "signed with a certificate, but the rule requires a key")
    # 2.
    loaded = _signer(signed, keys)
    # 3.
    if logged and (root is None or not signed.entries):
        raise Refusal("not-logged", "the signature is in no transparency log, but the rule requires one")
    times: list[tuple[str, datetime]] = []
    if root is not None:
        times = _times(signed, root, loaded.spki)
        for source, moment in times:
            if moment > now + CLOCK_SKEW:
                what = (
                    f"its {source} says that it was signed at {utc_text(moment)}, after the local time {utc_text(now)}"
                )
                raise Refusal("signed-in-future", what)
    # 4.
    for moment in [moment for _, moment in times] or [now]:
        _check_window(loaded.named, moment, proven=bool(times))
    entries: Sequence[LogEntry] = signed.entries if root is not None else ()
    return Proof(
        key=Digest.of(loaded.spki),
        key_name=loaded.named.name,
        times=tuple(times),
        log_entries=tuple((entry.log_id.hex(), entry.log_index) for entry in entries),
    )


def _signer(signed: Signed, keys: Sequence[UpstreamKey]) -> _Loaded:
    """The first of `keys` that signed. The hint only selects the reported reason if none did."""
    loaded = [_Loaded(key, *_load(key.pem)) for key in keys]
    signature = Signature(signed)
    for one in loaded:
        if verifies(one.key, signature, named(one.named)):
            return one
    hinted = [one for one in loaded if signed.hint == one.hint]
    for one in hinted or loaded:
        if (what := _unsupported(one, signature)) is not None:
            raise Refusal("unsupported-algorithm", what, unsupported=True)
    names = ", ".join(one.named.name for one in loaded) or "none"
    if signed.hint and not hinted:
        raise Refusal("wrong-key", f"signed by a key that the rule does not list ({names})")
    raise Refusal("bad-signature", f"no key that the rule lists ({names}) verifies this signature")


def _load(pem: bytes) -> tuple[PublicKeyTypes, bytes]:
    """A key of the allow-list and its DER SPKI. Raises `Refusal` (`unsupported-algorithm`)."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_public_key,
    )

    def refuse(what: str) -> Refusal:
        return Refusal("unsupported-algorithm", what, unsupported=True)

    if len(pem) > MAX_KEY:
        raise refuse(f"got {len(pem)} bytes, expected a key of at most {MAX_KEY}")
    if b"PRIVATE KEY" in pem:
        raise refuse("got a private key, expected a public one")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise refuse("not a public key in PEM") from error
    match key:
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1() | ec.SECP384R1() | ec.SECP521R1()):
            pass
        case ec.EllipticCurvePublicKey():
            raise refuse(f"got ECDSA on {key.curve.name}, expected P-256, P-384 or P-521")
        case rsa.RSAPublicKey() if not MIN_RSA <= key.key_size <= MAX_RSA:
            raise refuse(f"got RSA with {key.key_size} bits, expected {MIN_RSA} to {MAX_RSA}")
        case rsa.RSAPublicKey() | ed25519.Ed25519PublicKey():
            pass
        case _:
            kind = type(key).__name__.strip("_")
            raise refuse(f"got {kind}, expected ECDSA, RSA or Ed25519")
    return key, key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _unsupported(one: _Loaded, signature: Signature) -> str | None:
    """What a signature that does not verify may be besides wrong: one by the same key with another algorithm."""
    from cryptography.hazmat.primitives.asymmetric import ed25519

    name = one.named.name
    other = used(one.key, signature)
    if other is not None:
        said = f"key {name!r} signed it with {other.words(one.key)}; the policy says {named(one.named).words(one.key)}"
        if not other.fields:
            return f"{said}. Ask for a signature with SHA-256"
        return f"{said}. If its owner signs so, write {{{other.fields}}} at the key in the policy"
    # Nothing in the 64 bytes tells Ed25519ph (RFC 8032 §5.1) from damage, and airgap has no verifier for it.
    if isinstance(one.key, ed25519.Ed25519PublicKey) and len(signature.raw) == _ED25519_SIGNATURE:
        return (
            f"key {name!r} does not verify it as pure Ed25519: it is Ed25519ph (which cosign uses for images, and"
            " which this version does not verify), or it was altered"
        )
    return None


def _times(signed: Signed, root: TrustRoot, spki: bytes) -> list[tuple[str, datetime]]:
    """The times that log entries and timestamps prove. Every included one must verify."""
    from airgap.signatures.engines.rekor import verify_entries
    from airgap.signatures.engines.timestamps import verify_timestamps

    logged = verify_entries(signed, root, spki)
    stamps = verify_timestamps(signed.timestamps, signed.stamped, root)
    return [*(("log", moment) for moment in logged), *(("tsa", moment) for moment in stamps)]


def _check_window(key: UpstreamKey, moment: datetime, *, proven: bool) -> None:
    when = (
        f"signed at {utc_text(moment)}"
        if proven
        else f"the signature carries no time, and the local time is {utc_text(moment)}"
    )
    if key.not_before is not None and moment < key.not_before:
        raise Refusal("key-not-valid", f"{when}; key {key.name!r} is valid from {utc_text(key.not_before)}")
    if key.not_after is not None and moment > key.not_after:
        raise Refusal("key-not-valid", f"{when}; key {key.name!r} was valid until {utc_text(key.not_after)}")
