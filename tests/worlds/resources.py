"""Key files that resources name."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


def key_files(folder: Path) -> None:
    """The key files that the Trust cases name."""
    keys = [derive_private_key(number, SECP256R1()) for number in (1, 2, 3)]
    for key, name in zip(keys, ("exporter", "station", "third"), strict=True):
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pub").write_bytes(pem)
    exporter, station = (folder / "exporter.pub").read_bytes(), (folder / "station.pub").read_bytes()
    edwards = Ed25519PrivateKey.from_private_bytes(b"1" * 32).public_key()
    (folder / "ed25519.pub").write_bytes(edwards.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    private = keys[0].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "private.key").write_bytes(private)
    (folder / "exporter-crlf.pub").write_bytes(b"of 2026\r\n" + exporter.replace(b"\n", b"\r\n"))
    (folder / "two.pub").write_bytes(exporter + station)
    (folder / "junk.pub").write_bytes(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    (folder / "large.pub").write_bytes(b"#" * (64 << 10) + exporter)
    (folder / "folder").mkdir()
    (folder / "roots").mkdir()
    (folder / "roots" / "sigstore.json").write_bytes(b"{}")
