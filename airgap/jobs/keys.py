"""`keys`: generates, shows, checks and rotates the keys that sign statements, and makes identities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.disk import disk_errors, sync_folder
from airgap.base.errors import InputError, TrustError
from airgap.base.inputs import read_input
from airgap.base.places import check_file
from airgap.base.times import utc_text
from airgap.delivery.sealing.identities import Password, load_identities, new_identity
from airgap.jobs.signing import signer_of
from airgap.jobs.surroundings import Surroundings
from airgap.resources.load import load_trust
from airgap.resources.trust import Trust, TrustedKey
from airgap.statements.dsse import MAX_BUNDLE
from airgap.statements.keys.file import MAX_KEY, PublicKey, Signer, generate, load_public, write_new
from airgap.statements.rotation import Rotation, check_rotation, expiring, trust_digest
from airgap.statements.trust import check_signer, key_ring


def make_keys(prefix: Path, password: Callable[[], bytes]) -> tuple[Path, Path]:
    """Makes a P-256 key pair, `PREFIX.key` and `PREFIX.pub`; returns both paths, the private key first.

    Asks for the password only when both files can be written. Raises `InputError`, `StoreError`.
    """
    if prefix.name in ("", ".."):
        raise InputError(
            "bad-path", f"PREFIX {prefix} is not the beginning of a file name", "use for example exporter-2027"
        )
    check_file(Path(f"{prefix}.key"), "PREFIX")
    return generate(prefix, password())


def make_identity(path: Path, now: datetime) -> str:
    """Makes a new identity for encrypted deliveries, a file of age that only its owner can read; gives its recipient.

    It is not encrypted itself: `age -p` does that. Raises `InputError` (`key-exists`), `StoreError`.
    """
    check_file(path, "FILE")
    secret, recipient = new_identity()
    text = f"# created: {utc_text(now)}\n# public key: {recipient}\n{secret}\n"
    write_new(path, text.encode(), 0o600)
    with disk_errors(path.parent):
        sync_folder(path.parent)
    return recipient


def recipients_of(path: Path, password: Password) -> list[str]:
    """The recipients of the identities in a file. Raises what `load_identities` raises."""
    return [one.recipient for one in load_identities([path], password)]


def read_public(path: Path) -> PublicKey:
    """Reads a public key from a file. Raises `InputError`."""
    data = read_input(path, MAX_KEY, "bad-public-key")
    try:
        return load_public(data, str(path))
    except TrustError as error:
        # No signature is wrong: the wrong kind of file was given.
        raise InputError(error.code, error.what, error.hint) from error


@dataclass(frozen=True, slots=True)
class CheckKeyOptions:
    """Which key is opened, or the keys of which Trust resource are checked."""

    key: str | None = None
    """A path, or a `pkcs11:` URI. `None`: all keys of the Trust resource."""
    trust: Path | None = None
    within: timedelta = timedelta(days=30)
    """Warn this long before a role's last key expires."""


@dataclass(frozen=True, slots=True)
class KeyLife:
    """A key of a Trust resource, and its state."""

    key: TrustedKey
    key_id: str
    state: str
    """`valid`, `not yet`, `expired` or `revoked`."""
    days: int
    """Full days until the key expires, 0 for an expired key."""


@dataclass(frozen=True, slots=True)
class OpenedKey:
    """A private key that could be opened, and its entry in the Trust resource, if one was given."""

    signer: Signer
    listed: KeyLife | None


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """All keys of a Trust resource, and the roles that soon have none."""

    keys: tuple[KeyLife, ...]
    ending: tuple[tuple[str, datetime | None], ...]
    """Each role with the time when its last key ends; `None` for a role that has no valid key now."""


def check_key(options: CheckKeyOptions, surroundings: Surroundings) -> OpenedKey | TrustedKeys:
    """Opens a private key; without one, reports the state of all keys of a Trust resource.

    Raises `InputError` (`no-key`, `wrong-key`), `TrustError`, and what opening a key raises.
    """
    trust = load_trust(options.trust) if options.trust is not None else None
    if options.key is not None:
        signer = signer_of(options.key, surroundings)
        listed = None if trust is None else _listed(trust, signer.key_id, surroundings.clock())
        return OpenedKey(signer, listed)
    if trust is None:
        raise InputError("no-key", "neither a key nor a Trust resource was given", "use --key KEY or --trust FILE")
    now = surroundings.clock()
    keys = tuple(_life(key, public.key_id, now) for key, public in key_ring(trust).keys)
    return TrustedKeys(keys, tuple(expiring(trust, now, options.within)))


def _listed(trust: Trust, key_id: str, now: datetime) -> KeyLife:
    """The entry of a key. Raises `InputError` (`wrong-key`) for a key that is not listed, or not valid today."""
    found = next((key for key, public in key_ring(trust).keys if public.key_id == key_id), None)
    if found is None:
        raise InputError(
            "wrong-key",
            f"the Trust resource does not list the key {key_id}",
            "send its public key to the owner of the Trust resource, to be added there",
        )
    check_signer(trust, key_id, found.role, now)
    return _life(found, key_id, now)


def _life(key: TrustedKey, key_id: str, now: datetime) -> KeyLife:
    end = key.not_after if key.revoked is None else min(key.not_after, key.revoked.at)
    return KeyLife(key, key_id, _state(key, now), max(0, (end - now).days))


def _state(key: TrustedKey, now: datetime) -> str:
    if key.revoked is not None and key.revoked.at <= now:
        return "revoked"
    if now < key.not_before:
        return "not yet"
    return "expired" if now > key.not_after else "valid"


@dataclass(frozen=True, slots=True)
class RotateOptions:
    """The Trust resource in force, the one that replaces it, and the approval of the change."""

    old: Path
    new: Path
    approval: Path | None = None
    """The approval of the new one, signed by a security-officer of the old one."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """What changes from one Trust resource to the next, and the digest that an approval names."""

    rotation: Rotation
    digest: Digest


def rotate(options: RotateOptions, surroundings: Surroundings) -> Rotated:
    """Compares two Trust resources and checks the approval. Writes nothing: people replace the file.

    Raises `InputError`, `TrustError` (`bad-rotation`, and what `verify_bundle` raises).
    """
    old, new = load_trust(options.old), load_trust(options.new)
    approval = None
    if options.approval is not None:
        approval = read_input(options.approval, MAX_BUNDLE, "bad-approval")
    return Rotated(check_rotation(old, new, approval, now=surroundings.clock()), trust_digest(new))
