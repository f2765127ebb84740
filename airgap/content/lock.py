"""`Lock`: the digests that upstream names pointed to at one moment. People review it, programs sign it.

Canonical JSON, items sorted by kind and name, without a time. Format: docs/format.md, "lock.json".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError
from airgap.base.json_fields import Fields
from airgap.base.known_files import not_expected, recognized
from airgap.base.strict_json import parse_json
from airgap.content import known_kinds
from airgap.content.bound import check_locked
from airgap.content.graph import MAX_MEDIA_TYPE, Descriptor
from airgap.content.item import PHASES, Attached, Item, LockedFile
from airgap.content.lock_finding import CODE, MAX_DETAIL, MAX_FINDINGS, MAX_FOUND_ITEM, QUARANTINED, LockFinding
from airgap.content.reference import check_tag

API_VERSION = "airgap.openova.io/v1alpha1"
MAX_LOCK = 64 << 20
"""Bytes of a lock: the same limit as for a delivery index, which lists the same blobs."""

MAX_ITEM_NAME = 512
"""Characters of an item's name: a host, a repository, a tag and a digest together have at most 456."""
MAX_NAME = 255
"""Characters of other names, licences and platforms: what one part of a path can have."""
MAX_PATH = 1024
"""Characters of a path or a ref: S3 has no longer keys."""
MAX_SOURCE = 8192
"""Characters of a source: an address, or a path on the machine that locked it."""

_OID = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")


