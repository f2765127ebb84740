"""The signer of this station, and the entries in its log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from airgap.base.digest import Digest
from airgap.base.errors import TrustError
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE, open_bundle, sign_payload, verify
from airgap.statements.keys.file import Signer, load_public
from airgap.statements.log import StationLog
from airgap.statements.predicates import Predicate
from airgap.statements.statement import Statement, said
from airgap.statements.trust import check_may_sign
from airgap.station.files import LOG, keep_signed

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
        """Makes one statement: signs it with the head that the log is about to have, then logs it. Returns the bundle.

        The line names the subject, and what is said about it (`said`). Nobody gets the bundle before the line is
        durable. The last one is kept next to a station's own log from before that on: if the machine stops before its
        caller keeps it, the line still has its statement. Raises `InputError` (`role-may-not`), `StoreError`, and the
        key's errors.
        """
        check_may_sign(self.role, body.kind)
        now = self.clock()
        made: list[bytes] = []

        def sign(head: Digest) -> None:
            statement = Statement.of(subject, body, signed_at=now, log_head=head, role=self.role)
            made.append(sign_payload(statement.payload, self.signer))
            if self.log.path.name == LOG:
                keep_signed(self.log.path.parent, made[0])

        subjects = [subject, said(body)]
        self.log.append(time=now, actor=self.actor, action=body.kind, subjects=subjects, before=sign)
        return made[0]
