"""No name inside holds bytes that the locks, as approved, do not say.

Every field of a lock is dropped, doubled, swapped and replaced, with everything else rightly signed by everybody. Then
the delivery is verified and imported, and what is inside is read by other means (`tests/worlds/inside.py`).
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from airgap.base.errors import AirgapError, InputError
from airgap.content.lock import Lock
from airgap.delivery import tar as tape
from airgap.delivery.contents import Root
from airgap.delivery.index import MAX_EVIDENCE
from airgap.jobs.bundle import BundleOptions, bundle
from airgap.jobs.import_delivery import ImportOptions, import_delivery
from airgap.jobs.scan import ScanOptions, scan
from airgap.jobs.surroundings import Surroundings
from airgap.jobs.verify import VerifyOptions, verify
from tests.worlds.attacks import World
from tests.worlds.effort import cases
from tests.worlds.inside import Inside, check
from tests.worlds.locks import Document, deliver, document, encoded, make_kinds
from tests.worlds.site import HEAD
from tests.worlds.surroundings import quiet

pytestmark = pytest.mark.part("git")

POLICY = """\
kind: Policy
metadata: {name: bank}
spec:
  rules:
  - match: ["**"]
    kinds: [image, chart, git, model, file]
    digestOnly: {approver: officer, reason: a test, local: true, expires: 2036-01-01T00:00:00Z}
"""
OTHER = f"sha256:{'0' * 64}"
FOREIGN: dict[type, Sequence[Any]] = {
    str: ("", "1.27", "other", "a/b", "../x", "refs/heads/other", "linux/arm64", "registry", "tag", "referrer", OTHER,
          f"sha256-{'0' * 64}", f"sha256-{'0' * 64}.sig", "docker.io/library/nginx:1.27", "oci:x:demo.local/app:v2",
          "hf:lab/x", "https://example.org/x", "a" * 40),
    int: (0, 1, 2**40),
    bool: (),
    list: ([],),
    dict: ({},),
}  # fmt: skip
"""Values that are right somewhere, and hardly here."""
Path_ = tuple[str | int, ...]
Change = tuple[str, Any]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = make_kinds(tmp_path_factory.mktemp("mutated") / "world", None)
    made.write("policy.yaml", HEAD + POLICY)
    text = (made.folder / "trust.yaml").read_text()
    made.write("judged.yaml", text.replace("[pull, delivery, approval]", "[verdict, delivery]"))
    return made


class Gap:
    """Sovereigns that are new for each delivery."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder, self.numbers = world, folder, count()

    def carry(self, lock: bytes, media: str = "media", **more: Any) -> tuple[str, str, Inside]:
        """Has it signed by everybody and imports it; gives the codes of `verify` and of the import, `""` if let in."""
        here = self.new()
        deliver(self.world, media, str(here / "media"), lock, **more)
        (verified, imported), inside = self.enter(here)
        return verified, imported, inside

    def forge(self, media: str, evidence: dict[str, bytes]) -> tuple[tuple[str, str], Inside]:
        """The same for a delivery with other evidence, cut by the exporter."""
        here = self.new()
        self.world.forge(media, str(here / "media"), evidence=lambda _: evidence, who="exporter")
        return self.enter(here)

    def judge(self, lock: bytes) -> tuple[str, Inside]:
        """A station scans it, cuts it and sends it; gives the code of who refuses it."""
        here, folder, quietly = self.new(), self.world.folder, quiet(self.folder)
        (here / "l.lock.json").write_bytes(lock)
        station = Surroundings(quietly.clock, here / "home", password=lambda _: b"for tests")
        policy, store, key = folder / "policy.yaml", folder / "store", str(folder / "station.key")
        scanning = ScanOptions((here / "l.lock.json",), store, policy, key)
        cutting = BundleOptions((here / "l.lock.json",), store, here / "media", ("bank",), key, "station")
        try:
            scan(scanning, station)
            bundle(cutting, station)  # not what failed
        except AirgapError as error:
            return error.code, Inside(here / "inside")
        (_, code), inside = self.enter(here, "judged.yaml")
        return code, inside

    def evidence(self, media: str) -> dict[str, bytes]:
        """The files of a delivery's evidence."""
        return tape.read_archive((self.world.folder / media / "evidence.tar").read_bytes(), MAX_EVIDENCE)

    def new(self) -> Path:
        """The folder of a Sovereign that has nothing yet."""
        here = self.folder / str(next(self.numbers))
        here.mkdir()
        spec = f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\nspec: {{stateDir: state, directory: inside}}\n"
        (here / "sovereign.yaml").write_text(spec)
        (here / "sovereign.yaml").chmod(0o600)
        return here

    def enter(self, here: Path, trust: str = "trust.yaml") -> tuple[tuple[str, str], Inside]:
        """What `verify` and `import` say of it."""
        media, believed = here / "media", self.world.folder / trust
        codes = []
        for attempt in (
            lambda: verify(VerifyOptions((media,), believed), quiet(here)).bad,
            lambda: import_delivery(ImportOptions((media,), here / "sovereign.yaml", believed), quiet(here)).errors,
        ):
            try:
                codes.append("bad" if attempt() else "")
            except AirgapError as error:
                codes.append(error.code)
        return (codes[0], codes[1]), Inside(here / "inside")


@pytest.fixture
def gap(world: World, tmp_path: Path) -> Gap:
    return Gap(world, tmp_path)


