"""`Beat`: the sign of life of a sender, with what it sent last: a delivery of which nothing arrived is missed, too."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError
from airgap.base.strict_json import decode_json
from airgap.base.times import utc_text, utc_time
from airgap.delivery.fields import as_number, as_text, check_fields

MAX_BEAT = 16 << 10
"""Bytes of an encoded beat."""
MAX_SENT = 20
"""Deliveries that a beat names: the last ones."""
DEFAULT_EVERY = 30
"""Seconds between two beats of a service."""


@dataclass(frozen=True, slots=True)
class SentBefore:
    """A delivery that the sender sent."""

    delivery: Digest
    sovereign: str
    stream: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Beat:
    """One sign of life."""

    at: datetime
    """When it was made, by the sender's clock. An older one than the last is a replay."""
    every: int
    """Seconds until the next."""
    sent: tuple[SentBefore, ...] = ()

    def encode(self) -> bytes:
        """The bytes of a beat: JSON."""
        sent = [asdict(one) for one in self.sent[-MAX_SENT:]]
        value = {"at": utc_text(self.at), "every": self.every, "sent": sent}
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes) -> Beat:
        """Reads the bytes of a beat. Raises `ValueError` for anything else."""
        if len(data) > MAX_BEAT:
            raise ValueError(f"a beat: got {len(data)} bytes, expected at most {MAX_BEAT}")
        try:
            value = decode_json(data)
            check_fields(value, "at every sent")
            for one in value["sent"][:MAX_SENT]:
                check_fields(one, "delivery sovereign stream sequence")
            return cls(
                utc_time(as_text(value["at"])),
                as_number(value["every"]),
                tuple(
                    SentBefore(
                        Digest(one["delivery"]),
                        as_text(one["sovereign"]),
                        as_text(one["stream"]),
                        as_number(one["sequence"]),
                    )
                    for one in value["sent"][:MAX_SENT]
                ),
            )
        except (AirgapError, TypeError, KeyError) as error:
            raise ValueError(f"not a beat: {error}") from error
