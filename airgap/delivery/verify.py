"""`verify`: checks every byte of every file of a delivery against the signed index."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from airgap.base.amounts import count
from airgap.base.digest import Digest
from airgap.base.disk import disk_errors
from airgap.base.errors import StoreError
from airgap.base.inputs import plain_size
from airgap.base.parallel import parallel
from airgap.base.progress import Progress
from airgap.delivery import readme as people
from airgap.delivery.fields import INDEX_NAME, FileSum
from airgap.delivery.files import payload
from airgap.delivery.index import README_NAME, SIGNATURES, SUMS_NAME, Index
from airgap.delivery.journey import EVIDENCE_NAME
from airgap.delivery.mend import mender_of
from airgap.delivery.read import Media, hash_file, signature_names
from airgap.delivery.repair import Diagnosis, diagnose

MAX_UNLISTED = 50
"""Extra files of one folder that a report lists by name."""
MAX_SHOWN = 5
"""Roots that the report about one volume names."""


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file: `good`, `missing`, `damaged`, `repairable` or `unlisted`; `detail` says more of a bad one.

    A file is repairable if it is missing or damaged, and can be computed from the parity files and the others.
    """

    name: str
    state: str
    detail: str = ""


def check_files(index: Index, media: Media, jobs: int, progress: Progress) -> list[FileReport]:
    """Hashes volumes and evidence completely, compares README.txt and SHA256SUMS, and reports extra files."""
    listed = payload(index)
    reports, _ = check_payload(index, media, jobs, progress)
    readme = people.readme(index, media.index_bytes)
    made = {README_NAME: readme, SUMS_NAME: people.sums(index, media.index_bytes, readme)}
    for name, expected in made.items():
        reports.append(_compare(name, expected, media.folders))
    return [*reports, *_unlisted({entry.name for entry in listed} | set(made), media.folders)]


def check_payload(
    index: Index, media: Media, jobs: int, progress: Progress
) -> tuple[list[FileReport], Diagnosis | None]:
    """Hashes every file that AIRGAP.json lists; of bad ones in a delivery with parity files, every block too."""
    listed = payload(index)
    progress.start("verify", sum(entry.size for entry in listed), len(listed))
    states = parallel(jobs, lambda entry: _check(entry, media, progress), listed)
    if all(state == "good" for state, _ in states):
        return [FileReport(entry.name, "good") for entry in listed], None
    lost = _held(index)
    reports = [
        FileReport(entry.name, state, "" if state == "good" else "; ".join(filter(None, (why, lost[entry.name]))))
        for entry, (state, why) in zip(listed, states, strict=True)
    ]
    mender = mender_of(index, media.folders)
    if mender is None:
        return reports, None
    try:
        found = diagnose(mender, [state for state, _ in states], jobs)
    finally:
        mender.close()
    return [_with_blocks(report, found) for report in reports], found


def _with_blocks(report: FileReport, found: Diagnosis) -> FileReport:
    if report.name not in found.lost:
        return report
    lost, blocks = found.lost[report.name]
    said = f"{report.state}: {lost} of {count(blocks, 'block')}"
    return FileReport(report.name, report.state if found.short else "repairable", f"{said}; {report.detail}")


def _check(entry: FileSum, media: Media, progress: Progress) -> tuple[str, str]:
    """The state of a file, and what is wrong with it if its size says so."""
    progress.item(entry.name)
    state, why = "missing", ""
    for path in (folder / entry.name for folder in media.folders):
        if not path.exists():
            continue
        size = plain_size(path)
        try:
            if size == entry.size and hash_file(path, size) == entry.sha256:
                state, why = "good", ""
                break
        except StoreError as error:  # a sector that the drive cannot read: another copy may be good
            state, why = "damaged", error.what
            continue
        state, why = "damaged", "" if size == entry.size else f"got {_bytes(size)}, expected {entry.size} bytes"
    progress.advance(entry.size)
    progress.done(entry.name, state)
    return state, why


def _bytes(size: int | None) -> str:
    return "something that is not a file" if size is None else f"{size} bytes"


def _held(index: Index) -> dict[str, str]:
    """By file name, a text about what is lost with it: the number of blobs and the roots among them."""
    names = [volume.name for volume in index.contents.volumes]
    held: dict[str, set[Digest]] = {name: set() for name in names}
    for digest, extents in index.contents.blobs.items():
        for extent in extents:
            held[names[extent.volume - 1]].add(digest)
    roots: dict[str, list[str]] = {name: [] for name in names}
    for root in index.contents.roots:
        for extent in index.contents.blobs.get(root.digest, ()):
            roots[names[extent.volume - 1]].append(root.item)
    made = {name: f"it contains {len(held[name])} blobs{_among(roots[name])}" for name in names}
    parity = () if index.parity is None else index.parity.files
    from_it = {file.name: "lost files are computed from it" for file in parity}
    return {**made, EVIDENCE_NAME: "the locks and statements", **from_it}


def _among(roots: Sequence[str]) -> str:
    more = f" and {len(roots) - MAX_SHOWN} more" if len(roots) > MAX_SHOWN else ""
    return f", among them the roots of {', '.join(roots[:MAX_SHOWN])}{more}" if roots else ""


def _compare(name: str, expected: bytes, folders: Sequence[Path]) -> FileReport:
    state = "missing"
    for path in (folder / name for folder in folders):
        if path.exists():
            state = "good" if _same(path, expected) else "damaged"
        if state == "good":
            break
    return FileReport(name, state, "" if state == "good" else f"airgap can create it again from {INDEX_NAME}")


def _same(path: Path, expected: bytes) -> bool:
    return plain_size(path) == len(expected) and hash_file(path, len(expected)) == sha256(expected).hexdigest()


def _unlisted(known: set[str], folders: Sequence[Path]) -> list[FileReport]:
    known = known | {INDEX_NAME, EVIDENCE_NAME, SIGNATURES}
    found = []
    for folder in folders:
        found += _odd(folder, known)
        signed = folder / SIGNATURES
        if signed.is_dir():
            found += _odd(signed, set(signature_names(signed)))
    return found


def _odd(folder: Path, known: set[str]) -> list[FileReport]:
    """The entries of a folder that are not `known`: the first ones by name, and the number of the others.

    Other Sovereigns may share the volumes, and have folders of their own.
    """
    first: list[str] = []
    odd = 0
    with disk_errors(folder), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name not in known and not Path(entry.path, INDEX_NAME).is_file():
                odd += 1
                first.append(entry.name)
            if len(first) > 2 * MAX_UNLISTED:
                first = sorted(first)[:MAX_UNLISTED]
    found = [
        FileReport(str(folder / name), "unlisted", "not part of the delivery") for name in sorted(first)[:MAX_UNLISTED]
    ]
    if odd > MAX_UNLISTED:
        found.append(FileReport(str(folder), "unlisted", f"{odd - MAX_UNLISTED} more are not part of the delivery"))
    return found
