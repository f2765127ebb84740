"""`lock`: names → digests. Keeps pins that are there unless told to update; says what moved."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airgap.errors import AirgapError, InputError
from airgap.lock import Item, Lock
from airgap.progress import Progress
from airgap.resources.model import Request
from airgap.stage.kinds import KINDS, wanted
from airgap.store.locate import Reach

ALL = "*"
"""In `update`: every pin is made anew."""


@dataclass(frozen=True, slots=True)
class Locked:
    """A new lock, and what people should know about it."""

    lock: Lock
    notes: tuple[str, ...]


def make_lock(
    request: Request,
    old: Lock | None,
    update: Collection[str],
    reach: Reach,
    *,
    jobs: int,
    progress: Progress,
    folder: Path,
) -> Locked:
    """Resolves a request, several items at once. Pins of `old` stay for what is asked for as before.

    `update` names items that are resolved anew (`ALL` for every one); `folder` is where the lock will lie: local paths
    below it are written relative to it. Raises the first error, after every item was tried.
    """
    entries = list(wanted(request))
    _check_update(update, entries)
    kept = {(item.kind, item.name): item for item in old.items} if old else {}
    progress.start("lock", 0, len(entries))

    def one(entry: tuple[str, Any]) -> Item | AirgapError:
        kind, asked = entry
        progress.item(asked.name)
        pin = kept.get((kind, asked.name))
        if (
            pin is not None
            and not {asked.name, ALL} & set(update)
            and _same(kind, asked, pin, folder)
        ):
            progress.done(asked.name, "kept")
            return pin
        try:
            item = KINDS[kind].resolve(asked, reach)
        except AirgapError as error:
            error.what = (
                f"{asked.where + ': ' if asked.where else ''}{kind} {asked.name!r}: {error.what}"
            )
            progress.done(asked.name, "failed")
            return error
        progress.done(asked.name, "locked")
        return _relative(item, folder)

    with ThreadPoolExecutor(jobs) as pool:
        results = list(pool.map(one, entries))
    raise_all([result for result in results if isinstance(result, AirgapError)])
    lock = Lock.of(request.name, [result for result in results if isinstance(result, Item)])
    return Locked(lock, tuple(note for item in lock.items for note in _notes(item)))


def raise_all(errors: list[AirgapError]) -> None:
    """Raises the first of `errors`, with the others in its text, so that one run shows all that is wrong."""
    if not errors:
        return
    first = errors[0]
    if len(errors) > 1:
        others = "".join(f"\n  also: {error.what} [{error.code}]" for error in errors[1:])
        first.what = f"{first.what}{others}"
    raise first


def _check_update(update: Collection[str], entries: list[tuple[str, Any]]) -> None:
    names = {asked.name for _, asked in entries}
    for name in update:
        if name != ALL and name not in names:
            import difflib

            near = difflib.get_close_matches(name, names, 1)
            hint = (
                f"did you mean {near[0]!r}?" if near else "names are those of the request's items"
            )
            raise InputError(
                "no-such-item", f"--update {name}: the request has no item of this name", hint
            )


def _same(kind: str, asked: Any, pin: Item, folder: Path) -> bool:
    """True when the request still asks for what the pin was made from."""
    if kind in ("image", "chart"):
        platforms = getattr(asked, "platforms", ())
        source = _relative(Item(asked.name, kind, asked.ref), folder).source
        return (pin.source, pin.platforms, pin.phase) == (source, platforms, asked.phase)
    # Refs, revisions and directories move under an unchanged request; only their names say whether it is the same.
    return kind_source(kind, asked, folder) == pin.source


def kind_source(kind: str, asked: Any, folder: Path) -> str:
    """The lock's `source` for a request of a kind that is not in a registry."""
    if kind == "git":
        source = str(asked.url)
    elif kind == "model":
        source = f"hf:{asked.repo}" if asked.repo else f"directory:{asked.directory}"
    else:
        source = asked.url or f"file:{asked.file}"
    return _relative(Item(asked.name, kind, source), folder).source


_LOCAL = ("oci-archive:", "oci:", "directory:", "file:")


def _relative(item: Item, folder: Path) -> Item:
    """Local paths below the lock's folder are written relative to it, so that both can be moved together."""
    import dataclasses

    scheme = next((one for one in _LOCAL if item.source.startswith(one)), "")
    path = item.source.removeprefix(scheme)
    if (scheme or item.kind == "git") and path.startswith("/"):
        base = f"{folder.absolute()}/"
        return dataclasses.replace(item, source=scheme + path.removeprefix(base))
    return item


def _notes(item: Item) -> list[str]:
    notes = []
    if item.converted:
        notes.append(
            f"{item.name}: converted: an engine's image has no digest of its own, so it got {item.root}"
        )
    if item.platforms and any(
        item.root and one.subject == item.root.digest for one in item.attached
    ):
        root = item.root.digest if item.root else ""
        notes.append(
            f"{item.name}: with `platforms:` the index itself does not arrive, so @{root} and the signatures"
            " on it will not resolve inside; those on its children will"
        )
    return notes


def diff_locks(old: Lock, new: Lock) -> list[dict[str, str]]:
    """What changed, for the one who approves: rows of `change` (added, removed, changed), `kind`, `name`, `detail`."""
    before = {(item.kind, item.name): item for item in old.items}
    after = {(item.kind, item.name): item for item in new.items}
    rows = []
    for key in sorted(before.keys() | after.keys()):
        one, two = before.get(key), after.get(key)
        if one == two:
            continue
        if one is None or two is None:
            item, change = (two, "added") if two is not None else (one, "removed")
            detail = _identity(item) if item is not None else ""
        else:
            change, detail = "changed", "; ".join(_changes(one, two))
        rows.append({"change": change, "kind": key[0], "name": key[1], "detail": detail})
    return rows


def _identity(item: Item) -> str:
    return str(item.root.digest) if item.root else f"{len(item.refs)} refs"


def _changes(one: Item, two: Item) -> list[str]:
    old, new = one.as_dict(), two.as_dict()
    found = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if key == "root":
            found.append(
                f"root {before['digest']} → {after['digest']}" if before and after else "root"
            )
        elif key in ("refs",):
            found += _ref_changes(one.refs, two.refs)
        elif key in ("attached", "files"):
            found.append(f"{key}: {len(before or ())} → {len(after or ())}")
        else:
            found.append(f"{key}: {before} → {after}")
    return found


def _ref_changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return [
        f"{ref} {(old.get(ref) or 'nothing')[:12]} → {(new.get(ref) or 'nothing')[:12]}"
        for ref in sorted(old.keys() | new.keys())
        if old.get(ref) != new.get(ref)
    ]
