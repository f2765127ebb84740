"""`verify`: checks every byte of every file of a delivery against the signed index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.base.parallel import parallel
from airgap.base.progress import Progress
from airgap.delivery import readme as people
from airgap.delivery.index import (
    EVIDENCE_NAME,
    INDEX_NAME,
    README_NAME,
    SIGNATURES,
    SUMS_NAME,
    FileSum,
    Index,
)
from airgap.delivery.read import Media, hash_file, signature_names


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file: `good`, `missing`, `damaged` or `unlisted`; `detail` describes the content of a bad volume."""

    name: str
    state: str
    detail: str = ""


def check_files(index: Index, media: Media, jobs: int, progress: Progress) -> list[FileReport]:
    """Hashes volumes and evidence completely, compares README.txt and SHA256SUMS, and reports extra files."""
    listed = [*index.contents.volumes, index.journey.evidence.file]
    progress.start("verify", sum(entry.size for entry in listed), len(listed))
    reports = parallel(jobs, lambda entry: _check(entry, index, media, progress), listed)
    readme = people.readme(index, media.index_bytes)
    made = {README_NAME: readme, SUMS_NAME: people.sums(index, media.index_bytes, readme)}
    for name, expected in made.items():
        reports.append(_compare(name, expected, media.folders))
    return reports + _unlisted({entry.name for entry in listed} | set(made), media.folders)


def _check(entry: FileSum, index: Index, media: Media, progress: Progress) -> FileReport:
    progress.item(entry.name)
    state = "missing"
    for folder in media.folders:
        path = folder / entry.name
        if not path.is_file():
            continue
        found = hash_file(path)
        state = "good" if found == (entry.sha256, entry.size) else "damaged"
        if state == "good":
            break
    progress.advance(entry.size)
    progress.done(entry.name, state)
    detail = "" if state == "good" else held(entry.name, index)
    return FileReport(entry.name, state, detail)


def held(name: str, index: Index) -> str:
    """A text about the content of a lost volume: the number of blobs and the roots among them."""
    numbers = {volume.name: n for n, volume in enumerate(index.contents.volumes, 1)}
    if name not in numbers:
        return "the locks and statements"
    blobs = [d for d, extents in index.contents.blobs.items() if any(e.volume == numbers[name] for e in extents)]
    roots = [root.item for root in index.contents.roots if root.digest in set(blobs)]
    return f"it contains {len(blobs)} blobs" + (f", among them the roots of {', '.join(roots)}" if roots else "")


def _compare(name: str, expected: bytes, folders: Sequence[Path]) -> FileReport:
    state = "missing"
    for folder in folders:
        path = folder / name
        if path.is_file():
            state = "good" if _same(path, expected) else "damaged"
        if state == "good":
            break
    return FileReport(name, state, "" if state == "good" else f"airgap can create it again from {INDEX_NAME}")


def _same(path: Path, expected: bytes) -> bool:
    return path.stat().st_size == len(expected) and path.read_bytes() == expected


def _unlisted(known: set[str], folders: Sequence[Path]) -> list[FileReport]:
    known = known | {INDEX_NAME, EVIDENCE_NAME, SIGNATURES}
    found = []
    for folder in folders:
        odd = [path for path in sorted(folder.iterdir()) if path.name not in known]
        signed = folder / SIGNATURES
        if signed.is_dir():
            counts = signature_names(signed)
            odd += [path for path in sorted(signed.iterdir()) if path.name not in counts]
        found += [FileReport(str(path), "unlisted", "not part of the delivery") for path in odd]
    return found
