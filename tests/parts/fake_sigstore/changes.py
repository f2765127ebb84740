"""One change in one field: of JSON, and of what is wrapped in it (base64, PEM, DER, signed notes)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import PublicKeyAlgorithmOID

from . import der
from .bundles import dumps
from .ca import ISSUER, SAN, SCT_LIST
from .keys import b64
from .tsa import MESSAGE_DIGEST, POLICY, SHA256, SIGNING_CERTIFICATE_V2

PUBLIC_KEY = PublicKeyAlgorithmOID.EC_PUBLIC_KEY

Change = tuple[str, Any]
"""Where and what, and the whole with that change."""


def flipped(data: bytes, at: int = -1) -> bytes:
    """The lowest bit of one byte turned over."""
    made = bytearray(data)
    made[at] ^= 1
    return bytes(made)


def in_json(value: Any, path: str = "") -> Iterator[Change]:
    """Each member removed, each field changed, each list emptied and doubled, an unknown member."""
    if isinstance(value, dict):
        yield from _in_object(value, path)
    elif isinstance(value, list):
        yield from _in_list(value, path)
    else:
        yield from in_field(value, path)


def _in_object(value: dict[str, Any], path: str) -> Iterator[Change]:
    for key, inner in value.items():
        here = f"{path}.{key}" if path else key
        yield f"{here} removed", {name: each for name, each in value.items() if name != key}
        for what, changed in in_json(inner, here):
            yield what, {**value, key: changed}
    yield f"{path or 'top'} unknown member", {**value, "unknownMember": "x"}


def _in_list(value: list[Any], path: str) -> Iterator[Change]:
    yield f"{path} emptied", []
    if value:
        yield f"{path} doubled", [*value, value[-1]]
    for number, inner in enumerate(value):
        for what, changed in in_json(inner, f"{path}[{number}]"):
            yield what, [*value[:number], changed, *value[number + 1 :]]


def in_field(value: Any, path: str) -> Iterator[Change]:
    """A single value; what wraps something else is changed inside too."""
    if not isinstance(value, str):
        yield f"{path} changed", value + 1 if isinstance(value, int) else "x"
        return
    name = path.rpartition(".")[2].rpartition("/")[2]
    opener = OPENERS.get(name)
    if opener is not None:
        yield from opener(value, path)
        return
    yield f"{path} changed", changed_text(value)


def changed_text(value: str) -> str:
    """Another text of the same kind: a number, hex, base64, or just text."""
    if value.startswith("sha256:"):
        return "sha256:" + changed_text(value[7:])
    if value.isdigit() and len(value) < 20:
        return str(int(value) + 1)
    if len(value) >= 40 and all(each in "0123456789abcdef" for each in value):
        return value[:-1] + ("0" if value[-1] != "0" else "1")
    if len(value) >= 40 and _is_base64(value):
        raw = base64.b64decode(value)
        return b64(flipped(raw, len(raw) // 2))
    return value + "x"


def _is_base64(value: str) -> bool:
    try:
        return b64(base64.b64decode(value, validate=True)) == value
    except ValueError:
        return False


# --- what is wrapped ---------------------------------------------------------------------------


def in_statement(value: str, path: str) -> Iterator[Change]:
    """Base64 of JSON whose bytes are signed, or of base64 of it, as entries of a log hold it."""
    raw = base64.b64decode(value)
    if raw[:1] != b"{":
        for what, inner in in_statement(raw.decode(), path):
            yield what, b64(inner.encode())
        return
    for what, changed in in_json(json.loads(raw), f"{path}>"):
        yield what, b64(dumps(changed))
    yield f"{path} space added", b64(raw + b" ")


def in_body(value: str, path: str) -> Iterator[Change]:
    """Base64 of a log's canonical JSON."""
    for what, changed in in_json(json.loads(base64.b64decode(value)), f"{path}>"):
        yield what, b64(rfc8785.dumps(changed))


def in_annotation(value: str, path: str) -> Iterator[Change]:
    """JSON as text, as cosign's older annotations hold it."""
    for what, changed in in_json(json.loads(value), f"{path}>"):
        yield what, dumps(changed).decode()
    yield f"{path} duplicate key", '{"Payload":{},' + value[1:]
    yield f"{path} no JSON", value[:-1]


