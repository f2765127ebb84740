"""`ScanFinding`: one thing that a scanner found in content, whichever it was. Format: docs/format.md, "Scans"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from airgap.base.digest import Digest
from airgap.base.json_fields import Fields


class FindingKind(StrEnum):
    """What sort of thing was found: a policy has rules for each."""

    VULNERABILITY = "vulnerability"
    SECRET = "secret"  # noqa: S105  (the name of a kind)
    MISCONFIGURATION = "misconfiguration"
    MALWARE = "malware"
    MODEL = "model"
    """A model's file that can run code when it is loaded, or is not what its format says."""
    ARCHIVE = "archive"
    """A layer or an archive that misbehaves when it is unpacked: a bomb, a path that leaves it, a device."""
    COVERAGE = "coverage"
    """Something that the scanner could not read: what it found is not everything."""


class Severity(StrEnum):
    """How bad a finding is, worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    UNKNOWN = "unknown"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


WITHOUT_FIX = frozenset({"affected", "will_not_fix", "fix_deferred"})
"""What a vendor says where there is no fix to install. `end_of_life` is none of them: there, the fix is to leave it."""
_TEXTS = ("title", "source", "package", "purl", "installed", "fixed", "status", "path", "reference")


@dataclass(frozen=True, slots=True)
class ScanFinding:
    """One finding. Texts are printable and bounded; a path that is not UTF-8 is written with escapes."""

    kind: FindingKind
    id: str
    """CVE-2021-36159, the id of a rule (`aws-access-key-id`), the name of a malware signature."""
    severity: Severity
    """The scanner's own choice among `severities`; a policy may choose another source."""
    title: str = ""
    source: str = ""
    """Who gave `severity`: `debian`, `nvd`; empty where the scanner's own rule says it."""
    severities: Mapping[str, Severity] = field(default_factory=dict, hash=False)
    """What each source says, by its name."""
    aliases: tuple[str, ...] = ()
    """Other ids of the same thing: GHSA-…, DSA-…"""
    package: str = ""
    purl: str = ""
    installed: str = ""
    """The version of the package that is there."""
    fixed: str = ""
    """The versions with a fix, as the source writes them; empty if there is none."""
    status: str = ""
    """What the vendor says: `affected`, `fixed`, `will_not_fix`, `end_of_life` …"""
    layer: Digest | None = None
    path: str = ""
    """Where it is: in the layer, or in the tree of the subject."""
    line: int = 0
    """The first line in the file, 0 if unknown."""
    reference: str = ""
    """An address where people read more."""

    FIELDS: ClassVar[frozenset[str]] = frozenset({"kind", "id", "severity"})
    MAYBE: ClassVar[frozenset[str]] = frozenset({*_TEXTS, "severities", "aliases", "layer", "line"})

    @property
    def unfixed(self) -> bool:
        """True if the vendor says that there is no fix. With another status or none, nobody says so."""
        return not self.fixed and self.status in WITHOUT_FIX

    def as_dict(self) -> dict[str, Any]:
        """The JSON object; empty fields are left out."""
        made: dict[str, Any] = {"kind": str(self.kind), "id": self.id, "severity": str(self.severity)}
        made |= {name: getattr(self, name) for name in _TEXTS}
        made["severities"] = {name: str(one) for name, one in sorted(self.severities.items())}
        made["aliases"] = list(self.aliases)
        made["layer"] = str(self.layer or "")
        made["line"] = self.line
        return {name: value for name, value in made.items() if value}

    @classmethod
    def read(cls, fields: Fields) -> ScanFinding:
        """Reads it from a result."""
        severities = fields.inner("severities", frozenset(), _names(fields)) if fields.has("severities") else None
        return cls(
            kind=FindingKind(fields.choice("kind", frozenset(FindingKind))),
            id=fields.text("id", MAX_ID),
            severity=Severity(fields.choice("severity", frozenset(Severity))),
            severities={}
            if severities is None
            else {name: Severity(severities.choice(name, frozenset(Severity))) for name in severities.values},
            aliases=tuple(fields.texts("aliases", MAX_ID)) if fields.has("aliases") else (),
            layer=fields.digest("layer") if fields.has("layer") else None,
            line=fields.number("line") if fields.has("line") else 0,
            **{name: fields.text(name, MAX_TEXT) for name in _TEXTS if fields.has(name)},
        )


MAX_ID = 256
"""Characters of an id."""
MAX_TEXT = 2048
"""Characters of every other text of a finding."""


def read_kinds(fields: Fields, name: str) -> frozenset[FindingKind]:
    """A list of kinds of finding in a JSON object."""
    found, allowed = fields.texts(name, MAX_ID), frozenset(FindingKind)
    for one in found:
        if one not in allowed:
            raise fields.refuse(f"{fields.at(name)}: got {one!r}, expected {' or '.join(sorted(allowed))}")
    return frozenset(map(FindingKind, found))


def _names(fields: Fields) -> frozenset[str]:
    found = fields.values["severities"]
    return frozenset(found) if isinstance(found, dict) else frozenset()
