"""`airgap prune`."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_jobs, add_key, add_sovereign, add_trust, existing
from airgap.cli.parser import command
from airgap.cli.words import table
from airgap.content.removal import RemovalOutcome

if TYPE_CHECKING:
    from airgap.jobs.prune import PruneOptions, PruneResult
    from airgap.statements.prune_plan import PruneLine


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "prune",
        run,
        summary="delete what left the locks, by a plan that a security-officer approved; nothing else ever deletes",
        examples="""
airgap prune --sovereign sovereign.yaml --trust trust.yaml --dry-run --plan prune.json       propose; delete nothing
airgap sign prune.json --trust trust.yaml --key officer.key                                  approve exactly this plan
airgap prune --sovereign sovereign.yaml --trust trust.yaml --plan prune.json --key sovereign.key
… --dry-run --plan prune.json --only 'harbor.example.org/dockerhub/library/nginx**'      only what matches
… --dry-run --plan prune.json --extra 'harbor.example.org/dockerhub/stray/**'            also what nobody brought""",
    )
    add_sovereign(parser)
    add_trust(parser, required=True)
    parser.add_argument(
        "--plan", type=Path, metavar="FILE", help="with --dry-run: write the plan to FILE; else: the approved plan"
    )
    parser.add_argument("--dry-run", action="store_true", help="propose what to delete; delete nothing")
    parser.add_argument(
        "--lock",
        type=existing,
        action="append",
        default=[],
        metavar="LOCK",
        help="with --dry-run: a lock whose content stays; may be given more than once. Needed to propose what came "
        "with receipts of earlier versions, which name no locks",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="with --dry-run: propose only what matches, as in `declared` of the Sovereign resource; may be given "
        "more than once",
    )
    parser.add_argument(
        "--extra",
        action="append",
        default=[],
        metavar="PATTERN",
        help="with --dry-run: propose also what no delivery brought, if it matches; may be given more than once",
    )
    parser.add_argument(
        "--approval",
        type=existing,
        metavar="FILE",
        help="the approval of the plan (default: PLAN.security-officer.sigstore.json)",
    )
    add_key(parser, what="the statement about what was deleted")
    add_jobs(parser)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap prune`."""
    from airgap.jobs.prune import PruneOptions, prune

    options = PruneOptions(
        sovereign=arguments.sovereign,
        trust=arguments.trust,
        plan=arguments.plan,
        locks=tuple(arguments.lock),
        only=tuple(arguments.only),
        extra=tuple(arguments.extra),
        approval=arguments.approval,
        key=context.key_path(arguments),
        dry_run=arguments.dry_run,
        jobs=context.jobs(arguments),
    )
    result = prune(options, context.surroundings(arguments))
    document = {
        "dryRun": options.dry_run,
        "plan": str(options.plan) if options.plan is not None and result.plan.lines else None,
        "digest": str(result.plan.digest),
        "proposed": [line.as_dict() for line in result.plan.lines],
        "lines": [line.as_dict() for line in result.lines],
        "unlisted": [finding.as_dict() for finding in result.unlisted],
        "unnamed": result.unnamed,
        "untold": result.untold,
        "signed": result.statement is not None,
    }
    lines = _proposed(result, options) if options.dry_run else _done(result)
    context.result(document, lines)
    return exits.DONE if options.dry_run else _exit(result)


def _proposed(result: PruneResult, options: PruneOptions) -> list[str]:
    plan = result.plan
    lines = _table([(line.state, line) for line in plan.lines])
    lines += [f"  not listed: {one.destination} {one.at}: {one.detail}" for one in result.unlisted]
    if result.unnamed:
        lines.append(
            f"{count(result.unnamed, 'thing')} left by receipts that name no locks, not proposed: pass --lock for each "
            "lock that counts"
        )
    if result.untold:
        lines.append(
            f"{count(result.untold, 'thing')} not proposed: a delivery that was accepted, and of which there is no "
            "receipt here, may have brought it: pass --lock for each lock that counts"
        )
    if not plan.lines and (result.untold or result.unnamed):
        return [*lines, "nothing is proposed"]
    if not plan.lines:
        patterns = options.only or options.extra
        why = "nothing matches" if patterns else "everything that deliveries brought is in the newest locks"
        return [*lines, f"nothing to delete: {why}"]
    lines.append(f"dry run, nothing was deleted: {count(len(plan.lines), 'thing')} would be")
    if options.plan is None:
        return [*lines, "  next: write the plan with --plan FILE, and have it approved"]
    return [
        *lines,
        f"{options.plan}: {plan.digest}",
        f"  next: airgap sign {options.plan} --trust {options.trust} --key OFFICER.key --digest {plan.digest}",
    ]


def _table(rows: list[tuple[str, PruneLine]]) -> list[str]:
    if not rows:
        return []
    heading = ("STATE", "ITEM", "AT", "NAME", "DIGEST", "SINCE")
    return [*table([heading, *((said, one.item, one.at, one.name, one.digest[:19], one.since) for said, one in rows)])]


def _done(result: PruneResult) -> list[str]:
    rows = [("OUTCOME", "AT", "NAME", "DIGEST")]
    rows += [(str(line.outcome), line.at, line.name, line.digest[:19]) for line in result.lines]
    lines = [*table(rows)] if result.lines else []
    lines += [f"  {line.at} {line.name}: {line.outcome}: {line.reason}" for line in result.lines if line.reason]
    counts = Counter(str(line.outcome) for line in result.lines)
    lines.append(", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items())))
    if RemovalOutcome.FAILED in counts:
        lines.append("  next: correct the cause, then run the same command again: the plan still counts")
    return lines


def _exit(result: PruneResult) -> int:
    outcomes = {line.outcome for line in result.lines}
    if outcomes & {RemovalOutcome.FAILED, RemovalOutcome.NOT_REACHED}:
        return exits.UPSTREAM
    return exits.NO if RemovalOutcome.KEPT in outcomes else exits.DONE
