"""A scanner's report about one digest. It travels with a verdict and is attested inside. It is carried, not judged.

The shape is cosign's vulnerability predicate (cosign, specs/COSIGN_VULN_ATTESTATION_SPEC.md, but as its code reads it:
`scanner`, not `scanners`), which `trivy image --format cosign-vuln` writes; tried with Trivy 0.59.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import TrustError
from airgap.base.strict_json import parse_json

VULNERABILITIES = "https://cosign.sigstore.dev/attestation/vuln/v1"
"""The predicate type."""
MAX_REPORT = 32 << 20
"""Bytes of one report: as an attestation it is 1.8 times as long, and must stay below the limit of a bundle."""
MAX_REPORTS = 512 << 20
"""Bytes of all reports of one scan: half of the limit for the evidence of a delivery."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)\Z", re.ASCII)
"""RFC 3339, which is what cosign can read."""
_TYPES = {
    "invocation": dict,
    "scanner": dict,
    "scanner.uri": str,
    "scanner.version": str,
    "scanner.db": dict,
    "scanner.result": dict,
    "metadata": dict,
    "metadata.scanStartedOn": str,
    "metadata.scanFinishedOn": str,
}
"""The required fields and their types. Other fields are up to the scanner."""


@dataclass(frozen=True, slots=True)
class Report:
    """A report whose shape is valid. Its content was not looked at."""

    subject: Digest
    """The manifest or index that it is about: taken from the name of its file, later from the verdict."""
    data: bytes
    """The predicate, byte for byte."""

    @property
    def digest(self) -> Digest:
        """The sha256 digest of the file."""
        return Digest.of(self.data)

    @classmethod
    def read(cls, subject: Digest, data: bytes, where: str) -> Report:
        """Checks the size, then parses. Raises `TrustError` (`bad-report`); `where` names it in errors."""
        if len(data) > MAX_REPORT:
            raise _refuse(f"{where}: got {len(data)} bytes, expected at most {MAX_REPORT}")
        document = parse_json(data, where, _refuse)
        for path, expected in _TYPES.items():
            found = _at(document, path)
            if type(found) is not expected:
                got = "nothing" if found is None else type(found).__name__
                wanted = "an object" if expected is dict else "a string"
                raise _refuse(f"{where}: {path}: got {got}, expected {wanted}")
        if not document["scanner"]["uri"]:
            raise _refuse(f"{where}: scanner.uri: missing, expected the scanner's name and version")
        for path in ("metadata.scanStartedOn", "metadata.scanFinishedOn"):
            if not _is_time(_at(document, path)):
                raise _refuse(f"{where}: {path}: expected a time such as 2026-11-23T10:00:00Z")
        return cls(subject, data)


def _at(document: Any, path: str) -> Any:
    for name in path.split("."):
        document = document.get(name) if isinstance(document, Mapping) else None
    return document


def _is_time(text: str) -> bool:
    try:
        return bool(_TIME.match(text) and datetime.fromisoformat(text))
    except ValueError:
        return False


def _refuse(what: str) -> TrustError:
    return TrustError(
        "bad-report",
        what,
        "make the report with `trivy image --format cosign-vuln`, then scan again",
    )
