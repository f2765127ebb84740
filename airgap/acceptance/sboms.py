"""The SBOMs that a delivery carries: those of the scan results that its verdicts name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from airgap.acceptance.scans import SCAN_AGAIN
from airgap.base.digest import Digest
from airgap.base.errors import TrustError
from airgap.base.strict_json import decode_json
from airgap.base.zstd import unpacked
from airgap.content.lock import Lock
from airgap.content.scan_result import MAX_RESULT
from airgap.signatures.scanner_sbom import ScannerSbom
from airgap.statements.scans import PACKED, SBOMS, SCANS, Scan
from airgap.statements.statement import Statement
from airgap.statements.verdict import Verdict


def carried_sboms(lock: Lock, statements: Sequence[Statement], files: Mapping[str, bytes]) -> Iterator[ScannerSbom]:
    """The SBOMs of the results that verdicts about a lock name, those of the newest verdict last.

    `statements` are newest first; `files` are results and SBOMs by their names in the evidence. A file is unpacked only
    if a trusted verdict, or a result that it names, named its digest. Raises `TrustError` (`scan-missing`,
    `scan-mismatch`, `sbom-missing`, `sbom-mismatch`).
    """
    bodies = [one.body for one in statements if one.signed_at == statements[0].signed_at]
    for scan in (one for body in bodies if isinstance(body, Verdict) for one in body.scans):
        named = _sbom_of(lock, scan, files)
        if named is None:
            continue
        where = f"{SBOMS}{named.hex}{PACKED}"
        data = files.get(where)
        if data is None:
            what = f"lock {lock.name!r}: the evidence does not contain {where}, the SBOM of {scan.subject}"
            raise TrustError("sbom-missing", what, f"{SCAN_AGAIN}; it may have been removed on the way")
        yield ScannerSbom.read(scan.subject, named, data, where)


def _sbom_of(lock: Lock, scan: Scan, files: Mapping[str, bytes]) -> Digest | None:
    where = f"{SCANS}{scan.result.hex}{PACKED}"
    data = files.get(where)
    if data is None:
        what = f"lock {lock.name!r}: the evidence does not contain {where}, the scan result about {scan.subject}"
        raise TrustError("scan-missing", what, f"{SCAN_AGAIN}; it may have been removed on the way")
    try:
        plain = unpacked(data, MAX_RESULT)
        if Digest.of(plain) != scan.result:
            raise ValueError(f"got {Digest.of(plain)}")
        found = decode_json(plain)
        if found["subject"] != scan.subject:
            raise ValueError(f"it is about {str(found['subject'])[:100]!r}, expected {scan.subject}")
        return Digest(found["sbom"]) if "sbom" in found else None
    except (ValueError, KeyError, TypeError) as error:
        raise TrustError("scan-mismatch", f"lock {lock.name!r}: {where}: {error}", SCAN_AGAIN) from error
