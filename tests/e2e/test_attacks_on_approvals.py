"""Attack stories about what an officer signs, from the command line; no route leads inside: docs/threat-model.md."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.resources.load import load_trust
from airgap.statements.approval import Approvable, Approval, Approves
from airgap.statements.rotation import trust_bytes, trust_digest
from tests.parts.fake_sigstore import FakeSigstore
from tests.parts.system import NetworkNamespace
from tests.worlds.attacks import World, make_world
from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.site import HEAD

pytestmark = [pytest.mark.e2e, pytest.mark.part("iproute2", "faketime")]
TRUSTED = ("--trust", "trust.yaml")
SIGN = ("sign", "--key", "officer.key", "--log", "officer.jsonl")
POLICY = """\
kind: Policy
metadata: {name: bank}
spec:
  keys: [{name: owner, publicKeyFile: exporter.pub}]
  rules: [{match: ["**"], require: {keys: [owner]}}]
"""
WAIVER = """\
kind: Waiver
metadata: {name: app}
spec: {digests: ["DIGEST"], checks: [signature], approver: A, reason: b, expires: 2036-01-01T00:00:00Z}
"""
THIEF = "notBefore: 2026-01-01T00:00:00Z, notAfter: 2026-12-31T00:00:00Z"
APPROVAL = "security-officer.sigstore.json"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One of each thing that can be approved: a lock, a delivery `media`, a waiver, a trust root, `next.yaml`."""
    with ExitStack() as stack:
        netns = NetworkNamespace()
        stack.callback(netns.remove)
        world = make_world(tmp_path_factory.mktemp("approvals") / "base", netns)
        lock = world.lock()
        world.cut("media")
        world.write("policy.yaml", HEAD + POLICY)
        item = json.loads((world.folder / lock).read_bytes())["items"][0]
        world.write("waiver.yaml", HEAD + WAIVER.replace("DIGEST", item["root"]["digest"]))
        (world.folder / "root.json").write_bytes(FakeSigstore().trusted_root())
        world.trust(require="pull, delivery, approval", thief=f"station {THIEF}")
        (world.folder / "trust.yaml").rename(world.folder / "next.yaml")
        world.trust(require="pull, delivery, approval")
        yield world


@pytest.fixture
def world(base: World, tmp_path: Path) -> World:
    return base.copy(tmp_path / "world")


# what an approval counts for

DELIVERED = Approves(Approvable.DELIVERY, "bank", "main", 1)
THINGS: dict[str, Approves | None] = {
    "delivery": DELIVERED,
    "delivery of another number": replace(DELIVERED, sequence=2),
    "delivery for another Sovereign": replace(DELIVERED, sovereign="other"),
    "lock": Approves(Approvable.LOCK),
    "trust root": Approves(Approvable.TRUST_ROOT),
    "trust": Approves(Approvable.TRUST, "bank"),
    "trust of another Sovereign": Approves(Approvable.TRUST, "other"),
    "waiver": Approves(Approvable.WAIVER),
    "of an earlier version": None,
}
"""What an approval can say that it approves."""


def _delivery(world: World, approval: bytes) -> Any:
    (world.folder / f"media/signatures/{APPROVAL}").write_bytes(approval)
    return "verify", "media", "--index-only", *TRUSTED


def _given(*line: str) -> Callable[[World, bytes], Any]:
    def use(world: World, approval: bytes) -> Any:
        (world.folder / "approval.json").write_bytes(approval)
        shutil.rmtree(world.folder / "out", ignore_errors=True)
        return *line, "--approval", "approval.json"

    return use


CUT = ("--store", "store", "--to", "out", "--for", "bank", "--key", "exporter.key")
SCAN = ("scan", "r.lock.json", "--store", "store", "--policy", "policy.yaml", "--dry-run", *TRUSTED)
USES: dict[str, Callable[[World, bytes], Any]] = {
    "delivery": _delivery,
    "lock": _given("bundle", "r.lock.json", *CUT),
    "waiver": _given(*SCAN, "--waiver", "waiver.yaml"),
    "trust root": _given("trust", "pin", "root.json", "--name", "a", "--roots", "roots", "--dry-run", *TRUSTED),
    "trust": _given("keys", "rotate", "trust.yaml", "next.yaml"),
}
"""Where approvals count, by the kind that counts there."""


