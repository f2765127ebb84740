"""`sign`: an approval of a delivery, a lock, a waiver, a trust root or a Trust resource. Changes nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.disk import disk_errors, write_durably
from airgap.base.errors import InputError
from airgap.base.inputs import read_input
from airgap.base.known_files import not_expected, recognized
from airgap.base.places import check_folder
from airgap.content.lock import MAX_LOCK
from airgap.delivery.index import SIGNATURES
from airgap.delivery.read import open_media
from airgap.jobs.named_files import is_trust, is_waiver, read_lock
from airgap.jobs.signing import signer_of
from airgap.jobs.surroundings import Surroundings
from airgap.jobs.trust_roots import load_root, looks_like_root
from airgap.resources.load import load_trust, load_waiver
from airgap.statements.log import StationLog
from airgap.statements.predicates import Approval
from airgap.statements.rotation import trust_digest
from airgap.statements.trust import check_signer
from airgap.station.files import Records
from airgap.station.signatory import Signatory


class Approvable(StrEnum):
    """What can be approved."""

    DELIVERY = "delivery"
    LOCK = "lock"
    ROOT = "trust root"
    TRUST = "Trust resource"
    WAIVER = "waiver"


@dataclass(frozen=True, slots=True)
class SignOptions:
    """What is approved, by whom, and where the approval goes."""

    thing: Path
    """A lock, a waiver, a trusted_root.json or a Trust resource, or the folder of a delivery."""
    key: str | None
    """Signs the approval: a path, or a `pkcs11:` URI."""
    role: str = "security-officer"
    out: Path | None = None
    """The folder of the approval; `None`: next to the thing. That of a delivery goes into its `signatures`."""
    log: Path | None = None
    """The signer's log; `None`: in the state folder of the surroundings, with a copy of the approval."""
    trust: Path | None = None
    """The Trust resource of the receiving side: a key that it does not accept is refused."""


@dataclass(frozen=True, slots=True)
class WrittenApproval:
    """An approval that was written."""

    path: Path
    subject: Digest
    what: Approvable


def sign(options: SignOptions, surroundings: Surroundings) -> WrittenApproval:
    """Approves one thing.

    1. Read the thing: what it is, and its digest. 2. Check that the approval can be written, and does not exist.
    3. Open the key, and ask the Trust resource about it. 4. Write the log, sign, keep a copy where the log is our own.
    5. Write the approval.

    Raises `InputError` (`unknown-thing`, `signature-exists`, `wrong-key`, …), `IntegrityError`, `StoreError`.
    """
    # 1.
    what, subject = approvable(options.thing)
    # 2.
    if what is Approvable.DELIVERY:
        folder, name = (options.out or options.thing) / SIGNATURES, f"{options.role}.sigstore.json"
    else:
        folder = options.out or options.thing.parent
        name = f"{options.thing.name}.{options.role}.sigstore.json"
    path = folder / name
    check_folder(folder, "--out" if options.out else "the signature")
    if path.exists():
        raise InputError("signature-exists", f"{path} exists", "write the approval to another folder with --out DIR")
    # 3.
    signer = signer_of(options.key, surroundings)
    if options.trust is not None:
        check_signer(load_trust(options.trust), signer.key_id, options.role, surroundings.clock())
    # 4.
    own = Records(surroundings.state_folder)
    log = StationLog(options.log) if options.log else own.log()
    approval = Signatory(signer, options.role, log, surroundings.clock).sign(subject, Approval())
    if not options.log:
        own.save_statement("approval", subject, approval)  # its head reveals lines removed from that log
    # 5.
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_durably(path, approval)
    return WrittenApproval(path, subject, what)


def approvable(thing: Path) -> tuple[Approvable, Digest]:
    """What a thing is, and what an approval of it names. Raises `InputError` (`unknown-thing`), `IntegrityError`."""
    if thing.is_dir():
        return Approvable.DELIVERY, open_media([thing]).digest
    if looks_like_root(thing):
        return Approvable.ROOT, load_root(thing.stem, thing).digest
    if is_trust(thing):
        return Approvable.TRUST, trust_digest(load_trust(thing))
    if is_waiver(thing):
        return Approvable.WAIVER, load_waiver(thing).digest
    _check_lock(thing)
    return Approvable.LOCK, read_lock(thing).digest


def _check_lock(thing: Path) -> None:
    """Tells a wrong kind of file from a damaged lock. Raises `InputError` (`unknown-thing`) for a wrong kind."""
    data = read_input(thing, MAX_LOCK, "no-lock")
    found = recognized(data)
    if found != "a lock":
        raise InputError(
            "unknown-thing",
            not_expected(str(thing), data, "a lock, a waiver, a trusted_root.json or a Trust resource"),
            f"name the delivery's folder, {thing.parent}"
            if found == "the index of a delivery"
            else "name one of them, or the folder of a delivery",
        )
