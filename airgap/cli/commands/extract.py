"""`airgap extract`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count, human
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_at, add_baseline, add_identity, add_lock, add_trust_or_not, add_volumes, existing
from airgap.cli.parser import command
from airgap.cli.words import table

if TYPE_CHECKING:
    from airgap.jobs.extract import Extracted, ExtractOptions

FORMS = ("oci", "oci-archive", "docker-archive", "files", "bare", "worktree")
PHASES = ("seed",)


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "extract",
        run,
        summary="give items of a delivery, after checking its signatures, or of a store as files, repositories and "
        "images; hash every byte",
        examples="""
airgap extract /media/usb/nov docker.io/library/alpine:3.20 --trust trust.yaml --to alpine.tar
                                                   for `ctr images import`, k3s; a folder becomes an OCI layout
airgap extract /media/usb/nov A B C --trust trust.yaml --as docker-archive --to images.tar    for `docker load`
airgap extract /media/usb/nov ghcr.io/openova-io/bp-cilium:1.1.1 --trust trust.yaml --to charts    the .tgz
airgap extract /media/usb/nov openova --trust trust.yaml --to openova.git      bare; without .git, a work tree
airgap extract /media/usb/nov BAAI/bge-m3 --trust trust.yaml --to bge-m3       the model's folder
airgap extract /media/usb/nov ghcr.io/aquasecurity/trivy-db:2 --trust trust.yaml --to trivy-cache
                                                   its files, for `trivy --cache-dir trivy-cache --skip-db-update`
airgap extract /media/usb/nov --phase seed --trust trust.yaml --to seed        images/ and static/charts/ for k3s
airgap extract /archive/nov k3s --trust trust.yaml --at 2026-11-23T10:00:00Z --to k3s
airgap extract /srv/store docker.io/library/alpine:3.20 --to alpine.tar""",
    )
    parser.add_argument("thing", type=existing, metavar="THING", help="a delivery or a store")
    parser.add_argument("names", nargs="*", metavar="NAME", help="the items' names, as `airgap ls THING` lists them")
    parser.add_argument(
        "--to",
        type=Path,
        required=True,
        metavar="PATH",
        help="a new file, or a new or empty folder; charts and files may also go into a folder with other files",
    )
    parser.add_argument(
        "--as",
        dest="form",
        choices=FORMS,
        metavar="FORM",
        help="what to write: oci (a layout folder) or oci-archive (a tar for containerd, k3s, skopeo and podman) for "
        "everything; docker-archive for an image; files for a chart, a model, a file or a scanner's database; bare or "
        "worktree for a Git repository. Default: an image is oci-archive if PATH ends in .tar, else oci; a repository "
        "is bare if PATH ends in .git, else worktree; everything else is files",
    )
    parser.add_argument(
        "--phase",
        choices=PHASES,
        help="all items of this phase, and those that are named, in the layout of k3s: images/, static/charts/, files/",
    )
    parser.add_argument(
        "--platform", metavar="OS/ARCH", help="of images, only what is for this platform, such as linux/amd64"
    )
    add_volumes(parser, "volumes")
    add_trust_or_not(parser)
    add_at(parser)
    add_baseline(parser)
    add_identity(parser)
    add_lock(parser)
    parser.add_argument("--dry-run", action="store_true", help="check everything, and write nothing")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap extract`."""
    from airgap.jobs.extract import ExtractOptions, extract
    from airgap.jobs.offer import OfferOptions

    options = ExtractOptions(
        OfferOptions(
            arguments.thing,
            tuple(arguments.volumes),
            arguments.trust,
            arguments.unverified,
            arguments.at,
            arguments.lock,
            tuple(arguments.baseline),
        ),
        names=tuple(arguments.names),
        to=arguments.to,
        form=arguments.form or "",
        platform=arguments.platform or "",
        phase=arguments.phase or "",
        dry_run=arguments.dry_run,
    )
    done = extract(options, context.surroundings(arguments))
    if options.offer.unverified:
        context.note("WARNING: no signature was checked (--unverified): whoever held the delivery decided what this is")
    document: dict[str, Any] = {
        "to": str(options.to),
        "as": done.form,
        "bytes": done.bytes,
        "verified": options.offer.trust is not None,
        "dryRun": options.dry_run,
        "items": [
            {"name": one.name, "kind": one.kind, "digest": str(one.digest), "bytes": one.bytes} for one in done.items
        ],
        "files": [one.as_dict() for one in done.files],
    }
    if len(done.items) == 1:
        document["digest"] = str(done.items[0].digest)
    context.result(document, _text(done, options))
    return exits.DONE


def _text(done: Extracted, options: ExtractOptions) -> list[str]:
    if options.offer.trust is not None:
        checked = "the delivery's signatures were checked, and every byte is as signed"
    elif options.offer.unverified:
        checked = "NOT VERIFIED: nobody may have signed it; every byte matches its digest"
    else:
        checked = "every byte matches its digest; a store has no signatures"
    what = str(done.items[0].digest) if len(done.items) == 1 else count(len(done.items), "item")
    if options.dry_run:
        end = "dry run: nothing was written"
    else:
        end = checked + (f"; {count(done.present, 'file')} already there" if done.present else "")
    lines = [f"{options.to}: {what}, as {done.form}, {human(done.bytes)}; {end}"]
    if done.files and (len(done.files) > 1 or done.files[0].path):
        rows = [("FILE", "SIZE", "SHA256")]
        lines += table([*rows, *((one.path, human(one.size), one.sha256) for one in done.files)])
    return lines
