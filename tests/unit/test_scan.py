"""The stage `scan_locks` over a store, without keys: what it judges, and what it says of what it judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.progress import Silent
from airgap.content.graph import Descriptor
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.jobs.scan import Scanned, ScanOrder, scan_locks
from airgap.resources.load import load_policy
from airgap.station.files import Records
from airgap.store.layout import Layout
from tests.parts import images
from tests.worlds.policy import LOCKED, NOW, World, policy_text


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def locked(name: str, root: images.Descriptor, item: str = "ghcr.io/acme/app:1.0") -> Lock:
    """A lock with one image."""
    there = Descriptor(root["mediaType"], Digest(root["digest"]), root["size"])
    return Lock.of(name, [Item(item, "image", item, there)])


def run(world: World, *locks: Lock, rules: str = LOCKED) -> list[Scanned]:
    """Judges them, and signs nothing."""
    policy = load_policy(policy_text(rules, ""), base_dir=world.folder)
    order = ScanOrder(locks, policy, (), NOW)
    return scan_locks(order, Layout(world.files.folder), Records(world.folder / "records"), None, Silent())


def test_last_months_lock_and_this_months_are_judged_together(world: World) -> None:
    """Both have the image under one name, with another digest."""
    old, new = (locked("p", child) for child in world.children)
    for found, child in zip(run(world, old, new), world.children, strict=True):
        assert found.verdict.items["ghcr.io/acme/app:1.0"].root == child["digest"]


def test_a_lock_that_is_named_twice_is_judged_once(world: World) -> None:
    lock = locked("p", world.image)
    assert [found.lock for found in run(world, lock, lock)] == [lock]
