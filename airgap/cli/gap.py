"""What the commands inside the gap share: the Sovereign, its state folder and its destinations."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airgap.cli.context import Context

if TYPE_CHECKING:
    from airgap.destinations.base import Run
    from airgap.destinations.make import Destinations
    from airgap.resources.model import Sovereign, Trust


@dataclass(frozen=True, slots=True)
class Gap:
    """An opened Sovereign."""

    sovereign: Sovereign
    trust: Trust
    state: Path
    destinations: Destinations


def open_gap(
    arguments: argparse.Namespace,
    context: Context,
    trust: Trust,
    sovereign: Sovereign,
    *,
    create: bool,
    restore: bool = False,
    deep: bool = False,
    work: Path | None = None,
) -> Gap:
    """The destinations of a Sovereign, with what our receipts say of each. `create` lets an embedded one be made.

    `work` is for unfinished work in place of the state folder.
    """
    from airgap.cli.connect import USER_AGENT
    from airgap.destinations.base import Run
    from airgap.destinations.make import http_for, make
    from airgap.station import receipts

    state = state_of(sovereign, context)
    jobs = context.jobs(arguments)
    progress = context.progress()
    known = receipts.ours(state, trust, context.now())
    runs: Mapping[str, Run] = {
        url: Run(progress, jobs, found.lines, restore, deep, found.signed) for url, found in known.items()
    }
    http = http_for(sovereign, jobs=jobs, user_agent=USER_AGENT, on_retry=progress.note)
    destinations = make(
        sovereign, runs, Run(progress, jobs, {}, restore, deep), http=http, state=work or state, create=create
    )
    return Gap(sovereign, trust, state, destinations)


def state_of(sovereign: Sovereign, context: Context) -> Path:
    """The Sovereign's state folder."""
    return sovereign.state_dir or context.state_folder() / sovereign.name