@dataclass(frozen=True, slots=True)
class Lock:
    """A named, sorted list of items."""

    name: str
    items: tuple[Item, ...]
    findings: tuple[LockFinding, ...] = ()
    """What the request asks for and the lock lacks, sorted. A waiver has to accept each of them, or the policy allows
    what is in quarantine."""
    promoted_from: Digest | None = None
    """The full lock, of which this one has what passed (`content/promotion.py`); `None` for a lock of `airgap lock`."""

    @classmethod
    def of(
        cls,
        name: str,
        items: Iterable[Item],
        findings: Iterable[LockFinding] = (),
        promoted_from: Digest | None = None,
    ) -> Lock:
        """Sorts `items` and `findings`, and adds what kinds find in the items.

        Raises `InputError` (`duplicate-name`) if two items have the same name, (`too-many-findings`). Names are unique
        across all kinds, because statements and receipts refer to items by name alone.
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
        within = (found for item in ordered for found in _kind_findings(item))
        every = tuple(sorted({*findings, *within}))
        if len(every) > MAX_FINDINGS:
            what = f"lock {name!r}: {len(every)} findings, at most {MAX_FINDINGS}"
            raise InputError("too-many-findings", what, "correct the request, or leave out what cannot be locked")
        return cls(name, tuple(ordered), every, promoted_from)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        items = [item.as_dict() for item in self.items]
        return {
            "apiVersion": API_VERSION,
            "kind": "Lock",
            "metadata": {"name": self.name},
            "items": items,
            **({"findings": [one.as_dict() for one in self.findings]} if self.findings else {}),
            **({} if self.promoted_from is None else {"promotedFrom": str(self.promoted_from)}),
        }

    @property
    def pulled_as(self) -> tuple[Digest, ...]:
        """The locks whose pull statements speak of these items: this one, and the full lock."""
        return (self.digest,) if self.promoted_from is None else (self.digest, self.promoted_from)

    @property
    def quarantined(self) -> tuple[LockFinding, ...]:
        """What did not pass, and was left out when the lock was promoted."""
        return tuple(one for one in self.findings if one.quarantined)

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
            lock = cls.of(*_document(parse_json(data, where), where))
            encoded = lock.encode()
        except InputError:
            raise
        except (AirgapError, ValueError, RecursionError) as error:
            why = error.what if isinstance(error, AirgapError) else str(error)
            hint = _WRITTEN if recognized(data) not in ("", "a lock") else "write it again with `airgap lock`"
            raise InputError("bad-lock", not_expected(where, data, "a lock", why), hint) from error
        if encoded != data:
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


def _bad(what: str) -> InputError:
    return InputError("bad-lock", what, "make it again with `airgap lock`")


def _fields(value: Any, always: Set[str], maybe: Set[str], where: str) -> Fields:
    """The fields of an object. One that this version does not know may be of a newer version."""
    if isinstance(value, dict) and len(value) > len(always) and (unknown := sorted(value.keys() - always - maybe)):
        raise InputError("bad-lock", f"{where}: unknown field {unknown[0]!r:.80}", _NEWER)
    return Fields.of(value, always, where, _bad, maybe)


def _kind_findings(item: Item) -> Iterable[LockFinding]:
    kind = known_kinds.find(item.kind)
    return () if kind is None else kind.findings(item)


def _document(document: Any, where: str) -> tuple[str, list[Item], list[LockFinding], Digest | None]:
    if not isinstance(document, dict) or document.get("kind") != "Lock":
        raise ValueError("its kind is not Lock")
    top = _fields(document, {"apiVersion", "kind", "metadata", "items"}, {"findings", "promotedFrom"}, where)
    version = top.text("apiVersion", MAX_NAME)
    if version != API_VERSION:
        raise InputError("bad-lock", f"{where}: got {version:.80} Lock, expected {API_VERSION} Lock", _NEWER)
    name = _fields(top.values["metadata"], {"name"}, frozenset(), f"{where}: metadata").text("name", MAX_NAME)
    items = [_item(value, where) for value in top.items("items")]
    findings = _findings(top, items, where) if top.has("findings") else []
    promoted = top.digest("promotedFrom") if top.has("promotedFrom") else None
    if (promoted is not None) != any(one.quarantined for one in findings):
        raise _bad(f"{where}: promotedFrom: expected exactly where findings say {QUARANTINED}")
    return name, items, findings, promoted


def _findings(top: Fields, items: Sequence[Item], where: str) -> list[LockFinding]:
    """The findings. Those about an item of the lock are what its kind finds in it: no more, and no other."""
    values = top.items("findings")
    if not 1 <= len(values) <= MAX_FINDINGS:
        raise _bad(f"{where}: findings: got {len(values)}, expected 1 to {MAX_FINDINGS}, or no such field")
    found = [_finding(value, f"{where}: findings[{n}]") for n, value in enumerate(values)]
    names = {item.name for item in items}
    within = {one for item in items for one in _kind_findings(item)}
    stray = next((one for one in found if one.item in names and one not in within), None)
    if stray is not None:
        raise _bad(f"{where}: findings: {stray.code} about {stray.item!r:.80}, but this item does not say so")
    return found


def _finding(value: Any, where: str) -> LockFinding:
    read = _fields(value, {"item", "code", "detail"}, frozenset(), where)
    code = read.text("code", MAX_NAME)
    if not CODE.match(code):
        raise _bad(f"{where}: code: got {code!r:.80}, expected a code such as not-found")
    return LockFinding(read.text("item", MAX_FOUND_ITEM), code, read.text("detail", MAX_DETAIL))


_DESCRIPTOR = frozenset({"mediaType", "digest", "size"})


def _descriptor(read: Fields) -> Descriptor:
    artifact_type = read.text("artifactType", MAX_MEDIA_TYPE) if read.has("artifactType") else ""
    media_type = read.text("mediaType", MAX_MEDIA_TYPE)
    return Descriptor(media_type, read.digest("digest"), read.number("size"), artifact_type=artifact_type)


def _root(read: Fields, name: str) -> Descriptor | None:
    if not read.has(name):
        return None
    return _descriptor(_fields(read.values[name], _DESCRIPTOR, frozenset(), read.at(name)))


def _attached(value: Any, where: str) -> Attached:
    read = _fields(value, _DESCRIPTOR | {"subject", "how"}, {"tag", "artifactType"}, where)
    how = read.choice("how", {"referrer", "tag"})
    if (how == "tag") != read.has("tag"):
        raise _bad(f"{where}: how: got {how!r}, expected referrer, or tag with a tag")
    tag = check_tag(read.text("tag"), where) if how == "tag" else ""
    return Attached(read.digest("subject"), how, _descriptor(read), tag)


def _file(value: Any, where: str) -> LockedFile:
    read = _fields(value, {"path", "digest", "size"}, frozenset(), where)
    return LockedFile(check_path(read.text("path", MAX_PATH), where), read.digest("digest"), read.number("size"))


def _item(value: Any, where: str) -> Item:
    if not isinstance(value, dict):
        raise _bad(f"{where}: got {type(value).__name__}, expected an object")
    kind = known_kinds.find(value.get("kind"))
    where = f"{where}: {value.get('kind')!r:.80} {value.get('name')!r:.80}"
    if kind is None:
        raise InputError("bad-lock", f"{where}: unknown kind", _NEWER)
    wanted = kind.item_fields
    read = _fields(value, _COMMON | wanted.always, wanted.maybe, where)
    item = Item(
        name=_name(read),
        kind=kind.name,
        source=read.text("source", MAX_SOURCE),
        root=_root(read, "root"),
        bytes=read.number("bytes") if read.has("bytes") else 0,
        phase=read.choice("phase", frozenset(PHASES)) if read.has("phase") else "",
        platforms=tuple(read.texts("platforms", MAX_NAME)) if read.has("platforms") else (),
        inside=_root(read, "inside"),
        attached=tuple(_attached(one, read.at("attached")) for one in _list(read, "attached")),
        converted=read.flag("converted") if read.has("converted") else False,
        refs=_refs(read) if read.has("refs") else {},
        head=_text(read, "head", MAX_PATH),
        lfs=read.flag("lfs") if read.has("lfs") else None,
        revision=_text(read, "revision", MAX_NAME),
        licence=_text(read, "licence", MAX_NAME),
        files=tuple(_file(one, read.at("files")) for one in _list(read, "files")),
        path=check_path(read.text("path", MAX_PATH), where) if read.has("path") else "",
        asked=_asked(read, wanted.asked) if read.has("asked") else {},
        more={key: value[key] for key in value if key not in _FIELDS},
    )
    check_locked(item, where)
    kind.check_names(item, where)
    kind.check_item(item, where)
    return item


_FIELDS = frozenset(one.name for one in fields(Item)) - {"more"}


def _name(read: Fields) -> str:
    name = read.text("name", MAX_ITEM_NAME)
    if re.search(r"\s", name):
        raise _bad(f"{read.at('name')}: got {name!r:.80}, expected a name without spaces")
    return name


def _text(read: Fields, name: str, most: int) -> str:
    return read.text(name, most) if read.has(name) else ""


def _list(read: Fields, name: str) -> list[Any]:
    return read.items(name) if read.has(name) else []


def _refs(read: Fields) -> dict[str, str]:
    found = read.values["refs"]
    if not isinstance(found, dict):
        raise _bad(f"{read.at('refs')}: got {type(found).__name__}, expected an object")
    for ref, oid in found.items():
        good = isinstance(oid, str) and ref.startswith("refs/") and len(ref) <= MAX_PATH and _OID.match(oid)
        if not good:
            raise _bad(f"{read.at('refs')}: {ref!r:.80} → {oid!r:.80} is not a full ref name and an object id")
    return dict(found)


def _asked(read: Fields, wanted: Mapping[str, type]) -> dict[str, str | list[str]]:
    said = _fields(read.values["asked"], frozenset(), wanted.keys(), read.at("asked"))
    return {
        key: said.texts(key, MAX_SOURCE) if wanted[key] is list else said.text(key, MAX_SOURCE) for key in said.values
    }


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
            f"{where}: {path!r:.300} is not a plain relative path",
            "use names without empty, `.` or `..` parts, backslashes or control characters, each part up to 255 bytes",
        )
    return str(path)
