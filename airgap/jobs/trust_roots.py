"""Trust roots on their way: out of files, deliveries and TUF repositories into the versions of a name.

A root decides what every signature of that name means, so only a security-officer of the Trust resource
can let it in: with an approval of the file itself, or of the delivery that includes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from airgap.acceptance.open import Opened, accept, evidence_files
from airgap.base.digest import Digest
from airgap.base.errors import InputError, TrustError
from airgap.base.inputs import read_input
from airgap.base.places import check_folder
from airgap.bundling.evidence import ROOT_NAMES, ROOTS, CarriedRoot, beside, root_names
from airgap.delivery.index import MAX_EVIDENCE
from airgap.delivery.seal import Identities, no_identities
from airgap.jobs.reach import connected_client, upstreams_in
from airgap.jobs.surroundings import Surroundings
from airgap.net.http import Client
from airgap.net.origin import redact
from airgap.resources.load import load_trust
from airgap.resources.trust import Trust
from airgap.signatures.roots.trust_root import MAX_ROOT, TrustRoot
from airgap.signatures.roots.tuf import PRODUCTION, TufRepository, fetch, read_tuf_root
from airgap.signatures.roots.versions import Offer, RootStore, Weighed
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.approval import Approvable, Approval, Approves
from airgap.statements.dsse import MAX_BUNDLE
from airgap.statements.trust import VerifiedStatement, verify_bundle

PROOF = "tuf.tar"
"""The suffix of the file with the TUF metadata of a version."""
APPROVAL = "approval.sigstore.json"
CACHE = ".tuf"
"""Below the folder of the roots: a cache for each name's repository."""
_APPROVE = "ask the security-officer to approve the file (airgap sign FILE) or the delivery (airgap sign DELIVERY)"


@dataclass(frozen=True, slots=True)
class Judge:
    """Whose approval is accepted: the Trust resource, the given approvals, and the time."""

    trust: Trust
    approvals: tuple[Path, ...]
    now: datetime
    identities: Identities = no_identities
    """What opens an encrypted delivery."""


@dataclass(frozen=True, slots=True)
class AddOptions:
    """Under which name a version is added, and where."""

    name: str
    """The name that policies use for this trust root."""
    roots: Path
    """The folder where the versions are kept."""
    dry_run: bool = False
    """Compare, and add nothing."""
    retire: bool = False
    """Allow validity periods to be shortened, because the instance retired or revoked something."""


@dataclass(frozen=True, slots=True)
class PinOptions:
    """Which trust root is pinned, from what, and whose approval is accepted."""

    things: tuple[Path, ...]
    """A trusted_root.json, or the folders of a delivery."""
    add: AddOptions
    trust: Path | None = None
    """The Trust resource: whose approval is accepted. Required for a delivery; without it, a file needs no approval."""
    approvals: tuple[Path, ...] = ()
    """Approvals that are not next to the file."""


