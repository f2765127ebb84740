"""`airgap keys generate|show|check`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.parser import Parser, add_key, command, existing
from airgap.cli.places import check_file
from airgap.errors import InputError, TrustError


def add(subparsers: Any) -> None:
    """Adds the family."""
    keys = subparsers.add_parser(
        "keys",
        help="make, show and check signing keys",
        description="Make, show and check signing keys.",
        allow_abbrev=False,
    )
    family = keys.add_subparsers(
        dest="action", metavar="ACTION", required=True, parser_class=Parser
    )
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
        examples="airgap keys show exporter-2026.pub",
    )
    parser.add_argument("public", type=existing, metavar="PUB", help="a public key")
    parser = command(
        family,
        "check",
        check,
        summary="open a private key and show the public key that belongs to it",
        examples="airgap keys check --key exporter-2026.key --key-password-file pw",
    )
    add_key(parser)


def generate(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap keys generate`."""
    from airgap.trust.keys import generate as make

    check_file(Path(f"{arguments.prefix}.key"), "PREFIX")
    password = context.password(arguments, Path(f"{arguments.prefix}.key"), confirm=True)
    private, public = make(arguments.prefix, password)
    text = f"{private}   keep it, and its password, where only you read\n{public}   goes into the Trust resource"
    context.result({"private": str(private), "public": str(public)}, text)
    return exits.DONE


def show(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap keys show`."""
    from airgap.inputs import read_input
    from airgap.trust.keys import MAX_KEY, load_public

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

    signer = signer_for(arguments, context, required=False)
    if signer is None:
        raise InputError("no-key", "no key was named", "use --key KEY, or set AIRGAP_KEY")
    text = f"the key opens; hint {signer.key_id}\n{signer.public_key_pem.decode()}"
    context.result({"hint": signer.key_id, "publicKey": signer.public_key_pem.decode()}, text)
    return exits.DONE
