"""Attack stories about what strangers publish or hand in: small files that crash a parser, or keep it busy for ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.golden.site import FOLDER
from tests.worlds.commands import run_airgap

pytestmark = pytest.mark.e2e
LOCK = (FOLDER / "locks/without-asked.lock.json").read_text()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"name":"', '"name":"\\ud800'),
        ('"phase":"registry"', '"phase":"registry","platforms":[1]'),
        ('"size":', '"size":1e999,"more":'),
        ('"size":', '"size":1152921504606846976,"more":'),
        ('"lfs":', '"lfs":"no","more":'),
        ('"kind":"Lock"', '"kind":["Lock"]'),
    ],
    ids=["surrogate", "platforms", "1e999", "2^60", "flag", "kind"],
)
def test_a_lock_with_values_that_nobody_writes(tmp_path: Path, old: str, new: str) -> None:
    lock = tmp_path / "r.lock.json"
    assert old in LOCK
    lock.write_text(LOCK.replace(old, new, 1))
    for line in (("pull", lock.name, "--store", "store"), ("show", lock.name), ("diff", lock.name, lock.name)):
        said = run_airgap((*line, "--json"), tmp_path)
        assert said.code == 2, said
        assert json.loads(said.out)["code"] in ("bad-lock", "unknown-thing")
