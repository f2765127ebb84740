"""The scanner `models`: every file of a model, and the files of other content that a loader of models may open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from airgap.base.digest import Digest
from airgap.base.errors import ToolError
from airgap.base.streams import read_limited
from airgap.content.graph import Descriptor
from airgap.content.scan_finding import FindingKind, ScanFinding
from airgap.content.scan_result import ScannerIdentity, ScanResult
from airgap.content.scan_subject import ScanSubject, SubjectFile, SubjectForm
from airgap.resources.station import ModelLimits
from airgap.scanning.models import second_opinion
from airgap.scanning.models.blob import Blob, unpacked
from airgap.scanning.models.formats import HEAD
from airgap.scanning.models.rules import finding
from airgap.scanning.models.thing import PickleFile, Thing
from airgap.scanning.models.walk import SlowScanError, Walk
from airgap.version import VERSION

NAME = "models"
MAX_COPIED = 64 << 20
"""Bytes of a file of the store up to which it is read whole, and compared with its digest."""
_PIECE = 1 << 20
_LOOKED_FOR = frozenset({FindingKind.MODEL})
_INSTALL = "install it on the station (`pip install 'airgap[models]'`), then scan again"


@dataclass(frozen=True, slots=True)
class ModelScanner:
    """Reads files within limits, without loading anything. Thread-safe."""

    limits: ModelLimits
    name: str = NAME

    def identity(self) -> ScannerIdentity:
        """The rules of this version of airgap, the library for pickles, and the limits."""
        found = second_opinion.library()
        version = f"{VERSION}, {f'picklescan {found[0]}' if found else 'without picklescan'}"
        digest = Digest.of(f"{_rules()} {found[1] if found else ''}".encode())
        options = f"headers {self.limits.header_limit}"
        if self.limits.formats:
            options += f", formats {' '.join(sorted(self.limits.formats))}"
        return ScannerIdentity(NAME, version, digest, options=options[:2048])

    def takes(self, subject: ScanSubject) -> bool:
        """True for trees of files."""
        return subject.form is SubjectForm.FILES and subject.files is not None

    def prepare(self, subjects: Sequence[ScanSubject], work: Path) -> None:
        """Nothing: each subject stands for itself."""

    def scan(self, subject: ScanSubject, work: Path) -> ScanResult:
        """Looks at the files of one subject. Raises what the store raises, and `ToolError` for a not-run."""
        identity = self.identity()
        walk = Walk(work, self.limits.header_limit, self.limits.formats, is_model=subject.kind == "model")
        try:
            for file in subject.files() if subject.files is not None else ():
                with file.open() as stream:
                    walk.look(_thing(file, stream, subject, walk))
            findings = _with_second_opinion(walk, work)
        except SlowScanError as error:
            return ScanResult.failed(subject.digest, identity, "scanner-timeout", str(error))
        return replace(ScanResult(subject.digest, identity, looked_for=_LOOKED_FOR), findings=findings)


def _thing(file: SubjectFile, stream: BinaryIO, subject: ScanSubject, walk: Walk) -> Thing:
    """The file. A large one of the store is read in place: the parts that describe it, and not every byte."""
    head = read_limited(stream, HEAD)

    def make() -> Blob:
        if file.digest is not None and file.size > MAX_COPIED:
            blob = Descriptor("", file.digest, file.size)
            with subject.source.open(blob) as found:
                if found.seekable():
                    return Blob(file.size, partial(subject.source.open, blob))
        return unpacked(chain([head], iter(partial(stream.read, _PIECE), b"")), walk.work, walk.budget)

    return Thing(file.path, file.size, head, make)


def _with_second_opinion(walk: Walk, work: Path) -> tuple[ScanFinding, ...]:
    """The findings, with what the library says about pickles."""
    findings = dict.fromkeys(walk.found())
    asked = [(one, one.copy) for one in walk.pickles if one.copy is not None]
    if asked:
        if second_opinion.library() is None:
            what = f"{asked[0][0].path} is a pickle, and the library picklescan is not installed"
            raise ToolError("scanner-missing", what, _INSTALL)
        answers = second_opinion.ask([copy for _, copy in asked], work)
        for (one, _), names in zip(asked, answers, strict=True):
            _worse(findings, one, names)
    return tuple(findings)


def _worse(findings: dict[ScanFinding, None], pickle: PickleFile, names: list[tuple[str, str]]) -> None:
    """Takes an import that the library calls dangerous for one that is unsafe."""
    for module, name in names:
        known = finding("pickle-import-unknown", pickle.path, f"{module}.{name}")
        if "unknown" in (module, name):
            if not pickle.seen.faults:
                findings[finding("pickle-hidden-import", pickle.path, "by picklescan")] = None
            continue
        findings.pop(known, None)
        findings[finding("pickle-import-unsafe", pickle.path, f"{module}.{name}")] = None
    if names:
        for one in [one for one in findings if one.id == "pickle" and one.path == pickle.path]:
            del findings[one]


@cache
def _rules() -> str:
    """sha256 of the source of this scanner: another version of any rule is another scanner."""
    folder = Path(__file__).parent
    return str(Digest.of(b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))))
