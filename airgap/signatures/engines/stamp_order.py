"""Puts the certificates of a time stamp into the order that DER demands, so that the library reads it.

OpenSSL and the authorities that use it write them unsorted. They are outside of what is signed, so their order means
nothing: Go's and OpenSSL's readers ignore it, too.
"""

from __future__ import annotations

from collections.abc import Iterator

_SIGNED_DATA = (0, 1, 1, 0)
"""The place of SignedData, level by level: TimeStampResp, timeStampToken (the second), content, and what is in it."""
_CERTIFICATES = 0xA0
"""`certificates [0] IMPLICIT` of SignedData (RFC 5652 §5.1)."""


def sorted_certificates(response: bytes) -> bytes:
    """The same `TimeStampResp` (RFC 3161 §2.4.2), with sorted certificates. What cannot be read is left as it is."""
    try:
        at = 0, len(response)
        for number in _SIGNED_DATA:
            _, start, end = list(_parts(response, *at))[number]
            at = start, end
        for tag, start, end in _parts(response, *at):
            if tag == _CERTIFICATES:
                return response[:start] + b"".join(sorted(_elements(response, start, end))) + response[end:]
    except (IndexError, ValueError):
        pass
    return response


def _elements(data: bytes, start: int, end: int) -> Iterator[bytes]:
    for _, _, after in _parts(data, start, end):
        yield data[start:after]
        start = after


def _parts(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Tag, and start and end of the content, of each element. Raises `IndexError`, `ValueError`."""
    while start < end:
        tag, size, start = data[start], data[start + 1], start + 2
        if size > 0x7F:
            count = size & 0x7F
            if not 1 <= count <= 4:
                raise ValueError("not a length of DER")
            size, start = int.from_bytes(data[start : start + count], "big"), start + count
        if start + size > end:
            raise ValueError("an element reaches beyond its container")
        yield tag, start, start + size
        start += size
