"""`airgap keys generate|show|check|rotate`."""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.errors import InputError, TrustError
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.parser import Parser, add_key, add_trust, command, existing, number
from airgap.cli.places import check_file
from airgap.cli.words import count, table

if TYPE_CHECKING:
    from airgap.resources.model import Trust, TrustedKey
    from airgap.statements.keys.file import Signer


def add(subparsers: Any) -> None:
    """Adds the family."""
    keys = subparsers.add_parser(
        "keys",
        help="make, show, check and rotate signing keys",
        description="Make, show, check and rotate signing keys.",
        allow_abbrev=False,
    )
    family = keys.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)
    parser = command(
        family,
        "generate",
        generate,
        summary="make a P-256 key pair: PREFIX.key (encrypted) and PREFIX.pub",
        examples="airgap keys generate exporter-2026 --key-password-file pw",
    )
    parser.add_argument("prefix", type=Path, metavar="PREFIX", help="path and name of both files")
    parser.add_argument(
        "--key-password-file",
        type=Path,
        metavar="FILE",
        help="file with the password (else it is asked for)",
    )
    parser = command(
        family,
        "show",
        show,
        summary="show a public key: its id, as signatures and cosign name it",
        examples="airgap keys show exporter-2026.pub\nairgap keys show cosign.pub",
    )
    parser.add_argument("public", type=existing, metavar="PUB", help="a public key")
    _add_check(family)
    _add_rotate(family)


def _add_check(family: Any) -> None:
    parser = command(
        family,
        "check",
        check,
        summary="open a private key, or say which keys of a Trust resource end soon",
        examples="""
airgap keys check --key exporter-2026.key --key-password-file pw
airgap keys check --key exporter-2026.key --trust trust.yaml      is it listed, and for how long?
airgap keys check --trust trust.yaml --within 30                  exit 3: a role has no key, now or in 30 days""",
    )
    add_key(parser)
    add_trust(parser, required=False)
    parser.add_argument("--within", type=_days, default=30, metavar="DAYS", help="how soon is soon (default 30)")


def _add_rotate(family: Any) -> None:
    parser = command(
        family,
        "rotate",
        rotate,
        summary="compare a Trust resource with the one that shall follow it, and check who approved that",
        examples="""
airgap keys rotate trust.yaml trust-2027.yaml                                         what would change
airgap sign trust-2027.yaml --key officer.key --role security-officer
airgap keys rotate trust.yaml trust-2027.yaml --approval trust-2027.yaml.security-officer.sigstore.json""",
    )
    parser.add_argument("old", type=existing, metavar="OLD", help="the Trust resource that counts now")
    parser.add_argument("new", type=existing, metavar="NEW", help="the one that shall count")
    parser.add_argument(
        "--approval",
        type=Path,
        metavar="FILE",
        help="what a security-officer of OLD signed: `airgap sign NEW`",
    )


def _days(text: str) -> int:
    if not 1 <= number(text) <= 365:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of days from 1 to 365")
    return number(text)


