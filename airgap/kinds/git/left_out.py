"""The field `lostLFS` of an item: LFS objects that are not carried, because their origin has lost them."""

from __future__ import annotations

import re

from airgap.base.errors import InputError
from airgap.content.bound import LOCK_AGAIN
from airgap.content.item import Item

LEFT_OUT = "lostLFS"
"""The field, in a request and in a lock."""
MAX_LEFT_OUT = 1000
"""Objects of one repository: each is a finding that somebody accepts."""

_OID = re.compile(r"[0-9a-f]{64}\Z")


def is_lfs_oid(text: str) -> bool:
    """True for 64 lower-case hex digits."""
    return _OID.match(text) is not None


def left_out(item: Item) -> tuple[str, ...]:
    """The ids of an item's lost objects, sorted."""
    return tuple(item.more.get(LEFT_OUT, ()))


def check_left_out(item: Item, where: str) -> None:
    """Checks the field as it was read. Raises `InputError` (`bad-lock`)."""
    value = item.more[LEFT_OUT]
    good = (
        item.lfs
        and isinstance(value, list)
        and 1 <= len(value) <= MAX_LEFT_OUT
        and all(isinstance(one, str) and is_lfs_oid(one) for one in value)
        and value == sorted(set(value))
    )
    if not good:
        what = f"{where}: {LEFT_OUT}: expected 1 to {MAX_LEFT_OUT} ids of LFS objects, sorted, in an item with LFS"
        raise InputError("bad-lock", what, LOCK_AGAIN)
