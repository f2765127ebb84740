"""The station from the command line: images that real cosign signed are judged, and verdicts decide what crosses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.base.times import utc_text
from airgap.delivery.index import Index
from airgap.statements.approval import Approvable, Approval, Approves
from airgap.statements.dsse import open_bundle
from airgap.statements.statement import Statement
from airgap.statements.verdict import Verdict
from tests.parts import need
from tests.parts.fixtures import scratch
from tests.parts.registry import start_registry
from tests.parts.system import NetworkNamespace
from tests.worlds.attacks import Files, World, make_world
from tests.worlds.cosign import cosign
from tests.worlds.site import HEAD

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.part("cosign", "skopeo", "distribution3", "iproute2", "faketime"),
]
SCAN = ("scan", "--store", "store", "--key", "station.key", "--policy")
POLICY = """\
kind: Policy
metadata: {{name: bank}}
spec:
  keys: [{{name: ci, publicKeyFile: cosign.pub}}]
  rules:
  - match: ["{host}/team/app"]
    require: {{keys: [ci]}}
"""
TOOL = '  - match: ["{host}/team/tool"]\n    require: {{keys: [ci]}}\n'
WAIVER = """\
kind: Waiver
metadata: {{name: tool}}
spec:
  digests: ["{digest}"]
  checks: [signature]
  approver: Amina
  reason: compared by hand
  expires: {expires}
"""
APPROVAL = "waiver.yaml.security-officer.sigstore.json"
WAIVED = (*SCAN, "strict.yaml", "tool.lock.json", "--trust", "trust.yaml", "--waiver", "waiver.yaml")
REQUIRE = "pull, verdict, delivery"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two locks in the store: `app`, which cosign signed, and `tool`, which nobody did."""
    with ExitStack() as stack:
        netns = NetworkNamespace()
        stack.callback(netns.remove)
        registry = start_registry(scratch(stack, "registry"), version=3)
        stack.callback(registry.stop)
        world = make_world(tmp_path_factory.mktemp("scan") / "base", netns)
        world.trust(require=REQUIRE)
        layout = world.layout()
        layout.tag("tool", layout.image({"tool": b"tool"}))
        for tag, name in (("v1", "app"), ("tool", "tool")):
            there = f"docker://{registry.host}/team/{name}:v1"
            need.run("skopeo", "copy", "--all", "--dest-tls-verify=false", f"oci:{layout.folder}:{tag}", there)
        assert cosign("generate-key-pair", home=world.folder).returncode == 0
        line = ("sign", "-y", "--key", "cosign.key", "--use-signing-config=false", "--tlog-upload=false")
        signed = cosign(*line, "--allow-http-registry", f"{registry.host}/team/app:v1", home=world.folder)
        assert signed.returncode == 0, signed.stderr
        hosts = f"kind: Upstreams\nmetadata: {{name: u}}\nspec:\n  hosts:\n    '{registry.host}': {{plainHTTP: true}}\n"
        world.write("u.yaml", HEAD + hosts)
        for name in ("app", "tool"):
            spec = f"spec:\n  images:\n  - {{ref: '{registry.host}/team/{name}:v1', name: '{name}'}}\n"
            world.write(f"{name}.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: {name}}}\n{spec}")
            world.run("lock", f"{name}.request.yaml", "--upstreams", "u.yaml")
            pull = ("pull", f"{name}.lock.json", "--store", "store", "--upstreams", "u.yaml")
            world.run(*pull, "--key", "exporter.key")
        world.write("policy.yaml", HEAD + POLICY.format(host=registry.host))
        world.write("strict.yaml", HEAD + (POLICY + TOOL).format(host=registry.host))
        yield world


@pytest.fixture
def world(base: World, tmp_path: Path) -> World:
    """A copy of it, so that stories do not meet."""
    return base.copy(tmp_path / "world")


def bundle(world: World, media: str, lock: str, *more: str, expect: int = 0, who: str = "exporter") -> Any:
    """Cuts a delivery, as the exporter unless it is said otherwise."""
    role = {"exporter": "exporter", "station": "station"}[who]
    line = ("bundle", f"{lock}.lock.json", "--store", "store", "--to", media, "--for", "bank", "--role", role)
    return world.run(*line, "--key", f"{who}.key", *more, expect=expect)


