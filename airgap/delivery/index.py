"""AIRGAP.json, the delivery index: small and readable. It is hashed first, and parsed only if a signature is valid.

Format: docs/format.md, "AIRGAP.json". `contents` is a function of locks, roots, baseline and volume size; `journey`
describes one crossing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, IntegrityError, TrustError
from airgap.base.json_fields import MAX_NUMBER, plain_complaint
from airgap.base.strict_json import parse_json
from airgap.base.times import utc_text, utc_time
from airgap.content.lock import API_VERSION, MAX_ITEM_NAME

INDEX_NAME = "AIRGAP.json"
EVIDENCE_NAME = "evidence.tar"
SIGNATURES = "signatures"
SIGNATURE_SUFFIX = ".sigstore.json"
SUMS_NAME = "SHA256SUMS"
README_NAME = "README.txt"
MAX_INDEX = 64 << 20
"""Bytes of AIRGAP.json: about half a million blobs."""
MAX_SIGNATURES = 32
MAX_SIGNATURE = 1 << 20
MAX_EVIDENCE = 1 << 30
"""Bytes of evidence.tar: sixteen locks of the largest size."""
MAX_STREAM = 220
"""Bytes of a stream's name in the file name of a receipt, which has room for 255 (`airgap.station.receipts`)."""
CUT_AGAIN = "have the delivery cut again"
"""The next step if the delivery itself is wrong."""

MAX_VOLUMES = 9999
"""The largest number that fits the digits in the file names."""

_HEX = re.compile(r"[0-9a-f]{64}\Z")
_BLOCK = 512
"""Bytes of a block of a tar: a file's header takes one, and its content begins at the next."""


@dataclass(frozen=True, slots=True)
class Root:
    """One item and the digest of its graph."""

    item: str
    kind: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class FileSum:
    """A file of the delivery: name, sha256 (64 hex digits) and size in bytes."""

    name: str
    sha256: str
    size: int

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {"name": self.name, "sha256": self.sha256, "size": self.size}


@dataclass(frozen=True, slots=True)
class Extent:
    """A piece of a blob: volume number from 1, offset of its first byte in that file, length in bytes."""

    volume: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Contents:
    """The content of the delivery: the same locks, roots, baseline and volume size give the same bytes."""

    locks: tuple[Digest, ...]
    roots: tuple[Root, ...]
    volumes: tuple[FileSum, ...]
    blobs: Mapping[Digest, tuple[Extent, ...]]

    def size(self, digest: Digest) -> int:
        """The size of a blob in bytes."""
        return sum(extent.length for extent in self.blobs[digest])


@dataclass(frozen=True, slots=True)
class Evidence:
    """evidence.tar and the statements in it, as (predicate type, digest of the bundle's bytes)."""

    file: FileSum
    statements: tuple[tuple[str, Digest], ...] = ()


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
    based_on: str = ""
    """The digest of the AIRGAP.json that this delivery continues; `""` if it is complete in itself."""


