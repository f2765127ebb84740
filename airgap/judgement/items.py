"""`judge_locks`: judges items by a policy, with its trust roots and keys opened once."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from airgap.base.errors import InputError, IntegrityError, NotFoundError
from airgap.base.parallel import parallel
from airgap.base.progress import Progress, Silent
from airgap.content.bound import measure
from airgap.content.graph import Descriptor, Source
from airgap.content.item import PHASES, Item
from airgap.content.lock import Lock
from airgap.content.names import claimed_place
from airgap.content.reference import CHART_SCHEME, ENGINE_SCHEME, LAYOUT_SCHEMES, local_scheme, split_reference
from airgap.judgement.checks.base import Outcome
from airgap.judgement.judge import Judgement, judge
from airgap.judgement.vex import VexFiles
from airgap.kinds.table import kind_of, kind_of_graph, rule_names, signed_kinds
from airgap.resources.load import load_policy
from airgap.resources.policy import Policy
from airgap.resources.problems import listed, quoted
from airgap.resources.waiver import Waiver
from airgap.statements.scan_run import ScanRun
from airgap.station.files import pin_name
from airgap.store.attached import find_attached
from airgap.store.layout import Layout
from airgap.store.locate import Located, Reach

if TYPE_CHECKING:
    from airgap.signatures.roots.trust_root import TrustRoot


def open_policy(path: Path) -> tuple[Policy, Mapping[str, TrustRoot]]:
    """Opens a policy, and checks that its keys and trust roots can be used. Returns it with its trust roots by name.

    Raises `InputError` (`bad-resource`, `bad-public-key`), and `TrustError` if a trust root is not the pinned one.
    """
    from airgap.signatures.engines.keyed import check_key

    policy = load_policy(path)
    for key in policy.keys:
        complaint = check_key(key.pem)
        if complaint is not None:
            hint = "use ECDSA on P-256, P-384 or P-521, RSA from 2048 bits, or Ed25519"
            raise InputError("bad-public-key", f"{path}: key {key.name!r}: {complaint}", hint)
    return policy, load_roots(policy)


def load_roots(policy: Policy) -> Mapping[str, TrustRoot]:
    """The trust roots of a policy by name, each checked against its pin. Raises `TrustError`."""
    from airgap.signatures.roots.trust_root import TrustRoot

    return {one.name: TrustRoot.load(one.name, one.data, one.digest) for one in policy.trust_roots}


@dataclass(frozen=True, slots=True)
class FoundItem:
    """One artifact that was found: the item as a lock would list it, and where to read it from."""

    item: Item
    source: Source


def look_up(ref: str, known_as: str, reach: Reach) -> FoundItem:
    """Finds an image or chart by its reference, with everything attached to it and to its children.

    `known_as` is the name to match against rules, `""` for the reference's own. Reads manifests only. Raises
    `InputError`, `NotFoundError`, `UpstreamError`, `IntegrityError`.
    """
    located = reach.locate(ref)
    nodes, _ = measure(located.source, located.root, ())
    root = Descriptor(located.root.media_type, located.root.digest, located.root.size)
    name = known_as or _name(ref, located)
    if not claimed_place(name):
        what = f"{quoted(ref)}: no rule can match the name {quoted(name)}, which names no registry"
        raise InputError("bad-reference", what, "pass --as NAME, such as registry.example.org/team/app:1.0")
    if not any(split_reference(name.removeprefix(CHART_SCHEME))[2:]):
        name = f"{name}@{located.root.digest}"
    item = Item(
        name=name,
        kind=kind_of_graph(located.source, root).name,
        source=name if known_as else ref,
        root=root,
        phase=PHASES[0],
        attached=find_attached(located.finder, nodes),
        converted=located.converted,
    )
    return FoundItem(item, located.source)


def _name(ref: str, located: Located) -> str:
    """The name of a reference: for a local artifact, its name in the local source."""
    if local_scheme(ref) not in LAYOUT_SCHEMES:
        return ref.removeprefix(f"{ENGINE_SCHEME}:")
    named = (name for name, root in located.source.roots() if root.digest == located.root.digest)
    return next((name for name in named if name and ref.endswith(f":{name}")), ref)


def pick(lock: Lock, name: str, open_source: Callable[[Item], Source]) -> FoundItem:
    """Finds an image or chart in a lock by its name. Raises `InputError` (`no-such-item`, `not-an-image`)."""
    item = next((one for one in lock.items if one.name == name), None)
    if item is None:
        near = difflib.get_close_matches(name, [one.name for one in lock.items], 1)
        hint = f"did you mean {near[0]!r}?" if near else "`airgap ls LOCK` lists the names"
        raise InputError("no-such-item", f"lock {lock.name!r}: no item {name!r}", hint)
    if not kind_of(item).signed:
        raise InputError(
            "not-an-image",
            f"{name!r} is of kind {item.kind}, expected {listed(signed_kinds())}",
            "run `airgap scan`, which judges every kind",
        )
    return FoundItem(item, open_source(item))


def judge_locks(
    locks: Sequence[Lock],
    layout: Layout,
    policy: Policy,
    now: datetime,
    waivers: Sequence[Waiver] = (),
    jobs: int = 4,
    progress: Progress | None = None,
    run: ScanRun | None = None,
    *,
    vex: VexFiles | None = None,
) -> list[Judgement]:
    """Judges every item of the locks by its content in the store, in the order of the locks.

    `run` is what scanners answered; a policy with `findings` needs it.

    An item whose content is missing or damaged is `not-run`; the others are still judged. Raises
    `TrustError` for a trust root that is not the pinned one, `StoreError` for disk errors.
    """
    if policy.findings is not None and run is None:
        raise ValueError("the policy has findings, and nothing was scanned")
    trust_roots = load_roots(policy)
    watch = progress or Silent()
    items = [item for lock in locks for item in lock.items]
    watch.start("judge", 0, len(items))

    def one(item: Item) -> Judgement:
        watch.item(item.name)
        made = _judge(item, layout, policy, trust_roots, now, waivers, run, vex)
        watch.done(item.name, made.outcome)
        return made

    return parallel(jobs, one, items, "judge")


def _judge(
    item: Item,
    layout: Layout,
    policy: Policy,
    trust_roots: Mapping[str, TrustRoot],
    now: datetime,
    waivers: Sequence[Waiver],
    run: ScanRun | None,
    vex: VexFiles | None,
) -> Judgement:
    root = item.root if item.root is not None else layout.find(pin_name(item))
    if root is None or not layout.has(root):
        what = f"it is not in the store {layout.path}: run `airgap pull` with this lock"
        return _not_run(item, root, policy, "not-pulled", what)
    try:
        found = kind_of_graph(layout, root, item.platforms).name if item.kind in signed_kinds() else item.kind
        if found != item.kind:  # the kind decides the rule
            what = f"the lock calls it {item.kind}, but clients take a {found} from it: list that in the request"
            return _not_run(item, root, policy, "not-as-locked", what)
        return judge(item, layout, policy, trust_roots, now, waivers, root, run, vex=vex)
    except (IntegrityError, NotFoundError) as error:
        return _not_run(item, root, policy, error.code, error.what)


def _not_run(item: Item, root: Descriptor | None, policy: Policy, reason: str, detail: str) -> Judgement:
    rule = policy.choose(item.kind, rule_names(item)).rule
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
