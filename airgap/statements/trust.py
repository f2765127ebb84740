"""Which role may sign what, and the only way to accept a signed statement.

`signedAt` is the signer's claim, and nothing proves it: whoever has a key that expired or was revoked can write a time
at which it was good. So a key must have been valid when it signed, *and* be valid now. `_check_key` is the one place
that decides this, and the only exceptions are what the Trust resource names (`accept`) and what was accepted here
before (`Known`). See docs/adr/0015.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from airgap.base.digest import Digest
from airgap.base.errors import EndedKeyError, InputError, TrustError, UnknownKeyError, UselessKeyError, WrongMakerError
from airgap.base.times import CLOCK_SKEW, utc_text
from airgap.resources.trust import ROLES, Trust, TrustedKey
from airgap.statements.dsse import MAX_BUNDLE, MAX_EVIDENCE_BUNDLE, open_bundle, verify
from airgap.statements.keys.file import PublicKey, load_public
from airgap.statements.statement import Statement, article

MAY_SIGN: Mapping[str, frozenset[str]] = {
    "exporter": frozenset({"pull", "delivery"}),
    "station": frozenset({"verdict", "delivery"}),
    "security-officer": frozenset({"approval"}),
    "sovereign": frozenset({"receipt", "audit", "accepted", "rollback", "prune", "want"}),
}
_AGAIN: Mapping[str, str] = {
    "pull": "have it pulled and cut again",
    "verdict": "have it scanned and cut again",
    "delivery": "have the delivery cut again",
    "approval": "have it approved again (airgap sign)",
}
DELIVERY_APPROVAL = "delivery-approval"
"""What a Trust resource may require besides kinds of statements: an approval of each delivery."""
REQUIRABLE = frozenset({"pull", "verdict", "delivery", "approval", DELIVERY_APPROVAL})
"""The statements that a delivery can bring. Receipts, audits and accepted lists are made after it arrived."""


class Known(IntEnum):
    """What was accepted here before, apart from the key: it decides whether a key that ended is good enough."""

    NOTHING = 0
    """The statement is new. Its key must be valid now."""
    SUBJECT = 1
    """Its subject was accepted, but its content could be new. An expired key is good enough, a revoked one is not."""
    CONTENT = 2
    """It belongs to a delivery that was accepted. A key that was good when it signed is good enough."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """A checked Trust resource: each key with its parsed public key. Made by `key_ring`."""

    trust: Trust
    keys: tuple[tuple[TrustedKey, PublicKey], ...]

    def by_hint(self, hint: str) -> list[tuple[TrustedKey, PublicKey]]:
        """All keys, with those that the hint names first."""
        return sorted(self.keys, key=lambda entry: entry[1].key_id != hint)

    def knows(self, hint: str) -> bool:
        """True if the hint is that of a key here."""
        return any(key.key_id == hint for _, key in self.keys)


@dataclass(frozen=True, slots=True)
class Authentic:
    """A statement with a valid signature by a known key. Whether it may be accepted is not decided yet."""

    statement: Statement
    key: TrustedKey
    public_key: PublicKey
    raw: bytes
    """The bundle's bytes."""


@dataclass(frozen=True, slots=True)
class VerifiedStatement:
    """A statement that is accepted, and the key that signed it."""

    statement: Statement
    key: TrustedKey
    public_key: PublicKey
    raw: bytes
    """The bundle's bytes, kept as evidence."""

    @property
    def role(self) -> str:
        """The signer's role, which the Trust resource gives to its key."""
        return self.key.role


def again(kind: str) -> str:
    """How to get a new statement of a kind in place of one that does not count."""
    return f"{_AGAIN.get(kind, 'have it signed again')} with a key that is valid now"


def check_may_sign(role: str, kind: str) -> None:
    """Raises `InputError` (`role-may-not`) if `role` may not make statements of `kind`. Call it before signing."""
    if kind not in MAY_SIGN.get(role, frozenset()):
        able = " or ".join(sorted(name for name, kinds in MAY_SIGN.items() if kind in kinds))
        raise InputError(
            "role-may-not",
            f"role {role!r} may not sign {article(kind)} statement; allowed: {able or 'no role'}",
            "use the key and --role of the person who has to sign it",
        )


def check_signer(trust: Trust, key_id: str, role: str, now: datetime) -> None:
    """Raises `InputError` (`wrong-key`) unless `trust` would accept what this key signs today in `role`.

    Called before work that ends with a signature, if the Trust resource is available.
    """
    hint = f"use the key that the Trust resource lists with role {role}, or add it there"
    for key, public in key_ring(trust).keys:
        if public.key_id != key_id:
            continue
        if key.role != role:
            raise InputError("wrong-key", f"key {key.name!r} has role {key.role}, expected {role}", hint)
        if not good_now(key, now):
            raise InputError(
                "wrong-key",
                f"key {key.name!r} {_why_not(key, now)}",
                f"use a key with role {role} that is valid now, or generate one (`airgap keys generate`) and add it to "
                "the Trust resource",
            )
        return
    raise InputError("wrong-key", f"the Trust resource does not list the signing key {key_id}", hint)