def _digest(world: World, kind: str) -> Digest:
    files = {"delivery": "media/AIRGAP.json", "lock": "r.lock.json", "waiver": "waiver.yaml", "trust root": "root.json"}
    if kind == "trust":
        return trust_digest(load_trust(world.folder / "next.yaml"))
    return Digest.of((world.folder / files[kind]).read_bytes())


@pytest.mark.parametrize("used_as", USES)
def test_an_approval_counts_only_for_the_kind_of_thing_that_it_names(world: World, used_as: str) -> None:
    for name, said in THINGS.items():
        approval = world.statement(_digest(world, used_as), Approval(said), "officer")
        line = USES[used_as](world, approval)
        if name == used_as or (said is None and used_as in ("delivery", "lock")):
            world.run(*line)
            continue
        code = "approval-without-kind" if said is None else "approval-of-other-kind"
        assert world.run(*line, expect=4)["code"] == code, name
    assert not (world.folder / "roots").exists()


def test_an_approval_of_a_lock_that_was_made_for_another_kind_of_thing_is_not_let_in(world: World) -> None:
    """The same at the gap, where the approval comes along in the evidence."""
    (world.folder / "approval.json").write_bytes(
        world.statement(_digest(world, "lock"), Approval(Approves(Approvable.LOCK)), "officer")
    )
    world.cut("good", "--approval", "approval.json")
    wrong = world.statement(_digest(world, "lock"), Approval(Approves(Approvable.WAIVER)), "officer")

    def swapped(files: dict[str, bytes]) -> dict[str, bytes]:
        good = Digest.of((world.folder / "approval.json").read_bytes())
        kept = {name: data for name, data in files.items() if good.hex not in name}
        return {**kept, f"statements/{Digest.of(wrong).hex}.sigstore.json": wrong}

    forged = world.forge("good", "forged", evidence=swapped)
    assert world.refused(forged) == "approval-of-other-kind"
    world.take("good")


# what an officer is asked to sign


def _trust(world: World) -> bytes:
    """The bytes of which `keys rotate` takes the digest: `next.yaml`, with the thief's key in it."""
    return trust_bytes(load_trust(world.folder / "next.yaml"))


DISGUISED: dict[str, tuple[Callable[[World], bytes], str]] = {
    "trust": (_trust, "is a Trust resource, not the index"),
    "trust as people write it": (lambda world: (world.folder / "next.yaml").read_bytes(), "is a Trust resource"),
    "waiver": (lambda world: (world.folder / "waiver.yaml").read_bytes(), "is a Waiver resource"),
    "lock": (lambda world: (world.folder / "r.lock.json").read_bytes(), "is a lock"),
    "trust root": (lambda world: (world.folder / "root.json").read_bytes(), "is a trusted_root.json"),
    "anything": (lambda _: b"hello\n", "is not the index of a delivery"),
    "nothing": (lambda _: b"", "is not the index of a delivery"),
}


@pytest.mark.parametrize("name", DISGUISED)
def test_what_is_called_airgap_json_and_is_something_else_is_not_signed(world: World, name: str) -> None:
    make, words = DISGUISED[name]
    (world.folder / "evil").mkdir()
    (world.folder / "evil/AIRGAP.json").write_bytes(make(world))
    refused = world.run(*SIGN, "evil", expect=2)
    assert refused["code"] == "unknown-thing"
    assert words in refused["error"]
    assert (
        "a lock, a waiver, a trusted_root.json, a Trust resource, a prune plan, or the folder of a delivery"
        in refused["hint"]
    )
    assert [path.name for path in (world.folder / "evil").iterdir()] == ["AIRGAP.json"]
    assert not (world.folder / "officer.jsonl").exists()


def test_an_index_with_more_in_it_is_not_signed(world: World) -> None:
    path = world.folder / "media/AIRGAP.json"
    path.write_bytes(path.read_bytes().replace(b'"kind": "Delivery",', b'"kind": "Delivery", "more": 1,', 1))
    assert world.run(*SIGN, "media", expect=4)["code"] == "bad-index"


