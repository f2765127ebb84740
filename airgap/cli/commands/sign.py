"""`airgap sign`: one more signature, on a delivery, a lock, a waiver, a trust root or a Trust resource."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.errors import InputError, IntegrityError
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.parser import add_key, command, existing
from airgap.cli.places import check_folder

if TYPE_CHECKING:
    from airgap.base.digest import Digest


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "sign",
        run,
        summary="add an approval to a delivery, a lock, a waiver, a trust root or a Trust resource; touch nothing else",
        examples="""
airgap sign /media/usb/nov --key officer.key --role security-officer
airgap sign /media/disc --key officer.key --role security-officer --out approvals     the disc is read-only
airgap sign platform.lock.json --key officer.key --role security-officer --out approvals
airgap sign waiver.yaml --key officer.key             for `airgap scan --waiver`: what may pass although a check says no
airgap sign trusted_root.json --key officer.key       for `airgap trust pin`: whose signatures of others count
airgap sign trust-2027.yaml --key officer.key         for `airgap keys rotate`: whose statements of ours count""",
    )
    parser.add_argument(
        "thing",
        type=existing,
        metavar="FILE|DELIVERY",
        help="a lock, a waiver, a trusted_root.json or a Trust resource, or the folder of a delivery",
    )
    parser.add_argument("--role", choices=("security-officer",), default="security-officer", help="role of the key")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write the signature there; a delivery's into DIR/signatures, for `airgap import DELIVERY DIR`",
    )
    parser.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="the signer's log (default: in the user's state folder)",
    )
    parser.add_argument(
        "--trust",
        type=Path,
        metavar="FILE",
        help="Trust resource of the far side: a key that it would not believe is refused before it signs",
    )
    add_key(parser, what="the approval")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap sign`."""
    from airgap.base.disk import disk_errors, write_durably
    from airgap.cli.connect import signer_for
    from airgap.delivery.index import SIGNATURES
    from airgap.delivery.read import open_media
    from airgap.resources.load import load_trust
    from airgap.statements.log import StationLog
    from airgap.statements.predicates import Approval
    from airgap.statements.trust import check_signer
    from airgap.station.files import Records
    from airgap.station.signatory import Signatory

    thing: Path = arguments.thing
    is_delivery = thing.is_dir()
    if is_delivery:
        subject, folder = open_media([thing]).digest, (arguments.out or thing) / SIGNATURES
    else:
        subject, folder = _digest(thing), arguments.out or thing.parent
    name = f"{arguments.role}.sigstore.json" if is_delivery else f"{thing.name}.{arguments.role}.sigstore.json"
    path = folder / name
    check_folder(folder, "--out" if arguments.out else "the signature")
    if path.exists():
        raise InputError("signature-exists", f"{path} exists", "use --out DIR for another place")
    signer = signer_for(arguments, context, required=True)
    assert signer is not None  # noqa: S101  (required)
    if arguments.trust:
        check_signer(load_trust(arguments.trust), signer.key_id, arguments.role, context.now())
    own = Records(context.state_folder())
    log = StationLog(arguments.log) if arguments.log else own.log()
    bundle = Signatory(signer, arguments.role, log, context.now).sign(subject, Approval())
    if not arguments.log:
        own.save_statement("approval", subject, bundle)  # its head shows when that log is cut
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_durably(path, bundle)
    context.result(
        {"signature": str(path), "subject": str(subject), "role": arguments.role},
        f"{path}: approves {subject}" + (_next(arguments, path) if arguments.out else ""),
    )
    return exits.DONE


def _digest(thing: Path) -> Digest:
    """What an approval of a file names, after it was made sure that it is something to approve."""
    from airgap.cli.connect import is_trust, is_waiver, read_lock
    from airgap.jobs.trust_roots import load_root, looks_like_root

    if looks_like_root(thing):
        return load_root(thing.stem, thing).digest
    if is_trust(thing):
        from airgap.resources.load import load_trust
        from airgap.statements.rotation import trust_digest

        return trust_digest(load_trust(thing))
    if is_waiver(thing):
        from airgap.resources.load import load_waiver

        return load_waiver(thing).digest
    _check_lock(thing)
    return read_lock(thing).digest


def _check_lock(thing: Path) -> None:
    """Another kind of file is none that was damaged: `InputError` (`unknown-thing`)."""
    from airgap.base.inputs import read_input
    from airgap.base.strict_json import parse_json
    from airgap.content.lock import MAX_LOCK

    try:
        document = parse_json(read_input(thing, MAX_LOCK, "no-lock"), str(thing))
    except IntegrityError:
        document = None
    kind = document.get("kind") if isinstance(document, dict) else None
    if kind != "Lock":
        raise InputError(
            "unknown-thing",
            f"{thing}: not a lock, a waiver, a trusted_root.json or a Trust resource",
            f"name the delivery's folder, {thing.parent}"
            if kind == "Delivery"
            else "name one of them, or the folder of a delivery",
        )


def _next(arguments: argparse.Namespace, path: Path) -> str:
    """How an approval that does not lie beside its thing is used."""
    from airgap.cli.connect import is_trust, is_waiver
    from airgap.jobs.trust_roots import looks_like_root

    if arguments.thing.is_dir():
        return f"\n  next: airgap import {arguments.thing} {arguments.out} …"
    if looks_like_root(arguments.thing):
        return f"\n  next: airgap trust pin {arguments.thing} --approval {path} …"
    if is_trust(arguments.thing):
        return f"\n  next: airgap keys rotate OLD {arguments.thing} --approval {path}"
    if is_waiver(arguments.thing):
        return f"\n  next: airgap scan … --waiver {arguments.thing} --approval {path}"
    return f"\n  next: airgap bundle {arguments.thing} --approval {path} …"
