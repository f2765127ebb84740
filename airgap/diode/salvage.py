"""What of a damaged volume is sound: AIRGAP.json has a digest for each blob, and the rest of a tar is known."""

from __future__ import annotations

import hashlib
import os
import re

from airgap.base.digest import CHUNK, Digest
from airgap.delivery import tar as tape
from airgap.delivery.files import Listing
from airgap.delivery.sealed import Sealed
from airgap.diode.ranges import Ranges


def sound_parts(index: Listing, number: int, fd: int) -> Ranges:
    """The ranges of file `number` (from 0) that are proven to be right, of a volume that is not right as a whole.

    These are the blobs that lie in it whole and have their digest, with their headers and padding. A split blob, the
    list of roots, evidence.tar and what is encrypted cannot be proven in part. Reads the volume once. Raises `OSError`.
    """
    found = Ranges()
    if isinstance(index, Sealed):
        return found
    for digest, extents in index.contents.blobs.items():
        extent = extents[0]
        if extent.volume != number + 1 or len(extents) > 1:
            continue
        begin, end = extent.offset, extent.offset + extent.length
        if _digest(fd, begin, extent.length) != digest:
            continue
        header = tape.header(f"blobs/sha256/{digest.hex}", extent.length)
        padding = tape.padding(extent.length)
        if os.pread(fd, len(header), begin - len(header)) == header:
            begin -= len(header)
        if os.pread(fd, padding, end) == bytes(padding):
            end += padding
        found.add(begin, end)
    return found


def volume_by_header(index: Listing, fd: int) -> int | None:
    """The number (from 0) of the volume that a file is, by the blob that its first header names; `None` if it is none.

    The file may be cut or damaged behind that. An encrypted one does not say it. Raises `OSError`.
    """
    if isinstance(index, Sealed):
        return None
    block = os.pread(fd, tape.BLOCK, 2 * tape.BLOCK)  # the header of `oci-layout` and its content are before it
    found = re.match(rb"blobs/sha256/([0-9a-f]{64})(\.part-[0-9]{4})?\0", block)
    if found is None:
        return None
    part = int(found[2][6:]) if found[2] else 1
    extents = index.contents.blobs.get(Digest(f"sha256:{found[1].decode()}"), ())
    return extents[part - 1].volume - 1 if 1 <= part <= len(extents) else None


def _digest(fd: int, offset: int, length: int) -> Digest:
    hasher, buffer = hashlib.sha256(), memoryview(bytearray(min(CHUNK, max(1, length))))
    while length:
        count = os.preadv(fd, [buffer[:length]], offset)
        if not count:
            break
        hasher.update(buffer[:count])
        offset, length = offset + count, length - count
    return Digest.from_hash(hasher)