def key_ring(trust: Trust) -> KeyRing:
    """Checks a complete Trust resource. Raises `TrustError`.

    1. There is a key; otherwise nothing could be accepted (`no-keys`).
    2. `require` names statements that a delivery can bring (`bad-require`), and at least one: an empty policy fails.
    3. Each key is P-256 (`bad-public-key`), has a known role (`unknown-role`) and a lifetime (`bad-validity`).
    4. No two keys have the same name (`key-name-twice`).
    5. No key, by its SPKI, has two roles (`key-in-two-roles`): two signatures by one hand are one. No key has two
       entries (`key-twice`).
    """
    hint = "correct the Trust resource"
    # 1. A key.
    if not trust.keys:
        raise TrustError("no-keys", f"Trust for {trust.sovereign!r} lists no keys", hint)
    # 2. What is required.
    wrong = sorted(set(trust.require) - REQUIRABLE)
    if wrong or not trust.require:
        wanted = ", ".join(sorted(REQUIRABLE))
        got = repr(wrong[0]) if wrong else "nothing"
        raise TrustError("bad-require", f"Trust: require: got {got}, expected some of {wanted}", hint)
    ring, names, seen = [], set(), dict[PublicKey, TrustedKey]()
    for key in trust.keys:
        where = f"Trust: key {key.name!r}"
        # 3. The key itself.
        public = load_public(key.public_key_pem, where)
        if key.role not in ROLES:
            raise TrustError("unknown-role", f"{where}: role: got {key.role!r}, expected one of {ROLES}", hint)
        if not key.not_before < key.not_after:
            raise TrustError("bad-validity", f"{where}: notBefore is not before notAfter", hint)
        # 4. Its name.
        if key.name in names:
            raise TrustError("key-name-twice", f"{where} is listed twice", hint)
        names.add(key.name)
        # 5. One hand, one role.
        other = seen.setdefault(public, key)
        if other.role != key.role:
            raise TrustError(
                "key-in-two-roles",
                f"{where} ({key.role}) and {other.name!r} ({other.role}) are the same key {public.digest.short}",
                "each role needs its own key: generate another, and replace one of the two",
            )
        if other is not key:
            raise TrustError(
                "key-twice",
                f"{where} and {other.name!r} are the same key {public.digest.short}",
                "list it once: revoking one entry would leave the other valid",
            )
        ring.append((key, public))
    return KeyRing(trust, tuple(ring))


def authenticate(data: bytes, ring: KeyRing, where: str, limit: int = MAX_BUNDLE) -> Authentic:
    """Steps 1 to 3 of `verify_bundle`: parses the statement, and finds the key that signed it."""
    # 1. Parse the bundle. The payload is not looked into before a signature verifies.
    envelope = open_bundle(data, where, limit)
    # 2. Find the key whose signature verifies. The hint gives the order, and is optional.
    found = next((entry for entry in ring.by_hint(envelope.hint) if verify(envelope, entry[1])), None)
    if found is None:
        raise _nobody(where, envelope.hint, ring)
    if envelope.hint not in ("", found[1].key_id):
        # Two copies of one fact differ: airgap never writes that.
        raise TrustError(
            "hint-mismatch",
            f"{where}: the hint is {envelope.hint[:100]!r}, but {found[1].key_id} signed",
            "the file was changed on the way; get it again",
        )
    # 3. Parse the signed content.
    statement = Statement.parse(envelope.payload, where)
    return Authentic(statement, *found, data)


def unverified(data: bytes, where: str) -> Statement:
    """The statement in a signed file, whoever signed it: for what is only shown or looked up, and decides nothing.

    Raises `TrustError` for a file that is damaged, or is no statement.
    """
    return Statement.parse(open_bundle(data, where, MAX_EVIDENCE_BUNDLE).payload, where)


def authorise(
    authentic: Authentic,
    where: str,
    *,
    now: datetime,
    known: Known = Known.NOTHING,
    within: Collection[Digest] = (),
) -> VerifiedStatement:
    """Steps 4 to 8 of `verify_bundle`: decides whether the statement of a known key counts now.

    `within` is the delivery that contains it: the key's `accept` list may name that instead of the subject.
    """
    statement = authentic.statement
    # 4. and 5.
    check_maker(authentic, where)
    # 6. and 7. The key was good when it signed, and it is good now.
    _check_key(statement, authentic.key, where, now, known, within)
    # 8. Not from the future.
    if statement.signed_at > now + CLOCK_SKEW:
        raise TrustError(
            "signed-in-future",
            f"{where}: signed at {utc_text(statement.signed_at)}, after the local time {utc_text(now)}",
            "check this machine's clock first, then the signer's",
        )
    return VerifiedStatement(statement, authentic.key, authentic.public_key, authentic.raw)


