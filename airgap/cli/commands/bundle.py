"""`airgap bundle`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count, human
from airgap.base.errors import InputError
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import (
    add_approval,
    add_jobs,
    add_key,
    add_limit_rate,
    add_signer_trust,
    add_store,
    number,
    resource_name,
    size,
)
from airgap.cli.parser import command
from airgap.cli.words import table

if TYPE_CHECKING:
    from airgap.bundling.baselines import Delta
    from airgap.bundling.bundle import Cut
    from airgap.delivery.fields import FileSum
    from airgap.jobs.bundle import BundleOptions, PlannedItem

MAX_SHOWN = 20
"""The largest items that a dry run lists; --json lists all."""
MAX_PARITY = 99
"""Parity files: more than anybody has discs to spare, and two digits in their names."""


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "bundle",
        run,
        summary="cut a signed delivery from a store, onto a disk or into a folder",
        examples="""
airgap bundle platform.lock.json --store /srv/store --to /media/usb/nov --for bankdhofar --key exporter.key
airgap bundle platform.lock.json --store /srv/store --to out --for bankdhofar --key exporter.key --volume-size 25GB
airgap bundle platform.lock.json --store /srv/store --for bankdhofar --volume-size 25GB --dry-run     how many discs?
airgap bundle platform.lock.json --store /srv/store --to out --for bankdhofar --key e.key --parity 2  any 2 may be lost
airgap bundle platform.lock.json --store /srv/store --to out --for bankdhofar --key e.key --trust trust.yaml
with the receiving side's trust.yaml (or STORE/airgap/trust/*.yaml), what an import would refuse is refused here
an approval that `airgap sign LOCK` wrote next to the lock is included; if it is elsewhere: --approval FILE
interrupted? run the same command again: finished volumes are kept""",
    )
    parser.add_argument(
        "locks",
        nargs="*",
        type=Path,
        metavar="LOCK",
        help="locks whose content was pulled; --want needs none",
    )
    add_store(parser)
    parser.add_argument(
        "--to",
        type=Path,
        metavar="DIR",
        help="a new or empty folder, or one with an unfinished delivery of the same content; a dry run needs none",
    )
    parser.add_argument(
        "--for",
        dest="sovereigns",
        type=resource_name,
        action="append",
        required=True,
        metavar="SOVEREIGN",
        help="name of the Sovereign that the delivery is for; may be given more than once: then they share the "
        "volumes, and each has a folder with its own AIRGAP.json",
    )
    parser.add_argument(
        "--stream",
        type=resource_name,
        default="main",
        metavar="NAME",
        help="delivery stream; each stream is numbered separately (default main)",
    )
    parser.add_argument(
        "--volume-size",
        type=size,
        default=4095 << 20,
        metavar="SIZE",
        help="maximum size of a volume (default 4095MiB, which fits FAT32)",
    )
    parser.add_argument(
        "--parity",
        type=_parity,
        default=0,
        metavar="N",
        help="N more files, from which any N lost or damaged volumes are computed again (default 0)",
    )
    parser.add_argument(
        "--expires-in",
        type=_days,
        default=timedelta(days=60),
        metavar="DAYS",
        help="days until the delivery expires (default 60)",
    )
    add_approval(parser, "approval of a lock, if it is not next to the lock; may be given more than once")
    parser.add_argument(
        "--trust-root",
        type=_named_root,
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="trust root to include, for `airgap trust pin` at the receiving side; may be given more than once",
    )
    parser.add_argument(
        "--role",
        choices=("exporter", "station"),
        default="exporter",
        help="role of the key (default exporter)",
    )
    parser.add_argument(
        "--unscanned",
        action="store_true",
        help="accept locks without a verdict, for a station that will scan them; never one whose verdict is fail",
    )
    parser.add_argument(
        "--waiver",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="Waiver resource that accepts findings of a lock without a verdict (`airgap lock --partial`), with its "
        "approval next to it; requires --trust; may be given more than once",
    )
    parser.add_argument(
        "--receipt",
        type=Path,
        metavar="FILE",
        help="newest receipt of the Sovereign: refuse a number that does not follow it; requires --trust",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="carry only this item of the locks; inside, nothing is concluded about the others; may be given more than "
        "once",
    )
    parser.add_argument(
        "--since",
        action="append",
        default=[],
        metavar="RECEIPT",
        help="receipt that came back: leave out what it says is inside (a delta); `last`: the newest of this stream in "
        "the store's records, or the newest delivery; requires --trust; may be given more than once",
    )
    parser.add_argument(
        "--since-delivery",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="earlier delivery that was cut from this store: leave out what it has, although no receipt says that it "
        "arrived; may be given more than once",
    )
    parser.add_argument(
        "--want",
        type=Path,
        metavar="FILE",
        help="want list of the Sovereign: bring exactly what an earlier delivery lacks inside, in the same stream; "
        "requires --trust",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything and show volumes and sizes; write nothing, sign nothing, need no key",
    )
    add_key(parser, what="the delivery")
    add_signer_trust(parser, each=True)
    add_jobs(parser)
    add_limit_rate(parser, "are written to the volumes")


def _parity(text: str) -> int:
    if not 0 <= number(text) <= MAX_PARITY:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of files from 0 to {MAX_PARITY}")
    return number(text)


def _days(text: str) -> timedelta:
    if not 1 <= number(text) <= 3650:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of days from 1 to 3650")
    return timedelta(days=number(text))


def _named_root(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals or not path:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected NAME=FILE, for example sigstore=trusted_root.json")
    return resource_name(name), Path(path)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap bundle`."""
    from airgap.jobs.baselines import Since
    from airgap.jobs.bundle import BundleOptions, bundle

    options = BundleOptions(
        locks=tuple(arguments.locks),
        store=context.store(arguments),
        to=arguments.to,
        sovereigns=tuple(arguments.sovereigns),
        key=context.key_path(arguments),
        role=arguments.role,
        stream=arguments.stream,
        volume_size=arguments.volume_size,
        parity=arguments.parity,
        life=arguments.expires_in,
        approvals=tuple(arguments.approval),
        trust=tuple(arguments.trust),
        receipt=arguments.receipt,
        trust_roots=tuple(arguments.trust_root),
        unscanned=arguments.unscanned,
        waivers=tuple(arguments.waiver),
        only=tuple(arguments.only),
        since=Since(tuple(arguments.since), tuple(arguments.since_delivery)),
        want=arguments.want,
        jobs=context.jobs(arguments),
    )
    if not options.locks and options.want is None:
        raise InputError("usage", "bundle: no lock was named", "name the locks to deliver, or a list with --want")
    if arguments.dry_run:
        return _plan(options, context, arguments)
    if options.to is None:
        raise InputError("usage", "bundle: --to is required", "pass --to DIR; or see the sizes with --dry-run")
    cut = bundle(options, context.surroundings(arguments))
    made = [_document(one) for one in cut]
    text = [line for one in cut for line in _lines(one, options)]
    if len(cut) > 1:
        text.append(f"  import each of them with its folder and this one: airgap import {cut[0].folder} {options.to} …")
    context.result(made[0] if len(made) == 1 else {"deliveries": made}, text)
    return exits.DONE


