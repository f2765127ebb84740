"""Codes that a person reads on one side and types on the other: what is missing, and that all arrived.

Crockford's base32: digits and capital letters without I, L, O and U; small letters, `O` for 0, `I` and `L` for 1 are
understood. Groups of five: four symbols and their check, so that a mistake is found in its group. The last group checks
all of it. Format: docs/format.md, "Codes".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.delivery.fields import FileSum
from airgap.diode.assembly import Missing
from airgap.diode.keys import receipt_mark

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ALIKE = str.maketrans("OIL", "011")
_DATA = 4
"""Symbols of a group that carry something."""
_ID = 5
"""Symbols that say which delivery: the first 25 bits of its digest."""
_MARK = 10
"""Symbols of a receipt code that only a holder of the shared key knows: 50 bits."""
_MAX_BODY = 42
"""Symbols that say what is missing: with the others, a code has at most 13 groups."""
UNIT = 64 << 10
"""Bytes of the smallest unit in which what is missing is counted."""
_MAX_EXPONENT = 15
_MAX_GROUPS = 40
AGAIN = "compare it with the display of the other side, group by group"


class CodeKind(IntEnum):
    """What a code is for. The first symbol of every code."""

    RESEND = 1
    RECEIPT = 2


@dataclass(frozen=True, slots=True)
class RoadCode:
    """A code that was read, and whose checks are right."""

    kind: CodeKind
    delivery: int
    """The first 25 bits of the digest of AIRGAP.json."""
    body: tuple[int, ...]
    """The other symbols, without zeros at the end."""

    def is_about(self, digest: Digest) -> bool:
        """True if it may be about this delivery: one of 33 million others has the same first bits."""
        return _id_of(digest) == self.delivery


def _id_of(digest: Digest) -> int:
    return int(digest.hex[:8], 16) >> (32 - 5 * _ID)


# groups and checks


def _times_alpha(value: int) -> int:
    """α·value in GF(32) by x^5 + x^2 + 1."""
    return (value << 1) ^ (0b100101 if value & 16 else 0)


def _check(group: Sequence[int], place: int) -> int:
    """The check of a group at a place from 0: one wrong symbol, two that changed places, or a group elsewhere show."""
    made = 0
    for symbol in reversed(group):
        made = _times_alpha(made ^ symbol)
    key = 1
    for _ in range(place % 31):
        key = _times_alpha(key)
    return made ^ key


def _total(symbols: Sequence[int]) -> list[int]:
    """The four symbols of the last group: the first 20 bits of the SHA-256 of the others."""
    value = int.from_bytes(hashlib.sha256(b"airgap-code-1" + bytes(symbols)).digest()[:3]) >> 4
    return [value >> shift & 31 for shift in (15, 10, 5, 0)]


def _written(kind: CodeKind, digest: Digest, body: Sequence[int]) -> str:
    number = _id_of(digest)
    symbols = [kind, *(number >> 5 * at & 31 for at in reversed(range(_ID))), *body]
    symbols += [0] * (-len(symbols) % _DATA)
    symbols += _total(symbols)
    groups = [symbols[at : at + _DATA] for at in range(0, len(symbols), _DATA)]
    return "-".join("".join(_ALPHABET[s] for s in (*g, _check(g, n))) for n, g in enumerate(groups))


def read_code(text: str) -> RoadCode:
    """Reads a code as a person types it. Raises `InputError` (`bad-code`), which names the group that is wrong."""
    plain = re.sub(r"[\s_-]", "", text[:1000]).upper().translate(_ALIKE)
    size = _DATA + 1
    if len(plain) % size or not 3 <= len(plain) // size <= _MAX_GROUPS or set(plain) - set(_ALPHABET):
        odd = sorted(set(plain) - set(_ALPHABET))
        what = f"{odd[0]!r} is in no code" if odd else f"got {len(plain)} symbols, expected groups of {size}"
        raise InputError("bad-code", f"this is not a code: {what}", AGAIN)
    groups = [[_ALPHABET.index(symbol) for symbol in plain[at : at + size]] for at in range(0, len(plain), size)]
    for place, group in enumerate(groups):
        if _check(group[:_DATA], place) != group[_DATA]:
            shown = "".join(_ALPHABET[symbol] for symbol in group)
            raise InputError("bad-code", f"group {place + 1} of the code is mistyped: {shown}", AGAIN)
    symbols = [symbol for group in groups for symbol in group[:_DATA]]
    data, total = symbols[:-_DATA], symbols[-_DATA:]
    if _total(data) != total or data[0] not in CodeKind.__members__.values():
        raise InputError("bad-code", "the code as a whole is not right, though each group is", AGAIN)
    number = 0
    for symbol in data[1 : 1 + _ID]:
        number = number << 5 | symbol
    body = data[1 + _ID :]
    while body and not body[-1]:
        body.pop()
    return RoadCode(CodeKind(data[0]), number, tuple(body))


# receipts


def receipt_code(secret: bytes, digest: Digest) -> str:
    """The code that says that a delivery arrived, whole and verified. `secret` is the shared key, empty for none."""
    return _written(CodeKind.RECEIPT, digest, _mark(secret, digest))


def is_receipt(code: RoadCode, secret: bytes, digest: Digest) -> bool:
    """True if a receipt code was made for this delivery with this key."""
    mark = _mark(secret, digest)
    while mark and not mark[-1]:
        mark.pop()
    return code.kind is CodeKind.RECEIPT and code.is_about(digest) and list(code.body) == mark


def _mark(secret: bytes, digest: Digest) -> list[int]:
    value = int.from_bytes(receipt_mark(secret, digest)[:8]) >> 14
    return [value >> 5 * at & 31 for at in reversed(range(_MARK))]


# what is missing


def resend_code(digest: Digest, files: Sequence[FileSum], missing: Missing) -> str:
    """The code for what is missing of a delivery: exact, or in larger units if it would be too long to type.

    All bytes of `missing` are in it, and others around them.
    """
    exponent = 0
    while exponent < _MAX_EXPONENT and len(_ranges(exponent, _units(files, missing, UNIT << exponent))) > _MAX_BODY:
        exponent += 1
    units = _units(files, missing, UNIT << exponent)
    while len(body := _ranges(exponent, units)) > _MAX_BODY:  # the smallest gap is sent as well
        gaps = [after[0] - before[1] for before, after in pairwise(units)]
        at = gaps.index(min(gaps))
        units[at : at + 2] = [(units[at][0], units[at + 1][1])]
    return _written(CodeKind.RESEND, digest, body)


def everything_code(digest: Digest) -> str:
    """The code for a delivery of which nothing arrived, not even AIRGAP.json."""
    return _written(CodeKind.RESEND, digest, [])


def wanted(code: RoadCode, files: Sequence[FileSum]) -> Missing:
    """What a resend code asks for: by file, ranges of bytes. Raises `InputError` (`bad-code`)."""
    if not code.body:
        return {number: [(0, file.size)] for number, file in enumerate(files)}
    exponent, numbers = code.body[0] - 1, _numbers(code.body[1:])
    if not 0 <= exponent <= _MAX_EXPONENT:
        raise InputError("bad-code", "the code was made by a newer version of airgap", "use that version to send")
    unit = UNIT << exponent
    found: dict[int, list[tuple[int, int]]] = {}
    first = 0
    places = []
    for number, file in enumerate(files):
        places.append((first, first + -(-file.size // unit), number, file.size))
        first = places[-1][1]
    at = 0
    for gap, count in zip(numbers[::2], numbers[1::2], strict=False):
        begin, at = at + gap, at + gap + count
        if at > first:
            raise InputError("bad-code", "the code asks for more than the delivery has", AGAIN)
        for low, high, number, size in places:
            if max(begin, low) < min(at, high):
                ends = (max(begin, low) - low) * unit, min((min(at, high) - low) * unit, size)
                found.setdefault(number, []).append(ends)
    return found


def _units(files: Sequence[FileSum], missing: Missing, unit: int) -> list[tuple[int, int]]:
    """The numbers of the units in which something is missing, over all files, as ranges that do not touch."""
    found: list[tuple[int, int]] = []
    first = 0
    for number, file in enumerate(files):
        for begin, end in missing.get(number, ()):
            low, high = first + begin // unit, first + -(-end // unit)
            if found and low <= found[-1][1]:
                found[-1] = (found[-1][0], max(high, found[-1][1]))
            else:
                found.append((low, high))
        first += -(-file.size // unit)
    return found


def _ranges(exponent: int, units: Sequence[tuple[int, int]]) -> list[int]:
    """The body: no zero is at its end, because no range is empty."""
    made, at = [exponent + 1], 0
    for begin, end in units:
        made += _symbols(begin - at) + _symbols(end - begin)
        at = end
    return made


def _symbols(number: int) -> list[int]:
    """A number in symbols of four bits, the lowest first; all but the last have the highest bit set."""
    made = [number & 15]
    while number := number >> 4:
        made[-1] |= 16
        made.append(number & 15)
    return made


def _numbers(symbols: Sequence[int]) -> list[int]:
    found, value, shift = [], 0, 0
    for symbol in symbols:
        value |= (symbol & 15) << shift
        shift += 4
        if not symbol & 16:
            found.append(value)
            value, shift = 0, 0
    return found
