"""A small world for tests of trust: four keys in their roles, a Trust resource, a delivery that is accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec

from airgap.acceptance.steps import Acceptance, Admitted
from airgap.base.digest import Digest
from airgap.content.graph import OCI_MANIFEST, Descriptor
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.delivery.fields import FileSum
from airgap.delivery.journey import Evidence, Journey
from airgap.resources.trust import ROLES, Trust, TrustedKey
from airgap.statements.accepted_state import Accepted, AcceptedState
from airgap.statements.approval import Approvable, Approval, Approves
from airgap.statements.dsse import sign_payload
from airgap.statements.keys.file import FileSigner
from airgap.statements.log import EMPTY_HEAD
from airgap.statements.predicates import Delivery, Predicate, Pull, PulledItem
from airgap.statements.rotation import trust_digest
from airgap.statements.statement import Statement

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SOVEREIGN = "bankdhofar"


def signer() -> FileSigner:
    """A new key."""
    return FileSigner(ec.generate_private_key(ec.SECP256R1()))


def trusted(name: str, role: str, key: FileSigner, **more: object) -> TrustedKey:
    """A key of the Trust resource, valid for all of 2026."""
    made = TrustedKey(
        name=name,
        role=role,
        public_key_pem=key.public_key_pem,
        not_before=datetime(2026, 1, 1, tzinfo=UTC),
        not_after=datetime(2027, 1, 1, tzinfo=UTC),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def statement(
    subject: Digest, body: Predicate, role: str, *, at: datetime = NOW - HOUR, head: Digest = EMPTY_HEAD
) -> Statement:
    """What `role` says about `subject`."""
    return Statement.of(subject, body, signed_at=at, log_head=head, role=role)


def signed(key: FileSigner, subject: Digest, body: Predicate, role: str, *, at: datetime = NOW - HOUR) -> bytes:
    """A bundle's bytes."""
    return sign_payload(statement(subject, body, role, at=at).payload, key)


def image(name: str) -> Item:
    """An image as a lock has it."""
    root = Descriptor.of(OCI_MANIFEST, name.encode())
    return Item(name=name, kind="image", source=f"docker.io/library/{name}", root=root, bytes=99, phase="registry")


def pull_of(lock: Lock) -> Pull:
    """A pull statement in which all went well."""
    roots = {item.name: item.root.digest for item in lock.items if item.root is not None}
    return Pull({name: PulledItem(root, "pass", 99) for name, root in roots.items()})


