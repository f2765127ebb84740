"""What is attached to an image and cannot be carried: it is left out when locking, and the lock names it.

Anybody who may push can attach anything: a type that was withdrawn, a malformed manifest, a layer that is stored
elsewhere. It does not make the image impossible. A policy that requires the signature in it still fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, DamageError, InputError, IntegrityError, NotFoundError
from airgap.base.json_fields import Fields
from airgap.content.bound import LOCK_AGAIN, Blobs, Nodes, measure
from airgap.content.graph import MAX_MEDIA_TYPE, Source
from airgap.content.item import Attached, Item
from airgap.content.lock_finding import CODE

LEFT_OUT = "leftOut"
"""The field of an item in a lock."""
FOREIGN = "not-as-locked"
"""The code for what is attached to something that is not carried with the item."""


@dataclass(frozen=True, slots=True, order=True)
class LeftOut:
    """Something attached that is not carried: its subject, its digest and type, and the code of the reason."""

    subject: Digest
    digest: Digest
    media_type: str
    code: str

    def as_dict(self) -> dict[str, str]:
        """The JSON object."""
        return {
            "subject": str(self.subject),
            "digest": str(self.digest),
            "mediaType": self.media_type,
            "code": self.code,
        }


@dataclass(frozen=True, slots=True)
class SortedAttached:
    """What is carried with an item, all of its blobs, and what is left out."""

    kept: tuple[Attached, ...]
    blobs: Blobs
    left_out: tuple[LeftOut, ...]


def sort_attached(attached: Sequence[Attached], nodes: Set[Digest], source: Source) -> SortedAttached:
    """Reads everything that is attached to a graph with these `nodes`, and leaves out what cannot be carried.

    1. What cannot be read or is of no known type. 2. What refers to something that is not carried, and so on for what
    is attached to that. Raises `DamageError` for bytes that were changed on the way, and `UpstreamError`.
    """
    left = dict[Attached, str]()
    below = dict[Attached, tuple[Nodes, Blobs]]()
    # 1.
    for one in attached:
        try:
            below[one] = measure(source, one.descriptor)
        except DamageError:
            raise
        except (IntegrityError, NotFoundError) as error:
            left[one] = error.code
    # 2.
    while True:
        whole = nodes | {digest for own, _ in below.values() for digest in own}
        stray = [one for one, (own, _) in below.items() if not _subjects(one, own) <= whole]
        if not stray:
            break
        for one in stray:
            left[one] = FOREIGN
            del below[one]
    blobs = Blobs()
    for _, its in below.values():
        blobs |= its
    named = sorted(
        LeftOut(one.subject, one.descriptor.digest, one.descriptor.media_type, why) for one, why in left.items()
    )
    return SortedAttached(tuple(one for one in attached if one in below), blobs, tuple(dict.fromkeys(named)))


def _subjects(one: Attached, own: Nodes) -> Set[Digest]:
    return {one.subject, *(subject for subject in own.values() if subject is not None)}


def left_out_field(left_out: Sequence[LeftOut]) -> Mapping[str, Any]:
    """The field of an item, for `Item.more`; nothing if nothing is left out."""
    return {LEFT_OUT: [one.as_dict() for one in left_out]} if left_out else {}


def check_left_out(item: Item, where: str) -> None:
    """Checks the field of an item. Raises `InputError` (`bad-lock`)."""
    if LEFT_OUT not in item.more:
        return
    fields = Fields({LEFT_OUT: item.more[LEFT_OUT]}, where, _bad)
    found = [_read(one) for one in fields.each(LEFT_OUT, {"subject", "digest", "mediaType", "code"})]
    carried = {(one.subject, one.descriptor.digest) for one in item.attached}
    if not found or found != sorted(set(found)) or any((one.subject, one.digest) in carried for one in found):
        raise _bad(f"{where}: {LEFT_OUT}: empty, not sorted, or something in it is carried")


def left_out_notes(item: Item) -> list[str]:
    """Notes for people: what of an item is not carried."""
    return [
        f"{item.name}: without {one['digest']} ({one['mediaType']}), which is attached to {one['subject']} and cannot "
        f"be carried [{one['code']}]"
        for one in item.more.get(LEFT_OUT, ())
    ]


def _read(fields: Fields) -> LeftOut:
    code = fields.text("code", MAX_MEDIA_TYPE)
    if not CODE.match(code):
        raise _bad(f"{fields.at('code')}: got {code!r:.80}, expected a code such as unknown-node")
    media_type = fields.text("mediaType", MAX_MEDIA_TYPE)
    return LeftOut(fields.digest("subject"), fields.digest("digest"), media_type, code)


def _bad(what: str) -> AirgapError:
    return InputError("bad-lock", what, LOCK_AGAIN)
