"""Reads other parties' in-toto statements, strictly. airgap's own are in `airgap.statements.statement`, and narrower.

Source: in-toto attestation framework, spec v1.1 (statement.md, resource_descriptor.md) and v0.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airgap.base.json_fields import Fields
from airgap.signatures.formats.strict import fields, outline, refusing, sequence
from airgap.signatures.record import AttestedStatement, Refusal
from airgap.statements.dsse import PAYLOAD_TYPE

TYPES = frozenset({"https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"})
MAX_SUBJECTS = 1024
"""Subjects of a statement: as many as cosign reads."""
MAX_DIGESTS = 32
"""Algorithms in one digest set: there are about ten in use."""
_TEXTS = frozenset({"name", "uri", "downloadLocation", "mediaType"})
_DESCRIPTOR = _TEXTS | {"content", "annotations"}
"""Fields of a v1 resource descriptor in addition to `digest`. v0.1 has only the name; the others do no harm there."""
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*\Z")


def parse_statement(payload: bytes, payload_type: str) -> AttestedStatement:
    """The statement in an envelope's payload.

    1. The payload type is in-toto's. 2. Strict JSON with exactly the fields of a statement. 3. v1 or v0.1. 4. Between
    1 and 1024 subjects, each with a digest set. A sha256 is 64 lower-case hex digits, so that it has one spelling.
    Raises `Refusal` (`wrong-payload-type`, `bad-payload`, `duplicate-key`, `too-many`).
    """
    # 1.
    if payload_type != PAYLOAD_TYPE:
        raise Refusal("wrong-payload-type", f"got {payload_type[:200]!r}, expected {PAYLOAD_TYPE}")
    with refusing():
        # 2.
        statement = fields(
            outline(payload, "statement", "bad-payload", "predicate"),
            {"_type", "subject", "predicateType"},
            "statement",
            "bad-payload",
            frozenset({"predicate"}),
        )
        # 3.
        statement.choice("_type", TYPES)
        predicate_type = statement.text("predicateType")
        if not predicate_type:
            raise Refusal("bad-payload", "statement: predicateType is empty")
        predicate = statement.values.get("predicate", {})
        if predicate != {} and not isinstance(predicate, str):
            raise Refusal("bad-payload", "statement: predicate: expected an object or a string")
        # 4.
        subjects = tuple(
            _digests(value, f"statement: subject[{number}]")
            for number, value in enumerate(sequence(statement, "subject", MAX_SUBJECTS))
        )
    if not subjects:
        raise Refusal("bad-payload", "statement: no subject")
    return AttestedStatement(payload, subjects, predicate_type, isinstance(predicate, str))


def _digests(value: Any, where: str) -> Mapping[str, str]:
    subject = fields(value, {"digest"}, where, "bad-payload", _DESCRIPTOR)
    for name in _TEXTS & set(subject.values):
        subject.text(name)
    if subject.has("content"):
        subject.binary("content")
    if not isinstance(subject.values.get("annotations", {}), dict):
        raise Refusal("bad-payload", f"{where}: annotations: expected an object")
    digests = subject.values["digest"]
    if not isinstance(digests, dict) or not 1 <= len(digests) <= MAX_DIGESTS:
        raise Refusal("bad-payload", f"{where}: digest: expected 1 to {MAX_DIGESTS} digests")
    named = Fields(digests, f"{where}: digest", subject.refuse)
    found = {algorithm: named.text(algorithm) for algorithm in digests}
    if "sha256" in found and not _SHA256.match(found["sha256"]):
        raise Refusal("bad-payload", f"{where}: sha256: expected 64 lower-case hex digits")
    # cosign reads every digest as hex, and refuses a statement with any other.
    if not all(map(_HEX.match, found.values())):
        raise Refusal("bad-payload", f"{where}: digest: expected hex digits")
    return found
