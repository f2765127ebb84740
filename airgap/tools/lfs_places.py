"""Where in a history an LFS object is wanted: for people who have to find one that its origin has lost."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from airgap.tools.git import LONG
from airgap.tools.git_refs import is_oid
from airgap.tools.git_repository import BareRepository
from airgap.tools.lfs import small_blobs_of


@dataclass(frozen=True, slots=True)
class PointerPlace:
    """The file whose pointer names an object, and the first commit with that pointer; `""` for what is unknown."""

    path: str
    commit: str

    def __str__(self) -> str:
        """For messages."""
        return f"{self.path or 'a file'}, commit {self.commit or 'unknown'}"


def find_places(repository: BareRepository, tips: Iterable[str], wanted: Collection[str]) -> dict[str, PointerPlace]:
    """One place for each LFS object of `wanted` that the history of `tips` names. Raises `ToolError`, `StoreError`.

    Reads all small files of the history, so it is for a few objects after a failure.
    """
    tips = sorted(set(tips))
    blobs: dict[str, str] = {}
    for blob, pointer in small_blobs_of(repository, tips):
        if pointer is not None and pointer[0] in wanted and pointer[0] not in blobs.values():
            blobs[blob] = pointer[0]
    paths = _paths(repository, tips, blobs)
    return {oid: PointerPlace(paths.get(blob, ""), _commit(repository, tips, blob)) for blob, oid in blobs.items()}


def _paths(repository: BareRepository, tips: Collection[str], blobs: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    with repository.git.start(
        *("rev-list", "--objects", "--filter=object:type=blob", "--stdin"),
        repository=repository.path,
        stdin=_lines(tips),
    ) as walk:
        for line in walk.stdout:
            blob, _, path = line.decode(errors="backslashreplace").rstrip("\n").partition(" ")
            if blob in blobs:
                found.setdefault(blob, path)
        walk.finish()
    return found


def _commit(repository: BareRepository, tips: Collection[str], blob: str) -> str:
    """The oldest commit that added or removed the blob: it added it."""
    done = repository.git.run(
        *("log", "--format=%H", "--no-renames", "--diff-merges=first-parent", f"--find-object={blob}", "--stdin"),
        repository=repository.path,
        stdin=_lines(tips),
        timeout=LONG,
        ok=(),
    )
    commits = [line for line in done.stdout.decode(errors="replace").split("\n") if is_oid(line)]
    return commits[-1] if commits else ""


def _lines(tips: Collection[str]) -> bytes:
    return "".join(f"{oid}\n" for oid in tips).encode()
