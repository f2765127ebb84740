"""Rotation: how the next Trust resource replaces the current one, approved by a security-officer of the current one.

A Trust resource is identified by the digest of its meaning, key files included, and not of its text: comments, order
and the PEM's line breaks do not count (docs/format.md, "Trust").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import TrustError
from airgap.base.times import utc_text
from airgap.resources.trust import Trust, TrustedKey
from airgap.statements.approval import Approvable, Approval, Approves
from airgap.statements.keys.file import load_public
from airgap.statements.statement import article
from airgap.statements.trust import VerifiedStatement, key_ring, verify_bundle

LIFE = timedelta(days=365)
"""The maximum lifetime of a key of this Sovereign, from notBefore to notAfter."""
SOON = timedelta(days=30)
"""How long before its end a key needs a successor: time to make one, approve it and carry it to the other side."""
_LEAP = timedelta(days=1)
"""Some years have 366 days, and people write the same date of the next year."""


@dataclass(frozen=True, slots=True)
class TrustChange:
    """One difference in the new Trust resource: `what` is added, ends, revoked, accepts, requires or limits."""

    what: str
    key: str
    """The key's name; `""` for `requires` and `limits`."""
    detail: str

    def as_dict(self) -> dict[str, str]:
        """For `--json`."""
        return {"what": self.what, "key": self.key, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Rotation:
    """What changes, and who approved it. `notes` are things that people should check; they refuse nothing."""

    changes: tuple[TrustChange, ...]
    notes: tuple[str, ...]
    approved: VerifiedStatement | None


def trust_digest(trust: Trust) -> Digest:
    """The digest of a Trust resource's meaning, which is the subject of an approval of it."""
    return Digest.of(trust_bytes(trust))


def trust_bytes(trust: Trust) -> bytes:
    """A Trust resource's meaning, in canonical JSON."""
    document = {
        "apiVersion": "airgap.openova.io/v1alpha1",
        "kind": "Trust",
        "sovereign": trust.sovereign,
        "keys": [_key(key) for key in sorted(trust.keys, key=lambda key: key.name)],
        "require": sorted(trust.require),
    }
    # Left out if there are none: resources without them keep the digest under which they were approved.
    limits = {} if trust.verdicts is None else {"verdicts": trust.verdicts.as_dict()}
    return canonical(document | limits)


def _key(key: TrustedKey) -> Mapping[str, Any]:
    revoked = None
    if key.revoked is not None:
        revoked = {"at": utc_text(key.revoked.at), "accept": sorted(key.revoked.accept)}
    said = {
        "name": key.name,
        "role": key.role,
        "spki": str(load_public(key.public_key_pem, key.name).digest),
        "notBefore": utc_text(key.not_before),
        "notAfter": utc_text(key.not_after),
        "revoked": revoked,
    }
    # Left out if it is empty: resources without it keep the digest under which they were approved.
    return {**said, "accept": sorted(key.accept)} if key.accept else said


def check_rotation(old: Trust, new: Trust, approval: bytes | None, *, now: datetime) -> Rotation:
    """What changes from `old` to `new`, or `TrustError`. `approval` is a signed statement; `None` only compares.

    1. Each of the two is consistent: see `key_ring`.
    2. Both are for the same Sovereign (`bad-rotation`). The approval is about `new`, and is signed with a
       security-officer's key of `old` that is valid today: raises as `verify_bundle` and `Approval.check` do, and
       `bad-rotation`.
    3. No signed statement becomes untrusted, and no key becomes trusted longer (`bad-rotation`): every key of `old` is
       in `new` with its name, role, material and notBefore. Its notAfter is the same, or earlier but not past. Its
       revocation stays, or begins earlier. A key that must no longer be trusted is ended, or revoked.
    4. A key that is added is valid for at most a year (`bad-rotation`).
    5. What was required is still required (`bad-rotation`).
    6. Limits for verdicts that there were are still there; other values are approved with the rest (`bad-rotation`).
    """
    # 1. Each of the two.
    key_ring(old), key_ring(new)
    # 2. One Sovereign, and a valid approval: what ends must still have been in the future when it was approved.
    approved = None if approval is None else _approved(old, new, approval, now)
    moment = now if approved is None else approved.statement.signed_at
    if old.sovereign != new.sovereign:
        raise _refuse(f"for {new.sovereign!r}, the old one is for {old.sovereign!r}")
    before, after = _named(old), _named(new)
    changes: list[TrustChange] = []
    # 3. The old keys.
    for name, key in before.items():
        changes += _kept(key, after.get(name), moment)
    # 4. The new keys.
    added = [key for name, key in after.items() if name not in before]
    changes += [_added(key) for key in added]
    # 5. What is required.
    gone = sorted(set(old.require) - set(new.require))
    if gone:
        raise _refuse(
            f"require: {', '.join(gone)} was required and is missing",
            f"keep {', '.join(gone)} in `require`; further statements may stand next to it",
        )
    changes += [TrustChange("requires", "", kind) for kind in sorted(set(new.require) - set(old.require))]
    # 6. The limits for verdicts.
    changes += _limits(old, new)
    return Rotation(tuple(changes), (*_gaps(new, now), *_late(changes)), approved)


def _limits(old: Trust, new: Trust) -> Iterator[TrustChange]:
    before = {} if old.verdicts is None else old.verdicts.as_dict()
    after = {} if new.verdicts is None else new.verdicts.as_dict()
    for name in sorted(before.keys() | after.keys()):
        was, now_is = before.get(name), after.get(name)
        lost = sorted(was.keys() - (now_is or {}).keys()) if isinstance(was, dict) else []
        if (name not in after and name != "ignoreUnfixed") or lost:  # without that one, more is blocked
            what = f"verdicts.{name}{''.join(f': {one}' for one in lost[:1])}"
            raise _refuse(f"{what} was a limit and is missing", "keep it; its value may be another one")
        if was != now_is:
            said = "" if was is None else f"{_plain(was)} -> "
            yield TrustChange("limits", "", f"verdicts.{name}: {said}{_plain(now_is)}")


def _plain(value: Any) -> str:
    return canonical(value).decode()


def expiring(trust: Trust, now: datetime, within: timedelta = SOON) -> Iterator[tuple[str, datetime | None]]:
    """Roles that will soon have no key that can sign, and from when; `None`: already now.

    For each role in the resource: the moment after which no key of it is valid, if it is within `within`.
    """
    for role in dict.fromkeys(key.role for key in trust.keys):
        keys = [key for key in trust.keys if key.role == role]
        end = _end(keys, now)
        if end is None or end <= now + within:
            yield role, end


def _end(keys: list[TrustedKey], now: datetime) -> datetime | None:
    """The time until which one of `keys` is always valid; `None` if none is valid now."""
    end: datetime | None = None
    moment = now
    while True:
        ends = [_until(key) for key in keys if key.not_before <= moment < _until(key)]
        if not ends:
            return end
        moment = end = max(ends)


def _until(key: TrustedKey) -> datetime:
    """The end of a key: its notAfter, or its revocation if that is earlier."""
    return key.not_after if key.revoked is None else min(key.not_after, key.revoked.at)


def _named(trust: Trust) -> dict[str, TrustedKey]:
    return {key.name: key for key in trust.keys}


def _kept(key: TrustedKey, now_is: TrustedKey | None, moment: datetime) -> Iterator[TrustChange]:
    """What changed for a key of the old resource."""
    where = f"key {key.name!r}"
    if now_is is None:
        raise _refuse(
            f"{where} was removed; everything it signed would become untrusted",
            "keep the key, and end it with an earlier notAfter or revoke it",
        )
    if now_is.role != key.role:
        raise _refuse(f"{where}: role: got {now_is.role}, expected {key.role}")
    if _material(now_is) != _material(key):
        raise _refuse(f"{where} is now a different key", "give the new key another name")
    if now_is.not_before != key.not_before:
        raise _refuse(f"{where}: notBefore: got {utc_text(now_is.not_before)}, expected {utc_text(key.not_before)}")
    if now_is.not_after > key.not_after:
        raise _refuse(
            f"{where} would be valid longer than was approved, until {utc_text(now_is.not_after)}",
            "add a new key instead: `airgap keys generate`",
        )
    if now_is.not_after != key.not_after:
        if now_is.not_after < moment:
            raise _refuse(
                f"{where}: notAfter {utc_text(now_is.not_after)} is in the past: what it signed since then would "
                "become untrusted",
                "set it to today or later; if the key was stolen, revoke it: `revoked: {at, accept}`",
            )
        yield TrustChange("ends", key.name, utc_text(now_is.not_after))
    yield from _revoked(key, now_is)


def _revoked(key: TrustedKey, now_is: TrustedKey) -> Iterator[TrustChange]:
    was, has = key.revoked, now_is.revoked
    if was is not None and (has is None or has.at > was.at):
        raise _refuse(
            f"key {key.name!r} was revoked at {utc_text(was.at)} and would be trusted again",
            "keep the revocation; list single digests in its `accept`",
        )
    if has is not None and (was is None or has.at != was.at):
        yield TrustChange("revoked", key.name, f"since {utc_text(has.at)}")
    # Two lists, because a digest that moves from one to the other begins or ceases to count.
    for before, after in ((key.accept, now_is.accept), (was.accept if was else (), has.accept if has else ())):
        for digest in sorted(set(before) ^ set(after)):
            yield TrustChange("accepts" if digest in after else "accepts no more", key.name, digest)


def _added(key: TrustedKey) -> TrustChange:
    life = key.not_after - key.not_before
    if life > LIFE + _LEAP:
        raise _refuse(
            f"key {key.name!r} is valid for {life.days} days, expected at most {LIFE.days}",
            "set its notAfter a year after its notBefore",
        )
    digest = load_public(key.public_key_pem, key.name).digest
    span = f"{utc_text(key.not_before)} to {utc_text(key.not_after)}"
    return TrustChange("added", key.name, f"{key.role}, {span}, {digest}")


def _gaps(trust: Trust, now: datetime) -> Iterator[str]:
    for role, end in expiring(trust, now):
        yield (
            f"no key with role {role} is valid {'now' if end is None else 'after ' + utc_text(end)}: "
            "its successor must overlap with it"
        )


def _late(changes: Sequence[TrustChange]) -> Iterator[str]:
    for key in dict.fromkeys(one.key for one in changes if one.what in ("ends", "revoked")):
        yield (
            f"import what key {key!r} signed before the key ends; later, only what its `accept` list names counts, and "
            "what was accepted before"
        )


def _approved(old: Trust, new: Trust, approval: bytes, now: datetime) -> VerifiedStatement:
    found = verify_bundle(approval, old, "the approval", now=now)
    body = found.statement.body
    if not isinstance(body, Approval):
        raise _refuse(f"got {article(found.statement.kind)} statement, expected an approval")
    digest = trust_digest(new)
    if found.statement.subject != digest:
        raise _refuse(
            f"the approval is about {found.statement.subject}, the new resource is {digest}",
            "it was changed after approval, or another one was approved: review it, and have it signed again",
        )
    body.check(Approves(Approvable.TRUST, new.sovereign), "the approval")
    return found


def _material(key: TrustedKey) -> Digest:
    return load_public(key.public_key_pem, key.name).digest


def _refuse(what: str, hint: str = "") -> TrustError:
    return TrustError("bad-rotation", f"the new Trust resource: {what}", hint or "restore the old value")
