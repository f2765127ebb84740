"""Just enough DER to write what `cryptography` does not: time stamps, and certificates' odd extensions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime


def tlv(tag: int, content: bytes) -> bytes:
    """One value: tag, length, content (X.690 §8.1, definite lengths)."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def sequence(*parts: bytes) -> bytes:
    """SEQUENCE."""
    return tlv(0x30, b"".join(parts))


def set_of(parts: Iterable[bytes], tag: int = 0x31) -> bytes:
    """SET OF, sorted as DER wants it; another tag for an implicit one."""
    return tlv(tag, b"".join(sorted(parts)))


def explicit(number: int, content: bytes) -> bytes:
    """[number] EXPLICIT."""
    return tlv(0xA0 | number, content)


def integer(value: int) -> bytes:
    """INTEGER, not negative."""
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(content: bytes) -> bytes:
    """OCTET STRING."""
    return tlv(0x04, content)


def utf8(text: str) -> bytes:
    """UTF8String."""
    return tlv(0x0C, text.encode())


def oid(dotted: str) -> bytes:
    """OBJECT IDENTIFIER."""
    first, second, *rest = map(int, dotted.split("."))
    return tlv(0x06, b"".join(_base128(each) for each in (first * 40 + second, *rest)))


def _base128(value: int) -> bytes:
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))


def algorithm(dotted: str) -> bytes:
    """AlgorithmIdentifier without parameters."""
    return sequence(oid(dotted))


def generalized_time(at: datetime) -> bytes:
    """GeneralizedTime in whole seconds."""
    return tlv(0x18, at.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode())
