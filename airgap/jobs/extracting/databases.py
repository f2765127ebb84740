"""Databases of scanners as the files in them: a cache folder of Trivy, for `trivy --cache-dir`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.base.disk import check_free
from airgap.base.errors import InputError
from airgap.base.progress import Progress
from airgap.content.forms import Form, Graph
from airgap.content.graph import Source, read_node
from airgap.jobs.extracting.target import OutputFile, check_staged, staged
from airgap.scanning.databases.read import DatabaseArtifact, FileWriter, artifact_of, read_files, unpacked_size


@dataclass(frozen=True, slots=True)
class DatabaseFiles:
    """A database, and where it is read from."""

    item: str
    artifact: DatabaseArtifact
    source: Source


def database_of(thing: Form) -> DatabaseFiles | None:
    """The database in a form; `None` if it is none. Raises any error of reading its manifest."""
    if not isinstance(thing, Graph):
        return None
    found = artifact_of(read_node(thing.source, thing.root))
    return None if found is None else DatabaseFiles(thing.item, found, thing.source)


def check_databases(found: Sequence[DatabaseFiles], to: Path) -> None:
    """Checks that they can be written to the new folder `to`. Raises `InputError`, `StoreError`."""
    places = [one.artifact.type.place for one in found]
    if len(set(places)) < len(places):
        what = f"two of the items are a {found[0].artifact.type.name}"
        raise InputError("key-collision", what, "extract them into different folders")
    check_staged(to)
    check_free(to, sum(unpacked_size(one.artifact, one.source) for one in found), found[0].item)


def write_databases(found: Sequence[DatabaseFiles], to: Path, progress: Progress) -> tuple[OutputFile, ...]:
    """Writes the files of each where Trivy looks for them in its cache folder, all or nothing."""
    with staged(to) as partial:
        return _each(found, partial / "new", progress)


def list_databases(found: Sequence[DatabaseFiles], progress: Progress) -> tuple[OutputFile, ...]:
    """What `write_databases` would write: reads everything."""
    return _each(found, None, progress)


def _each(found: Sequence[DatabaseFiles], folder: Path | None, progress: Progress) -> tuple[OutputFile, ...]:
    progress.start("extract", sum(one.artifact.layer.size for one in found), len(found))
    made = list[OutputFile]()
    for one in found:
        place, files = one.artifact.type.place, dict[str, tuple[int, str]]()
        progress.item(one.item)
        read_files(one.artifact, one.source, FileWriter(folder / place if folder else None, files).take)
        made += [OutputFile(f"{place}/{path}", sha256, size) for path, (size, sha256) in sorted(files.items())]
        progress.advance(one.artifact.layer.size)
        progress.done(one.item, "written")
    return tuple(made)
