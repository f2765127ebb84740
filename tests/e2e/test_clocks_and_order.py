"""What may come in, and when: expiry, wrong clocks, streams, and deliveries that came before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.worlds.clock import at
from tests.worlds.row import BLOBS, KEY, Row
from tests.worlds.site import CUT, GAP

pytestmark = pytest.mark.e2e
NAME = "demo.local/app:v1"


@pytest.fixture
def row(tmp_path: Path) -> Row:
    """A row whose tag v1 is an image."""
    row = Row(tmp_path)
    row.layout.tag("v1", row.layout.image({"a": b"a"}))
    return row


def cut(row: Row, media: str, *more: str) -> None:
    row.site.run(*(word.replace("r.lock.json", "r1.lock.json") for word in CUT), media, *more)


def names(row: Row) -> dict[str, str]:
    return {item["name"]: item["digest"] for item in row.site.run("ls", "inside/oci")["items"]}


@pytest.mark.part("faketime")
def test_a_delivery_that_expired_on_its_way_is_refused(row: Row) -> None:
    row.deliver(1, {NAME: "v1"})
    cut(row, "short", "--expires-in", "1")
    cut(row, "long", "--expires-in", "4")
    for line in (("verify", "short", "--trust", "trust.yaml"), ("import", "short", *GAP, *KEY)):
        assert at(row.site, "+3d", *line, expect=4)["code"] == "delivery-expired"
    assert not (row.folder / "inside").exists()
    assert not (row.folder / "state/accepted.json").exists()
    at(row.site, "+3d", "import", "long", *GAP, *KEY)


@pytest.mark.parametrize("days", ["0", "-1", "3651", "x"])
def test_days_that_are_none_are_refused(row: Row, days: str) -> None:
    row.deliver(1, {NAME: "v1"})
    line = [word.replace("r.lock.json", "r1.lock.json") for word in CUT]
    refused = row.site.run(*line, "other", f"--expires-in={days}", expect=2)
    assert refused["code"] == "usage"
    assert not (row.folder / "other").exists()


@pytest.mark.part("faketime")
def test_a_clock_that_is_behind_lets_nothing_in(row: Row) -> None:
    media = row.deliver(1, {NAME: "v1"})
    refused = at(row.site, "-3d", "import", media, *GAP, *KEY, expect=4)
    assert refused["code"] in ("created-in-future", "signed-in-future")
    row.take(media)
    assert at(row.site, "-3d", "import", media, *GAP, *KEY, expect=4)["code"] == "clock-behind"
    assert at(row.site, "-3d", "import", media, *GAP, "--dry-run", expect=4)["code"] == "clock-behind"


def test_each_stream_counts_for_itself(row: Row) -> None:
    row.inside("  directory: inside\n  streams: [main, other]\n")
    row.deliver(1, {NAME: "v1"})
    for number in (2, 3):
        cut(row, f"media{number}")
    cut(row, "other1", "--stream", "other")
    sequences = [
        row.site.run("verify", media, "--trust", "trust.yaml")["sequence"]
        for media in ("media1", "media2", "media3", "other1")
    ]
    assert sequences == [1, 2, 3, 1]
    row.take("media2")
    row.take("other1")
    # Older than what came in, in its own stream.
    assert row.take("media1", expect=4)["code"] == "older-sequence"
    row.take("media3")
    row.take("other1")
    assert row.take("media2", expect=4)["code"] == "delivery-replayed"


def test_an_earlier_delivery_adds_what_was_lost_and_moves_no_name_back(row: Row) -> None:
    old = row.layout.tag("v1", row.layout.image({"a": b"old"}))
    lost = row.layout.tag("lost", row.layout.image({"lost": b"l" * 50_000}))
    row.take(row.deliver(1, {NAME: "v1", "demo.local/lost:v1": "lost"}))
    new = row.layout.tag("v1", row.layout.image({"a": b"new"}))
    row.take(row.deliver(2, {NAME: "v1"}))
    before = names(row)
    assert before == {NAME: new["digest"], "demo.local/lost:v1": lost["digest"]}
    gone = [_layer(row, image) for image in (lost, old)]
    for path in gone:
        path.unlink()
    assert row.take("media1", expect=4)["code"] == "delivery-replayed"
    assert not any(path.exists() for path in gone)
    done = row.take("media1", "--restore", "--deep", expect=3)
    assert {change["item"]: change["outcome"] for change in done["changes"]} == {
        NAME: "refused",
        "demo.local/lost:v1": "present",
    }
    assert all(path.exists() for path in gone)
    assert names(row) == before
    assert row.audit("media2") == []
    # The newest is still the newest.
    row.take("media2")


def _layer(row: Row, image: Mapping[str, Any]) -> Path:
    """The file inside with the only layer of an image."""
    [layer] = json.loads(row.layout.read(image["digest"]))["layers"]
    return row.folder / BLOBS / str(layer["digest"]).removeprefix("sha256:")


def test_a_delivery_that_never_came_in_is_put_in_its_place_and_moves_no_name_back(row: Row) -> None:
    row.layout.tag("own", row.layout.image({"own": b"1"}))
    row.deliver(1, {NAME: "v1", "demo.local/own:v1": "own"})
    row.layout.tag("v1", row.layout.image({"a": b"new"}))
    row.take(row.deliver(2, {NAME: "v1"}))
    before = names(row)
    assert row.take("media1", expect=4)["code"] == "older-sequence"
    for more in (("--dry-run",), ()):
        done = row.take("media1", "--restore", *more, expect=3)
        assert {change["item"]: change["outcome"] for change in done["changes"]} == {
            NAME: "refused",
            "demo.local/own:v1": "write" if more else "written",
        }
    assert {**names(row), **before} == names(row)
    document = json.loads((row.folder / "state/accepted.json").read_bytes())
    assert [one["sequence"] for one in document["deliveries"]] == [1, 2]
    row.take("media2")
