"""Statements: in-toto Statement v1 about exactly one digest, with the claims that every airgap signer makes.

Source: in-toto attestation spec v1, statement.md; docs/format.md, "Statements". The signed bytes are kept next to
the parsed view, because a signature covers bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, TrustError
from airgap.base.json_fields import Fields
from airgap.base.times import utc_text
from airgap.statements.accepted import AcceptedList
from airgap.statements.approval import Approval
from airgap.statements.audited import Audit
from airgap.statements.predicates import Delivery, Predicate, Pull, Receipt
from airgap.statements.prune import Prune
from airgap.statements.rollback import Rollback
from airgap.statements.verdict import Verdict
from airgap.statements.want import Want

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREFIX = "https://airgap.openova.io/"
KINDS = ("pull", "verdict", "delivery", "approval", "receipt", "audit", "accepted", "rollback", "prune", "want")
"""The kinds of statements; their predicate types are `https://airgap.openova.io/<kind>/v1`."""

BODIES: Mapping[str, type[Predicate]] = {
    "pull": Pull,
    "verdict": Verdict,
    "delivery": Delivery,
    "approval": Approval,
    "receipt": Receipt,
    "audit": Audit,
    "accepted": AcceptedList,
    "rollback": Rollback,
    "prune": Prune,
    "want": Want,
}
"""The kinds whose body this version can read. A kind that is missing here is refused, whoever signed it."""

_CLAIM = {"signedAt", "logHead", "role"}
_MAYBE = {"verdict": Verdict.MAYBE, "approval": Approval.MAYBE, "receipt": Receipt.MAYBE, "audit": Audit.MAYBE}
"""The optional fields of a kind."""


def predicate_type(kind: str) -> str:
    """The predicate type's URI of a kind of statement."""
    return f"{PREFIX}{kind}/v1"


def article(kind: str) -> str:
    """A kind of statement with its article: `a pull`, `an approval`."""
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"


def said(body: Predicate) -> Digest:
    """The digest of a statement's content: its kind and fields, without its subject and the signer's claims."""
    return Digest.of(canonical({"kind": body.kind, **body.as_dict()}))


_TYPES = {predicate_type(kind): kind for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Statement:
    """One signed statement. Make it with `of` or `parse`, so that `payload` and the fields agree.

    `role` and `signed_at` are the signer's claims: `airgap.statements.trust` compares them with the key.
    """

    subject: Digest
    kind: str
    body: Predicate
    signed_at: datetime
    log_head: Digest
    """The head of the signer's log, so that cutting the log later is detected."""
    role: str
    payload: bytes
    """The statement's exact bytes, which the envelope carries."""

    @classmethod
    def of(cls, subject: Digest, body: Predicate, *, signed_at: datetime, log_head: Digest, role: str) -> Statement:
        """Makes a new statement. Its payload is canonical JSON; `signed_at` loses its fraction of a second."""
        claim = {"signedAt": utc_text(signed_at), "logHead": str(log_head), "role": role}
        payload = canonical(
            {
                "_type": STATEMENT_TYPE,
                "subject": [{"digest": {"sha256": subject.hex}}],
                "predicateType": predicate_type(body.kind),
                "predicate": {**claim, **body.as_dict()},
            }
        )
        return cls.parse(payload, "a new statement")

    @classmethod
    def parse(cls, payload: bytes, where: str) -> Statement:
        """Reads a payload whose signature was verified. `where` names it in errors.

        Raises `TrustError`: `bad-statement` for anything that is missing, unknown or of the wrong type,
        `unknown-statement` for a predicate type that this version cannot read.
        """
        # 1. An in-toto statement about exactly one sha256.
        names = {"_type", "subject", "predicateType", "predicate"}
        outer = Fields.parse(payload, names, where, _refuse)
        outer.exactly("_type", STATEMENT_TYPE)
        subjects = outer.each("subject", {"digest"})
        if len(subjects) != 1:
            raise _refuse(f"{where}: got {len(subjects)} subjects, expected one")
        found = subjects[0].inner("digest", {"sha256"})
        # 2. Of a kind that this version can read.
        kind = _kind(outer.text("predicateType"), where)
        body_type = BODIES[kind]
        # 3. The claim, and a body with exactly the fields of its kind.
        claim = outer.inner("predicate", _CLAIM | body_type.FIELDS, _MAYBE.get(kind, frozenset()))
        return cls(
            subject=_subject(found, where),
            kind=kind,
            body=body_type.read(claim),
            signed_at=claim.time("signedAt"),
            log_head=claim.digest("logHead"),
            role=claim.text("role"),
            payload=payload,
        )

    def as_dict(self) -> dict[str, Any]:
        """For `airgap show --json`: the parsed view."""
        return {
            "subject": str(self.subject),
            "kind": self.kind,
            "signedAt": utc_text(self.signed_at),
            "logHead": str(self.log_head),
            "role": self.role,
            **self.body.as_dict(),
        }


def _kind(predicate: str, where: str) -> str:
    kind = _TYPES.get(predicate)
    if kind is None or kind not in BODIES:
        raise TrustError(
            "unknown-statement",
            f"{where}: this version cannot read predicate type {predicate[:200]!r}",
            "it was made by a newer airgap; use that version",
        )
    return kind


def _subject(digests: Fields, where: str) -> Digest:
    value = "sha256:" + digests.text("sha256")
    return Fields({"sha256": value}, f"{where}: subject", _refuse).digest("sha256")


def _refuse(what: str) -> AirgapError:
    return TrustError(
        "bad-statement",
        what,
        "it was made by a newer airgap or another tool; have it made again with this version",
    )
