"""Files that a command writes where a person says: never over another kind of file, never through a medium's links."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airgap.base.disk import disk_errors, write_below
from airgap.base.errors import InputError
from airgap.base.inputs import read_plain
from airgap.base.known_files import identified
from airgap.base.places import check_file, check_unlinked

OWN_FILES = frozenset({"accepted.json", "accepted.sigstore.json", "names.json", "log.jsonl"})
"""The files that airgap keeps in a state folder itself, besides hidden ones and folders."""
_MAX_OLD = 64 << 20
"""Bytes of a file that may be replaced: those of the largest statement."""


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A file that a command was told to write. `check` it before the work, `write` it after."""

    path: Path
    flag: str
    """The flag that named it, for messages."""
    kind: str
    """What is written, in the words of `identified`: `a receipt`. Only a file of this kind is replaced."""
    own: Path | None = None
    """The state folder. No file may be in its folders, which keep the statements of earlier runs, nor be called like a
    file that airgap keeps in it (`OWN_FILES`)."""
    media: tuple[Path, ...] = ()
    """The folders of a delivery. On their media, no link is followed: it may lead anywhere on this machine."""
    most: int = _MAX_OLD
    """Bytes of a file that may be replaced."""
    rescue: Callable[[bytes], None] = lambda _data: None
    """Called with the file that is about to be replaced: a statement that exists only there is evidence."""

    def check(self) -> None:
        """Raises `InputError` (`bad-path`, `no-folder`, `other-file`) or `StoreError` if it cannot be written there."""
        check_file(self.path, self.flag)
        if self.own is not None and self._is_kept(self.own.resolve()):
            what = f"{self.flag} {self.path}: airgap keeps its own files in {self.own}"
            raise InputError("bad-path", what, "name a file in another folder")
        folder, names = self._place()
        check_unlinked(folder, names, "name a folder and a file that are not links")
        with disk_errors(self.path):
            if not self.path.exists():
                return
            data = read_plain(self.path, self.most)
        found = "" if data is None else identified(data)
        if data == b"" or found == self.kind:
            return
        raise InputError(
            "other-file",
            f"{self.flag} {self.path}: this is {found or 'another file'}, and {self.kind} would replace it",
            f"name a new file, or {self.kind} that may be replaced",
        )

    def _is_kept(self, own: Path) -> bool:
        path = self.path.resolve()
        if path.parent == own:
            return path.name.startswith(".") or path.name in OWN_FILES
        return path.is_relative_to(own)

    def write(self, data: bytes) -> None:
        """Replaces the file, durably or not at all. Raises `StoreError`."""
        with disk_errors(self.path):
            before = read_plain(self.path, self.most) if self.path.exists() else None
        if before and before != data:
            self.rescue(before)
        folder, names = self._place()
        write_below(folder, names, data)

    def _place(self) -> tuple[Path, tuple[str, ...]]:
        """The folder that is opened as it is named, and the names below it, where no link is followed."""
        path = Path(os.path.abspath(self.path))
        for folder in self.media:
            root = _root(Path(os.path.abspath(folder)))
            if path.is_relative_to(root):
                return root, path.relative_to(root).parts
        return path.parent, (path.name,)


def _root(folder: Path) -> Path:
    """The highest folder that is known to be on the medium: the parent, where receipts often are, if it is there."""
    above = folder.parent
    with disk_errors(folder):
        same = above.stat().st_dev == folder.stat().st_dev
    return above if same and above != above.parent else folder
