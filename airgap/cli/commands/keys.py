"""`airgap keys generate|show|check|rotate|identity`."""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_key, add_trust, existing, number
from airgap.cli.parser import Parser, command
from airgap.cli.words import table

if TYPE_CHECKING:
    from airgap.jobs.keys import OpenedKey, TrustedKeys


def add(subparsers: Any) -> None:
    """Adds the family."""
    keys = subparsers.add_parser(
        "keys",
        help="generate, show, check and rotate signing keys; make identities for encrypted deliveries",
        description="Generate, show, check and rotate signing keys; make identities for encrypted deliveries.",
        allow_abbrev=False,
    )
    family = keys.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)
    parser = command(
        family,
        "generate",
        generate,
        summary="generate a P-256 key pair: PREFIX.key (encrypted) and PREFIX.pub",
        examples="airgap keys generate exporter-2026 --key-password-file pw",
    )
    parser.add_argument("prefix", type=Path, metavar="PREFIX", help="path and name of both files")
    parser.add_argument(
        "--key-password-file",
        type=Path,
        metavar="FILE",
        help="file with the password (default: ask for it)",
    )
    parser = command(
        family,
        "show",
        show,
        summary="show a public key and its id, as signatures and cosign give it",
        examples="airgap keys show exporter-2026.pub\nairgap keys show cosign.pub",
    )
    parser.add_argument("public", type=existing, metavar="PUB", help="a public key file")
    _add_check(family)
    _add_rotate(family)
    _add_identity(family)


def _add_check(family: Any) -> None:
    parser = command(
        family,
        "check",
        check,
        summary="open a private key, or show which keys of a Trust resource expire soon",
        examples="""
airgap keys check --key exporter-2026.key --key-password-file pw
airgap keys check --key exporter-2026.key --trust trust.yaml      is it listed, and how long is it valid?
airgap keys check --trust trust.yaml --within 30                  exit 3 if a role has no key, now or in 30 days""",
    )
    add_key(parser)
    add_trust(parser, required=False)
    parser.add_argument(
        "--within",
        type=_days,
        default=30,
        metavar="DAYS",
        help=("warn this many days before a key expires (default 30)"),
    )


def _add_rotate(family: Any) -> None:
    parser = command(
        family,
        "rotate",
        rotate,
        summary="compare a Trust resource with the one that replaces it, and check who approved the change",
        examples="""
airgap keys rotate trust.yaml trust-2027.yaml                                         show what would change
airgap sign trust-2027.yaml --key officer.key --role security-officer
airgap keys rotate trust.yaml trust-2027.yaml --approval trust-2027.yaml.security-officer.sigstore.json""",
    )
    parser.add_argument("old", type=existing, metavar="OLD", help="the Trust resource in force")
    parser.add_argument("new", type=existing, metavar="NEW", help="the Trust resource that replaces it")
    parser.add_argument(
        "--approval",
        type=Path,
        metavar="FILE",
        help="approval of NEW, signed by a security-officer of OLD with `airgap sign NEW`",
    )


