"""Files with identities: those of age, plain or encrypted with a passphrase, and private keys of SSH."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from airgap.base.errors import DamageError, InputError, WrongIdentityError
from airgap.base.secrets import read_private
from airgap.delivery.sealing.header import Stanza, parse_header, read_base64
from airgap.delivery.sealing.keys import (
    SECRET_PREFIX,
    AgeIdentity,
    SshEd25519Identity,
    SshRsaIdentity,
    X25519Identity,
    open_body,
)
from airgap.delivery.sealing.stream import open_bytes

Password = Callable[[Path], bytes]
"""Gives the passphrase of a file with identities. Raises `InputError` (`no-password`)."""

MAX_IDENTITIES = 64
"""Identities in all files: each is tried for each file of a delivery."""
_MAX_WORK = 20
"""log2 of the work factor of a passphrase: 1 GiB of memory. age writes 18."""
_SCRYPT = b"age-encryption.org/v1/scrypt"
_AGE = b"age-encryption.org/v1\n"
_ARMOUR = re.compile(
    rb"\s*-----BEGIN AGE ENCRYPTED FILE-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END AGE ENCRYPTED FILE-----\s*"
)
_PEM = re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")


def load_identities(paths: Sequence[Path], password: Password) -> tuple[AgeIdentity, ...]:
    """The identities in some files, in their order. Asks for a passphrase where a file needs one.

    Raises `InputError`: what `read_private` raises, with codes of `identity`; `bad-identity-file`, `no-password`,
    `wrong-password`. No message contains any of the content.
    """
    found = [one for path in paths for one in _load(path, password)]
    if len(found) > MAX_IDENTITIES:
        raise InputError(
            "bad-identity-file",
            f"got {len(found)} identities, expected at most {MAX_IDENTITIES}",
            "pass only the files of this Sovereign's identities",
        )
    return tuple(found)


def _load(path: Path, password: Password) -> list[AgeIdentity]:
    data = read_private(path, "identity")
    armoured = _ARMOUR.fullmatch(data)
    if armoured:
        try:
            data = base64.b64decode(b"".join(armoured[1].split()), validate=True)
        except ValueError:
            raise _bad(path, "is damaged") from None
    if data.startswith(_AGE):
        data = _decrypted(path, data, password(path))
    if _PEM.search(data):
        return [_ssh(path, data, password)]
    return _lines(path, data)


def _lines(path: Path, data: bytes) -> list[AgeIdentity]:
    try:
        lines = [line.strip() for line in data.decode().splitlines()]
    except UnicodeDecodeError:
        raise _bad(path, "is not a file of age or SSH") from None
    found: list[AgeIdentity] = []
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        if line.startswith(("age1", "ssh-")):
            raise _bad(path, f"line {number}: contains a recipient, which is the public key")
        if line.startswith(("AGE-PLUGIN-", "AGE-SECRET-KEY-PQ-")):
            raise _bad(path, f"line {number}: contains a kind of key that airgap does not support")
        try:
            found.append(X25519Identity.parse(line))
        except ValueError:
            raise _bad(path, f"line {number}: is not a secret key of age ({SECRET_PREFIX}1…)") from None
    if not found:
        raise _bad(path, "contains no identity")
    return found


def _bad(path: Path, why: str) -> InputError:
    return InputError(
        "bad-identity-file",
        f"{str(path)!r} {why}",
        "pass a file that `airgap keys identity` or age-keygen wrote, or a private key of SSH (Ed25519, RSA)",
    )


def _wrong(path: Path) -> InputError:
    return InputError(
        "wrong-password",
        f"{path}: the identity cannot be decrypted: the passphrase is wrong, or the file is damaged",
        "check the file of --identity-password-file; a newline at its end does not count",
    )


def _ssh(path: Path, data: bytes, password: Password) -> AgeIdentity:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_private_key,
        load_ssh_private_key,
    )

    load = load_ssh_private_key if b"BEGIN OPENSSH PRIVATE KEY" in data else load_pem_private_key
    try:
        try:
            key = load(data, None)
        except TypeError:  # it is encrypted
            key = load(data, password(path))
    except ValueError:
        raise _wrong(path) from None
    except UnsupportedAlgorithm as error:
        # cryptography reads encrypted keys of OpenSSH with bcrypt only.
        if "bcrypt" in str(error):
            raise InputError(
                "missing-extra",
                f"{path}: an SSH key with a passphrase needs the Python package bcrypt",
                "pip install bcrypt, or use an identity of age",
            ) from None
        raise _bad(path, "contains a kind of key that airgap does not support") from None
    if not isinstance(key, Ed25519PrivateKey | RSAPrivateKey):
        raise _bad(path, "contains a kind of key that airgap does not support")
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split(b" ")[1]
    if isinstance(key, RSAPrivateKey):
        return SshRsaIdentity(key, base64.b64decode(public))
    return SshEd25519Identity(key.private_bytes_raw(), base64.b64decode(public))


def _decrypted(path: Path, data: bytes, password: bytes) -> bytes:
    """The content of a file of identities that is encrypted with a passphrase."""
    try:
        if [stanza.kind for stanza in parse_header(data, str(path)).stanzas] != ["scrypt"]:
            raise _bad(path, "is encrypted to a key; expected an identity, or one with a passphrase")
        plain = open_bytes(data, str(path), [_Passphrase(password, path)])
    except DamageError:
        raise _bad(path, "is damaged") from None
    except WrongIdentityError:
        raise _wrong(path) from None
    return plain


@dataclass(frozen=True, slots=True)
class _Passphrase:
    """Opens a file that is encrypted with a passphrase."""

    password: bytes = field(repr=False)
    path: Path
    recipient = ""

    def unwrap(self, stanza: Stanza) -> bytes | None:
        if len(stanza.arguments) != 2:
            raise ValueError("a scrypt stanza has two arguments")
        salt, work = read_base64(stanza.arguments[0]), stanza.arguments[1]
        if len(salt) != 16 or not re.fullmatch("[1-9][0-9]?", work):
            raise ValueError("the arguments of scrypt are wrong")
        if int(work) > _MAX_WORK:
            raise _bad(self.path, f"needs 2^{work} steps for its passphrase, expected at most 2^{_MAX_WORK}")
        n = 1 << int(work)
        most = 1024 * n + (64 << 20)
        key = hashlib.scrypt(self.password, salt=_SCRYPT + salt, n=n, r=8, p=1, maxmem=most, dklen=32)
        return open_body(key, stanza.body)


def new_identity() -> tuple[str, str]:
    """A new X25519 key: the secret (`AGE-SECRET-KEY-1…`) and its recipient (`age1…`)."""
    from airgap.delivery.sealing import bech32

    made = X25519Identity(os.urandom(32))
    return bech32.encode(SECRET_PREFIX.lower(), made.secret).upper(), made.recipient
