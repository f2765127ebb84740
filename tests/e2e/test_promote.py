"""`scan --promote`: what passed goes on, what did not stays in quarantine, and nobody overlooks what was left out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.content.lock import Lock
from tests.worlds.attacks import Files, World, make_world
from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.git_sources import Work
from tests.worlds.site import CHECKED, GAP, HEAD

pytestmark = [pytest.mark.e2e, pytest.mark.part("git")]

GOOD, BAD, CODE = "demo.local/app:v1", "demo.local/bad:v1", "git.local/acme/shop"
DENY = "  - {match: [demo.local/bad], deny: {reason: taken over in March}}\n"
REST = (
    '  - match: ["**"]\n'
    "    digestOnly: {approver: officer, reason: tests, local: true, expires: 2036-01-01T00:00:00Z}\n"
)
STATION = f"{HEAD}kind: Station\nmetadata: {{name: s}}\nspec: {{}}\n"
SCAN = (
    *("scan", "r.lock.json", "--store", "store", "--key", "station.key", "--trust", "trust.yaml"),
    *("--station", "station.yaml", "--policy"),
)
PARTIAL = ("partial.yaml",)
PROMOTE = (*SCAN, *PARTIAL, "--promote", "good.lock.json")


def write_policy(world: World, name: str, *rules: str, partial: bool = False) -> None:
    """A policy with these rules."""
    more = "  findings: {partial: true, required: {image: [], git: []}}\n" if partial else ""
    world.write(name, f"{HEAD}kind: Policy\nmetadata: {{name: p}}\nspec:\n{more}  rules:\n{''.join(rules)}")


def pulled(world: World, name: str, *images: str) -> None:
    """A lock of these images, each locked from `oci:made` by the first part of its tag, and the repository; pulled."""
    refs = "".join(
        f"  - {{ref: 'oci:made:{made}', name: '{item}'}}\n" for item, made in (one.split("=") for one in images)
    )
    git = f"  git:\n  - {{url: '{world.folder}/shop', name: {CODE}}}\n"
    world.write("r.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: {name}}}\nspec:\n  images:\n{refs}{git}")
    world.run("lock", "r.request.yaml", *(("--update",) if (world.folder / "r.lock.json").exists() else ()))
    world.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A lock of two images and a repository, pulled by the exporter; `partial.yaml` denies one image."""
    made = make_world(tmp_path / "world", None)
    made.trust(require="pull, verdict, delivery")
    made.write("station.yaml", STATION)
    layout = made.layout()
    for tag in ("bad", "other"):
        layout.tag(tag, layout.image({tag: tag.encode()}))
    Work(made.folder / "shop").commit()
    write_policy(made, "partial.yaml", DENY, REST, partial=True)
    pulled(made, "platform-2026-11", f"{GOOD}=v1", f"{BAD}=bad")
    write_policy(made, "whole.yaml", DENY, REST)
    write_policy(made, "all.yaml", REST)
    return made


def cut(world: World, media: str, lock: str = "good.lock.json", expect: int = 0) -> Any:
    """Cuts a delivery as the station."""
    line = ("bundle", lock, "--store", "store", "--to", media, "--for", "bank", "--role", "station", *CHECKED)
    return world.run(*line, "--key", "station.key", expect=expect)


def take(world: World, media: str, expect: int = 0) -> Any:
    """Imports it."""
    return world.run("import", media, *GAP, "--key", "sovereign.key", "--receipt", f"{media}.receipt", expect=expect)


def old_months_go(world: World) -> None:
    """A full lock and its promoted one go together; everything that was signed stays, and the newest can be cut."""
    done = world.run("store", "gc", "--store", "store", "--keep-last", "1", "--records-older-than", "1s")
    kept = {one["name"]: one["kept"] for one in done["locks"]}
    assert kept == {"platform-2026-11": False, "platform-2026-12": False, "platform-2027-01": True}
    assert world.run("store", "check", "--store", "store")["good"]
    world.run("log", "verify", "--store", "store", *CHECKED)
    cut(world, "media4")