def _add_identity(family: Any) -> None:
    parser = command(
        family,
        "identity",
        identity,
        summary="make the secret key that opens encrypted deliveries, and print the recipient that belongs to it",
        examples="""
airgap keys identity bank.identity                    inside the Sovereign: makes the file, prints age1…
airgap keys identity --show bank.identity             only prints the recipient; takes a key of SSH, too
airgap bundle x.lock.json --for bank --to out --key e.key --encrypt-to age1…     outside: the recipient is no secret""",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the new file; with --show, one that exists")
    parser.add_argument("--show", action="store_true", help="print the recipient of an identity, and make nothing")
    parser.add_argument(
        "--identity-password-file",
        type=Path,
        metavar="FILE",
        help="with --show: file with the passphrase of the identity (default: $AIRGAP_IDENTITY_PASSWORD_FILE)",
    )


def _days(text: str) -> int:
    if not 1 <= number(text) <= 365:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of days from 1 to 365")
    return number(text)


def generate(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap keys generate`."""
    from airgap.jobs.keys import make_keys

    prefix: Path = arguments.prefix
    private, public = make_keys(prefix, lambda: context.password(arguments, Path(f"{prefix}.key"), confirm=True))
    text = [
        f"{private}   private key: keep it, and its password, where only you can read them",
        f"{public}   public key: give it to those who verify; for a role, add it to the Trust resource",
    ]
    context.result({"private": str(private), "public": str(public)}, text)
    return exits.DONE


def show(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap keys show`."""
    from airgap.jobs.keys import read_public

    key = read_public(arguments.public)
    document = {
        "file": str(arguments.public),
        "algorithm": "ECDSA P-256",
        "spki": str(key.digest),
        "hint": key.key_id,
    }
    context.result(document, [f"{name:<10} {value}" for name, value in document.items()])
    return exits.DONE


def check(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap keys check`."""
    from airgap.jobs.keys import CheckKeyOptions, OpenedKey, check_key

    # With a Trust resource, a key that only the environment names is not the one to check.
    key = context.key_path(arguments) if arguments.key or not arguments.trust else None
    options = CheckKeyOptions(key, arguments.trust, timedelta(days=arguments.within))
    found = check_key(options, context.surroundings(arguments))
    return _report_one(found, context) if isinstance(found, OpenedKey) else _report_all(found, context)


def _report_one(found: OpenedKey, context: Context) -> int:
    signer, listed = found.signer, found.listed
    document: dict[str, Any] = {"hint": signer.key_id, "publicKey": signer.public_key_pem.decode()}
    lines = [f"the key can be opened; hint {signer.key_id}"]
    if listed is not None:
        document |= {"name": listed.key.name, "role": listed.key.role, "days": listed.days}
        lines.append(f"{listed.key.name}: {listed.key.role}, {count(listed.days, 'day')} left")
    context.result(document, [*lines, *document["publicKey"].splitlines()])
    return exits.DONE


def _report_all(found: TrustedKeys, context: Context) -> int:
    """Reports all keys of a Trust resource; exit 3 where a role has no key that can sign, now or soon."""
    from airgap.base.times import utc_text

    rows = [
        {
            "name": one.key.name,
            "role": one.key.role,
            "state": one.state,
            "until": utc_text(one.key.not_after),
            "days": one.days,
            "hint": one.key_id,
        }
        for one in found.keys
    ]
    warnings = [
        f"role {role}: no key is valid {'now' if end is None else 'after ' + utc_text(end)}: "
        "generate a key (`airgap keys generate`), and add it to the Trust resource (`airgap keys rotate`)"
        for role, end in found.ending
    ]
    head = ("NAME", "ROLE", "STATE", "UNTIL", "DAYS", "HINT")
    text = table([head, *([str(value) for value in row.values()] for row in rows)])
    for warning in warnings:
        context.note(f"warning: {warning}")
    context.result({"keys": rows, "warnings": warnings}, text)
    return exits.NO if warnings else exits.DONE


def rotate(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap keys rotate`."""
    from airgap.jobs.keys import RotateOptions
    from airgap.jobs.keys import rotate as compare

    options = RotateOptions(arguments.old, arguments.new, arguments.approval)
    rotated = compare(options, context.surroundings(arguments))
    found = rotated.rotation
    for note in found.notes:
        context.note(f"note: {note}")
    by = None if found.approved is None else found.approved.key.name
    document = {
        "digest": str(rotated.digest),
        "approvedBy": by,
        "changes": [change.as_dict() for change in found.changes],
        "notes": list(found.notes),
    }
    lines = [f"{one.what:<15} {one.key or '-':<20} {one.detail}" for one in found.changes]
    if not found.changes:
        lines = [f"no change: {options.new} has the same content as {options.old}; no approval is needed"]
    elif by is None:
        lines += [
            f"not approved: {document['digest']}",
            f"  next: airgap sign {options.new} --key OFFICER.key --trust {options.old}",
        ]
    else:
        lines += [f"approved by {by}: {document['digest']}", f"  next: mv {options.new} {options.old}"]
    context.result(document, lines)
    return exits.NO if found.changes and by is None else exits.DONE


def identity(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap keys identity`."""
    from airgap.jobs.keys import make_identity, recipients_of

    path: Path = arguments.file
    if arguments.show:
        found = recipients_of(path, lambda one: context.passphrase(arguments, one))
        context.result({"identity": str(path), "recipients": found}, found)
        return exits.DONE
    recipient = make_identity(path, context.now())
    text = [
        f"{path}   identity, secret: keep it inside, where only you can read it, and a copy in the safe;",
        "    without it, nobody can open what is encrypted to it",
        f"{recipient}   recipient: pass it to `airgap bundle --encrypt-to`",
    ]
    context.result({"identity": str(path), "recipients": [recipient]}, text)
    return exits.DONE
