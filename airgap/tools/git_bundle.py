"""Git bundles: written with airgap's own header, and unpacked so that every object is checked.

`git bundle verify` detects neither a flipped byte nor a truncated end, and `git fetch BUNDLE` ignores
transfer.fsckObjects before git 2.46. Therefore the pack goes to `git index-pack --strict`, which hashes every object,
checks its content, and checks that all objects it refers to exist. Source: gitformat-bundle(5).
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from airgap.base.digest import CHUNK, Digest
from airgap.base.disk import disk_errors
from airgap.base.errors import IntegrityError, PrerequisiteError, StoreError, TooLargeError
from airgap.content.graph import Descriptor, Source
from airgap.content.verified import verified
from airgap.tools.git import LONG
from airgap.tools.git_faults import failure, shown
from airgap.tools.git_refs import check_refs, is_oid
from airgap.tools.git_repository import BareRepository, difference
from airgap.tools.git_settings import TOLERATED
from airgap.tools.limits import Limits

MAX_HEADER = 64 << 20
"""Bytes of a bundle's header: 200,000 refs with long names."""
_MAX_LINE = 2048


@dataclass(frozen=True, slots=True)
class Header:
    """Refs, the target of HEAD (`""` if none), the commits that the bundle requires, and the offset of the pack."""

    refs: Mapping[str, str]
    head_oid: str
    prerequisites: tuple[str, ...]
    offset: int


def write_bundle(
    repository: BareRepository, path: Path, refs: Mapping[str, str], head: str, without: Iterable[str] = ()
) -> tuple[Digest, int]:
    """Writes everything that `refs` reach to the file `path`; returns its digest and its size in bytes.

    What `without` (object ids) reach is left out: the bundle then requires the commits on which its own are based, and
    can contain objects as differences from theirs. The same repository with the same packs gives the same bytes: one
    thread, refs sorted. `head` names the ref that HEAD points to, so that the bundle can be cloned. Raises
    `IntegrityError`, `StoreError`, `ToolError`.
    """
    sha256 = repository.object_format() == "sha256"
    lines = ["# v3 git bundle", "@object-format=sha256"] if sha256 else ["# v2 git bundle"]
    wanted, without = sorted(set(refs.values())), sorted(set(without))
    lines += [f"-{oid} " for oid in repository.boundary(wanted, without)]
    lines += [f"{oid} {name}" for name, oid in sorted(refs.items())]
    if head in refs:
        lines.append(f"{refs[head]} HEAD")
    with repository.git.start(
        "pack-objects",
        "--quiet",
        "--revs",
        "--stdout",
        "--delta-base-offset",
        "--threads=1",
        "--no-use-bitmap-index",
        *(("--thin",) if without else ()),
        repository=repository.path,
        stdin=difference(wanted, without),
    ) as running:
        piece = ("\n".join(lines) + "\n\n").encode()
        hasher, size = hashlib.sha256(), 0
        with disk_errors(path), path.open("wb") as file:
            while piece:
                hasher.update(piece)
                size += file.write(piece)
                piece = running.stdout.read(CHUNK)
        running.finish()
    return Digest.from_hash(hasher), size


def read_header(file: BinaryIO, where: str) -> Header:
    """Reads a bundle's header from its beginning. Raises `IntegrityError` (`bad-bundle`)."""
    signature = file.readline(_MAX_LINE)
    if signature not in (b"# v2 git bundle\n", b"# v3 git bundle\n"):
        raise IntegrityError("bad-bundle", f"{where}: not a Git bundle of version 2 or 3")
    refs: dict[str, str] = {}
    prerequisites: list[str] = []
    head_oid = ""
    while (line := file.readline(_MAX_LINE)) != b"\n":
        text = line.decode(errors="backslashreplace").rstrip("\n")
        oid, _, name = text.removeprefix("-").partition(" ")
        if not line.endswith(b"\n") or file.tell() > MAX_HEADER:
            raise IntegrityError("bad-bundle", f"{where}: the header is incomplete")
        if text in ("@object-format=sha1", "@object-format=sha256"):
            continue
        if not is_oid(oid):
            # Also for `@filter=…`: a bundle of a filtered repository is incomplete.
            raise IntegrityError("bad-bundle", f"{where}: unknown header line {text[:80]!r}")
        if text.startswith("-"):
            prerequisites.append(oid)
        elif name == "HEAD":
            head_oid = oid
        else:
            refs[name] = oid
    return Header(check_refs(refs, where, IntegrityError), head_oid, tuple(prerequisites), file.tell())


def header_of(bundle: Descriptor, source: Source) -> Header:
    """The header of a bundle in a store. Nobody has hashed it. Raises `IntegrityError` (`bad-bundle`), `StoreError`."""
    with io.BufferedReader(cast("io.RawIOBase", source.open(bundle))) as file:
        return read_header(cast("BinaryIO", file), str(bundle.digest))


def unpack_bundle(repository: BareRepository, path: Path) -> Header:
    """Adds the objects of the bundle `path` to `repository`, after checking each; the caller sets the refs.

    Raises `IntegrityError` (`bad-bundle`, `git-prerequisite`, `git-corrupt`, `too-large`).
    """
    tolerated = ",".join(f"{name}=ignore" for name in TOLERATED)
    with path.open("rb") as file:
        header = read_header(file, path.name)
        missing = set(header.prerequisites) - repository.has(header.prerequisites)
        if missing:
            raise PrerequisiteError(
                "git-prerequisite",
                f"{path.name}: {len(missing)} commits that it requires are missing (first: {min(missing)})",
                "import the previous delivery first",
            )
        # The program reads from the descriptor, not from Python's buffer.
        os.lseek(file.fileno(), header.offset, os.SEEK_SET)
        done = repository.git.run(
            "index-pack",
            "--stdin",
            "--fix-thin",
            f"--strict={tolerated}",
            "--threads=1",
            repository=repository.path,
            stdin=file,
            timeout=LONG,
            ok=(),
            limits=Limits.of_pack(os.fstat(file.fileno()).st_size - header.offset, repository.size()),
        )
    if done.status != 0:
        fault = failure("index-pack", done.status, done.stderr)
        if isinstance(fault, StoreError | TooLargeError):
            raise fault.with_where(path.name)
        # The command only reads a local file: a fault that looks like a broken connection is a truncated bundle.
        raise IntegrityError(
            "git-corrupt",
            f"{path.name}: objects are damaged, malformed or missing: {shown(done.stderr)}",
            "get the bundle again from its source",
        )
    absent = set(header.refs.values()) - repository.has(header.refs.values())
    if absent:
        raise IntegrityError(
            "git-corrupt", (f"{path.name}: a ref names {min(absent)}, but the bundle does not contain it")
        )
    return header


def copy_out(source: Source, descriptor: Descriptor, path: Path) -> None:
    """Copies a blob from a store to the file `path`, verified. Raises `IntegrityError`, `StoreError`."""
    with disk_errors(path), verified(source.open(descriptor), descriptor) as stream, path.open("wb") as file:
        shutil.copyfileobj(stream, file, CHUNK)
