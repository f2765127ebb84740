"""`airgap scan`: the station judges the items in the store, and signs a verdict."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count
from airgap.base.errors import InputError
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_approval, add_jobs, add_key, add_store, add_trust
from airgap.cli.parser import command

if TYPE_CHECKING:
    from airgap.jobs.promote import Promotion
    from airgap.jobs.scan import Scanned, ScanOptions, ScanOutcome
    from airgap.jobs.scan_contents import FindingTotals


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "scan",
        run,
        summary="verify the signatures in a store, look into the content, judge each item by a policy, and sign a "
        "verdict for each lock",
        examples="""
airgap scan platform.lock.json --store /srv/store --policy policy.yaml --key station.key
airgap scan platform.lock.json --store /srv/store --policy policy.yaml --dry-run          judge only, sign nothing
airgap scan platform.lock.json --policy policy.yaml --key station.key --waiver alpine.yaml --trust trust.yaml
airgap scan platform.lock.json --policy policy.yaml --station station.yaml --key station.key    look into the content
airgap scan platform.lock.json --policy policy.yaml --key station.key --reports trivy/    include a scanner's reports
airgap scan platform.lock.json --policy policy.yaml --station station.yaml --key station.key --vex vendor.vex.json
airgap scan full.lock.json --policy policy.yaml --station station.yaml --key station.key --promote good.lock.json
airgap scan platform.lock.json --policy policy.yaml --station station.yaml --explain docker.io/library/alpine:3.20
a verdict of fail is also signed, with exit code 3; `airgap bundle` then refuses that lock""",
    )
    parser.add_argument("locks", nargs="+", type=Path, metavar="LOCK", help="locks whose content was pulled")
    add_store(parser)
    parser.add_argument(
        "--policy", type=Path, required=True, metavar="FILE", help="Policy resource: the rules for what may come in"
    )
    parser.add_argument(
        "--station",
        type=Path,
        metavar="FILE",
        help="Station resource: the scanners that look into the content; required if the policy has `findings`. A "
        "scanner is not asked again what it answered before, unless it or a database changed",
    )
    parser.add_argument(
        "--waiver",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="Waiver resource, with its approval next to it; requires --trust; may be given more than once",
    )
    add_approval(parser, "approval of a waiver, if it is not next to the waiver; may be given more than once")
    parser.add_argument(
        "--vex",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="OpenVEX document, with its Sigstore bundle next to it (FILE.sigstore.json); it counts only if somebody "
        "signed it whom the policy names (findings.vex); may be given more than once",
    )
    parser.add_argument(
        "--reports",
        type=Path,
        metavar="DIR",
        help="folder with vulnerability reports, sha256-<hex>.json each, as `trivy image --format cosign-vuln` writes "
        "them; they are included, and attested inside, but not judged",
    )
    parser.add_argument(
        "--promote",
        type=Path,
        metavar="FILE",
        help="write a lock of what passed, and sign a verdict on it; what did not pass stays in quarantine, and the "
        "lock names it. The policy has to allow it (findings.partial). Takes one LOCK",
    )
    parser.add_argument(
        "--explain",
        metavar="NAME",
        help="explain one item: rule, signatures, scans, each finding, what lets it pass, and what to do, with a "
        "waiver to complete; signs nothing",
    )
    parser.add_argument("--dry-run", action="store_true", help="judge, but sign nothing")
    add_trust(parser, required=False)
    add_key(parser, what="the verdicts")
    add_jobs(parser)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap scan`."""
    from airgap.jobs.scan import ScanOptions, scan

    if arguments.explain is not None and arguments.promote is not None:
        raise InputError("usage", "scan: --explain and --promote exclude each other", "run one after the other")

    options = ScanOptions(
        locks=tuple(arguments.locks),
        store=context.store(arguments),
        policy=arguments.policy,
        key=context.key_path(arguments),
        dry_run=arguments.dry_run or arguments.explain is not None,
        trust=arguments.trust,
        waivers=tuple(arguments.waiver),
        approvals=tuple(arguments.approval),
        reports=arguments.reports,
        station=arguments.station,
        jobs=context.jobs(arguments),
        promote=arguments.promote,
        vex=tuple(arguments.vex),
    )
    result = scan(options, context.surroundings(arguments))
    if arguments.explain is not None:
        return _explain(arguments.explain, result, options, context)
    context.result(_document(result, options), _text(result, options))
    return exits.DONE if result.goes_on else exits.NO


def _explain(name: str, result: ScanOutcome, options: ScanOptions, context: Context) -> int:
    """`--explain`: one item."""
    from airgap.jobs.scan import pick_judged
    from airgap.report.explain import Explanation

    found = pick_judged(result, name)
    made = Explanation.of(found.item, found.judgement, found.subjects, result.policy, context.now())
    context.result({**_document(result, options), "explained": made.as_dict()}, list(made.lines()))
    return exits.DONE if found.judgement.passed else exits.NO


def _document(result: ScanOutcome, options: ScanOptions) -> dict[str, Any]:
    return {
        "policy": {"file": str(options.policy), "digest": str(result.policy.digest)},
        "unusedWaivers": [{"name": one.name, "digest": str(one.digest)} for one in result.unused],
        "scanned": None if result.totals is None else _scanned(result.totals),
        "locks": [
            {
                "name": one.lock.name,
                "digest": str(one.digest),
                "outcome": one.verdict.outcome,
                "verdict": None if one.path is None else str(one.path),
                "waivers": [waiver.as_dict() for waiver in one.verdict.waivers],
                "reports": [report.as_dict() for report in one.verdict.reports],
                "items": [judgement.as_dict() for judgement in one.judgements],
                "findings": [answer.as_dict() for answer in one.findings],
            }
            for one in result.locks
        ],
        "vex": [one.as_dict() for one in result.vex],
        **({} if result.promoted is None else {"promoted": _promoted(result.promoted, options)}),
    }


