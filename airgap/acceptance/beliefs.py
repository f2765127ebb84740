"""The signed statements that a delivery brings, and which of them count."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from airgap.acceptance.scans import SCAN_AGAIN
from airgap.base.digest import Digest
from airgap.base.errors import EndedKeyError, MissingStatementError, TrustError, UselessKeyError
from airgap.content.lock import Lock
from airgap.statements.approval import Approvable, Approval, Approves
from airgap.statements.statement import Statement, article
from airgap.statements.trust import (
    DELIVERY_APPROVAL,
    Authentic,
    KeyRing,
    Known,
    VerifiedStatement,
    authenticate,
    authorise,
)

MAX_NOTES = 50
"""Notes about the statements of one delivery: evidence may contain a hundred thousand statements."""


class Beliefs:
    """The statements of one delivery, as `Acceptance` reads them. Each either counts or is noted with the reason."""

    __slots__ = (
        "_digest",
        "_known",
        "_now",
        "_refused",
        "_restore",
        "_ring",
        "counting",
        "delivery",
        "locks",
        "notes",
        "rewrites",
        "waivers",
    )

    def __init__(self, ring: KeyRing, delivery: Digest, *, now: datetime, known: Known, restore: bool = False) -> None:
        """`delivery` is the digest of AIRGAP.json, and `known` says whether it was accepted before.

        With `restore`, an approval of the restoring of the delivery counts as one of the delivery.
        """
        self._ring, self._digest, self._now, self._known, self._restore = ring, delivery, now, known, restore
        self._refused: list[tuple[Authentic | None, TrustError]] = []
        self.counting: list[VerifiedStatement] = []
        self.notes: list[str] = []
        self.delivery: Approves | None = None
        """What an approval of AIRGAP.json must say that it approves; `None` before that is known."""
        self.locks: tuple[Lock, ...] = ()
        self.waivers: Collection[Digest] = ()
        self.rewrites: frozenset[str] = frozenset()
        """The repositories whose rewritten history a security-officer approved for this delivery."""

    def take(self, data: bytes, where: str, limit: int) -> None:
        """Accepts a statement about AIRGAP.json, a lock or a waiver, or notes why it does not count."""
        authentic = None
        try:
            authentic = authenticate(data, self._ring, where, limit)
            if not self._concerns_us(authentic, where):
                return
            within = (self._digest,)
            verified = authorise(authentic, where, now=self._now, known=self._known, within=within)
        except UselessKeyError as error:
            self._refused.append((authentic, error))
            self._note(f"ignored: {error}")
        else:
            self.counting.append(verified)

    def _concerns_us(self, authentic: Authentic, where: str) -> bool:
        """False for a statement in the evidence about something else, such as a baseline's receipt; it is noted."""
        statement = authentic.statement
        if not self.locks:  # step 2: signatures next to AIRGAP.json are about AIRGAP.json
            if statement.subject == self._digest:
                return True
            raise TrustError(
                "index-mismatch",
                f"{where}: {authentic.key.name!r} signed {statement.subject}, but AIRGAP.json is {self._digest}",
                "AIRGAP.json was changed: get it again; or the signature belongs to another thing: remove its file",
            )
        if any(statement.subject == lock.digest for lock in self.locks):
            return True
        # Of a full lock, only what was pulled is of interest: its verdict said fail.
        if statement.kind == "pull" and any(statement.subject in lock.pulled_as for lock in self.locks):
            return True
        if statement.subject in self.waivers:
            return True
        self._note(f"{where}: {article(statement.kind)} statement about {statement.subject}, which is not here")
        return False

    def _note(self, text: str) -> None:
        if len(self.notes) < MAX_NOTES:
            self.notes.append(text)
        elif len(self.notes) == MAX_NOTES:
            self.notes.append("more statements of the delivery do not count")

    def sort_out_approvals(self) -> None:
        """An approval of another kind of thing does not count, and is noted. What each approves is known only now."""
        kept = []
        for verified in self.counting:
            statement = verified.statement
            try:
                if isinstance(statement.body, Approval):
                    needed = self._approvable(statement.subject, statement.body)
                    # A waiver that a trusted verdict names was checked by its station, so an approval by an earlier
                    # version, without a kind, is enough: with the station's key, no waiver is needed to say "pass".
                    old = True if needed.kind is Approvable.WAIVER else None
                    statement.body.check(needed, f"the approval by {verified.key.name!r}", without_kind=old)
                    if statement.body.rewrites:
                        self.rewrites |= set(needed.items)
                        continue  # it says nothing about the rest of the delivery
            except TrustError as error:
                self._refused.append((Authentic(statement, verified.key, verified.public_key, verified.raw), error))
                self._note(f"ignored: {error}")
            else:
                kept.append(verified)
        self.counting = kept

    def _approvable(self, subject: Digest, approval: Approval) -> Approves:
        """What an approval of one of the things here must say that it approves."""
        if subject in self.waivers:
            return Approves(Approvable.WAIVER)
        if subject != self._digest:
            return Approves(Approvable.LOCK)
        if self.delivery is None:
            raise RuntimeError("approvals before the journey")
        if approval.approves is not None and approval.rewrites:
            return replace(self.delivery, kind=Approvable.REWRITE, items=approval.approves.items)
        restores = self._restore and approval.restores
        return replace(self.delivery, kind=Approvable.RESTORE) if restores else self.delivery

    @property
    def vouched(self) -> bool:
        """True if a security-officer approved that this delivery is restored."""
        bodies = [one.body for one in self.about("approval", self._digest)]
        return any(isinstance(body, Approval) and body.restores for body in bodies)

    def require_delivery(self) -> datetime:
        """The time of the oldest delivery statement that counts. Raises `TrustError` if there is none."""
        cut = self.about("delivery", self._digest)
        if cut:
            return min(statement.signed_at for statement in cut)
        for authentic, error in self._refused:
            if authentic is None or authentic.statement.kind == "delivery":
                raise error
        raise TrustError(
            "no-signature",
            "signatures/ has no delivery statement about AIRGAP.json",
            "copy the complete delivery, including signatures/; airgap read nothing else of it",
        )

    def about(self, kind: str, subject: Digest) -> list[Statement]:
        """The trusted statements of a kind about a digest, newest first."""
        found = [verified.statement for verified in self.counting]
        found = [one for one in found if one.kind == kind and one.subject == subject]
        return sorted(found, key=lambda one: one.signed_at, reverse=True)

    def about_lock(self, kind: str, lock: Lock) -> list[Statement]:
        """The trusted statements of a kind about a lock, newest first; those about the pull of its full lock, too."""
        subjects = lock.pulled_as if kind == "pull" else (lock.digest,)
        found = [one for subject in subjects for one in self.about(kind, subject)]
        return sorted(found, key=lambda one: one.signed_at, reverse=True)

    def require_approval(self, waiver: Digest) -> None:
        """Raises `TrustError` unless a security-officer signed this waiver.

        If a signature on it was refused, the error is that of the refusal.
        """
        if self.about("approval", waiver):
            return
        for authentic, error in self._refused:
            if authentic is not None and authentic.statement.subject == waiver:
                raise error
        raise TrustError(
            "waiver-unapproved",
            f"waiver {waiver}: it has no approval by a security-officer whom the Trust resource lists",
            "; ".join([*self.notes, SCAN_AGAIN]),
        )

    def require_good(self, lock: Lock) -> None:
        """Refuses a pull statement or a verdict by a key that ended, even if none is required: it may say fail."""
        for authentic, error in self._refused:
            if authentic is None or not isinstance(error, EndedKeyError):
                continue
            kind, subject = authentic.statement.kind, authentic.statement.subject
            mine = subject == lock.digest or (kind == "pull" and subject in lock.pulled_as)
            if mine and kind in ("pull", "verdict") and not self.about_lock(kind, lock):
                raise error

    def require(self, kind: str) -> None:
        """Requires such a statement about every lock; a delivery or an approval may instead be about AIRGAP.json.

        `DELIVERY_APPROVAL` requires an approval of AIRGAP.json itself: an approval of a lock never ends.
        """
        only_delivery = kind == DELIVERY_APPROVAL
        kind = "approval" if only_delivery else kind
        if kind in ("delivery", "approval") and self.about(kind, self._digest):
            return
        lost = next((lock for lock in self.locks if not self.about_lock(kind, lock)), None)
        if lost is None and not only_delivery:
            return
        who = "the delivery itself" if only_delivery or lost is None else f"lock {lost.name!r} ({lost.digest})"
        for authentic, error in self._refused:
            if authentic is not None and authentic.statement.kind == kind:
                raise error  # the statement is there, and this error says why it does not count
        raise MissingStatementError(
            "statement-missing",
            f"the Trust resource requires {article(kind)} statement, but {who} has none",
            "; ".join([*self.notes, _how_to_get(kind)]),
        )


def _how_to_get(kind: str) -> str:
    if kind == "approval":
        return (
            "approve the delivery: airgap sign DELIVERY --key KEY --trust FILE; "
            "if it was approved with --out DIR, pass DIR in addition to the delivery"
        )
    return f"have the delivery cut with the {kind} statement in its evidence"
