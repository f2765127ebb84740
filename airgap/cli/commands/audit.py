"""`airgap audit`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.errors import InputError, TrustError
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.parser import add_jobs, add_key, add_trust, command
from airgap.cli.places import check_file
from airgap.cli.words import count, table

if TYPE_CHECKING:
    from airgap.content.finding import Finding
    from airgap.jobs.audit import Audited
    from airgap.resources.model import Sovereign, Trust


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "audit",
        run,
        summary="compare a receipt or a lock with what the Sovereign really holds; exit 3 on drift",
        examples="""
airgap audit --sovereign sovereign.yaml --receipt receipt.json --trust trust.yaml
airgap audit --sovereign sovereign.yaml --lock platform.lock.json
airgap audit --sovereign sovereign.yaml --receipt receipt.json --trust trust.yaml --key s.key --report audit.json""",
    )
    parser.add_argument("--sovereign", type=Path, required=True, metavar="FILE", help="Sovereign resource")
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--receipt", type=Path, metavar="RECEIPT", help="what an import signed")
    chosen.add_argument("--lock", type=Path, metavar="LOCK", help="what was locked")
    add_trust(parser, required=False)
    parser.add_argument("--deep", action="store_true", help="hash every blob in every repository")
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="write the signed audit statement there (needs --key)",
    )
    add_key(parser, what="the audit statement")
    add_jobs(parser)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap audit`."""
    from airgap.base.disk import write_durably
    from airgap.cli.connect import station_for
    from airgap.cli.gap import state_of
    from airgap.resources.load import load_sovereign, load_trust
    from airgap.resources.model import Trust
    from airgap.statements.trust import check_signer
    from airgap.station.files import Records

    sovereign = load_sovereign(arguments.sovereign)
    if arguments.receipt and not arguments.trust:
        raise InputError("no-trust", "--receipt needs --trust: whose signature on it counts", "use --trust FILE")
    if arguments.report and not context.key_path(arguments):
        raise InputError("no-key", "--report needs a key to sign it with", "use --key KEY, or set AIRGAP_KEY")
    if arguments.report:
        check_file(arguments.report, "--report")
    trust = load_trust(arguments.trust) if arguments.trust else Trust(sovereign.name, ())
    if trust.sovereign != sovereign.name:
        raise TrustError(
            "wrong-trust",
            f"the Trust resource is for {trust.sovereign!r}, expected {sovereign.name!r}",
            "give the trust file of this Sovereign",
        )
    # Whatever could stop the report stops it now, and not after hours of reading.
    records = Records(state_of(sovereign, context))
    station = None
    if arguments.report:
        station = station_for(arguments, context, records, "sovereign", required=True)
        if station is not None and arguments.trust:
            check_signer(trust, station.signer.key_id, "sovereign", context.now())
    result = _compare(arguments, context, trust, sovereign)
    _report(result, context)
    if station is not None:
        signed = station.sign(result.subject, result.statement())
        records.save_statement("audit", result.subject, signed)
        write_durably(arguments.report, signed)
    return exits.NO if result.drift else exits.DONE


def _compare(arguments: argparse.Namespace, context: Context, trust: Trust, sovereign: Sovereign) -> Audited:
    from airgap.cli.connect import read_lock
    from airgap.cli.gap import open_gap
    from airgap.jobs.audit import audit_lock, audit_receipt
    from airgap.station import receipts

    deep, progress = arguments.deep, context.progress()
    if arguments.lock:
        lock = read_lock(arguments.lock)
        gap = open_gap(arguments, context, trust, sovereign, create=False)
        return audit_lock(lock, gap.destinations, deep=deep, progress=progress)
    verified = receipts.read(arguments.receipt, trust, context.now())
    gap = open_gap(arguments, context, trust, sovereign, create=False)
    subject, body = verified.statement.subject, receipts.receipt_of(verified)
    return audit_receipt(subject, body, gap.destinations, deep=deep, progress=progress)


def _report(result: Audited, context: Context) -> None:
    document = {
        "subject": str(result.subject),
        "checked": len(result.findings),
        "outcome": "fail" if result.drift else "pass",
        "findings": [finding.as_dict() for finding in result.findings],
    }
    end = f"{count(len(result.findings), 'name')} checked: " + (
        f"{len(result.drift)} not as it should be" if result.drift else "all are as they should be"
    )
    context.result(document, _drift(result) + end)


def _drift(result: Audited) -> str:
    """A table for each destination, and below it what a table has no room for."""
    found: dict[str, list[Finding]] = {}
    for finding in result.drift:
        found.setdefault(finding.destination, []).append(finding)
    text = ""
    for url, findings in found.items():
        rows = [("STATE", "ITEM", "AT", "NAME", "EXPECTED", "FOUND")]
        rows += [(str(f.state), f.item, f.at, f.name, f.expected[:19], _other(f)) for f in findings]
        details = "".join(f"  {_named(f)}: {f.detail}\n" for f in findings if f.detail)
        text += f"{url}\n{table(rows)}{details}\n"
    return text


def _other(finding: Finding) -> str:
    """What was found instead; nothing where the name is right and what it stands for is not."""
    return finding.got[:19] if finding.got != finding.expected else ""


def _named(finding: Finding) -> str:
    return " ".join(part for part in (finding.at, finding.name) if part) or finding.item
