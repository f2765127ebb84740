"""`airgap audit`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from airgap.cli import exits
from airgap.cli.context import Context, table
from airgap.cli.parser import add_jobs, add_key, add_trust, command
from airgap.errors import InputError


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
    parser.add_argument(
        "--sovereign", type=Path, required=True, metavar="FILE", help="Sovereign resource"
    )
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
    from airgap.cli.connect import read_lock, station_for
    from airgap.cli.gap import open_gap
    from airgap.resources.load import load_sovereign, load_trust
    from airgap.resources.model import Trust
    from airgap.stage import receipts
    from airgap.stage.audit import audit_lock, audit_receipt
    from airgap.stage.station import Records
    from airgap.store.files import write_durably

    sovereign = load_sovereign(arguments.sovereign)
    if arguments.receipt and not arguments.trust:
        raise InputError(
            "no-trust", "--receipt needs --trust: whose signature on it counts", "use --trust FILE"
        )
    if arguments.report and not context.key_path(arguments):
        raise InputError(
            "no-key", "--report needs a key to sign it with", "use --key KEY, or set AIRGAP_KEY"
        )
    trust = load_trust(arguments.trust) if arguments.trust else Trust(sovereign.name, ())
    progress = context.progress()
    if arguments.receipt:
        verified = receipts.read(arguments.receipt, trust, context.now())
        gap = open_gap(arguments, context, trust, sovereign, create=False)
        body = receipts.receipt_of(verified)
        result = audit_receipt(
            verified.statement.subject,
            body,
            gap.destinations,
            deep=arguments.deep,
            progress=progress,
        )
    else:
        lock = read_lock(arguments.lock)
        gap = open_gap(arguments, context, trust, sovereign, create=False)
        result = audit_lock(lock, gap.destinations, deep=arguments.deep, progress=progress)
    station = station_for(arguments, context, Records(gap.state), "sovereign", required=False)
    if station is not None and arguments.report:
        write_durably(arguments.report, station.sign(result.subject, result.statement()))
    _report(result, context)
    return exits.NO if result.drift else exits.DONE


def _report(result: Any, context: Context) -> None:
    document = {
        "subject": str(result.subject),
        "checked": len(result.findings),
        "outcome": "fail" if result.drift else "pass",
        "findings": [{"destination": url, **finding.as_dict()} for url, finding in result.findings],
    }
    rows = [("STATE", "AT", "NAME", "EXPECTED", "FOUND", "")]
    rows += [
        (str(f.state), f.at, f.name, f.expected[:19], f.got[:19], f.detail) for _, f in result.drift
    ]
    end = f"{len(result.findings)} names checked: " + (
        f"{len(result.drift)} are not as they should be"
        if result.drift
        else "all are as they should be"
    )
    context.result(document, (table(rows) if result.drift else "") + end)
