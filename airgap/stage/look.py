"""Looking into things without trusting them, and taking one item out: `show`, `ls`, `extract`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airgap.delivery.index import INDEX_NAME, Index
from airgap.delivery.plan import plan_volumes
from airgap.delivery.read import Media, Volumes, open_media
from airgap.delivery.write import copy_out
from airgap.errors import AirgapError, InputError
from airgap.graph import OCI_MANIFEST, Descriptor, Node, Source, parse_json, walk
from airgap.lock import Lock
from airgap.progress import Progress
from airgap.store.layout import Layout
from airgap.transfer import Copy, copy_graph
from airgap.trust.dsse import MAX_EVIDENCE_BUNDLE, open_bundle
from airgap.trust.statement import Statement

NOT_CHECKED = "not checked: `airgap verify` says whether it may be believed"


def describe(thing: Path) -> tuple[Any, str]:
    """A JSON document and a text about a lock, a delivery, a statement or a store. Raises `InputError`."""
    if thing.is_dir():
        return _delivery(thing) if (thing / INDEX_NAME).exists() else _store(thing)
    data = thing.read_bytes()
    try:
        kind = parse_json(data, str(thing))
    except AirgapError as error:
        raise InputError(
            "unknown-thing", f"{thing}: not a lock, a statement, a delivery or a store"
        ) from error
    if isinstance(kind, dict) and "dsseEnvelope" in kind:
        envelope = open_bundle(data, str(thing), MAX_EVIDENCE_BUNDLE)
        statement = Statement.parse(envelope.payload, str(thing)).as_dict()
        lines = [
            f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in statement.items()
        ]
        return {**statement, "hint": envelope.hint}, "\n".join(
            [*lines, f"signed by hint {envelope.hint}", NOT_CHECKED]
        )
    lock = Lock.decode(data, str(thing))
    lines = [f"lock {lock.name!r}, {len(lock.items)} items, {lock.digest}"]
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
        NOT_CHECKED,
    ]
    return json.loads(media.index_bytes), "\n".join(lines)


def _store(folder: Path) -> tuple[Any, str]:
    rows = items(folder)
    text = "\n".join(f"  {row['name']}  {row['digest']}" for row in rows)
    return {"store": str(folder), "items": rows}, f"store {folder}, {len(rows)} names\n{text}"


def items(thing: Path) -> list[dict[str, Any]]:
    """The items of a lock, a delivery or a store: kind, name, digest, bytes (0: unknown)."""
    if thing.is_file():
        lock = Lock.decode(thing.read_bytes(), str(thing))
        return [
            _row(i.kind, i.name, str(i.root.digest) if i.root else "", i.bytes) for i in lock.items
        ]
    if (thing / INDEX_NAME).exists():
        index = Index.decode(open_media([thing]).index_bytes)
        return [_row(r.kind, r.item, str(r.digest), 0) for r in index.contents.roots]
    return [_row("", name, str(root.digest), 0) for name, root in Layout(thing).roots()]


def _row(kind: str, name: str, digest: str, size: int) -> dict[str, Any]:
    return {"kind": kind, "name": name, "digest": digest, "bytes": size}


def find(thing: Path, name: str) -> tuple[Source, Descriptor]:
    """An item's graph in a delivery or a store. Raises `InputError` (`no-such-item`)."""
    if (thing / INDEX_NAME).exists():
        media: Media = open_media([thing])
        index = Index.decode(media.index_bytes)
        for root in index.contents.roots:
            if root.item == name:
                volumes = Volumes(index.contents, media.folders)
                return volumes, _typed(volumes, root.digest, index.contents.size(root.digest))
    else:
        layout = Layout(thing)
        found = layout.find(name)
        if found is not None:
            return layout, Descriptor(found.media_type, found.digest, found.size)
    import difflib

    near = difflib.get_close_matches(name, [row["name"] for row in items(thing)], 1)
    hint = f"did you mean {near[0]!r}?" if near else "`airgap ls` lists the names"
    raise InputError("no-such-item", f"{thing}: no item {name!r}", hint)


def _typed(volumes: Volumes, digest: Any, size: int) -> Descriptor:
    """A root with its media type: the bytes say it where they can, else it is an OCI manifest."""
    with volumes.open(Descriptor(OCI_MANIFEST, digest, size)) as stream:
        document = parse_json(stream.read(size), str(digest))
    media_type = document.get("mediaType") if isinstance(document, dict) else None
    if media_type is None and isinstance(document, dict) and "manifests" in document:
        media_type = "application/vnd.oci.image.index.v1+json"
    return Descriptor(media_type or OCI_MANIFEST, digest, size)


def extract(thing: Path, name: str, to: Path, progress: Progress) -> tuple[str, int]:
    """Copies one item into an OCI layout folder, or a tar that skopeo, containerd and k3s read.

    Every blob is hashed on the way. Returns the root's digest and the content's size in bytes.
    """
    source, root = find(thing, name)
    blobs = [f.descriptor if isinstance(f, Node) else f for f in walk(source, root)]
    size = sum(blob.size for blob in blobs)
    if to.suffix == ".tar":
        progress.start("extract", size, 1)
        plan = plan_volumes(blobs, [(name, root)], size + (len(blobs) + 16) * 4096 + (1 << 20))
        copy_out(plan, source, to, progress)
        return str(root.digest), size
    layout = Layout(to, create=True, batch=True)
    progress.start("extract", 0, 1)
    for copied in copy_graph([Copy(name, source, layout, root)], progress=progress):
        if copied.error is not None:
            raise copied.error
    layout.publish({name: root})
    return str(root.digest), size
