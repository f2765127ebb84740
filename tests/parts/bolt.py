"""Writes databases of bbolt, so that tests make vulnerability databases of their own.

Source: go.etcd.io/bbolt, internal/common: page.go, meta.go, bucket.go. Every bucket is one leaf page, of any length:
readers need no more, and the same tree gives the same bytes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

PAGE = 4096
META, FREELIST, LEAF = 0x04, 0x10, 0x02
BUCKET = 0x01
MAGIC, VERSION = 0xED0CDAED, 2
FIRST = 4
"""The first page after both metas, the freelist and the spare page of a new file."""

Tree = Mapping[str, "Tree | bytes"]


def bolt(tree: Tree) -> bytes:
    """The file of a database: buckets by their names, in them buckets or values by their keys."""
    pages = list[bytes]()
    root = _bucket(tree, pages)
    freelist = _page(2, FREELIST, 0, b"")
    end = FIRST + sum(len(page) // PAGE for page in pages)
    metas = [_page(number, META, 0, _meta(root, end, number)) for number in (0, 1)]
    return b"".join([*metas, freelist, bytes(PAGE), *pages])


def as_json(tree: Mapping[str, Any], depth: int) -> Tree:
    """A tree whose maps are buckets down to `depth`, and JSON values below."""
    made = dict[str, "Tree | bytes"]()
    for name, value in tree.items():
        deeper = depth if depth <= 1 else depth - 1
        made[name] = as_json(value, deeper) if depth > 1 else json.dumps(value, separators=(",", ":")).encode()
    return made


def _bucket(tree: Tree, pages: list[bytes]) -> int:
    """Adds the pages of a bucket, those in it first; returns the number of its own page."""
    entries = list[tuple[int, bytes, bytes]]()
    for name, value in tree.items():
        if isinstance(value, bytes):
            entries.append((0, name.encode(), value))
        else:
            entries.append((BUCKET, name.encode(), struct.pack("<QQ", _bucket(value, pages), 0)))
    entries.sort(key=lambda entry: entry[1])
    heads, data, at = [], [], 16 * len(entries)
    for index, (flags, key, value) in enumerate(entries):
        heads.append(struct.pack("<IIII", flags, at - 16 * index, len(key), len(value)))
        data += [key, value]
        at += len(key) + len(value)
    number = FIRST + sum(len(page) // PAGE for page in pages)
    pages.append(_page(number, LEAF, len(entries), b"".join([*heads, *data])))
    return number


def _page(number: int, flags: int, count: int, body: bytes) -> bytes:
    size = 16 + len(body)
    whole = -(-size // PAGE)
    return struct.pack("<QHHI", number, flags, count, whole - 1) + body + bytes(whole * PAGE - size)


def _meta(root: int, end: int, transaction: int) -> bytes:
    body = struct.pack("<IIIIQQQQQ", MAGIC, VERSION, PAGE, 0, root, 0, 2, end, transaction)
    return body + struct.pack("<Q", _fnv(body))


def _fnv(data: bytes) -> int:
    """FNV-1a with 64 bits."""
    found = 0xCBF29CE484222325
    for byte in data:
        found = (found ^ byte) * 0x100000001B3 % 2**64
    return found