@dataclass(frozen=True, slots=True)
class Index:
    """The parsed AIRGAP.json."""

    contents: Contents
    journey: Journey

    def encode(self) -> bytes:
        """The file's bytes, with one blob, root or volume per line, so that it is readable and easy to diff."""
        return (_pretty(self._document(), 0) + "\n").encode()

    def _document(self) -> dict[str, Any]:
        contents, journey = self.contents, self.journey
        blobs = {
            str(digest): [[e.volume, e.offset, e.length] for e in extents] for digest, extents in contents.blobs.items()
        }
        return {
            "apiVersion": API_VERSION,
            "kind": "Delivery",
            "contents": {
                "locks": [str(digest) for digest in contents.locks],
                "roots": [
                    {"item": root.item, "kind": root.kind, "digest": str(root.digest)} for root in contents.roots
                ],
                "volumes": [volume.as_dict() for volume in contents.volumes],
                "blobs": blobs,
            },
            "journey": {
                "id": journey.id,
                "stream": journey.stream,
                "sequence": journey.sequence,
                "sovereign": journey.sovereign,
                "created": utc_text(journey.created),
                "expires": utc_text(journey.expires),
                "basedOn": journey.based_on or None,
                "evidence": {
                    **journey.evidence.file.as_dict(),
                    "list": [
                        {"predicateType": kind, "digest": str(digest)} for kind, digest in journey.evidence.statements
                    ],
                },
            },
        }

    @classmethod
    def decode(cls, data: bytes) -> Index:
        """Parses AIRGAP.json, whose signature must be verified already.

        Raises `TrustError` (`bad-journey`) for an invalid time, `IntegrityError` (`unknown-version`) for a format with
        a newer major version, `IntegrityError` (`bad-index`) for all other errors.
        """
        if len(data) > MAX_INDEX:
            raise IntegrityError("bad-index", f"{INDEX_NAME}: more than {MAX_INDEX} bytes")
        document = parse_json(data, INDEX_NAME)
        try:
            version = _text(document["apiVersion"])
            if version != API_VERSION:
                raise IntegrityError(
                    "unknown-version",
                    f"{INDEX_NAME}: apiVersion: got {version!r:.80}, expected {API_VERSION}",
                    f"import it with a version of airgap that supports {version!r:.80}",
                )
            if document["kind"] != "Delivery":
                what = f"{INDEX_NAME}: kind: got {document['kind']!r:.80}, expected Delivery"
                raise IntegrityError("bad-index", what)
            _fields(document, "apiVersion kind contents journey")
            index = cls(_contents(document["contents"]), _journey(document["journey"]))
        except (IntegrityError, TrustError):
            raise
        except (AirgapError, KeyError, TypeError, ValueError, AttributeError) as error:
            why = error.what if isinstance(error, AirgapError) else f"{type(error).__name__}: {error}"
            raise IntegrityError("bad-index", f"{INDEX_NAME}: {why}") from error
        _check_extents(index.contents)
        if index.encode() != data:
            raise IntegrityError("bad-index", f"{INDEX_NAME}: the bytes differ from what airgap writes")
        return index


def volume_name(number: int, count: int) -> str:
    """`vol-0001-of-0007.tar`."""
    return f"vol-{number:04d}-of-{count:04d}.tar"


def _pretty(value: Any, depth: int) -> str:
    """JSON with one entry per line down to the third level, compact below."""
    if not isinstance(value, dict | list) or not value or depth > 2:
        return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    pad = " " * (depth + 1)
    if isinstance(value, dict):
        lines = [
            f"{pad}{json.dumps(key, ensure_ascii=False)}: {_pretty(entry, depth + 1)}" for key, entry in value.items()
        ]
        return "{\n" + ",\n".join(lines) + "\n" + " " * depth + "}"
    return "[\n" + ",\n".join(pad + _pretty(entry, depth + 1) for entry in value) + "\n" + " " * depth + "]"


