"""The judge: asks each check of the table about one item, and combines the answers as the policy says.

An item that the policy does not allow fails; so does an item that could not be checked.
For people: docs/runbooks/signatures.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airgap.base.digest import Digest
from airgap.base.times import utc_text
from airgap.content.graph import Descriptor, Source
from airgap.content.item import Item
from airgap.judgement.checks.base import DENIED, Answer, Case, Check, Outcome
from airgap.judgement.checks.table import CHECKS
from airgap.judgement.vex import VexFiles, VexNote
from airgap.judgement.worst import bounded
from airgap.kinds.table import rule_names
from airgap.resources.policy import Policy
from airgap.resources.waiver import Waiver
from airgap.signatures.explain import finding_dict
from airgap.signatures.record import VerificationResult
from airgap.statements.scan_answers import SCAN, SCAN_CHECKS, waives
from airgap.statements.scan_run import ScanRun

if TYPE_CHECKING:
    from airgap.signatures.roots.trust_root import TrustRoot


@dataclass(frozen=True, slots=True)
class Judgement:
    """The policy's answer about one item. `findings` covers everything that was checked, even if it decided nothing."""

    item: str
    kind: str
    root: Digest | None
    """`None` for Git, which has refs."""
    pin: Digest
    """The digest of the item as the lock lists it; every kind has one."""
    outcome: Outcome
    rule: str
    """The rule that matched, for display: `rules[2] (ghcr.io/acme/*)`; empty if none did."""
    reason: str = ""
    """The stable code of the first answer that is not good; empty if the item may pass."""
    detail: str = ""
    """The reason in words."""
    answers: tuple[Answer, ...] = ()
    findings: tuple[VerificationResult, ...] = ()
    vex: tuple[VexNote, ...] = ()
    """The OpenVEX documents that are attached, if a finding blocked without them."""

    @property
    def passed(self) -> bool:
        """True if the item may go on."""
        return self.outcome is Outcome.PASSED

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape, with every finding."""
        return {
            "item": self.item,
            "kind": self.kind,
            "root": str(self.root) if self.root else None,
            "pin": str(self.pin),
            "outcome": str(self.outcome),
            "rule": self.rule,
            "reason": self.reason,
            "detail": self.detail,
            "checks": [answer.as_dict() for answer in self.answers],
            "findings": [finding_dict(finding) for finding in self.findings],
            **({"vex": [one.as_dict() for one in self.vex]} if self.vex else {}),
        }


def judge(
    item: Item,
    source: Source,
    policy: Policy,
    trust_roots: Mapping[str, TrustRoot],
    now: datetime,
    waivers: Sequence[Waiver] = (),
    root: Descriptor | None = None,
    run: ScanRun | None = None,
    *,
    vex: VexFiles | None = None,
) -> Judgement:
    """Judges `item` by `policy`. Its content is read from `source`.

    1. The first rule that matches the item counts. 2. Each check of the table answers, with waivers taken into
    account; after a failed final check no further check is asked. 3. The item passes if there is at least one answer,
    and every answer is passed or waived.

    `trust_roots` are the policy's trust roots by name; `root` is where a Git item's content begins in the store.
    `run` is what scanners answered; with `None`, nothing is asked about findings of scanners. `vex` are OpenVEX
    documents, and whom the policy lets speak. Raises
    `IntegrityError`, `StoreError`, `UpstreamError` if the content cannot be read: then there is no judgement.
    """
    top, names = item.root or root, rule_names(item)
    case = Case(item, policy.choose(item.kind, names), source, policy, trust_roots, now, top, run, vex)
    answers = _by_subject(_asked(case, waivers))
    failed = next(
        (answer for outcome in (Outcome.FAILED, Outcome.NOT_RUN) for answer in answers if answer.outcome is outcome),
        None,
    )
    return Judgement(
        item=item.name,
        kind=item.kind,
        root=top.digest if top else None,
        pin=item.pin,
        outcome=Outcome.PASSED if answers and failed is None else failed.outcome if failed else Outcome.FAILED,
        rule=case.rule.label if case.rule else "",
        reason=failed.reason if failed else "",
        detail=_failure(failed, top) if failed else "; ".join(dict.fromkeys(one.detail for one in _told(answers))),
        answers=tuple(bounded(answers)),
        findings=tuple(case.findings),
        vex=tuple(case.vex_notes),
    )


def _asked(case: Case, waivers: Sequence[Waiver]) -> Iterator[Answer]:
    """The answers of the checks, in the order of the table."""
    for check in CHECKS:
        answers = [_waived(check, answer, waivers, case) for answer in check.ask(case)]
        yield from answers
        if check.final and not all(answer.good for answer in answers):
            return


def _by_subject(answers: Iterable[Answer]) -> list[Answer]:
    """Groups the answers by subject."""
    found: dict[Digest, list[Answer]] = {}
    for answer in answers:
        found.setdefault(answer.subject, []).append(answer)
    return [answer for some in found.values() for answer in some]


def _waived(check: Check, answer: Answer, waivers: Sequence[Waiver], case: Case) -> Answer:
    """The answer after waivers are applied. No waiver lifts a denial."""
    if not check.waivable or answer.good or answer.reason == DENIED:
        return answer
    if answer.outcome is Outcome.NOT_RUN and answer.check != SCAN:  # what is there is not known
        return answer
    mine = [one for one in waivers if _covers(one, answer, case)]
    holds = next((one for one in mine if not one.expired(case.now)), None)
    if holds is not None:
        what = f"waived until {utc_text(holds.expires)} by {holds.approver} ({holds.name}): {answer.detail}"
        return replace(answer, outcome=Outcome.WAIVED, detail=what, waiver=holds)
    if mine:
        what = f"{answer.detail}; the waiver {mine[0].name!r} expired at {utc_text(mine[0].expires)}"
        return replace(answer, detail=what)
    return answer


def _covers(waiver: Waiver, answer: Answer, case: Case) -> bool:
    if answer.check not in SCAN_CHECKS:
        return waiver.covers(answer.check, answer.subject)
    return waives(waiver, answer.check, answer.subject, answer.named, case.subject, case.names)


def _told(answers: Sequence[Answer]) -> Sequence[Answer]:
    """The answers that say why an item passed: not each scan that found nothing."""
    return [one for one in answers if one.check not in SCAN_CHECKS or one.outcome is Outcome.WAIVED] or answers


def _failure(answer: Answer, root: Descriptor | None) -> str:
    inside = root is not None and answer.subject != root.digest and not answer.says_where
    return f"its part {answer.subject}: {answer.detail}" if inside else answer.detail
