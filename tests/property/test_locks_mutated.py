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
from airgap.delivery.index import Root
from airgap.jobs.import_delivery import ImportOptions, import_delivery
from airgap.jobs.verify import VerifyOptions, verify
from tests.worlds.attacks import World
from tests.worlds.effort import cases
from tests.worlds.inside import Inside, check
from tests.worlds.locks import Document, deliver, document, encoded, make_kinds
from tests.worlds.site import HEAD
from tests.worlds.surroundings import quiet

pytestmark = pytest.mark.part("git")

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


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_kinds(tmp_path_factory.mktemp("mutated") / "world", None)


class Gap:
    """Sovereigns that are new for each delivery."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder, self.numbers = world, folder, count()

    def carry(self, lock: bytes, media: str = "media", **more: Any) -> tuple[str, str, Inside]:
        """Has it signed by everybody and imports it; gives the codes of `verify` and of the import, `""` if let in."""
        here = self.folder / str(next(self.numbers))
        here.mkdir()
        spec = f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\nspec: {{stateDir: state, directory: inside}}\n"
        (here / "sovereign.yaml").write_text(spec)
        (here / "sovereign.yaml").chmod(0o600)
        delivery = here / "media"
        deliver(self.world, media, str(delivery), lock, **more)
        trust = self.world.folder / "trust.yaml"
        codes = []
        for attempt in (
            lambda: verify(VerifyOptions((delivery,), trust), quiet(here)).bad,
            lambda: import_delivery(ImportOptions((delivery,), here / "sovereign.yaml", trust), quiet(here)).errors,
        ):
            try:
                codes.append("bad" if attempt() else "")
            except AirgapError as error:
                codes.append(error.code)
        return codes[0], codes[1], Inside(here / "inside")


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


def mutated(lock: Document) -> Iterator[tuple[Path_, str, Document]]:
    """Each field of each item dropped, doubled, replaced, and swapped with those of its name; with what was done."""
    items = [path for path in paths(lock) if path[0] == "items" and len(path) > 1]
    for path in items:
        *above, key = path
        value = at(lock, path)
        changes: list[tuple[str, Any]] = [("dropped", None), ("doubled", None)]
        changes += [(f"replaced by {one!r}", one) for one in FOREIGN[type(value)]]
        others = [at(lock, other) for other in items if other[-1] == key and other != path]
        changes += [(f"swapped for {one!r:.60}", one) for one in others if not isinstance(key, int) and one != value]
        if isinstance(value, bool):
            changes.append(("turned", not value))
        for what, new in changes:
            made = copy.deepcopy(lock)
            parent = at(made, tuple(above))
            if what == "dropped":
                del parent[key]
            elif what == "doubled" and isinstance(parent, list):
                parent.insert(int(key), copy.deepcopy(value))
            elif what != "doubled":
                parent[key] = copy.deepcopy(new)
            if made != lock:
                yield path, what, made


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
    taken: dict[Path_, list[tuple[str, bytes]]] = {}
    for path, what, made in mutated(lock):
        if data := readable(made):
            taken.setdefault(path, []).append((what, data))
    assert len(taken) > 50
    for path in random.sample(sorted(taken, key=str), min(len(taken), cases(10, 400))):
        what, data = random.choice(taken[path])
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
