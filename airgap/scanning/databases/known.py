"""Is an artifact wholly a database of a scanner? Then nothing of it is hidden from those who look into content."""

from __future__ import annotations

from collections.abc import Iterator

from airgap.content.graph import Source
from airgap.content.scanner_database import METADATA
from airgap.scanning.databases.read import DatabaseArtifact, DatabaseInfo, read_files, refuse

_STARTS = {
    "trivy.db": (16, b"\xed\xda\x0c\xed"),
    "trivy-java.db": (0, b"SQLite format 3\0"),
}
"""Where the file of a database says its format (bbolt, SQLite), and how."""
_RULES = (".rego", ".yaml", ".yml", ".json", ".manifest", ".md", "LICENSE", "NOTICE")
"""What the names of files in trivy-checks end with."""


def check_database(artifact: DatabaseArtifact, source: Source) -> DatabaseInfo:
    """Reads all of a database: it has its own files and no others, each of which begins as its format says.

    Its media type alone proves nothing: anybody may give it to a layer. Raises `IntegrityError` (`database-schema`;
    damage), and what the source raises.
    """

    def take(path: str, _size: int, pieces: Iterator[bytes]) -> None:
        head = next(pieces, b"")
        for _ in pieces:
            pass
        if path in _STARTS and path in artifact.type.files:
            at, magic = _STARTS[path]
            good = head[at : at + len(magic)] == magic
        elif artifact.type.files:
            good = path == METADATA
        else:
            good = path.endswith(_RULES) and b"\0" not in head
        if not good:
            raise refuse(artifact, f"{path[:200]} is no file of a {artifact.type.name}")

    return read_files(artifact, source, take)
