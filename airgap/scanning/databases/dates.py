"""The own dates of the databases in a store. They are noted when they are pulled: to see one, all is unpacked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import IntegrityError
from airgap.base.json_fields import Fields
from airgap.base.times import utc_time
from airgap.content.graph import Node
from airgap.content.scanner_database import DATABASE_TYPES, shown_database
from airgap.scanning.databases.read import DatabaseInfo, artifact_of, read_info
from airgap.station.files import store_records
from airgap.store.layout import Layout

_NAMES, _MAYBE = frozenset({"name", "digest", "updated"}), frozenset({"nextUpdate", "version"})


def database_info(store: Layout, node: Node, *, note: bool = False) -> DatabaseInfo | None:
    """What the database with this manifest says about itself, `None` if it is none.

    By what was noted when it was pulled; else all of it is unpacked, some 300 MB a second, and with `note` the answer
    is noted. It is for people: a station that judges reads the database itself. Raises `IntegrityError`, `StoreError`.
    """
    artifact = artifact_of(node)
    if artifact is None:
        return None
    records = store_records(store.path)
    noted = records.database_info(artifact.digest)
    found = None if noted is None else _read(noted, artifact.digest)
    if found is None or found.type != artifact.type:
        found = read_info(artifact, store)
        if note:
            records.save_database_info(artifact.digest, canonical(found.as_dict()))
    return found


def dated(info: DatabaseInfo, now: datetime) -> str:
    """Its name, version, date and age in words: `trivy-db 2 of 2026-11-29T06:12:33Z, 5 hours old`."""
    return shown_date(info.as_dict(), now)


def shown_date(said: Mapping[str, str] | None, now: datetime) -> str:
    """The same of what `airgap ls` lists: in a lock, when it was pushed stands for its own date. `""` for nothing."""
    if not said:
        return ""
    date, created = said.get("updated"), said.get("created")
    if date is None:
        return f"{shown_database(said)}, {age(now - utc_time(created))}" if created else said["name"]
    version = f" {said['version']}" if "version" in said else ""
    return f"{said['name']}{version} of {date}, {age(now - utc_time(date))}"


def age(span: timedelta) -> str:
    """How old something is, in words."""
    hours = int(span.total_seconds() // 3600)
    if hours < 0:
        return "in the future"
    return f"{hours // 24} days old" if hours >= 72 else f"{hours} hours old"


def _read(data: bytes, digest: Digest) -> DatabaseInfo | None:
    """A note; `None` if it is damaged, or of another version of airgap."""
    try:
        fields = Fields.parse(data, _NAMES, "the note", lambda what: IntegrityError("bad-json", what), _MAYBE)
        name = fields.text("name", 100)
        return next(
            DatabaseInfo(
                one,
                digest,
                fields.time("updated"),
                fields.time("nextUpdate") if fields.has("nextUpdate") else None,
                fields.text("version", 60) if fields.has("version") else "",
            )
            for one in DATABASE_TYPES
            if one.name == name and fields.digest("digest") == digest
        )
    except (IntegrityError, StopIteration):
        return None
