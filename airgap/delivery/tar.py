"""Plain deterministic tar: the headers of volumes and of evidence.tar.

ustar; mode 0644, ids 0, no names, mtime 0; a pax header only for sizes that ustar cannot express (8 GiB and more).
Source: POSIX.1-2017, pax, "ustar Interchange Format".
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from airgap.base.errors import IntegrityError

BLOCK = 512
END = bytes(2 * BLOCK)
"""Two zero blocks end an archive; no padding to 10 KiB follows."""
MAX_MEMBERS = 100_000
"""Members of evidence.tar: more than the statements of any delivery."""


def header(name: str, size: int) -> bytes:
    """The header block of a file; three blocks if it needs a pax header."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o644, 0
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def padding(size: int) -> int:
    """The number of zero bytes after a file of `size` bytes."""
    return -size % BLOCK


def pack(files: Iterable[tuple[str, bytes]]) -> bytes:
    """A complete small archive."""
    pieces = []
    for name, data in files:
        pieces += [header(name, len(data)), data, bytes(padding(len(data)))]
    return b"".join([*pieces, END])


def unpack(stream: BinaryIO, limit: int) -> Iterator[tuple[str, bytes]]:
    """The files of an archive that `pack` made, in its order, at most `limit` bytes in total.

    Refuses all members except regular files, such as links and devices. Raises `IntegrityError`.
    """
    total = 0
    try:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for count, member in enumerate(archive):
                total += member.size
                if not member.isreg() or count >= MAX_MEMBERS or total > limit:
                    raise IntegrityError(
                        "bad-archive",
                        f"{member.name!r}: not a plain file, too large, or one file too many",
                    )
                file = archive.extractfile(member)
                yield member.name, file.read() if file else b""
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise IntegrityError("bad-archive", f"not a tar archive: {error}") from error


def read_archive(data: bytes, limit: int) -> dict[str, bytes]:
    """`unpack` for bytes; refuses a name that occurs twice."""
    files: dict[str, bytes] = {}
    for name, content in unpack(io.BytesIO(data), limit):
        if name in files:
            raise IntegrityError("bad-archive", f"{name!r} occurs twice")
        files[name] = content
    return files
