"""The verdict: what the scan station found about each item of a lock, by which policy, and whether it may go on.

Besides the statement's body, this contains the rules by which a verdict lets an item through (`objection`). `bundle`
applies them before it cuts a delivery, and acceptance again inside the gap. Shape: docs/format.md, "Statements".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from airgap.base.digest import Digest
from airgap.base.json_fields import Fields
from airgap.base.times import utc_text
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.content.lock_finding import CHECK, LockFinding
from airgap.content.scan_result import ScannerIdentity
from airgap.statements.gate import Gate
from airgap.statements.predicates import OUTCOMES
from airgap.statements.scans import FindingName, Scan, read_scanners, read_scans

YES = "pass"
WAIVED = "waived"
CHECK_OUTCOMES = OUTCOMES | {WAIVED}
"""How one check ended. `pass` lets an item through, and so does `waived` with a valid waiver; nothing else does."""
_WHO = ("identity", "issuer", "key", "approver")


@dataclass(frozen=True, slots=True)
class Named:
    """Something that the judge used: the policy, or one of its trust roots."""

    name: str
    digest: Digest
    """The digest of the file's bytes."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {"name": self.name, "digest": str(self.digest)}

    @classmethod
    def read(cls, fields: Fields) -> Named:
        """Reads it from a verdict."""
        return cls(fields.text("name"), fields.digest("digest"))


@dataclass(frozen=True, slots=True)
class UsedWaiver:
    """A waiver that let something pass. The digest is that of its file, which is included in the evidence."""

    digest: Digest
    expires: datetime

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {"digest": str(self.digest), "expires": utc_text(self.expires)}

    @classmethod
    def read(cls, fields: Fields) -> UsedWaiver:
        """Reads it from a verdict."""
        return cls(fields.digest("digest"), fields.time("expires"))


@dataclass(frozen=True, slots=True)
class Reported:
    """A report of a scanner that travels along: its subject, and the digest of its file. Its content is not judged."""

    subject: Digest
    digest: Digest

    FIELDS: ClassVar[frozenset[str]] = frozenset({"subject", "digest"})

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {"subject": str(self.subject), "digest": str(self.digest)}

    @classmethod
    def read(cls, fields: Fields) -> Reported:
        """Reads it from a verdict."""
        return cls(fields.digest("subject"), fields.digest("digest"))


