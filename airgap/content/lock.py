"""`Lock`: the digests that upstream names pointed to at one moment. People review it, programs sign it.

Canonical JSON, items sorted by kind and name, without a time. Format: docs/format.md, "lock.json".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError
from airgap.base.known_files import not_expected, recognized
from airgap.base.strict_json import parse_json
from airgap.content import known_kinds
from airgap.content.graph import Descriptor
from airgap.content.item import Attached, Item, LockedFile

API_VERSION = "airgap.openova.io/v1alpha1"
MAX_LOCK = 64 << 20
"""Bytes of a lock: the same limit as for a delivery index, which lists the same blobs."""

_OID = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")


@dataclass(frozen=True, slots=True)
class Lock:
    """A named, sorted list of items."""

    name: str
    items: tuple[Item, ...]

    @classmethod
    def of(cls, name: str, items: Iterable[Item]) -> Lock:
        """Sorts `items`. Raises `InputError` (`duplicate-name`) if two items have the same name.

        Names are unique across all kinds, because statements and receipts refer to items by name alone.
        """
        ordered = sorted(items, key=lambda item: (item.kind, item.name))
        seen: dict[str, Item] = {}
        for item in ordered:
            other = seen.setdefault(item.name, item)
            if other is not item:
                raise InputError(
                    "duplicate-name",
                    f"two items are called {item.name!r}: {other.kind} {other.source} and {item.kind} {item.source}",
                    "give one of them another `name:` in the request",
                )
        return cls(name, tuple(ordered))

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        items = [item.as_dict() for item in self.items]
        return {
            "apiVersion": API_VERSION,
            "kind": "Lock",
            "metadata": {"name": self.name},
            "items": items,
        }

    def encode(self) -> bytes:
        """The signed bytes: canonical JSON and one newline, so that text tools show it completely."""
        return _encoded(self)

    @property
    def digest(self) -> Digest:
        """The digest of `encode()`: statements and deliveries refer to this lock by it."""
        return Digest.of(self.encode())

    @classmethod
    def decode(cls, data: bytes, where: str) -> Lock:
        """Parses a lock. Raises `InputError` (`bad-lock`) for anything that this version would not write itself."""
        if len(data) > MAX_LOCK:
            raise InputError("bad-lock", f"{where}: got {len(data)} bytes, expected at most {MAX_LOCK}")
        try:
            document = parse_json(data, where)
            if not isinstance(document, dict) or document.get("kind") != "Lock":
                raise ValueError("its kind is not Lock")
            _only(document, {"apiVersion", "kind", "metadata", "items"}, where)
            if document["apiVersion"] != API_VERSION:
                got = f"{document['apiVersion']} Lock"
                raise InputError("bad-lock", f"{where}: got {got}, expected {API_VERSION} Lock", _NEWER)
            lock = cls.of(
                str(document["metadata"]["name"]),
                (_item(value, where) for value in document["items"]),
            )
        except InputError:
            raise
        except (AirgapError, KeyError, TypeError, ValueError, AttributeError) as error:
            why = error.what if isinstance(error, AirgapError) else str(error)
            hint = _WRITTEN if recognized(data) not in ("", "a lock") else "write it again with `airgap lock`"
            raise InputError("bad-lock", not_expected(where, data, "a lock", why), hint) from error
        if lock.encode() != data:
            raise InputError(
                "bad-lock",
                f"{where}: not canonical: the bytes differ from what `airgap lock` writes",
                "do not edit a lock by hand; change the request and run `airgap lock` again",
            )
        return lock


@lru_cache(maxsize=8)
def _encoded(lock: Lock) -> bytes:
    """Cached: a command asks for a lock's digest many times, and encoding a thousand items takes 80 ms."""
    return canonical(lock.as_dict()) + b"\n"


_COMMON = frozenset({"name", "kind", "source"})
_WRITTEN = "pass the lock that `airgap lock` wrote"
_NEWER = "it was made by a newer airgap; use that version"


def _only(value: Any, allowed: Set[str], where: str) -> None:
    if not isinstance(value, dict):
        raise InputError("bad-lock", f"{where}: got {type(value).__name__}, expected an object")
    unknown = sorted(set(value) - allowed)
    if unknown:
        raise InputError(
            "bad-lock",
            f"{where}: unknown field {unknown[0]!r}",
            _NEWER,
        )