@dataclass
class World:
    """Keys, trust, one lock and the parts of one delivery. Change what the test is about, then `accept`."""

    signers: dict[str, FileSigner] = field(default_factory=lambda: {role: signer() for role in ROLES})
    trust: Trust = field(init=False)
    lock: Lock = field(default_factory=lambda: Lock.of("platform", [image("alpine:3.20")]))
    index: bytes = b'{"kind": "Delivery"}'
    bundles: dict[str, bytes] = field(default_factory=dict)
    evidence: dict[str, bytes] = field(default_factory=dict)
    waivers: list[bytes] = field(default_factory=list)
    reports: list[bytes] = field(default_factory=list)
    scans: dict[str, bytes] = field(default_factory=dict)
    earlier: list[bytes] = field(default_factory=list)
    """Verdicts about the lock that were accepted before, newest first."""
    only: tuple[str, ...] = ()
    """The names of the items of a selection."""
    journey: Journey = field(
        default_factory=lambda: Journey(
            id="0193570e-0000-7000-8000-000000000042",
            stream="main",
            sequence=42,
            sovereign=SOVEREIGN,
            created=NOW - HOUR,
            expires=NOW + 60 * DAY,
            evidence=Evidence(FileSum("evidence.tar", "0" * 64, 1024)),
        )
    )

    def __post_init__(self) -> None:
        keys = tuple(trusted(f"{role}-2026", role, key) for role, key in self.signers.items())
        self.trust = Trust(sovereign=SOVEREIGN, keys=keys, require=("pull", "delivery"))
        self.sign_again()

    @property
    def digest(self) -> Digest:
        """That of AIRGAP.json."""
        return Digest.of(self.index)

    @property
    def roots(self) -> dict[str, Digest]:
        """What the index says of each item with a root."""
        items = [item for item in self.lock.items if not self.only or item.name in self.only]
        return {item.name: item.root.digest for item in items if item.root is not None}

    def sign_again(self, at: datetime = NOW - HOUR) -> None:
        """The exporter signs the lock's pull and the delivery."""
        exporter = self.signers["exporter"]
        self.bundles["exporter.sigstore.json"] = signed(exporter, self.digest, Delivery(), "exporter", at=at)
        self.evidence["pull"] = signed(exporter, self.lock.digest, pull_of(self.lock), "exporter", at=at)

    def approve(self, subject: Digest, at: datetime = NOW - HOUR) -> bytes:
        """The security-officer's approval of this delivery, of one of its waivers, or of a lock."""
        approves = Approves(Approvable.LOCK)
        if subject == self.digest:
            approves = self.delivered
        if subject in map(Digest.of, self.waivers):
            approves = Approves(Approvable.WAIVER)
        return self.approve_as(approves, subject, at)

    def approve_trust(self, trust: Trust, at: datetime = NOW - HOUR) -> bytes:
        """The security-officer's approval of the next Trust resource."""
        return self.approve_as(Approves(Approvable.TRUST, trust.sovereign), trust_digest(trust), at)

    def approve_as(self, approves: Approves | None, subject: Digest, at: datetime = NOW - HOUR) -> bytes:
        """The security-officer's approval, of whatever kind; `None` is one of an earlier version."""
        return signed(self.signers["security-officer"], subject, Approval(approves), "security-officer", at=at)

    @property
    def delivered(self) -> Approves:
        """What an approval of the delivery says."""
        return Approves(Approvable.DELIVERY, self.journey.sovereign, self.journey.stream, self.journey.sequence)

    def change_key(self, role: str, **more: object) -> None:
        """Changes the Trust resource's entry of the key with this role."""
        keys = tuple(
            replace(key, **more) if key.role == role else key  # type: ignore[arg-type]
            for key in self.trust.keys
        )
        self.trust = replace(self.trust, keys=keys)

    def accept(
        self,
        state: AcceptedState | None = None,
        *,
        now: datetime = NOW,
        restore: bool = False,
        streams: Sequence[str] = (),
        locks: Mapping[Digest, bytes] | None = None,
    ) -> Admitted:
        """All steps in their order."""
        if state is None:
            state = AcceptedState(SOVEREIGN)
        acceptance = Acceptance(self.trust, state, sovereign=SOVEREIGN, now=now, restore=restore, streams=streams)
        acceptance.check_signatures(self.index, self.bundles)
        acceptance.read_index(lambda data: data)
        acceptance.check_journey(self.journey)
        carried = {self.lock.digest: self.lock.encode()} if locks is None else locks
        acceptance.check_locks([self.lock.digest], carried.values())
        acceptance.check_statements(
            self.evidence,
            roots=self.roots,
            waivers=self.waivers,
            reports=self.reports,
            scans=self.scans,
            earlier=lambda _lock: self.earlier,
            only=bool(self.only),
        )
        return acceptance.admit()

    def next_delivery(self, sequence: int = 43, **more: object) -> None:
        """Another delivery of the same lock, its parts signed an hour after the first."""
        self.index = b'{"kind": "Delivery", "number": %d}' % sequence
        self.journey = replace(
            self.journey,
            id=f"0193570e-0000-7000-8000-{sequence:012d}",
            sequence=sequence,
            **more,  # type: ignore[arg-type]
        )
        self.sign_again(NOW)


def accepted(sequence: int, stream: str = "main", **more: object) -> Accepted:
    """The delivery with this number, cut and accepted on a day of its own."""
    at = NOW - (50 - sequence) * DAY
    name = f"{stream}-{sequence}"
    made = Accepted(stream, sequence, name, Digest.of(name.encode()), at, at + HOUR)
    return replace(made, **more)  # type: ignore[arg-type]