def generate(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap keys generate`."""
    from airgap.statements.keys.file import generate as make

    if arguments.prefix.name in ("", ".."):
        raise InputError(
            "bad-path",
            f"PREFIX {arguments.prefix}: not the beginning of a file's name",
            "name for example exporter-2027",
        )
    check_file(Path(f"{arguments.prefix}.key"), "PREFIX")
    password = context.password(arguments, Path(f"{arguments.prefix}.key"), confirm=True)
    private, public = make(arguments.prefix, password)
    text = (
        f"{private}   keep it, and its password, where only you read\n"
        f"{public}   goes to who verifies: of a role, into the Trust resource"
    )
    context.result({"private": str(private), "public": str(public)}, text)
    return exits.DONE


def show(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap keys show`."""
    from airgap.base.inputs import read_input
    from airgap.statements.keys.file import MAX_KEY, load_public

    data = read_input(arguments.public, MAX_KEY, "bad-public-key")
    try:
        key = load_public(data, str(arguments.public))
    except TrustError as error:
        # Nothing was signed with it: another kind of file was named.
        raise InputError(error.code, error.what, error.hint) from error
    document = {
        "file": str(arguments.public),
        "algorithm": "ECDSA P-256",
        "spki": str(key.digest),
        "hint": key.key_id,
    }
    context.result(document, "\n".join(f"{name:<10} {value}" for name, value in document.items()))
    return exits.DONE


def check(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap keys check`."""
    from airgap.cli.connect import signer_for
    from airgap.resources.load import load_trust

    trust = load_trust(arguments.trust) if arguments.trust else None
    signer = None
    if trust is None or arguments.key:
        signer = signer_for(arguments, context, required=False)
    if signer is not None:
        return _check_one(signer, trust, context)
    if trust is None:
        raise InputError(
            "no-key",
            "neither a key nor a Trust resource was named",
            "use --key KEY or --trust FILE",
        )
    return _check_all(trust, arguments.within, context)


def _check_one(signer: Signer, trust: Trust | None, context: Context) -> int:
    document: dict[str, Any] = {"hint": signer.key_id, "publicKey": signer.public_key_pem.decode()}
    lines = [f"the key opens; hint {signer.key_id}"]
    if trust is not None:
        found = _listed(trust, signer.key_id, context.now())
        document |= {"name": found.name, "role": found.role, "days": _left(found, context.now())}
        lines.append(f"{found.name}: {found.role}, {count(document['days'], 'day')} left")
    context.result(document, "\n".join([*lines, document["publicKey"]]))
    return exits.DONE


def _listed(trust: Trust, key_id: str, now: datetime) -> TrustedKey:
    """The entry of a key. Raises `InputError` (`wrong-key`) for one that is not listed, or not good today."""
    from airgap.statements.trust import check_signer, key_ring

    found = next((key for key, public in key_ring(trust).keys if public.key_id == key_id), None)
    if found is None:
        raise InputError(
            "wrong-key",
            f"the Trust resource does not list the key {key_id}",
            "hand over its public half, and have it added there",
        )
    check_signer(trust, key_id, found.role, now)
    return found


def _check_all(trust: Trust, within: int, context: Context) -> int:
    """All keys of a Trust resource; exit 3 where a role has nobody who can sign, now or soon."""
    from airgap.base.times import utc_text
    from airgap.statements.rotation import expiring
    from airgap.statements.trust import key_ring

    now = context.now()
    ring = key_ring(trust)
    rows = [
        {
            "name": key.name,
            "role": key.role,
            "state": _state(key, now),
            "until": utc_text(key.not_after),
            "days": _left(key, now),
            "hint": public.key_id,
        }
        for key, public in ring.keys
    ]
    soon = list(expiring(trust, now, timedelta(days=within)))
    warnings = [
        f"role {role}: no key is valid {'now' if end is None else 'after ' + utc_text(end)}: "
        "make one, and list it beside the old (`airgap keys generate`, `airgap keys rotate`)"
        for role, end in soon
    ]
    head = ("NAME", "ROLE", "STATE", "UNTIL", "DAYS", "HINT")
    text = table([head, *([str(value) for value in row.values()] for row in rows)])
    for warning in warnings:
        context.note(f"warning: {warning}")
    context.result({"keys": rows, "warnings": warnings}, text)
    return exits.NO if warnings else exits.DONE


def _state(key: TrustedKey, now: datetime) -> str:
    if key.revoked is not None and key.revoked.at <= now:
        return "revoked"
    if now < key.not_before:
        return "not yet"
    return "expired" if now > key.not_after else "valid"


def _left(key: TrustedKey, now: datetime) -> int:
    """Whole days that are left, 0 for a key whose time is over."""
    end = key.not_after if key.revoked is None else min(key.not_after, key.revoked.at)
    return max(0, (end - now).days)


def rotate(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap keys rotate`. Nothing is written: people put the new file in the old one's place."""
    from airgap.base.inputs import read_input
    from airgap.resources.load import load_trust
    from airgap.statements.dsse import MAX_BUNDLE
    from airgap.statements.rotation import check_rotation, trust_digest

    old, new = load_trust(arguments.old), load_trust(arguments.new)
    approval = read_input(arguments.approval, MAX_BUNDLE, "bad-approval") if arguments.approval else None
    found = check_rotation(old, new, approval, now=context.now())
    for note in found.notes:
        context.note(f"note: {note}")
    by = None if found.approved is None else found.approved.key.name
    document = {
        "digest": str(trust_digest(new)),
        "approvedBy": by,
        "changes": [change.as_dict() for change in found.changes],
        "notes": list(found.notes),
    }
    lines = [f"{one.what:<15} {one.key or '-':<20} {one.detail}" for one in found.changes]
    if not found.changes:
        lines = [f"nothing changes: {arguments.new} says the same as {arguments.old}; no approval is needed"]
    elif by is None:
        lines.append(f"not approved: {document['digest']}\n  next: airgap sign {arguments.new} --key OFFICER.key")
    else:
        lines.append(f"approved by {by}: {document['digest']}\n  next: mv {arguments.new} {arguments.old}")
    context.result(document, "\n".join(lines))
    return exits.NO if found.changes and by is None else exits.DONE
