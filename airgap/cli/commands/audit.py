"""`airgap audit`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.parser import add_jobs, add_key, add_trust, command
from airgap.cli.words import and_others, count, table

if TYPE_CHECKING:
    from airgap.content.finding import Finding
    from airgap.jobs.audit import Audited


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "audit",
        run,
        summary="compare a receipt or a lock with the actual content of the Sovereign; exit 3 on drift",
        examples="""
airgap audit --sovereign sovereign.yaml --receipt receipt.json --trust trust.yaml
airgap audit --sovereign sovereign.yaml --lock platform.lock.json
airgap audit --sovereign sovereign.yaml --receipt receipt.json --trust trust.yaml --key s.key --report audit.json""",
    )
    parser.add_argument("--sovereign", type=Path, required=True, metavar="FILE", help="Sovereign resource")
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--receipt", type=Path, metavar="RECEIPT", help="the receipt that an import signed")
    chosen.add_argument("--lock", type=Path, metavar="LOCK", help="a lock, instead of a receipt")
    add_trust(parser, required=False)
    parser.add_argument("--deep", action="store_true", help="read and hash every blob in every repository")
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
        report=arguments.report,
        key=context.key_path(arguments),
        jobs=context.jobs(arguments),
    )
    result = audit(options, context.surroundings(arguments), told=lambda found: _report(found, context))
    return exits.NO if result.drift else exits.DONE


def _report(result: Audited, context: Context) -> None:
    from airgap.content.finding import State

    document = {
        "subject": str(result.subject),
        "checked": len(result.findings),
        "outcome": "fail" if result.drift else "pass",
        "findings": [finding.as_dict() for finding in result.findings],
    }
    end = f"{count(len(result.findings), 'name')} checked: " + (
        f"{len(result.drift)} not as expected" if result.drift else "all as expected"
    )
    hidden = sum(finding.state is State.GOOD and bool(finding.detail) for finding in result.findings)
    if hidden:
        end += f"; {hidden} of them by the registry's own word, because a project policy forbids reading the bytes"
    context.result(document, [*_drift(result), end])


def _drift(result: Audited) -> list[str]:
    """One table per destination, followed by the details that do not fit into a table."""
    found: dict[str, list[Finding]] = {}
    for finding in result.drift:
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
    return " ".join(part for part in (finding.at, finding.name) if part) or finding.item
