"""The ledger of `airgap import`: made from the command line, and what it has to say."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from airgap.cli.context import Context

if TYPE_CHECKING:
    from airgap.resources.model import Sovereign, Trust
    from airgap.station.ledger import Ledger
    from airgap.station.signatory import Signatory


def open_ledger(arguments: argparse.Namespace, context: Context, trust: Trust, sovereign: Sovereign) -> Ledger:
    """What remembers this Sovereign's deliveries. Nothing is asked yet, nothing is written."""
    from airgap.cli.connect import USER_AGENT
    from airgap.cli.gap import state_of
    from airgap.destinations.make import http_for, shelves
    from airgap.statements.accepted_state import StateFile
    from airgap.station.files import Records
    from airgap.station.ledger import Ledger
    from airgap.station.signatory import Diary

    records = Records(state_of(sovereign, context))
    jobs, note = context.jobs(arguments), context.progress().note
    http = http_for(sovereign, jobs=jobs, user_agent=USER_AGENT, on_retry=note)
    return Ledger(
        file=StateFile(records.folder, sovereign.name),
        shelves=shelves(sovereign, http),
        trust=trust,
        records=records,
        diary=Diary(records.log(), "sovereign", context.now),
        note=context.note,
        restore=arguments.restore,
    )


def sign_with(ledger: Ledger, station: Signatory | None, sovereign: Sovereign, context: Context) -> None:
    """Lets `station` sign the list, and says once where the list is not kept."""
    from airgap.station.signatory import Diary

    bare = [registry.url for registry in sovereign.registries if not registry.records]
    if station is not None:
        ledger.station, ledger.diary = station, Diary(station.log, station.actor, station.clock)
    if station is None:
        where = "in no destination: without --key it cannot be signed"
    elif not ledger.shelves:
        where = "only in the state folder: no registry of the Sovereign resource has `records`"
    elif bare:
        where = f"not in {', '.join(bare)}: the Sovereign resource has no `records` there"
    else:
        return
    context.note(f"note: the list of accepted deliveries is kept {where}")
