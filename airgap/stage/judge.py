"""`judge`: what a policy says about items, with its trust roots and keys opened once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from airgap.errors import InputError, IntegrityError, NotFoundError
from airgap.graph import Descriptor
from airgap.lock import Item, Lock
from airgap.parallel import parallel
from airgap.progress import Progress, Silent
from airgap.resources.load import load_policy
from airgap.resources.policy_model import Policy, policy_name
from airgap.resources.waiver import Waiver
from airgap.stage.records import git_pin_name
from airgap.store.layout import Layout
from airgap.trust.policy import Judgement, Outcome, judge

if TYPE_CHECKING:
    from airgap.trust.upstream.roots import TrustRoot


def open_policy(path: Path) -> tuple[Policy, Mapping[str, TrustRoot]]:
    """A policy whose keys and trust roots can be used, and the trust roots by their names.

    Raises `InputError` (`bad-resource`, `bad-public-key`), and `TrustError` where a trust root is not the pinned one.
    """
    from airgap.trust.upstream.keyed import check_key

    policy = load_policy(path)
    for key in policy.keys:
        complaint = check_key(key.pem)
        if complaint is not None:
            hint = "policies take ECDSA on P-256, P-384 and P-521, RSA from 2048 bits, Ed25519"
            raise InputError("bad-public-key", f"{path}: key {key.name!r}: {complaint}", hint)
    return policy, load_roots(policy)


def load_roots(policy: Policy) -> Mapping[str, TrustRoot]:
    """The trust roots of a policy by name, each checked against its pin. Raises `TrustError`."""
    from airgap.trust.upstream.roots import TrustRoot

    return {one.name: TrustRoot.load(one.name, one.data, one.digest) for one in policy.trust_roots}


def judge_locks(
    locks: Sequence[Lock],
    layout: Layout,
    policy: Policy,
    now: datetime,
    waivers: Sequence[Waiver] = (),
    jobs: int = 4,
    progress: Progress | None = None,
) -> list[Judgement]:
    """Judges every item of the locks by what the store has of it, in their order.

    An item whose content is not there or is damaged is `not-run`, and the others are judged all the same. Raises
    `TrustError` for a trust root that is not the pinned one, `StoreError` for the disk.
    """
    roots = load_roots(policy)
    watch = progress or Silent()
    items = [item for lock in locks for item in lock.items]
    watch.start("judge", 0, len(items))

    def one(item: Item) -> Judgement:
        watch.item(item.name)
        made = _judge(item, layout, policy, roots, now, waivers)
        watch.done(item.name, made.outcome)
        return made

    return parallel(jobs, one, items, "judge")


def _judge(
    item: Item,
    layout: Layout,
    policy: Policy,
    roots: Mapping[str, TrustRoot],
    now: datetime,
    waivers: Sequence[Waiver],
) -> Judgement:
    root = item.root if item.root is not None else layout.find(git_pin_name(item))
    if root is None or not layout.has(root):
        what = f"it is not in the store {layout.path}: run `airgap pull` with this lock"
        return _not_run(item, root, policy, "not-pulled", what)
    try:
        return judge(item, layout, policy, roots, now, waivers, root)
    except (IntegrityError, NotFoundError) as error:
        return _not_run(item, root, policy, error.code, error.what)


def _not_run(
    item: Item, root: Descriptor | None, policy: Policy, reason: str, detail: str
) -> Judgement:
    rule = policy.rule_for(item.kind, policy_name(item))
    return Judgement(
        item.name,
        item.kind,
        root.digest if root else None,
        item.pin,
        Outcome.NOT_RUN,
        rule.label if rule else "",
        reason,
        detail,
    )
