"""Plain files: one layer whose digest the request gives, so the root is known when locking."""

from __future__ import annotations

from urllib.parse import urlsplit

from airgap.base.digest import Digest, hash_stream
from airgap.base.errors import DamageError, InputError
from airgap.content.forms import Tree
from airgap.content.graph import ANNOTATION_TITLE, EMPTY_BLOB, OCI_EMPTY, Descriptor, Opener, Source
from airgap.content.lock import Item, LockedFile
from airgap.net.http import Client
from airgap.net.origin import redact
from airgap.resources.model import FileRequest
from airgap.store.gathered import Gathered, artifact, hash_local, open_file
from airgap.store.locate import Reach
from airgap.store.memory import Memory

FILE_TYPE = "application/vnd.airgap.file.v1"
LAYER = "application/octet-stream"
HEAD_ATTEMPTS = 2
"""The GET that follows a failed HEAD has all the client's attempts."""


def resolve(request: FileRequest, reach: Reach) -> Item:
    """Pins a file: its size in bytes is asked for, its digest is the request's.

    Raises `IntegrityError` when a file that was read here has another digest, `InputError`, `NotFoundError`,
    `UpstreamError`.
    """
    expected = Digest(f"sha256:{request.sha256}")
    if request.file is not None:
        found, size = hash_local(request.file)
        _agree(str(request.file), found, expected)
        source = f"file:{request.file}"
    else:
        size, source = _size(reach.http, request.url, expected), request.url
    locked = LockedFile(request.path, expected, size)
    root = _graph(locked)[1]
    total = size + root.size + len(EMPTY_BLOB)
    return Item(request.name, "file", source, root, total, files=(locked,), path=request.path)


def _size(http: Client, url: str, expected: Digest) -> int:
    """Content-Length of a HEAD; where there is none, the file is read once, counted and hashed."""
    # Links that are signed for GET answer HEAD with 403, some servers with 405: the GET then says what is wrong.
    answer = http.request("HEAD", url, expect=None, attempts=HEAD_ATTEMPTS)
    said = answer.headers.get("Content-Length", "")
    if answer.status == 200 and said.isdigit():
        return int(said)
    with http.open_stream(url) as stream:
        found, size = hash_stream(stream)
    _agree(redact(url), found, expected)
    return size


def _agree(where: str, found: Digest, expected: Digest) -> None:
    if found != expected:
        raise DamageError(
            "digest-mismatch",
            f"{where}: got {found}, expected {expected}",
            "the file is not the one that the request means: correct `sha256:` or the file",
        )


def _layer(file: LockedFile) -> Descriptor:
    return Descriptor(LAYER, file.digest, file.size, {ANNOTATION_TITLE: file.path})


def _graph(file: LockedFile) -> tuple[Memory, Descriptor]:
    return artifact(FILE_TYPE, (OCI_EMPTY, EMPTY_BLOB), [_layer(file)])


def source(item: Item, reach: Reach) -> Source:
    """The manifest in memory, the file where it is."""
    file = _file(item)
    if urlsplit(item.source).scheme in ("http", "https"):
        opener: Opener = lambda offset: reach.http.open_stream(item.source, offset)  # noqa: E731
    else:
        opener = open_file(reach.path(item.source.removeprefix("file:")))
    return Gathered(_graph(file)[0], {file.digest: opener})


def _file(item: Item) -> LockedFile:
    if len(item.files) != 1:
        raise InputError("bad-lock", f"file {item.name!r}: the lock lists {len(item.files)} files, expected one")
    return item.files[0]


def check(item: Item, root: Descriptor, _source: Source) -> list[str]:
    """The root is what the lock's own file list gives."""
    made = _graph(_file(item))[1]
    return [] if made.digest == root.digest else [f"the root is {root.digest}, the lock's file gives {made.digest}"]


def form(item: Item, root: Descriptor, source: Source) -> Tree:
    """A tree of one file at the bucket's root, without a pointer."""
    file = _file(item)
    return Tree(item.name, "files", "", {file.path: _layer(file)}, root, source)


def expect(item: Item) -> Tree:
    """The form as the lock alone tells it."""
    return form(item, _graph(_file(item))[1], Memory())
