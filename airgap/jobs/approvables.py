"""Things that can be approved: each is read once, and parsed strictly as the kind of thing that it claims to be."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from airgap.acceptance.open import accept
from airgap.base.digest import Digest
from airgap.base.errors import InputError, IntegrityError, NotFoundError, TrustError
from airgap.base.inputs import read_input
from airgap.base.known_files import not_expected, recognized
from airgap.base.times import utc_text
from airgap.content.lock import MAX_LOCK, Lock
from airgap.delivery.fields import INDEX_NAME
from airgap.delivery.index import Index
from airgap.delivery.journey import EVIDENCE_NAME
from airgap.delivery.read import Media, open_index, open_media
from airgap.delivery.seal import Identities, no_identities
from airgap.delivery.sealed import SEALED_SUFFIX
from airgap.jobs.trust_roots import root_of
from airgap.resources.load import load
from airgap.resources.trust import Trust
from airgap.resources.waiver import Waiver
from airgap.signatures.roots.trust_root import TrustRoot
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.approval import Approvable, Approves
from airgap.statements.prune_plan import PrunePlan
from airgap.statements.rotation import Rotation, check_rotation, trust_digest
from airgap.statements.trust import DELIVERY_APPROVAL, VerifiedStatement, key_ring

LIST = "a lock, a waiver, a trusted_root.json, a Trust resource, a prune plan, or the folder of a delivery"
"""Everything that can be approved."""
_NAME_ONE = "name one of them, or the folder of a delivery"


@dataclass(frozen=True, slots=True)
class UnpackedDelivery:
    """A delivery as it was read: its small files, and the statements that count, if a Trust resource was given."""

    media: Media
    index: Index
    statements: tuple[VerifiedStatement, ...] = ()


Thing = Lock | Waiver | Trust | TrustRoot | PrunePlan | UnpackedDelivery


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing, as it was read: what an approval says of it, and what people look at before they sign."""

    path: Path
    thing: Thing
    approves: Approves
    digest: Digest
    """The subject of the approval. Of a Trust resource: that of its meaning, key files included."""
    size: int
    """Bytes of the file, or of AIRGAP.json."""
    checked: bool = False
    """True if a Trust resource was given, and the thing passed what the receiving side will check."""
    rotation: Rotation | None = None
    """What a Trust resource changes in the one that was given."""


def see(
    path: Path, identities: Identities = no_identities, *, restore: bool = False, rewrites: Sequence[str] = ()
) -> Seen:
    """Reads one thing, and parses all of it. Raises `InputError` (`unknown-thing`, …), `IntegrityError`, `TrustError`.

    The kind is decided by the content, and for a delivery by its folder. A document that is another kind of thing, or
    none that is known, is refused, whatever its file is called. With `restore`, it must be a delivery, and what is to
    be approved is that it is restored; with `rewrites`, that the rewritten history of these repositories is taken.
    An encrypted delivery is opened by `identities`: what nobody can see, nobody approves.
    """
    if path.is_dir():
        seen = _delivery(path, Approvable.RESTORE if restore else Approvable.DELIVERY, identities)
        return _rewriting(seen, rewrites) if rewrites else seen
    if restore or rewrites:
        flag = "--restore" if restore else "--allow-rewrite"
        what = f"{path} is not the folder of a delivery: {flag} is about a delivery"
        raise InputError("unknown-thing", what, f"name the delivery's folder, or leave {flag} out")
    data = read_input(path, MAX_LOCK, "resource-file")
    found = recognized(data)
    read = _READERS.get(found)
    if read is None and not found.endswith(" resource"):
        at_index = found == "the index of a delivery"
        raise _unknown(path, data, f"name the delivery's folder, {path.parent}" if at_index else _NAME_ONE)
    thing, approves, digest = read(path, data) if read is not None else _resource(path, data)
    return Seen(path, thing, approves, digest, len(data))


def check(seen: Seen, trust: Trust | None, now: datetime) -> Seen:
    """Checks a thing as far as the receiving side will; with `trust`, all that needs no volume.

    1. A waiver or a prune plan has not expired; a Trust resource is consistent (`key_ring`). 2. With `trust`: a
    delivery passes what `verify --index-only` checks, except that it may lack the approval; a Trust resource is one
    that may replace `trust`; a prune plan is for its Sovereign. Raises `InputError` (`waiver-expired`, `plan-expired`),
    `TrustError`, `IntegrityError`.
    """
    thing = seen.thing
    # 1.
    if isinstance(thing, Waiver) and thing.expired(now):
        raise InputError(
            "waiver-expired",
            f"{seen.path}: expired at {utc_text(thing.expires)}; the local time is {utc_text(now)}",
            "set a later `expires`, then sign it",
        )
    if isinstance(thing, PrunePlan) and thing.expires <= now:
        raise InputError(
            "plan-expired",
            f"{seen.path}: expired at {utc_text(thing.expires)}; the local time is {utc_text(now)}",
            "have a new plan made: airgap prune --dry-run --plan FILE",
        )
    if isinstance(thing, Trust):
        key_ring(thing)
    # 2.
    if trust is None:
        return seen
    if isinstance(thing, PrunePlan) and thing.sovereign != trust.sovereign:
        raise TrustError(
            "wrong-sovereign",
            f"{seen.path}: it is for {thing.sovereign[:100]!r}, but the Trust resource is for {trust.sovereign!r}",
            "do not sign it; ask for the plan of this Sovereign",
        )
    if isinstance(thing, Trust):
        return replace(seen, checked=True, rotation=check_rotation(trust, thing, None, now=now))
    if isinstance(thing, UnpackedDelivery):
        return replace(seen, checked=True, thing=_accepted(seen, thing, trust, now))
    return replace(seen, checked=True)


