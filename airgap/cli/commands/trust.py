"""`airgap trust show|pin|update`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_approval, add_identity, add_trust, existing, resource_name
from airgap.cli.parser import Parser, command

if TYPE_CHECKING:
    from airgap.jobs.trust_roots import AddOptions, Pinned


def add(subparsers: Any) -> None:
    """Adds the family."""
    trust = subparsers.add_parser(
        "trust",
        help="show, pin and update trust roots, which verify the signatures of publishers",
        description="Show, pin and update trust roots, which verify the signatures of publishers.",
        allow_abbrev=False,
    )
    family = trust.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)
    _add_show(family)
    _add_pin(family)
    _add_update(family)


def _add_show(family: Any) -> None:
    parser = command(
        family,
        "show",
        show,
        summary="describe whose signatures a trust root, a Policy or a Trust resource accepts",
        examples="""
airgap trust show trusted_root.json        its authorities, logs and timestamp authorities, and the sha256 to pin
airgap trust show policy.yaml              the same for each trust root that the policy names, and its keys
airgap trust show trust.yaml               whose statements are accepted, and when
airgap trust show /srv/roots               the versions of each trust root""",
    )
    parser.add_argument(
        "thing",
        type=existing,
        metavar="FILE|POLICY|TRUST|ROOTS",
        help="a trusted_root.json, a resource file, or a folder of roots",
    )


def _add_pin(family: Any) -> None:
    parser = command(
        family,
        "pin",
        pin,
        summary="add a version of a trust root from a file or a delivery, and show how a policy names it",
        examples="""
airgap trust pin trusted_root.json --name sigstore --roots roots
airgap trust pin trusted_root.json --name sigstore --roots roots --dry-run      show only what would change
airgap trust pin trusted_root.json --name sigstore --roots roots --trust trust.yaml --approval FILE
airgap trust pin /media/usb/nov --name sigstore --roots roots --trust trust.yaml      from a delivery""",
    )
    parser.add_argument(
        "things",
        nargs="+",
        type=existing,
        metavar="FILE|DELIVERY",
        help="a trusted_root.json, or the folders of a delivery",
    )
    _add_name(parser)
    _add_change(parser)
    add_identity(parser)
    add_trust(parser, required=False)
    add_approval(
        parser,
        ("a security-officer's approval of the file or delivery, if it is not next to it; may be given more than once"),
    )


def _add_update(family: Any) -> None:
    parser = command(
        family,
        "update",
        update,
        summary="fetch the newest trust root from a TUF repository (in the connected zone)",
        examples="""
airgap trust update --name sigstore --roots roots                     Sigstore's public instance
airgap trust update --name bank --roots roots --tuf-url https://tuf.bank.example --tuf-root root.json""",
    )
    _add_name(parser)
    _add_change(parser)
    parser.add_argument(
        "--tuf-url",
        metavar="URL",
        default="",
        help="the TUF repository, or a mirror of it (default: that of Sigstore's public instance)",
    )
    parser.add_argument(
        "--tuf-root",
        type=Path,
        metavar="FILE",
        help="the root.json at which its chain of trust begins (default: the one in the sigstore package)",
    )
    parser.add_argument(
        "--upstreams", type=Path, metavar="FILE", help=("Upstreams resource: certificate authorities of the host")
    )


def _add_name(parser: Parser) -> None:
    parser.add_argument(
        "--name",
        type=resource_name,
        required=True,
        metavar="NAME",
        help="the name that policies use for this trust root",
    )
    parser.add_argument(
        "--roots", type=Path, required=True, metavar="DIR", help="folder that holds the versions of trust roots"
    )


def _add_change(parser: Parser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="show what would change; write nothing")
    parser.add_argument(
        "--retire",
        action="store_true",
        help="allow validity periods to be shortened, because the instance retired or revoked something",
    )


def show(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap trust show`."""
    from airgap.report.trust import look

    found = look(arguments.thing)
    for note in found.notes:
        context.note(f"note: {note}")
    context.result(found.document, list(found.lines))
    return exits.DONE


def pin(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap trust pin`."""
    from airgap.jobs.trust_roots import PinOptions
    from airgap.jobs.trust_roots import pin as pin_root

    options = PinOptions(
        tuple(arguments.things), _added(arguments), arguments.trust, approvals=tuple(arguments.approval)
    )
    return _report(pin_root(options, context.surroundings(arguments)), options.add, context)


def update(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap trust update`."""
    from airgap.jobs.trust_roots import UpdateOptions
    from airgap.jobs.trust_roots import update as update_root

    options = UpdateOptions(_added(arguments), arguments.tuf_url, arguments.tuf_root, arguments.upstreams)
    return _report(update_root(options, context.surroundings(arguments)), options.add, context)


def _added(arguments: argparse.Namespace) -> AddOptions:
    from airgap.jobs.trust_roots import AddOptions

    return AddOptions(arguments.name, arguments.roots, dry_run=arguments.dry_run, retire=arguments.retire)


def _report(pinned: Pinned, options: AddOptions, context: Context) -> int:
    """Reports what was added, and the lines that a policy needs to use it."""
    from airgap.report.trust import age

    offer, weighed = pinned.offer, pinned.weighed
    version = weighed.version
    said = "is already the newest" if weighed.present else "added"
    if options.dry_run and not weighed.present:
        said = "would be added; nothing was written"
    lines = [f"trust root {options.name!r}: version {version.number} {said}, from {offer.origin}"]
    lines += [f"  {line}" for line in weighed.changes.lines()]
    lines.append(f"  {age(offer.root)}")
    if weighed.present or not options.dry_run:
        lines += [
            "to use it, add this to the policy (the path is relative to the policy's folder):",
            "  trustRoots:",
            f"  - {{name: {options.name}, file: {version.path}, sha256: {version.digest.hex}}}",
        ]
    document = {
        "name": options.name,
        **version.as_dict(),
        "sha256": version.digest.hex,
        "changes": weighed.changes.as_dict(),
        "present": weighed.present,
        "dryRun": options.dry_run,
    }
    context.result(document, lines)
    return exits.DONE
