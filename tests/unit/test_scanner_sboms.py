"""SBOMs of scanners in a delivery: what is missing, differs, or would say more in a statement is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airgap.acceptance.sboms import carried_sboms
from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import TrustError
from airgap.base.zstd import packed
from airgap.content.lock import Lock
from airgap.content.scan_result import MAX_SBOM, ScannerIdentity, ScanResult
from airgap.signatures.sbom import CYCLONEDX
from airgap.signatures.scanner_sbom import ScannerSbom
from airgap.signatures.write import components
from airgap.statements.scans import Scan
from airgap.statements.statement import Statement
from airgap.statements.verdict import Named, Verdict

SUBJECT = Digest.of(b"image")
SBOM = b'{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []}\n'
SCANNER = ScannerIdentity("trivy", "1", Digest.of(b"program"))
LOCK = Lock.of("p", [])
AT = datetime(2026, 11, 30, tzinfo=UTC)


def read(data: bytes, digest: Digest | None = None, frame: bytes | None = None) -> ScannerSbom:
    return ScannerSbom.read(SUBJECT, digest or Digest.of(data), packed(data) if frame is None else frame, "sboms/x")


def test_an_sbom_is_claimed_as_it_is() -> None:
    claim = components(read(SBOM))
    assert (claim.subject, claim.predicate_type) == (SUBJECT, CYCLONEDX)
    assert b'"predicate":' + SBOM.strip() + b"," in claim.statement


@pytest.mark.parametrize(
    "sbom",
    [
        b"",
        b"[]",
        b"{",
        b'{},"subject":[{"digest":{"sha256":"00"}}]',  # would be another subject of the signed statement
        b'{"a":1,"a":2}',
    ],
)
def test_what_is_no_json_object_is_refused(sbom: bytes) -> None:
    with pytest.raises(TrustError) as caught:
        read(sbom)
    assert caught.value.code == "sbom-mismatch"


@pytest.mark.parametrize(
    "frame",
    [b"", b"not zstd", packed(SBOM)[:-3], packed(SBOM) + b"x", packed(b"{}"), packed(bytes(MAX_SBOM + 1))],
)
def test_another_file_and_a_bomb_are_refused(frame: bytes) -> None:
    with pytest.raises(TrustError) as caught:
        read(SBOM, frame=frame)
    assert caught.value.code == "sbom-mismatch"


def test_an_sbom_that_a_result_names_must_be_there() -> None:
    result = ScanResult(SUBJECT, SCANNER, sbom=Digest.of(SBOM))
    scan = Scan(SUBJECT, SCANNER.own_digest, result.digest)
    verdict = Verdict(Named("p", SUBJECT), (), (), {}, scanners=(SCANNER,), scans=(scan,))
    statements = [Statement(LOCK.digest, "verdict", verdict, AT, Digest.of(b"log"), "station", b"")]
    names = (f"scans/{result.digest.hex}.json.zst", f"sboms/{Digest.of(SBOM).hex}.json.zst")
    files = dict(zip(names, (packed(result.encode()), packed(SBOM)), strict=True))
    (found,) = carried_sboms(LOCK, statements, files)
    assert (found.subject, found.text()) == (SUBJECT, SBOM.strip())
    for name, code in zip(names, ("scan-missing", "sbom-missing"), strict=True):
        with pytest.raises(TrustError) as caught:
            list(carried_sboms(LOCK, statements, {one: data for one, data in files.items() if one != name}))
        assert caught.value.code == code
    other = ScanResult(Digest.of(b"another"), SCANNER, sbom=Digest.of(SBOM))
    for data in (b"", packed(canonical({})), packed(other.encode())):
        with pytest.raises(TrustError) as caught:
            list(carried_sboms(LOCK, statements, files | {names[0]: data}))
        assert caught.value.code == "scan-mismatch"
