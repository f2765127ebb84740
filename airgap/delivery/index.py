"""AIRGAP.json, the delivery index: small and readable. It is hashed first, and parsed only if a signature is valid.

Format: docs/format.md, "AIRGAP.json". `contents` is a function of locks, roots, baseline and volume size; `journey`
describes one crossing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from airgap.base.errors import IntegrityError
from airgap.base.strict_json import parse_json
from airgap.content.lock import API_VERSION
from airgap.delivery.contents import Contents, as_contents, check_extents, check_omitted, contents_document
from airgap.delivery.fields import INDEX_NAME, FileSum, as_text, check_fields, check_spelling, index_errors
from airgap.delivery.journey import Journey, as_journey, journey_document
from airgap.delivery.parity import Parity, as_parity, parity_document

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


@dataclass(frozen=True, slots=True)
class Index:
    """The parsed AIRGAP.json."""

    contents: Contents
    journey: Journey
    parity: Parity | None = None
    """The files from which lost ones are computed again, if there are any."""

    @property
    def protected(self) -> tuple[FileSum, ...]:
        """The files that `parity` protects, in its order: volumes, evidence.tar."""
        return (*self.contents.volumes, self.journey.evidence.file)

    def encode(self) -> bytes:
        """The file's bytes, with one blob, root or volume per line, so that it is readable and easy to diff."""
        document: dict[str, Any] = {
            "apiVersion": API_VERSION,
            "kind": "Delivery",
            "contents": contents_document(self.contents),
            "journey": journey_document(self.journey),
        }
        if self.parity is not None:
            document["parity"] = parity_document(self.parity)
        return (pretty(document, 0) + "\n").encode()

    @classmethod
    def decode(cls, data: bytes) -> Index:
        """Parses AIRGAP.json, whose signature must be verified already.

        Raises `TrustError` (`bad-journey`) for an invalid time, `IntegrityError` (`unknown-version`) for a format with
        a newer major version, `IntegrityError` (`bad-index`) for all other errors.
        """
        if len(data) > MAX_INDEX:
            raise IntegrityError("bad-index", f"{INDEX_NAME}: more than {MAX_INDEX} bytes")
        document = parse_json(data, INDEX_NAME)
        with index_errors():
            version = as_text(document["apiVersion"])
            if version != API_VERSION:
                raise IntegrityError(
                    "unknown-version",
                    f"{INDEX_NAME}: apiVersion: got {version!r:.80}, expected {API_VERSION}",
                    f"import it with a version of airgap that supports {version!r:.80}",
                )
            if document["kind"] != "Delivery":
                what = f"{INDEX_NAME}: kind: got {document['kind']!r:.80}, expected Delivery"
                raise IntegrityError("bad-index", what)
            check_fields(document, "apiVersion kind contents journey", ["parity"])
            index = cls(as_contents(document["contents"]), as_journey(document["journey"]))
            if "parity" in document:
                index = replace(index, parity=as_parity(document["parity"], index.protected))
        check_extents(index.contents)
        check_omitted(index.contents, len(index.journey.based_on))
        check_spelling(data, index.encode())
        return index


def pretty(value: Any, depth: int) -> str:
    """JSON with one entry per line down to the third level, compact below."""
    if not isinstance(value, dict | list) or not value or depth > 2:
        return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    pad = " " * (depth + 1)
    if isinstance(value, dict):
        lines = [
            f"{pad}{json.dumps(key, ensure_ascii=False)}: {pretty(entry, depth + 1)}" for key, entry in value.items()
        ]
        return "{\n" + ",\n".join(lines) + "\n" + " " * depth + "}"
    return "[\n" + ",\n".join(pad + pretty(entry, depth + 1) for entry in value) + "\n" + " " * depth + "]"