def _descriptor(value: Any, where: str, more: frozenset[str] = frozenset()) -> Descriptor:
    _only(value, {"mediaType", "digest", "size"} | more, where)
    return Descriptor(
        str(value["mediaType"]),
        Digest(value["digest"]),
        int(value["size"]),
        artifact_type=value.get("artifactType", ""),
    )


def _attached(value: Any, where: str) -> Attached:
    descriptor = _descriptor(value, where, frozenset({"subject", "how", "tag", "artifactType"}))
    if value["how"] not in ("referrer", "tag") or (value["how"] == "tag") != bool(value.get("tag")):
        raise InputError("bad-lock", f"{where}: how: got {value['how']!r}, expected referrer, or tag with a tag")
    return Attached(Digest(value["subject"]), value["how"], descriptor, value.get("tag", ""))


def _file(value: Any, where: str) -> LockedFile:
    _only(value, {"path", "digest", "size"}, where)
    return LockedFile(check_path(value["path"], where), Digest(value["digest"]), int(value["size"]))


def _item(value: Any, where: str) -> Item:
    if not isinstance(value, dict):
        raise InputError("bad-lock", f"{where}: got {type(value).__name__}, expected an object")
    name, kind = value["name"], known_kinds.find(value["kind"])
    where = f"{where}: {value['kind']} {name!r}"
    if kind is None:
        raise InputError("bad-lock", f"{where}: unknown kind", _NEWER)
    wanted = kind.item_fields
    _only(value, _COMMON | wanted.always | wanted.maybe, where)
    missing = sorted(wanted.always - set(value))
    if missing:
        what = f"{where}: field {missing[0]!r} is missing; every {kind.name} item has it"
        raise InputError("bad-lock", what, "make it again with `airgap lock`")
    item = Item(
        name=str(name),
        kind=kind.name,
        source=str(value["source"]),
        root=_descriptor(value["root"], where) if "root" in value else None,
        bytes=int(value.get("bytes", 0)),
        phase=value.get("phase", ""),
        platforms=tuple(value.get("platforms", ())),
        inside=_descriptor(value["inside"], where) if "inside" in value else None,
        attached=tuple(_attached(entry, where) for entry in value.get("attached", ())),
        converted=bool(value.get("converted", False)),
        refs=_refs(value.get("refs", {}), where),
        head=value.get("head", ""),
        lfs=bool(value["lfs"]) if "lfs" in value else None,
        revision=value.get("revision", ""),
        licence=value.get("licence", ""),
        files=tuple(_file(entry, where) for entry in value.get("files", ())),
        path=check_path(value["path"], where) if "path" in value else "",
        asked=_asked(value.get("asked", {}), wanted.asked, where),
        more={key: value[key] for key in value if key not in _FIELDS},
    )
    kind.check_item(item, where)
    return item


_FIELDS = frozenset(one.name for one in fields(Item)) - {"more"}


def _refs(value: Mapping[str, str], where: str) -> dict[str, str]:
    for ref, oid in value.items():
        if not ref.startswith("refs/") or not _OID.match(oid):
            raise InputError(
                "bad-lock",
                f"{where}: ref {ref!r} → {oid!r} is not a full ref name and an object id",
            )
    return dict(value)


def _asked(value: Any, wanted: Mapping[str, type], where: str) -> dict[str, str | list[str]]:
    _only(value, wanted.keys(), f"{where}: asked")
    for key, said in value.items():
        texts = said if wanted[key] is list else [said]
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise InputError("bad-lock", f"{where}: asked.{key}: got {said!r}, expected text")
    return dict(value)


def check_path(path: Any, where: str) -> str:
    """Checks that `path` is a relative POSIX path that every store keeps unchanged; returns it.

    Refuses paths that some store would change or hide: empty, absolute, `.`, `..`, doubled slashes, backslashes,
    control characters, names that are not UTF-8, segments over 255 bytes. Raises `InputError` (`bad-path`).
    """
    good = (
        isinstance(path, str)
        and path != ""
        and "\\" not in path
        and all(ord(char) >= 32 and ord(char) != 127 for char in path)
        and not any(0xD800 <= ord(char) <= 0xDFFF for char in path)  # names that are not UTF-8
        and all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in path.split("/"))
    )
    if not good:
        raise InputError(
            "bad-path",
            f"{where}: {path!r} is not a plain relative path",
            "use names without empty, `.` or `..` parts, backslashes or control characters, each part up to 255 bytes",
        )
    return str(path)
