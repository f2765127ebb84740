"""Describes signed statements for people: what `airgap show` says about a receipt, a rollback, an audit, …"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from airgap.base.amounts import count
from airgap.base.text import one_line
from airgap.base.times import utc_text
from airgap.report.scanned import scanner_lines
from airgap.statements.accepted import AcceptedList
from airgap.statements.approval import Approval
from airgap.statements.audited import Audit
from airgap.statements.predicates import Placed, Predicate, Pull, Receipt
from airgap.statements.prune import Prune
from airgap.statements.rollback import Rollback
from airgap.statements.statement import Statement
from airgap.statements.verdict import Verdict
from airgap.statements.want import Want

MOST = 1000
"""Names that are shown; `--json` has all."""


def described(statement: Statement, hint: str) -> list[str]:
    """Lines about a statement whose signature nobody checked. `hint` names its key."""
    body = statement.body
    lines = [
        f"{statement.kind} statement about {statement.subject}",
        f"  signed  {utc_text(statement.signed_at)} as {statement.role}, by the key with hint {hint or 'none'}",
        f"  log     {statement.log_head}",
        *_TELL.get(type(body), _plain)(body),
    ]
    return [one_line(line) for line in lines]


def _receipt(body: Receipt) -> Iterable[str]:
    yield _delivery(body)
    if body.publish:
        yield f"  publish {body.publish}"
    yield from (f"  lock    {one.name}, {len(one.items)} items, {one.digest}" for one in body.locks)
    if body.only:
        yield "  a selection: these items of its locks, and nothing is said of the others"
    yield from _placed(body.destinations, "before")
    yield from (f"  finding {one.item}: {one.code}: {one.detail}" for one in body.findings)


def _rollback(body: Rollback) -> Iterable[str]:
    yield _delivery(body)
    yield from (f"  by      receipt {one}" for one in body.receipts)
    yield from _placed(body.destinations, "had")


def _delivery(body: Receipt | Rollback | Want) -> str:
    return f"  of      delivery {body.sequence} of stream {body.stream!r}, id {body.delivery}"


def _placed(destinations: Sequence[Placed], before: str) -> Iterable[str]:
    for part in destinations:
        yield counted(part)
        for line in part.items[:MOST]:
            name = line.name or ("(signature)" if line.signs is not None else "(no name)")
            old = f", {before} {line.previous}" if line.previous not in ("", line.digest) else ""
            yield f"  {line.outcome:<11} {line.at} {name}  {line.digest}{old}"
            if line.reason:
                yield f"              {line.reason}"
        yield from _more(len(part.items))


def counted(part: Placed) -> str:
    """A destination of a receipt or a rollback, with the number of names for each outcome."""
    counts = Counter(str(line.outcome) for line in part.items)
    return f"{part.url} ({part.form}): " + ", ".join(f"{many} {outcome}" for outcome, many in sorted(counts.items()))


def _audit(body: Audit) -> Iterable[str]:
    yield f"  outcome {body.outcome}: {body.checked} names checked{', every byte again' if body.deep else ''}"
    for one in body.findings[:MOST]:
        got = f"expected {one.expected or 'nothing'}, got {one.got or 'nothing'}"
        yield f"  {one.state:<8} {one.destination} {one.at} {one.name}  {got}"
    yield from _more(len(body.findings))
    if body.inside is not None:
        inside = body.inside
        yield f"  inside  listed {inside.listed}, receipts {inside.receipts}, {inside.declared} declared"
        for one in (*inside.removed, *inside.superseded)[:MOST]:
            yield f"  {one.state:<8} {one.destination} {one.at} {one.name}  {one.got or 'nothing'}"


def _prune(body: Prune) -> Iterable[str]:
    many = "1 thing" if len(body.lines) == 1 else f"{len(body.lines)} things"
    yield f"  of      {body.sovereign}: {many}, approved by {body.approval}"
    for one in body.lines[:MOST]:
        yield f"  {one.outcome:<11} {one.destination} {one.at} {one.name}  {one.digest}"
        if one.reason:
            yield f"              {one.reason}"
    yield from _more(len(body.lines))


def _want(body: Want) -> Iterable[str]:
    yield _delivery(body)
    yield f"  lacks   {count(len(body.blobs), 'blob')}, {body.size} B, of {count(len(body.items), 'item')}"
    yield from (f"  item    {name}" for name in body.items[:MOST])
    yield from _more(len(body.items))
    yield from (f"  blob    {one.digest}  {one.size} B" for one in body.blobs[:MOST])
    yield from _more(len(body.blobs))


def _pull(body: Pull) -> Iterable[str]:
    for name, one in [*body.items.items()][:MOST]:
        yield f"  {one.outcome:<8} {name}  {one.root or '-'}  {one.bytes} B" + (f"  {one.reason}" if one.reason else "")
    yield from _more(len(body.items))


def _verdict(body: Verdict) -> Iterable[str]:
    yield f"  policy  {body.policy.name} {body.policy.digest}"
    yield from (f"  {line}" for line in scanner_lines(body))
    yield from (f"  waiver  {one.digest}, until {utc_text(one.expires)}" for one in body.waivers)
    for name, one in [*body.items.items()][:MOST]:
        yield f"  {one.outcome:<8} {name}  {one.root or '-'}"
        for check in one.checks:
            yield f"           {check.check} {check.outcome}" + (f": {check.reason}" if check.reason else "")
    yield from _more(len(body.items))


def _accepted(body: AcceptedList) -> Iterable[str]:
    yield f"  of      {body.sovereign}: {len(body.deliveries)} deliveries, oldest first"
    for one in body.deliveries:
        yield f"  {one.stream} {one.sequence}  {utc_text(one.accepted_at)}  {one.digest}  {one.id}"


def _approval(body: Approval) -> Iterable[str]:
    approves = body.approves
    if approves is None:
        yield "  of      a lock or a delivery: an earlier version wrote it"
        return
    yield f"  of      {approves}"


def _plain(body: Predicate) -> Iterable[str]:
    return (f"  {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in body.as_dict().items())


def _more(number: int) -> Iterable[str]:
    return [f"  and {number - MOST} more: --json has all"] if number > MOST else []


_TELL: Mapping[type[Any], Callable[[Any], Iterable[str]]] = {
    Receipt: _receipt,
    Rollback: _rollback,
    Prune: _prune,
    Want: _want,
    Audit: _audit,
    Pull: _pull,
    Verdict: _verdict,
    AcceptedList: _accepted,
    Approval: _approval,
}
