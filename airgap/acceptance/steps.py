"""Acceptance: how a delivery becomes trusted. A state machine without I/O, one method per step, in a fixed order.

Each step raises `TrustError` (or `IntegrityError` from the caller's parser) to end the acceptance:

1. `Acceptance(…)`: the Trust resource is consistent and belongs to this Sovereign; the clock is not earlier than the
   last acceptance.
2. `check_signatures`: the bytes of AIRGAP.json were signed as a delivery by a key whose role allows this.
3. `read_index`: only now are these bytes parsed.
4. `check_journey`: audience, stream and sequence, baseline, creation and expiry; the signature is not older than
   AIRGAP.json itself, nor than the last accepted delivery.
5. `check_locks`: the locks in the evidence are those that AIRGAP.json lists.
6. `check_statements`: the statements that `require` names are present, each signed by a key with the right role, and
   none is older than what it speaks of.
7. `admit`: returns the record to write (`StateFile.record`) before anything becomes visible.

A step out of order is a bug and raises `RuntimeError`. So does every step after a refusal. Nothing here writes: a
refused delivery leaves no trace in the state.

In a delivery that was accepted before, a key counts if it was good when it signed; in a new one it must be good now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import TypeVar

from airgap.acceptance.beliefs import Beliefs
from airgap.acceptance.journey import check_audience, check_due, check_new_times, check_place, check_stream, check_times
from airgap.acceptance.lock_statements import check_lock
from airgap.acceptance.locks import EvidenceFiles
from airgap.acceptance.promoted import check_promoted
from airgap.acceptance.sboms import carried_sboms
from airgap.acceptance.scans import Demands, Earlier, nothing_earlier
from airgap.base.digest import Digest
from airgap.base.errors import InputError, TrustError
from airgap.base.times import CLOCK_SKEW, utc_text
from airgap.content.lock import Lock
from airgap.delivery.fields import CUT_AGAIN
from airgap.delivery.journey import Journey
from airgap.resources.trust import Trust
from airgap.signatures.scanner_report import Report
from airgap.signatures.scanner_sbom import ScannerSbom
from airgap.signatures.write import Claim, components, vulnerabilities
from airgap.statements.accepted_state import Accepted, AcceptedState, Standing
from airgap.statements.approval import Approvable, Approval, Approves
from airgap.statements.dsse import MAX_BUNDLE, MAX_EVIDENCE_BUNDLE
from airgap.statements.predicates import Pull
from airgap.statements.trust import Known, VerifiedStatement, authenticate, authorise, key_ring

MAX_INDEX = 64 << 20
"""Bytes of AIRGAP.json (docs/format.md): it is read completely before it is trusted."""
MAX_SIGNATURES = 32
"""Signatures of a delivery (docs/format.md): more than the roles and countersigners of any organization."""

Parsed = TypeVar("Parsed")


@dataclass(frozen=True, slots=True)
class Admitted:
    """A delivery that may be imported. `StateFile.record` writes `record`."""

    record: Accepted
    standing: Standing
    journey: Journey
    locks: tuple[Lock, ...]
    statements: tuple[VerifiedStatement, ...]
    """All trusted statements: those about AIRGAP.json, then those about its locks."""
    notes: tuple[str, ...]
    """Notes for people: signatures that do not count, statements about something else."""
    reports: Mapping[Digest, Report] = field(default_factory=dict, hash=False)
    """The scanner reports that trusted verdicts name, by the digest of the manifest that they are about."""
    sboms: Mapping[Digest, ScannerSbom] = field(default_factory=dict, hash=False)
    """The scanner's SBOMs that results of trusted verdicts name, by the digest of the manifest that was scanned."""
    rewrites: frozenset[str] = frozenset()
    """The repositories whose rewritten history a security-officer approved for this delivery."""
    full: tuple[Lock, ...] = ()
    """The locks from which some were promoted: they are not delivered, but compared with."""

    @property
    def claims(self) -> Mapping[Digest, Sequence[Claim]]:
        """What scanners said of each manifest, to be attested inside."""
        found: dict[Digest, list[Claim]] = {}
        for subject, report in self.reports.items():
            found.setdefault(subject, []).append(vulnerabilities(report))
        for subject, sbom in self.sboms.items():
            found.setdefault(subject, []).append(components(sbom))
        return found

    def pull_of(self, lock: Lock) -> Pull | None:
        """The exporter's statement about a lock, which fixes the roots of its Git items; `None` if there is none."""
        made = [verified.statement for verified in self.statements]
        made = sorted((one for one in made if one.subject in lock.pulled_as), key=lambda one: one.signed_at)
        return next((one.body for one in reversed(made) if isinstance(one.body, Pull)), None)


