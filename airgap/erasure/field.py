"""GF(256) and the Cauchy matrices over it: numbers only, a matrix is a tuple of rows of bytes.

The field has the polynomial x^8 + x^4 + x^3 + x^2 + 1 (0x11d) and the generator 2. Addition is XOR. Source: Plank, "A
Tutorial on Reed-Solomon Coding for Fault-Tolerance in RAID-like Systems"; Bloemer et al., "An XOR-Based
Erasure-Resilient Coding Scheme".
"""

from __future__ import annotations

from collections.abc import Sequence

_POLYNOMIAL = 0x11D


def _powers() -> tuple[tuple[int, ...], tuple[int, ...]]:
    exp, log = [0] * 510, [0] * 256
    value = 1
    for power in range(255):
        exp[power] = exp[power + 255] = value
        log[value] = power
        value = value << 1 ^ (_POLYNOMIAL if value & 0x80 else 0)
    return tuple(exp), tuple(log)


_EXP, _LOG = _powers()
TIMES: tuple[bytes, ...] = tuple(
    bytes(256) if not a else bytes([0] + [_EXP[_LOG[a] + _LOG[b]] for b in range(1, 256)]) for a in range(256)
)
"""`TIMES[a][b]` is the product; `row.translate(TIMES[a])` multiplies a whole row by `a`."""
INVERSE: tuple[int, ...] = (0, *(_EXP[255 - _LOG[a]] for a in range(1, 256)))
"""`TIMES[a][INVERSE[a]]` is 1; 0 has no inverse."""


def cauchy(data: int, row: int) -> bytes:
    """The coefficients of parity row `row` (from 0): that of data row i of `data` is 1 / ((data + row) ^ i).

    Every square part of the rows is invertible, as long as `data + row` is below 256. Equal to `gf_gen_cauchy1_matrix`
    of ISA-L.
    """
    return bytes(INVERSE[(data + row) ^ i] for i in range(data))


def add(a: bytes, b: bytes) -> bytes:
    """The sum of two rows of one length."""
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).to_bytes(len(a), "little")


def times(a: Sequence[bytes], b: Sequence[bytes]) -> tuple[bytes, ...]:
    """The product of two matrices; each has at least one row."""
    made = []
    for row in a:
        total = bytes(len(b[0]))
        for coefficient, other in zip(row, b, strict=True):
            total = add(total, other.translate(TIMES[coefficient]))
        made.append(total)
    return tuple(made)


def inverse(matrix: Sequence[bytes]) -> tuple[bytes, ...]:
    """The inverse of a square matrix, by elimination. Raises `ValueError` if there is none."""
    size = len(matrix)
    rows = [row + bytes(int(i == at) for i in range(size)) for at, row in enumerate(matrix)]
    for at in range(size):
        pivot = next((i for i in range(at, size) if rows[i][at]), None)
        if pivot is None:
            raise ValueError("the matrix has no inverse")
        rows[at], rows[pivot] = rows[pivot], rows[at]
        rows[at] = rows[at].translate(TIMES[INVERSE[rows[at][at]]])
        for i in range(size):
            if i != at and rows[i][at]:
                rows[i] = add(rows[i], rows[at].translate(TIMES[rows[i][at]]))
    return tuple(row[size:] for row in rows)
