"""`--baseline`: earlier deliveries, or stores, from which a command reads what a delta omits.

Who signed them does not matter: every blob is compared with the digest that the signed delta gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from airgap.base.errors import InputError
from airgap.content.graph import Source
from airgap.delivery.fields import INDEX_NAME
from airgap.delivery.mend import mender_of
from airgap.delivery.read import Volumes, open_index, open_media
from airgap.delivery.seal import Identities
from airgap.store.layout import Layout
from airgap.store.overlay import Overlay

LAYOUT_MARK = "oci-layout"
"""The file that every store has."""


def open_earlier(folders: Sequence[Path], identities: Identities) -> list[Source]:
    """The content of each delivery and store among `folders`; the others hold further volumes of the deliveries.

    `identities` open encrypted deliveries. Raises `InputError` (`no-delivery`, `identity-needed`), `IntegrityError`
    (`bad-index`).
    """
    deliveries = [folder for folder in folders if (folder / INDEX_NAME).is_file()]
    stores = [folder for folder in folders if folder not in deliveries and (folder / LAYOUT_MARK).is_file()]
    rest = tuple(folder for folder in folders if folder not in deliveries and folder not in stores)
    if rest and not deliveries:
        raise InputError(
            "no-delivery",
            f"--baseline {rest[0]}: there is neither an {INDEX_NAME} nor a store",
            "name the folder of an earlier delivery, or a store; further folders with its volumes, too",
        )
    return [*(_volumes(folder, rest, identities) for folder in deliveries), *map(Layout, stores)]


def _volumes(folder: Path, rest: tuple[Path, ...], identities: Identities) -> Volumes:
    media, index = open_index(open_media([folder]), identities)
    folders = (folder, *rest)
    mender = mender_of(index if media.seal is None else media.seal.sealed, folders)
    return Volumes(index.contents, folders, mender=mender, seal=media.seal)


def or_from(earlier: Sequence[Path], source: Source | None, identities: Identities) -> Source | None:
    """A source that also has what earlier deliveries and stores have; `None` if there is none at all."""
    sources = [*open_earlier(earlier, identities), *([] if source is None else [source])]
    return Overlay(*sources) if len(sources) > 1 else next(iter(sources), None)
