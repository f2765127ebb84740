"""One flipped byte on the way, met by an import into a fresh Sovereign: refused, or the item fails; nothing is half."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.worlds.row import KEY, Row
from tests.worlds.site import HEAD

pytestmark = pytest.mark.e2e
ONE, TWO = "demo.local/one:v1", "demo.local/two:v1"


@pytest.fixture
def row(tmp_path: Path) -> Row:
    """A delivery `media1` of two images, each with an own layer."""
    row = Row(tmp_path)
    for number, tag in enumerate(("one", "two")):
        row.layout.tag(tag, row.layout.image(hashlib.sha256(tag.encode()).digest() * 1000 * (number + 1)))
    row.deliver(1, {ONE: "one", TWO: "two"})
    return row


class Fresh:
    """A Sovereign that nothing was brought to yet."""

    def __init__(self, row: Row, number: int) -> None:
        self.row, self.folder = row, row.folder / f"fresh{number}"
        self.folder.mkdir()
        spec = f"metadata: {{name: bank}}\nspec:\n  stateDir: {self.folder}/state\n  directory: {self.folder}/inside\n"
        row.site.write(f"{self.folder.name}/s.yaml", f"{HEAD}kind: Sovereign\n{spec}")
        self.line = ("--sovereign", f"{self.folder.name}/s.yaml", "--trust", "trust.yaml", *KEY)

    def take(self, *, expect: int | None) -> Any:
        """Imports; `None` leaves it open whether it goes well, and then a failed one is run twice."""
        line = ("import", "media1", *self.line)
        if expect is not None:
            return self.row.site.run(*line, expect=expect)
        try:
            return self.row.site.run(*line)
        except AssertionError:
            return self.row.site.run(*line, expect=4)

    def visible(self) -> set[str]:
        """The names inside; each is whole, by the digests that were locked."""
        inside = self.folder / "inside/oci"
        if not inside.exists():
            return set()
        names = {str(item["name"]) for item in self.row.site.run("ls", str(inside))["items"]}
        for number, name in enumerate(names):
            out = self.folder / f"out{number}.tar"
            self.row.site.run("extract", str(inside), name, "--to", str(out))
            out.unlink()
        return names

    def untouched(self) -> bool:
        """True when nothing was written at all."""
        return {path.name for path in self.folder.iterdir()} == {"s.yaml"}


def flip(path: Path, at: int) -> bytes:
    """Flips a bit of one byte; returns what the file was."""
    data = path.read_bytes()
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    return data


def test_what_is_signed_or_signs_is_refused_before_anything_is_written(row: Row) -> None:
    media = row.folder / "media1"
    fresh = Fresh(row, 1)
    for path in [media / "AIRGAP.json", media / "evidence.tar", *(media / "signatures").iterdir()]:
        for at in (0, path.stat().st_size // 3, path.stat().st_size - 2):
            data = flip(path, at)
            fresh.take(expect=4)
            assert fresh.untouched(), path
            path.write_bytes(data)
    fresh.take(expect=0)
    assert fresh.visible() == {ONE, TWO}


def test_a_damaged_blob_withholds_all_names_and_a_good_copy_finishes_it(row: Row) -> None:
    [volume] = (row.folder / "media1").glob("vol-*")
    [layer] = json.loads(row.layout.read(_root(row, "one")))["layers"]
    at = volume.read_bytes().index(row.layout.read(layer["digest"]))
    for number, place in enumerate((at, at + layer["size"] // 2, at + layer["size"] - 1)):
        fresh = Fresh(row, number)
        data = flip(volume, place)
        failed = fresh.take(expect=4)
        assert {change["item"]: change["outcome"] for change in failed["changes"]} == {ONE: "failed", TWO: "withheld"}
        assert {error["code"] for error in failed["errors"]} == {"digest-mismatch"}
        assert fresh.visible() == set()
        volume.write_bytes(data)
        fresh.take(expect=0)
        assert fresh.visible() == {ONE, TWO}


def test_a_damaged_manifest_brings_nothing_of_its_item(row: Row) -> None:
    [volume] = (row.folder / "media1").glob("vol-*")
    fresh = Fresh(row, 1)
    flip(volume, volume.read_bytes().index(row.layout.read(_root(row, "one"))) + 10)
    fresh.take(expect=4)
    assert ONE not in fresh.visible()


def test_padding_is_harmless_to_an_import_and_found_by_verify(row: Row) -> None:
    [volume] = (row.folder / "media1").glob("vol-*")
    flip(volume, volume.stat().st_size - 1)
    row.site.run("verify", "media1", "--trust", "trust.yaml", expect=4)
    fresh = Fresh(row, 1)
    fresh.take(expect=0)
    assert fresh.visible() == {ONE, TWO}


def test_wherever_a_volume_is_damaged_what_is_visible_is_whole(row: Row) -> None:
    [volume] = (row.folder / "media1").glob("vol-*")
    size = volume.stat().st_size
    for number, at in enumerate(range(0, size, size // 12)):
        fresh = Fresh(row, number)
        data = flip(volume, at)
        done = fresh.take(expect=None)
        assert fresh.visible() == _arrived(done)
        volume.write_bytes(data)


def _arrived(done: Any) -> set[str]:
    """The items that an import says are in place; none where it was refused."""
    good = ("written", "present")
    return {change["item"] for change in done.get("changes", ()) if change["outcome"] in good}


def _root(row: Row, tag: str) -> str:
    [digest] = [e["digest"] for e in row.layout.entries() if tag in str(e["annotations"])]
    return str(digest)
