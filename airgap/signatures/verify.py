"""Checks one signature against one demand, in any format: engines find out who signed; this decides what it means."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.signatures.engines.keyed import verify_keyed
from airgap.signatures.formats.intoto import parse_statement
from airgap.signatures.formats.simple_signing import signed_digest
from airgap.signatures.record import (
    MAX_SAID,
    SIGNATURE,
    AttestedStatement,
    Identity,
    Proof,
    Refusal,
    SignatureLayout,
    Signed,
    Status,
    Unread,
    UpstreamKey,
    VerificationResult,
    plain,
)
from airgap.statements.dsse import PAYLOAD_TYPE

if TYPE_CHECKING:
    from airgap.signatures.roots.trust_root import TrustRoot


@dataclass(frozen=True, slots=True)
class Demand:
    """What a rule requires of a signature: what it must be, and who may have made it."""

    want: str
    """`SIGNATURE`, or the predicate type of an attestation."""
    _: KW_ONLY
    identities: tuple[Identity, ...] = ()
    keys: tuple[UpstreamKey, ...] = ()
    root: TrustRoot | None = None
    logged: bool | None = None
    """Whether a log of the root must contain it; `None`: only if a certificate signed and the root names logs."""
    now: datetime
    """The local clock, with a zone."""


def verify(signed: Signed | Unread, demand: Demand) -> VerificationResult:
    """Verifies a signature against a demand. A failure inside a library is `verifier-error`, and does not count.

    1. It was signed in the way that the rule requires: with a certificate for identities, with a key for keys.
    2. It is what is required: a signature, or an attestation of that predicate type. Never one for the other.
    3. The engine: who signed, and when. 4. The signed content is about the digest that airgap hashed.
    The payload is read before step 3 and trusted only after it. Raises only `InputError` (`missing-extra`), if a
    certificate or a timestamp has to be verified and the packages for it are not installed.
    """
    if isinstance(signed, Unread):
        return VerificationResult(
            signed.status, signed.subject, signed.where, signed.layout, signed.reason, signed.detail
        )
    finding = VerificationResult(Status.FAILED, signed.subject, signed.where, signed.layout)
    try:
        statement = _statement(signed)
        if statement is not None and statement.attests:
            finding = replace(finding, predicate_type=plain(statement.predicate_type))
        return _verify(signed, statement, demand, finding)
    except Refusal as refusal:
        return replace(finding, status=refusal.status, reason=refusal.reason, detail=refusal.detail)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001  (libraries raise whatever they like; it must fail closed, with a reason)
        said = plain(f"{type(error).__name__}: {error}", MAX_SAID)
        return replace(finding, reason="verifier-error", detail=said)


def _statement(signed: Signed) -> AttestedStatement | None:
    """The statement in an envelope; `None` for what has no envelope."""
    if not signed.payload_type and signed.statement is None:
        return None
    read = signed.statement
    # Bytes objects do not change: what was parsed from this very object is still its content.
    if signed.payload_type == PAYLOAD_TYPE and read is not None and read.source is signed.payload:
        return read
    return parse_statement(signed.payload, signed.payload_type)


def _verify(
    signed: Signed, statement: AttestedStatement | None, demand: Demand, finding: VerificationResult
) -> VerificationResult:
    # 1.
    _route(signed, demand)
    # 2.
    predicate_type = _is_wanted(statement, demand.want)
    # 3.
    root = demand.root
    if signed.certificate:
        proof = _keyless(signed, demand)
    else:
        proof, root = (
            verify_keyed(signed, demand.keys, root, demand.now, logged=demand.logged),
            None,
        )
    # 4.
    _is_about(signed, statement)
    return replace(
        finding,
        status=Status.VERIFIED,
        predicate_type=predicate_type,
        proof=proof,
        trust_root=root.name if root else "",
        trust_root_digest=root.digest if root else None,
        payload=signed.payload,
    )


def _route(signed: Signed, demand: Demand) -> None:
    """A key accepted in place of an identity was GHSA-fx35-mq7g-6g98; here neither can replace the other."""
    if signed.certificate and not demand.identities:
        raise Refusal("identity-for-key", "signed with a certificate, but the rule requires a key")
    if not signed.certificate and not demand.keys:
        raise Refusal("key-for-identity", "signed with a key, but the rule requires an identity")


def _is_wanted(statement: AttestedStatement | None, want: str) -> str:
    """The attestation's predicate type, `""` for a signature."""
    attests = statement is not None and statement.attests
    said = statement.predicate_type if statement is not None and attests else "a signature"
    if want == SIGNATURE:
        if attests:
            what = f"an attestation of type {said[:200]}, not a signature"
            raise Refusal("not-a-signature", what)
        return ""
    if not attests or said != want:
        what = f"got an attestation of type {said[:200]}, expected {want}"
        raise Refusal("wrong-predicate-type", what)
    return said


def _keyless(signed: Signed, demand: Demand) -> Proof:
    # sigstore takes a second to import: only callers that meet a certificate pay for it.
    from airgap.signatures.engines.keyless import verify_keyless

    if demand.root is None:
        raise Refusal("no-trust-root", "signed with a certificate, but the rule names no trust root")
    return verify_keyless(signed, demand.root, demand.identities, demand.now, logged=demand.logged)


def _is_about(signed: Signed, statement: AttestedStatement | None) -> None:
    """The digest that airgap hashed is the payload's, or is among the statement's subjects."""
    if statement is None:
        simple = signed.layout is SignatureLayout.SIMPLE_SIGNING
        said = signed_digest(signed.payload) if simple else Digest.of(signed.message)
        if said != signed.subject:
            raise Refusal("wrong-subject", f"it is about {said}, not about {signed.subject}")
    elif not statement.names(signed.subject):
        named = statement.subjects[0].get("sha256", "a subject without a sha256 digest")
        more = f" and {len(statement.subjects) - 1} more" if len(statement.subjects) > 1 else ""
        raise Refusal("wrong-subject", f"it is about {named}{more}, not about {signed.subject}")
