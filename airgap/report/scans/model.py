"""What a report says: the verdict first, then what it stands on. Every format is written from this.

Each field has its words beside its type: docs/reference/reports.md and the JSON Schema are made from them.
Texts that others wrote are on one line (`base/text.py`). The fields are the interface of
`airgap report --format json` and `jsonl`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from airgap.base.digest import Digest
from airgap.content.scan_finding import FindingKind, Severity

API_VERSION = "airgap.openova.io/v1alpha1"
KIND = "Report"


class ReportOutcome(StrEnum):
    """How something was judged; `none` where no verdict is about it."""

    PASS = "pass"  # noqa: S105  (an outcome)
    FAIL = "fail"
    NOT_RUN = "not-run"
    NONE = "none"


class FindingEffect(StrEnum):
    """What became of a finding, what stops an item first."""

    BLOCKS = "blocks"
    WAIVED = "waived"
    NOT_AFFECTED = "not-affected"
    WARNS = "warns"
    INFORMS = "informs"
    UNDECIDED = "undecided"

    @property
    def rank(self) -> int:
        """0 for what stops an item."""
        return list(FindingEffect).index(self)


@dataclass(frozen=True, slots=True)
class ReportProblem:
    """Something that keeps the report from being complete, or from being believed."""

    code: Annotated[str, "A stable code: `airgap help CODE` says what to do."]
    text: Annotated[str, "What is wrong, and where."]


@dataclass(frozen=True, slots=True)
class About:
    """What the report is about."""

    what: Annotated[str, "`verdict`, `delivery` or `store`."]
    path: Annotated[str, "As it was named."]
    digest: Annotated[Digest | None, "Of AIRGAP.json, or of the lock that the verdict is about; `null` for a store."]
    id: Annotated[str, "Of a delivery."] = ""
    stream: Annotated[str, "Of a delivery."] = ""
    sequence: Annotated[int, "Of a delivery; else 0."] = 0
    sovereign: Annotated[str, "The audience of a delivery."] = ""
    created: Annotated[datetime | None, "When a delivery was cut."] = None
    expires: Annotated[datetime | None, "Until when a delivery may be imported."] = None


@dataclass(frozen=True, slots=True)
class ReportSigner:
    """A signed statement, and who signed it."""

    statement: Annotated[str, "Its kind: `pull`, `verdict`, `approval`, `delivery`."]
    of: Annotated[str, "What kind of thing it is about: `lock`, `delivery`, `waiver` …; empty where it does not say."]
    subject: Annotated[Digest, "That thing."]
    digest: Annotated[Digest, "sha256 of the signed file."]
    role: Annotated[str, "The signer's role, as the statement says."]
    key: Annotated[str, "The key's name in the Trust resource; without one, the hint that the signature gives."]
    signed_at: Annotated[datetime, "When, as the signer says."]
    verified: Annotated[bool, "True if the signature was verified with a Trust resource."]


@dataclass(frozen=True, slots=True)
class ReportDatabase:
    """What a scanner compared with."""

    name: Annotated[str, "`trivy-db`, `clamav-daily` …"]
    digest: Annotated[Digest, "Of the artifact in the store, or of its files."]
    updated: Annotated[datetime, "When its maker made it, as it says itself."]


@dataclass(frozen=True, slots=True)
class ReportScanner:
    """A scanner that was asked, exactly."""

    name: Annotated[str, "`trivy`, `clamav`, `models`, `archive` …"]
    version: Annotated[str, "As the program says."]
    digest: Annotated[Digest, "sha256 of the program, or of the rules of a scanner that is part of airgap."]
    options: Annotated[str, "What changes its answers besides."]
    databases: Annotated[tuple[ReportDatabase, ...], "In the order of the verdict."]
    subjects: Annotated[int, "How many subjects it was asked about."]
    not_run: Annotated[int, "For how many of them it gave no answer."]


@dataclass(frozen=True, slots=True)
class GateLine:
    """One rule for findings of the policy, as the verdict repeats it."""

    label: Annotated[str, "The rule's name in checks."]
    match: Annotated[tuple[str, ...], "Patterns of names."]
    kinds: Annotated[tuple[str, ...], "Kinds of content; empty for all."]
    findings: Annotated[tuple[str, ...], "Kinds of findings."]
    severity: Annotated[Mapping[str, str], "By severity: `block`, `warn` or `inform`."]
    ignore_unfixed: Annotated[bool, "True: what has no fix only informs."]


@dataclass(frozen=True, slots=True)
class ReportGate:
    """What the policy says about findings."""

    rules: Annotated[tuple[GateLine, ...], "The first that matches decides."]
    severity_from: Annotated[tuple[str, ...], "Whose severity counts; `highest`: the worst that any source says."]
    not_run: Annotated[str, "What a scan that did not run does: `block`, `warn` or `inform`."]
    database_max_age_seconds: Annotated[int, "How old a database may be."]
    database_max_ages: Annotated[Mapping[str, int], "The same in seconds for single databases, by name."]


@dataclass(frozen=True, slots=True)
class ReportVerdict:
    """One signed verdict."""

    lock: Annotated[Digest, "The lock that it is about."]
    lock_name: Annotated[str, "The lock's name; empty if the lock is not at hand."]
    outcome: Annotated[ReportOutcome, "`pass` or `fail`."]
    signed_at: Annotated[datetime, "When, as the signer says."]
    policy_name: Annotated[str, "The Policy resource."]
    policy_digest: Annotated[Digest, "sha256 of its file."]
    gate: Annotated[ReportGate | None, "`null` if the policy says nothing about findings: then nothing was scanned."]
    trust_roots: Annotated[Mapping[str, Digest], "The trust roots that it stands on, by name."]
    items: Annotated[int, "How many items it is about."]
    refused: Annotated[int, "How many of them may not pass."]


@dataclass(frozen=True, slots=True)
class Lacking:
    """Something that a request asks for and its lock lacks."""

    item: Annotated[str, "The name in the request."]
    code: Annotated[str, "Why it is not there."]
    detail: Annotated[str, "The same in words."]
    digest: Annotated[Digest, "By which a waiver names it."]
    outcome: Annotated[str, "`waived`, `fail`, or empty where no verdict is about it."]


@dataclass(frozen=True, slots=True)
class ReportLock:
    """What was asked: a lock."""

    name: Annotated[str, "Its name."]
    digest: Annotated[Digest, "By which statements name it."]
    items: Annotated[int, "How many items it has."]
    promoted_from: Annotated[Digest | None, "The full lock, if this one has only what passed."]
    lacking: Annotated[tuple[Lacking, ...], "What it lacks of its request."]


@dataclass(frozen=True, slots=True)
class ReportCheck:
    """One question that the judge asked about an item, other than about a finding."""

    check: Annotated[str, "`rule`, `signature`, `attestation`, `scan` …"]
    subject: Annotated[Digest | None, "What it is about; `null`: the complete item."]
    outcome: Annotated[str, "`pass`, `fail`, `not-run` or `waived`."]
    rule: Annotated[str, "By which rule of the policy."]
    by: Annotated[str, "Who made it pass: a key, an identity, an approver."]
    reason: Annotated[str, "Why not."]
    waiver: Annotated[Digest | None, "The waiver that let it pass."]


@dataclass(frozen=True, slots=True)
class ReportItem:
    """One item: what was judged, and how."""

    name: Annotated[str, "As the lock names it."]
    kind: Annotated[str, "`image`, `chart`, `git`, `model`, `file` …; empty if the lock is not at hand."]
    digest: Annotated[Digest, "Its root."]
    lock: Annotated[Digest, "The lock that has it."]
    bytes: Annotated[int, "Of all its blobs; 0 where it is not known."]
    outcome: Annotated[ReportOutcome, "`pass`, `fail`, `not-run`, or `none` without a verdict."]
    reason: Annotated[str, "Why it may not pass."]
    subjects: Annotated[tuple[Digest, ...], "What scanners were asked about."]
    packages: Annotated[int, "How many packages scanners read in it. 0 is no proof that there are none."]
    findings: Annotated[Mapping[str, int], "Scan findings by severity."]
    blocking: Annotated[int, "Scan findings that stop it."]
    checks: Annotated[tuple[ReportCheck, ...], "The judge's checks, without those about single findings."]


@dataclass(frozen=True, slots=True)
class NotScanned:
    """What no scanner looked at, or not completely."""

    item: Annotated[str, "The item."]
    subject: Annotated[Digest, "What was to be scanned."]
    scanner: Annotated[str, "Which scanner did not run."]
    code: Annotated[
        str,
        "`scanner-timeout`, `database-old`, `scan-missing` …; the id of the finding for a part that nobody read.",
    ]
    detail: Annotated[str, "The same in words."]
    decision: Annotated[FindingEffect, "`blocks` if it stops the item."]


@dataclass(frozen=True, slots=True)
class ReportWaiver:
    """A waiver that a verdict used, or that travels along."""

    digest: Annotated[Digest, "Of its file."]
    name: Annotated[str, "Its name; empty if its file is not at hand."]
    approver: Annotated[str, "Who answers for it."]
    reason: Annotated[str, "Why."]
    expires: Annotated[datetime, "Until when it counts."]
    checks: Annotated[tuple[str, ...], "What may fail."]
    uses: Annotated[int, "How many checks it lifted in these verdicts."]


@dataclass(frozen=True, slots=True)
class ReportVex:
    """An OpenVEX document that counted."""

    digest: Annotated[Digest, "Of the document."]
    by: Annotated[str, "Who signed it."]


@dataclass(frozen=True, slots=True)
class Carried:
    """A file that travels along."""

    what: Annotated[str, "`sbom` or `report`."]
    subject: Annotated[Digest, "What it is about."]
    digest: Annotated[Digest, "Of the file."]


@dataclass(frozen=True, slots=True)
class ReportFinding:
    """One finding of a scanner in one item, or in `jsonl` a scan without an answer (kind `coverage`)."""

    fingerprint: Annotated[
        str, "Stays the same from run to run for the same finding at the same place of the same item."
    ]
    item: Annotated[str, "The item's name."]
    item_kind: Annotated[str, "The item's kind."]
    item_digest: Annotated[Digest, "The item's root."]
    item_outcome: Annotated[ReportOutcome, "How the item was judged."]
    lock: Annotated[Digest, "The lock that has the item."]
    subject: Annotated[Digest, "The manifest or tree in which it was found."]
    kind: Annotated[FindingKind, "What sort of thing it is."]
    id: Annotated[str, "CVE-2021-36159, the id of a rule, the name of a malware signature."]
    aliases: Annotated[tuple[str, ...], "Other ids of the same thing."]
    severity: Annotated[Severity, "The one that counts, by the policy's choice of sources."]
    severity_source: Annotated[str, "The scanner's own source of `scannerSeverity`."]
    scanner_severity: Annotated[Severity, "What the scanner itself says."]
    severities: Annotated[Mapping[str, str], "What each source says."]
    title: Annotated[str, "In words."]
    package: Annotated[str, "The package."]
    purl: Annotated[str, "The package's URL."]
    installed: Annotated[str, "The version that is there."]
    fixed: Annotated[str, "The versions with a fix; empty if there is none."]
    status: Annotated[str, "What the vendor says: `affected`, `fixed`, `will_not_fix` …"]
    layer: Annotated[Digest | None, "The layer of the image."]
    path: Annotated[str, "The file, in the layer or the tree."]
    line: Annotated[int, "The first line in the file; 0 if unknown."]
    reference: Annotated[str, "Where people read more."]
    decision: Annotated[FindingEffect, "What it does: `blocks`, `warns`, `informs`; `waived` or `not-affected` by VEX."]
    rule: Annotated[str, "The policy's rule that decided."]
    reason: Annotated[str, "In words, where the verdict has them: the VEX justification, for one."]
    waiver: Annotated[Digest | None, "The waiver that lets it pass."]
    vex: Annotated[tuple[Digest, ...], "The OpenVEX documents that say that it does not matter here."]
    waived_by: Annotated[str, "Who approved the waiver, or signed the VEX document."]
    scanner: Annotated[str, "Which scanner found it."]
    scanner_version: Annotated[str, "Its version."]
    result: Annotated[Digest | None, "The scan result that has it; `null` for a scan without an answer."]
    signed_at: Annotated[datetime | None, "When the verdict was signed."]
    report_about: Annotated[str, "The digest of the delivery or lock that the report is about; for a store, its path."]


@dataclass(frozen=True, slots=True)
class Count:
    """How many findings of a kind and severity."""

    kind: Annotated[FindingKind, "The kind."]
    severity: Annotated[Severity, "The severity that counts."]
    findings: Annotated[int, "All of them."]
    blocking: Annotated[int, "Those that stop an item."]
    lifted: Annotated[int, "Those that a waiver or VEX lets pass."]


@dataclass(frozen=True, slots=True)
class ScanReport:
    """The whole report."""

    api_version: Annotated[str, "Always `airgap.openova.io/v1alpha1`."]
    kind: Annotated[str, "Always `Report`."]
    airgap: Annotated[str, "The version of airgap that made it."]
    made_at: Annotated[datetime, "When it was made."]
    outcome: Annotated[ReportOutcome, "`fail` if any verdict fails, `pass` if all pass, `none` without a verdict."]
    summary: Annotated[str, "The outcome in a sentence."]
    about: Annotated[About, "What the report is about."]
    trust: Annotated[str, "The Trust resource that the signatures were verified with; empty: no signature was checked."]
    problems: Annotated[
        tuple[ReportProblem, ...], "What is missing, differs, or was not believed. Empty: the report is complete."
    ]
    verdicts: Annotated[tuple[ReportVerdict, ...], "In the order of the locks."]
    locks: Annotated[tuple[ReportLock, ...], "What was asked."]
    signers: Annotated[tuple[ReportSigner, ...], "Who signed what."]
    scanners: Annotated[tuple[ReportScanner, ...], "Who looked."]
    items: Annotated[tuple[ReportItem, ...], "Refused ones first."]
    not_scanned: Annotated[tuple[NotScanned, ...], "What was not scanned, and why."]
    waivers: Annotated[tuple[ReportWaiver, ...], "Exceptions."]
    vex: Annotated[tuple[ReportVex, ...], "OpenVEX documents that counted."]
    carried: Annotated[tuple[Carried, ...], "SBOMs and reports of scanners that travel along."]
    counts: Annotated[tuple[Count, ...], "Findings by kind and severity."]
    findings: Annotated[tuple[ReportFinding, ...], "What stops an item first, then the worst."] = ()
    more: Annotated[int, "Findings beyond the limit, which only count."] = 0
