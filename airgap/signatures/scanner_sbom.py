"""A scanner's SBOM about one digest: a CycloneDX document. It travels with a verdict and is attested inside.

It is attested as it is, so it must be one JSON object: anything else could say more in a statement than an SBOM.
"""

from __future__ import annotations

from dataclasses import dataclass

from airgap.base.digest import Digest
from airgap.base.errors import TrustError
from airgap.base.strict_json import parse_json
from airgap.base.zstd import unpacked
from airgap.content.scan_result import MAX_SBOM


@dataclass(frozen=True, slots=True)
class ScannerSbom:
    """An SBOM that is one JSON object. It stays compressed: a large one is 15 times as long."""

    subject: Digest
    """The manifest that was scanned."""
    packed: bytes

    def text(self) -> bytes:
        """The document, without white space around it."""
        return unpacked(self.packed, MAX_SBOM).strip()

    @classmethod
    def read(cls, subject: Digest, digest: Digest, packed: bytes, where: str) -> ScannerSbom:
        """Unpacks within a limit, compares the digest, then parses. Raises `TrustError` (`sbom-mismatch`)."""
        try:
            data = unpacked(packed, MAX_SBOM)
        except ValueError as error:
            raise _refuse(f"{where}: {error}") from error
        if Digest.of(data) != digest:
            raise _refuse(f"{where}: got {Digest.of(data)}, expected {digest}")
        if not isinstance(parse_json(data, where, _refuse), dict):
            raise _refuse(f"{where}: not a JSON object")
        return cls(subject, packed)


def _refuse(what: str) -> TrustError:
    return TrustError(
        "sbom-mismatch",
        what,
        "have the station scan the lock and cut the delivery again: airgap scan, then airgap bundle",
    )
