"""cosign's own key files: a PKCS#8 key in a secret box (XSalsa20-Poly1305) under a password stretched by scrypt.

Source: cosign, pkg/cosign/keys.go and secure-systems-lab/go-securesystemslib, encrypted/encrypted.go; tried with files
from cosign 3.1.3. Both labels have the same content: PEM of JSON with `kdf`, `cipher` and `ciphertext`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from pathlib import Path

from airgap.base.errors import AirgapError, InputError
from airgap.base.json_fields import Fields

LABELS = ("ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY")
"""The current label, and that of cosign before 2.0."""
STRENGTHS = (32768, 65536, 131072)
"""All values of scrypt's N that cosign ever wrote; r is 8 and p is 1. The largest takes 128 MiB for half a second.

A list, not an upper limit: the file determines what it costs to open it, and must not be able to ask for more.
"""
_R, _P = 8, 1
_SALT, _NONCE, _TAG = 32, 24, 16
_MEMORY = 160 << 20
"""Bytes that scrypt may use: 128 · N · r, and a little more."""
_PEM = re.compile(
    rb"\s*-----BEGIN (%s)-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END \1-----\s*\Z" % "|".join(LABELS).encode()
)


def is_cosign_key(data: bytes) -> bool:
    """True for a file that cosign wrote, even if it is damaged."""
    return any(f"-----BEGIN {label}-----".encode() in data for label in LABELS)


def open_box(path: Path, data: bytes, password: bytes) -> bytes:
    """The PKCS#8 key, DER, from the file's bytes.

    Raises `InputError`: `bad-key` for a damaged file, `key-unsupported` for a box or strength that cosign does not use,
    `wrong-password` if the box does not open, `missing-extra` without PyNaCl. A flipped bit inside the ciphertext
    cannot be told from a wrong password: the box has one seal over both.
    """

    def damaged(what: str) -> AirgapError:
        return InputError("bad-key", f"{what}: damaged, or not written by cosign", "restore the file from a backup")

    # 1. The envelope, strictly: anything wrong here is damage, and not the password.
    match = _PEM.match(data)
    if match is None:
        raise damaged(f"{path}: not a single PEM key")
    try:
        body = base64.b64decode(b"".join(match[2].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise damaged(f"{path}: not base64") from error
    outer = Fields.parse(body, {"kdf", "cipher", "ciphertext"}, str(path), damaged)
    kdf = outer.inner("kdf", {"name", "params", "salt"})
    params = kdf.inner("params", {"N", "r", "p"})
    cipher = outer.inner("cipher", {"name", "nonce"})
    salt, nonce, box = kdf.binary("salt"), cipher.binary("nonce"), outer.binary("ciphertext")
    # 2. The cost, before it is paid.
    names = kdf.text("name"), cipher.text("name")
    strength = params.number("N"), params.number("r"), params.number("p")
    if names != ("scrypt", "nacl/secretbox") or strength not in [(n, _R, _P) for n in STRENGTHS]:
        raise InputError(
            "key-unsupported",
            f"{path}: got {names[0][:40]!r}, {names[1][:40]!r} with N, r, p = {strength}, expected cosign's own",
            "make a key with `cosign generate-key-pair` or `airgap keys generate`",
        )
    if len(salt) != _SALT or len(nonce) != _NONCE or len(box) <= _TAG:
        raise damaged(f"{path}: the salt has {len(salt)} bytes, the nonce {len(nonce)}")
    # 3. The box.
    return _unseal(path, _stretch(password, salt, strength[0]), nonce, box)


def _stretch(password: bytes, salt: bytes, strength: int) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=strength, r=_R, p=_P, dklen=32, maxmem=_MEMORY)


def _unseal(path: Path, secret: bytes, nonce: bytes, box: bytes) -> bytes:
    try:
        from nacl.exceptions import CryptoError
        from nacl.secret import SecretBox
    except ImportError as error:
        raise InputError(
            "missing-extra", "reading cosign keys needs the Python package PyNaCl", "pip install 'airgap[cosign-keys]'"
        ) from error
    try:
        return bytes(SecretBox(secret).decrypt(box, nonce))
    except CryptoError as error:
        raise InputError(
            "wrong-password",
            f"{path}: the key cannot be decrypted: the password is wrong, or the file is damaged",
            "check the file of --key-password-file; a newline at its end does not count",
        ) from error
