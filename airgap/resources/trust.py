"""A Trust document as a value: the public keys are read here, so that what decides is one set of bytes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airgap.base.errors import InputError
from airgap.base.inputs import read_input
from airgap.resources.model import Revocation, Trust, TrustedKey
from airgap.resources.problems import Steps, quoted
from airgap.resources.reader import DocumentReader
from airgap.resources.references import parse_time

MAX_PUBLIC_KEY = 64 << 10
"""Bytes of a PEM public key: an RSA key of 16384 bits needs 3 KiB."""
UNKNOWN_TIME = datetime.min.replace(tzinfo=UTC)
"""Stands for a time that could not be read; such a document is refused anyhow."""


def trust(reader: DocumentReader, raw: bytes) -> Trust:
    """Reads a Trust document and its key files; what is wrong ends up in `reader.problems`."""
    names: dict[str, Steps] = {}
    material: dict[str, Steps] = {}
    keys = []
    for steps, entry in reader.entries("keys"):
        keys.append(_key(reader, steps, entry, material))
        reader.unique(names, (*steps, "name"), entry["name"], f"the name {quoted(entry['name'])}")
    _, spec = reader.spec()
    require = tuple((spec or {}).get("require", ("delivery",)))
    seen: dict[str, Steps] = {}
    for index, statement in enumerate(require if spec else ()):
        reader.unique(seen, ("spec", "require", index), statement, quoted(statement))
    if "delivery" not in require:
        # Without it nothing would have to sign AIRGAP.json, which is what every other check hangs on.
        reader.bad(("spec", "require"), "'delivery' is missing, expected it in every list")
    return Trust((spec or {}).get("sovereign", ""), tuple(keys), require, raw)


def _key(reader: DocumentReader, steps: Steps, entry: Mapping[str, Any], material: dict[str, Steps]) -> TrustedKey:
    at = (*steps, "publicKeyFile")
    pem = public_key(reader, at, entry["publicKeyFile"], material)
    not_before = _time(reader, (*steps, "notBefore"), entry["notBefore"])
    not_after = _time(reader, (*steps, "notAfter"), entry["notAfter"])
    if UNKNOWN_TIME not in (not_before, not_after) and not_before >= not_after:
        reader.bad((*steps, "notAfter"), f"got {quoted(entry['notAfter'])}, expected a time after notBefore")
    revoked = None
    if "revoked" in entry:
        moment = _time(reader, (*steps, "revoked", "at"), entry["revoked"]["at"])
        revoked = Revocation(moment, tuple(entry["revoked"].get("accept", ())))
    return TrustedKey(entry["name"], entry["role"], pem, not_before, not_after, revoked)


def _time(reader: DocumentReader, steps: Steps, text: str) -> datetime:
    made = parse_time(text)
    if isinstance(made, str):
        reader.bad(steps, made)
        return UNKNOWN_TIME
    return made


def public_key(reader: DocumentReader, steps: Steps, text: str, material: dict[str, Steps]) -> bytes:
    """The file's bytes, after it was made sure that they are one public key and that no other entry has it.

    One key under two roles would let one person sign as two, and a second entry would outlive the first's revocation.
    """
    path = reader.path(steps, text)
    try:
        pem = read_input(path, MAX_PUBLIC_KEY, "bad-public-key")
    except InputError as error:
        reader.bad(steps, error.what)
        return b""
    if b"PRIVATE KEY" in pem:
        reader.bad(steps, f"{quoted(str(path))} is a private key, expected the public one")
        return pem
    encoded = _encoded(pem)
    if encoded is None:
        what = "expected PEM that begins with -----BEGIN PUBLIC KEY-----"
        reader.bad(steps, f"{quoted(str(path))} is not one public key, {what}")
        return pem
    reader.unique(material, steps, encoded.hex(), f"the public key in {quoted(text)}")
    return pem


def _encoded(pem: bytes) -> bytes | None:
    """The key as DER SubjectPublicKeyInfo: one form whatever the file looks like. `None`: not one public key."""
    # Imported here because it takes longer than everything else in this package together.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_public_key,
    )

    if pem.count(b"-----BEGIN ") != 1:
        return None
    try:
        key = load_pem_public_key(pem)
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return None
