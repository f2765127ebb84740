"""The one list of a delivery's files that AIRGAP.json vouches for: what is copied, hashed, sent and waited for.

AIRGAP.json itself and `signatures/` are not in it, because they vouch for the others; nor are README.txt and
SHA256SUMS, which are functions of AIRGAP.json (`airgap.delivery.readme`).
"""

from __future__ import annotations

from airgap.delivery.fields import FileSum
from airgap.delivery.index import Index
from airgap.delivery.sealed import Sealed, is_sealed

Listing = Index | Sealed
"""What AIRGAP.json says of the files on the media: the index, or of an encrypted delivery the outer one."""


def read_listing(data: bytes) -> Listing:
    """What AIRGAP.json says of the files on the media, encrypted or not; its signature must be verified already.

    Raises what `Index.decode` raises.
    """
    return Sealed.decode(data) if is_sealed(data) else Index.decode(data)


def first_files(index: Listing) -> tuple[FileSum, ...]:
    """The files without which no volume is of use: evidence.tar; of an encrypted delivery also AIRGAP.json.age."""
    return (index.journey.evidence.file, *((index.index,) if isinstance(index, Sealed) else ()))


def volume_files(index: Listing) -> tuple[FileSum, ...]:
    """The volumes, as they are on the media."""
    return index.volumes if isinstance(index, Sealed) else index.contents.volumes


def payload(index: Listing) -> tuple[FileSum, ...]:
    """Name, sha256 and size of each file that AIRGAP.json lists, in the order of SHA256SUMS: volumes, evidence.tar,
    parity files.

    Of an encrypted delivery, these are the encrypted files, and the one with the ordinary AIRGAP.json comes last.

    Every name is one that `Index.decode` expects there, so it is safe to use as the name of a file in a folder. The
    order is fixed: a place in it is the file's number on a road (`airgap.diode`).
    """
    parity = () if index.parity is None else index.parity.files
    return (*index.protected, *parity, *((index.index,) if isinstance(index, Sealed) else ()))
