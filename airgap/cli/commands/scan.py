"""`airgap scan`: the station judges what is in the store, and signs the verdict."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.cli import exits
from airgap.cli.context import Context, count, table
from airgap.cli.parser import add_jobs, add_key, add_store, add_trust, command
from airgap.errors import InputError

if TYPE_CHECKING:
    from airgap.stage.scan import Scanned
    from airgap.stage.waivers import Approved


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "scan",
        run,
        summary="verify signatures in a store, judge by a policy, and sign a verdict for each lock",
        examples="""
airgap scan platform.lock.json --store /srv/store --policy policy.yaml --key station.key
airgap scan platform.lock.json --store /srv/store --policy policy.yaml --dry-run          judge, and sign nothing
airgap scan platform.lock.json --policy policy.yaml --key station.key --waiver alpine.yaml --trust trust.yaml
airgap scan platform.lock.json --policy policy.yaml --key station.key --reports trivy/    what a scanner said goes along
a verdict that says fail is signed too, and exits 3; `airgap bundle` then refuses that lock""",
    )
    parser.add_argument("locks", nargs="+", type=Path, metavar="LOCK", help="locks that were pulled")
    add_store(parser)
    parser.add_argument(
        "--policy", type=Path, required=True, metavar="FILE", help="Policy resource: what may come in"
    )
    parser.add_argument(
        "--waiver",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="Waiver resource with its approval beside it; may be given more than once; wants --trust",
    )
    parser.add_argument(
        "--approval",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="an approval of a waiver that is not beside it; may be given more than once",
    )
    parser.add_argument(
        "--reports",
        type=Path,
        metavar="DIR",
        help="vulnerability reports, sha256-<hex>.json each, as `trivy image --format cosign-vuln` writes them; they "
        "are carried, attested inside, and not judged",
    )
    parser.add_argument("--dry-run", action="store_true", help="judge, and sign nothing")
    add_trust(parser, required=False)
    add_key(parser, what="the verdicts")
    add_jobs(parser)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap scan`."""
    from airgap.cli.connect import read_lock, station_for
    from airgap.stage.judge import open_policy
    from airgap.stage.records import store_records
    from airgap.stage.reports import read_reports
    from airgap.stage.scan import Order, scan
    from airgap.store.layout import Layout

    store = context.store(arguments)
    locks = tuple(read_lock(path) for path in arguments.locks)
    policy, _ = open_policy(arguments.policy)
    waivers = _waivers(arguments, context)
    reports = read_reports(arguments.reports) if arguments.reports else ()
    layout = Layout(store)
    records = store_records(store)
    station = None
    if not arguments.dry_run:
        station = station_for(arguments, context, records, "station", required=True)
        assert station is not None  # noqa: S101  (required)
        _check_key(arguments, context, station.signer.key_id)
    order = Order(
        locks, policy, tuple(waivers), context.now(), context.jobs(arguments), reports
    )
    found = scan(order, layout, records, station, context.progress())
    failed = sum(not one.passed for lock in found for one in lock.judgements)
    context.result(_document(found, arguments, str(policy.digest)), _text(found, dry=arguments.dry_run))
    return exits.NO if failed else exits.DONE


def _waivers(arguments: argparse.Namespace, context: Context) -> Sequence[Approved]:
    from airgap.resources.load import load_trust
    from airgap.stage.waivers import read_waivers

    if not arguments.waiver and not arguments.approval:
        return ()
    if not arguments.trust:
        raise InputError(
            "usage",
            "airgap scan: --waiver without --trust",
            "name the Trust resource with --trust: it says whose approval of a waiver counts",
        )
    return read_waivers(
        arguments.waiver, arguments.approval, load_trust(arguments.trust), context.now()
    )


def _check_key(arguments: argparse.Namespace, context: Context, key_id: str) -> None:
    """Where the far side's Trust is at hand, a key that it would not believe signs nothing."""
    if arguments.trust:
        from airgap.resources.load import load_trust
        from airgap.trust.roles import check_signer

        check_signer(load_trust(arguments.trust), key_id, "station", context.now())


def _document(
    found: Sequence[Scanned], arguments: argparse.Namespace, policy: str
) -> dict[str, Any]:
    return {
        "policy": {"file": str(arguments.policy), "digest": policy},
        "locks": [
            {
                "name": one.lock.name,
                "digest": str(one.lock.digest),
                "outcome": one.verdict.outcome,
                "verdict": None if one.path is None else str(one.path),
                "waivers": [waiver.as_dict() for waiver in one.verdict.waivers],
                "reports": [report.as_dict() for report in one.verdict.reports],
                "items": [judgement.as_dict() for judgement in one.judgements],
            }
            for one in found
        ],
    }


def _text(found: Sequence[Scanned], *, dry: bool) -> str:
    return "\n".join(_lock_text(one, dry=dry) for one in found)


def _lock_text(one: Scanned, *, dry: bool) -> str:
    failed = [judgement for judgement in one.judgements if not judgement.passed]
    rows = [("ITEM", "OUTCOME", "RULE", "WHY")]
    rows += [(j.item, str(j.outcome), j.rule or "-", j.reason or j.detail) for j in one.judgements]
    lines = [f"lock {one.lock.name!r}, {one.lock.digest}", table(rows).rstrip("\n")]
    for judgement in failed:
        lines.append(f"{judgement.item}: {judgement.detail}")
        lines += [
            f"  {check.name} of {check.subject}: {check.outcome}, {check.reason}"
            for check in judgement.checks
            if check.outcome == "fail"
        ]
    for waiver in one.verdict.waivers:
        lines.append(f"waiver {waiver.digest} was used")
    if one.verdict.reports:
        lines.append(f"{count(len(one.verdict.reports), 'report')} of a scanner go along, and were not looked into")
    says = f"fail: {count(len(failed), 'item')} of {len(one.judgements)} may not pass" if failed else "pass"
    end = "nothing was signed" if dry else f"signed: {one.path}"
    return "\n".join([*lines, f"verdict {says}; {end}"])
