"""`examine`: everything attached to an item, read once and compared with everything that a rule requires.

All of it is examined, so that an additional bundle cannot hide a signature of another format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING

from airgap.base.digest import Digest
from airgap.content.graph import Descriptor, Source, read_node
from airgap.content.item import Item
from airgap.kinds.table import kind_of
from airgap.resources.policy import Deny
from airgap.resources.policy_rules import Attest, Require, SignedBy
from airgap.signatures.explain import weight
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


@dataclass(frozen=True, slots=True)
class Examined:
    """One requirement of a rule for one subject, and every finding that could meet it."""

    subject: Digest
    attest: Attest
    """The requirement; a signature has the predicate type `SIGNATURE`."""
    found: Sequence[VerificationResult] = ()

    @property
    def best(self) -> VerificationResult | None:
        """The finding that is verified or explains most; `None` if nothing is attached."""
        return max(self.found, key=weight, default=None)


@dataclass(frozen=True, slots=True)
class Examination:
    """The results by subject: the root, and with `subjects: all` each carried manifest."""

    examined: Sequence[Examined] = ()
    findings: Sequence[VerificationResult] = ()
    """One for each attached artifact, even if it decides nothing."""

    @property
    def signatures(self) -> Iterator[Examined]:
        """One for each subject."""
        return (one for one in self.examined if one.attest.predicate_type == SIGNATURE)

    @property
    def attestations(self) -> Iterator[Examined]:
        """One for each subject and each type that is required."""
        return (one for one in self.examined if one.attest.predicate_type != SIGNATURE)


def examine(
    item: Item,
    source: Source,
    root: Descriptor,
    require: Require,
    deny: Deny,
    trust_roots: Mapping[str, TrustRoot],
    now: datetime,
) -> Examination:
    """Reads and verifies everything attached to the subjects that `require` names.

    `trust_roots` are the policy's trust roots by name. Raises `IntegrityError`, `StoreError`, `UpstreamError`
    if something cannot be read.
    """
    about = subjects(source, root, item.platforms)
    bare = unsigned(source, root, item.platforms)
    # Generators describe an index by one of its children.
    files = kind_of(item).own_files(read_node(source, root)) if root.is_node else ()
    below = frozenset(one.digest for one in about[1:])
    work = _Work(require, deny, trust_roots, now, root.digest, below, frozenset(files))
    for subject in about if require.subjects == "all" else about[:1]:
        things = read_attached(source, subject, item.attached)
        work.subject(subject.digest, chain(things, (one for one in bare if one.subject == subject.digest)))
    return Examination(tuple(work.examined), tuple(work.findings))


@dataclass(slots=True)
class _Work:
    require: Require
    deny: Deny
    trust_roots: Mapping[str, TrustRoot]
    now: datetime
    root: Digest
    below: frozenset[Digest]
    """The manifests below the root."""
    files: frozenset[Digest]
    """The files that are the artifact itself."""
    examined: list[Examined] = field(default_factory=list)
    findings: list[VerificationResult] = field(default_factory=list)

    def subject(self, subject: Digest, things: Iterable[Signed | Unread]) -> None:
        """Checks the demands on one subject. Keeps the most explaining finding for each thing, without its content."""
        own = (Attest(predicate_type=SIGNATURE, by=self.require.by),) if self.require.signed else ()
        wanted = [
            (attest, self._demand(attest), list[VerificationResult]()) for attest in (*own, *self.require.attestations)
        ]
        for thing in things:
            findings = []
            for attest, demand, found in wanted:
                if _may_answer(thing, attest.predicate_type):
                    finding = replace(self._find(thing, demand, attest), payload=b"")
                    found.append(finding)
                    findings.append(finding)
            self.findings += [max(findings, key=weight)] if findings else []
            del thing  # otherwise it would stay in memory while the next one is read
        self.examined += [Examined(subject, attest, found) for attest, _, found in wanted]

    def _demand(self, attest: Attest) -> Demand:
        require = self.require
        return Demand(
            want=attest.predicate_type,
            identities=identities_of(attest.by),
            keys=keys_of(attest.by),
            root=self.trust_roots[require.trust_root] if require.trust_root else None,
            logged={"required": True, "optional": False}.get(require.log),
            now=self.now,
        )

    def _find(self, thing: Signed | Unread, demand: Demand, attest: Attest) -> VerificationResult:
        """Checks that it is verified, not denied, and (if the rule demands it) that its content is what it claims."""
        finding = verify(thing, demand)
        if not finding.verified:
            return finding
        why = denial(self.deny, finding.proof)
        if why:
            return replace(finding, status=Status.FAILED, reason="denied", detail=why)
        if attest.content == "sbom":
            also, files = (self.below, self.files) if finding.subject == self.root else ((), ())
            why = check_sbom(attest.predicate_type, finding.payload, finding.subject, also, files)
            if why:
                return replace(finding, status=Status.FAILED, reason="bad-sbom", detail=why)
        return finding


def denial(deny: Deny, proof: Proof | None) -> str:
    """Why a valid signature does not count, `""` if it counts."""
    if proof is None:
        return "verified, but without a proof"
    if proof.key is not None and proof.key in deny.keys:
        return f"its key {proof.key} is denied"
    if proof.identity and deny.identity(proof.identity):
        return f"its identity {proof.identity} is denied"
    entry = next((one for one in proof.log_entries if one in deny.log_entries), None)
    return f"its log entry {entry[1]} in log {entry[0]} is denied" if entry is not None else ""


def _may_answer(thing: Signed | Unread, want: str) -> bool:
    """A signature does not answer a demand for an attestation. The reverse is refused with its own reason."""
    return want == SIGNATURE or isinstance(thing, Unread) or thing.attestation


def identities_of(by: SignedBy) -> tuple[Identity, ...]:
    """The identities of a policy, as engines take them."""
    return tuple(Identity(one.issuer, one.identity, one.pattern, one.issuer_pattern) for one in by.signers)


def keys_of(by: SignedBy) -> tuple[UpstreamKey, ...]:
    """The keys of a policy, as engines take them."""
    return tuple(
        UpstreamKey(one.name, one.pem, one.not_before, one.not_after, one.hash_algorithm, one.rsa_padding)
        for one in by.keys
    )
