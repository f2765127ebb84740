"""Full deliveries and deltas in any sequence: lost, out of order, replayed, after a loss inside or a clean-up.

Each import does what a small model of a Sovereign says: it ends with exactly what the lock says, or with a refusal that
names the gap. Whatever happens, no name is there whose content is not all there. Everything is real, the store, the
cutter, the media and the folder of the Sovereign.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, OmittedError, TrustError
from airgap.delivery.index import Index
from airgap.jobs.import_delivery import ImportOptions, import_delivery
from tests.parts import images
from tests.worlds.effort import cases
from tests.worlds.row import Row
from tests.worlds.surroundings import quiet

BASE, OTHER = b"base" * 5000, b"other" * 5000
MONTHS: Sequence[dict[str, str]] = (
    {"demo.local/app:1": "a1", "demo.local/web:1": "b1"},
    {"demo.local/app:1": "a2", "demo.local/web:1": "b1", "demo.local/new:1": "c1"},  # a tag moved, and one is new
    {"demo.local/app:1": "a2", "demo.local/new:1": "c1"},  # one left
    {"demo.local/app:1": "a1", "demo.local/new:2": "b1"},  # one is back, and one is in another repository
)
CUTS: Sequence[tuple[int, Sequence[int]]] = (
    (0, ()),  # full
    (1, (0,)),  # a delta on the cut with this place
    (2, (1,)),
    (2, (0,)),
    (3, (1, 2)),
    (3, (3,)),
    (3, ()),
)
"""Each with its month and the cuts on which it is based; the number of its sequence is its place, from 1."""
RESTORE = 100
"""A step of so much more is the same import with `--restore`."""
EVERY = range(len(CUTS))
STEPS = st.lists(
    st.sampled_from([*EVERY, *EVERY, *(RESTORE + one for one in EVERY), "loss", "clean-up"]), min_size=2, max_size=7
)


@dataclass(frozen=True)
class Sent:
    """A delivery on its media."""

    folder: Path
    index: Index
    names: dict[str, str]
    """By the name inside, the digest of its root."""

    @property
    def digest(self) -> Digest:
        return Digest.of((self.folder / "AIRGAP.json").read_bytes())


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> list[Sent]:
    """Everything that is cut, one after the other, from one store."""
    row = Row(tmp_path_factory.mktemp("cut"))
    for tag, layers in {"a1": (BASE, b"1"), "a2": (BASE, b"2"), "b1": (OTHER, b"b"), "c1": (BASE, OTHER)}.items():
        row.layout.tag(tag, row.layout.image(*({"f": layer} for layer in layers)))
    for number, names in enumerate(MONTHS):
        row.lock_of(number, names)
    made = list[Sent]()
    for number, (month, based_on) in enumerate(CUTS):
        since = [word for one in based_on for word in ("--since-delivery", f"cut{one}")]
        folder = row.folder / row.cut_to(month, f"cut{number}", *since)
        index = Index.decode((folder / "AIRGAP.json").read_bytes())
        assert bool(index.contents.omitted) == bool(based_on)
        made.append(Sent(folder, index, {root.item: str(root.digest) for root in index.contents.roots}))
    return made


@dataclass
class Sovereign:
    """A Sovereign in a folder, and what it should be."""

    folder: Path
    keyed: bool
    """True if it signs receipts: without them it is not known which repository has what."""
    accepted: list[int] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    def take(self, number: int, sent: Sequence[Sent]) -> None:
        """Imports it, and compares what happened with the model."""
        expected, gaps = self._expected(number, sent), self._gaps(sent[number])
        before = self._inside()
        refusal = self._import(sent[number])
        assert ("" if refusal is None else refusal.code) == expected, (number, refusal)
        if refusal is not None:
            assert refusal.hint
            assert not isinstance(refusal, OmittedError) or any(digest in refusal.what for digest in gaps)
            assert self._inside() == before
            return
        if number not in self.accepted:
            self.accepted.append(number)
        self.names |= sent[number].names

    def restore(self, number: int, sent: Sequence[Sent]) -> None:
        """Imports it with `--restore`; the model takes over what the records say."""
        self._import(sent[number], restore=True)
        state = self.folder / "state/accepted.json"
        listed = json.loads(state.read_bytes())["deliveries"] if state.exists() else []
        digests = [str(one.digest) for one in sent]
        self.accepted = [digests.index(one["digest"]) for one in listed]
        self.names = self._inside()[0]

    def _import(self, one: Sent, *, restore: bool = False) -> AirgapError | None:
        """Why it was refused, `None` if it was not."""
        key = str(one.folder.parent / "sovereign.key") if self.keyed else None
        options = ImportOptions(
            (one.folder,), self.folder / "sovereign.yaml", self.folder / "trust.yaml", key, restore=restore
        )
        around = replace(quiet(self.folder), password=lambda _key: b"for tests")
        try:
            done = import_delivery(options, around)
        except (TrustError, OmittedError) as error:
            return error
        assert done.whole or restore
        return None

    def _expected(self, number: int, sent: Sequence[Sent]) -> str:
        """The code of the refusal that must come."""
        if self.accepted and number < self.accepted[-1]:
            return "delivery-replayed" if number in self.accepted else "older-sequence"
        based_on = [one.delivery for one in sent[number].index.journey.based_on]
        known = {sent[one].digest for one in self.accepted}
        if number not in self.accepted and not known.issuperset(based_on):
            return "baseline-missing"
        return "omitted-missing" if self._gaps(sent[number]) else ""

    def _gaps(self, one: Sent) -> set[str]:
        return {str(digest) for digest in one.index.contents.omitted} - self._inside()[1].keys()

    def lose(self) -> None:
        """The destination is built anew."""
        shutil.rmtree(self.folder / "inside", ignore_errors=True)
        self.names.clear()

    def clean_up(self) -> None:
        """A garbage collection takes what no name reaches."""
        names, there = self._inside()
        reached = {digest for root in names.values() for digest in _reached(root, there)}
        for digest in there.keys() - reached:
            self._blob(digest).unlink()

    def check(self) -> None:
        """The names are those of the model, and the content of each is all there, byte for byte."""
        names, there = self._inside()
        assert names == self.names
        for digest in (digest for root in names.values() for digest in _reached(root, there)):
            assert "sha256:" + hashlib.sha256(there[digest]).hexdigest() == digest

    def _inside(self) -> tuple[dict[str, str], dict[str, bytes]]:
        layout = self.folder / "inside/oci"
        if not (layout / "index.json").exists():
            return {}, {}
        listed = json.loads((layout / "index.json").read_bytes())["manifests"]
        blobs = (layout / "blobs/sha256").iterdir()
        there = {f"sha256:{path.name}": path.read_bytes() for path in blobs if not path.name.startswith(".")}
        return {one["annotations"][images.REF_NAME]: one["digest"] for one in listed}, there

    def _blob(self, digest: str) -> Path:
        return self.folder / "inside/oci/blobs/sha256" / digest.removeprefix("sha256:")


def _reached(root: str, there: dict[str, bytes]) -> set[str]:
    manifest = json.loads(there[root])
    return {root, manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}


@settings(max_examples=cases(12, 400), deadline=None)
@given(STEPS, st.booleans())
def test_any_sequence_ends_with_what_the_lock_says_or_names_the_gap(
    sent: list[Sent],
    steps: list[Any],
    keyed: bool,
) -> None:
    with TemporaryDirectory() as folder:
        site = Sovereign(Path(folder), keyed)
        for name in ("sovereign.yaml", "trust.yaml", "exporter.pub", "sovereign.pub"):
            shutil.copy(sent[0].folder.parent / name, folder)
        for step in steps:
            if step == "loss":
                site.lose()
            elif step == "clean-up":
                site.clean_up()
            elif step >= RESTORE:
                site.restore(step - RESTORE, sent)
            else:
                site.take(step, sent)
            site.check()
        # Whatever happened, a full delivery of the newest lock makes it whole.
        site.take(len(CUTS) - 1, sent)
        site.check()
        assert site.names.items() >= sent[-1].names.items()
