"""What a signer sees of a thing before signing it: in words, and for `--json`. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from airgap.base.amounts import count
from airgap.base.errors import AirgapError
from airgap.base.times import utc_text
from airgap.content.lock import Lock
from airgap.content.lock_finding import finding_lines
from airgap.jobs.approvables import Seen, UnpackedDelivery
from airgap.kinds.table import kind_of
from airgap.report.delta import rests_on_lines
from airgap.report.judged import judged, waived_finding, waiver_dict
from airgap.report.trust import described_root, described_trust
from airgap.resources.trust import Trust
from airgap.signatures.roots.trust_root import TrustRoot
from airgap.statements.approval import Approvable
from airgap.statements.prune_plan import EXTRA, PrunePlan

MAX_LINES = 2000
"""Lines for people; `--json` has everything."""
_MAX_LINE = 500
"""Characters of a line. Nobody has vouched for the names in it yet."""


def described(seen: Seen) -> tuple[dict[str, Any], list[str]]:
    """The JSON document, and the lines for people, each of which is to be shown on one line."""
    content, lines = _content(seen)
    document = {
        "approves": seen.approves.as_dict(),
        "digest": str(seen.digest),
        "size": seen.size,
        "checked": seen.checked,
        "content": content,
    }
    found = [line if len(line) <= _MAX_LINE else f"{line[:_MAX_LINE]}…" for line in (*_head(seen), *lines)]
    left = len(found) - MAX_LINES
    return document, found if left <= 0 else [*found[:MAX_LINES], f"  … and {left} more lines: see --json"]


def _head(seen: Seen) -> Iterable[str]:
    of_what = " of AIRGAP.json" if isinstance(seen.thing, UnpackedDelivery) else ""
    restores = seen.approves.kind is Approvable.RESTORE
    yield f"{seen.path}: {seen.approves}" if restores else f"{seen.path} is {seen.approves}"
    yield f"  {seen.digest}, {seen.size} bytes{of_what}"


def _content(seen: Seen) -> tuple[dict[str, Any], Iterable[str]]:
    thing = seen.thing
    if isinstance(thing, UnpackedDelivery):
        judgement, said = _judged(thing)
        return {**_delivery(thing), "judged": judgement}, _delivery_lines(seen, thing, said)
    if isinstance(thing, Lock):
        head = f"  lock {thing.name!r}, items: {len(thing.items)}"
        return thing.as_dict(), [head, *(f"  {line}" for line in finding_lines(thing.findings)), *_lock_lines(thing)]
    if isinstance(thing, TrustRoot):
        document, lines = described_root(thing)
        return document, [f"  {line}" for line in lines]
    if isinstance(thing, Trust):
        document, lines = described_trust(thing)
        changes = None if seen.rotation is None else [change.as_dict() for change in seen.rotation.changes]
        return {**document, "changes": changes}, [*(f"  {line}" for line in lines), *_change_lines(seen)]
    if isinstance(thing, PrunePlan):
        return {"lines": [line.as_dict() for line in thing.lines]}, _prune_lines(thing)
    waiver = waiver_dict(thing)
    shown = waiver | {"findings": [waived_finding(one) for one in thing.findings]}
    return waiver, [f"  {name}: {_words(value)}" for name, value in shown.items() if value]


def _prune_lines(plan: PrunePlan) -> Iterable[str]:
    extra = sum(line.state == EXTRA for line in plan.lines)
    yield f"  deletes  {len(plan.lines)} inside {plan.sovereign!r}; of these, no delivery brought {extra}"
    yield f"  created  {utc_text(plan.created)}, expires {utc_text(plan.expires)}"
    for line in plan.lines:
        yield f"  {line.state:<7} {line.destination} {line.at} {line.name}  {line.digest}"
        if line.item:
            yield f"          of {line.item}" + (f", since {line.since}" if line.since else "")


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _lock_lines(lock: Lock) -> Iterable[str]:
    for item in lock.items:
        yield f"  {item.kind:<6} {item.name}  {kind_of(item).shown(item)}"
        if item.source != item.name:
            yield f"         from {item.source}"


def _change_lines(seen: Seen) -> Iterable[str]:
    if seen.rotation is None:
        yield "  not compared with the Trust resource that it replaces: pass that one with --trust"
        return
    for change in seen.rotation.changes:
        yield f"  change: {change.what} {change.key} {change.detail}"
    if not seen.rotation.changes:
        yield "  no change: it says the same as the one that it replaces"
    yield from (f"  note: {note}" for note in seen.rotation.notes)


def _delivery(thing: UnpackedDelivery) -> dict[str, Any]:
    journey, contents = thing.index.journey, thing.index.contents
    return {
        "id": journey.id,
        "sovereign": journey.sovereign,
        "stream": journey.stream,
        "sequence": journey.sequence,
        "created": utc_text(journey.created),
        "expires": utc_text(journey.expires),
        "basedOn": [one.as_dict() for one in journey.based_on] or None,
        "locks": [str(digest) for digest in contents.locks],
        "items": [{"item": one.item, "kind": one.kind, "digest": str(one.digest)} for one in contents.roots],
        "volumes": [volume.as_dict() for volume in contents.volumes],
        "blobs": len(contents.blobs),
        "signatures": sorted(thing.media.signatures),
        "signedBy": [{"key": one.key.name, "role": one.role, "kind": one.statement.kind} for one in thing.statements],
    }


def _delivery_lines(seen: Seen, thing: UnpackedDelivery, judgement: Sequence[str]) -> Iterable[str]:
    journey, contents = thing.index.journey, thing.index.contents
    yield f"  id       {journey.id}"
    yield f"  created  {utc_text(journey.created)}, expires {utc_text(journey.expires)}"
    yield from (f"  {line}" for line in rests_on_lines(thing.index))
    yield f"  volumes  {len(contents.volumes)}, {sum(one.size for one in contents.volumes)} bytes, not read"
    some = "a selection: only " if contents.only else ""
    yield f"  items    {some}{len(contents.roots)}, of {count(len(contents.locks), 'lock')}"
    yield from (f"  {one.kind:<6} {one.item}  {one.digest}" for one in contents.roots)
    yield from (f"  {line}" for line in judgement)
    for one in thing.statements:
        yield f"  {one.statement.kind} signed by {one.key.name!r} ({one.role})"
    if not seen.checked:
        yield f"  signatures not checked: pass --trust FILE to check them; files: {', '.join(thing.media.signatures)}"


def _judged(thing: UnpackedDelivery) -> tuple[dict[str, Any] | None, Sequence[str]]:
    """What the evidence says: verdicts, waivers, and the trust roots that an approval of the delivery lets in."""
    try:
        found = judged(thing.media, thing.index, [one.statement for one in thing.statements] or None)
    except AirgapError as error:
        return None, [f"evidence {error}"]
    return found.as_dict(), found.lines()
