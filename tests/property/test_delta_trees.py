"""Deltas of files and models in any sequence: no pointer names a tree that is not all there."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.base.errors import OmittedError, TrustError
from airgap.jobs.import_delivery import ImportOptions, import_delivery
from tests.worlds.effort import cases
from tests.worlds.site import HEAD, Site
from tests.worlds.surroundings import quiet

WEIGHTS = b"w" * 50_000
MONTHS: Sequence[Mapping[str, bytes]] = (
    {"model/weights": WEIGHTS, "model/config.json": b"{}", "file": b"one"},
    {"model/weights": WEIGHTS, "model/config.json": b'{"new": 1}', "file": b"two"},
    {"model/weights": WEIGHTS, "model/config.json": b"{}", "model/more": b"two", "file": b"one"},
)
CUTS: Sequence[tuple[int, Sequence[int]]] = ((0, ()), (1, (0,)), (2, (1,)), (2, (0, 1)), (2, ()))
"""Each with its month, and the cuts on which it is based."""
RESTORE = 100
STEPS = st.lists(st.sampled_from([*range(5), *range(5), RESTORE + 1, RESTORE + 3, "loss"]), min_size=2, max_size=6)
FILE, POINTER = "objects/files/manuals/file", "objects/models/acme/mini/refs/main"
Inside = Mapping[str, bytes]


@dataclass(frozen=True)
class Cut:
    """Everything that is cut, and what each month looks like inside."""

    folder: Path
    months: Sequence[Inside]

    def take(self, number: int, folder: Path, *, restore: bool = False) -> bool:
        """Imports a cut; false if it was refused as it may be."""
        key, files = str(self.folder / "sovereign.key"), (folder / "sovereign.yaml", folder / "trust.yaml")
        around = replace(quiet(folder), password=lambda _key: b"for tests")
        try:
            done = import_delivery(ImportOptions((self.folder / f"cut{number}",), *files, key, restore=restore), around)
        except (TrustError, OmittedError) as error:
            return not error.hint
        assert done.whole or restore
        return True

    def sovereign(self, folder: Path) -> None:
        """An empty Sovereign in a folder."""
        for name in ("sovereign.yaml", "trust.yaml", "exporter.pub", "sovereign.pub"):
            shutil.copy(self.folder / name, folder)

    def check(self, inside: Inside) -> None:
        """The tree that the pointer names is all there; the file is one of those that were sent."""
        if POINTER in inside:
            tree = f"objects/models/acme/mini/{inside[POINTER].decode().strip()}/"
            [month] = [one for one in self.months if one[POINTER] == inside[POINTER]]
            assert _below(tree, inside) == _below(tree, month)
        assert inside.get(FILE) in (None, b"one", b"two")


def _below(tree: str, inside: Inside) -> Inside:
    return {path: data for path, data in inside.items() if path.startswith(tree)}


def seen(folder: Path) -> Inside:
    """Every object inside, by its path."""
    root = folder / "inside"
    found = (path for path in (root / "objects").rglob("*") if path.is_file() and ".airgap-" not in path.name)
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Cut:
    site = Site(tmp_path_factory.mktemp("trees"))
    spec = "spec: {stateDir: state, directory: inside}\n"
    site.write("sovereign.yaml", f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\n{spec}")
    months = list[Inside]()
    for month, files in enumerate(MONTHS):
        source = site.folder / f"month{month}"
        for name, data in files.items():
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        spec = (
            f"spec:\n  models: [{{directory: month{month}/model, name: acme/mini}}]\n"
            f"  files: [{{file: month{month}/file, name: file, path: manuals/file, sha256: {_sum(files['file'])}}}]\n"
        )
        site.write(f"{month}.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\n{spec}")
        site.run("lock", f"{month}.request.yaml")
        site.run("pull", f"{month}.lock.json", "--store", "store", "--key", "exporter.key")
    cut = Cut(site.folder, months)
    common = ("--store", "store", "--for", "bank", "--key", "exporter.key")
    for month in range(len(MONTHS)):
        site.run("bundle", f"{month}.lock.json", *common, "--to", f"cut{RESTORE + month}", "--stream", f"only{month}")
        alone = site.folder / f"alone{month}"
        alone.mkdir()
        cut.sovereign(alone)
        assert cut.take(RESTORE + month, alone)
        months.append(seen(alone))
    for number, (month, based_on) in enumerate(CUTS):
        since = [word for one in based_on for word in ("--since-delivery", f"cut{one}")]
        site.run("bundle", f"{month}.lock.json", *common, "--to", f"cut{number}", *since)
    return cut


@settings(max_examples=cases(8, 200), deadline=None)
@given(STEPS)
def test_no_pointer_names_a_tree_that_is_not_all_there(made: Cut, steps: list[int | str]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        made.sovereign(folder)
        for step in steps:
            if isinstance(step, str):
                shutil.rmtree(folder / "inside", ignore_errors=True)
            elif made.take(step % RESTORE, folder, restore=step >= RESTORE) and step < RESTORE:
                inside, month = seen(folder), made.months[CUTS[step][0]]
                assert {path: inside[path] for path in month} == month
            made.check(seen(folder))
        assert made.take(len(CUTS) - 1, folder)
        made.check(seen(folder))
        assert seen(folder).items() >= made.months[2].items()
