"""Looks at one file after another: recognises it by its content, reads it, and goes into archives.

Nothing is loaded, and of a large file only the parts are read that describe it. A file may be several things at once;
it is looked at as each of them.
"""

from __future__ import annotations

import fnmatch
import io
import posixpath
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from airgap.base.streams import read_limited
from airgap.base.unpack import BadPackedError, BombError
from airgap.base.untar import BadTarError, TarReader
from airgap.base.unzip import DEFLATED, STORED, BadZipError, ZipEntry, ZipReader
from airgap.content.scan_finding import ScanFinding
from airgap.scanning.models import configs, formats, graphs
from airgap.scanning.models.arrays import check_array
from airgap.scanning.models.blob import Blob, Budget, TooMuchError, unpacked
from airgap.scanning.models.formats import HEAD, Format
from airgap.scanning.models.gguf import check_gguf
from airgap.scanning.models.keras import MAX_CONFIG, check_hdf5, check_keras_config
from airgap.scanning.models.packed import CLOSED, MAX_STREAM, unpacker
from airgap.scanning.models.pickle_machine import PickleSeen
from airgap.scanning.models.pickles import read_pickle, read_pickles
from airgap.scanning.models.rules import Report, finding
from airgap.scanning.models.safetensors import check_safetensors
from airgap.scanning.models.stream import BoundedStream
from airgap.scanning.models.templates import MAX_TEMPLATE, check_template
from airgap.scanning.models.thing import PickleFile, Thing

MAX_ARCHIVE_DEPTH = 5
"""Archives in one another."""
MAX_UNPACKED = 8 << 30
"""Bytes that are unpacked for one subject, all files together."""
MAX_PICKLES = 5000
"""Pickles of one subject of which a second opinion is asked."""
MAX_ASKED_STEPS = 2_000_000
"""Instructions of a pickle for the second opinion: the library keeps each in memory. Measured: 290 MB."""
MAX_ASKED = 256 << 20
"""Bytes of a pickle for the second opinion: the library keeps its texts in memory."""
PICKLES = "pickles"
"""The folder in `work` of the copies."""
MAX_SECONDS = 1800
"""For one subject: a large model takes seconds."""
MAX_FINDINGS = 20_000
"""Findings of one subject."""
MAX_ENTRIES = 500_000
"""Members of an archive: a file of torch has one for each tensor."""
_PIECE = 1 << 20
_POINTER = b"version https://git-lfs.github.com/spec/"
_LENIENT = frozenset({"format-unlisted", "format-mismatch", "code", "hdf5", "keras", "pickle", "tensorflow-graph"})
"""What a pattern of the Station (`models.formats`) lets in."""
_OF_MODELS = frozenset({"pickle", "pickle-trailing", "hdf5", "keras", "tensorflow-graph"})
"""What is said of models only: elsewhere, a format that does nothing this time is no finding."""


class SlowScanError(ValueError):
    """The files take longer than they may."""


