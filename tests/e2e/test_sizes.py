"""What lock, pull, ls and a dry run of bundle say of sizes is what the medium takes: shared layers are there once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.parts.images import Layout
from tests.worlds.cli_site import airgap
from tests.worlds.git_sources import Work
from tests.worlds.site import CUT, HEAD, Site

pytestmark = [pytest.mark.e2e, pytest.mark.part("git")]

BASE = 300_000
"""Bytes of the layer that the images share."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Three images of one base, one of them of one platform of two; a model; a repository."""
    made, layout = Site(tmp_path), Layout(tmp_path / "lay")
    base = os.urandom(BASE)
    for n in range(2):
        layout.tag(f"v{n}", layout.image({"base": base}, {"own": os.urandom(1000)}))
    arms = (layout.image({"base": base}, {"p": one.encode()}, platform=f"linux/{one}") for one in ("amd64", "arm64"))
    layout.tag("v2", layout.index(*arms))
    (tmp_path / "m").mkdir()
    (tmp_path / "m/model.safetensors").write_bytes(os.urandom(100_000))
    Work(tmp_path / "g").commit()
    images = "".join(f"  - {{ref: 'oci:lay:v{n}', name: 'a.local/i:{n}'}}\n" for n in range(3))
    images = images.replace("'a.local/i:2'", "'a.local/i:2', platforms: [linux/arm64]")
    rest = "  models:\n  - {directory: m, name: acme/m}\n  git:\n  - {url: g, name: g.local/g}\n"
    made.write("r.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  images:\n{images}{rest}")
    return made


def adds_up(rows: list[dict[str, Any]]) -> int:
    return sum(int(row["bytes"]) - int(row["shared"]) for row in rows)


def test_shared_layers_count_once_from_the_lock_to_the_medium(site: Site) -> None:
    first = site.run("lock", "r.request.yaml")["size"]
    assert (first["exact"], first["unmeasured"]) == (True, 1)
    assert BASE < first["bytes"] < BASE + 110_000
    again = airgap(site, "lock", "r.request.yaml").out
    assert "at most" in again, "what kept items share is not known"
    assert "and 1 Git repository" in again
    pulled = site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    git = next(row["bytes"] for row in pulled["items"] if row["kind"] == "git")
    assert pulled["bytes"] == first["bytes"] + git == sum(row["written"] for row in pulled["items"])
    # A dry run needs no key and no place, and writes nothing.
    dry = ("bundle", "r.lock.json", "--store", "store", "--for", "bank", "--dry-run", "--volume-size", "200KiB")
    planned = site.run(*dry)
    assert adds_up(planned["items"]) == pulled["bytes"]
    assert not (site.folder / "store/airgap/streams").exists()
    assert "dry run, nothing was written" in airgap(site, *dry).out
    cut = site.run(*CUT, "media", "--volume-size", "200KiB")
    assert planned["volumes"] == [{key: one[key] for key in ("name", "size")} for one in cut["volumes"]]
    written = [path.stat().st_size for path in (site.folder / "media").glob("*.tar")]
    assert planned["bytes"] == sum(written)
    # Without --dry-run, the place is required; with it, a place that cannot be written is refused.
    assert "bundle: --to is required" in airgap(site, *CUT[:-1]).err
    (site.folder / "file").write_text("")
    assert airgap(site, *dry, "--to", "file").code == 2
    # ls knows sizes and kinds of a lock, a store and a delivery.
    rows = {thing: site.run("ls", thing)["items"] for thing in ("r.lock.json", "store", "media")}
    for thing in ("store", "media"):
        assert adds_up(rows[thing]) == pulled["bytes"], thing
        assert {row["kind"] for row in rows[thing]} == {"git", "image", "model"}
        assert all(row["bytes"] for row in rows[thing])
    assert [row["bytes"] > 0 for row in rows["r.lock.json"]] == [False, True, True, True, True]
    # Another disc, without the evidence and the first volume: the names, and what is known.
    (site.folder / "media/evidence.tar").unlink()
    assert [row["name"] for row in site.run("ls", "media")["items"]] == [row["name"] for row in rows["media"]]