def check_maker(authentic: Authentic, where: str) -> None:
    """Steps 4 and 5 of `verify_bundle`: whether the key's role is the claimed one, and may make this statement ever."""
    statement = authentic.statement
    role = authentic.key.role
    # 4. The claimed role is the role of the key.
    if statement.role != role:
        raise WrongMakerError(
            "wrong-role",
            f"{where}: signed as {statement.role!r}, but key {authentic.key.name!r} has role {role!r}",
            "sign with the key of that role, or correct --role",
        )
    # 5. That role may make this statement.
    if statement.kind not in MAY_SIGN[role]:
        raise WrongMakerError(
            "role-may-not",
            f"{where}: role {role!r} may not sign {article(statement.kind)} statement",
            'have it signed by an allowed role: `airgap help format`, "Statements", lists them',
        )


def verify_bundle(
    data: bytes,
    trust: Trust,
    where: str,
    *,
    now: datetime,
    known: Known = Known.NOTHING,
    limit: int = MAX_BUNDLE,
) -> VerifiedStatement:
    """Accepts one signed statement, or raises `TrustError`. `where` names the bundle in errors.

    0. The Trust resource is consistent: see `key_ring`.
    1. Parse the bundle strictly, at most `limit` bytes: `bad-bundle`.
    2. Find the key whose signature verifies: `bad-signature` if the hint names a known key, `unknown-key` if it does
       not, `hint-mismatch` if it names another key than the one that signed.
    3. Parse the statement strictly: `bad-statement`, `unknown-statement`.
    4. The claimed role is the role of the key: `wrong-role`.
    5. That role may make this statement: `role-may-not`.
    6. The key was valid at signedAt: `key-not-valid-then`.
    7. It is neither revoked (`key-revoked`) nor expired (`key-expired`) at `now`, whatever signedAt says; or its
       `accept` list names the subject, or what is `known` is enough.
    8. signedAt is at most `CLOCK_SKEW` after `now`: `signed-in-future`.
    """
    authentic = authenticate(data, key_ring(trust), where, limit)
    return authorise(authentic, where, now=now, known=known)


def good_now(key: TrustedKey, now: datetime) -> bool:
    """True if `key` may sign today."""
    revoked = key.revoked is not None and key.revoked.at <= now
    return key.not_before <= now <= key.not_after and not revoked


def _why_not(key: TrustedKey, now: datetime) -> str:
    """Why a key that is not good now may not sign."""
    if key.revoked is not None and key.revoked.at <= now:
        return f"was revoked at {utc_text(key.revoked.at)}"
    if now < key.not_before:
        return f"is valid from {utc_text(key.not_before)} only, and now it is {utc_text(now)}"
    return f"expired at {utc_text(key.not_after)}"


def _check_key(
    statement: Statement, key: TrustedKey, where: str, now: datetime, known: Known, within: Collection[Digest]
) -> None:
    """Steps 6 and 7 of `verify_bundle`: whether this key counts for this statement now."""
    signed_at, revoked = statement.signed_at, key.revoked
    said = f"{where}: signed at {utc_text(signed_at)}, key {key.name!r}"
    # 6. Within the key's validity, both ends included.
    if not key.not_before <= signed_at <= key.not_after:
        raise UselessKeyError(
            "key-not-valid-then",
            f"{said} is valid from {utc_text(key.not_before)} to {utc_text(key.not_after)}",
            "have it signed with a key that is valid now, and add that key to the Trust resource",
        )
    # 7. Good now, or named by those who decide about the key, or accepted before it ended.
    named = {str(digest) for digest in (statement.subject, *within)}
    name = next(iter(within), statement.subject)
    if revoked is not None and (revoked.at <= signed_at or (revoked.at <= now and known < Known.CONTENT)):
        if named.isdisjoint(revoked.accept):
            raise EndedKeyError(
                "key-revoked",
                f"{said} was revoked at {utc_text(revoked.at)}; nothing proves when a revoked key signed",
                f"{again(statement.kind)}. If you know otherwise that it is genuine, add {name} "
                "to `revoked.accept` of the key in the Trust resource",
            )
    elif now > key.not_after and not known and named.isdisjoint(key.accept):
        raise EndedKeyError(
            "key-expired",
            f"{said} expired at {utc_text(key.not_after)}; nothing proves when an expired key signed",
            f"{again(statement.kind)}. If you know otherwise that it was signed in time, add {name} to `accept` of the "
            "key in the Trust resource",
        )


def _nobody(where: str, hint: str, ring: KeyRing) -> TrustError:
    if ring.knows(hint):
        return TrustError(
            "bad-signature",
            f"{where}: the signature does not match key {hint}",
            "the file was changed or damaged on the way; get it again",
        )
    return UnknownKeyError(
        "unknown-key",
        f"{where}: signed by a key that the Trust resource does not list (hint {hint[:100]!r})",
        "if you trust the signer, verify the key through another channel, and add it to the Trust resource",
    )
