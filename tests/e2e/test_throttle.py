"""`--limit-rate` and `--until`: a pull that stops by itself, keeps what is finished, and goes on."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.row import KEY, Row
from tests.worlds.site import GAP, HEAD

pytestmark = pytest.mark.e2e
PULL = ("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")


@pytest.fixture
def row(tmp_path: Path) -> Row:
    """A lock of an image with one layer of 10,000 bytes of noise, and one of 300."""
    made = Row(tmp_path)
    noise = random.Random(1)
    made.layout.tag("v1", made.layout.image({"a": noise.randbytes(300)}, {"b": noise.randbytes(10_000)}))
    spec = "spec:\n  images:\n  - {ref: 'oci:made:v1', name: 'demo.local/app:v1'}\n"
    made.site.write("r.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\n{spec}")
    made.site.run("lock", "r.request.yaml")
    return made


def test_a_window_ends_a_pull_which_goes_on(row: Row) -> None:
    line = (*PULL, "--until", "1s", "--limit-rate", "2KiB")
    found = row.site.run(*line, expect=5)
    assert (found["state"], found["items"], found["exit"]) == ("window-ended", [], 5)
    assert 0 < found["bytes"] < 10_000
    assert found["next"].startswith("airgap pull r.lock.json")
    assert "--until 1s" in found["next"]
    assert row.site.run("ls", "store")["items"] == []
    listed = row.site.run("store", "ls", "--store", "store")
    assert [(one["lacks"], one["whole"]) for one in listed["locks"]] == [(1, False)]
    # What is finished is kept, also by a gc in between.
    kept = list((row.folder / "store/blobs/sha256").iterdir())
    assert kept
    assert row.site.run("store", "gc", "--store", "store")["freed"]["files"] == 0
    done = row.site.run(*PULL)
    assert (done["state"], done["items"][0]["outcome"]) == ("done", "pass")
    assert row.site.run("store", "check", "--store", "store")["good"]


def test_a_limited_delivery_is_the_same(row: Row) -> None:
    row.site.run(*PULL, "--limit-rate", "10MiB")
    cut = ("bundle", "r.lock.json", "--store", "store", "--for", "bank", "--key", "exporter.key", "--to")
    for media, more in (("free", ()), ("limited", ("--limit-rate", "200KiB"))):
        row.site.run(*cut, media, *more)
    volumes = [
        json.loads((row.folder / media / "AIRGAP.json").read_text())["contents"] for media in ("free", "limited")
    ]
    assert volumes[0] == volumes[1]
    row.site.run("copy", "limited", "--to", "copied", "--unverified", "--limit-rate", "200KiB")
    row.site.run("import", "copied", *GAP, *KEY, "--limit-rate", "200KiB")


@pytest.mark.parametrize(
    "wrong",
    [
        ("--limit-rate", "fast"), ("--limit-rate", "0"), ("--limit-rate", "10"),
        ("--until", "25:00"), ("--until", "6"), ("--until", "0h"), ("--until", "soon"),
    ],
)  # fmt: skip
def test_mistakes_are_named(tmp_path: Path, wrong: tuple[str, str]) -> None:
    run_airgap(["pull", "x", *wrong], tmp_path, PASSWORD).refused(2, "usage", "expected")
