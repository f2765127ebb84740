"""Bech32, in which age writes keys. Source: BIP 173; age uses it without the limit of 90 characters."""

from __future__ import annotations

from collections.abc import Iterable

_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_SUM = 6
"""Letters of the checksum."""


def decode(text: str) -> tuple[str, bytes]:
    """The part before the `1`, in lower case, and the bytes. Raises `ValueError`, without any of the text in it."""
    if text.lower() != text and text.upper() != text:
        raise ValueError("upper and lower case are mixed")
    prefix, one, letters = text.lower().rpartition("1")
    if not one or not prefix or len(letters) < _SUM or not prefix.isascii():
        raise ValueError("it is not Bech32")
    values = [_LETTERS.find(letter) for letter in letters]
    if min(values) < 0:
        raise ValueError("it has a letter that Bech32 does not have")
    if _checksum([*_expand(prefix), *values]) != 1:
        raise ValueError("its checksum is wrong")
    return prefix, _bytes(values[:-_SUM])


def encode(prefix: str, data: bytes) -> str:
    """The text of some bytes, in lower case."""
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    values = [int(bits[at : at + 5], 2) for at in range(0, len(bits), 5)]
    check = _checksum([*_expand(prefix), *values, *[0] * _SUM]) ^ 1
    values += [check >> 5 * (_SUM - 1 - at) & 31 for at in range(_SUM)]
    return prefix + "1" + "".join(_LETTERS[value] for value in values)


def _bytes(values: list[int]) -> bytes:
    bits = "".join(f"{value:05b}" for value in values)
    whole = len(bits) // 8 * 8
    if len(bits) - whole >= 5 or "1" in bits[whole:]:
        raise ValueError("it ends with bits that belong to no byte")
    return bytes(int(bits[at : at + 8], 2) for at in range(0, whole, 8))


def _expand(prefix: str) -> list[int]:
    return [*(ord(letter) >> 5 for letter in prefix), 0, *(ord(letter) & 31 for letter in prefix)]


def _checksum(values: Iterable[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for at, part in enumerate(_GENERATOR):
            check ^= part if top >> at & 1 else 0
    return check
