"""Month two of a repository: what travels, what a store keeps, and what is refused is about the new commits."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.worlds.git_sources import Work, git
from tests.worlds.row import Row
from tests.worlds.site import CHECKED, GAP

pytestmark = [pytest.mark.e2e, pytest.mark.part("git", "git-lfs")]
OLD, NEW, ASIDE = (random.Random(number).randbytes(100_000) for number in (1, 2, 3))
SMALL = 40_000
"""More than a delivery of one commit has: the commit, its LFS object of 10 kB, the lock, AIRGAP.json and README.txt."""


INSIDE = "inside/git/mono.git"
STORE = ("--store", "store", "--key", "exporter.key")
CUT = ("bundle", "r2.lock.json", *STORE, "--for", "bank")


@pytest.fixture
def month_two(row: Row) -> Work:
    """A repository whose first state was imported, and that moved since: its second state is in `media2`, a delta."""
    work = Work(row.folder / "mono")
    work.commit("big", OLD)
    work.lfs("model.bin", NEW)
    work.git("checkout", "--quiet", "-b", "topic")
    work.commit("topic", "t")
    work.git("checkout", "--quiet", "-b", "stays", "main")
    work.commit("aside", ASIDE)
    work.git("checkout", "--quiet", "main")
    spec = f"  git:\n  - {{url: {work.path}, name: mono, lfs: true}}\n"
    row.cut_of(1, spec)
    row.take("media1")
    work.git("branch", "-D", "topic")
    work.commit("more", "m")
    work.commit("model.bin", NEW[:10_000])
    for command in (("lock", "r1.request.yaml", "-o", "r2.lock.json"), ("pull", "r2.lock.json", *STORE)):
        row.site.run(*command)
    row.site.run(*CUT, "--to", "media2", "--since", "media1.receipt", *CHECKED)
    return work


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_new_commits_travel_and_everything_is_inside(row: Row, month_two: Work) -> None:
    index = json.loads((row.folder / "media2/AIRGAP.json").read_text())
    # The first bundle, and the LFS object of the first state. The branch that stays is in another bundle than before,
    # because that one had the branch that was deleted; but all of it is inside.
    assert {entry[2] for entry in index["contents"]["omitted"].values()} == {"mono"}
    assert len(index["contents"]["omitted"]) == 3
    assert size(row.folder / "media2") < SMALL < size(row.folder / "media1")
    # Nor does the store have a second copy.
    assert size(row.folder / "store/blobs") < len(OLD) + len(NEW) + 2 * len(ASIDE) + SMALL
    assert _gap(row) == {"omitted-missing"}
    dry = row.site.run("import", "media2", *GAP, "--dry-run")
    assert {one["name"]: one["outcome"] for one in dry["changes"]}["refs/heads/main"] == "moved"
    done = row.take("media2")
    assert {one["outcome"] for one in done["changes"]} == {"written", "present"}
    assert row.audit("media2") == []
    assert git("rev-parse", "main", cwd=row.folder / INSIDE).strip() == month_two.oid("main")
    git("fsck", "--strict", cwd=row.folder / INSIDE)
    assert len(list((row.folder / INSIDE).glob("lfs/objects/*/*/*"))) == 2
    # What the store has can be cut whole, and unpacked.
    row.site.run("extract", "store", "mono", "--to", "out.git", "--as", "bare")
    assert git("rev-parse", "main", cwd=row.folder / "out.git").strip() == month_two.oid("main")
    _damage(row)
    row.site.run(*CUT, "--to", "media3")
    row.site.run("verify", "media3", *CHECKED)


def _gap(row: Row) -> set[str]:
    """The repository inside is gone, then it is there without its objects: the codes of what is said to that."""
    inside, away = row.folder / INSIDE, row.folder / "away"
    inside.rename(away)
    refused: Any = row.take("media2", expect=5)
    assert "mono: sha256:" in refused["error"]
    assert not inside.exists()
    git("init", "--quiet", "--bare", inside, cwd=row.folder)
    again: Any = row.take("media2", expect=5)
    assert git("for-each-ref", cwd=inside) == ""
    shutil.rmtree(inside)
    away.rename(inside)
    return {refused["code"], again["code"]}


def _damage(row: Row) -> None:
    """A bundle in the store is damaged, and the next pull makes it again."""
    bundle = max((row.folder / "store/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(bundle.read_bytes())
    data[50_000] ^= 1
    bundle.chmod(0o644)
    bundle.write_bytes(data)
    [pulled] = row.site.run("pull", "r2.lock.json", *STORE)["items"]
    assert pulled["outcome"] == "pass"
