"""`ScanResult`: what one scanner found in one subject, or why it did not run. Format: docs/format.md, "Scans"."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import IntegrityError
from airgap.base.json_fields import Fields
from airgap.base.strict_json import parse_json
from airgap.base.times import utc_text
from airgap.content.scan_finding import FindingKind, ScanFinding, read_kinds
from airgap.content.scan_subject import SubjectForm

MAX_RESULT = 64 << 20
"""Bytes of one result: some 100,000 findings."""
MAX_SBOM = 32 << 20
"""Bytes of one SBOM: some 30,000 components. As an attestation it is 1.8 times as long."""


@dataclass(frozen=True, slots=True)
class Database:
    """What a scanner compares with: vulnerabilities, rules, signatures."""

    name: str
    """`trivy-db`, `trivy-java-db`, `trivy-checks`, `clamav-daily`."""
    digest: Digest
    """Of the artifact in the store, where it is one; else of its files."""
    updated: datetime
    """When its maker made it, as it says itself."""

    FIELDS: ClassVar[frozenset[str]] = frozenset({"name", "digest", "updated"})

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {"name": self.name, "digest": str(self.digest), "updated": utc_text(self.updated)}

    @classmethod
    def read(cls, fields: Fields) -> Database:
        """Reads it."""
        return cls(fields.text("name", 100), fields.digest("digest"), fields.time("updated"))


@dataclass(frozen=True, slots=True)
class ScannerIdentity:
    """Which scanner it was, exactly: two runs of one identity on one subject give the same result."""

    name: str
    """`trivy`, `clamav`, `models`, `archive`."""
    version: str
    digest: Digest
    """sha256 of the program, or of the rules of a scanner that is part of airgap."""
    databases: tuple[Database, ...] = ()
    options: str = ""
    """What changes its answers besides: limits, switched-off checks."""

    FIELDS: ClassVar[frozenset[str]] = frozenset({"name", "version", "digest"})
    MAYBE: ClassVar[frozenset[str]] = frozenset({"databases", "options"})

    def as_dict(self) -> dict[str, Any]:
        """The JSON object; empty fields are left out."""
        made: dict[str, Any] = {"name": self.name, "version": self.version, "digest": str(self.digest)}
        if self.databases:
            made["databases"] = [one.as_dict() for one in self.databases]
        if self.options:
            made["options"] = self.options
        return made

    @classmethod
    def read(cls, fields: Fields) -> ScannerIdentity:
        """Reads it."""
        return cls(
            name=fields.text("name", 100),
            version=fields.text("version", 100),
            digest=fields.digest("digest"),
            databases=tuple(map(Database.read, fields.each("databases", Database.FIELDS)))
            if fields.has("databases")
            else (),
            options=fields.text("options", 2048) if fields.has("options") else "",
        )

    @classmethod
    def unknown(cls, name: str) -> ScannerIdentity:
        """For a scanner of which nothing more is known, because it is missing or may not run."""
        return cls(name, "unknown", Digest.of(b""))

    @property
    def own_digest(self) -> Digest:
        """sha256 of the canonical JSON object: with the subject it is the key under which results are kept."""
        return _own_digest(self)


@lru_cache(maxsize=64)
def _own_digest(identity: ScannerIdentity) -> Digest:
    """Asked for several times for each answer, of which there are thousands by a few scanners."""
    return Digest.of(canonical(identity.as_dict()))


@dataclass(frozen=True, slots=True)
class ScanResult:
    """One scanner's answer about one subject. `not_run` is empty exactly if the scanner ran to its end."""

    subject: Digest
    """The manifest of an image or chart; for other kinds the root of the item's graph."""
    scanner: ScannerIdentity
    findings: tuple[ScanFinding, ...] = ()
    """Sorted and without repetition (`ordered`)."""
    packages: int = 0
    """How many packages it read; 0 is no proof that there are none."""
    sbom: Digest | None = None
    """sha256 of the CycloneDX document of the same run."""
    report: Digest | None = None
    """sha256 of the report for cosign of the same run (`airgap.signatures.scanner_report`)."""
    not_run: str = ""
    """The stable code of the reason why there is no answer: `scanner-missing`, `scanner-timeout` …"""
    detail: str = ""
    """The same in words, with the next step."""
    looked_for: frozenset[FindingKind] = frozenset()
    """The kinds of finding that it looked for in this subject: a policy may demand some. Empty in a not-run."""
    form: SubjectForm | None = None
    """How its content was read: an artifact in an index that is no image is read as files. `None` in a not-run."""

    FIELDS: ClassVar[frozenset[str]] = frozenset({"subject", "scanner"})
    MAYBE: ClassVar[frozenset[str]] = frozenset(
        {"lookedFor", "findings", "packages", "sbom", "report", "notRun", "detail", "form"}
    )

    @classmethod
    def failed(cls, subject: Digest, scanner: ScannerIdentity, code: str, detail: str) -> ScanResult:
        """A scan that did not come to its end: it has no findings, and is not clean."""
        return cls(subject, scanner, not_run=code, detail=detail)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object; empty fields are left out."""
        made: dict[str, Any] = {
            "lookedFor": sorted(map(str, self.looked_for)),
            "findings": [one.as_dict() for one in self.findings],
            "packages": self.packages,
            "sbom": str(self.sbom or ""),
            "report": str(self.report or ""),
            "notRun": self.not_run,
            "detail": self.detail,
            "form": str(self.form or ""),
        }
        kept = {name: value for name, value in made.items() if value}
        return {"subject": str(self.subject), "scanner": self.scanner.as_dict()} | kept

    def encode(self) -> bytes:
        """The canonical JSON document that records keep and evidence carries."""
        return canonical(self.as_dict())

    @property
    def digest(self) -> Digest:
        """sha256 of `encode()`, as a verdict names it."""
        return Digest.of(self.encode())

    @classmethod
    def decode(cls, data: bytes, where: str) -> ScanResult:
        """Reads a document. Raises `IntegrityError` (`bad-scan-result`); `where` names it in errors."""
        if len(data) > MAX_RESULT:
            raise _refuse(f"{where}: got {len(data)} bytes, expected at most {MAX_RESULT}")
        fields = Fields.of(parse_json(data, where, _refuse), cls.FIELDS, where, _refuse, cls.MAYBE)
        return cls(
            subject=fields.digest("subject"),
            scanner=ScannerIdentity.read(fields.inner("scanner", ScannerIdentity.FIELDS, ScannerIdentity.MAYBE)),
            findings=tuple(map(ScanFinding.read, fields.each("findings", ScanFinding.FIELDS, ScanFinding.MAYBE)))
            if fields.has("findings")
            else (),
            packages=fields.number("packages") if fields.has("packages") else 0,
            sbom=fields.digest("sbom") if fields.has("sbom") else None,
            report=fields.digest("report") if fields.has("report") else None,
            not_run=fields.text("notRun", 100) if fields.has("notRun") else "",
            detail=fields.text("detail", 4096) if fields.has("detail") else "",
            looked_for=read_kinds(fields, "lookedFor") if fields.has("lookedFor") else frozenset(),
            form=SubjectForm(fields.choice("form", frozenset(SubjectForm))) if fields.has("form") else None,
        )


def ordered(findings: Iterable[ScanFinding]) -> tuple[ScanFinding, ...]:
    """Findings in the order of a result, the worst first, each once."""
    unique = {canonical(one.as_dict()): one for one in findings}
    return tuple(unique[key] for key in sorted(unique, key=lambda key: (unique[key].severity.rank, key)))


def _refuse(what: str) -> IntegrityError:
    return IntegrityError("bad-scan-result", what, "run `airgap scan` again")
