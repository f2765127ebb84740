"""Deltas and selections of earlier versions: read for ever, and what they bring is inside afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airgap.base.errors import IntegrityError
from airgap.delivery.index import Index
from tests.golden.delta_reader import Delta
from tests.golden.reader import Delivery, read_statement
from tests.golden.site import FOLDER, KEYS, make_site

GOLDEN = FOLDER / "delta-v1alpha1"
MADE = datetime(2026, 11, 26, 10, tzinfo=UTC)
TRUST = ("--trust", str(GOLDEN / "trust.yaml"))
GAP = ("--sovereign", "sovereign.yaml", *TRUST)


def test_they_are_imported_one_after_the_other(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    # Without its baseline, a delta is refused.
    assert site.run("import", str(GOLDEN / "delta"), *GAP, expect=4)["code"] == "baseline-missing"
    for name in ("baseline", "delta", "selection"):
        done = site.run("import", str(GOLDEN / name), *GAP, "--key", "keys/sovereign.key", "--receipt", f"{name}.json")
        golden = read_statement((GOLDEN / f"{name}.receipt.json").read_bytes(), KEYS)[2]
        lines = {
            (one["item"], one["at"], one["name"], one["digest"], one["outcome"])
            for place in golden["destinations"]
            for one in place["items"]
        }
        assert lines == {(c["item"], c["at"], c["name"], c["digest"], c["outcome"]) for c in done["changes"]}
        assert ("only" in golden) == (name == "selection")
    for name in ("delta", "selection"):
        site.run("audit", *GAP, "--receipt", f"{name}.json", "--deep")


@pytest.mark.parametrize("name", ["baseline", "delta", "selection"])
def test_an_index_is_read_and_written_the_same(name: str) -> None:
    index = (GOLDEN / name / "AIRGAP.json").read_bytes()
    assert Index.decode(index).encode() == index


def test_an_independent_reader_finds_what_is_left_out_in_the_baselines() -> None:
    baseline = Delivery(GOLDEN / "baseline", KEYS, "golden", MADE)
    receipt = (GOLDEN / "baseline.receipt.json").read_bytes()
    delta = Delta(GOLDEN / "delta", KEYS, "golden", MADE, [baseline], [receipt])
    items = {(kind, name): blobs for kind, name, blobs in delta.items()}
    assert ("image", "docker.io/library/hello:1.1") in items
    assert len(items) == 6
    # Each blob of each item is carried or left out, and nothing else is.
    assert {blob for blobs in items.values() for blob in blobs} == set(delta.contents["blobs"]) | set(delta.omitted)
    selection = Delta(GOLDEN / "selection", KEYS, "golden", MADE, [delta])
    assert [name for _, name, _ in selection.items()] == ["docker.io/library/hello:1.1"]
    # It rests on what the delta itself left out, too.
    assert delta.omitted.keys() & selection.omitted.keys()


def test_the_independent_reader_has_nothing_of_airgap() -> None:
    text = (FOLDER / "delta_reader.py").read_text()
    assert "import airgap" not in text
    assert "from airgap" not in text


def _wrong(change: Callable[[dict[str, Any], dict[str, Any]], object]) -> str:
    """The code for an index of the golden selection that was changed."""
    document = json.loads((GOLDEN / "selection/AIRGAP.json").read_bytes())
    change(document["contents"], document["journey"])
    with pytest.raises(IntegrityError) as caught:
        Index.decode(json.dumps(document).encode())
    return caught.value.what


def test_an_index_that_contradicts_itself_is_refused() -> None:
    assert "expected true" in _wrong(lambda contents, _: contents.update(only=False))
    assert "expected at least one" in _wrong(lambda contents, _: contents.update(roots=[]))
    assert "expected at least one" in _wrong(lambda contents, _: contents.update(omitted={}))
    assert "which does not exist" in _wrong(lambda _, journey: journey.update(basedOn=None))
    root = json.loads((GOLDEN / "selection/AIRGAP.json").read_bytes())["contents"]["roots"][0]["digest"]
    both = _wrong(lambda contents, _: contents["omitted"].update({root: [contents["blobs"][root][0][2], 1, "a"]}))
    assert "in a volume and left out" in both
    moved = _wrong(lambda contents, _: contents["omitted"].update({root: [contents["blobs"].pop(root)[0][2], 1, "a"]}))
    assert "the root of" in moved
