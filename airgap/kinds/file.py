"""Plain files: one layer whose digest the request gives, so the root is known when locking."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.digest import Digest, hash_stream
from airgap.base.errors import DamageError, InputError
from airgap.content.bound import LOCK_AGAIN, check_derived, measure, not_as_locked
from airgap.content.forms import Tree, named_layers
from airgap.content.graph import ANNOTATION_TITLE, EMPTY_BLOB, OCI_EMPTY, Descriptor, Opener, Source
from airgap.content.item import Item, LockedFile
from airgap.content.known_kinds import ItemFields
from airgap.kinds.kind import Kind
from airgap.kinds.references import PHASE, phase_notes
from airgap.net.origin import redact
from airgap.resources.fields import given, one_of, spec, spec_map
from airgap.resources.parts import ALLOW_SECRETS, FILE, ITEM_NAME, SHA256
from airgap.resources.problems import quoted
from airgap.resources.references import path_complaint, plain_path_complaint, url_complaint
from airgap.resources.shapes import Place, Text
from airgap.store.gathered import Gathered, artifact, hash_local, open_file
from airgap.store.memory import Memory
from airgap.store.tree_secrets import check_found, read_head, secret_in

if TYPE_CHECKING:
    from airgap.net.http import Client
    from airgap.store.locate import Reach

FILE_TYPE = "application/vnd.airgap.file.v1"
LAYER = "application/octet-stream"
HEAD_ATTEMPTS = 2
"""Attempts of a HEAD; the GET that follows a failed HEAD has all of the client's attempts."""


def _size(http: Client, url: str, expected: Digest) -> int:
    """Content-Length of a HEAD; where there is none, the file is read once, counted and hashed."""
    # Links that are signed for GET answer HEAD with 403, some servers with 405: the GET then shows the cause.
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
            "this is not the requested file: correct `sha256:` in the request, or get the right file",
        )


def _layer(file: LockedFile) -> Descriptor:
    return Descriptor(LAYER, file.digest, file.size, {ANNOTATION_TITLE: file.path})


def _graph(file: LockedFile) -> tuple[Memory, Descriptor]:
    return artifact(FILE_TYPE, (OCI_EMPTY, EMPTY_BLOB), [_layer(file)])


def _phase(phase: str) -> str:
    """The phase in a lock: only `seed` is written, so that locks of files without it stay as they are."""
    return phase if phase == "seed" else ""


def _file(item: Item) -> LockedFile:
    if len(item.files) != 1:
        raise InputError("bad-lock", f"file {item.name!r}: the lock lists {len(item.files)} files, expected one")
    return item.files[0]


@spec_map(
    "a map with the file's url, sha256 and path",
    one_of=one_of("url", "file"),
)
class FileRequest:
    """A file by https URL or local path. `sha256` is 64 hex digits; `path` is where it goes in the bucket."""

    url: str = spec(Text("an https URL", least=1, complaint=url_complaint), default="")
    file: Path | None = spec(FILE, default=None)
    sha256: str = spec(SHA256)
    path: str = spec(
        Text("a path in the bucket, such as k3s/v1.31/k3s", least=1, complaint=path_complaint),
        "A relative path without `.` and `..`.",
    )
    name: str = spec(ITEM_NAME, "Default: the path.", default="")
    phase: str = spec(PHASE, default="registry")
    allow_secrets: tuple[str, ...] = spec(ALLOW_SECRETS, name="allowSecrets", default=())
    where: str = given("where", default="")

    def checked(self, at: Place) -> FileRequest:
        """The entry. Its name is the path by default. Reports a path that another entry uses as a file or folder."""
        if at.once(self.path, f"the path {quoted(self.path)}", "path"):
            section = at.steps[:-1]
            here, files = (*at.steps, "path"), at.reader.taken((*section, "path"))
            parts = self.path.split("/")
            for folder in ("/".join(parts[:count]) for count in range(1, len(parts))):
                at.reader.taken((*section, "folder", folder))[self.path] = here
                if folder in files:
                    at.bad(f"{quoted(folder)} is already a file ({at.reader.at(files[folder])})", "path")
            for steps in at.reader.taken((*section, "folder", self.path)).values():
                at.reader.bad(steps, f"{quoted(self.path)} is already a file ({at.reader.at(here)})")
        if self.allow_secrets and self.file is None:
            at.bad("only for a local file: what a URL gives is not looked at", "allowSecrets")
        for pattern in self.allow_secrets:
            if not fnmatch.fnmatch(self.path, pattern):
                at.bad(f"{quoted(pattern)} does not match the path {quoted(self.path)}", "allowSecrets")
        return replace(self, name=self.name or self.path)


