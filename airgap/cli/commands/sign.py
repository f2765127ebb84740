"""`airgap sign`: an approval of a delivery, a lock, a waiver, a trust root or a Trust resource."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.parser import add_key, command, existing

if TYPE_CHECKING:
    from airgap.jobs.sign import SignOptions, WrittenApproval


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "sign",
        run,
        summary=("add an approval to a delivery, lock, waiver, trust root or Trust resource; change nothing else"),
        examples="""
airgap sign /media/usb/nov --key officer.key --role security-officer
airgap sign /media/disc --key officer.key --role security-officer --out approvals     the disc is read-only
airgap sign platform.lock.json --key officer.key --role security-officer --out approvals
airgap sign waiver.yaml --key officer.key             let items pass despite a failed check (`airgap scan --waiver`)
airgap sign trusted_root.json --key officer.key       accept publishers' signatures (`airgap trust pin`)
airgap sign trust-2027.yaml --key officer.key         accept new signing keys (`airgap keys rotate`)""",
    )
    parser.add_argument(
        "thing",
        type=existing,
        metavar="FILE|DELIVERY",
        help="a lock, a waiver, a trusted_root.json, a Trust resource, or the folder of a delivery",
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
        help="Trust resource of the receiving side; refuse to sign with a key that it does not accept",
    )
    add_key(parser, what="the approval")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap sign`."""
    from airgap.jobs.sign import SignOptions, sign

    options = SignOptions(
        thing=arguments.thing,
        key=context.key_path(arguments),
        role=arguments.role,
        out=arguments.out,
        log=arguments.log,
        trust=arguments.trust,
    )
    signed = sign(options, context.surroundings(arguments))
    context.result(
        {"signature": str(signed.path), "subject": str(signed.subject), "role": options.role},
        f"{signed.path}: approves {signed.subject}" + (_next(options, signed) if options.out else ""),
    )
    return exits.DONE


def _next(options: SignOptions, signed: WrittenApproval) -> str:
    """The command that uses an approval which is not next to the thing that it approves."""
    from airgap.jobs.sign import Approvable

    thing, path = options.thing, signed.path
    commands = {
        Approvable.DELIVERY: f"airgap import {thing} {options.out} …",
        Approvable.ROOT: f"airgap trust pin {thing} --approval {path} …",
        Approvable.TRUST: f"airgap keys rotate OLD {thing} --approval {path}",
        Approvable.WAIVER: f"airgap scan … --waiver {thing} --approval {path}",
        Approvable.LOCK: f"airgap bundle {thing} --approval {path} …",
    }
    return f"\n  next: {commands[signed.what]}"