def test_what_passed_goes_the_whole_way_and_everybody_sees_what_did_not(world: World) -> None:
    """Lock, pull, scan, bundle, import, audit; then the next month."""
    made = world.run(*PROMOTE)
    assert made["locks"][0]["outcome"] == "fail"
    assert sorted(made["promoted"]["items"]) == [GOOD, CODE]
    [left] = made["promoted"]["quarantined"]
    assert (left["item"], left["code"]) == (BAD, "quarantined")
    assert "fail: denied: denied" in left["detail"]
    assert "taken over in March" in left["detail"]
    [row] = world.run("ls", "store", "--quarantine")["quarantined"]
    assert (row["name"], row["lock"]) == (BAD, "platform-2026-11")
    assert "taken over in March" in row["reason"]
    # The full lock does not go; the promoted one does, and its delivery says what is missing.
    assert cut(world, "full", "r.lock.json", expect=3)["code"] == "verdict-failed"
    cut(world, "media")
    assert world.run("verify", "media", *CHECKED)["judged"]["findings"][0]["item"] == BAD
    # The approver sees it.
    said = run_airgap(["sign", "media", "--key", "officer.key", *CHECKED, "--dry-run"], world.folder, PASSWORD)
    assert f"{BAD}: fail: denied" in said.err
    assert "in quarantine" in run_airgap(["show", "good.lock.json"], world.folder, PASSWORD).out
    # Inside, it is not missing, and the receipt says that it was left out.
    assert take(world, "media")["findings"][0]["item"] == BAD
    full = Digest.of((world.folder / "r.lock.json").read_bytes())
    assert len(list(world.folder.rglob(f"received/verdict-{full.hex}.*"))) == 1
    assert world.run("audit", "--receipt", "media.receipt", *GAP)["outcome"] == "pass"
    assert world.run("audit", "--lock", "good.lock.json", *GAP)["outcome"] == "pass"
    # Next month all of it passes: the promoted lock is the lock, and a new delivery goes on with the series.
    time.sleep(1.1)  # a verdict's time has whole seconds: of two in one second, neither is the newer
    pulled(world, "platform-2026-12", f"{GOOD}=v1", f"{BAD}=other")
    whole = world.run(*SCAN, "all.yaml", "--promote", "good.lock.json")
    assert whole["promoted"]["quarantined"] == []
    assert (world.folder / "good.lock.json").read_bytes() == (world.folder / "r.lock.json").read_bytes()
    assert world.run("ls", "store", "--quarantine")["quarantined"] == []
    cut(world, "media2")
    take(world, "media2")
    # The month after, an item fails again: what is inside of it stays, and is not called removed.
    pulled(world, "platform-2027-01", f"{GOOD}=v1", f"{BAD}=bad")
    world.run(*PROMOTE)
    cut(world, "media3")
    take(world, "media3")
    audited = world.run("audit", "--receipt", "media3.receipt", *GAP, "--strict")
    assert (audited["outcome"], [one["state"] for one in audited["findings"] if one["state"] != "good"]) == ("pass", [])
    assert world.run("prune", "--dry-run", *GAP)["lines"] == []
    old_months_go(world)


def test_a_promoted_lock_goes_over_another_station(world: World) -> None:
    """It arrives there with its full lock and the exporter's statement about that, and is judged again."""
    world.run(*PROMOTE)
    text = (world.folder / "trust.yaml").read_text()
    world.write("dmz.yaml", text.replace("sovereign: bank", "sovereign: dmz"))
    line = ("bundle", "good.lock.json", "--store", "store", "--to", "leg", "--for", "dmz", "--role", "station")
    world.run(*line, "--key", "station.key", "--trust", "dmz.yaml")
    [lock] = world.run("import", "leg", "--store", "dmz", "--trust", "dmz.yaml")["locks"]
    scan = ("scan", lock, "--store", "dmz", "--key", "station.key", *CHECKED, "--station", "station.yaml")
    assert world.run(*scan, "--policy", *PARTIAL)["locks"][0]["outcome"] == "pass"
    # What stayed in quarantine is not missing here: the store is whole, and holds nothing back.
    assert world.run("store", "check", "--store", "dmz")["good"]
    kept = world.run("store", "gc", "--store", "dmz")
    assert (kept["freed"]["files"], [one["lacks"] for one in kept["locks"]]) == (0, [0, 0])
    again = ("bundle", lock, "--store", "dmz", "--to", "media", "--for", "bank", "--role", "station", *CHECKED)
    world.run(*again, "--key", "station.key")
    assert take(world, "media")["findings"][0]["item"] == BAD