def _document(cut: Cut) -> dict[str, Any]:
    from airgap.base.times import utc_text

    journey = cut.index.journey
    return {
        "delivery": str(cut.folder),
        "digest": str(cut.digest),
        "id": journey.id,
        "stream": journey.stream,
        "sequence": journey.sequence,
        "sovereign": journey.sovereign,
        "expires": utc_text(journey.expires),
        "volumes": [volume.as_dict() for volume in cut.index.contents.volumes],
        "only": [root.item for root in cut.index.contents.roots] if cut.index.contents.only else [],
        "parity": [file.as_dict() for file in _parity_files(cut)],
        **_rests_on(cut.delta),
    }


def _lines(cut: Cut, options: BundleOptions) -> Iterator[str]:
    from airgap.base.times import utc_text

    journey, volumes, parity = cut.index.journey, cut.index.contents.volumes, _parity_files(cut)
    yield (
        f"{cut.folder}: delivery {journey.sequence} of stream {journey.stream!r} for {journey.sovereign!r}: "
        f"{_files(len(volumes), len(parity))}, {human(sum(file.size for file in (*volumes, *parity)))}; "
        f"expires {utc_text(journey.expires)}"
    )
    yield f"  {cut.digest}  signed by {options.role}"
    if cut.index.contents.only:
        items = count(len(cut.index.contents.roots), "item")
        yield f"  a selection of {items}: inside, nothing is concluded about the others"
    if options.is_delta:
        yield f"  {_delta_line(cut.delta)}"


