"""A form's bundles unpacked, and the repository compared with the form: for those who pull, and those who import."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from pathlib import Path

from airgap.base.disk import disk_errors
from airgap.base.errors import IntegrityError
from airgap.content.forms import Refs
from airgap.content.graph import Descriptor, Source
from airgap.tools.git_bundle import copy_out, unpack_bundle
from airgap.tools.git_repository import BareRepository
from airgap.tools.lfs import find_pointers

Named = Set[tuple[str, str]]
"""Refs as bundles name them: (name, object id)."""


def unpack_whole(
    form: Refs, repository: BareRepository, path: Path, done: Callable[[Descriptor], None] = lambda _: None
) -> Named:
    """Adds the objects of all bundles of a form to the empty `repository`. Everything that the refs reach is there.

    Returns the refs that the bundles name; the caller compares and sets them. Raises the errors of `unpack_bundles`.
    """
    named = unpack_bundles(form.source, form.bundles, repository, path, done)
    # In an empty repository, one bundle is whole: git has looked for what each object names.
    lacking = repository.lacking(form.refs.values()) if len(form.bundles) > 1 else ""
    if lacking:
        what = f"{form.item}: its bundles together do not contain everything: {lacking}"
        raise IntegrityError("git-corrupt", what, "get them again from their source")
    return named


def unpack_bundles(
    source: Source,
    bundles: Iterable[Descriptor],
    repository: BareRepository,
    path: Path,
    done: Callable[[Descriptor], None] = lambda _: None,
) -> Named:
    """Adds the objects of bundles to `repository`, in their order, and checks each. Returns the refs that they name.

    Each bundle is copied to the file `path` first. Raises `IntegrityError` (`bad-bundle`, `git-corrupt`,
    `git-prerequisite`, `too-large`), `StoreError`, `ToolError`.
    """
    named = set[tuple[str, str]]()
    for bundle in bundles:
        try:
            copy_out(source, bundle, path)
            named |= unpack_bundle(repository, path).refs.items()
        finally:
            with disk_errors(path):
                path.unlink(missing_ok=True)
        done(bundle)
    return named


def differences(form: Refs, named: Named, repository: BareRepository) -> Iterator[str]:
    """What differs, in words: refs that no bundle names (`named`), and LFS objects that are lacking or are too many.

    An earlier bundle of a chain may name refs that are not carried any more. `repository` has all objects. LFS objects
    are compared if the lock asks for them. Raises `IntegrityError`, `ToolError`.
    """
    for name, oid in form.refs.items():
        if (name, oid) not in named:
            got = ", ".join(sorted(found for other, found in named if other == name)) or None
            yield f"{name}: got {got}, expected {oid}"
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
