"""The header of an age file: who can open it. Nothing of it is believed before its MAC holds.

Source: C2SP, age.md (age-encryption.org/v1), "AgeHeader".
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airgap.base.errors import DamageError

MAX_HEADER = 64 << 10
"""Bytes of a header: 64 recipients with RSA keys of 4,096 bits."""
FILE_KEY = 16
"""Bytes of a file key."""
NONCE = 16
"""Bytes between the header and the first chunk."""
_VERSION = b"age-encryption.org/v1"
_END = b"---"
_WORD = re.compile(rb"[\x21-\x7e]+")
_COLUMNS = 64
"""Letters of each line of a stanza's body; the last one is shorter, and may be empty."""


@dataclass(frozen=True, slots=True)
class Stanza:
    """One recipient's part of a header: its kind, its arguments, and the file key as it is wrapped for it."""

    kind: str
    arguments: tuple[str, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class AgeHeader:
    """A parsed header: its stanzas, the bytes under its MAC, the MAC, and its length in bytes."""

    stanzas: tuple[Stanza, ...]
    covered: bytes
    mac: bytes
    size: int


Unwrap = Callable[[Stanza], bytes | None]
"""Takes the file key out of a stanza; `None` if the stanza is not for this identity."""


def derive(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 with an output of 32 bytes, as every key in age is made."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, salt, info).derive(secret)


def read_base64(text: str | bytes) -> bytes:
    """Bytes of base64 without padding, in its one spelling. Raises `ValueError`."""
    data = text.encode() if isinstance(text, str) else text
    try:
        found = base64.b64decode(data + b"=" * (-len(data) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("it is not base64") from error
    if base64.b64encode(found).rstrip(b"=") != data:
        raise ValueError("base64 has another spelling of it")
    return found


def parse_header(data: bytes, where: str) -> AgeHeader:
    """Reads the header at the beginning of `data`. Raises `DamageError` (`bad-seal`)."""
    try:
        return _parse(data)
    except ValueError as error:
        hint = "copy it again from the original medium"
        raise DamageError("bad-seal", f"{where}: not an age file, or its header is damaged: {error}", hint) from error


def _parse(data: bytes) -> AgeHeader:
    line, at = _line(data, 0)
    if line != _VERSION:
        raise ValueError("the first line does not name version 1 of age")
    stanzas: list[Stanza] = []
    while True:
        begin = at
        line, at = _line(data, at)
        if line.startswith(_END):
            mac = _mac(line)
            return AgeHeader(tuple(stanzas), data[: begin + len(_END)], mac, at)
        words = line.split(b" ")
        if words[0] != b"->" or len(words) < 2 or not all(map(_WORD.fullmatch, words)):
            raise ValueError("a line is neither the beginning of a stanza nor the end of the header")
        body, at = _body(data, at)
        stanzas.append(Stanza(words[1].decode(), tuple(word.decode() for word in words[2:]), body))


def _line(data: bytes, at: int) -> tuple[bytes, int]:
    end = data.find(b"\n", at, MAX_HEADER)
    if end < 0:
        raise ValueError(f"it does not end within {MAX_HEADER} bytes")
    return data[at:end], end + 1


def _body(data: bytes, at: int) -> tuple[bytes, int]:
    lines = []
    while True:
        line, at = _line(data, at)
        if len(line) > _COLUMNS:
            raise ValueError("a line is longer than 64 letters")
        lines.append(line)
        if len(line) < _COLUMNS:
            return read_base64(b"".join(lines)), at


def _mac(line: bytes) -> bytes:
    mac = read_base64(line.removeprefix(_END + b" "))
    if len(mac) != 32:
        raise ValueError("its MAC does not have 32 bytes")
    return mac


def file_key(header: AgeHeader, identities: Sequence[Unwrap], where: str) -> bytes | None:
    """The key of a file for the first of the `identities` that it is for; `None` if it is for none of them.

    Raises `DamageError` (`bad-seal`) if the header was changed.
    """
    for unwrap in identities:
        for stanza in header.stanzas:
            try:
                key = unwrap(stanza)
            except ValueError as error:
                raise _changed(where) from error
            if key is not None:
                mac = hmac.digest(derive(key, b"", b"header"), header.covered, "sha256")
                if len(key) != FILE_KEY or not hmac.compare_digest(mac, header.mac):
                    raise _changed(where)
                return key
    return None


def _changed(where: str) -> DamageError:
    hint = "copy it again from the original medium"
    return DamageError("bad-seal", f"{where}: the header of this age file was changed", hint)
