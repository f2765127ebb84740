"""The one list of a delivery's files that AIRGAP.json vouches for: what is copied, hashed, sent and waited for.

AIRGAP.json itself and `signatures/` are not in it, because they vouch for the others; nor are README.txt and
SHA256SUMS, which are functions of AIRGAP.json (`airgap.delivery.readme`).
"""

from __future__ import annotations

from airgap.delivery.fields import FileSum
from airgap.delivery.index import Index


def payload(index: Index) -> tuple[FileSum, ...]:
    """Name, sha256 and size of each file that AIRGAP.json lists, in the order of SHA256SUMS: volumes, evidence.tar,
    parity files.

    Every name is one that `Index.decode` expects there, so it is safe to use as the name of a file in a folder. The
    order is fixed: a place in it is the file's number on a road (`airgap.diode`).
    """
    return (*index.protected, *(() if index.parity is None else index.parity.files))
