"""Files of items: charts as .tgz, models as folders, plain files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from airgap.base.digest import hash_stream
from airgap.base.disk import check_free, disk_errors, make_folder
from airgap.base.errors import InputError
from airgap.base.progress import Progress
from airgap.content.forms import Tree
from airgap.content.graph import Descriptor, Source
from airgap.destinations.trees.keys import check_keys
from airgap.jobs.extracting.target import (
    OutputFile,
    check_new_file,
    check_staged,
    exists,
    staged,
    write_file,
)

CHART_ENDING = ".tgz"


@dataclass(frozen=True, slots=True)
class Files:
    """What goes where: `folder`, and the paths below it, each with its blob and source."""

    folder: Path
    entries: Mapping[str, tuple[Descriptor, Source]]
    is_new: bool
    """True if the folder appears whole, with all files; false if files are added to one that exists."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(descriptor.size for descriptor, _ in self.entries.values())

    def listed(self) -> tuple[OutputFile, ...]:
        """The files, in order."""
        return tuple(OutputFile(path, one.digest.hex, one.size) for path, (one, _) in sorted(self.entries.items()))


def place_files(things: Sequence[tuple[str, Tree]], to: Path) -> Files:
    """Decides where the files of items go; each item comes with its kind. Checks that they can be written there.

    A model is a new folder. A chart or a file is the file `to`, or keeps its name in the folder `to`. Of several items,
    `to` is the folder. Raises `InputError` (`not-empty`, `key-collision`, …), `StoreError` (`disk-full`).
    """
    check_keys([tree for _, tree in things])
    is_folder = to.is_dir() or len(things) > 1
    if len(things) == 1 and not is_folder and (renamed := _one_file(*things[0], to)):
        entries = {path: (descriptor, things[0][1].source) for path, descriptor in renamed.items()}
        for path in entries:
            check_new_file(to.parent / path)
        made = Files(to.parent, entries, is_new=False)
    else:
        entries = _in_folder(things)
        is_new = not to.is_dir() or any(kind == "model" for kind, _ in things)
        if is_new:
            check_staged(to)
        made = Files(to, entries, is_new)
    check_free(to, made.size + 4096 * len(made.entries), ", ".join(repr(tree.item) for _, tree in things[:3]))
    return made


def _one_file(kind: str, tree: Tree, to: Path) -> dict[str, Descriptor]:
    """The files next to `to` if one item becomes the file `to`; none if it becomes a folder."""
    if kind == "file":
        return {to.name: next(iter(tree.entries.values()))}
    if kind == "chart" and to.suffix == CHART_ENDING:
        packed = next(path for path in tree.entries if path.endswith(CHART_ENDING))
        return {to.name + path.removeprefix(packed): one for path, one in tree.entries.items()}
    if kind == "chart" and to.suffix:
        what = f"--to {to}: a chart is a {CHART_ENDING} file"
        raise InputError("bad-path", what, f"name a folder, or a file that ends in {CHART_ENDING}; or add --as oci")
    return {}


def _in_folder(things: Sequence[tuple[str, Tree]]) -> dict[str, tuple[Descriptor, Source]]:
    """Every file by its path in the folder: by its own name, and a model's by its path. Of several models, each has a
    folder. Raises `InputError` (`key-collision`)."""
    made: dict[str, tuple[Descriptor, Source]] = {}
    for kind, tree in things:
        for path, descriptor in tree.entries.items():
            inner = path.rpartition("/")[2]
            if kind == "model":
                inner = path if len(things) == 1 else f"{tree.item}/{path}"
            if made.setdefault(inner, (descriptor, tree.source))[0].digest != descriptor.digest:
                what = f"{tree.item!r}: another item has a file {inner!r}, too"
                raise InputError("key-collision", what, "extract them into different folders")
    return made


def write_files(files: Files, progress: Progress) -> int:
    """Writes the files; returns how many were there already. If the work fails, none that it wrote is left.

    Raises `InputError` (`not-empty`) for a file with other content, `IntegrityError`, `StoreError`.
    """
    progress.start("extract", files.size, len(files.entries))
    if files.is_new:
        with staged(files.folder) as partial:
            for path, (descriptor, source) in files.entries.items():
                _write(source, descriptor, partial / "new" / path, path, progress)
        return 0
    made, present = list[Path](), 0
    try:
        for path, (descriptor, source) in files.entries.items():
            target = files.folder / path
            if os.path.lexists(target):
                if not _same(target, descriptor):
                    raise exists(target)
                present += 1
                continue
            _write(source, descriptor, target, path, progress)
            made.append(target)
    except BaseException:
        for target in made:
            with suppress(OSError):
                target.unlink()
        raise
    return present


def _write(source: Source, descriptor: Descriptor, target: Path, name: str, progress: Progress) -> None:
    progress.item(name)
    make_folder(target.parent)
    write_file(source, descriptor, target)
    progress.advance(descriptor.size)
    progress.done(name, "written")


def _same(path: Path, descriptor: Descriptor) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size != descriptor.size:
        return False
    with disk_errors(path), path.open("rb") as file:
        return hash_stream(file)[0] == descriptor.digest
