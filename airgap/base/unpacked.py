"""Unpacks zstd in memory, bounded: what is larger than its limit is refused before it is unpacked."""

from __future__ import annotations

from airgap.base.errors import InputError, IntegrityError, TooLargeError


def unzstd(data: bytes, limit: int, where: str) -> bytes:
    """The content of one zstd frame, at most `limit` bytes.

    Raises `IntegrityError` (`too-large`, `bad-zstd`), `InputError` (`missing-extra`) without the package zstandard.
    """
    try:
        import zstandard
    except ImportError as error:
        what = f"{where}: reading it needs the Python package zstandard"
        raise InputError("missing-extra", what, "pip install 'airgap[zstd]'") from error
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(data) as stream:
            found: bytes = stream.read(limit + 1)
    except zstandard.ZstdError as error:
        raise IntegrityError("bad-zstd", f"{where}: {error}") from error
    if len(found) > limit:
        raise TooLargeError("too-large", f"{where}: more than {limit} bytes unpacked")
    return found
