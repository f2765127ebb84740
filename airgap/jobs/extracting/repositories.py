"""A packed Git repository as a repository: bare, or with a work tree. LFS objects are in place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from airgap.base.digest import CHUNK
from airgap.base.disk import check_free, disk_errors, make_folder
from airgap.base.errors import InputError, IntegrityError
from airgap.base.progress import Progress
from airgap.content.forms import Refs
from airgap.content.graph import Descriptor
from airgap.jobs.extracting.target import check_staged, staged, write_file
from airgap.tools.git import LONG, Git
from airgap.tools.git_content import differences, unpack_whole
from airgap.tools.git_refs import object_format
from airgap.tools.git_repository import BareRepository
from airgap.tools.lfs import MAX_POINTER, object_path, parse_pointer


def check_repository(refs: Refs, to: Path, *, bare: bool) -> None:
    """Checks before the work that the repository can be made. Raises `InputError` (`not-empty`, `no-head`)."""
    check_staged(to)
    if not bare and refs.head not in refs.refs and len(refs.refs) != 1:
        what = f"{refs.item!r}: its HEAD names no branch that was carried, so there is none to check out"
        raise InputError("no-head", what, "use `--as bare`, then `git clone --branch NAME`")
    size = sum(blob.size for blob in refs.blobs())
    # The bundle, and what it unpacks to; LFS objects twice where there is a work tree.
    check_free(to, 3 * size if not bare else 2 * size, repr(refs.item))


def write_repository(refs: Refs, to: Path, progress: Progress, *, bare: bool) -> None:
    """Unpacks the bundles, checks every object and every ref, and puts LFS objects where git-lfs looks for them.

    Raises `IntegrityError` (`git-corrupt`, `git-wrong-ref`, …), `StoreError`, `ToolError`.
    """
    progress.start("extract", sum(blob.size for blob in refs.blobs()), 1)
    progress.item(refs.item)
    with staged(to) as partial:
        folder = partial.absolute()  # git runs in another one
        work, made = folder / "work", folder / "new"
        work.mkdir()
        git = Git(work)
        folder = made if bare else made / ".git"
        repository = BareRepository(git, folder)
        if bare:
            made.rmdir()  # git makes it
        repository.create(object_format(refs.refs.values()))
        _unpack(refs, repository, work / "bundle", progress)
        for layer in {layer.digest: layer for layer in refs.lfs}.values():
            path = object_path(folder, layer.digest.hex)
            make_folder(path.parent)
            write_file(refs.source, layer, path)
            progress.advance(layer.size)
        if refs.head in refs.refs:
            repository.set_head(refs.head)
        if not bare:
            _check_out(refs, repository, made)
    progress.done(refs.item, "written")


def _unpack(refs: Refs, repository: BareRepository, path: Path, progress: Progress) -> None:
    named = unpack_whole(refs, repository, path, lambda bundle: progress.advance(bundle.size))
    difference = next(differences(refs, named, repository), None)
    if difference is not None:
        raise IntegrityError("git-wrong-ref", f"{refs.item}: {difference}")
    repository.set_refs(refs.refs)


def _check_out(refs: Refs, repository: BareRepository, made: Path) -> None:
    """Makes the work tree of HEAD, or of the only ref, with the content of LFS objects in place of their pointers."""
    git, folder = repository.git, repository.path
    git.run("config", "core.bare", "false", repository=folder)
    if not refs.refs:
        return
    if refs.head not in refs.refs:
        [oid] = refs.refs.values()
        git.run("update-ref", "--no-deref", "HEAD", f"{oid}^{{commit}}", repository=folder)
    git.run(f"--work-tree={made}", "reset", "--quiet", "--hard", "HEAD", repository=folder, timeout=LONG)
    if refs.lfs:
        carried = {layer.digest.hex: layer for layer in refs.lfs}
        for path, layer in _pointers(git, folder, made, carried):
            mode = path.stat().st_mode & 0o777
            path.unlink()
            with disk_errors(path), object_path(folder, layer.digest.hex).open("rb") as source, path.open("xb") as file:
                shutil.copyfileobj(source, file, CHUNK)
            path.chmod(mode)
        # The sizes in the index were those of the pointers: git would take each file for changed without reading it.
        git.run("read-tree", "HEAD", repository=folder)


def _pointers(
    git: Git, folder: Path, made: Path, carried: Mapping[str, Descriptor]
) -> Iterator[tuple[Path, Descriptor]]:
    """The files of the work tree that git-lfs would fill: their attribute `filter` is `lfs`."""
    where = f"--work-tree={made}"
    listed = git.run(where, "ls-files", "-z", repository=folder).stdout
    names = [name for name in listed.split(b"\0") if name and _is_small(made, name)]
    # check-attr reads .gitattributes of the work tree, and git runs elsewhere: from the index.
    asked = git.run(
        *(where, "check-attr", "--cached", "-z", "--stdin", "filter"),
        repository=folder,
        stdin=b"".join(name + b"\0" for name in names),
    )
    fields = asked.stdout.split(b"\0")
    for name, value in zip(fields[0::3], fields[2::3], strict=False):
        path = made / os.fsdecode(name)
        if value == b"lfs":
            with disk_errors(path):
                pointer = parse_pointer(path.read_bytes())
            layer = None if pointer is None else carried.get(pointer[0])
            if layer is not None:
                yield path, layer


def _is_small(made: Path, name: bytes) -> bool:
    path = made / os.fsdecode(name)
    with suppress(OSError):
        return path.is_file() and not path.is_symlink() and path.stat().st_size < MAX_POINTER
    return False
