"""A request compared with its source: which refs it names, and whether the source is complete."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from airgap.base.errors import WrongItemError
from airgap.base.inputs import open_plain
from airgap.content.graph import Descriptor, Opener
from airgap.content.ref_name import pattern_fault
from airgap.tools.git import Git
from airgap.tools.git_refs import check_refs
from airgap.tools.lfs import object_path

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
_USUAL = ("refs/heads/*", "refs/tags/*")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The refs that a request names, sorted; and how many it would name that servers keep for themselves."""

    refs: Mapping[str, str]
    hidden: Mapping[str, int]
    """By their prefix."""


def choose_refs(patterns: Iterable[str], present: Mapping[str, str], head: str, where: str) -> Chosen:
    """The refs of `present` that full names or patterns name. `*` matches any characters, also `/`.

    `HEAD` is the ref to which `head` points; what a pattern after a `^` names is left out. Without another pattern,
    branches and tags are taken. A pattern must match something, except in an empty repository: but those of branches
    and tags need not. Refs that nobody asked for may have any name.

    Raises `InputError` (`bad-ref`, `git-no-ref`).
    """
    patterns = tuple(patterns)
    for pattern in patterns:
        fault = pattern_fault(pattern)
        if fault:
            example = f"for example refs/heads/{pattern.rpartition('/')[2] or 'main'}"
            raise WrongItemError("bad-ref", f"{where}: got {pattern!r}: {fault}", example)
    without = [pattern[1:].split("*") for pattern in patterns if pattern.startswith("^")]
    offered = {name: oid for name, oid in present.items() if not any(_fits(pieces, name) for pieces in without)}
    chosen: dict[str, str] = {}
    hidden = Counter[str]()
    for pattern in [one for one in patterns if not one.startswith("^")] or _USUAL:
        named = _head(head, present, where) if pattern == "HEAD" else pattern
        found, its_hidden = _matching(named, offered)
        if not (found or its_hidden) and present and pattern not in _USUAL:
            near = difflib.get_close_matches(pattern, present, n=3, cutoff=0.4) or sorted(present)[:3]
            raise WrongItemError("git-no-ref", f"{where}: nothing matches {pattern}", f"it has {', '.join(near)}")
        chosen |= found
        hidden |= its_hidden
    if present and not chosen:
        raise WrongItemError("git-no-ref", f"{where}: it has neither branches nor tags", "list its refs in the request")
    return Chosen(check_refs(chosen, where, WrongItemError), hidden)


def _head(head: str, present: Mapping[str, str], where: str) -> str:
    if present and head not in present:
        what = f"{where}: HEAD points to {head or 'no branch'}, which does not exist"
        raise WrongItemError("git-no-ref", what, "name its branches instead of HEAD")
    return head


def _matching(pattern: str, offered: Mapping[str, str]) -> tuple[dict[str, str], Counter[str]]:
    """The refs that a pattern names, and how many more of the server's own it would, by their prefix."""
    asked = tuple(prefix for prefix in _HIDDEN if not pattern.startswith(prefix))
    pieces = pattern.split("*")
    fitting = {name: oid for name, oid in offered.items() if _fits(pieces, name)}
    found = {name: oid for name, oid in fitting.items() if name == pattern or not name.startswith(asked)}
    others = [name for name in fitting if name not in found]
    return found, Counter(next(prefix for prefix in _HIDDEN if name.startswith(prefix)) for name in others)


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


def local_objects(folder: Path, wanted: Sequence[Descriptor], lost: list[str]) -> Iterator[tuple[Descriptor, Opener]]:
    """Each LFS object with its opener, from the `.git` folder of a repository at a path. Absent ones go to `lost`."""
    for descriptor in wanted:
        path = object_path(folder, descriptor.digest.hex)
        if path.is_file():
            yield descriptor, file_opener(path)
        else:
            lost.append(descriptor.digest.hex)


def file_opener(path: Path) -> Opener:
    """Opens a file at an offset."""

    def open_at(offset: int) -> BinaryIO:
        file = os.fdopen(open_plain(path, follow=True)[0], "rb")
        file.seek(offset)
        return file

    return open_at