def test_the_officer_looks_and_signs_what_was_looked_at(world: World) -> None:
    look = world.run("sign", "media", "--dry-run", *TRUSTED)
    assert look["signature"] is None
    assert sorted(path.name for path in (world.folder / "media/signatures").iterdir()) == ["station.sigstore.json"]
    seen = look["seen"]
    assert seen["approves"] == {"kind": "delivery", "sovereign": "bank", "stream": "main", "sequence": 1}
    assert (seen["checked"], [one["kind"] for one in seen["content"]["signedBy"]]) == (True, ["delivery", "pull"])
    assert [one["item"] for one in seen["content"]["items"]] == ["demo.local/app:v1"]
    # The next delivery is put in its place.
    world.cut("media2")
    line = (*SIGN, *TRUSTED, "--digest", look["subject"])
    refused = world.run(*line, "media2", expect=4)
    assert refused["code"] == "other-digest"
    assert f"expected {look['subject']}" in refused["error"]
    assert world.run(*line, "media")["subject"] == look["subject"]
    assert world.run("sign", "media", "--dry-run", *TRUSTED)["subject"] == look["subject"]  # also once it is approved
    world.take("media")


def test_what_the_gap_would_refuse_is_not_approved(world: World) -> None:
    """With the Trust resource at hand, `sign` checks what `verify --index-only` does."""
    line = (*SIGN, *TRUSTED)
    world.cut("other", to="other")
    assert world.run(*line, "other", expect=4)["code"] == "wrong-sovereign"
    world.cut("early", "--expires-in", "1")
    assert world.run(*line, "early", expect=4, clock="+2d")["code"] == "delivery-expired"
    forged = world.forge("media", "forged", who="thief")
    assert world.run(*line, forged, expect=4)["code"] == "unknown-key"
    shutil.copytree(world.folder / "media", world.folder / "swapped")
    (world.folder / "swapped/AIRGAP.json").write_bytes((world.folder / "early/AIRGAP.json").read_bytes())
    assert world.run(*line, "swapped", expect=4)["code"] == "index-mismatch"
    evidence = world.folder / "media/evidence.tar"
    evidence.write_bytes(evidence.read_bytes()[:-1] + b"x")
    assert world.run(*line, "media", expect=4)["code"] == "damaged-file"
    evidence.unlink()
    said = run_airgap([*line, "media"], world.folder, {**PASSWORD, "HOME": str(world.folder)})
    said.refused(5, "file-missing", "copy it next to AIRGAP.json")


def test_a_trust_resource_is_compared_with_the_one_that_it_replaces(world: World) -> None:
    look = world.run("sign", "next.yaml", "--dry-run", *TRUSTED)
    assert look["seen"]["approves"] == {"kind": "trust-resource", "sovereign": "bank"}
    added = [one for one in look["seen"]["content"]["changes"] if one["what"] == "added"]
    assert [one["key"] for one in added] == ["thief"]
    keys = {one["name"]: one["role"] for one in look["seen"]["content"]["keys"]}
    assert keys["thief"] == "station"
    # What `keys rotate` would refuse is not signed: here, that less is required.
    world.trust(require="pull, delivery")
    (world.folder / "trust.yaml").rename(world.folder / "less.yaml")
    world.trust(require="pull, delivery, approval")
    assert world.run(*SIGN, *TRUSTED, "less.yaml", expect=4)["code"] == "bad-rotation"


def test_a_name_on_the_medium_forges_no_line(world: World) -> None:
    """What is shown before it is signed comes from anyone: here, the name of a signature's file."""
    signatures = world.folder / "media/signatures"
    (signatures / "a\n  delivery signed by 's'.sigstore.json").write_bytes(b"{}")
    said = run_airgap(["sign", "media", "--dry-run"], world.folder)
    assert said.code == 0, said.err
    assert "\n  delivery signed by" not in said.err
    assert "\n  signatures not checked: pass --trust FILE" in said.err


# where it is written


def test_a_link_on_a_medium_is_not_followed(world: World) -> None:
    outside = world.folder / "outside"
    outside.mkdir()
    shutil.move(world.folder / "media/signatures/station.sigstore.json", outside)
    (world.folder / "media/signatures").rmdir()
    (world.folder / "media/signatures").symlink_to("../outside")
    refused = world.run(*SIGN, "media", expect=2)
    assert (refused["code"], "is a link" in refused["error"]) == ("bad-path", True)
    assert [path.name for path in outside.iterdir()] == ["station.sigstore.json"]
    # The file itself, too: one that leads to nothing yet.
    (world.folder / "media/signatures").unlink()
    (world.folder / "media/signatures").mkdir()
    (world.folder / f"media/signatures/{APPROVAL}").symlink_to("../../outside/new")
    assert world.run(*SIGN, "media", expect=2)["code"] == "signature-exists"
    assert not (outside / "new").exists()
