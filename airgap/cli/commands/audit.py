"""`airgap audit`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_jobs, add_key, add_sovereign, add_trust
from airgap.cli.parser import command
from airgap.cli.words import and_others, table
from airgap.content.finding import State

if TYPE_CHECKING:
    from airgap.content.finding import Finding
    from airgap.jobs.audit import Audited


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "audit",
        run,
        summary="compare a receipt or a lock, and all receipts, with what is inside the Sovereign; exit 3 on drift",
        examples="""
airgap audit --sovereign sovereign.yaml --receipt receipt.json --trust trust.yaml
airgap audit --sovereign sovereign.yaml --lock platform.lock.json --trust trust.yaml
airgap audit --sovereign sovereign.yaml --receipt receipt.json --trust trust.yaml --key s.key --report audit.json""",
    )
    add_sovereign(parser)
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--receipt", type=Path, metavar="RECEIPT", help="the receipt that an import signed")
    chosen.add_argument("--lock", type=Path, metavar="LOCK", help="a lock, instead of a receipt")
    add_trust(parser, required=False)
    parser.add_argument("--deep", action="store_true", help="read and hash every blob in every repository")
    parser.add_argument(
        "--only-listed",
        action="store_true",
        help="compare what the receipt or lock lists, and do not look for anything else; the report says so",
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit 3 also if content is inside that left the lock (removed)"
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="write the signed audit statement to FILE (requires --key)",
    )
    add_key(parser, what="the audit statement")
    add_jobs(parser)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap audit`."""
    from airgap.jobs.audit import AuditOptions, audit

    options = AuditOptions(
        sovereign=arguments.sovereign,
        receipt=arguments.receipt,
        lock=arguments.lock,
        trust=arguments.trust,
        deep=arguments.deep,
        only_listed=arguments.only_listed,
        strict=arguments.strict,
        report=arguments.report,
        key=context.key_path(arguments),
        jobs=context.jobs(arguments),
    )
    result = audit(options, context.surroundings(arguments), told=lambda found: _report(found, context))
    return exits.NO if result.drift else exits.DONE


def _report(result: Audited, context: Context) -> None:
    document = {
        "subject": str(result.subject),
        "checked": result.checked,
        "outcome": "fail" if result.drift else "pass",
        "findings": [finding.as_dict() for finding in result.findings],
        "listed": result.listed,
        "receipts": result.receipts,
        "declared": [
            {"match": list(one.match), "reason": one.reason, "count": number} for one, number in result.declared
        ],
        "others": result.others,
    }
    context.result(document, [*_tables(result), *_summary(result)])


def _summary(result: Audited) -> list[str]:
    """The last lines: what was counted, and what limits the answer."""
    left, later = len(result.among(State.REMOVED)), len(result.among(State.SUPERSEDED))
    wrong = len([one for one in result.findings if one.state.is_drift])
    end = f"{count(result.checked, 'name')} checked: " + (f"{wrong} not as expected" if wrong else "all as expected")
    hidden = sum(finding.state is State.GOOD and bool(finding.detail) for finding in result.findings)
    if hidden:
        end += f"; {hidden} of them by the registry's own word, because a project policy forbids reading the bytes"
    lines = [end]
    if result.listed == "not":
        lines.append("not looked for: anything else that is inside (--only-listed)")
    elif result.listed == "partly":
        lines.append("not everything that is inside could be listed: there may be more")
    if result.others:
        lines.append(f"{count(result.others, 'name')} of other deliveries inside, not compared: audit their receipts")
    if later:
        lines.append(f"{count(later, 'name')} moved by later deliveries, rolled back or pruned")
    if left:
        told = "" if result.strict else "; --strict exits 3 for that"
        lines.append(f"{count(left, 'name')} removed from the locks, and still inside: see `airgap prune`{told}")
    declared = sum(number for _, number in result.declared)
    if result.declared:
        lines.append(f"{declared} declared in the Sovereign resource")
        lines += [f"  nothing matches {', '.join(one.match)}" for one, number in result.declared if not number]
    if result.receipts == "unverified":
        lines.append("no signature of a receipt was checked: pass --trust, or receipts are believed as they are")
    return lines


def _tables(result: Audited) -> list[str]:
    """One table per destination, followed by the details that do not fit into a table."""
    found: dict[str, list[Finding]] = {}
    for finding in result.findings:
        if finding.state is not State.GOOD:
            found.setdefault(finding.destination, []).append(finding)
    lines: list[str] = []
    for url, findings in found.items():
        rows = [("STATE", "ITEM", "AT", "NAME", "EXPECTED", "FOUND")]
        rows += [(str(f.state), f.item, f.at, f.name, f.expected[:19], _other(f)) for f in findings]
        lines += [url, *table(rows), *_details(findings), ""]
    return lines


def _details(findings: list[Finding]) -> list[str]:
    """What was found for one reason, together: a service that is down is said once."""
    found: dict[str, list[str]] = {}
    for finding in findings:
        if finding.detail:
            found.setdefault(finding.detail, []).append(_named(finding))
    return [f"  {and_others(names)}: {detail}" for detail, names in found.items()]


def _other(finding: Finding) -> str:
    """The digest that was found instead; `""` where the name is right but its content is not."""
    return finding.got[:19] if finding.got != finding.expected else ""


def _named(finding: Finding) -> str:
    return " ".join(part for part in (finding.at, finding.name) if part) or finding.item or "what is inside"
