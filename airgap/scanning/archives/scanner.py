"""`ArchiveScanner`: how layers and archives behave when they are unpacked. It is part of airgap, and always there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from airgap.base.digest import Digest
from airgap.content.graph import Descriptor, Source
from airgap.content.scan_finding import FindingKind, ScanFinding, Severity
from airgap.content.scan_result import ScannerIdentity, ScanResult
from airgap.content.scan_subject import ScanSubject, SubjectForm
from airgap.resources.station import ArchiveLimits
from airgap.scanning.archives.notes import Notes
from airgap.scanning.archives.walk import ArchiveWalk
from airgap.scanning.layers import Layer, layers_of, open_blob, packed_trees
from airgap.scanning.memo import Memo

RULES = b"archive 1"
"""Changes whenever the answers do, so that results of older rules are not taken."""


class ArchiveScanner:
    """Reads each layer once in a run, whichever images share it, and each file of trees that is an archive."""

    name = "archive"

    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._layers = Memo[Digest, tuple[Digest | None, tuple[ScanFinding, ...]]]()

    def identity(self) -> ScannerIdentity:
        """The rules and the limits."""
        limits = self._limits
        options = f"size={limits.size},files={limits.files},ratio={limits.ratio},depth={limits.depth}"
        return ScannerIdentity(self.name, "1", Digest.of(RULES), options=options)

    def takes(self, subject: ScanSubject) -> bool:
        """Everything."""
        return True

    def prepare(self, subjects: Sequence[ScanSubject], work: Path) -> None:
        """Nothing."""

    def scan(self, subject: ScanSubject, work: Path) -> ScanResult:
        """See `Scanner.scan`. Raises `InputError` (`missing-extra`) if zstd is needed and not installed."""
        found = self._image(subject, work) if subject.form is SubjectForm.IMAGE else self._tree(subject, work)
        looked = frozenset({FindingKind.ARCHIVE})
        return ScanResult(subject.digest, self.identity(), tuple(found), looked_for=looked)

    def _image(self, subject: ScanSubject, work: Path) -> list[ScanFinding]:
        layers, named = layers_of(subject)
        found = list[ScanFinding]()
        notes = Notes()
        if named != len(layers):
            got = "no list of them" if named < 0 else str(named)
            title = f"the image has {len(layers)} layers, and its config speaks of {got}"
            notes.add("diff-id", Severity.HIGH, title)
        for layer in layers:

            def look(blob: Descriptor = layer.blob) -> tuple[Digest | None, tuple[ScanFinding, ...]]:
                return self._layer(subject.source, blob, work)

            digest, inside = self._layers.get(layer.blob.digest, look)
            found += inside
            if digest is not None and layer.diff_id and layer.diff_id != str(digest):
                found.append(_other_diff_id(layer, digest))
        return [*notes.findings(None), *found]

    def _layer(self, source: Source, blob: Descriptor, work: Path) -> tuple[Digest | None, tuple[ScanFinding, ...]]:
        walk = ArchiveWalk(self._limits, work)
        with open_blob(source, blob) as stream:
            digest = walk.layer(stream)
        return digest, walk.notes.findings(blob.digest)

    def _tree(self, subject: ScanSubject, work: Path) -> list[ScanFinding]:
        found = list[ScanFinding]()
        packed = packed_trees(subject)
        for blob in packed:
            walk = ArchiveWalk(self._limits, work)
            with open_blob(subject.source, blob) as stream:
                walk.file(stream, blob.digest.hex)
            found += walk.notes.findings(blob.digest)
        assert subject.files is not None, "a tree has files"  # noqa: S101
        read = {blob.digest for blob in packed}
        walk = ArchiveWalk(self._limits, work)
        for file in subject.files():
            if file.size and file.digest not in read:
                with file.open() as stream:
                    walk.file(stream, file.path)
                walk = ArchiveWalk(self._limits, work, walk.notes)
        return [*found, *walk.notes.findings(None)]


def _other_diff_id(layer: Layer, digest: Digest) -> ScanFinding:
    notes = Notes()
    title = f"the unpacked layer has the digest {digest}, and the config says {layer.diff_id}"
    notes.add("diff-id", Severity.HIGH, title)
    (made,) = notes.findings(layer.blob.digest)
    return made