def _fields(value: Any, names: str) -> None:
    if not isinstance(value, dict):
        raise TypeError(f"got {type(value).__name__}, expected an object with {names}")
    odd = sorted(set(value) ^ set(names.split()))
    if odd:
        raise IntegrityError("bad-index", f"{INDEX_NAME}: unknown or missing field {odd[0]!r:.80}")


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_NUMBER:
        raise ValueError(f"got {value!r:.80}, expected a whole number from 0 to {MAX_NUMBER}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"got {value!r:.80}, expected a string")
    if wrong := plain_complaint(value, MAX_ITEM_NAME):
        raise ValueError(f"{value!r:.80}: {wrong}")
    return value


def stream_complaint(stream: str) -> str:
    """Why the receipt of a delivery in this stream could not be kept under its name; `""` if it can be."""
    size = len(quote(stream, safe=""))
    if size > MAX_STREAM:
        return f"stream {stream!r:.80}: got {size} bytes in a receipt's file name, expected at most {MAX_STREAM}"
    return ""


def _stream(value: Any) -> str:
    stream = _text(value)
    if wrong := stream_complaint(stream):
        raise ValueError(wrong)
    return stream


def _time(value: Any) -> datetime:
    text = _text(value)
    try:
        return utc_time(text)
    except ValueError as error:
        what = f"{INDEX_NAME}: journey: created or expires: {error}"
        raise TrustError("bad-journey", what, CUT_AGAIN) from error


def _sum(value: Any, expected_name: str) -> FileSum:
    if value["name"] != expected_name:
        raise ValueError(f"file name: got {value['name']!r:.80}, expected {expected_name!r}")
    if not _HEX.match(_text(value["sha256"])):
        raise ValueError(f"sha256 of {expected_name}: got {value['sha256']!r:.80}, expected 64 hex digits")
    return FileSum(expected_name, value["sha256"], _number(value["size"]))


def _contents(value: Any) -> Contents:
    _fields(value, "locks roots volumes blobs")
    volumes = value["volumes"]
    if not 1 <= len(volumes) <= MAX_VOLUMES:
        raise ValueError(f"volumes: got {len(volumes)}, expected 1 to {MAX_VOLUMES}")
    for volume in volumes:
        _fields(volume, "name sha256 size")
    for root in value["roots"]:
        _fields(root, "item kind digest")
    return Contents(
        tuple(Digest(digest) for digest in value["locks"]),
        tuple(Root(_text(r["item"]), _text(r["kind"]), Digest(r["digest"])) for r in value["roots"]),
        tuple(_sum(v, volume_name(n, len(volumes))) for n, v in enumerate(volumes, 1)),
        {
            Digest(digest): tuple(Extent(*map(_number, extent)) for extent in extents)
            for digest, extents in value["blobs"].items()
        },
    )


def _journey(value: Any) -> Journey:
    _fields(value, "id stream sequence sovereign created expires basedOn evidence")
    _fields(value["evidence"], "name sha256 size list")
    for statement in value["evidence"]["list"]:
        _fields(statement, "predicateType digest")
    return Journey(
        id=_text(value["id"]),
        stream=_stream(value["stream"]),
        sequence=_number(value["sequence"]),
        sovereign=_text(value["sovereign"]),
        created=_time(value["created"]),
        expires=_time(value["expires"]),
        based_on="" if value["basedOn"] is None else _text(value["basedOn"]),
        evidence=Evidence(
            _sum(value["evidence"], EVIDENCE_NAME),
            tuple((_text(s["predicateType"]), Digest(s["digest"])) for s in value["evidence"]["list"]),
        ),
    )


def _check_extents(contents: Contents) -> None:
    """Checks that the blobs fit into the volumes: no byte is in two of them, and each has room for its tar header.

    So what a delivery holds is not more than what its media hold, and the number of extents is bounded too. Takes
    O(n log n). Raises `IntegrityError` (`bad-index`).
    """
    placed: list[tuple[int, int, int, Digest]] = []
    for digest, extents in contents.blobs.items():
        for number, extent in enumerate(extents):
            if extent.volume != extents[0].volume + number:
                raise _bad_extents(f"{digest}: its parts are not in one volume after the other")
            if not 1 <= extent.volume <= len(contents.volumes):
                raise _bad_extents(f"{digest} is in volume {extent.volume}, which does not exist")
            volume = contents.volumes[extent.volume - 1]
            if extent.offset + extent.length > volume.size:
                raise _bad_extents(f"{digest} reaches beyond the end of {volume.name}")
            if not extent.length and len(extents) > 1:
                raise _bad_extents(f"{digest} has a part without a byte")
            placed.append((extent.volume, extent.offset, extent.length, digest))
        if not extents:
            raise _bad_extents(f"{digest} is in no volume")
    placed.sort()
    before, end = 0, 0
    for at, offset, length, digest in placed:
        end = end if at == before else 0
        if offset < end + _BLOCK or offset % _BLOCK:
            raise _bad_extents(f"{digest}: byte {offset} of volume {at} is not where a file of a tar can begin")
        before, end = at, offset + length + -length % _BLOCK


def _bad_extents(what: str) -> IntegrityError:
    return IntegrityError("bad-index", f"{INDEX_NAME}: {what}", CUT_AGAIN)
