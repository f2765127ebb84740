"""Keys of trees: a key that some store would change, hide or confuse is refused before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.content.forms import Tree
from airgap.content.lock import check_path

MAX_KEY = 1024
"""Longest key in bytes: the limit of S3 ("Naming Amazon S3 objects"), and well below PATH_MAX for a directory."""


def check_keys(trees: Iterable[Tree], bucket: Callable[[str], str] = str) -> None:
    """Refuses keys that some store would change, hide or confuse, across all trees of one import.

    `bucket` maps a tree's bucket to that of the destination, because two of them may be the same bucket there.
    Raises `InputError`: `bad-path` (empty, `.` and `..` parts, a leading slash, backslashes, control characters, parts
    over 255 bytes), `key-too-long`, `key-collision` (one key for two contents), `key-conflict` (`file` next to
    `file/sub`).
    """
    seen: dict[tuple[str, str], tuple[str, Digest]] = {}
    for tree in trees:
        for key, digest in _keys(tree):
            check_path(key, f"{tree.item}: key in {tree.bucket}")
            length = len(key.encode())
            if length > MAX_KEY:
                what = f"{tree.item}: {key!r}: got {length} bytes, expected at most {MAX_KEY}"
                raise InputError("key-too-long", what, "shorten the path")
            place = (bucket(tree.bucket), key)
            item, there = seen.setdefault(place, (tree.item, digest))
            if there != digest:
                raise InputError(
                    "key-collision",
                    f"{item} and {tree.item} would both be {key!r} in {place[0]}: got {digest}, expected {there}",
                    "give one of them another path, or leave one out",
                )
    for (place_bucket, key), (item, _digest) in seen.items():
        for folder in folders(key):
            if (place_bucket, folder) in seen:
                raise conflict(item, place_bucket, key, folder)


def conflict(item: str, bucket: str, key: str, other: str) -> InputError:
    """The error for a key that is a folder of another: MinIO would hide one, a directory cannot have both."""
    what = f"{item}: {bucket}: {key!r} and {other!r}: one name cannot be both a file and a folder"
    return InputError("key-conflict", what, "rename one of them")


def folders(key: str) -> Iterator[str]:
    """The folders of a key, outermost first: `a/b/c` → `a`, `a/b`."""
    for position, char in enumerate(key):
        if char == "/":
            yield key[:position]


def _keys(tree: Tree) -> Iterator[tuple[str, Digest]]:
    for path, descriptor in tree.entries.items():
        yield (f"{tree.prefix}/{path}" if tree.prefix else path), descriptor.digest
    if tree.pointer is not None:
        yield tree.pointer[0], Digest.of(tree.pointer[1])
