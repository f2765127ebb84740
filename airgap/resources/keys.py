"""Reads the public keys that resources name by file, so that every later step uses the same bytes."""

from __future__ import annotations

from airgap.base.errors import InputError
from airgap.base.inputs import read_input
from airgap.resources.parts import RELATIVE
from airgap.resources.problems import quoted
from airgap.resources.shapes import Place, Text

MAX_PUBLIC_KEY = 64 << 10
"""Bytes of a PEM public key: an RSA key of 16384 bits needs 3 KiB."""
KEY_NAME = "^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$"


def public_key_file(written_by: str) -> Text:
    """The shape of the path of a public key. It is read as the file's bytes. `written_by`: "cosign writes"."""
    return Text("the path of a public key, PEM", f"As {written_by} it. {RELATIVE}", least=1, reads=_public_key)


def _public_key(at: Place) -> bytes:
    """The file's bytes. Checks that they are one public key, and that no other entry has the same key.

    With one key in two roles, one person could sign as two. A second entry would also stay valid after the first is
    revoked.
    """
    path = at.reader.path(at.steps, at.value)
    try:
        pem = read_input(path, MAX_PUBLIC_KEY, "bad-public-key")
    except InputError as error:
        at.bad(error.what)
        return b""
    if b"PRIVATE KEY" in pem:
        at.bad(f"{quoted(str(path))} is a private key, expected a public key")
        return pem
    encoded = _encoded(pem)
    if encoded is None:
        what = "expected PEM that begins with -----BEGIN PUBLIC KEY-----"
        at.bad(f"{quoted(str(path))} is not a single public key, {what}")
        return pem
    at.reader.once(("public keys",), at.steps, encoded.hex(), f"the public key in {quoted(at.value)}")
    return pem


def key_kind(pem: bytes) -> str:
    """`RSA`, `ECDSA` or `Ed25519`; empty for anything else."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        return ""
    match key:
        case rsa.RSAPublicKey():
            return "RSA"
        case ec.EllipticCurvePublicKey():
            return "ECDSA"
        case ed25519.Ed25519PublicKey():
            return "Ed25519"
        case _:
            return ""


def _encoded(pem: bytes) -> bytes | None:
    """The key as DER SubjectPublicKeyInfo, the same for every form of the file. `None`: not a single public key."""
    # Imported here because it takes longer than the rest of this package together.
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
