"""`sign`: an approval of a delivery, lock, waiver, trust root, Trust resource or prune plan. Changes nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.disk import make_folder, write_below
from airgap.base.errors import InputError, IntegrityError
from airgap.base.places import check_folder, check_unlinked
from airgap.delivery.index import SIGNATURES
from airgap.jobs.approvables import Seen, UnpackedDelivery, check, see
from airgap.jobs.signing import check_role, signer_of
from airgap.jobs.surroundings import Surroundings
from airgap.resources.load import load_trust
from airgap.statements.approval import Approvable, Approval
from airgap.statements.log import StationLog
from airgap.station.files import Records
from airgap.station.signatory import Signatory


@dataclass(frozen=True, slots=True)
class SignOptions:
    """What is approved, by whom, and where the approval goes."""

    thing: Path
    """A lock, a waiver, a trusted_root.json, a Trust resource or a prune plan, or the folder of a delivery."""
    key: str | None
    """Signs the approval: a path, or a `pkcs11:` URI. A dry run needs none."""
    role: str = "security-officer"
    out: Path | None = None
    """The folder of the approval; `None`: next to the thing. That of a delivery goes into its `signatures`."""
    log: Path | None = None
    """The signer's log; `None`: in the state folder of the surroundings, with a copy of the approval."""
    trust: Path | None = None
    """The Trust resource of the receiving side: refuse a key that it does not accept, and a thing that it refuses."""
    digest: Digest | None = None
    """Sign only this: the digest that people saw when they looked at the thing."""
    dry_run: bool = False
    """Check and show, and sign nothing."""
    restore: bool = False
    """Approve that a delivery is restored, although it expired."""
    rewrites: tuple[str, ...] = ()
    """Approve that the rewritten history of these repositories is taken from a delivery."""


@dataclass(frozen=True, slots=True)
class SignResult:
    """The thing, and the file of its approval; `None` after a dry run."""

    seen: Seen
    path: Path | None


def _unshown(_seen: Seen) -> None:
    """Drops what is shown."""


def sign(options: SignOptions, surroundings: Surroundings, shown: Callable[[Seen], None] = _unshown) -> SignResult:
    """Approves one thing.

    1. Read and parse the thing, and compare its digest with the one that was given. 2. Check it, as far as the
    receiving side will. 3. Show the thing: `shown` is called before the key is opened. A dry run ends here. 4. Check
    that the approval can be written, and does not exist. 5. Open the key, and ask the Trust resource about it. 6. Write
    the log, sign, keep a copy where the log is our own. 7. Write the approval. It replaces nothing, and follows no link
    of the delivery.

    Raises `InputError` (`unknown-thing`, `signature-exists`, `wrong-key`, …), `IntegrityError` (`other-digest`, …),
    `TrustError`, `StoreError`.
    """
    # 1.
    seen = see(options.thing, surroundings.identities, restore=options.restore, rewrites=options.rewrites)
    if options.digest is not None and options.digest != seen.digest:
        raise IntegrityError(
            "other-digest",
            f"{options.thing}: got {seen.digest}, expected {options.digest}, as --digest says",
            "it is not what was looked at: look at it again with `airgap sign THING --dry-run`",
        )
    # 2.
    trust = None if options.trust is None else load_trust(options.trust)
    seen = check(seen, trust, surroundings.clock())
    # 3.
    shown(seen)
    thing = seen.thing
    if options.rewrites and isinstance(thing, UnpackedDelivery) and thing.media.seal is not None:
        surroundings.note("note: the approval names these repositories, and is not encrypted: others can read it")
    if options.dry_run:
        return SignResult(seen, None)
    # 4.
    folder, names = _place(options, seen)
    path = folder.joinpath(*names)
    elsewhere = "write the approval to another folder with --out DIR"
    exists = InputError(
        "signature-exists",
        f"{path} exists",
        f"if it approves this already, no action is needed; if this was edited since, move it away; else {elsewhere}",
    )
    check_folder(folder, "--out" if options.out else "the signature")
    check_unlinked(folder, names[:-1], elsewhere)
    if path.is_symlink() or path.exists():
        raise exists
    # 5.
    signer = signer_of(options.key, surroundings)
    own = Records(surroundings.state_folder)
    log = StationLog(options.log) if options.log else own.log()
    check_role(signer, options.role, log, surroundings, trust, "whether the receiving side would accept this")
    # 6.
    approval = Signatory(signer, options.role, log, surroundings.clock).sign(seen.digest, Approval(seen.approves))
    if not options.log:
        own.save_statement("approval", seen.digest, approval)  # its head reveals lines removed from that log
    # 7.
    make_folder(folder)
    write_below(folder, names, approval, exists=exists)
    return SignResult(seen, path)


def _place(options: SignOptions, seen: Seen) -> tuple[Path, tuple[str, ...]]:
    """The folder that a person named, and the names below it."""
    if seen.approves.kind is Approvable.DELIVERY:
        return options.out or options.thing, (SIGNATURES, f"{options.role}.sigstore.json")
    if seen.approves.kind is Approvable.RESTORE:  # next to the approval of before
        return options.out or options.thing, (SIGNATURES, f"{options.role}-restore.sigstore.json")
    if seen.approves.kind is Approvable.REWRITE:
        return options.out or options.thing, (SIGNATURES, f"{options.role}-rewrite.sigstore.json")
    return options.out or options.thing.parent, (f"{options.thing.name}.{options.role}.sigstore.json",)
