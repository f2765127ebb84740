"""Zstandard for small documents, whole in memory. What is unpacked is bounded before it is unpacked.

Source: RFC 8878. A frame says the size of its content in its header; one that does not is refused.
"""

from __future__ import annotations

from types import ModuleType

from airgap.base.digest import Digest
from airgap.base.errors import InputError

SUFFIX = ".zst"
_LEVEL = 9
"""Results and SBOMs get 15 times smaller; more costs time, and wins little."""


def packed(data: bytes) -> bytes:
    """`data` as one frame; the same version of the library always makes the same bytes."""
    made: bytes = _library().ZstdCompressor(level=_LEVEL).compress(data)
    return made


def unpacked(data: bytes, limit: int) -> bytes:
    """The content of one frame, at most `limit` bytes. Raises `ValueError`, which says what is wrong."""
    zstandard = _library()
    try:
        size = zstandard.frame_content_size(data)
        if not 0 <= size <= limit:
            got = "no size" if size < 0 else f"{size} bytes"
            raise ValueError(f"got {got} in the header, expected at most {limit} bytes")
        # With a size in the header, exactly so much memory is taken.
        made: bytes = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ValueError(f"it cannot be unpacked: {error}") from error
    return made


def unpacked_as(digest: Digest, data: bytes | None, limit: int) -> bytes | None:
    """The content of one frame, if it has that digest; `None` if there is no frame, or another one."""
    try:
        made = unpacked(data or b"", limit)
    except ValueError:
        return None
    return made if Digest.of(made) == digest else None


def _library() -> ModuleType:
    try:
        import zstandard
    except ImportError as error:
        what = "scans are kept compressed, which needs the Python package zstandard"
        raise InputError("missing-extra", what, "pip install 'airgap[zstd]'") from error
    return zstandard
