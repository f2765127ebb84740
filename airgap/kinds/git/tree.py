"""The files of a packed repository, for scanners: those in the tree of each ref, each content once.

git lists and reads them; memory grows only by the ids of the blobs, about 100 bytes for each. Content comes in one
stream, so that no file costs a process.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from airgap.base.digest import CHUNK
from airgap.base.disk import disk_errors
from airgap.base.errors import IntegrityError
from airgap.base.streams import read_limited
from airgap.base.text import one_line
from airgap.content.forms import Refs
from airgap.content.graph import Descriptor
from airgap.content.scan_finding import ScanFinding
from airgap.content.scan_subject import SubjectFile
from airgap.kinds.subjects import blob_file, not_read, piece
from airgap.tools.git import Git
from airgap.tools.git_content import unpack_whole
from airgap.tools.git_refs import object_format
from airgap.tools.git_repository import BareRepository
from airgap.tools.lfs import MAX_POINTER, parse_pointer

MAX_PATH = 1 << 16
"""Bytes of a path in a tree, with what git writes before it: Linux opens paths of up to 4 KiB."""
MAX_REPORTED = 1000
"""LFS objects that are not carried and that findings name."""


class GitTrees:
    """The trees of the refs in `form`, unpacked below `work` when they are first asked for. Thread-safe."""

    def __init__(self, form: Refs, work: Path) -> None:
        self._form = form
        self._work = work.absolute()  # git runs in another folder
        self._lock = threading.Lock()
        self._ready: _Listed | None = None

    def files(self) -> Iterator[SubjectFile]:
        """Each blob in the trees, with the first ref and path that has it: `refs/heads/main/README.md`.

        A pointer to an LFS object that is carried stands for its content. Raises `IntegrityError` (`git-corrupt`, …),
        `StoreError`, `ToolError`.
        """
        carried = {layer.digest.hex: layer for layer in self._form.lfs}
        for path, content, size in self._blobs(self._listed().all):
            if size < MAX_POINTER:
                data = read_limited(content, size)
                layer = _pointed_at(data, carried)
                yield blob_file(self._form.source, path, layer) if layer else _small(path, data)
            else:
                part, opened = piece(content.read, size)
                yield SubjectFile(path, size, opened)
                part.end()

    def coverage(self) -> Iterator[ScanFinding]:
        """The LFS objects to which a file points and that are not carried: nobody can look into them."""
        carried = {layer.digest.hex for layer in self._form.lfs}
        reported = 0
        for path, content, size in self._blobs(self._listed().small):
            found = parse_pointer(read_limited(content, size))
            if found is None or not found[1] or found[0] in carried:
                continue
            reported += 1
            if reported > MAX_REPORTED:
                yield not_read("lfs-not-carried", f"more than {MAX_REPORTED} LFS objects are not carried")
                return
            yield not_read("lfs-not-carried", f"LFS object {found[0]} is not carried, and nobody looked into it", path)

    def _listed(self) -> _Listed:
        with self._lock:
            if self._ready is None:
                self._ready = self._list()
            return self._ready

    def _list(self) -> _Listed:
        """Unpacks the bundles, and lists the blobs of the refs' trees."""
        form, work = self._form, self._work
        with disk_errors(work):
            work.mkdir(parents=True, exist_ok=True)
        repository = BareRepository(Git(work), work / "repository.git")
        repository.create(object_format(form.refs.values()))
        unpack_whole(form, repository, work / "bundle")
        repository.set_refs(form.refs)
        made = _Listed(repository, _List(work / "all"), _List(work / "small"))
        with disk_errors(work):
            _write(made.all, _paths(repository, form))
            _write(made.small, _below(repository, made.all, MAX_POINTER))
        return made

    def _blobs(self, listed: _List) -> Iterator[tuple[str, BinaryIO, int]]:
        """Path, content and size of each blob of a list. The next one begins after the content was read whole."""
        repository = self._listed().repository
        with (
            disk_errors(self._work),
            listed.oids.open("rb") as oids,
            listed.paths.open("rb") as paths,
            repository.git.start("cat-file", "--batch", "--buffer", repository=repository.path, stdin=oids) as running,
        ):
            out, named = running.stdout, _fields(paths)
            while header := out.readline(MAX_PATH):
                path = _shown(next(named))
                _, kind, size = header.split()
                if kind != b"blob":
                    raise _corrupt(f"{one_line(path)}: got a {kind.decode()}, expected a blob")
                yield path, out, int(size)
                out.read(1)
            running.finish()


@dataclass(frozen=True, slots=True)
class _List:
    """Two files in one order: object ids, one a line, and paths, each ended by a zero byte."""

    stem: Path

    @property
    def oids(self) -> Path:
        return self.stem.with_suffix(".oids")

    @property
    def paths(self) -> Path:
        return self.stem.with_suffix(".paths")