@dataclass(frozen=True, slots=True)
class UpdateOptions:
    """Which TUF repository is asked."""

    add: AddOptions
    url: str = ""
    """The repository, or a mirror of it; `""`: that of Sigstore's public instance."""
    root: Path | None = None
    """The root.json with which its chain of trust begins; `None`: what the sigstore package has."""
    upstreams: Path | None = None
    """The Upstreams resource: authorities of its host."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """The offered root, and the result."""

    offer: Offer
    weighed: Weighed


def pin(options: PinOptions, surroundings: Surroundings) -> Pinned:
    """Adds a version of a trust root out of a file or a delivery.

    1. Check that the versions can be written, and that the options fit together. 2. Read the root, and check who
    approved it. 3. Compare it with the newest version, and add it; a dry run only compares.

    Raises `InputError`, `PolicyError`, `TrustError`, `StoreError`, and what `accept` raises for a delivery.
    """
    # 1.
    things = options.things
    check_folder(options.add.roots, "--roots")
    is_delivery = things[0].is_dir()
    if is_delivery and options.trust is None:
        raise InputError(
            "usage",
            f"{things[0]}: --trust is required, to check the signatures of the delivery",
            "pass the Trust resource with --trust FILE",
        )
    if not is_delivery and len(things) > 1:
        raise InputError("usage", f"{things[1]}: only one file can be pinned at a time", "pin them one at a time")
    if options.approvals and options.trust is None:
        what = "--approval requires --trust, to check who approved"
        raise InputError("usage", what, "pass the Trust resource with --trust FILE")
    # 2.
    judge = None
    if options.trust is not None:
        approvals = (*options.approvals, *(() if is_delivery else beside(things[0])))
        judge = Judge(load_trust(options.trust), approvals, surroundings.clock(), surroundings.identities)
    if is_delivery and judge is not None:
        offer = offer_delivery(options.add.name, things, judge)
    else:
        offer = offer_file(options.add.name, things[0], judge)
        if judge is None:
            surroundings.note("note: added without approval; pass --trust to require a security-officer's approval")
    # 3.
    return _add(offer, options.add, surroundings)


def update(options: UpdateOptions, surroundings: Surroundings) -> Pinned:
    """Adds what a TUF repository says now, in the connected zone; a dry run only compares.

    Raises `InputError`, `PolicyError`, `TrustError`, `UpstreamError`, `StoreError`.
    """
    check_folder(options.add.roots, "--roots")
    upstreams = upstreams_in(options.upstreams)
    root = None if options.root is None else read_tuf_root(options.root)
    client = connected_client(upstreams, surroundings)
    repository = TufRepository(options.url or PRODUCTION, root)
    offer = offer_repository(options.add.name, options.add.roots, repository, client)
    return _add(offer, options.add, surroundings)


def _add(offer: Offer, options: AddOptions, surroundings: Surroundings) -> Pinned:
    store = RootStore(options.roots, options.name)
    offer, now = replace(offer, retire=options.retire), surroundings.clock()
    return Pinned(offer, store.weigh(offer, now) if options.dry_run else store.add(offer, now))


def load_root(name: str, path: Path) -> TrustRoot:
    """A trusted_root.json that somebody named. Raises `InputError` (`bad-trust-root`)."""
    return root_of(name, read_input(path, MAX_ROOT, "bad-trust-root"), path)


def root_of(name: str, data: bytes, path: Path) -> TrustRoot:
    """The trust root in the bytes of a file. Raises `InputError` (`bad-trust-root`)."""
    try:
        return TrustRoot.load(name, data, None)
    except TrustError as error:
        # Nothing was judged by it: the wrong kind of file was given.
        raise InputError("bad-trust-root", f"{path}: {error.what}", error.hint) from error


def carried_root(name: str, path: Path) -> CarriedRoot:
    """A root to include in a delivery, with the TUF metadata next to it. Raises `InputError`, `StoreError`."""
    root = load_root(name, path)
    proof = path.with_name(f"{path.stem}.{PROOF}")
    data = read_input(proof, MAX_EVIDENCE, "bad-trust-root") if proof.is_file() else b""
    return CarriedRoot(name, root.raw, data)


def carried_roots(named: Sequence[tuple[str, Path]]) -> tuple[CarriedRoot, ...]:
    """Several of them. Raises `InputError`: as `carried_root`, and `duplicate-name`."""
    names = [name for name, _ in named]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        what = f"two trust roots have the name {twice!r}"
        raise InputError("duplicate-name", what, "name each trust root once: a delivery includes one version of each")
    return tuple(carried_root(name, path) for name, path in named)


def offer_file(name: str, path: Path, judge: Judge | None) -> Offer:
    """A root out of a file. Without a `judge`, no approval is required.

    Raises `InputError` (`bad-trust-root`, `bad-approval`), `TrustError` (`root-not-approved`, what `verify_bundle`
    and `Approval.check` raise).
    """
    root = load_root(name, path)
    offer = Offer(root, "file")
    if judge is None:
        return offer
    return replace(offer, evidence={APPROVAL: _approved(judge, {root.digest: Approves(Approvable.TRUST_ROOT)}, None)})


def offer_delivery(name: str, folders: Sequence[Path], judge: Judge) -> Offer:
    """A root out of a delivery, whose signature, audience, locks and statements must hold as for an import.

    Raises what `accept` raises, `InputError` (`root-not-carried`, `bad-approval`), `TrustError` (`bad-trust-root`,
    `root-not-approved`, what `verify_bundle` raises).
    """
    # 1. Accept the delivery, whatever was accepted before: the versions here show whether a root is old.
    trust = judge.trust
    state = AcceptedState(trust.sovereign)
    opened = accept(folders, trust, state, sovereign=trust.sovereign, now=judge.now, identities=judge.identities)
    # 2. The root in it.
    carried = _carried(name, opened)
    root = TrustRoot.load(name, carried.data, None)
    # 3. A security-officer approved it.
    journey = opened.index.journey
    subjects = {
        opened.media.digest: Approves(Approvable.DELIVERY, journey.sovereign, journey.stream, journey.sequence),
        root.digest: Approves(Approvable.TRUST_ROOT),
    }
    evidence = {APPROVAL: _approved(judge, subjects, opened)}
    if carried.proof:
        evidence[PROOF] = carried.proof
    return Offer(root, f"delivery {opened.media.digest}", evidence)


def offer_repository(name: str, roots: Path, repository: TufRepository, client: Client) -> Offer:
    """What a TUF repository says now. Raises what `fetch` raises, and `TrustError` (`bad-trust-root`)."""
    fetched = fetch(repository, roots / CACHE / name, client)
    root = TrustRoot.load(name, fetched.root, None)
    return Offer(root, f"tuf {redact(repository.url)}", {PROOF: fetched.evidence})


def _carried(name: str, opened: Opened) -> CarriedRoot:
    files = evidence_files(opened.media, opened.index)
    names = root_names(files)
    digest = names.get(name)
    if digest is None:
        there = ", ".join(sorted(names)) or "none"
        raise InputError(
            "root-not-carried",
            f"the delivery carries no trust root {name!r}; it carries: {there}",
            "include one with airgap bundle … --trust-root NAME=FILE",
        )
    data = files.get(f"{ROOTS}{digest.hex}.json", b"")
    if len(data) > MAX_ROOT or Digest.of(data) != digest:
        raise TrustError(
            "evidence-mismatch",
            f"evidence.tar: the trust root {name!r} is not {digest}, as {ROOT_NAMES} says",
            "ask the sender to cut the delivery again",
        )
    return CarriedRoot(name, data, files.get(f"{ROOTS}{digest.hex}.{PROOF}", b""))


def _approved(judge: Judge, subjects: Mapping[Digest, Approves], opened: Opened | None) -> bytes:
    """The approval of one of `subjects` by a security-officer: one that was named, or one that came along.

    Each subject has what an approval of it must say that it approves. The key of an approval must be valid now.
    """
    for path in judge.approvals:
        data = read_input(path, MAX_BUNDLE, "bad-approval")
        verified = verify_bundle(data, judge.trust, str(path), now=judge.now)
        _check_subject(verified, subjects, path)
        return data
    admitted = None if opened is None else opened.admitted
    for verified in admitted.statements if admitted is not None else ():
        body, needed = verified.statement.body, subjects.get(verified.statement.subject)
        if isinstance(body, Approval) and needed is not None:
            body.check(needed, f"the approval by {verified.key.name!r}")
            return verified.raw
    raise TrustError(
        "root-not-approved",
        f"no security-officer of the Trust resource approved {' or '.join(subjects)}",
        "; ".join([*(admitted.notes if admitted is not None else ()), _APPROVE, "pass one elsewhere with --approval"]),
    )


def _check_subject(verified: VerifiedStatement, subjects: Mapping[Digest, Approves], path: Path) -> None:
    statement, body = verified.statement, verified.statement.body
    if not isinstance(body, Approval) or statement.subject not in subjects:
        raise InputError(
            "bad-approval",
            f"{path}: {statement.kind} of {statement.subject}, expected an approval of {' or '.join(subjects)}",
            _APPROVE,
        )
    body.check(subjects[statement.subject], str(path))
