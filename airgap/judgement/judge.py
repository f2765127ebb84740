"""The judge: what a policy says about one item, and why.

A judgement is made of checks, and a check of findings. What a policy does not allow fails; so does everything that
could not be looked at. Everything attached is looked at, so that one bundle more hides no signature of another format.
For people: docs/runbooks/signatures.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Any

from airgap.base.digest import Digest
from airgap.base.times import utc_text
from airgap.content.graph import Descriptor, Node, Source, by_platform, walk
from airgap.content.lock import Item
from airgap.resources.policy_model import Attest, Policy, Require, Rule, SignedBy, is_local, policy_name
from airgap.resources.problems import quoted
from airgap.resources.waiver import Waiver
from airgap.signatures.explain import finding_dict, signer_text, weight
from airgap.signatures.formats.read import read_attached, subjects, unsigned
from airgap.signatures.record import (
    SIGNATURE,
    Identity,
    Proof,
    Signed,
    Status,
    Unread,
    UpstreamKey,
    VerificationResult,
)
from airgap.signatures.sbom import check_sbom
from airgap.signatures.verify import Demand, verify

if TYPE_CHECKING:
    from airgap.signatures.roots.trust_root import TrustRoot


class Outcome(StrEnum):
    """How a check or a whole judgement ended. Only `PASSED` (and, of a check, `WAIVED`) lets an item through."""

    PASSED = "pass"
    FAILED = "fail"
    NOT_RUN = "not-run"
    """Its content could not be read: nobody knows, which is no yes."""
    WAIVED = "waived"
    """Of a check: it failed, and a waiver that holds now says that it need not pass."""


RULE = "rule"
"""Is there a rule, and may the item come in at all?"""
DENY = "deny"
"""Is the item's digest on the policy's deny list? No waiver counts here."""
ATTESTATION = "attestation"
DIGEST_ONLY = "digest-only"
"""Somebody approved the item by its digest, until a day."""
CHECKS = (RULE, DENY, SIGNATURE, ATTESTATION, DIGEST_ONLY)
WAIVABLE = (SIGNATURE, ATTESTATION)
GRAPHS = ("chart", "image")
"""Kinds that registries keep signatures of."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question that was asked about one subject, and its answer."""

    name: str
    """One of `CHECKS`."""
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

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape; empty fields are left out."""
        made = {
            "check": self.name,
            "outcome": str(self.outcome),
            "subject": str(self.subject),
            "predicateType": self.predicate_type,
            "reason": self.reason,
            "detail": self.detail,
            "approver": self.approver,
            "waiver": self.waiver.name if self.waiver else "",
        }
        return {key: value for key, value in made.items() if value}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the policy says about one item. `findings` are all that was looked at, also what decided nothing."""

    item: str
    kind: str
    root: Digest | None
    """`None` for Git, which has refs."""
    pin: Digest
    """The digest of the item as the lock has it: names every kind."""
    outcome: Outcome
    rule: str
    """The rule that matched, for people: `rules[2] (ghcr.io/acme/*)`; empty where none did."""
    reason: str = ""
    """The stable code of the first check that failed; empty where the item may pass."""
    detail: str = ""
    """The same in words."""
    checks: tuple[Check, ...] = ()
    findings: tuple[VerificationResult, ...] = ()

    @property
    def passed(self) -> bool:
        """True when the item may go on."""
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
            "checks": [check.as_dict() for check in self.checks],
            "findings": [finding_dict(finding) for finding in self.findings],
        }


def judge(
    item: Item,
    source: Source,
    policy: Policy,
    roots: Mapping[str, TrustRoot],
    now: datetime,
    waivers: Sequence[Waiver] = (),
    root: Descriptor | None = None,
) -> Judgement:
    """What `policy` says about `item`, whose content is read from `source`.

    1. What is denied by digest fails. 2. The first rule that matches decides; none fails. 3. `digestOnly` passes until
    its day, what is local only where it says so. 4. `require`: for each subject, one signature that is verified,
    demanded and not denied, and one such attestation of each type. 5. A waiver that holds lets a missing or bad
    signature or attestation pass.

    `roots` are the policy's trust roots by name; `root` is where a Git item's content begins in the store. Raises
    `IntegrityError`, `StoreError`, `UpstreamError` when the content cannot be read: then there is no judgement.
    """
    top = item.root or root
    rule = policy.rule_for(item.kind, policy_name(item))
    case = _Case(item, source, policy, roots, now, tuple(waivers), top)
    denied = case.denied_digest()
    checks = [denied] if denied is not None else list(case.checks(rule))
    failed = next((check for check in checks if check.outcome is Outcome.FAILED), None)
    return Judgement(
        item=item.name,
        kind=item.kind,
        root=top.digest if top else None,
        pin=item.pin,
        outcome=Outcome.FAILED if failed is not None else Outcome.PASSED,
        rule=rule.label if rule else "",
        reason=failed.reason if failed else "",
        detail=_failure(failed, top) if failed else "; ".join(dict.fromkeys(check.detail for check in checks)),
        checks=tuple(checks),
        findings=tuple(case.findings),
    )


