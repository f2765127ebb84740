"""Looking into things without trusting them: `show`, `ls`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airgap.delivery.index import INDEX_NAME, Index
from airgap.delivery.read import open_media
from airgap.errors import AirgapError, InputError
from airgap.graph import parse_json
from airgap.inputs import read_input
from airgap.lock import MAX_LOCK, Lock
from airgap.stage.judged import judged
from airgap.store.layout import Layout
from airgap.trust.dsse import MAX_EVIDENCE_BUNDLE, open_bundle
from airgap.trust.statement import Statement

NOT_CHECKED = "not checked: `airgap verify` says whether it may be believed"


def describe(thing: Path) -> tuple[Any, str]:
    """A JSON document and a text about a lock, a delivery, a statement or a store. Raises `InputError`."""
    if thing.is_dir():
        return _delivery(thing) if (thing / INDEX_NAME).exists() else _store(thing)
    data, kind = _file(thing)
    if isinstance(kind, dict) and "dsseEnvelope" in kind:
        envelope = open_bundle(data, str(thing), MAX_EVIDENCE_BUNDLE)
        statement = Statement.parse(envelope.payload, str(thing)).as_dict()
        lines = [
            f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in statement.items()
        ]
        return {**statement, "hint": envelope.hint}, "\n".join(
            [*lines, f"signed by hint {envelope.hint}", _who_checks(str(statement["kind"]))]
        )
    lock = _lock(data, kind, thing)
    lines = [f"lock {lock.name!r}, items: {len(lock.items)}, {lock.digest}"]
    for item in lock.items:
        what = (
            str(item.root.digest)
            if item.root
            else ", ".join(f"{r} {o[:12]}" for r, o in list(item.refs.items())[:5])
        )
        lines.append(f"  {item.kind:<6} {item.name}  {what}")
        lines += [
            f"         {a.how} {a.tag or a.descriptor.artifact_type} {a.descriptor.digest} on {a.subject.short}"
            for a in item.attached
        ]
    return lock.as_dict(), "\n".join(lines)


def _file(thing: Path) -> tuple[bytes, Any]:
    """A file that may be one of ours: its bytes, and the JSON in it. Raises `InputError` (`unknown-thing`)."""
    data = read_input(thing, MAX_LOCK, "unknown-thing")
    try:
        return data, parse_json(data, str(thing))
    except AirgapError as error:
        raise InputError(
            "unknown-thing",
            f"{thing}: not a lock, a statement, a delivery or a store",
            "name a lock file, a signed statement, or the folder of a delivery or a store",
        ) from error


def _lock(data: bytes, document: Any, thing: Path) -> Lock:
    """A lock, or what to do with the file of ours that it is instead."""
    kind = document.get("kind") if isinstance(document, dict) else None
    if kind == "Delivery":
        raise InputError(
            "unknown-thing",
            f"{thing}: this is the index of a delivery",
            f"name its folder, {thing.parent}",
        )
    if isinstance(document, dict) and "dsseEnvelope" in document:
        raise InputError(
            "unknown-thing",
            f"{thing}: this is a signed statement, and has no items to list",
            f"airgap show {thing}",
        )
    return Lock.decode(data, str(thing))


def _who_checks(kind: str) -> str:
    by = {
        "receipt": "`airgap audit --receipt` checks it",
        "accepted": "`airgap import` compares it with its state",
        "audit": "cosign verifies it, with the public key of the Sovereign",
    }
    return "not checked: " + by.get(
        kind, "`airgap verify` checks it with the delivery that it belongs to"
    )


def _delivery(folder: Path) -> tuple[Any, str]:
    media = open_media([folder])
    index = Index.decode(media.index_bytes)
    journey, contents = index.journey, index.contents
    lines = [
        f"delivery {journey.sequence} of stream {journey.stream!r} for {journey.sovereign!r}",
        f"  id       {journey.id}",
        f"  index    {media.digest}",
        f"  created  {journey.created}, expires {journey.expires}",
        f"  volumes  {len(contents.volumes)}, {sum(v.size for v in contents.volumes)} B, {len(contents.blobs)} blobs",
        f"  signed   {', '.join(sorted(media.signatures)) or 'by nobody'}",
        *(f"  {root.kind:<6} {root.item}  {root.digest}" for root in contents.roots),
    ]
    document = json.loads(media.index_bytes)
    try:
        found = judged(media, index)
    except AirgapError as error:
        lines.append(f"  evidence {error}")
    else:
        lines += [f"  {line}" for line in found.lines()]
        document["judged"] = found.as_dict()
    return document, "\n".join([*lines, NOT_CHECKED])


def _store(folder: Path) -> tuple[Any, str]:
    rows = items(folder)
    text = "\n".join(f"  {row['name']}  {row['digest']}" for row in rows)
    return {"store": str(folder), "items": rows}, f"store {folder}, {len(rows)} names\n{text}"


def items(thing: Path) -> list[dict[str, Any]]:
    """The items of a lock, a delivery or a store: kind, name, digest, bytes (0: unknown)."""
    if not thing.is_dir():
        lock = _lock(*_file(thing), thing)
        return [
            _row(i.kind, i.name, str(i.root.digest) if i.root else "", i.bytes) for i in lock.items
        ]
    if (thing / INDEX_NAME).exists():
        index = Index.decode(open_media([thing]).index_bytes)
        return [_row(r.kind, r.item, str(r.digest), 0) for r in index.contents.roots]
    return [_row("", name, str(root.digest), 0) for name, root in Layout(thing).roots()]


def _row(kind: str, name: str, digest: str, size: int) -> dict[str, Any]:
    return {"kind": kind, "name": name, "digest": digest, "bytes": size}
