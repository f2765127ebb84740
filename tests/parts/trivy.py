"""Trivy in two versions, and a database of a few published advisories (`trivy-db/`) with which it runs offline."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from partslib.catalogue import BY_NAME
from tests.parts.need import require_part

DATABASE = Path(__file__).parent / "trivy-db"
"""`trivy.db` and `metadata.json`. What is in it: tests/parts/trivy-db/README.md."""
PARTS = ("trivy", "trivy-old")


@dataclass(frozen=True, slots=True)
class Trivy:
    """One version of the scanner."""

    program: Path
    version: str

    @classmethod
    def of(cls, part: str) -> Trivy:
        """The part `trivy` or `trivy-old`; a test that has none is skipped."""
        return cls(require_part(part), BY_NAME[part].version.removeprefix("v"))


def trivy_cache(folder: Path) -> Path:
    """A cache folder of Trivy at `folder` that has the database."""
    shutil.copytree(DATABASE, folder / "db")
    return folder
