"""The indexes of deliveries that were cut from a store, as its records have them."""

from __future__ import annotations

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.delivery.index import Index
from airgap.delivery.sealed import Sealed, check_agreement, is_sealed
from airgap.station.files import Records


def cut_index(digest: Digest, records: Records) -> Index | None:
    """The index of a delivery that was cut here; of an encrypted one, that which is inside. `None` if it is not known.

    Raises `InputError` (`not-cut-here`) if only the outer AIRGAP.json of an encrypted one is known.
    """
    data = records.cut(digest)
    if data is None or not is_sealed(data):
        return None if data is None else Index.decode(data)
    # The secret key that opens it is elsewhere: this store remembers what is in it.
    inner = records.cut_inner(digest)
    if inner is None:
        raise InputError(
            "not-cut-here",
            f"the records of this store do not contain what is in the encrypted delivery {digest}",
            "pass its receipt instead, or its folder with --identity FILE",
        )
    index = Index.decode(inner)
    check_agreement(Sealed.decode(data), index)
    return index
