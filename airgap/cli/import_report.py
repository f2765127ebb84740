"""The output of `airgap import`: a table per destination, failures with the next step, and the exit code."""

from __future__ import annotations

from pathlib import Path

from airgap.acceptance.open import Opened
from airgap.base.amounts import count, human
from airgap.base.errors import AirgapError
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.words import and_others, next_step, outcomes, table
from airgap.content.forms import Change, ChangeOutcome
from airgap.content.lock_finding import LockFinding, finding_lines, findings_json
from airgap.jobs.import_store import Taken
from airgap.jobs.importing.lines import Imported
from airgap.signatures.scanner_report import VULNERABILITIES
from airgap.statements.predicates import ALL_OR_NOTHING

Problem = tuple[str, str, str, AirgapError]
"""URL, item, name, and why it failed; no name if all of the item failed."""
HEADING = ("OUTCOME", "AT", "NAME", "DIGEST", "BEFORE")


def report(done: Imported, context: Context, *, dry_run: bool) -> int:
    """Writes the result to stdout and the failures to stderr; returns the exit code."""
    journey, problems = done.opened.index.journey, _problems(done)
    document = {
        "delivery": journey.id,
        "digest": str(done.opened.media.digest),
        "sequence": journey.sequence,
        "dryRun": dry_run,
        "publish": done.publish,
        "half": list(done.half),
        "changes": [{"destination": url, **change.as_dict()} for url, change in done.changes],
        "errors": [
            *(_error(error) | {"item": item, "destination": url, "name": name} for url, item, name, error in problems),
            *(_error(error) | {"item": "", "destination": url, "name": ""} for url, error in done.unkept.items()),
            *(
                {
                    "code": one.code,
                    "error": one.said,
                    "hint": one.hint,
                    "item": "",
                    "destination": one.place,
                    "name": "",
                }
                for one in done.foreseen
            ),
        ],
        "missingVolumes": done.missing_volumes,
        "findings": findings_json(_lacking(done.opened)),
        "receipt": done.receipt is not None,
        "standingReceipt": None if done.standing is None else str(done.standing),
    }
    context.result(document, [*_tables(done), *finding_lines(_lacking(done.opened)), *_summary(done, dry_run=dry_run)])
    for (url, said), (names, error) in _causes(problems).items():
        context.problem(f"airgap: {and_others(names)} at {url}: {said}", next_step(error))
    for one in done.foreseen:
        context.problem(f"airgap: the import would fail at {one.place}: {one.said} [{one.code}]", one.hint)
    for url, error in done.unkept.items():
        hint = f"{error.hint or 'correct that'}; then run the same command again"
        context.problem(f"airgap: the list of accepted deliveries at {url}: {error}", hint)
    return _exit(done, dry_run=dry_run)


def _lacking(opened: Opened) -> list[LockFinding]:
    """What the locks of a delivery lack of their requests, each once."""
    return list(dict.fromkeys(found for lock in opened.locks for found in lock.findings))


def _error(error: AirgapError) -> dict[str, str]:
    return error.as_dict() | {"hint": next_step(error)}


def _problems(done: Imported) -> list[Problem]:
    """What failed, with URL, item and name: each line whose error is its own, and each name of the others."""
    found: list[Problem] = [
        (line.destination.url, line.form.item, "", line.error) for line in done.failed if line.error is not None
    ]
    lines = {(url, item) for url, item, _, _ in found}
    for url, change in done.changes:
        if change.error is not None and (url, change.item) not in lines:
            found.append((url, change.item, change.name or change.digest, change.error))
    return found


def _causes(problems: list[Problem]) -> dict[tuple[str, str], tuple[list[str], AirgapError]]:
    """What failed for one reason at one destination, together: a service that is down is said once."""
    found: dict[tuple[str, str], tuple[list[str], AirgapError]] = {}
    for url, item, name, error in problems:
        found.setdefault((url, str(error)), ([], error))[0].append(f"{item} ({name})" if name else item)
    return found


def _tables(done: Imported) -> list[str]:
    """One table per destination, headed by its address if there are several; reasons follow their table."""
    # The errors of lines are reported on stderr, with the next step.
    told = {str(error) for _, _, _, error in _problems(done)}
    by_url: dict[str, list[Change]] = {}
    for url, change in done.changes:
        by_url.setdefault(url, []).append(change)
    lines: list[str] = []
    for url, changes in by_url.items():
        lines += [url] if len(by_url) > 1 else []
        lines += table([HEADING, *(_row(change) for change in changes)])
        lines += [
            f"  {one.at} {one.name or one.digest}: {one.outcome}: {one.reason}"
            for one in changes
            if one.reason and one.reason not in told
        ]
    return lines