@dataclass(frozen=True, slots=True)
class _Listed:
    repository: BareRepository
    all: _List
    small: _List
    """The blobs that are small enough for a pointer."""


def _write(to: _List, blobs: Iterator[tuple[bytes, bytes]]) -> None:
    with to.oids.open("wb") as oids, to.paths.open("wb") as paths:
        for oid, path in blobs:
            oids.write(oid + b"\n")
            paths.write(path + b"\0")


def _paths(repository: BareRepository, form: Refs) -> Iterator[tuple[bytes, bytes]]:
    """Each blob in the trees of the refs, and the first path that has it. One ref is compared with the one before it.

    Links are small files with their target; submodules are other repositories, and left out.
    """
    seen = set[bytes]()
    trees = list[tuple[str, str]]()
    for ref, kind, oid in _tops(repository, form):
        if kind == "tree":
            trees.append((ref, oid))
        elif kind == "blob" and bytes.fromhex(oid) not in seen:
            seen.add(bytes.fromhex(oid))
            yield oid.encode(), ref.encode()
    if not trees:
        return
    empty = repository.git.run("hash-object", "-t", "tree", "--stdin", repository=repository.path).stdout.decode()
    pairs = zip([empty.strip(), *(tree for _, tree in trees)], trees, strict=False)
    stdin = "".join(f"{before} {tree}\n" for before, (_, tree) in pairs).encode()
    with repository.git.start(
        *("diff-tree", "--stdin", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff", "--diff-filter=AMT"),
        repository=repository.path,
        stdin=stdin,
    ) as running:
        at = -1
        fields = _fields(running.stdout)
        for field in fields:
            *headers, entry = field.split(b"\n")
            at += len(headers)
            if not entry:
                continue
            _, mode, _, blob, _ = entry.split(b" ")
            path = next(fields)
            key = bytes.fromhex(blob.decode())
            if mode != b"160000" and key not in seen:
                seen.add(key)
                yield blob, trees[at][0].encode() + b"/" + path
        running.finish()


def _tops(repository: BareRepository, form: Refs) -> Iterator[tuple[str, str, str]]:
    """What each ref names in the end: (ref, `tree` or `blob`, id). The tree of a commit stands for it."""
    tops = list(zip(form.refs, _check(repository, [f"{oid}^{{}}" for oid in form.refs.values()]), strict=True))
    commits = list(dict.fromkeys(oid for _, (oid, kind) in tops if kind == "commit"))
    trees = dict(zip(commits, _check(repository, [f"{oid}^{{tree}}" for oid in commits]), strict=True))
    for ref, (oid, kind) in tops:
        yield (ref, "tree", trees[oid][0]) if kind == "commit" else (ref, kind, oid)


def _check(repository: BareRepository, names: list[str]) -> list[tuple[str, str]]:
    """Id and type of each object."""
    stdin = "".join(f"{name}\n" for name in names).encode()
    done = repository.git.run(
        *("cat-file", "--batch-check=%(objectname) %(objecttype)", "--buffer"), repository=repository.path, stdin=stdin
    )
    return [(oid, kind) for oid, _, kind in (line.partition(" ") for line in done.stdout.decode().splitlines())]


def _below(repository: BareRepository, listed: _List, limit: int) -> Iterator[tuple[bytes, bytes]]:
    """Those of a list that have less than `limit` bytes."""
    with (
        listed.oids.open("rb") as oids,
        listed.paths.open("rb") as paths,
        repository.git.start(
            *("cat-file", "--batch-check=%(objectname) %(objectsize)", "--buffer"),
            repository=repository.path,
            stdin=oids,
        ) as running,
    ):
        named = _fields(paths)
        while line := running.stdout.readline(MAX_PATH):
            oid, size = line.split()
            path = next(named)
            if int(size) < limit:
                yield oid, path
        running.finish()


def _fields(stream: BinaryIO) -> Iterator[bytes]:
    """What stands before each zero byte. Raises `IntegrityError` (`git-corrupt`) if a field is too long."""
    rest = b""
    while data := stream.read(CHUNK):
        *fields, rest = (rest + data).split(b"\0")
        yield from fields
        if len(rest) > MAX_PATH + CHUNK:
            raise _corrupt(f"a path has more than {MAX_PATH} bytes")


def _pointed_at(data: bytes, carried: Mapping[str, Descriptor]) -> Descriptor | None:
    found = parse_pointer(data)
    return None if found is None else carried.get(found[0])


def _small(path: str, data: bytes) -> SubjectFile:
    return SubjectFile(path, len(data), lambda: io.BytesIO(data))


def _shown(path: bytes) -> str:
    """A path as text. Backslashes are doubled, so that no two paths become one."""
    return path.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def _corrupt(what: str) -> IntegrityError:
    return IntegrityError("git-corrupt", what, "get the bundle again from its source")
