"""`airgap sign`: an approval of a delivery, a lock, a waiver, a trust root or a Trust resource."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.errors import InputError
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_identity, add_key, existing
from airgap.cli.parser import command

if TYPE_CHECKING:
    from airgap.base.digest import Digest
    from airgap.jobs.approvables import Seen
    from airgap.jobs.sign import SignOptions


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "sign",
        run,
        summary=("add an approval to a delivery, lock, waiver, trust root, Trust resource or prune plan"),
        examples="""
airgap sign /media/usb/nov --trust trust.yaml --dry-run           check it, show it, print its digest
airgap sign /media/usb/nov --trust trust.yaml --key officer.key   with --digest DIGEST: only what was looked at
airgap sign /media/disc --key officer.key --role security-officer --out approvals     the disc is read-only
airgap sign /safe/oct --restore --trust trust.yaml --key officer.key      after a loss: let it in, though expired
airgap sign platform.lock.json --key officer.key --role security-officer --out approvals
airgap sign waiver.yaml --key officer.key             let items pass despite a failed check (`airgap scan --waiver`)
airgap sign trusted_root.json --key officer.key       accept publishers' signatures (`airgap trust pin`)
airgap sign prune.json --key officer.key              let `airgap prune --plan prune.json` delete what it lists
airgap sign trust-2027.yaml --key officer.key         accept new signing keys (`airgap keys rotate`)""",
    )
    parser.add_argument(
        "thing",
        type=existing,
        metavar="FILE|DELIVERY",
        help="a lock, a waiver, a trusted_root.json, a Trust resource, a prune plan, or the folder of a delivery",
    )
    parser.add_argument("--role", choices=("security-officer",), default="security-officer", help="role of the key")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write the approval to DIR; for a delivery, to DIR/signatures, for `airgap import DELIVERY DIR`",
    )
    parser.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="the log of the signer (default: in the user's state folder)",
    )
    parser.add_argument(
        "--trust",
        type=Path,
        metavar="FILE",
        help="Trust resource of the receiving side; check the thing as that side will, except for the volumes, and "
        "refuse to sign with a key that it does not accept",
    )
    parser.add_argument(
        "--digest",
        type=_digest,
        metavar="DIGEST",
        help="sign only if the thing has this digest, as --dry-run showed it",
    )
    parser.add_argument(
        "--restore",
        action="store_true",
        help="approve that a delivery which expired is restored after a loss (`airgap import --restore`)",
    )
    parser.add_argument(
        "--allow-rewrite",
        action="append",
        default=[],
        metavar="NAME",
        help="approve that a delivery replaces the history of this Git repository, which was rewritten upstream "
        "(`airgap import --allow-rewrite`); may be given more than once",
    )
    parser.add_argument("--dry-run", action="store_true", help="check and show the thing, and sign nothing")
    add_identity(parser)
    add_key(parser, what="the approval")


def _digest(text: str) -> Digest:
    from airgap.base.digest import Digest
    from airgap.base.errors import IntegrityError

    try:
        return Digest(text)
    except IntegrityError as error:
        raise argparse.ArgumentTypeError(f"got {text[:100]!r}, expected sha256: and 64 hex digits") from error


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap sign`."""
    from airgap.jobs.sign import SignOptions, sign
    from airgap.report.approvable import described

    options = SignOptions(
        thing=arguments.thing,
        key=context.key_path(arguments),
        role=arguments.role,
        out=arguments.out,
        log=arguments.log,
        trust=arguments.trust,
        digest=arguments.digest,
        dry_run=arguments.dry_run,
        restore=arguments.restore,
        rewrites=tuple(arguments.allow_rewrite),
    )
    if options.restore and options.rewrites:
        raise InputError(
            "usage", "--allow-rewrite cannot be combined with --restore", "sign twice: they are two approvals"
        )

    looked: dict[str, Any] = {}

    def show(seen: Seen) -> None:
        document, lines = described(seen)
        looked.update(document)
        for line in lines:
            context.note(line)

    done = sign(options, context.surroundings(arguments), show)
    subject = str(done.seen.digest)
    path = None if done.path is None else str(done.path)
    document = {"signature": path, "subject": subject, "role": options.role, "seen": looked}
    if done.path is None:
        text = [
            "dry run: nothing was signed",
            f"  next: to sign exactly this, replace --dry-run by --key KEY --digest {subject}",
        ]
    else:
        text = [f"{path}: approves {subject}", *(_next(options, done.seen, done.path) if options.out else ())]
    context.result(document, text)
    return exits.DONE


def _next(options: SignOptions, seen: Seen, path: Path) -> list[str]:
    """The command that uses an approval which is not next to the thing that it approves."""
    from airgap.statements.approval import Approvable

    thing = options.thing
    commands = {
        Approvable.DELIVERY: f"airgap import {thing} {options.out} …",
        Approvable.RESTORE: f"airgap import {thing} {options.out} --restore …",
        Approvable.REWRITE: f"airgap import {thing} {options.out} --allow-rewrite NAME …",
        Approvable.TRUST_ROOT: f"airgap trust pin {thing} --approval {path} …",
        Approvable.TRUST: f"airgap keys rotate OLD {thing} --approval {path}",
        Approvable.WAIVER: f"airgap scan … --waiver {thing} --approval {path}",
        Approvable.PRUNE: f"airgap prune --plan {thing} --approval {path} …",
        Approvable.LOCK: f"airgap bundle {thing} --approval {path} …",
    }
    return [f"  next: {commands[seen.approves.kind]}"]