@dataclass(frozen=True, slots=True)
class PassedBy:
    """Who made the check pass: an identity with its issuer, a key by its name in the policy, or an approver."""

    identity: str = ""
    issuer: str = ""
    key: str = ""
    approver: str = ""
    key_digest: Digest | None = None
    """sha256 of the public key that signed (DER SubjectPublicKeyInfo)."""

    FIELDS: ClassVar[frozenset[str]] = frozenset({*_WHO, "keyDigest"})

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape; empty fields are left out."""
        made = {name: getattr(self, name) for name in _WHO}
        made["keyDigest"] = str(self.key_digest or "")
        return {name: value for name, value in made.items() if value}

    @classmethod
    def read(cls, fields: Fields) -> PassedBy:
        """Reads it from a verdict."""
        said = {name: fields.text(name) for name in _WHO if fields.has(name)}
        return cls(**said, key_digest=fields.digest("keyDigest") if fields.has("keyDigest") else None)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One question about one subject, and its answer. A check that this version does not know counts too."""

    check: str
    outcome: str
    subject: Digest | None
    """`None` if the question is about the complete item."""
    rule: str
    by: PassedBy | None = None
    reason: str | None = None
    predicate_type: str | None = None
    """The required predicate type, if the check is about an attestation."""
    waiver: Digest | None = None
    """The digest of the file of the waiver that let it pass; set exactly if the outcome is `waived`."""
    finding: FindingName | None = None
    """The finding of a scanner that the check is about."""
    vex: tuple[Digest, ...] = ()
    """The OpenVEX documents that lifted the finding, sorted; the outcome is `pass` then."""

    FIELDS: ClassVar[frozenset[str]] = frozenset(
        {"check", "predicateType", "outcome", "subject", "rule", "by", "reason", "waiver"}
    )
    MAYBE: ClassVar[frozenset[str]] = frozenset({"finding", "vex"})

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {
            "check": self.check,
            "predicateType": self.predicate_type,
            "outcome": self.outcome,
            "subject": None if self.subject is None else str(self.subject),
            "rule": self.rule,
            "by": None if self.by is None else self.by.as_dict(),
            "reason": self.reason,
            "waiver": None if self.waiver is None else str(self.waiver),
            **({} if self.finding is None else {"finding": self.finding.as_dict()}),
            **({"vex": [str(one) for one in self.vex]} if self.vex else {}),
        }

    @classmethod
    def read(cls, fields: Fields) -> CheckResult:
        """Reads it from a verdict."""
        outcome, waiver = fields.choice("outcome", CHECK_OUTCOMES), fields.maybe_digest("waiver")
        if (outcome == WAIVED) != (waiver is not None):
            raise fields.refuse(f"{fields.at('waiver')}: allowed only with outcome waived")
        return cls(
            check=fields.text("check"),
            outcome=outcome,
            subject=fields.maybe_digest("subject"),
            rule=fields.text("rule"),
            by=None if fields.values["by"] is None else PassedBy.read(fields.inner("by", frozenset(), PassedBy.FIELDS)),
            reason=fields.maybe_text("reason"),
            predicate_type=fields.maybe_text("predicateType"),
            waiver=waiver,
            finding=_finding(fields) if fields.has("finding") else None,
            vex=_lifted(fields, outcome) if fields.has("vex") else (),
        )


@dataclass(frozen=True, slots=True)
class CountedVex:
    """An OpenVEX document that counted, and who signed it. The digest is that of its file."""

    digest: Digest
    by: PassedBy

    FIELDS: ClassVar[frozenset[str]] = frozenset({"digest", "by"})

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {"digest": str(self.digest), "by": self.by.as_dict()}

    @classmethod
    def read(cls, fields: Fields) -> CountedVex:
        """Reads it from a verdict."""
        return cls(fields.digest("digest"), PassedBy.read(fields.inner("by", frozenset(), PassedBy.FIELDS)))