def in_certificate(raw: bytes, path: str) -> Iterator[tuple[str, bytes]]:
    """One field of a certificate (DER), which stays well-formed."""
    cert = x509.load_der_x509_certificate(raw)
    sct = cert.extensions.get_extension_for_oid(SCT_LIST).value
    assert isinstance(sct, x509.PrecertificateSignedCertificateTimestamps)
    key = cert.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    serial = cert.serial_number.to_bytes(16, "big")
    fields: dict[str, bytes] = {
        "identity": SAN.encode(),
        "issuer": ISSUER.encode(),
        "notAfter": _utc(cert.not_valid_after_utc),
        "notBefore": _utc(cert.not_valid_before_utc),
        "publicKey": key,
        "serial": serial,
        "sct.logId": sct[0].log_id,
        "sct.signature": sct[0].signature,
        "signature": cert.signature,
    }
    for name, found in fields.items():
        yield f"{path}>{name} changed", _replaced(raw, found, at=len(found) - 2)
    yield f"{path} cut short", raw[:-1]
    yield f"{path} bytes after it", raw + b"\0"


def _utc(at: datetime) -> bytes:
    return at.strftime("%y%m%d%H%M%SZ").encode()


def _replaced(raw: bytes, found: bytes, at: int = -1) -> bytes:
    """The first place of `found` in `raw`, one bit of it turned over."""
    assert found in raw
    return raw.replace(found, flipped(found, at), 1)


def in_der_certificate(value: str, path: str) -> Iterator[Change]:
    """Base64 of a certificate."""
    for what, changed in in_certificate(base64.b64decode(value), path):
        yield what, b64(changed)


def in_pem_certificate(value: str, path: str) -> Iterator[Change]:
    """PEM of a certificate."""
    cert = x509.load_pem_x509_certificate(value.encode())
    for what, changed in in_certificate(cert.public_bytes(Encoding.DER), path):
        yield what, _pem(changed)
    yield f"{path} twice", value + value


def in_pem_chain(value: str, path: str) -> Iterator[Change]:
    """PEM of the certificates above."""
    yield f"{path} emptied", ""
    first = x509.load_pem_x509_certificates(value.encode())[0].public_bytes(Encoding.DER)
    yield f"{path} changed", _pem(flipped(first)) + value[len(_pem(first)) :]


def _pem(raw: bytes) -> str:
    text = base64.encodebytes(raw).decode().replace("\n", "")
    lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"


def in_stamp(value: str, path: str) -> Iterator[Change]:
    """Base64 of a time stamp (DER): one field of it, which stays well-formed."""
    raw = base64.b64decode(value)
    kind, imprint = der.oid(MESSAGE_DIGEST), der.algorithm(SHA256) + b"\x04\x20"
    places = {
        "genTime": raw.index(b"\x18\x0f") + 15,  # the last digit of the seconds
        "messageImprint": raw.index(imprint) + len(imprint),
        "serialNumber": raw.index(b"\x18\x0f") - 1,
        "policy": raw.index(der.oid(POLICY)) + len(der.oid(POLICY)) - 1,
        "certificate": raw.index(der.oid(PUBLIC_KEY.dotted_string)) + 40,
        "messageDigest": raw.index(kind) + len(kind) + 4,
        "certificateHash": raw.index(der.oid(SIGNING_CERTIFICATE_V2)) + 30,
        "signature": len(raw) - 1,
    }
    for name, at in places.items():
        yield f"{path}>{name} changed", b64(flipped(raw, at))
    refused = raw.replace(b"\x30\x03\x02\x01\x00", b"\x30\x03\x02\x01\x02", 1)
    yield f"{path}>status refused", b64(refused)
    yield f"{path} cut short", b64(raw[:-1])


def in_note(value: str, path: str) -> Iterator[Change]:
    """A signed note: each line of the checkpoint, and each part of its signature."""
    text, _, signature = value.partition("\n\n")
    lines = text.split("\n")
    for number, what in enumerate(("origin", "size", "root")):
        changed = [*lines[:number], changed_text(lines[number]), *lines[number + 1 :]]
        yield f"{path}>{what} changed", "\n".join(changed) + "\n\n" + signature
    dash, name, signed = signature.rstrip("\n").split(" ")
    raw = base64.b64decode(signed)
    for what, new in (("key id", flipped(raw, 0)), ("signature", flipped(raw))):
        yield f"{path}>{what} changed", f"{text}\n\n{dash} {name} {b64(new)}\n"
    yield f"{path}>name changed", f"{text}\n\n{dash} {name}x {signed}\n"
    yield f"{path}>signature removed", f"{text}\n\n"
    yield f"{path}>line added", f"{text}\nTimestamp: 1\n\n{signature}"


OPENERS: dict[str, Callable[[str, str], Iterator[Change]]] = {
    "payload": in_statement,
    "canonicalizedBody": in_body,
    "body": in_body,
    "rawBytes": in_der_certificate,
    "certificate": in_pem_certificate,
    "chain": in_pem_chain,
    "bundle": in_annotation,
    "rfc3161timestamp": in_annotation,
    "signedTimestamp": in_stamp,
    "SignedRFC3161Timestamp": in_stamp,
    "envelope": in_note,
}
