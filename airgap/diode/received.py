"""What an inbox received: one line a delivery, so that one that comes again is known, also after it was imported."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from airgap.base.digest import Digest
from airgap.base.disk import disk_errors, write_durably
from airgap.base.errors import AirgapError
from airgap.base.inputs import read_plain
from airgap.base.strict_json import decode_json
from airgap.delivery.fields import as_number, as_text
from airgap.delivery.journey import Journey

MAX_RECEIVED = 10_000
"""Deliveries that are remembered: the newest ones."""
_MAX_FILE = 16 << 20
"""Bytes of the list that are read."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A delivery that was received, whole and verified."""

    digest: Digest
    """Of its AIRGAP.json."""
    folder: str
    """The name of its folder in the inbox."""
    stream: str
    sequence: int
    bytes: int
    at: str
    """When it was finished (RFC 3339)."""


class Received:
    """The list in a file, oldest first. Damaged lines are left out: the delivery would only be received again."""

    def __init__(self, path: Path) -> None:
        """Reads the list. Raises `StoreError`."""
        self._path = path
        data = b""
        with disk_errors(path):
            if path.exists():
                data = read_plain(path, _MAX_FILE) or b""
        self._found: dict[Digest, Arrived] = {}
        for line in data.splitlines():
            if (one := _arrived(line)) is not None:
                self._found[one.digest] = one

    def find(self, digest: Digest) -> Arrived | None:
        """The delivery, if it was received."""
        return self._found.get(digest)

    def newest(self, stream: str) -> Arrived | None:
        """The delivery of the highest number in a stream."""
        return max(
            (one for one in self._found.values() if one.stream == stream), key=lambda one: one.sequence, default=None
        )

    def all(self) -> list[Arrived]:
        """All of them, oldest first."""
        return list(self._found.values())

    def add(self, arrived: Arrived) -> None:
        """Adds one, durably. Raises `StoreError`."""
        self._found.pop(arrived.digest, None)
        self._found[arrived.digest] = arrived
        for digest in list(self._found)[:-MAX_RECEIVED]:
            del self._found[digest]
        lines = [json.dumps(asdict(one), ensure_ascii=False, sort_keys=True) + "\n" for one in self._found.values()]
        write_durably(self._path, "".join(lines).encode(), 0o600)


def _arrived(line: bytes) -> Arrived | None:
    try:
        value = decode_json(line)
        folder, stream, at = (as_text(value[name]) for name in ("folder", "stream", "at"))
        sequence, size = (as_number(value[name]) for name in ("sequence", "bytes"))
        digest = Digest(value["digest"])
    except (AirgapError, ValueError, TypeError, KeyError):
        return None
    return None if folder.startswith(".") or "/" in folder else Arrived(digest, folder, stream, sequence, size, at)


def folder_name(journey: Journey, digest: Digest) -> str:
    """The name of a delivery's folder: stream, number, and the beginning of the digest of AIRGAP.json."""
    stream = quote(journey.stream, safe="")
    stream = f"%2E{stream[1:]}" if stream.startswith(".") else stream
    return f"{stream}-{journey.sequence:04d}-{digest.hex[:12]}"
