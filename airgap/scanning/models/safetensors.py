"""Reads the header of a safetensors file, and compares it with the file's size.

The format is only data; what can be wrong is that a header lies about it. Source: the README of safetensors ("Format"),
and the checks of its reader (`validate` in tensor.rs): tensors cover the file without holes, in one order.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from airgap.scanning.models.blob import Blob
from airgap.scanning.models.documents import read_document
from airgap.scanning.models.rules import Report

MAX_TENSORS = 100_000
"""Tensors of a file: large models have some thousands in each."""
MAX_DIMENSIONS = 64

_BITS = {
    "F64": 64,
    "I64": 64,
    "U64": 64,
    "C64": 64,
    "F32": 32,
    "I32": 32,
    "U32": 32,
    "F16": 16,
    "BF16": 16,
    "I16": 16,
    "U16": 16,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I8": 8,
    "U8": 8,
    "BOOL": 8,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F4": 4,
}
_METADATA = "__metadata__"
_MOST = 1 << 62


def looks_like_safetensors(head: bytes, size: int) -> bool:
    """True if the first bytes are those of a safetensors file: a length that fits, and the beginning of an object."""
    return len(head) > 8 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size - 8


def check_safetensors(blob: Blob, limit: int, report: Report) -> None:
    """Reports every way in which the header, of at most `limit` bytes, does not describe the file."""
    head = blob.read(0, 8)
    length = int.from_bytes(head, "little")
    if len(head) < 8 or length > blob.size - 8:
        report("safetensors-size", f"the header has {length} bytes, and the file {blob.size}")
        return
    if length > limit:
        report("not-read-limit", f"a header of {length} bytes, expected at most {limit}")
        return
    try:
        header = read_document(blob.read(8, length))
    except ValueError as error:
        report("safetensors-header", str(error))
        return
    if not isinstance(header, dict) or not _is_metadata(header.pop(_METADATA, {})) or len(header) > MAX_TENSORS:
        report("safetensors-header", f"expected an object with texts as {_METADATA} and at most {MAX_TENSORS} tensors")
        return
    places = _places(header, report)
    if places is not None:
        _check_places(places, blob.size - 8 - length, report)


def _is_metadata(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


def _places(header: dict[str, Any], report: Report) -> list[tuple[int, int, str]] | None:
    """Where each tensor begins and ends, in order; `None` if one cannot be read."""
    places, wrong = [], ""
    for name, tensor in header.items():
        place = _place(tensor)
        if place is None:
            report("safetensors-header", f"tensor {name[:100]}")
            return None
        start, end, bits = place
        places.append((start, end, name))
        if end < start or bits is None or bits != (end - start) * 8:
            wrong = wrong or name
    if wrong:
        report("safetensors-tensor", wrong)
    return sorted(places)


def _place(tensor: Any) -> tuple[int, int, int | None] | None:
    """Begin, end, and the bits of the tensor by its type and shape; `None` in its place for an unknown type."""
    if not isinstance(tensor, dict) or tensor.keys() != {"dtype", "shape", "data_offsets"}:
        return None
    dtype, shape, offsets = tensor["dtype"], tensor["shape"], tensor["data_offsets"]
    if not isinstance(dtype, str) or not _numbers(shape) or not _numbers(offsets) or len(offsets) != 2:
        return None
    bits = _BITS.get(dtype)
    for number in shape if bits is not None else ():
        bits = min(_MOST, (bits or 0) * number)
    return offsets[0], offsets[1], bits


def _numbers(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= MAX_DIMENSIONS
        and all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one < _MOST for one in value)
    )


def _check_places(places: list[tuple[int, int, str]], size: int, report: Report) -> None:
    """Tensors follow each other from the first byte to the last of `size`."""
    said = set()
    for (_, end, before), (start, _, after) in pairwise([(0, 0, "the header"), *places]):
        rule = "safetensors-overlap" if start < end else "safetensors-hole" if start > end else ""
        if rule and rule not in said:
            said.add(rule)
            report(rule, f"{before[:100]} and {after[:100]}")
    end = max((place[1] for place in places), default=0)
    if end != size:
        report("safetensors-size", f"the tensors have {end} bytes, and the file has {size} for them")
