"""The scanner that says what no scanner can look into: it asks the kind of the content.

It reads no content itself, but for databases of scanners and texts, whose media types anybody may write.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.errors import DamageError, IntegrityError
from airgap.content.graph import read_node
from airgap.content.scan_finding import FindingKind
from airgap.content.scan_result import ScannerIdentity, ScanResult, ordered
from airgap.content.scan_subject import ScanSubject, SubjectForm
from airgap.scanning.databases.known import check_database
from airgap.scanning.databases.read import artifact_of

RULES = (
    b"coverage 3: artifacts that are neither images, texts nor databases of scanners; LFS objects that are not carried"
)
"""Changes whenever the answers do, so that results of older rules are not taken."""


def _is_database(subject: ScanSubject) -> bool:
    """True if the subject is wholly a database of a scanner, as all of its bytes show. Raises as `Scanner.scan`."""
    if subject.form is not SubjectForm.FILES:
        return False
    node = read_node(subject.source, subject.node)
    artifact = artifact_of(node)
    if artifact is None:
        return False
    try:
        check_database(artifact, subject.source)
    except DamageError:
        raise
    except IntegrityError:
        return False
    return True


class CoverageScanner:
    """Gives the findings of the kind `coverage` that a subject's own kind knows."""

    name = "coverage"

    def identity(self) -> ScannerIdentity:
        """The rules."""
        return ScannerIdentity(self.name, "3", Digest.of(RULES))

    def takes(self, subject: ScanSubject) -> bool:
        """Everything."""
        return True

    def prepare(self, subjects: Sequence[ScanSubject], work: Path) -> None:
        """Nothing."""

    def scan(self, subject: ScanSubject, work: Path) -> ScanResult:
        """What the kind says of the subject."""
        found = ordered(() if _is_database(subject) else subject.coverage())
        return ScanResult(subject.digest, self.identity(), found, looked_for=frozenset({FindingKind.COVERAGE}))
