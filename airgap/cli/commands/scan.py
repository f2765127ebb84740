"""`airgap scan`: the station judges what is in the store, and signs the verdict."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.errors import InputError
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.parser import add_approval, add_jobs, add_key, add_store, add_trust, command
from airgap.cli.words import count

if TYPE_CHECKING:
    from airgap.jobs.scan import Scanned
    from airgap.resources.model import Trust


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
    parser.add_argument("--policy", type=Path, required=True, metavar="FILE", help="Policy resource: what may come in")
    parser.add_argument(
        "--waiver",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="Waiver resource with its approval beside it; may be given more than once; wants --trust",
    )
    add_approval(parser, "an approval of a waiver that is not beside it; may be given more than once")
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
    from airgap.jobs.scan import ScanOptions, scan
    from airgap.judgement.items import open_policy
    from airgap.judgement.report_folder import read_reports
    from airgap.judgement.waivers import Approved, read_waivers
    from airgap.statements.trust import check_signer
    from airgap.station.files import store_records
    from airgap.store.layout import Layout

    store = context.store(arguments)
    locks = tuple(read_lock(path) for path in arguments.locks)
    policy, _ = open_policy(arguments.policy)
    trust, waivers = _trust(arguments), list[Approved]()
    if trust is not None:
        waivers = read_waivers(arguments.waiver, arguments.approval, trust, context.now())
    reports = read_reports(arguments.reports) if arguments.reports else ()
    layout = Layout(store)
    records = store_records(store)
    station = None
    if not arguments.dry_run:
        station = station_for(arguments, context, records, "station", required=True)
        assert station is not None  # noqa: S101  (required)
        if trust is not None:
            # A key that the far side would not believe signs nothing.
            check_signer(trust, station.signer.key_id, "station", context.now())
    order = ScanOptions(locks, policy, tuple(waivers), context.now(), context.jobs(arguments), reports)
    found = scan(order, layout, records, station, context.progress())
    failed = sum(not one.passed for lock in found for one in lock.judgements)
    context.result(_document(found, arguments, str(policy.digest)), _text(found, arguments))
    return exits.NO if failed else exits.DONE


def _trust(arguments: argparse.Namespace) -> Trust | None:
    """The Trust resource, read also where nothing needs it: a path that is wrong is said."""
    from airgap.resources.load import load_trust

    if arguments.trust is not None:
        return load_trust(arguments.trust)
    if arguments.waiver or arguments.approval:
        flag = "--waiver" if arguments.waiver else "--approval"
        raise InputError(
            "usage",
            f"airgap scan: {flag} without --trust",
            "name the Trust resource with --trust: it says whose approval of a waiver counts",
        )
    return None


def _document(found: Sequence[Scanned], arguments: argparse.Namespace, policy: str) -> dict[str, Any]:
    return {
        "policy": {"file": str(arguments.policy), "digest": policy},
        "locks": [
            {
                "name": one.lock.name,
                "digest": str(one.digest),
                "outcome": one.verdict.outcome,
                "verdict": None if one.path is None else str(one.path),
                "waivers": [waiver.as_dict() for waiver in one.verdict.waivers],
                "reports": [report.as_dict() for report in one.verdict.reports],
                "items": [judgement.as_dict() for judgement in one.judgements],
            }
            for one in found
        ],
    }


def _text(found: Sequence[Scanned], arguments: argparse.Namespace) -> str:
    return "\n".join(line for one in found for line in _lock_lines(one, arguments))


def _lock_lines(one: Scanned, arguments: argparse.Namespace) -> Iterator[str]:
    """What passed in numbers, what did not by name."""
    from airgap.report.verdict import passed_lines, refused, refused_lines

    verdict, failed = one.verdict, len(refused(one.verdict))
    yield f"lock {one.lock.name!r}, {one.digest}, policy {verdict.policy.name!r}, {verdict.policy.digest}"
    yield f"pass: {len(verdict.items) - failed} of {count(len(verdict.items), 'item')}"
    yield from passed_lines(verdict)
    if failed:
        yield f"may not pass: {count(failed, 'item')}"
        yield from refused_lines(verdict)
        yield (
            f"  next: airgap verify-image NAME --lock LOCK --store STORE --policy {arguments.policy}    "
            "explains an image or chart"
        )
    for waiver in verdict.waivers:
        yield f"waiver {waiver.digest} was used"
    if verdict.reports:
        yield f"{count(len(verdict.reports), 'report')} of a scanner, carried and not looked into"
    end = "nothing was signed" if arguments.dry_run else f"signed: {one.path}"
    yield f"verdict {verdict.outcome}; {end}"
