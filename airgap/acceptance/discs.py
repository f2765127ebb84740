"""One disc after another: which unfinished import a disc continues, and what to keep of a disc that is removed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.content.graph import Descriptor, Node, Source, walk
from airgap.content.item import Item
from airgap.delivery.fields import INDEX_NAME
from airgap.delivery.files import first_files, payload, read_listing
from airgap.delivery.read import open_media
from airgap.delivery.spool import Spool
from airgap.statements.accepted_state import AcceptedState


def with_unfinished(folders: Sequence[Path], state: Path, accepted: AcceptedState, *, restore: bool) -> Sequence[Path]:
    """`folders`, plus the folder of the unfinished import that they continue, so that a disc without AIRGAP.json works.

    Considers only imports that can still continue: the last delivery of a stream, and with `restore` any accepted one.
    Raises `InputError`: `no-delivery` if it continues none, `which-delivery` if it may continue several.
    """
    alive = {one.digest for one in accepted.deliveries if restore or accepted.last(one.stream) == one}
    spools = [spool for spool in Spool.all(state) if spool.digest in alive]
    if not spools:
        return folders
    if any((folder / INDEX_NAME).is_file() for folder in folders):
        same = Spool.of(state, open_media(folders).digest)
        return [*folders, same.folder] if same in spools else folders
    fitting = [spool for spool in spools if _fits(spool, folders)]
    names = ", ".join(str(folder) for folder in folders)
    if not fitting:
        raise InputError(
            "no-delivery",
            f"{names}: there is neither an {INDEX_NAME} nor a volume of an unfinished import",
            "pass the folder that contains the next disc's volumes",
        )
    if len(fitting) > 1:
        raise InputError(
            "which-delivery",
            f"{names}: could belong to any of {len(fitting)} unfinished imports",
            f"also pass the folder of its first disc, which contains {INDEX_NAME}",
        )
    return [*folders, fitting[0].folder]


def _fits(spool: Spool, folders: Sequence[Path]) -> bool:
    """True if a folder contains a file with the name and size of one of the delivery's volumes or parity files.

    AIRGAP.json of the spool is read only if it is the one that was accepted under this name.
    """
    media = open_media([spool.folder])
    if media.digest != spool.digest:
        return False
    index = read_listing(media.index_bytes)
    for file in (file for file in payload(index) if file not in first_files(index)):
        for folder in folders:
            path = folder / file.name
            if path.is_file() and path.stat().st_size == file.size:
                return True
    return False


def forget_superseded(state: Path, accepted: AcceptedState, current: Digest) -> None:
    """Removes the spools of deliveries that a later one of their stream has superseded: they cannot continue."""
    alive = {current} | {one.digest for one in accepted.deliveries if accepted.last(one.stream) == one}
    for spool in Spool.all(state):
        if spool.digest not in alive:
            spool.remove()


def plan_blobs(roots: Sequence[tuple[Item, Descriptor]], source: Source) -> Iterator[Digest]:
    """Everything that a plan reads: all manifests, indexes and configs."""
    for item, root in roots:
        for top, keep in item.graphs(root):
            for found in walk(source, top, keep):
                if isinstance(found, Node):
                    yield found.descriptor.digest
                    if found.config is not None:
                        yield found.config.digest
