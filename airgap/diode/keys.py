"""The key that both sides of a road share: what is sent is sealed with keys that are derived from it."""

from __future__ import annotations

import hmac
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.base.secrets import read_secret

MIN_KEY = 32
"""Characters of a shared key: 32 in hex are 128 bits, which nobody guesses."""
_RECEIPT = b"airgap-receipt-1"


def read_shared_key(path: Path) -> bytes:
    """The shared key in a file that nobody else can read: its text, without the newline at its end.

    Raises `InputError` (`shared-key-missing`, `shared-key-readable`, `bad-shared-key`, …).
    """
    key = read_secret(path, "shared-key").encode()
    if len(key) < MIN_KEY:
        raise InputError(
            "bad-shared-key",
            f"{path}: got {len(key)} characters, expected at least {MIN_KEY}",
            "make one with `openssl rand -hex 32`, and bring it to the other side",
        )
    return key


def derived(secret: bytes, salt: bytes, purpose: bytes) -> bytes:
    """32 bytes for one purpose. Source: RFC 5869, with SHA-256."""
    return HKDF(SHA256(), 32, salt=salt, info=purpose).derive(secret)


def receipt_mark(secret: bytes, delivery: Digest) -> bytes:
    """What only a holder of the key can say about a delivery: 32 bytes, of which a receipt code has the first 50 bits.

    Without a key (`secret` is empty), everybody can who has AIRGAP.json.
    """
    key = derived(secret, b"", _RECEIPT)
    return hmac.digest(key, bytes.fromhex(delivery.hex), "sha256")