def _shared(folder: Path) -> Sequence[Path]:
    """The folder above that of one Sovereign, if it has what several Sovereigns share (`bundle --for A --for B`)."""
    above = folder.absolute().parent
    names = (EVIDENCE_NAME, EVIDENCE_NAME + SEALED_SUFFIX)
    if any((folder / name).exists() for name in names) or (above / INDEX_NAME).exists():
        return ()
    return (above,) if any((above / name).exists() for name in names) else ()


def _accepted(seen: Seen, thing: UnpackedDelivery, trust: Trust, now: datetime) -> UnpackedDelivery:
    require = tuple(kind for kind in trust.require if kind not in ("approval", DELIVERY_APPROVAL)) or ("delivery",)
    state, restore = AcceptedState(trust.sovereign), seen.approves.kind is Approvable.RESTORE
    try:
        opened = accept(
            [seen.path, *_shared(seen.path)],
            replace(trust, require=require),
            state,
            judges=True,  # who signs sees the findings, and an import looks for their waivers
            sovereign=trust.sovereign,
            now=now,
            restore=restore,
            vouched=restore,
            identities=lambda: thing.media.seal.identities if thing.media.seal is not None else (),
        )
    except NotFoundError as error:
        # `verify` takes several folders. An approval is written next to one AIRGAP.json.
        hint = "copy it next to AIRGAP.json; or check all folders with `airgap verify`, then sign without --trust"
        raise error.with_hint(hint) from error
    if opened.media.digest != seen.digest:
        raise IntegrityError(
            "other-digest",
            f"{seen.path / INDEX_NAME}: got {opened.media.digest}, expected {seen.digest}: it was changed meanwhile",
            "find out who writes to the medium, then run the same command again",
        )
    return UnpackedDelivery(opened.media, opened.index, opened.admitted.statements)


def _delivery(folder: Path, kind: Approvable, identities: Identities) -> Seen:
    media = open_media([folder])
    data = media.index_bytes
    if recognized(data) != "the index of a delivery":
        what = not_expected(str(folder / INDEX_NAME), data, "the index of a delivery")
        raise InputError("unknown-thing", what, f"do not sign it as a delivery; what can be signed: {LIST}")
    media, index = open_index(media, identities)
    journey = index.journey
    approves = Approves(kind, journey.sovereign, journey.stream, journey.sequence)
    return Seen(folder, UnpackedDelivery(media, index), approves, media.digest, len(data))


def _rewriting(seen: Seen, names: Sequence[str]) -> Seen:
    """The same delivery, of which the rewritten history of some repositories is to be approved."""
    thing = seen.thing
    roots = thing.index.contents.roots if isinstance(thing, UnpackedDelivery) else ()
    check_repositories(names, [one.item for one in roots if one.kind == "git"], str(seen.path))
    approves = replace(seen.approves, kind=Approvable.REWRITE, items=tuple(sorted(set(names))))
    return replace(seen, approves=approves)


def check_repositories(names: Sequence[str], known: Sequence[str], where: str) -> None:
    """Raises `InputError` (`no-such-item`) for a name of --allow-rewrite that is none of the `known` repositories."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1) or known[:1]
            hint = f"did you mean {near[0]!r}?" if near else "leave --allow-rewrite out"
            raise InputError(
                "no-such-item", f"--allow-rewrite {name}: {where} has no Git repository of that name", hint
            )


def _lock(path: Path, data: bytes) -> tuple[Thing, Approves, Digest]:
    lock = Lock.decode(data, str(path))
    return lock, Approves(Approvable.LOCK), lock.digest


def _root(path: Path, data: bytes) -> tuple[Thing, Approves, Digest]:
    root = root_of(path.stem, data, path)
    return root, Approves(Approvable.TRUST_ROOT), root.digest


def _prune(path: Path, data: bytes) -> tuple[Thing, Approves, Digest]:
    plan = PrunePlan.decode(data, str(path))
    return plan, Approves(Approvable.PRUNE, plan.sovereign), plan.digest


_READERS: Mapping[str, Callable[[Path, bytes], tuple[Thing, Approves, Digest]]] = {
    "a lock": _lock,
    "a trusted_root.json": _root,
    "a prune plan": _prune,
}


def _resource(path: Path, data: bytes) -> tuple[Thing, Approves, Digest]:
    """The Trust or the Waiver of a resource file. All its documents are checked."""
    made = load(data, base_dir=path.absolute().parent, label=str(path))
    found = [one for one in made if isinstance(one, Trust | Waiver)]
    if len(found) > 1:
        raise InputError(
            "unknown-thing",
            f"{path} is both a Trust resource and a waiver",
            "put each into its own file, and sign them one at a time",
        )
    if not found:
        raise _unknown(path, data, _NAME_ONE)
    [thing] = found
    if isinstance(thing, Trust):
        return thing, Approves(Approvable.TRUST, thing.sovereign), trust_digest(thing)
    return thing, Approves(Approvable.WAIVER), thing.digest


def _unknown(path: Path, data: bytes, hint: str) -> InputError:
    what = not_expected(str(path), data, "a lock, a waiver, a trusted_root.json, a Trust resource or a prune plan")
    return InputError("unknown-thing", what, hint)
