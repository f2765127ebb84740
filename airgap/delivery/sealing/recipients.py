"""Recipients: the public keys to which a delivery is encrypted, as people write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airgap.base.errors import InputError
from airgap.base.inputs import read_input
from airgap.delivery.sealing import bech32
from airgap.delivery.sealing.keys import RECIPIENT_PREFIX, SECRET_PREFIX

MAX_RECIPIENTS = 32
"""Recipients of a delivery: more than the Sovereigns and officers who read one."""
MAX_FILE = 64 << 10
_SSH = re.compile(r"(ssh-ed25519|ssh-rsa) +([A-Za-z0-9+/=]+)( .*)?")
_MIN_RSA = 2048
"""Bits of an RSA key: age refuses shorter ones."""
_HEADER = 1024
"""Bytes in a header that are reserved for each recipient: RSA with 4,096 bits takes 710."""
_EXTRA = 1024
"""Bytes of a header besides: its ends, and a stanza that means nothing, which pyrage adds."""


@dataclass(frozen=True, slots=True)
class Recipients:
    """Public keys, each once and sorted: `age1…`, `ssh-ed25519 …`, `ssh-rsa …`, without comments."""

    keys: tuple[str, ...]

    @property
    def header(self) -> int:
        """Bytes that a header for them has at most."""
        return _EXTRA + _HEADER * len(self.keys)

    def opened(self) -> list[Any]:
        """The objects of pyrage for them. Raises `InputError` (`missing-extra`, `bad-recipient`)."""
        try:
            import pyrage
        except ImportError as error:
            raise InputError(
                "missing-extra", "encrypting needs the Python package pyrage", "pip install 'airgap[age]'"
            ) from error
        found = []
        for key in self.keys:
            kind = pyrage.ssh if key.startswith("ssh-") else pyrage.x25519
            try:
                found.append(kind.Recipient.from_str(key))
            except pyrage.RecipientError as error:
                raise _bad(key) from error
        return found


def read_recipients(given: Sequence[str]) -> Recipients:
    """Reads recipients: each is a key, or the path of a file with one key a line.

    Raises `InputError` (`bad-recipient`). No message contains a secret key.
    """
    keys: list[str] = []
    for text in given:
        if _looks_like_key(text):
            keys.append(_key(text.strip(), ""))
        else:
            keys += _file(Path(text))
    found = tuple(sorted(set(keys)))
    if len(found) > MAX_RECIPIENTS:
        raise InputError(
            "bad-recipient",
            f"got {len(found)} recipients, expected at most {MAX_RECIPIENTS}",
            "cut several deliveries, each for some of them",
        )
    return Recipients(found)


def _looks_like_key(text: str) -> bool:
    start = text.strip()
    return start.startswith(("age1", "ssh-")) or start.upper().startswith((SECRET_PREFIX, "AGE-PLUGIN-"))


def _file(path: Path) -> list[str]:
    absent = "pass a recipient (age1…, ssh-ed25519 …), or the path of a file with one a line"
    data = read_input(path, MAX_FILE, "bad-recipient", absent=absent)
    if b"PRIVATE KEY-----" in data:
        raise _secret(str(path))
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError:
        raise InputError("bad-recipient", f"{path}: is not text in UTF-8", absent) from None
    found = [
        _key(line.strip(), f"{path}: line {number}: ")
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.strip().startswith("#")
    ]
    if not found:
        raise InputError("bad-recipient", f"{path}: contains no recipient", absent)
    return found


def _key(text: str, where: str) -> str:
    if text.upper().startswith((SECRET_PREFIX, "AGE-PLUGIN-")):
        raise _secret(where.removesuffix(": ") or "--encrypt-to")
    if text.startswith("ssh-"):
        return _ssh_key(text, where)
    try:
        prefix, point = bech32.decode(text)
    except ValueError as error:
        raise _bad(text, where, f": {error}") from error
    if prefix != RECIPIENT_PREFIX or len(point) != 32:
        raise _bad(text, where, ": expected an X25519 key")
    return text


def _ssh_key(text: str, where: str) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    parts = _SSH.fullmatch(text)
    if parts is None:
        raise _bad(text, where, ": expected ssh-ed25519 or ssh-rsa, and the key in base64")
    plain = f"{parts[1]} {parts[2]}"
    try:
        key = load_ssh_public_key(plain.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _bad(text, where) from error
    if isinstance(key, RSAPublicKey) and key.key_size < _MIN_RSA:
        raise _bad(text, where, f": got RSA with {key.key_size} bits, expected at least {_MIN_RSA}")
    return plain


def _bad(text: str, where: str = "", why: str = "") -> InputError:
    return InputError(
        "bad-recipient",
        f"{where}{text[:80]!r} is not a recipient{why}",
        "pass age1… (`airgap keys identity` prints it), ssh-ed25519 …, ssh-rsa …, or a file with one a line",
    )


def _secret(where: str) -> InputError:
    return InputError(
        "bad-recipient",
        f"{where}: got a secret key, expected a recipient, which is the public key",
        "take the secret key off this machine; if others could read it, make a new one; `airgap keys identity --show "
        "FILE` prints the recipient",
    )
