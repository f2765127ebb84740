"""Trust roots on their way: out of files, deliveries and TUF repositories into the versions of a name.

A root decides what every signature of that name means, so it comes in only by a hand that the Trust resource gives the
role of a security-officer: an approval of the very file, or of the delivery that carries it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from airgap.acceptance.open import Opened, accept, evidence_files
from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError, TrustError
from airgap.base.inputs import read_input
from airgap.base.strict_json import parse_json
from airgap.bundling.evidence import ROOT_NAMES, ROOTS, CarriedRoot, root_names
from airgap.delivery.index import MAX_EVIDENCE
from airgap.net.http import Client
from airgap.net.origin import redact
from airgap.resources.model import Trust
from airgap.signatures.roots.trust_root import MAX_ROOT, TrustRoot
from airgap.signatures.roots.tuf import TufRepository, fetch
from airgap.signatures.roots.versions import Offer
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.dsse import MAX_BUNDLE
from airgap.statements.trust import VerifiedStatement, verify_bundle

PROOF = "tuf.tar"
"""How the file with the TUF metadata of a version ends."""
APPROVAL = "approval.sigstore.json"
CACHE = ".tuf"
"""Below the folder of the roots: a cache for each name's repository."""
_ROOT_TYPE = "application/vnd.dev.sigstore.trustedroot"
_APPROVE = "the security-officer approves the file, airgap sign FILE, or the delivery, airgap sign DELIVERY"


@dataclass(frozen=True, slots=True)
class Judge:
    """Whose approval counts: the Trust resource, the approvals that were named, and the time."""

    trust: Trust
    approvals: tuple[Path, ...]
    now: datetime


def looks_like_root(path: Path) -> bool:
    """True for a file that says that it is a trust root; whether it is a good one, `load_root` says."""
    try:
        document = parse_json(read_input(path, MAX_ROOT, "bad-trust-root"), str(path))
    except AirgapError:
        return False
    kind = document.get("mediaType") if isinstance(document, dict) else None
    return isinstance(kind, str) and kind.startswith(_ROOT_TYPE)


def load_root(name: str, path: Path) -> TrustRoot:
    """A trusted_root.json that somebody named. Raises `InputError` (`bad-trust-root`)."""
    data = read_input(path, MAX_ROOT, "bad-trust-root")
    try:
        return TrustRoot.load(name, data, None)
    except TrustError as error:
        # Nothing was judged by it: another kind of file was named.
        raise InputError("bad-trust-root", f"{path}: {error.what}", error.hint) from error


def carried_root(name: str, path: Path) -> CarriedRoot:
    """A root that shall go along, with the TUF metadata that lies beside it. Raises `InputError`, `StoreError`."""
    root = load_root(name, path)
    proof = path.with_name(f"{path.stem}.{PROOF}")
    data = read_input(proof, MAX_EVIDENCE, "bad-trust-root") if proof.is_file() else b""
    return CarriedRoot(name, root.raw, data)


def carried_roots(named: Sequence[tuple[str, Path]]) -> tuple[CarriedRoot, ...]:
    """Several of them. Raises `InputError`: as `carried_root`, and `duplicate-name`."""
    names = [name for name, _ in named]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        what = f"two trust roots are called {twice!r}"
        raise InputError("duplicate-name", what, "name each once: a delivery carries one version of each")
    return tuple(carried_root(name, path) for name, path in named)


def offer_file(name: str, path: Path, judge: Judge | None) -> Offer:
    """A root out of a file. Without a `judge` whoever may write here is believed.

    Raises `InputError` (`bad-trust-root`, `bad-approval`), `TrustError` (`root-not-approved`, what `verify_bundle`
    raises).
    """
    root = load_root(name, path)
    offer = Offer(root, "file")
    if judge is None:
        return offer
    return replace(offer, evidence={APPROVAL: _approved(judge, [root.digest], ())})


def offer_delivery(name: str, folders: Sequence[Path], judge: Judge) -> Offer:
    """A root out of a delivery, whose signature, audience, locks and statements must hold as for an import.

    Raises what `accept` raises, `InputError` (`root-not-carried`, `bad-approval`), `TrustError` (`bad-trust-root`,
    `root-not-approved`, what `verify_bundle` raises).
    """
    # 1. The delivery is believed. What was accepted before plays no part: an old root is found by the versions here.
    trust = judge.trust
    state = AcceptedState(trust.sovereign)
    opened = accept(folders, trust, state, sovereign=trust.sovereign, now=judge.now)
    # 2. The root in it.
    carried = _carried(name, opened)
    root = TrustRoot.load(name, carried.data, None)
    # 3. Somebody who may says so.
    subjects = [opened.media.digest, root.digest]
    evidence = {APPROVAL: _approved(judge, subjects, opened.admitted.statements)}
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
            "airgap bundle … --trust-root NAME=FILE takes one along",
        )
    data = files.get(f"{ROOTS}{digest.hex}.json", b"")
    if len(data) > MAX_ROOT or Digest.of(data) != digest:
        raise TrustError(
            "evidence-mismatch",
            f"evidence.tar: the trust root {name!r} is not {digest}, as {ROOT_NAMES} says",
            "have the delivery cut again",
        )
    return CarriedRoot(name, data, files.get(f"{ROOTS}{digest.hex}.{PROOF}", b""))


def _approved(judge: Judge, subjects: Sequence[Digest], believed: Sequence[VerifiedStatement]) -> bytes:
    """The approval of one of `subjects` by a security-officer: one that was named, or one that came along."""
    for path in judge.approvals:
        data = read_input(path, MAX_BUNDLE, "bad-approval")
        verified = verify_bundle(data, judge.trust, str(path), now=judge.now)
        _check_subject(verified, subjects, path)
        return data
    for verified in believed:
        statement = verified.statement
        if statement.kind == "approval" and statement.subject in subjects:
            return verified.raw
    raise TrustError(
        "root-not-approved",
        f"no security-officer of the Trust resource approved {' or '.join(subjects)}",
        f"{_APPROVE}; an approval from elsewhere: --approval FILE",
    )


def _check_subject(verified: VerifiedStatement, subjects: Sequence[Digest], path: Path) -> None:
    kind, subject = verified.statement.kind, verified.statement.subject
    if kind != "approval" or subject not in subjects:
        raise InputError(
            "bad-approval",
            f"{path}: {kind} of {subject}, expected an approval of {' or '.join(subjects)}",
            _APPROVE,
        )
