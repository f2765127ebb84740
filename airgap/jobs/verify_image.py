"""`verify-image`: whether a policy lets one image or chart in. Reads only manifests and signatures."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from airgap.base.errors import InputError
from airgap.jobs.holding import holding
from airgap.jobs.named_files import read_lock
from airgap.jobs.reach import reach_for, upstreams_in
from airgap.jobs.surroundings import Surroundings
from airgap.judgement.items import FoundItem, look_up, open_policy, pick
from airgap.judgement.judge import Judgement, judge
from airgap.kinds.table import kind_of
from airgap.resources.policy import Policy
from airgap.store.layout import Layout
from airgap.store.locate import Reach


@dataclass(frozen=True, slots=True)
class VerifyImageOptions:
    """Which artifact is judged, by which policy, and where it is read."""

    ref: str
    """A registry's reference, `oci:DIR[:NAME]` or `oci-archive:FILE[:NAME]`; with a lock an item's name."""
    policy: Path
    """The Policy resource."""
    known_as: str = ""
    """The name to match against rules, if the image is stored under another one. Not together with a lock."""
    lock: Path | None = None
    """Judge the item as this lock pins it."""
    store: Path | None = None
    """Read it from this store; requires a lock."""
    upstreams: Path | None = None
    """The Upstreams resource: how hosts are reached."""


@dataclass(frozen=True, slots=True)
class ImageJudged:
    """One artifact, and the judgement by the policy."""

    case: FoundItem
    policy: Policy
    judgement: Judgement


@holding
def verify_image(options: VerifyImageOptions, surroundings: Surroundings) -> ImageJudged:
    """Judges one image or chart. A rejection is a result; nothing is signed and nothing is kept.

    Raises `InputError`, `TrustError` (a trust root is not what the policy says), `NotFoundError`, `UpstreamError`,
    `IntegrityError`.
    """
    if options.store is not None and options.lock is None:
        raise InputError(
            "usage",
            "--store requires --lock",
            "pass the lock too: a store does not record what is attached to an item",
        )
    if options.known_as and options.lock is not None:
        raise InputError("usage", "--as cannot be combined with --lock", "omit --as: the lock gives the item's name")
    policy, roots = open_policy(options.policy)
    if policy.findings is not None:
        surroundings.note("note: what scanners find is not asked here: `airgap scan --station FILE` judges it")
    upstreams = upstreams_in(options.upstreams)
    base = Path() if options.lock is None else options.lock.parent
    with (
        tempfile.TemporaryDirectory(prefix="airgap-verify-") as work,
        reach_for(upstreams, base, Path(work), 1, surroundings) as reach,
    ):
        case = _find(options, reach)
        made = judge(case.item, case.source, policy, roots, surroundings.clock())
    return ImageJudged(case, policy, made)


def _find(options: VerifyImageOptions, reach: Reach) -> FoundItem:
    if options.lock is None:
        return look_up(options.ref, options.known_as, reach)
    lock = read_lock(options.lock)
    if options.store is not None:
        store = Layout(options.store)
        return pick(lock, options.ref, lambda _item: store)
    return pick(lock, options.ref, lambda item: kind_of(item).source(item, reach))
