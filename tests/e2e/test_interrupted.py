"""Lines that are cut, disks that are full, volumes that are lost: the same command finishes the work."""

from __future__ import annotations

from typing import Any

import pytest

from tests.worlds.big_image import LAYER, PULL, request_big_image
from tests.worlds.site import CUT, GAP, Site, sovereign_of

pytestmark = [pytest.mark.e2e, pytest.mark.part("skopeo", "distribution3")]
AGAIN = 16 << 20
"""Bytes of a blob in flight that may be fetched twice."""


def test_a_line_that_is_cut_near_the_end_costs_little(site: Site, start_registry: Any, fault_proxy: Any) -> None:
    registry = start_registry()
    proxy = fault_proxy(registry.url)
    request_big_image(site, registry, proxy.host)
    proxy.clear()
    proxy.fault("GET", "/blobs/", times=2, cut_at=0.95)
    site.run(*PULL)
    assert proxy.served("/blobs/") <= 2 * LAYER + 2 * AGAIN


def test_content_that_changed_after_the_lock_is_refused(site: Site, start_registry: Any, fault_proxy: Any) -> None:
    registry = start_registry()
    proxy = fault_proxy(registry.url)
    request_big_image(site, registry, proxy.host)
    proxy.fault("GET", "/blobs/", times=50, flip_at=1000)
    assert site.run(*PULL, expect=4)["code"] == "digest-mismatch"
    blobs = [path for path in (site.folder / "store/blobs/sha256").iterdir() if path.stat().st_size >= LAYER]
    assert blobs == []
    assert site.run("ls", "store")["items"] == []


def test_one_of_two_registries_dies_in_the_middle_and_is_finished_later(
    site: Site, start_registry: Any, fault_proxy: Any
) -> None:
    source, good, weak = start_registry(), start_registry(), start_registry(version=2)
    request_big_image(site, source, source.host)
    site.run(*PULL)
    site.run(*CUT, "media")
    proxy = fault_proxy(weak.url)
    site.write("sovereign.yaml", sovereign_of(good.host, proxy.host).replace("{ORIGIN}", f"'{source.host}'"))
    proxy.fault("PUT", "/blobs/uploads/", times=1, cut_request_after=5 << 20)
    proxy.fault("PUT|POST|PATCH", "/blobs/uploads/", skip=1, refuse=True)
    failed = site.run("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "first.json", expect=5)
    assert {error["destination"] for error in failed["errors"]} == {f"http://{proxy.host}"}
    outcomes = {change["destination"]: change["outcome"] for change in failed["changes"]}
    assert outcomes[f"http://{good.host}"] == "written"
    assert proxy.count("PUT", "/manifests/") == 0
    # The receipt tells the truth about both: an audit by it finds what is missing.
    drift = site.run("audit", *GAP, "--receipt", "first.json", expect=3)
    assert {f["destination"] for f in drift["findings"] if f["state"] != "good"} == {f"http://{proxy.host}"}
    proxy.clear()
    site.run("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    site.run("audit", *GAP, "--receipt", "receipt.json")


def test_a_full_disk_is_said_before_anything_is_written(site: Site, start_registry: Any, tiny_tmpfs: Any) -> None:
    registry = start_registry()
    request_big_image(site, registry, registry.host)
    small = tiny_tmpfs(8 << 20)
    pull = [str(small / "store") if word == "store" else word for word in PULL]
    assert site.run(*pull, expect=5)["code"] == "disk-full"
    site.run(*PULL)
    assert site.run(*CUT, str(small / "media"), expect=5)["code"] == "disk-full"
    assert not list(small.rglob("vol-*"))


def test_a_lost_volume_is_named_and_can_come_from_another_disk(site: Site, start_registry: Any) -> None:
    registry = start_registry()
    request_big_image(site, registry, registry.host)
    site.run(*PULL)
    site.run(*CUT, "media", "--volume-size", "20MiB")
    site.write("sovereign.yaml", sovereign_of().replace("  registries:\n", "  directory: inside\n"))
    lost = site.folder / "media/vol-0002-of-0003.tar"
    (site.folder / "disc2").mkdir()
    lost.rename(site.folder / "disc2" / lost.name)
    report = site.run("verify", "media", "--trust", "trust.yaml", expect=4)
    assert {file["name"] for file in report["files"] if file["state"] == "missing"} == {lost.name}
    refused = site.run("import", "media", *GAP, "--key", "sovereign.key", expect=5)
    assert lost.name in str(refused)
    assert site.run("ls", "inside/oci")["items"] == []
    site.run("import", "media", "disc2", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    site.run("audit", *GAP, "--receipt", "receipt.json")
