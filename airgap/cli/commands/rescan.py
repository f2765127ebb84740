"""`airgap rescan`: what was delivered, against today's databases."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_approval, add_identity, add_store, existing
from airgap.cli.parser import command

if TYPE_CHECKING:
    from airgap.jobs.rescan import Rescanned, RescanOutcome
    from airgap.statements.gate import Decision

MOST = 20
"""Findings of one item that are listed; `--json` has all of them."""


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "rescan",
        run,
        summary="scan what was delivered against today's databases: what is new since the verdict, and who has it",
        examples="""
airgap rescan --store /srv/store --policy policy.yaml --station station.yaml    the newest lock of each series
airgap rescan platform.lock.json --store /srv/store --policy policy.yaml --station station.yaml --receipt bank.receipt
airgap rescan /srv/deliveries/nov --store /srv/store --policy policy.yaml --station station.yaml --json
content that is in the store is scanned again; of other images, the SBOM of the earlier scan is compared
airgap rescan --policy policy.yaml --station station.yaml --receipt bank.receipt --trust trust.yaml --waiver zlib.yaml
exit 3: something would not pass today. It signs nothing""",
    )
    parser.add_argument(
        "things",
        nargs="*",
        type=existing,
        metavar="THING",
        help="locks, and folders of deliveries (default: the newest lock of each series that passed in the store, and "
        "the locks of the receipts)",
    )
    add_store(parser)
    parser.add_argument(
        "--policy", type=Path, required=True, metavar="FILE", help="Policy resource: what blocks today, by its findings"
    )
    parser.add_argument(
        "--station",
        type=Path,
        required=True,
        metavar="FILE",
        help="Station resource: the scanners, with their databases",
    )
    parser.add_argument(
        "--receipt",
        type=existing,
        action="append",
        default=[],
        metavar="FILE",
        help="receipt that came back from a Sovereign: it has what its receipt lists; may be given more than once",
    )
    parser.add_argument(
        "--trust",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="Trust resource that verifies receipts and verdicts: with it, a verdict that nobody trusted signed counts "
        "for nothing; may be given more than once",
    )
    parser.add_argument(
        "--waiver",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="Waiver resource that counts today, with its approval next to it; requires --trust; may be given more "
        "than once",
    )
    add_identity(parser)
    add_approval(parser, "approval of a waiver, if it is not next to the waiver; may be given more than once")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap rescan`."""
    from airgap.jobs.rescan import RescanOptions, rescan

    options = RescanOptions(
        tuple(arguments.things),
        context.store(arguments),
        arguments.policy,
        arguments.station,
        tuple(arguments.receipt),
        tuple(arguments.trust),
        tuple(arguments.waiver),
        tuple(arguments.approval),
    )
    result = rescan(options, context.surroundings(arguments))
    context.result(_document(result), _text(result))
    return exits.NO if result.bad else exits.DONE


def _document(result: RescanOutcome) -> dict[str, Any]:
    return {
        "policy": str(result.policy.digest),
        "scanners": list(result.scanners),
        "items": [one.as_dict() for one in result.items],
        "blocked": [one.item for one in result.bad],
    }


def _text(result: RescanOutcome) -> list[str]:
    by = {way: sum(one.by == way for one in result.items) for way in ("content", "sbom", "nothing")}
    ways = f"{by['content']} by their content, {by['sbom']} by their SBOM, {by['nothing']} not scanned again"
    lines = [f"{count(len(result.items), 'item')}: {ways}"]
    for scanner in result.scanners:
        dates = ", ".join(f"{one['name']} of {one['updated'][:10]}" for one in scanner.get("databases", ()))
        lines.append(f"scanner {scanner['name']} {scanner['version']}" + (f" with {dates}" if dates else ""))
    for one in result.items:
        lines += _item(one)
    fresh = sum(len(one.new) for one in result.items)
    lines.append(f"new since the verdicts: {count(fresh, 'finding')}")
    what = f"what was scanned again, {by['content'] + by['sbom']} of them," if by["nothing"] else "all of it"
    lines.append(
        f"would not pass today: {count(len(result.bad), 'item')}" if result.bad else f"{what} would pass today"
    )
    if any(one.not_run for one in result.items):
        lines.append("next: correct why something was not scanned (airgap help CODE), and run the same command again")
    if any(one.blocks for one in result.items):
        lines.append(
            "next: lock, scan and deliver a fixed version, or have a waiver approved: airgap help runbooks/scan"
        )
    return lines


def _item(one: Rescanned) -> Iterator[str]:
    """What is new, what blocks and who has it; nothing about an item of which there is nothing to say."""
    if not (one.new or one.bad):
        return
    yield f"{one.item} ({one.kind}, lock {one.lock!r}, by {one.by})"
    yield from (f"  not scanned: {words}" for words in one.not_run)
    yield from _findings("blocks", one.blocks, one)
    yield from (f"  no longer let pass: {words}" for words in one.ended)
    new = [finding for finding in one.new if finding not in one.blocks]
    yield from _findings("new", new, one)
    for holder in one.holders:
        who = f"{holder.sovereign!r}" if holder.verified else f"{holder.sovereign} (unverified receipt)"
        where = ", ".join(holder.names[one.item][:3])
        yield f"  inside {who}, delivery {holder.sequence} of stream {holder.stream!r}: {where}"


def _findings(label: str, found: Sequence[Decision], of: Rescanned) -> Iterator[str]:
    for one in found[:MOST]:
        finding = one.finding
        since = ", new since the verdict" if label == "blocks" and one in of.new else ""
        where = f"{finding.package} {finding.installed}".strip() or finding.path or finding.title[:100]
        fix = f", fixed in {finding.fixed}" if finding.fixed else ""
        yield f"  {label}: {finding.id} is {one.severity}: {where}{fix}{since}"
    if len(found) > MOST:
        yield f"  {label}: and {len(found) - MOST} more: --json lists them"
