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
from airgap.base.errors import IntegrityError, StoreError
from airgap.base.inputs import plain_size
from airgap.base.parallel import parallel
from airgap.base.progress import Progress
from airgap.delivery import readme as people
from airgap.delivery.fields import INDEX_NAME, FileSum
from airgap.delivery.files import Listing, payload
from airgap.delivery.index import README_NAME, SIGNATURES, SUMS_NAME, Index
from airgap.delivery.journey import EVIDENCE_NAME
from airgap.delivery.mend import mender_of
from airgap.delivery.on_media import hash_file
from airgap.delivery.read import Media, signature_names
from airgap.delivery.repair import Diagnosis, diagnose
from airgap.delivery.sealed import SEALED_SUFFIX

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


def check_files(index: Listing, media: Media, jobs: int, progress: Progress) -> list[FileReport]:
    """Hashes volumes and evidence completely, compares README.txt and SHA256SUMS, and reports extra files.

    Of an encrypted delivery that was opened, the files are decrypted in the same pass, and what is in them is hashed
    too; with the outer index alone, only the encrypted files are.
    """
    outer = index if media.seal is None else media.seal.sealed
    listed = payload(outer)
    reports, _ = check_payload(index, media, jobs, progress)
    readme = people.readme(outer, media.index_bytes)
    made = {README_NAME: readme, SUMS_NAME: people.sums(outer, media.index_bytes, readme)}
    for name, expected in made.items():
        reports.append(_compare(name, expected, media.folders))
    return [*reports, *_unlisted({entry.name for entry in listed} | set(made), media.folders)]


def check_payload(
    index: Listing, media: Media, jobs: int, progress: Progress
) -> tuple[list[FileReport], Diagnosis | None]:
    """Hashes every file that AIRGAP.json lists; of bad ones in a delivery with parity files, every block too."""
    outer = index if media.seal is None else media.seal.sealed
    listed = payload(outer)
    inner = {one.name + SEALED_SUFFIX: one for one in payload(index)} if media.seal is not None else {}
    progress.start("verify", sum(entry.size for entry in listed), len(listed))
    states = parallel(jobs, lambda entry: _check(entry, inner.get(entry.name), media, progress), listed)
    if all(state == "good" for state, _ in states):
        return [FileReport(entry.name, "good") for entry in listed], None
    held = _held(index) if isinstance(index, Index) else {}
    reports = []
    for entry, (state, why) in zip(listed, states, strict=True):
        lost = "" if state == "good" else held.get(entry.name.removesuffix(SEALED_SUFFIX), "")
        reports.append(FileReport(entry.name, state, "; ".join(filter(None, (why, lost)))))
    mender = mender_of(outer, media.folders)
    if mender is None:
        return reports, None
    try:
        found = diagnose(mender, [state for state, _ in states], jobs)
    finally:
        mender.close()
    return [_with_blocks(report, found) for report in reports], found


def _with_blocks(report: FileReport, found: Diagnosis) -> FileReport:
    lost, blocks = found.lost.get(report.name, (0, 0))
    if not lost:  # it is good, or an exporter signed what is wrong inside
        return report
    said = f"{report.state}: {lost} of {count(blocks, 'block')}"
    return FileReport(
        report.name, report.state if found.short else "repairable", "; ".join(filter(None, (said, report.detail)))
    )


def _check(entry: FileSum, inner: FileSum | None, media: Media, progress: Progress) -> tuple[str, str]:
    """The state of a file, and what is wrong with it if more is known; `inner` is what must be in an encrypted one."""
    progress.item(entry.name)
    state: str = "missing"
    why: str | None = ""
    for path in (folder / entry.name for folder in media.folders):
        if not path.exists():
            continue
        size = plain_size(path)
        try:
            bad = _compared(path, entry, inner, media) if size == entry.size else _size_differs(size, entry)
        except StoreError as error:  # a sector that the drive cannot read: another copy may be good
            bad = error.what
        state, why = ("good", "") if bad is None else ("damaged", bad)
        if state == "good":
            break
    progress.advance(entry.size)
    progress.done(entry.name, state)
    return state, why or ""


def _compared(path: Path, entry: FileSum, inner: FileSum | None, media: Media) -> str | None:
    """What is wrong with a file that has the right size, `""` if no more is known; `None` if it is good."""
    if media.seal is None or inner is None:
        return None if hash_file(path, entry.size) == entry.sha256 else ""
    try:
        outer, plain, size = media.seal.hashed(path, entry)
    except IntegrityError as error:
        return error.what
    if outer != entry.sha256:
        return ""
    return None if (plain, size) == (inner.sha256, inner.size) else f"what is in it is not the signed {inner.name}"


def _size_differs(size: int | None, entry: FileSum) -> str:
    return f"got {_bytes(size)}, expected {entry.size} bytes"


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
    known = known | {INDEX_NAME, SIGNATURES}
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
