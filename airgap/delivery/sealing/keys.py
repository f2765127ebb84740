"""The secret keys that open age files: X25519, and SSH keys (Ed25519, RSA).

Source: C2SP, age.md, "The X25519 recipient type", and age's `agessh` for SSH keys.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from airgap.delivery.sealing import bech32
from airgap.delivery.sealing.header import FILE_KEY, Stanza, derive, read_base64

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

SECRET_PREFIX = "AGE-SECRET-KEY-"  # noqa: S105 - how a secret key begins
RECIPIENT_PREFIX = "age"
_X25519 = b"age-encryption.org/v1/X25519"
_ED25519 = b"age-encryption.org/v1/ssh-ed25519"
_RSA = b"age-encryption.org/v1/ssh-rsa"
_POINT = 32
"""Bytes of a key, and of a point, of Curve25519."""


class AgeIdentity(Protocol):
    """A secret key that opens age files. Its `repr` contains nothing of it."""

    @property
    def recipient(self) -> str:
        """The public key to which files are encrypted: `age1…`, `ssh-ed25519 …` or `ssh-rsa …`."""

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """The file key in a stanza; `None` if it is not for this key. Raises `ValueError` for a malformed stanza."""


@dataclass(frozen=True, slots=True)
class X25519Identity:
    """The key of an `AGE-SECRET-KEY-1…`."""

    secret: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> X25519Identity:
        """Raises `ValueError`, without any of the text in it."""
        prefix, secret = bech32.decode(text)
        if prefix != SECRET_PREFIX.lower() or len(secret) != _POINT:
            raise ValueError("it is not a secret key of age for X25519")
        return cls(secret)

    @property
    def recipient(self) -> str:
        """`age1…`."""
        return bech32.encode(RECIPIENT_PREFIX, _public(self.secret))

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """As `AgeIdentity.unwrap`."""
        if stanza.kind != "X25519":
            return None
        if len(stanza.arguments) != 1:
            raise ValueError("an X25519 stanza has one argument")
        share = _share(stanza.arguments[0])
        return _opened(_exchange(self.secret, share), share + _public(self.secret), _X25519, stanza.body)


@dataclass(frozen=True, slots=True)
class SshEd25519Identity:
    """An Ed25519 key of SSH, used as an X25519 key."""

    seed: bytes = field(repr=False)
    public: bytes
    """The public key, as SSH sends it."""

    @property
    def recipient(self) -> str:
        """`ssh-ed25519 …`."""
        return f"ssh-ed25519 {base64.b64encode(self.public).decode()}"

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """As `AgeIdentity.unwrap`."""
        if stanza.kind != "ssh-ed25519":
            return None
        if len(stanza.arguments) != 2:
            raise ValueError("an ssh-ed25519 stanza has two arguments")
        if read_base64(stanza.arguments[0]) != _tag(self.public):
            return None
        share = _share(stanza.arguments[1])
        secret = hashlib.sha512(self.seed).digest()[:_POINT]
        tweak = derive(b"", self.public, _ED25519)
        shared = _exchange(tweak, _exchange(secret, share))
        return _opened(shared, share + _public(secret), _ED25519, stanza.body)


@dataclass(frozen=True, slots=True)
class SshRsaIdentity:
    """An RSA key of SSH."""

    key: RSAPrivateKey = field(repr=False)
    public: bytes
    """The public key, as SSH sends it."""

    @property
    def recipient(self) -> str:
        """`ssh-rsa …`."""
        return f"ssh-rsa {base64.b64encode(self.public).decode()}"

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """As `AgeIdentity.unwrap`."""
        from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
        from cryptography.hazmat.primitives.hashes import SHA256

        if stanza.kind != "ssh-rsa":
            return None
        if len(stanza.arguments) != 1:
            raise ValueError("an ssh-rsa stanza has one argument")
        if read_base64(stanza.arguments[0]) != _tag(self.public):
            return None
        # A key whose tag fits is this key, but for one in 2^32: what does not decrypt was changed.
        return self.key.decrypt(stanza.body, OAEP(MGF1(SHA256()), SHA256(), _RSA))


def _tag(public: bytes) -> bytes:
    return hashlib.sha256(public).digest()[:4]


def _share(text: str) -> bytes:
    share = read_base64(text)
    if len(share) != _POINT:
        raise ValueError("a share does not have 32 bytes")
    return share


def _public(secret: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def _exchange(secret: bytes, share: bytes) -> bytes:
    """Raises `ValueError` if the result is zero: the share is then no key."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(share))


def _opened(shared: bytes, salt: bytes, info: bytes, body: bytes) -> bytes | None:
    """The file key, wrapped by a key of a shared secret; `None` if it was wrapped for somebody else."""
    return open_body(derive(shared, salt, info), body)


def open_body(key: bytes, body: bytes) -> bytes | None:
    """The file key in a stanza's body; `None` if `key` is not the one that wrapped it. Raises `ValueError`."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    if len(body) != FILE_KEY + 16:
        raise ValueError("a file key is not wrapped in 32 bytes")
    try:
        return ChaCha20Poly1305(key).decrypt(bytes(12), body, None)
    except InvalidTag:
        return None