class _Step(IntEnum):
    SIGNATURES = 2
    INDEX = 3
    JOURNEY = 4
    LOCKS = 5
    STATEMENTS = 6
    ADMIT = 7
    OVER = 8


class Acceptance:
    """The acceptance of one delivery. See the module for the steps and their order."""

    def __init__(
        self,
        trust: Trust,
        state: AcceptedState,
        *,
        sovereign: str,
        now: datetime,
        restore: bool = False,
        streams: Sequence[str] | None = None,
        judges: bool = False,
        vouched: bool = False,
    ) -> None:
        """Step 1. `sovereign` is the name in the Sovereign resource; `restore` lets deliveries in again after a loss.

        One that `state` does not know is then put where it belongs (`AcceptedState.adding`). `vouched` is true for the
        security-officer who is about to approve that: then it may have expired, and so may its keys.

        `streams` are those that the Sovereign declares: see `check_stream`. With `None`, neither stream nor number nor
        baselines are judged, for callers that have no state. `judges` is true for a station, which judges findings of
        locks itself.

        Raises `TrustError`: the errors of `key_ring`, `wrong-trust`, `clock-behind`.
        """
        # 1. The trust root, before any byte of the delivery.
        self._ring = key_ring(trust)
        if trust.sovereign != sovereign or state.sovereign != sovereign:
            raise TrustError(
                "wrong-trust",
                f"the Trust resource is for {trust.sovereign!r}, the state of {state.sovereign!r}, "
                f"expected {sovereign!r}",
                "pass this Sovereign's Trust resource",
            )
        latest = state.latest_time()
        if latest is not None and now + CLOCK_SKEW < latest:
            raise TrustError(
                "clock-behind",
                f"this machine's clock says {utc_text(now)}, but a delivery was accepted at {utc_text(latest)}",
                "set the clock; with a wrong clock, expiry and key validity cannot be checked",
            )
        self._trust, self._state, self._now, self._restore, self._streams = trust, state, now, restore, streams
        self._judges, self._vouched = judges, vouched
        self._next = _Step.SIGNATURES
        self._index = b""
        self._digest = Digest.of(b"")
        self._journey: Journey | None = None
        self._standing = Standing.NEW
        self._signed_at = now
        self._locks: tuple[Lock, ...] = ()
        self._full: tuple[Lock, ...] = ()
        self._reports: dict[Digest, Report] = {}
        self._sboms: dict[Digest, ScannerSbom] = {}
        self._beliefs = Beliefs(self._ring, self._digest, now=now, known=Known.NOTHING)

    def check_signatures(self, index: bytes, bundles: Mapping[str, bytes]) -> None:
        """Step 2. `index` are the bytes of AIRGAP.json, `bundles` those of each file in `signatures/`, by name.

        Each bundle must be about these bytes. A bundle signed by an unknown, expired or revoked key does not count and
        is noted; any other fault refuses the delivery. Raises `TrustError`: the errors of `verify_bundle`,
        `index-too-large`, `too-many-signatures`, `index-mismatch`, `no-signature`.
        """
        with self._step(_Step.SIGNATURES, _Step.INDEX):
            if len(index) > MAX_INDEX:
                raise TrustError(
                    "index-too-large",
                    f"AIRGAP.json has {len(index)} bytes, expected at most {MAX_INDEX}",
                    CUT_AGAIN,
                )
            if len(bundles) > MAX_SIGNATURES:
                raise TrustError(
                    "too-many-signatures",
                    f"got {len(bundles)} signatures, expected at most {MAX_SIGNATURES}",
                    "remove files from signatures/ that do not belong there",
                )
            self._index, self._digest = index, Digest.of(index)
            known = Known.NOTHING if self._state.find(self._digest) is None else Known.CONTENT
            if known is Known.NOTHING and self._restore and (self._vouched or self._find_voucher(bundles)):
                known = Known.SUBJECT
            self._beliefs = Beliefs(self._ring, self._digest, now=self._now, known=known, restore=self._restore)
            for name, data in sorted(bundles.items()):
                self._beliefs.take(data, f"signatures/{name}", MAX_BUNDLE)
            self._signed_at = self._beliefs.require_delivery()

    def _find_voucher(self, bundles: Mapping[str, bytes]) -> bool:
        """True if a security-officer whose key is valid now approved that this AIRGAP.json is restored.

        What is wrong with other bundles is said where all are taken. The digest fixes which delivery is meant.
        """
        for name, data in bundles.items():
            try:
                found = authorise(authenticate(data, self._ring, name), name, now=self._now).statement
            except TrustError:
                continue
            if found.subject == self._digest and isinstance(found.body, Approval) and found.body.restores:
                return True
        return False

    def read_index(self, parse: Callable[[bytes], Parsed]) -> Parsed:
        """Step 3. Passes the bytes, whose signature is valid, to `parse`; returns the result."""
        with self._step(_Step.INDEX, _Step.JOURNEY):
            return parse(self._index)

    def check_journey(self, journey: Journey) -> Standing:
        """Step 4. Checks whether this delivery is for this Sovereign, and due.

        Raises `TrustError`: `wrong-sovereign`, the errors of `AcceptedState.standing`, `check_stream`,
        `check_due` and `check_new_times`.
        """
        with self._step(_Step.JOURNEY, _Step.LOCKS):
            # a. Audience.
            check_audience(journey, self._trust.sovereign)
            # b. Stream and sequence.
            standing = self._state.standing(journey, self._digest, restore=self._restore)
            self._journey, self._standing = journey, standing
            self._beliefs.delivery = Approves(Approvable.DELIVERY, journey.sovereign, journey.stream, journey.sequence)
            self._beliefs.sort_out_approvals()
            if standing is Standing.NEW:
                self._check_new(journey)
            return standing

    def _check_new(self, journey: Journey) -> None:
        """Checks what was already checked of a delivery that was accepted before."""
        # An approval by an earlier version names no stream and no number, so it allows neither.
        bodies = [one.body for one in self._beliefs.about("approval", self._digest)]
        approved = any(isinstance(body, Approval) and body.approves is not None for body in bodies)
        vouched = self._vouched or self._beliefs.vouched
        # c. The next of its stream.
        if self._streams is not None and not approved:
            check_stream(journey, self._state, self._streams)
        # d. Creation, baseline and expiry. A delivery that was accepted in time stays accepted.
        check_due(journey, self._state if self._streams is not None else None, self._now, vouched=vouched)
        # e. No signature is older than AIRGAP.json, or than what was accepted already. One that is put before others is
        # not younger than they are.
        about = [one.statement for one in self._beliefs.counting]
        check_new_times(journey, self._state, about, approved=approved, restore=self._restore)
        if self._restore:
            check_place(journey, self._state, self._signed_at)

    def about_index(self) -> tuple[tuple[VerifiedStatement, ...], tuple[str, ...]]:
        """After step 4: the statements about AIRGAP.json that count, and notes for people."""
        return tuple(self._beliefs.counting), tuple(self._beliefs.notes)

    def check_locks(
        self, listed: Sequence[Digest], locks: Iterable[bytes], full: Iterable[bytes] = ()
    ) -> tuple[Lock, ...]:
        """Step 5. `listed` is AIRGAP.json's `contents.locks`, `locks` the bytes of those in the evidence, in any order.

        `full` are the bytes of the locks from which some were promoted. Returns the locks in the order listed. Raises
        `TrustError`: `locks-mismatch`, `bad-lock`, the errors of `check_promoted`.
        """
        with self._step(_Step.LOCKS, _Step.STATEMENTS):
            found = {Digest.of(data): data for data in locks}
            odd = sorted(set(listed) ^ set(found))
            if odd or not listed or len(set(listed)) != len(listed):
                what = f"only one of them has {odd[0]}" if odd else "there are none, or one is listed twice"
                raise TrustError(
                    "locks-mismatch",
                    f"AIRGAP.json and the evidence list different locks: {what}",
                    CUT_AGAIN,
                )
            try:
                self._locks = tuple(Lock.decode(found[digest], f"lock {digest.short}") for digest in listed)
            except InputError as error:
                raise TrustError(error.code, error.what, error.hint) from error
            self._full = check_promoted(self._locks, full)
            self._beliefs.locks = self._locks
            return self._locks

    def check_statements(
        self,
        evidence: Mapping[str, bytes],
        *,
        roots: Mapping[str, Digest],
        waivers: Iterable[bytes] = (),
        reports: Iterable[bytes] = (),
        scans: Mapping[str, bytes] | None = None,
        earlier: Earlier = nothing_earlier,
        only: bool = False,
    ) -> None:
        """Step 6. `evidence` are the bundles in the evidence, by name; `waivers` and `reports` are the other files;
        OpenVEX documents are among the reports.

        `roots` are AIRGAP.json's `contents.roots`, by item name; `scans` are scan results, by their names in the
        evidence; `earlier` gives the verdicts about a lock that were accepted before, newest first; with `only`, the
        items in `roots` are all that the delivery brings. A verdict counts even if none is required. Raises
        `TrustError`: the errors of `verify_bundle`, `statement-missing`, `pull-incomplete`, the errors of
        `check_times`, `check_verdict`, `check_findings`, `check_vex` and `carried_reports`.
        """
        with self._step(_Step.STATEMENTS, _Step.ADMIT):
            beliefs = self._beliefs
            carried = EvidenceFiles(
                roots,
                {Digest.of(data): data for data in waivers},
                {Digest.of(data): data for data in reports},
                scans or {},
                only,
            )
            beliefs.waivers = carried.waivers.keys()
            for name, data in sorted(evidence.items()):
                beliefs.take(data, f"evidence: {name}", MAX_EVIDENCE_BUNDLE)
            beliefs.sort_out_approvals()
            for kind in self._trust.require:
                beliefs.require(kind)
            if self._standing is Standing.NEW and self._journey is not None:
                about = [one.statement for one in beliefs.counting]
                check_times(self._journey.created, self._digest, self._locks, about)
            created = None if self._judges or self._journey is None else self._journey.created
            demands = self._demands(earlier)
            for lock in self._locks:
                self._reports |= check_lock(lock, beliefs, carried, demands, created)
                verdicts = beliefs.about("verdict", lock.digest)
                self._sboms |= {one.subject: one for one in carried_sboms(lock, verdicts, carried.scans)}

    def _demands(self, earlier: Earlier) -> Demands:
        """What is asked of verdicts. A delivery that was accepted stays accepted, and an officer may restore one."""
        if self._standing is not Standing.NEW or self._vouched or self._beliefs.vouched:
            return Demands(self._now)
        return Demands(self._now, self._trust.verdicts, nothing_earlier if self._restore else earlier)

    def admit(self) -> Admitted:
        """Step 7. The delivery may be imported once `Admitted.record` is written."""
        with self._step(_Step.ADMIT, _Step.OVER):
            journey = self._journey
            if journey is None:
                raise RuntimeError("admit without a journey")
            record = Accepted(
                stream=journey.stream,
                sequence=journey.sequence,
                id=journey.id,
                digest=self._digest,
                signed_at=self._signed_at,
                accepted_at=self._now,
            )
            return Admitted(
                record,
                self._standing,
                journey,
                self._locks,
                tuple(self._beliefs.counting),
                tuple(self._beliefs.notes),
                self._reports,
                self._sboms,
                self._beliefs.rewrites,
                self._full,
            )

    @contextmanager
    def _step(self, step: _Step, following: _Step) -> Iterator[None]:
        if self._next is not step:
            raise RuntimeError(f"acceptance: step {step.name} called, expected {self._next.name}")
        self._next = _Step.OVER  # until the step has succeeded
        yield
        self._next = following
