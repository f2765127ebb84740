"""Describes things without trusting them: `show`, `ls`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from airgap.base.errors import AirgapError
from airgap.base.strict_json import decode_json
from airgap.base.times import utc_text
from airgap.content.attached import left_out_notes
from airgap.content.lock_finding import finding_lines
from airgap.delivery.fields import INDEX_NAME
from airgap.delivery.files import read_listing, volume_files
from airgap.delivery.read import Media, open_index, open_media
from airgap.delivery.seal import Identities, no_identities
from airgap.delivery.sealed import Sealed, is_sealed
from airgap.jobs.listing import Listed, items, lock_of, read_thing
from airgap.kinds.table import kind_of
from airgap.report.delta import rests_on_lines
from airgap.report.judged import judged
from airgap.report.statements import described
from airgap.scanning.databases.dates import shown_date
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE, open_bundle
from airgap.statements.statement import Statement

NOT_CHECKED = "not checked: `airgap verify` checks the signatures"


def describe(thing: Path, now: datetime, identities: Identities = no_identities) -> tuple[Any, list[str]]:
    """A JSON document and lines about a lock, a delivery, a statement or a store.

    `now` is for the age of databases; `identities` open an encrypted delivery, and without one, what is outside is
    described. Raises `InputError`.
    """
    if thing.is_dir():
        return _delivery(thing, identities) if (thing / INDEX_NAME).exists() else _store(thing, now)
    data, kind = read_thing(thing)
    if isinstance(kind, dict) and "dsseEnvelope" in kind:
        envelope = open_bundle(data, str(thing), MAX_EVIDENCE_BUNDLE)
        statement = Statement.parse(envelope.payload, str(thing))
        lines = [*described(statement, envelope.hint), _who_checks(statement.kind)]
        return {**statement.as_dict(), "hint": envelope.hint}, lines
    lock = lock_of(data, kind, thing)
    lines = [f"lock {lock.name!r}, items: {len(lock.items)}, {lock.digest}", *finding_lines(lock.findings)]
    for item in lock.items:
        lines.append(f"  {item.kind:<6} {item.name}  {kind_of(item).shown(item)}")
        lines += [
            f"         {a.how} {a.tag or a.descriptor.artifact_type} {a.descriptor.digest} on {a.subject.short}"
            for a in item.attached
        ]
        lines += [f"         {note}" for note in left_out_notes(item)]
    return lock.as_dict(), lines


def _who_checks(kind: str) -> str:
    by = {
        "receipt": "`airgap audit --receipt` checks it",
        "rollback": "`airgap audit --receipt` checks it",
        "accepted": "`airgap import` compares it with its state",
        "audit": "`airgap log verify --statement` checks it, with --trust",
        "prune": "`airgap log verify --statement` checks it, with --trust",
        "want": "the command that cuts what is missing checks it, with --trust",
        "approval": "the command that takes what it approves checks it",
    }
    return "not checked: " + by.get(kind, "`airgap verify` checks it with the delivery that it belongs to")


def _delivery(folder: Path, identities: Identities) -> tuple[Any, list[str]]:
    media = open_media([folder])
    if is_sealed(media.index_bytes) and not identities():
        return _outside(media)
    media, index = open_index(media, identities)
    journey, contents = index.journey, index.contents
    lines = [
        f"delivery {journey.sequence} of stream {journey.stream!r} for {journey.sovereign!r}",
        f"  id       {journey.id}",
        f"  index    {media.digest}",
        f"  created  {utc_text(journey.created)}, expires {utc_text(journey.expires)}",
        f"  volumes  {len(contents.volumes)}, {sum(v.size for v in contents.volumes)} B, {len(contents.blobs)} blobs",
        *(f"  {line}" for line in rests_on_lines(index)),
        f"  signed   {', '.join(sorted(media.signatures)) or 'not signed'}",
        *(["  a selection: these items of its locks, and nothing is said of the others"] if contents.only else []),
        *(f"  {root.kind:<6} {root.item}  {root.digest}" for root in contents.roots),
    ]
    document = decode_json(index.encode())
    try:
        found = judged(media, index)
    except AirgapError as error:
        lines.append(f"  evidence {error}")
    else:
        lines += [f"  {line}" for line in found.lines()]
        document["judged"] = found.as_dict()
    return document, [*lines, NOT_CHECKED]


def _outside(media: Media) -> tuple[Any, list[str]]:
    """What everybody can read of an encrypted delivery."""
    journey, volumes = Sealed.decode(media.index_bytes).journey, volume_files(read_listing(media.index_bytes))
    lines = [
        f"delivery {journey.sequence} of stream {journey.stream!r} for {journey.sovereign!r}, encrypted",
        f"  id       {journey.id}",
        f"  index    {media.digest}",
        f"  created  {utc_text(journey.created)}, expires {utc_text(journey.expires)}",
        f"  volumes  {len(volumes)}, {sum(one.size for one in volumes)} B",
        f"  signed   {', '.join(sorted(media.signatures)) or 'not signed'}",
        "what is in it: `--identity FILE` shows it",
        NOT_CHECKED,
    ]
    return decode_json(media.index_bytes), lines


def _store(folder: Path, now: datetime) -> tuple[Any, list[str]]:
    rows = items(folder)
    lines = [f"store {folder}, {len(rows)} names", *(f"  {row.name}  {row.digest}{_dated(row, now)}" for row in rows)]
    return {"store": str(folder), "items": [row.as_dict() for row in rows]}, lines


def _dated(row: Listed, now: datetime) -> str:
    return f"  {shown_date(row.database, now)}" if row.database else ""
