"""An unpacked repository compared with the form that it came in: for those who pull, and those who import."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airgap.content.forms import Refs
from airgap.tools.git_repository import BareRepository
from airgap.tools.lfs import find_pointers


def differences(form: Refs, found: Mapping[str, str], repository: BareRepository) -> Iterator[str]:
    """What differs, in words: refs of the bundles (`found`), and LFS objects that are lacking or are too many.

    `repository` has all objects. LFS objects are compared if the lock asks for them. Raises `IntegrityError`,
    `ToolError`.
    """
    for name in sorted(found.keys() | form.refs.keys()):
        if found.get(name) != form.refs.get(name):
            yield f"{name}: got {found.get(name)}, expected {form.refs.get(name)}"
    if form.whole_lfs:
        carried = {layer.digest.hex: layer.size for layer in form.lfs}
        pointers = find_pointers(repository, form.refs.values())
        for oid in form.lost_lfs:
            pointers.pop(oid, None)
        for oid in sorted(carried.keys() | pointers.keys()):
            if oid not in carried or (oid in pointers and carried[oid] != pointers[oid]):
                yield f"LFS object {oid} ({pointers[oid]} bytes) is not carried"
            elif oid not in pointers:
                yield f"LFS object {oid} is carried, but no ref reaches it"
