"""`Check`: one question that the judge asks about an item; what it may read (`Case`), and what it gives (`Answer`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from airgap.base.digest import Digest
from airgap.content.graph import Descriptor, Node, Source, walk
from airgap.content.lock import Item
from airgap.judgement.examination import Examination, examine
from airgap.kinds.table import kind_of
from airgap.resources.policy import Policy
from airgap.resources.policy_rules import Rule
from airgap.resources.waiver import Waiver
from airgap.signatures.record import VerificationResult

if TYPE_CHECKING:
    from airgap.signatures.roots.trust_root import TrustRoot

DENIED = "denied"
"""The reason of an answer that no waiver lifts, whatever the check."""


class Outcome(StrEnum):
    """How a check or a whole judgement ended. Only `PASSED` (and, of a check, `WAIVED`) lets an item through."""

    PASSED = "pass"
    FAILED = "fail"
    NOT_RUN = "not-run"
    """Its content could not be read: nobody knows, which is no yes."""
    WAIVED = "waived"
    """Of a check: it failed, and a waiver that holds now says that it need not pass."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a check says about one subject."""

    check: str
    """The check's name."""
    outcome: Outcome
    subject: Digest
    """A root or child manifest; of an item without a root its pin."""
    predicate_type: str = ""
    """Of an attestation: which one was demanded."""
    reason: str = ""
    """A stable code, that of the finding which explains most; empty where the answer is yes."""
    detail: str = ""
    """The answer in words, also where it is yes."""
    finding: VerificationResult | None = None
    """The one that decided."""
    approver: str = ""
    """Of a digest-only rule: who answers for it."""
    waiver: Waiver | None = None
    """The one that let it pass."""
    says_where: bool = False
    """True where `detail` itself says which part of the item it is about."""

    @property
    def good(self) -> bool:
        """True when it does not stop the item."""
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
        }
        return {key: value for key, value in made.items() if value}


@dataclass(frozen=True)
class Case:
    """One item before the judge: everything that a check may read. A check asks for no clock and no network."""

    item: Item
    name: str
    """The name by which rules are asked."""
    source: Source
    """Where the content is read from."""
    policy: Policy
    rule: Rule | None
    """The first rule of the policy that matches."""
    trust_roots: Mapping[str, TrustRoot]
    """The policy's trust roots, by name."""
    now: datetime
    root: Descriptor | None
    """Where the item's content begins, `None` where nobody knows."""

    @property
    def subject(self) -> Digest:
        """What an answer about the whole item is about: its root, or its pin."""
        return self.root.digest if self.root is not None else self.item.pin

    def digests(self) -> Iterator[Digest]:
        """Of the item and of everything in it or attached to it."""
        yield from (one.digest for one in (self.item.root, self.item.inside) if one is not None)
        yield from (file.digest for file in self.item.files)
        yield from (one.descriptor.digest for one in self.item.attached)
        graphs = self.item.graphs(self.root)
        for top, keep in (one for one in graphs if one[0] is self.root or one[0].is_node):
            for found in walk(self.source, top, keep):
                yield found.descriptor.digest if isinstance(found, Node) else found.digest

    @cached_property
    def examination(self) -> Examination:
        """What is attached to the item, read once for all checks and compared with what the rule requires.

        It is empty where the rule requires nothing, and where registries keep no signatures of the kind.
        """
        require = self.rule.require if self.rule else None
        if require is None or self.root is None or not kind_of(self.item).signed:
            return Examination()
        return examine(self.item, self.source, self.root, require, self.policy.deny, self.trust_roots, self.now)

    @property
    def findings(self) -> Sequence[VerificationResult]:
        """What the examination found of each thing that is attached; nothing where no check asked for it."""
        made: Examination | None = vars(self).get("examination")
        return made.findings if made is not None else ()


class Check(Protocol):
    """One question of the judge. It decides nothing but its own answer."""

    @property
    def name(self) -> str:
        """The name in verdicts and waivers."""

    @property
    def waivable(self) -> bool:
        """True when a waiver may lift a failed answer, except for the reason `DENIED`."""

    @property
    def final(self) -> bool:
        """True when nothing else is asked after a failed answer."""

    def ask(self, case: Case) -> Iterable[Answer]:
        """One answer for each subject that was looked at; none where the policy does not ask.

        Raises `IntegrityError`, `NotFoundError`, `UpstreamError`, `StoreError` when content cannot be read: then there
        is no judgement of the item.
        """
