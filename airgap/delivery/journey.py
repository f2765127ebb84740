"""`journey` of AIRGAP.json: one crossing. Format: docs/format.md, "AIRGAP.json"."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from airgap.base.digest import Digest
from airgap.base.errors import TrustError
from airgap.base.times import utc_text, utc_time
from airgap.delivery.fields import CUT_AGAIN, INDEX_NAME, FileSum, as_number, as_sum, as_text, check_fields

EVIDENCE_NAME = "evidence.tar"
MAX_STREAM = 220
"""Bytes of a stream's name in the file name of a receipt, which has room for 255 (`airgap.station.receipts`)."""
MAX_BASELINES = 1000
"""Earlier deliveries that one delta may rest on: three years of one a day."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """evidence.tar and the statements in it, as (predicate type, digest of the bundle's bytes)."""

    file: FileSum
    statements: tuple[tuple[str, Digest], ...] = ()


@dataclass(frozen=True, slots=True)
class Baseline:
    """An earlier delivery to the same Sovereign, and the receipts that prove what of it is inside."""

    delivery: Digest
    """Of its AIRGAP.json."""
    receipts: tuple[Digest, ...] = ()
    """Of the bytes of the receipts; empty if the cutter took the delivery's word for it."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {"delivery": str(self.delivery), "receipts": [str(digest) for digest in self.receipts]}


@dataclass(frozen=True, slots=True)
class Journey:
    """The data of one crossing: the Sovereign it is for, stream and number in it, creation and expiry."""

    id: str
    stream: str
    sequence: int
    sovereign: str
    created: datetime
    expires: datetime
    evidence: Evidence
    based_on: tuple[Baseline, ...] = ()
    """What this delivery rests on; empty if it is complete in itself."""


def stream_complaint(stream: str) -> str:
    """Why the receipt of a delivery in this stream could not be kept under its name; `""` if it can be."""
    size = len(quote(stream, safe=""))
    if size > MAX_STREAM:
        return f"stream {stream!r:.80}: got {size} bytes in a receipt's file name, expected at most {MAX_STREAM}"
    return ""


def as_stream(value: Any) -> str:
    """The name of a stream whose receipt can be kept. Raises `ValueError`."""
    stream = as_text(value)
    if wrong := stream_complaint(stream):
        raise ValueError(wrong)
    return stream


def as_time(value: Any) -> datetime:
    """A time. Raises `ValueError`, `TrustError` (`bad-journey`)."""
    text = as_text(value)
    try:
        return utc_time(text)
    except ValueError as error:
        what = f"{INDEX_NAME}: journey: created or expires: {error}"
        raise TrustError("bad-journey", what, CUT_AGAIN) from error


def as_journey(value: Any) -> Journey:
    """Parses `journey`. Raises `ValueError`, `TypeError`, `KeyError`, `TrustError`, `IntegrityError` (`bad-index`)."""
    check_fields(value, "id stream sequence sovereign created expires basedOn evidence")
    check_fields(value["evidence"], "name sha256 size list")
    for statement in value["evidence"]["list"]:
        check_fields(statement, "predicateType digest")
    return Journey(
        id=as_text(value["id"]),
        stream=as_stream(value["stream"]),
        sequence=as_number(value["sequence"]),
        sovereign=as_text(value["sovereign"]),
        created=as_time(value["created"]),
        expires=as_time(value["expires"]),
        based_on=_baselines(value["basedOn"]),
        evidence=Evidence(
            as_sum({name: value["evidence"][name] for name in ("name", "sha256", "size")}, EVIDENCE_NAME),
            tuple((as_text(s["predicateType"]), Digest(s["digest"])) for s in value["evidence"]["list"]),
        ),
    )


def _baselines(value: Any) -> tuple[Baseline, ...]:
    if value is None:
        return ()
    if not 1 <= len(value) <= MAX_BASELINES:
        raise ValueError(f"basedOn: got {len(value)} deliveries, expected 1 to {MAX_BASELINES}")
    for one in value:
        check_fields(one, "delivery receipts")
    return tuple(Baseline(Digest(one["delivery"]), tuple(map(Digest, one["receipts"]))) for one in value)


def journey_document(journey: Journey) -> dict[str, Any]:
    """The JSON object."""
    return {
        "id": journey.id,
        "stream": journey.stream,
        "sequence": journey.sequence,
        "sovereign": journey.sovereign,
        "created": utc_text(journey.created),
        "expires": utc_text(journey.expires),
        "basedOn": [one.as_dict() for one in journey.based_on] or None,
        "evidence": {
            **journey.evidence.file.as_dict(),
            "list": [{"predicateType": kind, "digest": str(digest)} for kind, digest in journey.evidence.statements],
        },
    }
