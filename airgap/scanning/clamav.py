"""`ClamavScanner`: malware, as ClamAV's daemon finds it in every file of layers, charts, Git trees and models.

Each file is sent as a stream, so clamd's limits count for a file and not for an image, and a finding has its path.
clamd unpacks archives itself. By default it says OK to what is beyond its limits, without having looked: therefore a
daemon that does so is not used (`clamd-limit`), and neither is one that does not find the EICAR test file.
Sources: clamd.conf(5), `AlertExceedsMax`; eicar.org, the anti malware test file.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, cast

from airgap.base.amounts import human
from airgap.base.digest import Digest
from airgap.base.errors import DaemonLateError, ToolError
from airgap.base.text import one_line
from airgap.base.times import utc_text
from airgap.base.unpack import BadPackedError, Bounds
from airgap.base.untar import BadTarError, TarReader
from airgap.content.graph import Descriptor, Source
from airgap.content.scan_finding import MAX_TEXT, FindingKind, ScanFinding, Severity
from airgap.content.scan_result import Database, ScannerIdentity, ScanResult
from airgap.content.scan_subject import ScanSubject, SubjectForm
from airgap.resources.station import ArchiveLimits, ClamdConfig
from airgap.scanning.layers import buffered, drain, layers_of, open_blob, unpacked
from airgap.scanning.memo import Memo
from airgap.tools.clamd import Clamd, ClamdAnswer, ClamdSession, Said

SMALL = 1 << 20
"""Bytes of a file that is kept in memory and sent with others at once; larger ones go alone, as streams."""
MAX_FINDINGS = 1000
"""Of one layer or tree: more are counted, and not listed."""
MAX_SILENT = 3
"""Times that clamd may be too late in a run, before it is no longer asked: a daemon that hangs would cost hours."""
LIMIT = "clamd-limit"
UNREADABLE = "unreadable-layer"
_EXCEEDED = "Heuristics.Limits.Exceeded"
_NESTED = 150
"""Archives within one another in the probe: clamd goes 100 levels deep at most."""
_EICAR = "".join(("X5O!P%@AP[4\\PZX54(P^)", "7CC)7}$EIC", "AR-STANDARD-ANTIVIRUS", "-TEST-FILE!$H+H*")).encode()
"""In pieces, so that no scanner takes this program for the test file."""


class ClamavScanner:
    """Asks the daemon of the Station resource. `now` is when the run began."""

    name = "clamav"

    def __init__(self, config: ClamdConfig, limits: ArchiveLimits, now: datetime) -> None:
        self._config, self._limits, self._now = config, limits, now
        self._daemon = Clamd(config.address, config.time_limit.total_seconds())
        self._layers = Memo[Digest, tuple[ScanFinding, ...]]()
        self._silent = 0

    def identity(self) -> ScannerIdentity:
        """ClamAV and the date of its signatures. Raises `ToolError`: `clamd-unreachable`, `clamd-old`,
        `clamd-limit`, and what `Clamd` raises."""
        return self._identity

    @cached_property
    def _identity(self) -> ScannerIdentity:
        version = self._daemon.version()
        if version.updated is None:
            what = f"{self._daemon.where} has no database `daily`, so nobody knows how old its signatures are"
            hint = "put daily.cvd into its DatabaseDirectory (freshclam, or by hand), and restart it"
            raise ToolError("clamd-old", what, hint)
        age = self._now - version.updated
        if age > self._config.signature_max_age:
            raise ToolError(
                "clamd-old",
                f"the signatures of {self._daemon.where} are of {utc_text(version.updated)}, {age.days} days old, "
                f"expected at most {self._config.signature_max_age.days} (signatureMaxAge)",
                "update them with freshclam, or by hand from a mirror, and restart clamd",
            )
        self._probe()
        return ScannerIdentity(
            name=self.name,
            version=version.engine,
            digest=Digest.of(version.text.encode()),
            databases=(Database("clamav-daily", Digest.of(version.text.encode()), version.updated),),
            options=f"sizeLimit={self._config.size_limit}",
        )

    def takes(self, subject: ScanSubject) -> bool:
        """Everything."""
        return True

    def prepare(self, subjects: Sequence[ScanSubject], work: Path) -> None:
        """Nothing."""

    def scan(self, subject: ScanSubject, work: Path) -> ScanResult:
        """Sends each file of the subject. See `Scanner.scan`."""
        identity = self.identity()
        if self._silent >= MAX_SILENT:
            what = f"{self._daemon.where} gave no answer {MAX_SILENT} times, and was not asked again"
            raise ToolError("scanner-timeout", what, "look at clamd's log and load, then run the scan again")
        try:
            self._check_same(identity)
            found = self._image(subject) if subject.form is SubjectForm.IMAGE else self._tree(subject)
            self._check_same(identity)
        except DaemonLateError:
            self._silent += 1
            raise
        return ScanResult(subject.digest, identity, tuple(found), looked_for=frozenset({FindingKind.MALWARE}))

    def _image(self, subject: ScanSubject) -> list[ScanFinding]:
        layers, _ = layers_of(subject)
        found = list[ScanFinding]()
        for blob in dict.fromkeys(layer.blob for layer in layers):

            def look(blob: Descriptor = blob) -> tuple[ScanFinding, ...]:
                return self._layer(subject.source, blob)

            found += self._layers.get(blob.digest, look)
        return found

    def _layer(self, source: Source, blob: Descriptor) -> tuple[ScanFinding, ...]:
        """The files of a layer."""
        look = _Look(self._daemon, self._config.size_limit)
        limits = self._limits
        bounds = Bounds(limits.size, limits.ratio, 1 << 30, limits.files)
        try:
            with open_blob(source, blob) as stream, look:
                content = buffered(unpacked(stream, bounds)[0])
                archive = TarReader(content, entries=limits.files, total=limits.size)
                for one in archive:
                    if one.type == "file" and one.size:
                        look.at(one.name, one.size, archive.read)
                drain(content)
        except (BadTarError, BadPackedError) as error:
            look.missed(UNREADABLE, f"the layer cannot be read further, so not all of it was scanned: {error}", "")
        return tuple(replace(one, layer=blob.digest) for one in look.findings())

    def _tree(self, subject: ScanSubject) -> list[ScanFinding]:
        assert subject.files is not None, "a tree has files"  # noqa: S101
        with _Look(self._daemon, self._config.size_limit) as look:
            for file in subject.files():
                if file.size:
                    with file.open() as stream:
                        look.at(file.path, file.size, stream.read)
        return look.findings()

    def _check_same(self, identity: ScannerIdentity) -> None:
        version = self._daemon.version()
        if Digest.of(version.text.encode()) != identity.digest:
            raise ToolError(
                "scanner-changed",
                f"{self._daemon.where} loaded other signatures during the run: now {version.text}",
                "run the scan again; stop freshclam while a scan runs",
            )

    def _probe(self) -> None:
        """Asks about what clamd must find: the test file, and that something is beyond its limits."""
        if self._ask(_EICAR).said is not Said.FOUND:
            what = f"{self._daemon.where} does not find the EICAR test file: its signatures are not loaded"
            raise ToolError("clamd-old", what, "look at clamd's log and its DatabaseDirectory, and restart it")
        data = b"probe of limits"
        for _ in range(_NESTED):
            data = gzip.compress(data, mtime=0)
        answer = self._ask(data)
        if answer.said is not Said.FOUND or not answer.words.startswith(_EXCEEDED):
            raise ToolError(
                "clamd-limit",
                f"{self._daemon.where} says OK to what is beyond its limits, without having looked",
                "set `AlertExceedsMax yes` in clamd.conf, and leave ScanArchive on; then restart clamd",
            )

    def _ask(self, data: bytes) -> ClamdAnswer:
        return self._daemon.scan(cast("BinaryIO", io.BytesIO(data)))


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    size: int


class _Look:
    """Sends files, small ones many at once, and collects what clamd says."""

    def __init__(self, daemon: Clamd, limit: int) -> None:
        self._daemon, self._limit = daemon, limit
        self._session: ClamdSession[_File] = daemon.session(self._answered)
        self._found: list[ScanFinding] = []
        self._more = 0

    def __enter__(self) -> _Look:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, (BadTarError, BadPackedError)):
            self._session.finish()
        self._session.close()

    def at(self, path: str, size: int, read: Callable[[int], bytes]) -> None:
        """Asks about one file, which is read to its end; larger ones than the limit are not sent."""
        file = _File(path, size)
        if size > self._limit:
            self._beyond(file, f"larger than sizeLimit ({human(self._limit)})")
            return
        if size <= SMALL:
            self._session.send(file, b"".join(_pieces(read)))
            return
        # An idle session would be ended by clamd meanwhile.
        self._session.finish()
        self._answered(file, self._daemon.scan(cast("BinaryIO", _Reading(read))))

    def missed(self, name: str, title: str, path: str) -> None:
        """Adds that something was not looked at."""
        self._add(ScanFinding(FindingKind.COVERAGE, name, Severity.UNKNOWN, title=_text(title), path=_text(path)))

    def findings(self) -> list[ScanFinding]:
        """What was found; beyond `MAX_FINDINGS` only how much more."""
        if not self._more:
            return self._found
        title = f"{self._more} more files with findings are not listed"
        return [*self._found, ScanFinding(FindingKind.MALWARE, "more", Severity.CRITICAL, title=title)]

    def _answered(self, file: _File, answer: ClamdAnswer) -> None:
        if answer.said is Said.LIMIT:
            self._beyond(file, "larger than clamd takes (StreamMaxLength)")
        elif answer.said is Said.FOUND and answer.words.startswith(_EXCEEDED):
            which = answer.words.removeprefix(_EXCEEDED).lstrip(".") or "one of them"
            self._beyond(file, f"beyond its limit {which}")
        elif answer.said is Said.FOUND:
            self._add(
                ScanFinding(
                    FindingKind.MALWARE,
                    answer.words,
                    severity_of(answer.words),
                    title=f"ClamAV finds {answer.words}",
                    path=_text(file.path),
                )
            )

    def _beyond(self, file: _File, why: str) -> None:
        self.missed(LIMIT, f"ClamAV did not look at all of this file ({human(file.size)}): {why}", file.path)

    def _add(self, finding: ScanFinding) -> None:
        if len(self._found) < MAX_FINDINGS:
            self._found.append(finding)
        else:
            self._more += 1


class _Reading:
    """A file of which there is only a function `read`."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.read = read


def severity_of(signature: str) -> Severity:
    """How bad a signature is: what ClamAV calls unwanted or suspicious is not what it knows as malware."""
    if signature.startswith("PUA."):
        return Severity.MEDIUM
    return Severity.HIGH if signature.startswith("Heuristics.") else Severity.CRITICAL


def _pieces(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while piece := read(SMALL):
        yield piece


def _text(text: str) -> str:
    return one_line(text)[:MAX_TEXT]