def test_what_stops_it(world: World) -> None:
    """A policy that does not allow it, nothing that passes, mistakes in arguments: no lock is written."""
    out = world.folder / "good.lock.json"
    said = world.run(*SCAN, "whole.yaml", "--promote", "good.lock.json", expect=3)["promoted"]
    assert "does not allow partial deliveries" in said["refused"]
    write_policy(world, "none.yaml", REST.replace("**", "demo.local/nothing"), partial=True)
    assert world.run(*SCAN, "none.yaml", "--promote", out.name, expect=3)["promoted"]["refused"] == "no item passed"
    assert world.run(*PROMOTE, "--dry-run")["promoted"]["lock"] is None
    assert not out.exists()
    assert world.run(*SCAN, *PARTIAL, "--promote", "r.lock.json", expect=2)["code"] == "bad-path"
    (world.folder / "other.json").write_bytes(Lock.of("other", ()).encode())
    for name in ("trust.yaml", "other.json"):
        assert world.run(*SCAN, *PARTIAL, "--promote", name, expect=2)["code"] == "other-file"
    # A later verdict on the full lock counts for what was promoted before it.
    world.run(*PROMOTE)
    world.run(*SCAN, "whole.yaml", expect=3)
    assert "judged again" in str(cut(world, "media", expect=3))
    # Another store does not know the full lock. This one does not take a promoted lock by another policy.
    again = (SCAN[0], out.name, *SCAN[2:])
    [judged] = world.run(*again, *PARTIAL)["locks"]
    assert [one["outcome"] for one in judged["findings"]] == ["pass"]
    assert world.run(*again, "whole.yaml", expect=3)["locks"][0]["findings"][0]["outcome"] == "fail"
    assert cut(world, "media", expect=3)["code"] == "verdict-failed"
    for path in (world.folder / "store/airgap/locks").iterdir():
        path.unlink()
    assert world.run(*again, *PARTIAL, expect=2)["code"] == "full-lock-missing"
    # Lost and damaged records hide nothing that is in quarantine.
    rows = world.run("ls", "store", "--quarantine")["quarantined"]
    assert (BAD, "unknown") in {(row["name"], row["lock"]) for row in rows}
    next((world.folder / "store/airgap/statements").glob("verdict-*")).write_bytes(b"{")
    assert world.run("ls", "store", "--quarantine", expect=5)["code"] == "bad-statement"


def test_evidence_without_the_full_lock_is_refused(world: World) -> None:
    """Whoever has the station's key cannot drop what it says about what was left out."""
    world.run(*PROMOTE)
    cut(world, "media")

    def without(files: Files) -> Files:
        return {name: data for name, data in files.items() if not name.startswith("full/")}

    world.forge("media", "forged", evidence=without)
    assert take(world, "forged", expect=4)["code"] == "full-lock-missing"


def test_a_sovereign_that_takes_no_partial_delivery(world: World) -> None:
    """Its Trust resource says so. Then what was left out needs a waiver, as other findings of a lock do."""
    world.run(*PROMOTE)
    cut(world, "media")
    text = (world.folder / "trust.yaml").read_text()
    world.write("trust.yaml", f"{text}  verdicts: {{partial: false}}\n")
    refused = take(world, "media", expect=4)
    assert (refused["code"], "(`verdicts.partial`)" in refused["error"]) == ("finding-not-waived", True)
    assert cut(world, "never", expect=4)["code"] == "finding-not-waived"
    finding = refused["error"].partition(", finding ")[2][:71]
    spec = f"digests: ['{finding}'], checks: [finding], approver: A, reason: r, expires: 2035-01-01T00:00:00Z"
    world.write("w.yaml", f"{HEAD}kind: Waiver\nmetadata: {{name: w}}\nspec: {{{spec}}}\n")
    world.run("sign", "w.yaml", "--key", "officer.key", "--role", "security-officer")
    line = (
        "--store",
        "store",
        "--to",
        "waived",
        "--for",
        "bank",
        "--role",
        "station",
        *CHECKED,
        "--key",
        "station.key",
    )
    world.run("bundle", "good.lock.json", *line, "--waiver", "w.yaml")
    take(world, "waived")