def _parity_files(cut: Cut) -> tuple[FileSum, ...]:
    return () if cut.index.parity is None else cut.index.parity.files


def _rests_on(delta: Delta) -> dict[str, Any]:
    return {
        "basedOn": [one.as_dict() for one in delta.based_on],
        "omitted": {"blobs": len(delta.blobs), "bytes": delta.bytes},
    }


def _delta_line(delta: Delta) -> str:
    if not delta.blobs:
        return "a full delivery: no baseline proves that something of it is inside"
    baselines = count(len(delta.based_on), "earlier delivery", "earlier deliveries")
    return (
        f"a delta of {baselines}: {count(len(delta.blobs), 'blob')} with {human(delta.bytes)} are inside, and left out"
    )


def _files(volumes: int, parity: int) -> str:
    return count(volumes, "volume") + (f" and {count(parity, 'parity file')}" if parity else "")


def _plan(options: BundleOptions, context: Context, arguments: argparse.Namespace) -> int:
    """What would be cut: volumes, and what each item adds to them. Shared layers count for the first item."""
    from airgap.jobs.bundle import plan_bundle

    planned = plan_bundle(options, context.surroundings(arguments))
    document = {
        "dryRun": True,
        "bytes": planned.bytes,
        "volumes": [{"name": name, "size": size} for name, size in planned.volumes],
        "parity": [{"name": name, "size": size} for name, size in planned.parity],
        "evidence": planned.evidence,
        "only": [one.item.name for one in planned.items] if planned.only else [],
        "deliveries": [{"sovereign": name, **_rests_on(delta)} for name, delta in planned.deltas],
        "items": [
            {
                "name": one.item.name,
                "kind": one.item.kind,
                "bytes": one.size.bytes,
                "shared": one.size.shared,
                "inside": one.inside,
                "carried": one.carried,
            }
            for one in planned.items
        ],
    }
    volumes = [("VOLUME", "SIZE"), *((name, human(size)) for name, size in (*planned.volumes, *planned.parity))]
    largest = sorted(planned.items, key=lambda one: -one.carried if options.is_delta else -one.size.bytes)
    rows: list[tuple[str, ...]] = [_DELTA_COLUMNS if options.is_delta else ("KIND", "NAME", "SIZE", "SHARED")]
    rows += [_delta_row(one) if options.is_delta else _row(one) for one in largest[:MAX_SHOWN]]
    more = len(largest) - MAX_SHOWN
    text = [
        (
            f"dry run, nothing was written: {_files(len(planned.volumes), len(planned.parity))}, "
            f"{human(planned.bytes)}, "
            f"{count(len(planned.items), 'item')}"
        ),
        *(
            f"{name}: {_delta_line(delta)}" if len(planned.deltas) > 1 else _delta_line(delta)
            for name, delta in planned.deltas
            if options.is_delta
        ),
        *table(volumes),
        *table(rows),
        *([f"and {more} smaller items: --json lists them"] if more > 0 else ()),
    ]
    context.result(document, text)
    return exits.DONE


_DELTA_COLUMNS = ("KIND", "NAME", "SIZE", "INSIDE", "CARRIED", "WHY")


def _row(one: PlannedItem) -> tuple[str, ...]:
    shared = human(one.size.shared) if one.size.shared else ""
    return (one.item.kind, one.item.name, human(one.size.bytes), shared)


def _delta_row(one: PlannedItem) -> tuple[str, ...]:
    sizes = (human(one.size.bytes), human(one.inside) if one.inside else "", human(one.carried))
    return (one.item.kind, one.item.name, *sizes, one.why)
