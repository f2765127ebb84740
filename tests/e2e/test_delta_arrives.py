"""A delta inside: what it omits is read where it is, each destination has its own, and a gap is refused by name."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import requests

from tests.worlds.delta import thin
from tests.worlds.row import BLOBS, Row
from tests.worlds.site import GAP

pytestmark = pytest.mark.e2e
BASE = os.urandom(300_000)
"""A layer that stays the same."""


def month_two(row: Row) -> dict[str, int]:
    """An image, a month later with one new layer, and another repository with the same base; what the delta omits."""
    row.layout.tag("v1", row.layout.image({"base": BASE}, {"a": b"one"}))
    row.layout.tag("v2", row.layout.image({"base": BASE}, {"a": b"two"}))
    row.layout.tag("w1", row.layout.image({"base": BASE}, {"b": b"w"}))
    row.deliver(1, {"demo.local/app:v1": "v1"})
    row.deliver(2, {"demo.local/app:v2": "v2", "demo.local/web:w1": "w1"})
    left = thin(row.folder / "media2", row.folder / "media1")
    assert len(left) == 1
    return left


def registries(row: Row, *urls: str) -> None:
    lines = "".join(f"  - {{url: '{url}', projects: {{demo.local: in}}}}\n" for url in urls)
    row.inside(f"  registries:\n{lines}")


def refused(row: Row, media: str, *more: str, expect: int = 5) -> Any:
    """The refusal of an import. Nothing was accepted."""
    accepted = row.folder / "state/accepted.json"
    before = accepted.read_bytes() if accepted.exists() else b""
    answer = row.take(media, *more, expect=expect)
    assert (accepted.read_bytes() if accepted.exists() else b"") == before
    return answer


def test_a_delta_brings_what_is_new_into_a_folder(row: Row) -> None:
    month_two(row)
    assert refused(row, "media2", expect=4)["code"] == "baseline-missing"
    row.take("media1")
    dry = row.site.run("import", "media2", *GAP, "--dry-run")
    assert {one["outcome"] for one in dry["changes"]} == {"write"}
    done = row.take("media2")
    assert {one["outcome"] for one in done["changes"]} == {"written"}
    assert row.audit("media2") == row.audit("media1") == []
    assert {one["outcome"] for one in row.take("media2")["changes"]} == {"present"}
    # A blob that went, and the delta again.
    [left] = json.loads((row.folder / "media2/AIRGAP.json").read_bytes())["contents"]["omitted"]
    (row.folder / BLOBS / left.removeprefix("sha256:")).unlink()
    gap = row.take("media2", "--deep", expect=5)
    assert gap["code"] == "omitted-missing"
    assert left in gap["error"]
    assert "demo.local/app:v2" in gap["error"]
    assert "airgap want" in gap["hint"]


@pytest.mark.part("distribution3")
def test_a_registry_mounts_what_another_of_its_repositories_has(row: Row, start_registry: Any) -> None:
    registry = start_registry()
    registries(row, registry.url)
    [left] = month_two(row)
    row.take("media1")
    row.take("media2")
    assert row.audit("media2") == []
    for name in ("app", "web"):
        assert requests.head(f"{registry.url}/v2/in/{name}/blobs/{left}", timeout=10).status_code == 200


@pytest.mark.part("distribution3")
def test_one_of_two_registries_was_built_anew(row: Row, start_registry: Any) -> None:
    first, second = start_registry(), start_registry()
    registries(row, first.url, second.url)
    month_two(row)
    row.take("media1")
    third = start_registry()
    registries(row, first.url, third.url)
    done = row.take("media2")
    assert {one["outcome"] for one in done["changes"]} == {"written"}
    assert row.audit("media2") == []
    # Both: a delta will not do.
    registries(row, start_registry().url)
    answer = row.take("media2", expect=5)
    assert answer["code"] == "omitted-missing"
    assert "a delta will not do" in answer["hint"]
    assert "--restore" in answer["hint"]
    row.take("media1", "--restore")
    row.take("media2")
    assert row.audit("media2") == []


def test_a_damaged_blob_inside_is_not_blamed_on_the_medium(row: Row) -> None:
    [left] = month_two(row)
    row.take("media1")
    path = row.folder / BLOBS / left.removeprefix("sha256:")
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    answer = row.take("media2", "--deep", expect=5)
    assert {one["outcome"] for one in answer["changes"]} <= {"failed", "withheld"}
    assert row.audit("media1", expect=3) == [("missing", "v1")]
    row.take("media1", "--restore", "--deep")
    row.take("media2")
    assert row.audit("media1") == row.audit("media2") == []