@dataclass(frozen=True, slots=True)
class JudgedItem:
    """One item: the root that was judged, the checks, and the overall outcome."""

    root: Digest
    outcome: str
    reason: str | None
    checks: tuple[CheckResult, ...]

    FIELDS: ClassVar[frozenset[str]] = frozenset({"root", "outcome", "reason", "checks"})

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {
            "root": str(self.root),
            "outcome": self.outcome,
            "reason": self.reason,
            "checks": [check.as_dict() for check in self.checks],
        }

    @classmethod
    def read(cls, fields: Fields) -> JudgedItem:
        """Reads it from a verdict."""
        return cls(
            root=fields.digest("root"),
            outcome=fields.choice("outcome", OUTCOMES),
            reason=fields.maybe_text("reason"),
            checks=tuple(CheckResult.read(one) for one in fields.each("checks", CheckResult.FIELDS, CheckResult.MAYBE)),
        )

    def why_not(self) -> str:
        """Why it may not go on, `""` if it may.

        The overall outcome must be `pass`, and each check must be `pass` or `waived`. There must be at least one check,
        because an item that was not checked must not pass.
        """
        if self.outcome != YES:
            return f"{self.outcome}: {self.reason or 'no reason'}"
        if not self.checks:
            return "outcome pass, but no check"
        bad = next((one for one in self.checks if one.outcome not in (YES, WAIVED)), None)
        return "" if bad is None else f"outcome pass, but check {bad.check!r} has outcome {bad.outcome}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """By the station: the policy's answer about each item of the lock (the subject), by item name."""

    kind: ClassVar[str] = "verdict"
    FIELDS: ClassVar[frozenset[str]] = frozenset({"policy", "trustRoots", "waivers", "items"})
    MAYBE: ClassVar[frozenset[str]] = frozenset({"reports", "findings", "scanners", "scans", "vex", "gate"})

    policy: Named
    trust_roots: tuple[Named, ...]
    waivers: tuple[UsedWaiver, ...]
    """Each waiver that let a check pass, once."""
    items: Mapping[str, JudgedItem] = field(hash=False)
    reports: tuple[Reported, ...] = ()
    """At most one for each subject, sorted by subject."""
    findings: tuple[CheckResult, ...] = ()
    """One answer for each finding of the lock, whose digest is the subject. Only a waiver lets it pass; an item in
    quarantine also passes if the gate allows partial deliveries."""
    scanners: tuple[ScannerIdentity, ...] = ()
    """Those that were asked, sorted by name."""
    scans: tuple[Scan, ...] = ()
    """Sorted by subject and the scanner's name."""
    vex: tuple[CountedVex, ...] = ()
    """Sorted by digest."""
    gate: Gate | None = None
    """What the policy says about findings; `None` if it says nothing, and nothing was scanned."""

    @property
    def outcome(self) -> str:
        """`pass` if every item may go on, and every finding of the lock is waived, or in quarantine with permission."""
        good = self.items and not any(one.why_not() for one in self.items.values())
        return YES if good and all(one.outcome in (YES, WAIVED) for one in self.findings) else "fail"

    def as_dict(self) -> dict[str, Any]:
        """The JSON fields."""
        return {
            "policy": self.policy.as_dict(),
            "trustRoots": [root.as_dict() for root in self.trust_roots],
            "waivers": [waiver.as_dict() for waiver in self.waivers],
            "items": {name: item.as_dict() for name, item in self.items.items()},
            **({"reports": [one.as_dict() for one in self.reports]} if self.reports else {}),
            **({"findings": [one.as_dict() for one in self.findings]} if self.findings else {}),
            **({"scanners": [one.as_dict() for one in self.scanners]} if self.scanners else {}),
            **({"scans": [one.as_dict() for one in self.scans]} if self.scans else {}),
            **({"vex": [one.as_dict() for one in self.vex]} if self.vex else {}),
            **({} if self.gate is None else {"gate": self.gate.as_dict()}),
        }

    @classmethod
    def read(cls, fields: Fields) -> Verdict:
        """Reads the body from a predicate. The listed waivers must be those that the checks name."""
        scanners = read_scanners(fields)
        made = cls(
            policy=Named.read(fields.inner("policy", {"name", "digest"})),
            trust_roots=tuple(map(Named.read, fields.each("trustRoots", {"name", "digest"}))),
            waivers=tuple(map(UsedWaiver.read, fields.each("waivers", {"digest", "expires"}))),
            items={name: JudgedItem.read(item) for name, item in fields.named("items", JudgedItem.FIELDS).items()},
            reports=_reports(fields) if fields.has("reports") else (),
            findings=_findings(fields) if fields.has("findings") else (),
            scanners=scanners,
            scans=read_scans(fields, scanners),
            vex=_vex(fields) if fields.has("vex") else (),
            gate=Gate.read(fields.inner("gate", Gate.FIELDS, Gate.MAYBE)) if fields.has("gate") else None,
        )
        if any(one.outcome == YES for one in made.findings) and (made.gate is None or not made.gate.partial):
            raise fields.refuse(f"{fields.at('findings')}: one passed, but the gate allows no partial deliveries")
        used = {one.waiver for item in made.items.values() for one in item.checks if one.waiver}
        used |= {one.waiver for one in made.findings if one.waiver}
        lifted = {digest for item in made.items.values() for one in item.checks for digest in one.vex}
        if not lifted <= {one.digest for one in made.vex}:
            raise fields.refuse(f"{fields.at('vex')}: a check names another document")
        listed = [waiver.digest for waiver in made.waivers]
        if set(listed) != used or len(listed) != len(used):
            raise fields.refuse(f"{fields.at('waivers')}: differs from the waivers that the checks name")
        return made


