"""`airgap verify`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count
from airgap.base.times import utc_text
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_at, add_delivery, add_identity, add_jobs, add_trust
from airgap.cli.parser import command
from airgap.cli.words import table
from airgap.report.delta import rests_on

if TYPE_CHECKING:
    from airgap.jobs.verify import Verified


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "verify",
        run,
        summary="check a delivery's signatures, then every byte of every file",
        examples="""
airgap verify /media/usb/nov --trust trust.yaml
airgap verify /media/disc1 /media/disc2 --trust trust.yaml
airgap verify /media/usb/nov --trust trust.yaml --index-only       only signatures, locks and statements; takes seconds
airgap verify /media/usb/nov --trust trust.yaml --identity bank.identity     an encrypted delivery, and what is in it
airgap verify /archive/nov --trust trust.yaml --at 2026-11-23T10:00:00Z      an expired delivery, as of that time""",
    )
    add_delivery(parser)
    add_trust(parser, required=True)
    parser.add_argument("--index-only", action="store_true", help="do not read the volumes")
    add_identity(parser)
    add_at(parser)
    add_jobs(parser)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap verify`."""
    from airgap.acceptance.outside import Outside
    from airgap.jobs.verify import VerifyOptions, verify
    from airgap.report.judged import judged

    options = VerifyOptions(
        delivery=tuple(arguments.delivery),
        trust=arguments.trust,
        index_only=arguments.index_only,
        at=arguments.at,
        jobs=context.jobs(arguments),
    )
    found = verify(options, context.surroundings(arguments))
    opened = found.opened
    journey = opened.index.journey
    document: dict[str, Any] = {
        "delivery": journey.id,
        "digest": str(opened.media.digest),
        "sequence": journey.sequence,
        "signedBy": [{"key": v.key.name, "role": v.role, "kind": v.statement.kind} for v in found.statements],
        "unread": list(found.unread),
        "files": [{"name": one.name, "state": one.state, "detail": one.detail} for one in found.files],
        "encrypted": found.encrypted,
        "opened": not isinstance(opened, Outside),
    }
    lines = ["locks and statements are encrypted, and were not checked: pass --identity FILE"]
    lacking: Sequence[object] = ()
    if not isinstance(opened, Outside):
        said = judged(opened.media, opened.index, [one.statement for one in found.statements])
        lacking, document["judged"], lines = said.unwaived(journey.created), said.as_dict(), said.lines()
        document["basedOn"] = rests_on(opened.index)
    document["outcome"] = "fail" if found.bad or lacking else "repairable" if found.repairable else "pass"
    lines = _text(found, lines, index_only=options.index_only)
    if lacking:
        lines.append(
            f"not waived: {count(len(lacking), 'finding')}; a Sovereign refuses this delivery, and only the station "
            "that will scan it lets it in (airgap import --store)"
        )
    context.result(document, lines)
    return exits.TRUST if found.bad or found.repairable else exits.NO if lacking else exits.DONE


def _text(found: Verified, judged: list[str], *, index_only: bool) -> list[str]:
    from airgap.acceptance.outside import Outside
    from airgap.report.delta import rests_on_lines

    opened = found.opened
    journey = opened.index.journey
    named = f"{opened.media.digest}{', encrypted' if found.encrypted else ''}"
    lines = [
        f"delivery {journey.sequence} of stream {journey.stream!r} for {journey.sovereign!r}, {named}",
    ]
    lines += [
        f"  {v.statement.kind} signed by {v.key.name!r} ({v.role}) at {utc_text(v.statement.signed_at)}"
        for v in found.statements
    ]
    inside = not isinstance(opened, Outside)
    rests = [] if isinstance(opened, Outside) else rests_on_lines(opened.index)
    lines += [f"  {line}" for line in [*rests, *judged]]
    if index_only:
        valid = "signatures, locks and statements are" if inside else "signatures are"
        return [*lines, f"  {valid} valid; the volumes were not read"]
    rows = [("FILE", "STATE", "")] + [(one.name, one.state, one.detail) for one in found.files]
    return [*lines, *table(rows), _end(found, inside=inside)]


def _end(found: Verified, *, inside: bool) -> str:
    many = len(found.bad) or len(found.repairable)
    good = "every byte is as signed" + ("" if inside else "; what is encrypted was not looked at: pass --identity FILE")
    end = f"missing or damaged: {count(many, 'file')}" if many else good
    if many and not found.bad:
        end = f"repairable: {count(many, 'file')}; an import does it on the way, and `airgap repair` writes new files"
    if found.unread:
        end += f"; of {count(len(found.unread), 'item')} the content is not here to be compared with the lock"
    return end
