"""The stage `scan_locks` over a store, without keys: what it judges, and what it says of what it judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from airgap.base.progress import Silent
from airgap.content.lock import Lock
from airgap.jobs.scan import Scanned, ScanOrder, scan_locks
from airgap.kinds.chart import CHART, CONFIG
from airgap.resources.load import load_policy
from airgap.station.files import Records
from airgap.store.layout import Layout
from tests.parts import images
from tests.worlds.policy import LOCKED, NOW, World, policy_text


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def run(world: World, *locks: Lock, rules: str = LOCKED) -> list[Scanned]:
    """Judges them, and signs nothing."""
    policy = load_policy(policy_text(rules, ""), base_dir=world.folder)
    order = ScanOrder(locks, policy, (), NOW)
    return scan_locks(order, Layout(world.files.folder), Records(world.folder / "records"), None, Silent())


def test_last_months_lock_and_this_months_are_judged_together(world: World) -> None:
    """Both have the image under one name, with another digest."""
    old, new = (Lock.of("p", [world.locked("ghcr.io/acme/app:1.0", child)]) for child in world.children)
    for found, child in zip(run(world, old, new), world.children, strict=True):
        assert found.verdict.items["ghcr.io/acme/app:1.0"].root == child["digest"]


def test_a_lock_that_is_named_twice_is_judged_once(world: World) -> None:
    lock = Lock.of("p", [world.locked("ghcr.io/acme/app:1.0", world.image)])
    assert [found.lock for found in run(world, lock, lock)] == [lock]


def test_a_chart_that_a_lock_calls_an_image_does_not_pass(world: World) -> None:
    """Rules of images are not asked about charts."""
    layer = world.files.blob(b"packed", CHART)
    manifest = {"schemaVersion": 2, "config": world.files.blob(b"{}", CONFIG), "layers": [layer]}
    chart = world.files.document(manifest, images.MANIFEST)
    (found,) = run(world, Lock.of("p", [world.locked("ghcr.io/acme/app:1.0", chart)]))
    (judged,) = found.judgements
    assert (judged.passed, judged.reason) == (False, "not-as-locked")
    assert "the lock calls it image, but clients take a chart from it" in judged.detail