def paths(value: Any, above: Path_ = ()) -> Iterator[Path_]:
    """The place of each value in a document, but for the document itself."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*above, key)
        yield from paths(inner, (*above, key))


def at(lock: Document, path: Path_) -> Any:
    found: Any = lock
    for key in path:
        found = found[key]
    return found


def mutations(lock: Document) -> dict[Path_, list[Change]]:
    """By field: what happens to it. It is dropped, doubled, replaced, and swapped for another of its name."""
    items = [path for path in paths(lock) if path[0] == "items" and len(path) > 1]
    named: dict[str, list[Any]] = {}
    for path in items:
        if isinstance(path[-1], str):
            named.setdefault(path[-1], []).append(at(lock, path))
    found: dict[Path_, list[Change]] = {}
    for path in items:
        value = at(lock, path)
        new = [*FOREIGN[type(value)], *named.get(str(path[-1]), ()), *([not value] if isinstance(value, bool) else [])]
        found[path] = [("dropped", None), *(("replaced", one) for one in new if one != value)]
        if isinstance(path[-1], int):
            found[path].append(("doubled", None))
    return found


def mutated(lock: Document, path: Path_, change: Change) -> Document:
    made = copy.deepcopy(lock)
    (*above, key), (what, new) = path, change
    parent = at(made, tuple(above))
    if what == "dropped":
        del parent[key]
    elif what == "doubled":
        parent.insert(key, copy.deepcopy(parent[key]))
    else:
        parent[key] = copy.deepcopy(new)
    return made


def chosen(lock: Document, number: int) -> Iterator[tuple[Path_, Change, bytes]]:
    """Mutated locks that a reader takes, by chance: at most one a field, so that long lists do not crowd out others."""
    found = mutations(lock)
    for path in random.sample(list(found), len(found)):
        random.shuffle(found[path])
        for change in found[path]:
            if data := readable(mutated(lock, path, change)):
                yield path, change, data
                number -= 1
                break
        if not number:
            return


def readable(made: Document) -> bytes:
    """Its bytes, `b""` if no reader takes them."""
    try:
        data = encoded(made)
        Lock.decode(data, "lock")
    except (InputError, KeyError, TypeError):  # without a name, items cannot even be put in order
        return b""
    return data


def test_what_was_locked_comes_in_whole(gap: Gap) -> None:
    """The judge of this file lets everything good in, and sees every name."""
    lock = document(gap.world)
    verified, imported, inside = gap.carry(encoded(lock))
    assert (verified, imported) == ("", "")
    names = check(lock, inside)
    kinds = [name.split()[0] for name in names]
    assert {kind: kinds.count(kind) for kind in ("oci", "git", "object")} == {"oci": 12, "git": 4, "object": 5}


def test_each_field_of_a_lock_is_mutated(gap: Gap) -> None:
    lock = document(gap.world)
    assert len(mutations(lock)) > 150
    for path, what, data in chosen(lock, cases(8, 300)):
        verified, imported, inside = gap.carry(data)
        names = check(json.loads(data), inside)
        assert bool(names) == (imported == ""), (path, what, imported)
        assert (verified == "") >= (imported == ""), (path, what, verified, imported)


@pytest.mark.parametrize("media", ["media", "other"])
def test_the_exporter_delivers_other_content_for_a_lock_that_was_approved(gap: Gap, media: str) -> None:
    """The roots in AIRGAP.json, and what the pull statement says, are mixed; the lock stays as it is."""
    lock = document(gap.world)

    def mixed(roots: tuple[Root, ...]) -> tuple[Root, ...]:
        digests = [one.digest for one in roots]
        random.shuffle(digests)
        return tuple(Root(one.item, one.kind, digest) for one, digest in zip(roots, digests, strict=True))

    for _ in range(cases(4, 100)):
        verified, imported, inside = gap.carry(encoded(lock), media, roots=mixed)
        assert check(lock, inside) == {} or (media, verified, imported) == ("media", "", "")


def test_the_evidence_is_mutated(gap: Gap) -> None:
    """Locks and statements are left out, mixed up and doubled by whoever cuts. What was approved is the lock."""
    lock = document(gap.world)
    approved = encoded(lock)
    other = encoded(document(gap.world, "other"))
    files = gap.evidence("media")
    names = sorted(files)
    changes: list[dict[str, bytes]] = []
    for name in names:
        changes.append({key: data for key, data in files.items() if key != name})
        changes += [{**files, name: files[than]} for than in names if than != name]
        changes.append({**files, name: other})
        changes.append({**files, f"{name.rpartition('/')[0]}/{'0' * 64}.json": files[name]})
    for changed in random.sample(changes, min(len(changes), cases(6, 400))):
        codes, inside = gap.forge("media", changed)
        whole = set(files.items()) <= set(changed.items())
        assert check(lock, inside) == {} or (codes == ("", "") and whole), (sorted(changed), codes)
    assert approved in files.values()


def test_a_station_judges_and_cuts_what_was_mutated(gap: Gap) -> None:
    """It has the store of those who pulled, lets everything pass by its digest, and signs."""
    lock = document(gap.world)
    whole: tuple[Path_, Change, bytes] = ((), ("replaced", lock), encoded(lock))
    for path, what, data in [whole, *chosen(lock, cases(2, 100))]:
        code, inside = gap.judge(data)
        names = check(json.loads(data), inside)
        assert bool(names) == (code == ""), (path, what, code)
        assert names or path, code
