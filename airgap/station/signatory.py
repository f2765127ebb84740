"""The signer of this station, and the entries in its log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, TrustError
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE, open_bundle, sign_payload, verify
from airgap.statements.keys.file import Signer, load_public
from airgap.statements.log import LOST, StationLog
from airgap.statements.predicates import Predicate
from airgap.statements.statement import Statement, said
from airgap.statements.trust import check_may_sign

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Diary:
    """Logs what a station does without signing it. `actor` is the role, with its key if it has one."""

    log: StationLog
    actor: str
    clock: Clock

    def note(self, action: str, *subjects: Digest) -> None:
        """Writes one line, durable on return. Raises `StoreError`, `IntegrityError` (`log-damaged`)."""
        self.log.append(time=self.clock(), actor=self.actor, action=action, subjects=subjects)


@dataclass(slots=True)
class Signatory:
    """A signer in its role, with its log and its clock."""

    signer: Signer
    role: str
    log: StationLog
    clock: Clock

    @property
    def actor(self) -> str:
        """The actor's name in the log."""
        return f"{self.role} {self.signer.key_id}"

    def made(self, bundle: bytes, subject: Digest, body: Predicate) -> bool:
        """True if `bundle` is a statement by this signer in this role that says exactly this."""
        try:
            envelope = open_bundle(bundle, body.kind, MAX_EVIDENCE_BUNDLE)
            if not verify(envelope, load_public(self.signer.public_key_pem)):
                return False
            found = Statement.parse(envelope.payload, body.kind)
        except TrustError:
            return False
        return (found.subject, found.body, found.role) == (subject, body, self.role)

    def sign(self, subject: Digest, body: Predicate) -> bytes:
        """Makes one statement: logs it first, then signs it with the log's head in it. Returns the bundle's bytes.

        The line names the subject, and what is said about it (`said`). If the key does not sign (a token that was
        removed), another line records that. Raises `InputError` (`role-may-not`), `StoreError`, and the key's errors.
        """
        check_may_sign(self.role, body.kind)
        now = self.clock()
        head = self.log.append(
            time=now,
            actor=self.actor,
            action=body.kind,
            subjects=[subject, said(body)],
        ).head
        statement = Statement.of(subject, body, signed_at=now, log_head=head, role=self.role)
        try:
            return sign_payload(statement.payload, self.signer)
        except AirgapError:
            self.log.append(time=self.clock(), actor=self.actor, action=LOST, subjects=[head])
            raise
