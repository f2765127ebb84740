"""The databases of Trivy for tests: `python -m tests.parts.trivy_db` writes `trivy-db/trivy.db` from its advisories."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.parts.bolt import Tree, as_json, bolt

FOLDER = Path(__file__).parent / "trivy-db"
ADVISORIES = FOLDER / "advisories.json"
_FLAT = ("data-source", "vulnerability")
"""Buckets of values; the others are of packages, which are of advisories."""
_JAVA = """\
CREATE TABLE artifacts(id INTEGER PRIMARY KEY, group_id TEXT, artifact_id TEXT);
CREATE TABLE indices(artifact_id INTEGER, version TEXT, sha1 BLOB, archive_type TEXT,
 foreign key (artifact_id) references artifacts(id));
CREATE UNIQUE INDEX artifacts_idx ON artifacts(artifact_id, group_id);
CREATE INDEX indices_artifact_idx ON indices(artifact_id);
CREATE UNIQUE INDEX indices_sha1_idx ON indices(sha1);
"""


def advisories() -> dict[str, Any]:
    """What the database says, to be changed by a test that needs another one."""
    found: dict[str, Any] = json.loads(ADVISORIES.read_bytes())
    return found


def trivy_db(said: Mapping[str, Any]) -> bytes:
    """A trivy.db (schema 2): source → package → id → advisory, and `vulnerability` and `data-source`."""
    tree: dict[str, Tree | bytes] = {}
    for name, value in said.items():
        tree[name] = as_json(value, 1 if name in _FLAT else 2)
    return bolt(tree)


def java_db(path: Path, archives: Mapping[bytes, tuple[str, str, str]]) -> bytes:
    """A trivy-java.db (schema 1) that knows archives by their sha1, each with group, artifact and version."""
    path.unlink(missing_ok=True)
    made = sqlite3.connect(path)
    made.executescript(_JAVA)
    for number, (sha1, (group, artifact, version)) in enumerate(archives.items()):
        made.execute("INSERT INTO artifacts VALUES (?, ?, ?)", (number, group, artifact))
        made.execute("INSERT INTO indices VALUES (?, ?, ?, 'jar')", (number, version, sha1))
    made.commit()
    made.close()
    return path.read_bytes()


if __name__ == "__main__":
    (FOLDER / "trivy.db").write_bytes(trivy_db(advisories()))