@dataclass(slots=True)
class Walk:
    """One look at the files of a subject. `is_model`: every file that is not known as data is a finding."""

    work: Path
    header_limit: int
    allowed: tuple[str, ...] = ()
    is_model: bool = True
    budget: Budget = field(default_factory=lambda: Budget(MAX_UNPACKED))
    findings: list[ScanFinding] = field(default_factory=list)
    pickles: list[PickleFile] = field(default_factory=list)
    data_files: set[str] = field(default_factory=set)
    """Paths of the files that ONNX models keep tensors in."""
    deadline: float = field(default_factory=lambda: time.monotonic() + MAX_SECONDS)

    def look(self, thing: Thing) -> None:
        """Looks at one file. Raises `SlowScanError`, and what the store raises."""
        self._look(thing, 0)

    def found(self) -> list[ScanFinding]:
        """The findings of all files: what an ONNX model keeps its tensors in is known, whichever came first."""
        return [one for one in self.findings if one.id != "format-unlisted" or one.path not in self.data_files]

    def report(self, path: str, rule: str, detail: str) -> None:
        """Adds a finding. Beyond `MAX_FINDINGS`, the last one says that there are more."""
        if not self.is_model and rule in _OF_MODELS:
            return
        if rule in _LENIENT and any(fnmatch.fnmatchcase(path.rsplit("/", 1)[-1], one) for one in self.allowed):
            return
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding(rule, path, detail))
        elif len(self.findings) == MAX_FINDINGS:
            self.findings.append(finding("not-read-limit", "", f"more than {MAX_FINDINGS} findings"))

    def _look(self, thing: Thing, depth: int) -> None:
        report = partial(self.report, thing.path)
        if time.monotonic() > self.deadline:
            raise SlowScanError(f"it takes more than {MAX_SECONDS} s; stopped at {thing.path[:300]}")
        if depth > MAX_ARCHIVE_DEPTH:
            report("not-read-limit", f"more than {MAX_ARCHIVE_DEPTH} archives in one another")
            return
        if not self.is_model and thing.head.startswith(_POINTER):
            return
        found = formats.recognise(thing.head, thing.size)
        try:
            known = self._read(thing, found, report, depth)
        except (TooMuchError, BombError) as error:
            report("not-read-limit", str(error))
            return
        except (BadPackedError, BadZipError) as error:
            if self.is_model:
                report("format-mismatch", str(error))
            return
        if self.is_model and depth == 0:
            self._judge_name(thing, found, report, known=known)

    def _read(self, thing: Thing, found: Format, report: Report, depth: int) -> bool:
        """Looks at it as everything that it is. True if its content is judged by findings, and not by its name."""
        name, known = thing.name, False
        thorough = self.is_model and depth == 0
        if found is Format.ZIP or (
            (thorough or name.endswith(formats.ZIP_ENDINGS)) and self._ends_as_zip(thing, thorough)
        ):
            known |= self._zip(thing, report, depth)
        if found in (Format.TEXT, Format.DATA, Format.SCRIPT) and self._pickles(thing, report):
            return True
        if found is Format.SAFETENSORS or name.endswith(".safetensors"):
            check_safetensors(thing.blob(), self.header_limit, report)
        elif found is Format.GGUF or name.endswith(".gguf"):
            for key, template in check_gguf(thing.blob(), self.header_limit, report).items():
                check_template(template, partial(self.report, f"{thing.path}!{key}"))
        elif found in (Format.TAR, Format.PACKED):
            (self._tar if found is Format.TAR else self._packed)(thing, report, depth)
        elif found in (Format.NUMPY, Format.HDF5):
            known |= (self._array if found is Format.NUMPY else self._hdf5)(thing, report)
        else:
            known |= self._by_name(thing, found, report)
        return known

    def _by_name(self, thing: Thing, found: Format, report: Report) -> bool:
        """What only a name tells."""
        if thing.name.endswith(".onnx"):
            folder = posixpath.dirname(thing.path)
            places = graphs.check_onnx(thing.blob(), report)
            self.data_files |= {posixpath.normpath(posixpath.join(folder, place)) for place in places}
        elif thing.name.endswith(".pb"):
            return self._graph(thing, report)
        elif found is Format.TEXT:
            self._text(thing, report)
        return False

    def _ends_as_zip(self, thing: Thing, thorough: bool) -> bool:
        return formats.ends_as_zip(thing.blob(), thorough=thorough)

    # What a model may have.

    def _judge_name(self, thing: Thing, found: Format, report: Report, *, known: bool) -> None:
        name, wanted = thing.name, formats.expected(thing.name)
        if found is Format.PROGRAM:
            report("program", "")
        elif found is Format.CLOSED:
            kind = next(kind for magic, kind in CLOSED.items() if thing.head.startswith(magic))
            report("not-read-format", kind)
        elif formats.is_code(name, found):
            report("code", "")
        elif wanted is None:
            if not known and thing.size:
                report("format-unlisted", "")
        elif thing.size and (found not in wanted or (known and found in (Format.TEXT, Format.DATA))):
            report("format-mismatch", "a pickle" if known else found.name.lower())

    def _text(self, thing: Thing, report: Report) -> None:
        name = thing.name
        if name.endswith((".jinja", ".jinja2")):
            data = thing.blob().read(0, MAX_TEMPLATE + 1)
            check_template(data.decode("utf-8", "replace"), report)
        elif name in configs.NAMES or name.endswith(".index.json"):
            if not self.is_model and name not in ("config.json", "tokenizer_config.json"):
                return
            if thing.size > configs.MAX_CONFIG:
                report(
                    "not-read-limit", f"a configuration of {thing.size} bytes, expected at most {configs.MAX_CONFIG}"
                )
                return
            data = thing.blob().read(0, thing.size)
            if name.endswith(".index.json"):
                configs.check_index(data, report)
            elif self.is_model or b"auto_map" in data:
                configs.check_config(name, data, report)

    # What may run code.

    def _pickles(self, thing: Thing, report: Report) -> bool:
        """Reads it as pickles; false if it is none."""
        named = self.is_model and (formats.is_named_as_pickle(thing.name) or thing.path.endswith(".pkl"))
        if not named and not self._begins_as_pickle(thing):
            return False
        blob = thing.blob()
        with blob.open() as file:
            found = read_pickles(BoundedStream(file), report, expected=named)
        self._keep(thing.path, blob, found)
        return bool(found)

    def _keep(self, path: str, blob: Blob, found: list[PickleSeen]) -> None:
        """Copies pickles for the second opinion; one that is too large for it is a finding."""
        for seen in found:
            size = seen.end - seen.start
            copy = self.work / f"{PICKLES}/{len(self.pickles)}"
            if seen.steps > MAX_ASKED_STEPS or size > MAX_ASKED or len(self.pickles) >= MAX_PICKLES:
                self.report(
                    path, "not-read-limit", f"pickle {len(self.pickles)}: {seen.steps} instructions, {size} bytes"
                )
                self.pickles.append(PickleFile(path, None, seen))
                continue
            self.budget.spend(size)
            copy.parent.mkdir(exist_ok=True)
            with blob.part(seen.start, size).open() as stream, copy.open("wb") as file:
                shutil.copyfileobj(stream, file, _PIECE)
            self.pickles.append(PickleFile(path, copy, seen))

    def _begins_as_pickle(self, thing: Thing) -> bool:
        """False if the first bytes already break it: most files are told by that."""
        seen = read_pickle(BoundedStream(io.BytesIO(thing.head)))
        return seen.certain or seen.reached or seen.whole or (not seen.limit and seen.end >= len(thing.head))

    def _array(self, thing: Thing, report: Report) -> bool:
        blob = thing.blob()
        start = check_array(blob, report)
        if start is None:
            return False
        inner = blob.part(start, max(0, blob.size - start))
        with inner.open() as file:
            found = read_pickles(BoundedStream(file), report, expected=True)
        self._keep(thing.path, inner, found)
        return True

    def _hdf5(self, thing: Thing, report: Report) -> bool:
        if not check_hdf5(thing.blob(), report):
            report("hdf5", "")
        return True

    def _graph(self, thing: Thing, report: Report) -> bool:
        saved = thing.name == "saved_model.pb"
        before = len(self.findings)
        if not graphs.check_tensorflow(thing.blob(), report, saved=saved):
            return False
        if len(self.findings) == before:
            report("tensorflow-graph", "")
        return True

    # Archives.

    def _zip(self, thing: Thing, report: Report, depth: int) -> bool:
        """Looks at the members; true if there were findings."""
        blob, before, broken = thing.blob(), len(self.findings), ""
        known = False
        with blob.open() as file:
            try:
                reader = ZipReader(file, blob.size, entries=MAX_ENTRIES)
                broken = f"{reader.prefix} bytes stand before it" if reader.prefix else ""
                names = {entry.name for entry in reader}
                if len(names) < len(reader.entries):
                    broken = broken or "two members have one name"
                for entry in reader:
                    self._member(thing, blob, reader, entry, depth)
                if {"config.json", "metadata.json"} <= names:
                    known = self._keras(reader, report)
            except BadZipError as error:
                broken, names = str(error), set()
        if _is_torch(names) and any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
            report("torchscript", "")
        if broken and (self.is_model or thing.name.endswith(formats.ZIP_LOADED)):
            report("zip-broken", broken)
        return known or len(self.findings) > before

    def _member(self, outer: Thing, blob: Blob, reader: ZipReader, entry: ZipEntry, depth: int) -> None:
        path = f"{outer.path}!{entry.name}"
        begin = reader.check(entry)
        if entry.encrypted:
            self.report(path, "not-read-encrypted", "")
        elif entry.method == STORED:
            self._part(path, blob.part(begin, entry.packed), depth)
        elif entry.method == DEFLATED:
            self._unpack(path, entry.size, lambda: reader.open(entry), depth)
        elif self.is_model:
            self.report(path, "not-read-format", f"zip, method {entry.method}")

    def _part(self, path: str, blob: Blob, depth: int) -> None:
        self._look(Thing.of(path, blob), depth + 1)

    def _unpack(self, path: str, size: int, opener: Callable[[], BinaryIO], depth: int) -> None:
        """Looks at what a packed stream gives."""
        try:
            with opener() as stream:
                head = read_limited(stream, HEAD)
        except (BadPackedError, BadZipError) as error:
            if self.is_model:
                self.report(path, "format-mismatch", str(error))
            return

        def make() -> Blob:
            with opener() as stream:
                return unpacked(iter(lambda: stream.read(_PIECE), b""), self.work, self.budget)

        self._look(Thing(path, max(size, len(head)), head, make, opener), depth + 1)

    def _packed(self, thing: Thing, _report: Report, depth: int) -> None:
        make = unpacker(thing.head)
        if make is not None:
            blob = thing.blob()
            self._unpack(f"{thing.path}!", blob.size, lambda: make(blob.open()), depth)

    def _tar(self, thing: Thing, report: Report, depth: int) -> None:
        """Looks at the members in their order; nothing of the others is kept."""
        try:
            with thing.stream() as stream:
                total = thing.size if thing.opener is None else MAX_STREAM
                reader = TarReader(stream, entries=MAX_ENTRIES, total=total, seek=stream.seekable())
                for entry in reader:
                    if entry.type == "file":
                        head = reader.read(HEAD)
                        make = partial(self._rest_of_member, head, reader)
                        self._look(Thing(f"{thing.path}!{entry.name}", entry.size, head, make), depth + 1)
        except BadTarError as error:
            if str(error).startswith("it has "):
                report("not-read-limit", f"a tar archive: {error}")
            elif self.is_model:
                report("format-mismatch", f"a tar archive: {error}")

    def _rest_of_member(self, head: bytes, reader: TarReader) -> Blob:
        pieces = chain([head], iter(lambda: reader.read(_PIECE), b""))
        return unpacked(pieces, self.work, self.budget)

    def _keras(self, reader: ZipReader, report: Report) -> bool:
        """A Keras model in a zip archive, by its configuration."""
        found = False
        for entry in reader:
            if entry.name == "config.json" and not entry.encrypted:
                with reader.open(entry) as stream:
                    data = read_limited(stream, MAX_CONFIG + 1)
                if len(data) > MAX_CONFIG:
                    report("not-read-limit", "the configuration of a Keras model")
                    return True
                found |= check_keras_config(data, report)
        if not found:
            report("keras", "")
        return True


def _is_torch(names: set[str]) -> bool:
    return any(name.endswith("/data.pkl") for name in names)
