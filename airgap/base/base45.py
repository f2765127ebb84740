"""Base45: bytes in the 45 characters that a QR code packs closest. Source: RFC 9285."""

from __future__ import annotations

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_VALUES = {char: value for value, char in enumerate(_ALPHABET)}
_BASE = len(_ALPHABET)


def encode(data: bytes) -> str:
    """Three characters for two bytes, two for a last one (section 4)."""
    made = []
    for at in range(0, len(data), 2):
        pair = data[at : at + 2]
        value = int.from_bytes(pair, "big")
        for _ in range(len(pair) + 1):
            value, digit = divmod(value, _BASE)
            made.append(_ALPHABET[digit])
    return "".join(made)


def decode(text: str) -> bytes:
    """The bytes of `text`. Raises `ValueError` for what `encode` does not write."""
    made = bytearray()
    if len(text) % 3 == 1:
        raise ValueError("base45: a single character is left over")
    for at in range(0, len(text), 3):
        part = text[at : at + 3]
        try:
            value = sum(_VALUES[char] * _BASE**power for power, char in enumerate(part))
        except KeyError as error:
            raise ValueError(f"base45: character {error.args[0]!r}") from error
        size = len(part) - 1
        if value >= 1 << 8 * size:
            raise ValueError(f"base45: {part!r} is more than {size} bytes")
        made += value.to_bytes(size, "big")
    return bytes(made)
