"""A statement in few bytes: what the delivery's AIRGAP.json says already is only pointed at.

The far side has that file, so names and digests of it need not travel. Everything else stays as it is, and the exact
bytes that were signed come out again: who shortens a statement restores it, and compares, before it is used. Format:
docs/format.md, "On paper".
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from typing import Any

from airgap.base.canonical import canonical
from airgap.base.digest import Digest, is_digest
from airgap.base.errors import TrustError
from airgap.base.strict_json import parse_json
from airgap.base.zstd import packed, unpacked
from airgap.delivery.index import Index
from airgap.statements.dsse import encode_bundle, open_bundle

VERSION = 1
MAX_STATEMENT = 4 << 20
"""Bytes of a statement that goes on paper: ten thousand items."""
_MARK = "~"
"""How a text begins that points at a name or a digest."""
_AS_IT_IS = "~~"
"""Before a text that could be taken for something else."""
_PART = "\x01"
"""Stands, with the letter after it, for a part of the name of the item that the text is about."""
_SHORTEST = 3
"""Characters of a part that is worth pointing at."""


class _Known:
    """The names and digests of AIRGAP.json, in its order; each is pointed at by its distance from the last one."""

    def __init__(self, index: Index | None) -> None:
        self._items = [root.item for root in index.contents.roots] if index else []
        self._digests = [*index.contents.blobs, *index.contents.omitted] if index else []
        self._item_at = {name: at for at, name in reversed(list(enumerate(self._items)))}
        self._digest_at = {digest: at for at, digest in enumerate(self._digests)}
        self._item, self._digest = -1, -1
        self._room = MAX_STATEMENT

    def shorten(self, value: Any) -> Any:
        """A JSON value with pointers."""
        if isinstance(value, dict):
            return {key: self.shorten(value[key]) for key in _ordered(value)}
        if isinstance(value, list):
            return [self.shorten(one) for one in value]
        return self._short(value) if isinstance(value, str) else value

    def restore(self, value: Any) -> Any:
        """What `shorten` was given. Raises `ValueError`, `IndexError`."""
        if isinstance(value, dict):
            return {key: self.restore(value[key]) for key in _ordered(value)}
        if isinstance(value, list):
            return [self.restore(one) for one in value]
        if not isinstance(value, str):
            return value
        text = self._long(value)
        self._room -= len(text)
        if self._room < 0:  # a pointer of four characters stands for a long name
            raise ValueError(f"it would become larger than {MAX_STATEMENT} bytes")
        return text

    def _short(self, text: str) -> str:
        if (at := self._item_at.get(text)) is not None:
            step, self._item = at - self._item, at
            return f"{_MARK}i{step}"
        if (at := self._digest_at.get(Digest(text)) if is_digest(text) else None) is not None:
            step, self._digest = at - self._digest, at
            return f"{_MARK}d{step}"
        if text.startswith(_MARK) or _PART in text:
            return _AS_IT_IS + text
        if self._item >= 0:
            for letter, part in _parts(self._items[self._item]):
                if part in text:
                    return text.replace(part, _PART + letter, 1)
        return text

    def _long(self, text: str) -> str:
        if text.startswith(_AS_IT_IS):
            return text.removeprefix(_AS_IT_IS)
        if text.startswith(_MARK):
            step = int(text[2:])
            if text[1] == "i":
                self._item = _within(self._item + step, self._items)
                return self._items[self._item]
            self._digest = _within(self._digest + step, self._digests)
            return self._digests[self._digest]
        before, mark, after = text.partition(_PART)
        if not mark:
            return text
        _within(self._item, self._items)
        return before + dict(_parts(self._items[self._item]))[after[:1]] + after[1:]


def _ordered(value: dict[str, Any]) -> Iterator[str]:
    """The keys, `item` first: the other texts of an object are about it."""
    return iter(sorted(value, key=lambda key: (key != "item", key)))


def _within(at: int, some: Sequence[str]) -> int:
    if not 0 <= at < len(some):
        raise ValueError("it points outside of AIRGAP.json")
    return at


def _parts(name: str) -> Iterator[tuple[str, str]]:
    """The parts of an item's name that names inside consist of, the longest first: without its tag, its last segments.

    The letters are `A` for the name without its tag, then `B` without its first segment, and so on; `T` is the tag.
    """
    slash = name.rfind("/")
    colon = name.find(":", slash + 1)
    path, tag = (name, "") if colon < 0 else (name[:colon], name[colon + 1 :])
    for letter in "ABCDEFGH":
        if len(path) >= _SHORTEST:
            yield letter, path
        _, slashed, path = path.partition("/")
        if not slashed:
            break
    if len(tag) >= _SHORTEST:
        yield "T", tag


def shorten(bundle: bytes, index: Index | None, about: Digest | None = None) -> bytes:
    """A signed statement about the delivery of `index` in few bytes; of any other one with `None`.

    `about` is the digest of its AIRGAP.json on the media, if that is not `index`: the outer one, if it is encrypted.

    Raises `TrustError` (`bad-bundle`) for anything that is not a bundle, `InputError` (`missing-extra`).
    """
    envelope = open_bundle(bundle, "the statement", MAX_STATEMENT)
    document: dict[str, Any] = {
        "v": VERSION,
        "sig": base64.b64encode(envelope.signature).decode(),
        "hint": envelope.hint,
    }
    said: dict[str, Any] = {"payload": base64.b64encode(envelope.payload).decode()}
    if canonical(payload := json.loads(envelope.payload)) == envelope.payload:
        said = {"statement": _Known(index).shorten(payload)}
        if index is not None:
            said["about"] = str(about or Digest.of(index.encode()))
    made = packed(canonical({**document, **said}))
    if restore(made, index) != encode_bundle(envelope.payload, envelope.signature, envelope.hint):
        raise RuntimeError("a shortened statement did not come out again")
    return made


def subject_of(data: bytes) -> Digest | None:
    """The digest of the AIRGAP.json that is needed to restore a shortened statement; `None` if none is.

    Raises `TrustError` (`bad-page`).
    """
    about = _document(data).get("about")
    if about is None:
        return None
    if not isinstance(about, str) or not is_digest(about):
        raise _bad("it names no delivery")
    return Digest(about)


def restore(data: bytes, index: Index | None) -> bytes:
    """The signed statement's file, byte for byte as airgap writes it. Raises `TrustError` (`bad-page`)."""
    document = _document(data)
    try:
        signature = base64.b64decode(document["sig"], validate=True)
        if "payload" in document:
            payload = base64.b64decode(document["payload"], validate=True)
        else:
            payload = canonical(_Known(index if "about" in document else None).restore(document["statement"]))
        return encode_bundle(payload, signature, str(document["hint"]))
    except (KeyError, ValueError, TypeError, IndexError, RecursionError) as error:
        raise _bad(f"{type(error).__name__}: {error}"[:200]) from error


def _document(data: bytes) -> dict[str, Any]:
    try:
        document = parse_json(unpacked(data, MAX_STATEMENT), "the page")
    except ValueError as error:
        raise _bad(str(error)) from error
    if not isinstance(document, dict) or document.get("v") != VERSION:
        raise _bad("this version of airgap cannot read it")
    return document


def _bad(why: str) -> TrustError:
    what = f"what the codes contain is no statement: {why}"
    return TrustError("bad-page", what, "scan the page again, or have it printed again")
