"""`Check`: one question that the judge asks about an item; `Case` is what it may read, `Answer` what it returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from airgap.base.digest import Digest
from airgap.content.graph import Descriptor, Node, Source, walk
from airgap.content.item import Item
from airgap.content.names import RuleNames
from airgap.judgement.examination import Examination, examine
from airgap.judgement.vex import TrustedVex, VexCase, VexFiles, VexNote
from airgap.kinds.table import kind_of, rule_names
from airgap.resources.policy import Policy, Ruling
from airgap.resources.policy_rules import Rule
from airgap.resources.waiver import Waiver
from airgap.signatures.record import VerificationResult
from airgap.statements.scan_run import ScanRun
from airgap.statements.scans import FindingName

if TYPE_CHECKING:
    from airgap.signatures.roots.trust_root import TrustRoot

DENIED = "denied"
"""The reason of an answer that no waiver lifts, in every check."""


class Outcome(StrEnum):
    """How a check or a complete judgement ended. Only `PASSED` (and for a check `WAIVED`) lets an item through."""

    PASSED = "pass"
    FAILED = "fail"
    NOT_RUN = "not-run"
    """The content could not be read, so the answer is unknown. That does not let an item through."""
    WAIVED = "waived"
    """For a check: it failed, and a valid waiver states that it need not pass."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A check's answer about one subject."""

    check: str
    """The check's name."""
    outcome: Outcome
    subject: Digest
    """A root or child manifest; for an item without a root, its pin."""
    predicate_type: str = ""
    """The required predicate type, if the check is about an attestation."""
    reason: str = ""
    """A stable code, from the finding that explains most; empty if the check passed."""
    detail: str = ""
    """The answer in words, also if the check passed."""
    finding: VerificationResult | None = None
    """The finding that decided."""
    approver: str = ""
    """For a digest-only rule: who approved it."""
    waiver: Waiver | None = None
    """The waiver that let it pass."""
    says_where: bool = False
    """True if `detail` itself names the part of the item that it is about."""
    rule: str = ""
    """What in the policy decided, if it is not the item's rule."""
    named: FindingName | None = None
    """The finding of a scanner that it is about."""
    vex: tuple[TrustedVex, ...] = ()
    """The OpenVEX documents that lifted the finding."""

    @property
    def good(self) -> bool:
        """True if it does not stop the item."""
        return self.outcome in (Outcome.PASSED, Outcome.WAIVED)

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape; empty fields are left out."""
        made = {
            "check": self.check,
            "outcome": str(self.outcome),
            "subject": str(self.subject),
            "predicateType": self.predicate_type,
            "reason": self.reason,
            "detail": self.detail,
            "approver": self.approver,
            "waiver": self.waiver.name if self.waiver else "",
            "rule": self.rule,
            "finding": self.named.as_dict() if self.named else None,
            "vex": [str(one.document.digest) for one in self.vex],
        }
        return {key: value for key, value in made.items() if value}


@dataclass(frozen=True)
class Case:
    """One item before the judge: everything that a check may read. A check uses no clock and no network."""

    item: Item
    ruling: Ruling
    """What the policy's rules say about its names."""
    source: Source
    """Where to read the content from."""
    policy: Policy
    trust_roots: Mapping[str, TrustRoot]
    """The policy's trust roots, by name."""
    now: datetime
    root: Descriptor | None
    """Where the item's content begins, `None` if it is unknown."""
    run: ScanRun | None
    """What scanners answered; `None` if nothing is asked about findings: `verify-image` scans nothing."""
    vex_files: VexFiles | None = None
    """The OpenVEX documents in files, and whom the policy lets speak."""

    @property
    def names(self) -> RuleNames:
        """The names of the item that rules are matched against."""
        return rule_names(self.item)

    @property
    def rule(self) -> Rule | None:
        """The rule of the policy that decides."""
        return self.ruling.rule

    @property
    def subject(self) -> Digest:
        """The subject of an answer about the complete item: its root, or its pin."""
        return self.root.digest if self.root is not None else self.item.pin

    def digests(self) -> Iterator[Digest]:
        """The digests of the item and of everything in it or attached to it."""
        yield from (one.digest for one in (self.item.root, self.item.inside) if one is not None)
        yield from (file.digest for file in self.item.files)
        yield from (one.descriptor.digest for one in self.item.attached)
        graphs = self.item.graphs(self.root)
        for top, keep in (one for one in graphs if one[0] is self.root or one[0].is_node):
            for found in walk(self.source, top, keep):
                yield found.descriptor.digest if isinstance(found, Node) else found.digest

    @cached_property
    def examination(self) -> Examination:
        """Everything attached to the item, read once for all checks and compared with what the rule requires.

        It is empty if the rule requires nothing, or if registries store no signatures for the kind.
        """
        require = self.rule.require if self.rule else None
        if require is None or self.root is None or not kind_of(self.item).signed:
            return Examination()
        return examine(self.item, self.source, self.root, require, self.policy.deny, self.trust_roots, self.now)

    @cached_property
    def vex(self) -> VexCase | None:
        """The OpenVEX documents that count for the item, read when the first finding blocks; `None` if none can."""
        if self.vex_files is None or self.root is None:
            return None
        return self.vex_files.case(self.item, self.source, self.root, self.names)

    @property
    def vex_notes(self) -> Sequence[VexNote]:
        """The documents that are attached, if a check asked for them."""
        made: VexCase | None = vars(self).get("vex")
        return made.notes if made is not None else ()

    @property
    def findings(self) -> Sequence[VerificationResult]:
        """One finding for each attached artifact, if a check asked for the examination; otherwise empty."""
        made: Examination | None = vars(self).get("examination")
        return made.findings if made is not None else ()


class Check(Protocol):
    """One question of the judge. It decides only its own answer."""

    @property
    def name(self) -> str:
        """The name; answers about findings of scanners have the names of their kinds."""

    @property
    def waivable(self) -> bool:
        """True if a waiver may lift an answer that is not good, except for the reason `DENIED`."""

    @property
    def final(self) -> bool:
        """True if no further check is asked after a failed answer."""

    def ask(self, case: Case) -> Iterable[Answer]:
        """One answer for each checked subject; none if the policy does not ask.

        Raises `IntegrityError`, `NotFoundError`, `UpstreamError`, `StoreError` if content cannot be read: then there
        is no judgement of the item.
        """