class FileKind(Kind[FileRequest]):
    """A file by URL or path, with a digest that the request gives."""

    name = "file"
    artifact_type = FILE_TYPE
    section = "files"
    section_title = "a list of plain files"
    request = FileRequest
    item_fields = ItemFields(
        frozenset({"root", "bytes", "files", "path"}), frozenset({"asked", "phase"}), {"allowSecrets": list}
    )
    path_prefixes = ("file:",)

    def origin(self, asked: FileRequest) -> str:
        """The URL, or `file:` and the path."""
        return asked.url or f"file:{asked.file}"

    def said(self, asked: FileRequest) -> Mapping[str, Any]:
        """Digest, path and phase."""
        return {"sha256": asked.sha256, "path": asked.path, "phase": _phase(asked.phase)}

    def pinned(self, item: Item) -> Mapping[str, Any]:
        """Digest, path and phase."""
        return {"sha256": item.files[0].digest.hex if item.files else "", "path": item.path, "phase": item.phase}

    def resolve(self, asked: FileRequest, reach: Reach) -> Item:
        """Pins a file: asks for its size in bytes; its digest is the one in the request.

        Raises `IntegrityError` when a file that was read here has another digest, `InputError`, `NotFoundError`,
        `UpstreamError`.
        """
        expected = Digest(f"sha256:{asked.sha256}")
        if asked.file is not None:
            found, size = hash_local(asked.file)
            _agree(str(asked.file), found, expected)
            if not asked.allow_secrets:
                self._check_secret(asked, asked.file)
            source = f"file:{asked.file}"
        else:
            size, source = _size(reach.http, asked.url, expected), asked.url
        locked = LockedFile(asked.path, expected, size)
        root = _graph(locked)[1]
        total = size + root.size + len(EMPTY_BLOB)
        return Item(asked.name, "file", source, root, total, _phase(asked.phase), files=(locked,), path=asked.path)

    def unwritten(self, asked: FileRequest, reach: Reach) -> Mapping[str, str | list[str]]:
        """That it may contain a secret."""
        return {"allowSecrets": sorted(asked.allow_secrets)} if asked.allow_secrets else {}

    def _check_secret(self, asked: FileRequest, file: Path) -> None:
        """By its name here and by the one that it gets. Raises `InputError` (`secret-in-tree`)."""
        head = read_head(file)
        what = secret_in(file.name, head) or secret_in(asked.path, head)
        check_found(f"file {asked.name!r}", [f"{file}: {what}"] if what else [])

    def source_complaint(self, source: str) -> str:
        """`file:` and a path, or a URL."""
        path = source.removeprefix("file:")
        return plain_path_complaint(path) if path != source else url_complaint(source)

    def inside(self, item: Item) -> str:
        """The path in the bucket."""
        return item.path

    def blobs(self, item: Item) -> Sequence[Descriptor]:
        """Manifest, config and files."""
        memory, root = _graph(_file(item))
        return tuple(measure(memory, root)[1].values())

    def source(self, item: Item, reach: Reach) -> Source:
        """The source: the manifest from memory, the file from its place."""
        file = _file(item)
        opener: Opener = lambda offset: reach.http.open_stream(item.source, offset)  # noqa: E731
        if self.is_local(item):
            opener = open_file(reach.path(item.source.removeprefix("file:")))
        return Gathered(_graph(file)[0], {file.digest: opener})

    def check_item(self, item: Item, where: str) -> None:
        """One file, whose path is the item's, and whose graph has the root and the size that the lock says."""
        file = _file(item)
        if item.path != file.path:
            raise InputError("bad-lock", f"{where}: path: got {item.path!r}, but its file is {file.path!r}", LOCK_AGAIN)
        if item.phase != _phase(item.phase):
            what = f"{where}: phase: got {item.phase!r}, expected seed, or no phase for a file"
            raise InputError("bad-lock", what, LOCK_AGAIN)
        made = _graph(file)[1]
        check_derived(item, made, file.size + made.size + len(EMPTY_BLOB), where)

    def notes(self, item: Item) -> list[str]:
        """A note on its phase."""
        return phase_notes(item)

    def form(self, item: Item, root: Descriptor, source: Source) -> Tree:
        """A tree of one file at the bucket's root, without a pointer."""
        file = _file(item)
        made = _graph(file)[1]
        if root.digest != made.digest:
            raise not_as_locked(item, "root", root.digest, made.digest)
        return Tree(item.name, "files", "", {file.path: _layer(file)}, root, source)

    def thing(self, name: str, root: Descriptor, source: Source) -> Tree:
        """The file, under its path in the bucket."""
        return named_layers(name, root, source, ANNOTATION_TITLE)

    def expect(self, item: Item) -> Tree:
        """The form as the lock alone tells it."""
        return self.form(item, _graph(_file(item))[1], Memory())


KIND = FileKind()