def _row(change: Change) -> tuple[str, ...]:
    before = "" if change.previous in ("", change.digest) else change.previous[:19]
    name = change.name
    if change.signs is not None and not name:
        name = "(attestation)" if change.signs.predicate_type == VULNERABILITIES else "(signature)"
    return (str(change.outcome), change.at, name, change.digest[:19], before)


def _summary(done: Imported, *, dry_run: bool) -> list[str]:
    lines = [outcomes((change.outcome for _, change in done.changes), dry_run=dry_run)]
    if done.missing_volumes:
        what = "volumes not attached" if dry_run else "volumes still missing"
        lines.append(f"{what}: {', '.join(done.missing_volumes)}")
    if done.waits:
        lines.append(
            "no new name is visible yet. Insert the next disc and run the same command with its folder"
            + ("" if done.failed else "; this disc is not needed again")
        )
    elif done.standing is not None:
        lines.append(f"nothing changed, so no receipt was signed: the receipt {done.standing} stands")
    elif not dry_run and done.receipt is None:
        lines.append("no receipt was signed (no --key); the next import and audit check everything again")
    lines += _unpublished(done, dry_run=dry_run)
    return lines


def _unpublished(done: Imported, *, dry_run: bool) -> list[str]:
    """Where names are withheld, or only half of them are published, and what to do then."""
    lines = []
    for url, (written, lost) in done.half.items():
        lines.append(
            f"half published at {url}: {count(written, 'name')} written, {lost} not. Correct what failed, and run the "
            "same command again; or take back what was written: `airgap rollback` with the receipt"
        )
    withheld = dict.fromkeys(
        done.work.place(url) for url, change in done.changes if change.outcome is ChangeOutcome.WITHHELD
    )
    if withheld:
        would = "would be withheld" if dry_run else "are withheld"
        whole = done.publish == ALL_OR_NOTHING
        why = "a delivery is published as a whole or not at all" if whole else "they belong with something that failed"
        correct = "Correct what failed, and run the same command again"
        if done.rolled_back:
            correct = "It was rolled back: cut a new delivery"
        lines.append(
            f"names {would} at {', '.join(withheld)}: {why}. {correct}"
            + ("; to publish the rest without it: --keep-going" if whole else "")
        )
    return lines


def _exit(done: Imported, *, dry_run: bool) -> int:
    if done.errors or done.unkept or done.foreseen:
        codes = [error.exit_code for error in (*done.errors, *done.unkept.values())]
        return max([*codes, *(one.exit_code for one in done.foreseen)])
    outcomes = {change.outcome for _, change in done.changes}
    if outcomes & {ChangeOutcome.FAILED, ChangeOutcome.UNCONFIRMED} or (done.waits and not dry_run):
        return exits.UPSTREAM
    kept = ChangeOutcome.REFUSED in outcomes or ChangeOutcome.WITHHELD in outcomes
    return exits.NO if kept else exits.DONE


def report_store(taken: Taken, store: Path, context: Context, *, dry_run: bool) -> int:
    """Writes the result of an import into a store; returns the exit code."""
    journey = taken.opened.index.journey
    document = {
        "delivery": journey.id,
        "digest": str(taken.opened.media.digest),
        "stream": journey.stream,
        "sequence": journey.sequence,
        "store": str(store),
        "dryRun": dry_run,
        "items": [{"name": item.name, "kind": item.kind} for item in taken.items],
        "written": taken.written,
        "locks": [str(path) for path in taken.locks],
        "kept": [
            {"name": one.name, "digest": one.previous or None, "offered": one.digest, "reason": one.reason}
            for one in taken.kept
        ],
        "missingVolumes": taken.missing_volumes,
        "findings": findings_json(_lacking(taken.opened)),
    }
    lines = [
        ("dry run, nothing was written: " if dry_run else "")
        + f"{store}: delivery {journey.sequence} of stream {journey.stream!r}: {count(len(taken.items), 'item')}, "
        f"{human(taken.written)} of it new"
    ]
    if taken.missing_volumes:
        what = "volumes not attached" if dry_run else "volumes still missing"
        lines.append(f"{what}: {', '.join(taken.missing_volumes)}")
    if taken.waits:
        lines.append(
            "no new name is visible yet. Insert the next disc and run the same command with its folder; this disc is "
            "not needed again"
        )
    lines += [f"  {one.name}: not moved: {one.reason}" for one in taken.kept]
    lines += finding_lines(_lacking(taken.opened))
    for path in taken.locks:
        lines += [f"  {path}", f"    next: airgap scan {path} --store {store} …"]
    context.result(document, lines)
    if taken.waits and not dry_run:
        return exits.UPSTREAM
    return exits.NO if taken.kept else exits.DONE
