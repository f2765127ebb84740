"""What was sent over a one-way road: *sent*, until somebody enters the receipt code of the other side: *delivered*.

One file a delivery, `airgap/sent/<hex of AIRGAP.json>.json`, in the store's records. It is for people and for the next
send; nothing is believed because of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from airgap.base.digest import Digest, is_digest
from airgap.base.disk import disk_errors, make_folder, mode_in, write_durably
from airgap.base.errors import AirgapError, StoreError
from airgap.base.inputs import read_plain
from airgap.base.locks import locked
from airgap.base.strict_json import decode_json
from airgap.delivery.fields import as_number, as_text, check_fields

SENT = "sent"
"""The folder in the records."""
_MAX = 1 << 20
"""Bytes of one record."""
_FIELDS = "delivery stream sequence sovereign folders to first last times deliveredAt"


@dataclass(frozen=True, slots=True)
class Sent:
    """One delivery that was sent."""

    delivery: Digest
    stream: str
    sequence: int
    sovereign: str
    folders: tuple[str, ...]
    """Where it lay when it was sent last."""
    to: str
    """The road by which it was sent last."""
    first: str
    """When it was sent first (RFC 3339)."""
    last: str
    times: int = 1
    """How often it was sent, or parts of it."""
    delivered_at: str = ""
    """When its receipt code was entered; empty as long as it was only sent."""

    @property
    def state(self) -> str:
        """`sent` or `delivered`."""
        return "delivered" if self.delivered_at else "sent"

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        made = {name: value for name, value in asdict(self).items() if name != "delivered_at"}
        return {**made, "folders": list(self.folders), "deliveredAt": self.delivered_at}


class SentRecords:
    """The records in a folder."""

    def __init__(self, records: Path) -> None:
        """`records` is the folder of a store's records, `STORE/airgap`."""
        self._folder = records / SENT

    def all(self) -> list[Sent]:
        """All of them, in the order in which they were sent first. Damaged ones are left out. Raises `StoreError`."""
        with disk_errors(self._folder):
            paths = sorted(self._folder.glob("*.json"))
        found = [one for one in map(_read, paths) if one is not None]
        return sorted(found, key=lambda one: (one.first, one.stream, one.sequence))

    def find(self, delivery: Digest) -> Sent | None:
        """The record of a delivery; `None` if it was not sent, or its record is damaged. Raises `StoreError`."""
        return _read(self._path(delivery))

    def save_sent(self, sent: Sent) -> None:
        """Notes that a delivery, or a part of it, was sent. Raises `StoreError`."""
        with self._alone():
            before = self.find(sent.delivery)
            if before is not None:
                sent = replace(sent, first=before.first, times=before.times + 1, delivered_at=before.delivered_at)
            self._write(sent)

    def save_delivered(self, delivery: Digest, at: str) -> Sent:
        """Notes that a delivery arrived, once. Raises `StoreError` (`not-sent`)."""
        with self._alone():
            before = self.find(delivery)
            if before is None:
                raise StoreError("not-sent", f"{delivery} was not sent from this store", "name the store that sent it")
            after = before if before.delivered_at else replace(before, delivered_at=at)
            self._write(after)
            return after

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Holds the road: one process at a time sends from a store. Raises `StoreError`."""
        make_folder(self._folder)
        with locked(self._folder / ".sending.lock"):
            yield

    @contextmanager
    def _alone(self) -> Iterator[None]:
        make_folder(self._folder)
        with locked(self._folder / ".lock"):
            yield

    def _path(self, delivery: Digest) -> Path:
        return self._folder / f"{delivery.hex}.json"

    def _write(self, sent: Sent) -> None:
        path = self._path(sent.delivery)
        with disk_errors(path):
            mode = mode_in(path.parent)
        text = json.dumps(sent.as_dict(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"
        write_durably(path, text.encode(), mode)


def _read(path: Path) -> Sent | None:
    if not is_digest(f"sha256:{path.stem}"):
        return None
    with disk_errors(path):
        data = read_plain(path, _MAX) if os.path.lexists(path) else None
    try:
        value = decode_json(data or b"")
        check_fields(value, _FIELDS)
        if value["delivery"] != f"sha256:{path.stem}":
            return None
        return Sent(
            Digest(value["delivery"]),
            as_text(value["stream"]),
            as_number(value["sequence"]),
            as_text(value["sovereign"]),
            tuple(str(one) for one in value["folders"]),
            str(value["to"]),
            as_text(value["first"]),
            as_text(value["last"]),
            as_number(value["times"]),
            str(value["deliveredAt"]),
        )
    except (AirgapError, ValueError, TypeError, KeyError):
        return None