def _failure(check: Check, root: Descriptor | None) -> str:
    inside = root is not None and check.subject != root.digest and check.name in WAIVABLE
    return f"{check.subject} in it: {check.detail}" if inside else check.detail


@dataclass(slots=True)
class _Case:
    """One item before the judge."""

    item: Item
    source: Source
    policy: Policy
    roots: Mapping[str, TrustRoot]
    now: datetime
    waivers: tuple[Waiver, ...]
    root: Descriptor | None
    findings: list[VerificationResult] = field(default_factory=list)
    below: frozenset[Digest] = frozenset()
    """The manifests in the root."""

    def denied_digest(self) -> Check | None:
        """A failed check when anything of the item is on the deny list; asked only where there is one."""
        denied = self.policy.deny.digests
        if not denied:
            return None
        found = next((digest for digest in self._digests() if digest in denied), None)
        if found is None:
            return None
        what = "it" if self.root is not None and found == self.root.digest else f"{found}, which is in it,"
        return Check(DENY, Outcome.FAILED, found, reason="denied", detail=f"{what} is denied by digest")

    def checks(self, rule: Rule | None) -> Iterator[Check]:
        """Every question that the rule asks, with its answer."""
        if rule is None:
            what = f"no rule matches {self.item.kind} {policy_name(self.item)}; that may not come in"
            yield Check(RULE, Outcome.FAILED, self._subject, reason="no-rule", detail=what)
        elif rule.deny:
            yield Check(RULE, Outcome.FAILED, self._subject, reason="denied", detail=f"denied: {rule.deny}")
        elif rule.require is not None:
            for check in self._required(rule.require):
                yield self._waived(check)
        else:
            yield self._digest_only(rule)

    @property
    def _subject(self) -> Digest:
        return self.root.digest if self.root is not None else self.item.pin

    def _digests(self) -> Iterator[Digest]:
        """Of the item and everything in it or attached to it."""
        yield from (one.digest for one in (self.item.root, self.item.inside) if one is not None)
        yield from (file.digest for file in self.item.files)
        yield from (one.descriptor.digest for one in self.item.attached)
        tops = [(self.root, by_platform(self.item.platforms))] if self.root is not None else []
        tops += [(one.descriptor, None) for one in self.item.attached if one.descriptor.is_node]
        for top, keep in tops:
            for found in walk(self.source, top, keep):
                yield found.descriptor.digest if isinstance(found, Node) else found.digest

    def _digest_only(self, rule: Rule) -> Check:
        given = rule.digest_only
        if given is None:
            what = "the rule asks for nothing"
            return Check(RULE, Outcome.FAILED, self._subject, reason="no-rule", detail=what)
        outcome, reason = Outcome.FAILED, ""
        if is_local(self.item) and not given.local:
            reason = "local-source"
            what = f"it was read from {quoted(self.item.source)}, and its name is what the request calls it"
        elif given.expired(self.now):
            reason = "approval-expired"
            what = f"the approval by digest of {given.approver} ended at {utc_text(given.expires)}"
        else:
            outcome = Outcome.PASSED
            what = f"approved by its digest: {given.approver}, until {utc_text(given.expires)}: {given.reason}"
        return Check(DIGEST_ONLY, outcome, self._subject, reason=reason, detail=what, approver=given.approver)

    def _required(self, require: Require) -> Iterator[Check]:
        if self.item.kind not in GRAPHS or self.root is None:
            what = f"nothing signs a {self.item.kind} as registries keep signatures; a digestOnly rule may let it in"
            yield Check(SIGNATURE, Outcome.FAILED, self._subject, reason="absent", detail=what)
            return
        digests = subjects(self.source, self.root, self.item.platforms)
        bare = unsigned(self.source, self.root, self.item.platforms)
        # Generators describe an index by one of its children.
        self.below = frozenset(digests[1:])
        for digest in digests if require.subjects == "all" else digests[:1]:
            things = read_attached(self.source, digest, self.item.attached)
            unsigned_ones = (one for one in bare if one.subject == digest)
            yield from self._subject_checks(digest, chain(things, unsigned_ones), require)

    def _subject_checks(self, subject: Digest, things: Iterable[Signed | Unread], require: Require) -> Iterator[Check]:
        """The demands on one subject. Of each thing the finding that says most is kept, and nothing of its content."""
        wanted = [
            (attest, self._demand(attest, require), list[VerificationResult]())
            for attest in (Attest(SIGNATURE, require.by), *require.attestations)
        ]
        for thing in things:
            findings = []
            for attest, demand, found in wanted:
                if _may_answer(thing, attest.predicate_type):
                    finding = replace(self._find(thing, demand, attest), payload=b"")
                    found.append(finding)
                    findings.append(finding)
            self.findings.append(max(findings, key=weight))
            del thing  # or it would be in memory while the next one is read
        for attest, _, found in wanted:
            yield _answer(subject, attest, found)

    def _demand(self, attest: Attest, require: Require) -> Demand:
        return Demand(
            want=attest.predicate_type,
            identities=_identities(attest.by),
            keys=_keys(attest.by),
            root=self.roots[require.trust_root] if require.trust_root else None,
            logged={"required": True, "optional": False}.get(require.log),
            now=self.now,
        )

    def _find(self, thing: Signed | Unread, demand: Demand, attest: Attest) -> VerificationResult:
        """Verified, not denied, and (where the content is demanded) what it says it is."""
        finding = verify(thing, demand)
        if not finding.verified:
            return finding
        why = self._denied(finding.proof)
        if why:
            return replace(finding, status=Status.FAILED, reason="denied", detail=why)
        if attest.content == "sbom":
            root = self.root is not None and finding.subject == self.root.digest
            also = self.below if root else ()
            why = check_sbom(attest.predicate_type, finding.payload, finding.subject, also)
            if why:
                return replace(finding, status=Status.FAILED, reason="bad-sbom", detail=why)
        return finding

    def _denied(self, proof: Proof | None) -> str:
        """Why a good signature does not count, `""` where it does."""
        deny = self.policy.deny
        if proof is None:
            return "it is verified without a proof"
        if proof.key is not None and proof.key in deny.keys:
            return f"its key {proof.key} is denied"
        if proof.identity and deny.identity(proof.identity):
            return f"its identity {proof.identity} is denied"
        entry = next((one for one in proof.log_entries if one in deny.log_entries), None)
        return f"its entry {entry[1]} in log {entry[0]} is denied" if entry is not None else ""

    def _waived(self, check: Check) -> Check:
        """The check as waivers leave it. A denied signature is not lifted by any."""
        if check.outcome is not Outcome.FAILED or check.reason == "denied":
            return check
        mine = [one for one in self.waivers if one.covers(check.name, check.subject)]
        holds = next((one for one in mine if not one.expired(self.now)), None)
        if holds is not None:
            what = f"waived until {utc_text(holds.expires)} by {holds.approver} ({holds.name}): {check.detail}"
            return replace(check, outcome=Outcome.WAIVED, detail=what, waiver=holds)
        if mine:
            what = f"{check.detail}; the waiver {mine[0].name!r} ended at {utc_text(mine[0].expires)}"
            return replace(check, detail=what)
        return check