def _reports(fields: Fields) -> tuple[Reported, ...]:
    found = tuple(map(Reported.read, fields.each("reports", Reported.FIELDS)))
    subjects = [one.subject for one in found]
    if not subjects or subjects != sorted(set(subjects)):
        raise fields.refuse(f"{fields.at('reports')}: expected one report per subject, sorted, or no such field")
    return found


def _lifted(fields: Fields, outcome: str) -> tuple[Digest, ...]:
    found = tuple(fields.digests("vex"))
    if outcome != YES or not found or list(found) != sorted(set(found)):
        raise fields.refuse(f"{fields.at('vex')}: expected digests, sorted, and only with outcome {YES}")
    return found


def _finding(fields: Fields) -> FindingName:
    return FindingName.read(fields.inner("finding", FindingName.FIELDS, FindingName.MAYBE))


def _vex(fields: Fields) -> tuple[CountedVex, ...]:
    found = tuple(map(CountedVex.read, fields.each("vex", CountedVex.FIELDS)))
    digests = [one.digest for one in found]
    if not digests or digests != sorted(set(digests)):
        raise fields.refuse(f"{fields.at('vex')}: expected each document once, sorted, or no such field")
    return found


def _findings(fields: Fields) -> tuple[CheckResult, ...]:
    found = tuple(CheckResult.read(one) for one in fields.each("findings", CheckResult.FIELDS))
    if not found or any(one.check != CHECK or one.subject is None for one in found):
        raise fields.refuse(f"{fields.at('findings')}: expected checks {CHECK!r}, each of a digest")
    return found


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a verdict does not let an item through: a code, and the reason in words."""

    code: str
    """`verdict-failed`, or `verdict-mismatch` if it is about something else."""
    what: str


def objection(verdict: Verdict, item: Item, root: Digest | None) -> Objection | None:
    """The objection to `item`, whose root is `root`; `None` if there is none. An unknown root is an objection."""
    judged = verdict.items.get(item.name)
    if judged is None:
        return Objection("verdict-mismatch", "the verdict does not cover it")
    if why := judged.why_not():
        return Objection("verdict-failed", f"the verdict says {why}")
    if root is None or judged.root != root:
        return Objection("verdict-mismatch", f"the verdict is about {judged.root}, but the content is {root}")
    if item.root is not None and judged.root != item.root.digest:
        return Objection("verdict-mismatch", f"the verdict is about {judged.root}, but the lock has {item.root.digest}")
    return None


def finding_objection(verdict: Verdict, lock: Lock) -> Objection | None:
    """The objection to what a lock lacks of its request; `None` if each of its findings is waived.

    What was left out of a promoted lock may also be in quarantine with the policy's permission (`allows`).
    """
    judged = {one.subject: one for one in verdict.findings}
    for finding in lock.findings:
        found = judged.get(finding.digest)
        what = f"finding {finding.digest} ({finding.item}: {finding.code})"
        if found is None:
            return Objection("verdict-mismatch", f"the verdict does not cover {what}")
        if found.outcome != WAIVED and not allows(verdict, finding):
            return Objection("verdict-failed", f"the verdict says {found.outcome} of {what}")
    return None


def allows(verdict: Verdict, finding: LockFinding) -> bool:
    """True if a verdict lets a lock go on without an item that is in quarantine: its policy allows partial deliveries.

    This holds for no other finding: of these, somebody has to say that they do not matter.
    """
    partial = verdict.gate is not None and verdict.gate.partial
    passed = any(one.outcome == YES and one.subject == finding.digest for one in verdict.findings)
    return finding.quarantined and partial and passed
