"""`airgap trust show|pin|update`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.errors import InputError
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.parser import Parser, add_approval, add_trust, command, existing, resource_name
from airgap.cli.places import check_folder

if TYPE_CHECKING:
    from airgap.signatures.roots.versions import Offer


def add(subparsers: Any) -> None:
    """Adds the family."""
    trust = subparsers.add_parser(
        "trust",
        help="show, pin and update the trust roots of others' signatures",
        description="Show, pin and update the trust roots of others' signatures.",
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
        summary="say in words what a trust root, a Policy or a Trust resource believes",
        examples="""
airgap trust show trusted_root.json        authorities, logs and time stampers, and the sha256 to pin
airgap trust show policy.yaml              those of each trust root that the policy names, and its keys
airgap trust show trust.yaml               whose statements of ours count, and when
airgap trust show /srv/roots               which versions there are of each name""",
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
        summary="add a version of a trust root, out of a file or a delivery, and say how a policy names it",
        examples="""
airgap trust pin trusted_root.json --name sigstore --roots roots
airgap trust pin trusted_root.json --name sigstore --roots roots --dry-run      only what would change
airgap trust pin trusted_root.json --name sigstore --roots roots --trust trust.yaml --approval FILE
airgap trust pin /media/usb/nov --name sigstore --roots roots --trust trust.yaml      out of a delivery""",
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
    add_trust(parser, required=False)
    add_approval(parser, "a security-officer's approval of the file or the delivery that is not beside it")


def _add_update(family: Any) -> None:
    parser = command(
        family,
        "update",
        update,
        summary="fetch the newest trust root from a TUF repository, in the connected zone",
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
        help="the repository, or a mirror of it (default: that of Sigstore's public instance)",
    )
    parser.add_argument(
        "--tuf-root",
        type=Path,
        metavar="FILE",
        help="the root.json with which its chain of trust begins (default: what the sigstore package has)",
    )
    parser.add_argument("--upstreams", type=Path, metavar="FILE", help="Upstreams resource: authorities of its host")


def _add_name(parser: Parser) -> None:
    parser.add_argument(
        "--name",
        type=resource_name,
        required=True,
        metavar="NAME",
        help="what policies call this trust root",
    )
    parser.add_argument("--roots", type=Path, required=True, metavar="DIR", help="where the versions are kept")


def _add_change(parser: Parser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would change, add nothing")
    parser.add_argument(
        "--retire",
        action="store_true",
        help="windows may end earlier than before: the instance retired or revoked something",
    )


def show(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap trust show`."""
    from airgap.report.trust import look

    found = look(arguments.thing)
    for note in found.notes:
        context.note(f"note: {note}")
    context.result(found.document, found.text)
    return exits.DONE


def pin(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap trust pin`."""
    from airgap.bundling.evidence import beside
    from airgap.jobs.trust_roots import Judge, offer_delivery, offer_file
    from airgap.resources.load import load_trust

    things: list[Path] = arguments.things
    check_folder(arguments.roots, "--roots")
    is_delivery = things[0].is_dir()
    if is_delivery and arguments.trust is None:
        raise InputError(
            "usage",
            f"{things[0]}: a delivery is believed by a Trust resource, and none was named",
            "name it with --trust FILE",
        )
    if not is_delivery and len(things) > 1:
        raise InputError("usage", f"{things[1]}: one file is pinned at a time", "pin them one after the other")
    if arguments.approval and arguments.trust is None:
        what = "--approval without a Trust resource, which says whose approval counts"
        raise InputError("usage", what, "name it with --trust FILE")
    judge = None
    if arguments.trust is not None:
        approvals = [*arguments.approval, *([] if is_delivery else beside(things[0]))]
        judge = Judge(load_trust(arguments.trust), tuple(approvals), context.now())
    if is_delivery and judge is not None:
        offer = offer_delivery(arguments.name, things, judge)
    else:
        offer = offer_file(arguments.name, things[0], judge)
        if judge is None:
            context.note("note: nobody had to approve it; with --trust a security-officer has to")
    return _add_version(arguments, context, offer)


def update(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap trust update`."""
    from airgap.cli.connect import USER_AGENT, upstreams_of
    from airgap.jobs.trust_roots import offer_repository
    from airgap.net.http import Client
    from airgap.signatures.roots.tuf import PRODUCTION, TufRepository, read_tuf_root

    check_folder(arguments.roots, "--roots")
    upstreams = upstreams_of(arguments)
    root = None if arguments.tuf_root is None else read_tuf_root(arguments.tuf_root)
    client = Client(
        upstreams.hosts,
        zone="connected",
        proxies=context.proxies(),
        user_agent=USER_AGENT,
        on_retry=context.progress().note,
    )
    repository = TufRepository(arguments.tuf_url or PRODUCTION, root)
    return _add_version(arguments, context, offer_repository(arguments.name, arguments.roots, repository, client))


def _add_version(arguments: argparse.Namespace, context: Context, offer: Offer) -> int:
    """Adds what was offered, and says what a policy must say to use it."""
    from dataclasses import replace

    from airgap.report.trust import age
    from airgap.signatures.roots.versions import RootStore

    store = RootStore(arguments.roots, arguments.name)
    offer = replace(offer, retire=arguments.retire)
    weighed = store.weigh(offer, context.now()) if arguments.dry_run else store.add(offer, context.now())
    version = weighed.version
    said = "is the newest already" if weighed.present else "added"
    if arguments.dry_run and not weighed.present:
        said = "would be added; nothing was written"
    lines = [f"trust root {arguments.name!r}: version {version.number} {said}, from {offer.origin}"]
    lines += [f"  {line}" for line in weighed.changes.lines()]
    lines.append(f"  {age(offer.root)}")
    if weighed.present or not arguments.dry_run:
        lines += [
            "a policy names it so (the path counts from the policy's folder):",
            "  trustRoots:",
            f"  - {{name: {arguments.name}, file: {version.path}, sha256: {version.digest.hex}}}",
        ]
    document = {
        "name": arguments.name,
        **version.as_dict(),
        "sha256": version.digest.hex,
        "changes": weighed.changes.as_dict(),
        "present": weighed.present,
        "dryRun": arguments.dry_run,
    }
    context.result(document, "\n".join(lines))
    return exits.DONE