def _may_answer(thing: Signed | Unread, want: str) -> bool:
    """A signature answers no demand for an attestation. The other way round is refused by name."""
    return want == SIGNATURE or isinstance(thing, Unread) or thing.attestation


def _identities(by: SignedBy) -> tuple[Identity, ...]:
    return tuple(Identity(one.issuer, one.identity, one.pattern) for one in by.signers)


def _keys(by: SignedBy) -> tuple[UpstreamKey, ...]:
    return tuple(UpstreamKey(one.name, one.pem, one.not_before, one.not_after) for one in by.keys)


def _answer(subject: Digest, attest: Attest, found: Sequence[VerificationResult]) -> Check:
    """One verified finding is enough; else the reason that explains most; `absent` where nothing of that kind is."""
    signature = attest.predicate_type == SIGNATURE
    name, kind = (SIGNATURE, "") if signature else (ATTESTATION, attest.predicate_type)
    best = max(found, key=weight, default=None)
    if best is not None and best.verified:
        return Check(name, Outcome.PASSED, subject, kind, detail=signer_text(best), finding=best)
    if best is None or _is_other(best, signature=signature):
        what = "no signature is attached" if signature else f"no attestation {kind} is attached"
        others = sorted({one.predicate_type for one in found} - {""}) if not signature else ()
        what += f"; there is {', '.join(others)}" if others else ""
        return Check(name, Outcome.FAILED, subject, kind, reason="absent", detail=what)
    return Check(name, Outcome.FAILED, subject, kind, best.reason, best.detail, best)


def _is_other(finding: VerificationResult, *, signature: bool) -> bool:
    """True for what nobody could take for the thing that is wanted."""
    if finding.reason == "unsigned":
        return signature
    return finding.status is Status.ABSENT or finding.reason == "wrong-predicate-type"