def root(world: World, lock: str) -> Digest:
    """The root of a lock's one item."""
    document = json.loads((world.folder / f"{lock}.lock.json").read_bytes())
    return Digest(document["items"][0]["root"]["digest"])


def write_waiver(world: World, days: float = 30, **more: str) -> None:
    """A waiver for the tool, `waiver.yaml`, that holds for so many days."""
    expires = (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = more.get("digest") or root(world, "tool")
    world.write("waiver.yaml", HEAD + WAIVER.format(digest=digest, expires=expires))


def approve(world: World, who: str = "officer") -> None:
    """Has it approved."""
    world.run("sign", "waiver.yaml", "--key", f"{who}.key", "--role", "security-officer")


def verdict(files: Files) -> tuple[str, Statement]:
    """The verdict in the evidence, with its file's name."""
    for name, data in files.items():
        if name.startswith("statements/"):
            found = Statement.parse(open_bundle(data, name, 1 << 26).payload, name)
            if found.kind == "verdict":
                return name, found
    raise AssertionError("no verdict")


def with_statement(files: Files, name: str, data: bytes | None) -> Files:
    """The evidence with another statement in place of `name`, or with none."""
    kept = {one: content for one, content in files.items() if one != name}
    return kept if data is None else {**kept, f"statements/{Digest.of(data).hex}.sigstore.json": data}


# the good way


def test_what_cosign_signed_goes_all_the_way(world: World) -> None:
    scanned = world.run(*SCAN, "policy.yaml", "app.lock.json")
    (lock,) = scanned["locks"]
    assert (lock["outcome"], [item["outcome"] for item in lock["items"]]) == ("pass", ["pass"])
    data = (world.folder / lock["verdict"]).read_bytes()
    body = Statement.parse(open_bundle(data, "verdict").payload, "verdict").body
    assert isinstance(body, Verdict)
    assert body.policy.digest == Digest.of((world.folder / "policy.yaml").read_bytes())
    (check,) = body.items["app"].checks
    assert (check.check, check.outcome, check.subject) == ("signature", "pass", root(world, "app"))
    assert check.by is not None
    assert check.by.key == "ci"
    # Others can read it.
    kind = ("--type", "https://airgap.openova.io/verdict/v1", "--insecure-ignore-tlog=true")
    line = ("verify-blob-attestation", "--key", "station.pub", *kind, "--bundle", lock["verdict"], "app.lock.json")
    assert cosign(*line, home=world.folder).returncode == 0
    bundle(world, "media", "app", who="station")
    said = world.inside("verify", "media", "--trust", "trust.yaml", "--index-only")["judged"]
    assert [(one["outcome"], one["refused"]) for one in said["verdicts"]] == [("pass", [])]
    world.take("media")


def test_a_dry_run_signs_nothing_and_needs_no_key(world: World) -> None:
    done = world.run("scan", "app.lock.json", "--store", "store", "--policy", "strict.yaml", "--dry-run")
    assert done["locks"][0]["verdict"] is None
    assert done["locks"][0]["outcome"] == "pass"
    dry = ("scan", "tool.lock.json", "--store", "store", "--policy", "strict.yaml", "--dry-run")
    assert world.run(*dry, expect=3)["locks"][0]["items"][0]["reason"] == "absent"
    assert not list((world.folder / "store/airgap/statements").glob("verdict-*"))
    # What it does not need is read all the same: a mistake in a path is said today, and not on the night of the run.
    assert world.run(*dry, "--trust", "nowhere.yaml", expect=2)["code"] == "resource-file"


# the gate


def test_an_unsigned_image_without_a_rule_is_rejected_and_does_not_cross(world: World) -> None:
    done = world.run(*SCAN, "policy.yaml", "app.lock.json", "tool.lock.json", expect=3)
    assert [lock["outcome"] for lock in done["locks"]] == ["pass", "fail"]
    assert done["locks"][1]["items"][0]["reason"] == "no-rule"
    # The rejection was signed; what it names is not cut, whoever cuts.
    assert Path(world.folder / done["locks"][1]["verdict"]).exists()
    for more in ((), ("--unscanned",)):
        assert bundle(world, "media", "tool", *more, expect=3)["code"] == "verdict-failed"
    assert not (world.folder / "media").exists()
    bundle(world, "media", "app")


def test_once_there_is_a_policy_every_lock_needs_a_verdict(world: World) -> None:
    bundle(world, "first-leg", "tool")
    assert bundle(world, "media", "tool", who="station", expect=3)["code"] == "not-scanned"
    world.run(*SCAN, "policy.yaml", "app.lock.json")
    assert bundle(world, "media", "tool", expect=3)["code"] == "not-scanned"
    bundle(world, "media", "tool", "--unscanned")
    assert world.refused("media") == "statement-missing"


def test_only_what_was_pulled_is_judged(world: World) -> None:
    shutil.rmtree(world.folder / "store/blobs")
    (world.folder / "store/blobs/sha256").mkdir(parents=True)
    assert world.run(*SCAN, "policy.yaml", "app.lock.json", expect=2)["code"] == "not-pulled"


# what an exporter with a changed tool could send, and the Sovereign refuses


def test_a_verdict_that_was_removed_or_is_of_another_lock(world: World) -> None:
    world.run(*SCAN, "policy.yaml", "app.lock.json")
    bundle(world, "media", "app")
    write_waiver(world)
    approve(world)
    other = (world.folder / world.run(*WAIVED)["locks"][0]["verdict"]).read_bytes()

    def removed(files: Files) -> Files:
        return with_statement(files, verdict(files)[0], None)

    def swapped(files: Files) -> Files:
        return with_statement(files, verdict(files)[0], other)

    assert world.refused(world.forge("media", "one", evidence=removed, who="exporter")) == "statement-missing"
    assert world.refused(world.forge("media", "two", evidence=swapped, who="exporter")) == "statement-missing"


def test_a_failing_verdict_that_is_sent_all_the_same(world: World) -> None:
    world.run(*SCAN, "policy.yaml", "app.lock.json")
    bundle(world, "media", "app")
    # By a policy that trusts another key it may not pass.
    world.write("cosign.pub", (world.folder / "station.pub").read_text())
    done = world.run(*SCAN, "policy.yaml", "app.lock.json", expect=3)
    failing = (world.folder / done["locks"][0]["verdict"]).read_bytes()

    def forced(files: Files) -> Files:
        return with_statement(files, verdict(files)[0], failing)

    forged = world.forge("media", "forced", evidence=forced, who="exporter")
    assert world.refused(forged) == "verdict-failed"
    # Also where no verdict is required: who said no, said no.
    world.trust(require="pull, delivery")
    assert world.refused(forged) == "verdict-failed"


def test_an_exporter_who_signs_the_verdict(world: World) -> None:
    world.run(*SCAN, "policy.yaml", "app.lock.json")
    bundle(world, "media", "app")
    for number, (role, code) in enumerate((("exporter", "role-may-not"), ("station", "wrong-role"))):

        def signed_by_exporter(files: Files, role: str = role) -> Files:
            name, good = verdict(files)
            data = world.statement(good.subject, good.body, "exporter", role=role)
            return with_statement(files, name, data)

        forged = world.forge("media", f"forged{number}", evidence=signed_by_exporter, who="exporter")
        assert world.refused(forged) == code


# waivers


def test_a_waiver_lets_one_digest_pass_and_travels_with_its_approval(world: World) -> None:
    assert world.run(*SCAN, "strict.yaml", "tool.lock.json", expect=3)["locks"][0]["outcome"] == "fail"
    write_waiver(world)
    approve(world)
    (lock,) = world.run(*WAIVED)["locks"]
    digest = str(Digest.of((world.folder / "waiver.yaml").read_bytes()))
    assert (lock["outcome"], [one["digest"] for one in lock["waivers"]]) == ("pass", [digest])
    assert [check["outcome"] for check in lock["items"][0]["checks"]] == ["waived"]
    bundle(world, "media", "tool")
    world.take("media")


def test_a_waiver_for_something_else_waives_nothing(world: World) -> None:
    write_waiver(world, digest=root(world, "app"))
    approve(world)
    (lock,) = world.run(*WAIVED, expect=3)["locks"]
    assert (lock["outcome"], lock["waivers"]) == ("fail", [])


def test_a_waiver_that_does_not_count_is_said_before_anything_is_judged(world: World) -> None:
    write_waiver(world)
    assert world.run(*WAIVED, expect=4)["code"] == "waiver-unapproved"
    assert world.run(*WAIVED[:8], "--waiver", "waiver.yaml", expect=2)["code"] == "usage"
    approve(world, "thief")
    assert world.run(*WAIVED, expect=4)["code"] == "unknown-key"
    (world.folder / APPROVAL).unlink()
    world.run("sign", "waiver.yaml", "--key", "officer.key", "--out", "approvals")
    elsewhere = ("--approval", f"approvals/{APPROVAL}")
    assert world.run(*WAIVED, *elsewhere)["locks"][0]["outcome"] == "pass"
    assert world.run(*WAIVED[:-2], *elsewhere, expect=2)["code"] == "bad-approval"
    another = ("--approval", "trust.yaml")
    assert world.run(*WAIVED, *another, expect=2)["code"] == "bad-approval"
    # Edited after the approval.
    shutil.copyfile(world.folder / f"approvals/{APPROVAL}", world.folder / APPROVAL)
    text = (world.folder / "waiver.yaml").read_text()
    world.write("waiver.yaml", text.replace("checks: [signature]", "checks: [signature, attestation]"))
    assert world.run(*WAIVED, expect=4)["code"] == "waiver-changed"
    # Of a check that cannot be waived.
    world.write("waiver.yaml", text.replace("checks: [signature]", "checks: [deny]"))
    assert world.run(*WAIVED, expect=2)["code"] == "bad-resource"
    # By an officer whose key ended since: the approval may be of today, or made by a thief in a week.
    world.write("waiver.yaml", text)
    moment = utc_text(datetime.now(UTC) + timedelta(days=1))
    for code, ends in (
        ("key-expired", f"notBefore: 2026-01-01T00:00:00Z, notAfter: {moment}"),
        ("key-revoked", f"revoked: {{at: {moment}}}"),
    ):
        world.trust(officer=ends)
        assert world.run(*WAIVED, expect=4, clock="+5d")["code"] == code
    world.trust()
    # Late.
    assert world.run(*WAIVED, expect=2, clock="+31d")["code"] == "waiver-expired"


def test_what_the_sovereign_checks_of_a_waiver(world: World) -> None:
    write_waiver(world)
    approve(world)
    world.run(*WAIVED)
    bundle(world, "media", "tool")
    subject = Digest.of((world.folder / "waiver.yaml").read_bytes())

    def without_file(files: Files) -> Files:
        return {name: data for name, data in files.items() if not name.startswith("waivers/")}

    def edited(files: Files) -> Files:
        return {
            name: data.replace(b"Amina", b"Nobody") if name.startswith("waivers/") else data
            for name, data in files.items()
        }

    def without_approval(files: Files) -> Files:
        approval = (world.folder / APPROVAL).read_bytes()
        return with_statement(files, f"statements/{Digest.of(approval).hex}.sigstore.json", None)

    def approved_by_thief(files: Files) -> Files:
        data = world.statement(subject, Approval(Approves(Approvable.WAIVER)), "thief", role="security-officer")
        return with_statement(without_approval(files), "", data)

    def approved_by_station(files: Files) -> Files:
        data = world.statement(subject, Approval(Approves(Approvable.WAIVER)), "station")
        return with_statement(without_approval(files), "", data)

    late = datetime.now(UTC).replace(microsecond=0) + timedelta(days=31)

    def judged_late(files: Files) -> Files:
        name, good = verdict(files)
        return with_statement(files, name, world.statement(good.subject, good.body, "station", at=late))

    stories = [
        (without_file, "waiver-missing"),
        (edited, "waiver-missing"),
        (without_approval, "waiver-unapproved"),
        (approved_by_thief, "waiver-unapproved"),
        (approved_by_station, "role-may-not"),
    ]
    for number, (change, code) in enumerate(stories):
        forged = world.forge("media", f"forged{number}", evidence=change, who="exporter")
        assert world.refused(forged) == code, change.__name__

    # The station judged after the waiver had ended, and the delivery comes later still.
    def cut_late(index: Index) -> Index:
        return replace(index, journey=replace(index.journey, created=late))

    forged = world.forge("media", "late", evidence=judged_late, index=cut_late, who="exporter", at=late)
    assert world.refused(forged, clock="+32d") == "waiver-expired"
    # A delivery on a long road: it held when the verdict was signed, and that is what counts.
    world.take("media", clock="+40d")
    # But nothing new is cut by it.
    cut = ("--store", "store", "--to", "later", "--for", "bank", "--key", "station.key", "--role", "station")
    assert world.run("bundle", "tool.lock.json", *cut, expect=3, clock="+40d")["code"] == "waiver-expired"
