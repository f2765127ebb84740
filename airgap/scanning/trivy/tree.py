"""Writes the files of a subject where Trivy reads them, so that nothing in the content decides what is looked at.

Tried with 0.59.1 and 0.74.0: Trivy skips the folders `.git`, and `proc`, `sys` and `dev` at the top; a comment
`trivy:ignore:ID` in a chart hides a misconfiguration. Settings of the content (trivy.yaml, .trivyignore,
trivy-secret.yaml) count only in the folder in which it runs, which is another one. Of what helm renders, Trivy checks
files with some ends of names only, and no list of resources; helm installs all of it.
"""

from __future__ import annotations

import codecs
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from airgap.base.disk import GIB, check_free, disk_errors
from airgap.base.text import one_line
from airgap.content.scan_subject import ScanSubject

TOP = "content"
"""The folder in the tree that has the files: so none of them is at the top."""
MAX_NAME = 200
"""Bytes of a part of a path; file systems take 255."""
MAX_DEPTH = 60
"""Parts of a path. A file deeper down is written below `deep/` with its own name."""
HEAD = 8192
"""Bytes by which a file is taken for a text: Trivy looks for secrets in no other."""
_TEMPLATE = re.compile(r"(.*/)?templates/(.*/)?(?!_)[^/]*", re.DOTALL)
_CHECKED = (".yaml", ".yml", ".json", ".tpl", "NOTES.txt")
"""Ends of names of templates that Trivy checks; helm installs no notes."""
_LIST = re.compile(
    rb"""(?m)^[ \t-]*["']?kind["']?[ \t]*:[ \t]*["']?[A-Za-z]*List["']?[ \t\r]*(?:#.*)?$"""
    rb"""|["']kind["']\s*:\s*["'][A-Za-z]*List["']"""
)
"""Where a resource begins that holds others (`kind: List`): who installs it installs each of them."""
_IGNORE = re.compile(rb"(?i)(trivy|tfsec):(?=ignore)")
MAX_CONFIGURATION = 32 << 20
"""Bytes of a file in a chart whose comments are changed: helm itself takes 5 MiB."""
_SKIPPED = (
    *(".jpg", ".png", ".gif", ".doc", ".pdf", ".bin", ".svg", ".socket"),
    *(".deb", ".rpm", ".zip", ".gz", ".gzip", ".tar"),
)
"""Ends of names of files in which Trivy looks for no secrets, even if they are texts."""
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_PIECE = 1 << 20


@dataclass(slots=True)
class WrittenTree:
    """What was written. `name` gives the path in the content for one in the scanner's report."""

    folder: Path
    files: int = 0
    size: int = 0
    """Bytes."""
    largest: int = 0
    templates: bool = False
    """True if it has templates of a chart."""
    lists: list[str] = field(default_factory=list)
    """The files of a chart with a list of resources, into which the scanner does not look."""
    names: dict[str, str] = field(default_factory=dict)
    """The path in the content, where another one was written."""

    def name(self, written: str) -> str:
        """The path in the content."""
        path = written.lstrip("/")
        path = path.removeprefix(f"{self.folder}/".lstrip("/")).removeprefix(f"{TOP}/")
        return self.names.get(path, path)


def write_tree(subject: ScanSubject, folder: Path, *, chart: bool) -> WrittenTree:
    """Writes the texts among the files of a subject below `folder`, which is new; of a chart all of them.

    Raises `StoreError`, `IntegrityError` (damage), and what reading the files raises.
    """
    made = WrittenTree(folder)
    with disk_errors(folder):
        (folder / TOP).mkdir(parents=True)
    for one in subject.files() if subject.files else ():
        if chart and "/templates/" in f"/{one.path}":
            made.templates = True
        with one.open() as stream:
            head = stream.read(HEAD)
            if b"\0" in head and not chart and head[:2] not in _UTF16:
                while stream.read(_PIECE):  # to its end, where it is verified
                    pass
                continue
            if one.size > GIB // 4:
                check_free(folder, one.size, "a file to scan")
            path = _free(folder / TOP, _safe(one.path, made.files, chart=chart), made.files)
            if path != one.path:
                made.names[path] = one_line(one.path)
            with disk_errors(folder):
                size = _write(folder / TOP / path, head, stream, chart=chart)
                if chart and _installed(one.path) and _holds_list(folder / TOP / path):
                    made.lists.append(one_line(one.path))
        made.files += 1
        made.size += size
        made.largest = max(made.largest, size)
    return made


def _write(place: Path, head: bytes, stream: BinaryIO, *, chart: bool) -> int:
    with place.open("xb") as sink:
        if head[:2] in _UTF16 and not chart:
            return _write_text(sink, head, stream)
        if chart:
            data = head + stream.read(MAX_CONFIGURATION - len(head))
            while len(data) < MAX_CONFIGURATION and (piece := stream.read(_PIECE)):
                data += piece
            sink.write(data if b"\0" in head else _IGNORE.sub(rb"\1_", data))
        else:
            sink.write(head)
        while piece := stream.read(_PIECE):
            sink.write(piece)
        return sink.tell()


def _installed(path: str) -> bool:
    """True for what helm renders or takes as it is, and not only keeps."""
    return not {"templates", "crds"}.isdisjoint(path.split("/"))


def _holds_list(path: Path) -> bool:
    """True for a file of a chart that is, or becomes, a list of resources."""
    with path.open("rb") as stream:
        return _LIST.search(stream.read(MAX_CONFIGURATION)) is not None


def _write_text(sink: BinaryIO, head: bytes, stream: BinaryIO) -> int:
    """UTF-16 as UTF-8: the scanner takes it for a binary, and editors of Windows write it."""
    decoder = codecs.getincrementaldecoder("utf-16")("replace")
    piece = head
    while piece:
        sink.write(decoder.decode(piece).encode("utf-8", "replace"))
        piece = stream.read(_PIECE)
    return sink.tell()


def _free(folder: Path, path: str, number: int) -> str:
    """The path, or another one if the tree has it already: as a folder, or by the name of a file that was renamed."""
    with disk_errors(folder):
        try:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            taken = os.path.lexists(folder / path)
        except (FileExistsError, NotADirectoryError):
            taken = True
        if not taken:
            return path
        again = f"again/{number}/{path.rpartition('/')[2]}"
        (folder / again).parent.mkdir(parents=True, exist_ok=True)
    return again


def _safe(path: str, number: int, *, chart: bool) -> str:
    """A path that file systems take and the scanner does not skip; the usual one stays as it is."""
    if chart and _TEMPLATE.fullmatch(path) and not path.endswith(_CHECKED):
        path += ".yaml"
    parts = [_part(part) for part in path.split("/") if part not in ("", ".", "..")] or ["unnamed"]
    if len(parts) > MAX_DEPTH:
        parts = ["deep", str(number), parts[-1]]
    return "/".join(parts)


def _part(part: str) -> str:
    shown = one_line(part)
    if shown in (".git", "node_modules"):
        return f"in {shown}"
    if shown.endswith(_SKIPPED):
        shown += ".txt"
    data = os.fsencode(shown)
    if len(data) <= MAX_NAME:
        return shown
    # The end stays: the scanner goes by it.
    return f"{data[:100].decode(errors='ignore')}~{data[-80:].decode(errors='ignore')}"
