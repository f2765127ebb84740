"""The prunes of this Sovereign that it keeps: what was deleted inside, by which approved plan."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from airgap.base.errors import InputError, TrustError
from airgap.base.inputs import read_input
from airgap.resources.trust import Trust
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE
from airgap.statements.prune import Prune
from airgap.statements.statement import Statement
from airgap.statements.trust import Known, authenticate, authorise, key_ring, unverified
from airgap.station.files import made_of


def kept_prunes(folder: Path, trust: Trust | None, now: datetime) -> Sequence[Statement]:
    """The prunes in a state folder that are trusted, from the oldest to the newest; without `trust`, all of them.

    They outlive the key that signed them, unless it was revoked: nothing proves when a revoked key signed.
    """
    found = []
    for path in made_of(folder, Prune.kind):
        try:
            data = read_input(path, MAX_EVIDENCE_BUNDLE, "no-statement")
            if trust is None:
                statement = unverified(data, str(path))
            else:
                authentic = authenticate(data, key_ring(trust), str(path), MAX_EVIDENCE_BUNDLE)
                statement = authorise(authentic, str(path), now=now, known=Known.SUBJECT).statement
        except (TrustError, InputError):
            continue
        if isinstance(statement.body, Prune):
            found.append(statement)
    return sorted(found, key=lambda one: one.signed_at)
