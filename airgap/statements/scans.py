"""What a verdict says about scans: which result each scanner gave about what, and which finding a check is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from airgap.base.digest import Digest
from airgap.base.json_fields import Fields
from airgap.content.scan_finding import MAX_ID, MAX_TEXT, ScanFinding
from airgap.content.scan_result import ScannerIdentity

SCANS = "scans/"
"""The folder of scan results in evidence.tar, each named by its digest."""
SBOMS = "sboms/"
"""The folder of SBOMs in evidence.tar, each named by its digest."""
PACKED = ".json.zst"
"""The end of the names of both."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One scanner's answer about one subject; one that did not run gave an answer, too. Evidence carries the result."""

    subject: Digest
    scanner: Digest
    """`ScannerIdentity.own_digest` of one of the verdict's scanners."""
    result: Digest
    """`ScanResult.digest`."""

    FIELDS: ClassVar[frozenset[str]] = frozenset({"subject", "scanner", "result"})

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {"subject": str(self.subject), "scanner": str(self.scanner), "result": str(self.result)}

    @classmethod
    def read(cls, fields: Fields) -> Scan:
        """Reads it from a verdict."""
        return cls(fields.digest("subject"), fields.digest("scanner"), fields.digest("result"))


@dataclass(frozen=True, slots=True)
class FindingName:
    """The finding that a check is about, among those of its subject."""

    id: str
    package: str = ""
    path: str = ""
    """Where it is, if it is in no package."""

    FIELDS: ClassVar[frozenset[str]] = frozenset({"id", "package"})
    MAYBE: ClassVar[frozenset[str]] = frozenset({"path"})

    @classmethod
    def of(cls, finding: ScanFinding) -> FindingName:
        """The name of a finding."""
        return cls(finding.id, finding.package, "" if finding.package else finding.path)

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {"id": self.id, "package": self.package, **({"path": self.path} if self.path else {})}

    @classmethod
    def read(cls, fields: Fields) -> FindingName:
        """Reads it from a verdict."""
        return cls(
            id=fields.text("id", MAX_ID),
            package=fields.text("package", MAX_TEXT) if fields.values["package"] != "" else "",
            path=fields.text("path", MAX_TEXT) if fields.has("path") else "",
        )


def read_scanners(fields: Fields) -> tuple[ScannerIdentity, ...]:
    """The scanners of a verdict: sorted, and one identity a name, because one run of `airgap scan` uses one of each."""
    if not fields.has("scanners"):
        return ()
    each = fields.each("scanners", ScannerIdentity.FIELDS, ScannerIdentity.MAYBE)
    found = tuple(map(ScannerIdentity.read, each))
    names = [one.name for one in found]
    if not names or names != sorted(set(names)):
        raise fields.refuse(f"{fields.at('scanners')}: expected one identity a scanner, sorted, or no such field")
    return found


def read_scans(fields: Fields, scanners: Sequence[ScannerIdentity]) -> tuple[Scan, ...]:
    """The scans of a verdict: one for each subject and scanner, sorted, each by one of its scanners."""
    if not fields.has("scans"):
        return ()
    found = tuple(map(Scan.read, fields.each("scans", Scan.FIELDS)))
    names = {one.own_digest: one.name for one in scanners}
    strange = next((one.scanner for one in found if one.scanner not in names), None)
    if strange is not None:
        raise fields.refuse(f"{fields.at('scans')}: {strange} is none of the scanners")
    keys = [(one.subject, names[one.scanner]) for one in found]
    if not keys or keys != sorted(set(keys)):
        raise fields.refuse(f"{fields.at('scans')}: expected one a subject and scanner, sorted, or no such field")
    return found


def sort_scans(scans: Sequence[Scan], scanners: Sequence[ScannerIdentity]) -> tuple[Scan, ...]:
    """The scans in the order of a verdict: by subject, then by the scanner's name."""
    names = {one.own_digest: one.name for one in scanners}
    return tuple(sorted(set(scans), key=lambda one: (one.subject, names[one.scanner])))
