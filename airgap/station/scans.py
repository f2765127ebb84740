"""The results of scanners and the SBOMs that a station keeps in its store, compressed.

`airgap/scans/<subject>.<scanner>.<result>.json.zst`: each part is a digest in hex, the scanner's that of its identity.
The result of a scan that did not run ends with `.not-run.json.zst`, and is never an answer for a later run. An SBOM is
`airgap/sboms/<digest>.json.zst`.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.disk import disk_errors, make_folder, mode_in, write_durably
from airgap.base.errors import IntegrityError
from airgap.base.inputs import read_plain
from airgap.base.strict_json import decode_json
from airgap.base.zstd import packed, unpacked, unpacked_as
from airgap.content.scan_result import MAX_RESULT, MAX_SBOM, ScannerIdentity, ScanResult
from airgap.statements.scans import Scan

SUFFIX = ".json.zst"
NOT_RUN = ".not-run"
MAX_REMEMBERED = 50_000
"""Findings that stay in memory, about 1 KiB each: reading 500 of them again takes 30 ms."""


class ScanRecords:
    """Results and SBOMs below `folder`, a store's `airgap/`. Several threads and processes may use one folder."""

    def __init__(self, folder: Path) -> None:
        self._scans, self._sboms = folder / "scans", folder / "sboms"
        self._answers: dict[str, str] | None = None
        self._remembered = dict[Digest, ScanResult]()
        self._room = MAX_REMEMBERED

    @property
    def is_trusted(self) -> bool:
        """False if another account may have written answers here: then none is taken. A store may be shared."""
        with disk_errors(self._scans):
            if not os.path.lexists(self._scans):
                return True
            found = os.lstat(self._scans)
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022

    def answer(self, subject: Digest, scanner: ScannerIdentity) -> tuple[Digest, ScanResult] | None:
        """What this scanner answered about this subject before, with its digest: finding it out again takes as long.

        `None` if it did not run, if the file is damaged, or if another account may have written it.
        """
        if self._answers is None:
            self._answers = self._listed()
        key = f"{subject.hex}.{scanner.own_digest.hex}"
        if key not in self._answers:
            return None
        name = self._answers[key]
        digest = Digest(f"sha256:{name.split('.')[2]}")
        data = _bytes(self._scans / name)
        found = None if data is None else _decoded(data, digest)
        if found is None or found.not_run or (found.subject, found.scanner) != (subject, scanner):
            return None
        self._remember(digest, found)
        return digest, found

    def save(self, result: ScanResult) -> Digest:
        """Keeps a result durably; returns its digest. Raises `StoreError`."""
        data = result.encode()
        key = f"{result.subject.hex}.{result.scanner.own_digest.hex}"
        digest = Digest.of(data)
        name = f"{key}.{digest.hex}{NOT_RUN if result.not_run else ''}{SUFFIX}"
        _write(self._scans / name, packed(data))
        self._remember(digest, result)
        if self._answers is not None and not result.not_run:
            self._answers[key] = name
        return digest

    def result(self, subject: Digest, scanner: Digest, result: Digest) -> ScanResult | None:
        """A result that a verdict names; `scanner` is the digest of its identity. `None` if missing or damaged."""
        if result in self._remembered:
            return self._remembered[result]
        data = self.packed_result(subject, scanner, result)
        return None if data is None else _decoded(data, result)

    def packed_result(self, subject: Digest, scanner: Digest, result: Digest) -> bytes | None:
        """The same, compressed and not yet checked, as evidence carries it. `None` if missing."""
        stem = f"{subject.hex}.{scanner.hex}.{result.hex}"
        return _bytes(self._scans / f"{stem}{SUFFIX}") or _bytes(self._scans / f"{stem}{NOT_RUN}{SUFFIX}")

    def named(self, scan: Scan) -> tuple[bytes, Digest | None] | None:
        """A result that a verdict names, compressed, and the SBOM that it names. `None` if missing or damaged."""
        data = self.packed_result(scan.subject, scan.scanner, scan.result)
        with suppress(ValueError):
            plain = unpacked(data or b"", MAX_RESULT)
            if Digest.of(plain) == scan.result:
                sbom = decode_json(plain).get("sbom")
                return data or b"", None if sbom is None else Digest(sbom)
        return None

    def save_sbom(self, data: bytes) -> Digest:
        """Keeps an SBOM durably, under its digest. Raises `StoreError`."""
        digest = Digest.of(data)
        _write(self._sboms / f"{digest.hex}{SUFFIX}", packed(data))
        return digest

    def sbom(self, digest: Digest) -> bytes | None:
        """An SBOM; `None` if missing or damaged."""
        return unpacked_as(digest, self.packed_sbom(digest), MAX_SBOM)

    def packed_sbom(self, digest: Digest) -> bytes | None:
        """The same, compressed and not yet checked, as evidence carries it. `None` if missing."""
        return _bytes(self._sboms / f"{digest.hex}{SUFFIX}")

    def _listed(self) -> dict[str, str]:
        """The name of each answer, by subject and scanner."""
        with disk_errors(self._scans):
            names = os.listdir(self._scans) if self._scans.is_dir() and self.is_trusted else []
        parts = ((name, name.removesuffix(SUFFIX).split(".")) for name in names if name.endswith(SUFFIX))
        return {f"{key[0]}.{key[1]}": name for name, key in parts if len(key) == 3}

    def _remember(self, digest: Digest, result: ScanResult) -> None:
        if len(result.findings) <= self._room:
            self._room -= len(result.findings)
            self._remembered[digest] = result


def _decoded(data: bytes, digest: Digest) -> ScanResult | None:
    plain = unpacked_as(digest, data, MAX_RESULT)
    with suppress(IntegrityError):
        return None if plain is None else ScanResult.decode(plain, "scan result")
    return None


def _bytes(path: Path) -> bytes | None:
    with disk_errors(path):
        return read_plain(path, MAX_RESULT) if path.exists() else None


def _write(path: Path, data: bytes) -> None:
    """A file as open as its store. Writing the same again is harmless: the name says the content."""
    make_folder(path.parent, 0o755)
    with disk_errors(path):
        mode = mode_in(path.parent)
    write_durably(path, data, mode)
