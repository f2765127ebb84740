"""A request compared with its source: which refs it names, and whether the source is complete."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from airgap.base.errors import WrongItemError
from airgap.base.inputs import open_plain
from airgap.content.graph import Descriptor, Opener
from airgap.tools.git import Git
from airgap.tools.git_refs import is_ref
from airgap.tools.lfs import missing_object, object_path

# The refs that forges keep besides branches and tags. A pattern such as `refs/*` does not match them; one that begins
# with such a prefix does.
_HIDDEN = (
    "refs/cache-automerge/",
    "refs/changes/",
    "refs/environments/",
    "refs/for/",
    "refs/keep-around/",
    "refs/merge-requests/",
    "refs/pipelines/",
    "refs/pull-requests/",
    "refs/pull/",
    "refs/remotes/",
    "refs/stash",
)


def choose_refs(patterns: Iterable[str], present: Mapping[str, str], where: str) -> dict[str, str]:
    """The refs of `present` that full names or patterns name, sorted. `*` matches any characters, also `/`.

    A pattern must match something, except in an empty repository. The default patterns (branches, tags) need not.
    Raises `InputError` (`bad-ref`, `git-no-ref`).
    """
    chosen: dict[str, str] = {}
    for pattern in patterns:
        if not is_ref(pattern.replace("*", "x/x")):
            raise WrongItemError(
                "bad-ref",
                f"{where}: got {pattern!r}, expected a full ref name or a pattern of them",
                f"for example refs/heads/{pattern.rpartition('/')[2] or 'main'}",
            )
        asked = tuple(prefix for prefix in _HIDDEN if not pattern.startswith(prefix))
        pieces = pattern.split("*")
        found = {
            name: oid
            for name, oid in present.items()
            if _fits(pieces, name) and (name == pattern or not name.startswith(asked))
        }
        if not found and present and pattern not in ("refs/heads/*", "refs/tags/*"):
            near = difflib.get_close_matches(pattern, present, n=3, cutoff=0.4) or sorted(present)[:3]
            raise WrongItemError("git-no-ref", f"{where}: nothing matches {pattern}", f"it has {', '.join(near)}")
        chosen |= found
    if present and not chosen:
        raise WrongItemError("git-no-ref", f"{where}: it has neither branches nor tags", "list its refs in the request")
    return dict(sorted(chosen.items()))


def _fits(pieces: Sequence[str], name: str) -> bool:
    """True if a name consists of these pieces, with any text between them. Takes linear time: names are upstream's."""
    first, *others = pieces
    if not others:
        return name == first
    *middle, last = others
    at, end = len(first), len(name) - len(last)
    if at > end or not name.startswith(first) or not name.endswith(last):
        return False
    for piece in middle:
        found = name.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def check_whole_source(git: Git, path: str) -> Path:
    """The `.git` folder of a repository at a path. Raises `InputError` for shallow and filtered clones."""
    done = git.run(
        "-C",
        path,
        "rev-parse",
        "--path-format=absolute",
        "--git-common-dir",
        "--is-shallow-repository",
    )
    folder, _, shallow = done.stdout.decode().strip().rpartition("\n")
    if shallow != "false":
        raise WrongItemError(
            "git-shallow",
            f"{path}: a shallow clone: its history is incomplete",
            "run `git fetch --unshallow` there, or use the origin itself",
        )
    keys = r"^(extensions\.partialclone|remote\..*\.(promisor|partialclonefilter))$"
    done = git.run("config", "--get-regexp", keys, repository=Path(folder), ok=(0, 1))
    if done.status == 0 or any(Path(folder).glob("objects/pack/*.promisor")):
        raise WrongItemError(
            "git-partial",
            f"{path}: a filtered (partial) clone: objects are missing",
            "use the origin itself, or a clone made without --filter",
        )
    return Path(folder)


def local_objects(folder: Path, wanted: Sequence[Descriptor]) -> Iterator[tuple[Descriptor, Opener]]:
    """Each LFS object with its opener, from the `.git` folder of a repository at a path."""
    for descriptor in wanted:
        path = object_path(folder, descriptor.digest.hex)
        if not path.is_file():
            raise missing_object(descriptor.digest.hex, str(folder), "run `git lfs fetch --all` there")
        yield descriptor, file_opener(path)


def file_opener(path: Path) -> Opener:
    """Opens a file at an offset."""

    def open_at(offset: int) -> BinaryIO:
        file = os.fdopen(open_plain(path, follow=True)[0], "rb")
        file.seek(offset)
        return file

    return open_at
