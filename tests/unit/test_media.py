"""Opening a delivery: what may lie in its folders before anything of it is believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from airgap.base.errors import IntegrityError
from airgap.delivery.fields import INDEX_NAME
from airgap.delivery.index import MAX_SIGNATURES, SIGNATURES
from airgap.delivery.read import open_media


def _folder(path: Path, signatures: int, first: int = 0) -> Path:
    (path / SIGNATURES).mkdir(parents=True)
    (path / INDEX_NAME).write_bytes(b"{}")
    for number in range(first, first + signatures):
        (path / SIGNATURES / f"{number:03}.sigstore.json").write_bytes(f"{number}".encode())
    return path


def test_the_same_signatures_in_two_folders_are_counted_once(tmp_path: Path) -> None:
    folders = [_folder(tmp_path / name, MAX_SIGNATURES) for name in ("one", "two")]
    assert len(open_media(folders).signatures) == MAX_SIGNATURES


def test_more_signatures_than_the_limit_are_refused_in_one_folder_and_over_two(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="too-many-signatures"):
        open_media([_folder(tmp_path / "many", MAX_SIGNATURES + 1)])
    folders = [_folder(tmp_path / "a", MAX_SIGNATURES), _folder(tmp_path / "b", 1, first=500)]
    with pytest.raises(IntegrityError, match="too-many-signatures"):
        open_media(folders)
