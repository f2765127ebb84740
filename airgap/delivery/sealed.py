"""The outer AIRGAP.json of an encrypted delivery: it names the encrypted files, and nothing that is in them.

It is what is signed. The ordinary AIRGAP.json is in `AIRGAP.json.age`, and is believed only if this one names its bytes
and both agree. Format: docs/format.md, "An encrypted delivery".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from airgap.base.errors import IntegrityError
from airgap.base.strict_json import parse_json
from airgap.content.lock import API_VERSION
from airgap.delivery.contents import MAX_VOLUMES, volume_name
from airgap.delivery.fields import (
    CUT_AGAIN,
    INDEX_NAME,
    FileSum,
    as_number,
    as_sum,
    as_text,
    check_fields,
    check_spelling,
    index_errors,
)
from airgap.delivery.index import MAX_EVIDENCE, MAX_INDEX, Index, pretty
from airgap.delivery.journey import EVIDENCE_NAME, Evidence, Journey, as_stream, as_time
from airgap.delivery.journey import journey_document as whole_journey
from airgap.delivery.parity import Parity, as_parity, parity_document
from airgap.delivery.sealing.header import MAX_HEADER
from airgap.delivery.sealing.stream import sealed_size

SEALED_SUFFIX = ".age"
SEALED_KIND = "SealedDelivery"
_BEGIN = f'{{\n "apiVersion": "{API_VERSION}",\n "kind": "{SEALED_KIND}",\n'.encode()
"""How each begins: there is one way to write it."""
_JOURNEY = "id stream sequence sovereign created expires"


def is_sealed(data: bytes) -> bool:
    """True if this AIRGAP.json is the outer one of an encrypted delivery. Parses nothing."""
    return data.startswith(_BEGIN)


@dataclass(frozen=True, slots=True)
class Sealed:
    """The parsed outer AIRGAP.json."""

    index: FileSum
    """The file with the ordinary AIRGAP.json."""
    volumes: tuple[FileSum, ...]
    journey: Journey
    """Without what only the ordinary AIRGAP.json says: statements and baselines. Its evidence is the encrypted file."""
    parity: Parity | None = None
    """The files from which lost ones are computed again, as they are on the media, if there are any."""

    @property
    def evidence(self) -> FileSum:
        """The file with evidence.tar."""
        return self.journey.evidence.file

    @property
    def protected(self) -> tuple[FileSum, ...]:
        """The files that `parity` protects, in its order: volumes, evidence.tar.age."""
        return (*self.volumes, self.evidence)

    def encode(self) -> bytes:
        """The file's bytes, laid out as `Index.encode` does."""
        journey = whole_journey(self.journey)
        document: dict[str, Any] = {
            "apiVersion": API_VERSION,
            "kind": SEALED_KIND,
            "files": [one.as_dict() for one in (self.index, self.evidence, *self.volumes)],
            "journey": {name: journey[name] for name in _JOURNEY.split()},
        }
        if self.parity is not None:
            document["parity"] = parity_document(self.parity)
        return (pretty(document, 0) + "\n").encode()

    @classmethod
    def decode(cls, data: bytes) -> Sealed:
        """Parses the file, whose signature must be verified already.

        Raises `TrustError` (`bad-journey`) for an invalid time, `IntegrityError` (`bad-index`) for all other errors.
        """
        document = parse_json(data, INDEX_NAME)
        with index_errors():
            check_fields(document, "apiVersion kind files journey", ["parity"])
            sealed = _parsed(document["files"], document["journey"])
            if "parity" in document:
                sealed = replace(sealed, parity=as_parity(document["parity"], sealed.protected))
        check_spelling(data, sealed.encode())
        return sealed


def _parsed(files: list[object], journey: dict[str, object]) -> Sealed:
    many = len(files) - 2
    if not 1 <= many <= MAX_VOLUMES:
        raise ValueError(f"files: got {many} volumes, expected 1 to {MAX_VOLUMES}")
    names = [INDEX_NAME, EVIDENCE_NAME, *(volume_name(number, many) for number in range(1, many + 1))]
    index, evidence, *volumes = (as_sum(one, name + SEALED_SUFFIX) for one, name in zip(files, names, strict=True))
    for file, most in ((index, MAX_INDEX), (evidence, MAX_EVIDENCE)):
        if file.size > sealed_size(most, MAX_HEADER):
            raise ValueError(f"{file.name}: got {file.size} bytes, expected at most {most} in it")
    check_fields(journey, _JOURNEY)
    return Sealed(
        index,
        tuple(volumes),
        Journey(
            id=as_text(journey["id"]),
            stream=as_stream(journey["stream"]),
            sequence=as_number(journey["sequence"]),
            sovereign=as_text(journey["sovereign"]),
            created=as_time(journey["created"]),
            expires=as_time(journey["expires"]),
            evidence=Evidence(evidence),
        ),
    )


def check_agreement(sealed: Sealed, index: Index) -> None:
    """Checks that the ordinary AIRGAP.json belongs into this outer one. Raises `IntegrityError` (`seal-mismatch`).

    So parts of another delivery cannot be sent again in this one: whoever signs would have to do it.
    """
    outer, inner = whole_journey(sealed.journey), whole_journey(index.journey)
    for name in _JOURNEY.split():
        if outer[name] != inner[name]:
            raise _mismatch(f"journey.{name}: got {inner[name]!r:.80} inside, expected {outer[name]!r:.80}")
    if index.parity is not None:
        raise _mismatch("there are parity files inside, which protect what is outside")
    volumes = index.contents.volumes
    if len(volumes) != len(sealed.volumes):
        raise _mismatch(f"got {len(volumes)} volumes inside, expected {len(sealed.volumes)}")
    pairs = zip((index.journey.evidence.file, *volumes), (sealed.evidence, *sealed.volumes), strict=True)
    for plain, file in pairs:
        if not sealed_size(plain.size, 0) < file.size <= sealed_size(plain.size, MAX_HEADER):
            raise _mismatch(f"{file.name}: {file.size} bytes cannot be {plain.name} with {plain.size} bytes, encrypted")


def _mismatch(what: str) -> IntegrityError:
    return IntegrityError("seal-mismatch", f"{INDEX_NAME} and what is encrypted disagree: {what}", CUT_AGAIN)