def _promoted(made: Promotion, options: ScanOptions) -> dict[str, Any]:
    return {
        "lock": None if made.refused or options.dry_run else str(options.promote),
        "digest": None if made.refused else str(made.lock.digest),
        "items": [] if made.refused else [item.name for item in made.lock.items],
        "quarantined": [one.as_dict() for one in made.left_out],
        "refused": made.refused,
    }


def _scanned(totals: FindingTotals) -> dict[str, Any]:
    return {
        "scanners": [one.as_dict() for one in totals.scanners],
        "started": totals.started,
        "known": totals.kept,
        "severities": {str(one): number for one, number in totals.severities.items()},
        "effects": {str(one): number for one, number in totals.effects.items()},
        "notRun": dict(totals.not_run),
    }


def _text(result: ScanOutcome, options: ScanOptions) -> list[str]:
    from airgap.report.scanned import not_run_lines

    lines = [line for one in result.locks for line in _lock_lines(one, options)]
    lines += [f"waiver {one.name!r} was not needed: {one.digest}" for one in result.unused]
    lines += _vex_lines(result)
    if result.totals is None:
        lines.append("the policy has no `findings`: nobody looked into the content")
    else:
        lines = [*_scan_lines(result.totals), *not_run_lines([one.verdict for one in result.locks]), *lines]
    return lines if result.promoted is None else [*lines, *_promoted_lines(result.promoted, options)]


def _vex_lines(result: ScanOutcome) -> Iterator[str]:
    """Each OpenVEX document that was met, and whether it counts."""
    attached = (note for lock in result.locks for one in lock.judgements for note in one.vex)
    for note in (*result.vex, *attached):
        counts = "counts" if note.counts else "does not count"
        yield f"OpenVEX {note.where}: {counts}: {note.detail}"


def _promoted_lines(made: Promotion, options: ScanOptions) -> Iterator[str]:
    """What goes on, and what stays."""
    if made.refused:
        yield f"nothing was promoted: {made.refused}"
        return
    written = "nothing was written" if options.dry_run else f"written: {options.promote}"
    if not made.left_out:
        yield f"promoted: all {count(len(made.lock.items), 'item')}, the lock as it is; {written}"
        return
    yield f"promoted: {count(len(made.lock.items), 'item')}, lock {made.lock.digest}; {written}"
    yield f"in quarantine: {count(len(made.left_out), 'item')}"
    yield from (f"  {one.item}: {one.detail}" for one in made.left_out)
    if not options.dry_run:
        command = f"airgap bundle {options.promote} --store {options.store} --to FOLDER --for SOVEREIGN --role station"
        yield f"next: {command}"


def _scan_lines(totals: FindingTotals) -> Iterator[str]:
    """Who looked into the content, with what, and what was found in all of it."""
    for one in totals.scanners:
        databases = [f"{base.name} of {base.updated:%Y-%m-%d}" for base in one.databases]
        yield f"scanner {one.name} {one.version}" + (f" with {', '.join(databases)}" if databases else "")
    failed = sum(totals.not_run.values())
    codes = ", ".join(f"{code} {number}" for code, number in totals.not_run.items())
    yield f"scans: {totals.started} run, {totals.kept} known" + (f", {failed} not-run ({codes})" if failed else "")
    severities = ", ".join(f"{number} {one}" for one, number in totals.severities.items())
    effects = ", ".join(f"{totals.effects[one]} {one}" for one in totals.effects)
    yield f"findings: {severities} ({effects})" if severities else "findings: none"


def _lock_lines(one: Scanned, options: ScanOptions) -> Iterator[str]:
    """The number of items that passed, and the names of those that did not."""
    from airgap.kinds.table import kind_of
    from airgap.report.verdict import finding_answers, passed_lines, refused, refused_lines

    verdict, failed = one.verdict, len(refused(one.verdict))
    yield f"lock {one.lock.name!r}, {one.digest}, policy {verdict.policy.name!r}, {verdict.policy.digest}"
    yield f"pass: {len(verdict.items) - failed} of {count(len(verdict.items), 'item')}"
    yield from passed_lines(verdict)
    if failed:
        yield f"may not pass: {count(failed, 'item')}"
        yield from refused_lines(verdict)
        stopped = set(refused(verdict))
        if options.station is not None:
            locks = " ".join(map(str, options.locks))
            command = (
                f"airgap scan {locks} --store {options.store} --policy {options.policy} --station {options.station}"
            )
            yield f"  next: {command} --explain NAME    explains one item, and what to do"
        elif any(kind_of(item).signed for item in one.lock.items if item.name in stopped):
            yield (
                f"  next: airgap verify-image NAME --lock LOCK --store STORE --policy {options.policy}    "
                "explains an image or chart"
            )
    yield from finding_answers(verdict)
    for waiver in verdict.waivers:
        yield f"waiver {waiver.digest} was used"
    if verdict.reports:
        judged = "" if verdict.gate is not None else "; nobody judged them"
        yield f"scanner reports for admission inside: {len(verdict.reports)}{judged}"
    end = "nothing was signed" if options.dry_run else f"signed: {one.path}"
    yield f"verdict {verdict.outcome}; {end}"
