"""`airgap prune`: only what an approved plan lists, only while it is what the plan says, and never twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.base.progress import Silent
from airgap.jobs.prune import PruneOptions, prune
from tests.parts import images
from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.git_sources import Work
from tests.worlds.officer import approve, with_officer
from tests.worlds.row import Row
from tests.worlds.site import GAP
from tests.worlds.surroundings import quiet

KEY = ("--key", "sovereign.key")
PROPOSE = ("prune", *GAP, "--dry-run", "--plan", "prune.json")
CARRY_OUT = ("prune", *GAP, "--plan", "prune.json", *KEY)


@pytest.fixture
def row(tmp_path: Path) -> Row:
    made = Row(tmp_path)
    with_officer(made)
    for tag in ("v1", "v2"):
        made.layout.tag(tag, made.layout.image({"a": tag.encode()}, {"b": b"shared"}))
    return made


def ends(document: dict[str, Any]) -> dict[str, str]:
    return {f"{one['at']}:{one['name']}": one["outcome"] for one in document["lines"]}


def blobs(row: Row, tag: str) -> set[str]:
    """The digests of everything in an image."""
    [root] = [one for one in row.layout.entries() if one["annotations"]["org.opencontainers.image.ref.name"] == tag]
    manifest = json.loads(row.layout.read(root["digest"]))
    return {root["digest"], manifest["config"]["digest"], *(one["digest"] for one in manifest["layers"])}


def drift(row: Row, media: str, expect: int = 0) -> list[str]:
    found = row.site.run("audit", *GAP, "--receipt", f"{media}.receipt", expect=expect)["findings"]
    return sorted(f"{one['state']} {one['at']}:{one['name']}" for one in found if one["state"] != "good")


def deliver(row: Row, work: Work, number: int) -> None:
    """Delivers an image, a repository, a model and a file, of which each has a new name with the number."""
    tag = f"v{number}"
    work.commit(tag, f"{number}\n")
    work.git("branch", tag)
    (row.folder / "model").mkdir(exist_ok=True)
    (row.folder / "model/weights").write_text(f"weights {number}")
    (row.folder / "plain.txt").write_text("plain")
    plain = Digest.of(b"plain").hex
    spec = (
        f"  images:\n  - {{ref: 'oci:made:{tag}', name: 'demo.local/app:{tag}'}}\n"
        f"  git:\n  - {{url: work, name: demo/work, refs: [refs/heads/main, refs/heads/{tag}]}}\n"
        f"  models:\n  - {{directory: model, name: demo/tiny}}\n"
        f"  files:\n  - {{file: plain.txt, name: plain, sha256: '{plain}', path: plain/{number}/plain.txt}}\n"
    )
    row.take(row.cut_of(number, spec, f"all-2026-{number:02d}"))


def test_what_left_the_locks_goes_in_every_form_and_nothing_else(row: Row) -> None:
    work = Work(row.folder / "work")
    work.commit()
    for number in (1, 2):
        deliver(row, work, number)
    inside = row.folder / "inside"
    before = {path for path in inside.rglob("*") if path.is_file()}
    proposed = row.site.run(*PROPOSE)
    assert {path for path in inside.rglob("*") if path.is_file()} == before
    [revision] = {one["name"].split("/")[2] for one in proposed["proposed"] if one["at"] == "models"}
    gone = {
        "demo.local/app:v1",
        "demo/work:refs/heads/v1",
        f"models:demo/tiny/{revision}/weights",
        "files:plain/1/plain.txt",
    }
    assert {f"{one['at']}:{one['name']}" for one in proposed["proposed"]} == gone
    assert {one["state"] for one in proposed["proposed"]} == {"removed"}
    # Nothing without an approval.
    assert "airgap sign" in row.site.run("show", "prune.json", expect=2)["hint"]
    assert row.site.run(*CARRY_OUT, expect=4)["code"] == "prune-unapproved"
    approve(row)
    done = row.site.run(*CARRY_OUT)
    assert ends(done) == dict.fromkeys(gone, "deleted")
    assert drift(row, "media2") == []
    moved = ["demo/work:HEAD", "demo/work:refs/heads/main", "models:demo/tiny/refs/main"]
    told = [one.replace("models:demo/tiny/", "models/demo/tiny/").replace("/weights", ":weights") for one in gone]
    assert drift(row, "media1") == sorted(f"superseded {one}" for one in [*told, *moved])
    assert not (inside / "objects/files/plain/1").exists()
    left = {f"sha256:{path.name}" for path in (inside / "oci/blobs/sha256").iterdir()}
    v1, v2 = (blobs(row, tag) for tag in ("v1", "v2"))
    assert left == v2
    assert v1 & v2  # what both need stays
    # A statement says so, the log has it, and the plan counts once.
    [statement] = (row.folder / "state/statements").glob("prune-*.sigstore.json")
    shown = row.site.run("show", str(statement))
    assert {one["outcome"] for one in shown["lines"]} == {"deleted"}
    assert "`airgap verify`" not in run_airgap(["show", str(statement)], row.folder).out
    row.site.run("log", "verify", *GAP)
    assert row.site.run(*CARRY_OUT, expect=2)["code"] == "plan-done"
    assert row.site.run(*PROPOSE)["proposed"] == []


def test_what_changed_or_belongs_here_again_stays(row: Row) -> None:
    names = {f"demo.local/app{number}:v1": "v1" for number in range(4)}
    row.take(row.deliver(1, names))
    row.take(row.deliver(2, {"demo.local/app0:v1": "v1"}))
    row.site.run(*PROPOSE)
    approve(row)
    # Meanwhile a name moves, another goes, and a delivery brings the third again.
    layout = images.Layout(row.folder / "inside/oci")
    layout.tag("demo.local/app1:v1", layout.image({"a": b"stranger"}))
    row.take(row.deliver(3, {"demo.local/app0:v1": "v1", "demo.local/app3:v1": "v1"}))
    done = row.site.run(*CARRY_OUT, expect=3)
    assert ends(done) == {
        "demo.local/app1:v1": "kept", "demo.local/app2:v1": "deleted", "demo.local/app3:v1": "kept",
    }  # fmt: skip
    reasons = {one["at"]: one["reason"] for one in done["lines"]}
    assert "changed since the plan" in reasons["demo.local/app1"]
    assert "belongs here again: delivery 3" in reasons["demo.local/app3"]
    assert drift(row, "media3", expect=3) == ["extra demo.local/app1:v1"]


def test_extra_goes_only_when_it_is_named(row: Row) -> None:
    row.take(row.deliver(1, {"demo.local/app:v1": "v1"}))
    layout = images.Layout(row.folder / "inside/oci")
    for name in ("demo.local/stray:v1", "demo.local/other:v1"):
        layout.tag(name, layout.image({"a": b"stranger"}))
    assert row.site.run(*PROPOSE)["proposed"] == []
    assert not (row.folder / "prune.json").exists()
    found = row.site.run(*PROPOSE, "--extra", "oci/demo.local/stray*")["proposed"]
    assert [(one["at"], one["state"]) for one in found] == [("demo.local/stray", "extra")]
    approve(row)
    row.site.run(*CARRY_OUT)
    assert drift(row, "media1", expect=3) == ["extra demo.local/other:v1"]


def test_a_plan_as_a_weapon(row: Row) -> None:
    row.take(row.deliver(1, {"demo.local/app:v1": "v1", "demo.local/old:v1": "v1"}))
    row.take(row.deliver(2, {"demo.local/app:v1": "v1"}))
    row.site.run(*PROPOSE)
    plan, good = row.folder / "prune.json", (row.folder / "prune.json").read_bytes()
    approve(row)
    approval = row.folder / "prune.json.security-officer.sigstore.json"

    def refused(data: bytes, code: str, *line: str, expect: int = 4) -> None:
        plan.write_bytes(data)
        assert row.site.run(*(line or CARRY_OUT), expect=expect)["code"] == code
        plan.write_bytes(good)

    # A plan that was changed after the approval; one that is not in airgap's own bytes; another file.
    refused(good.replace(b"demo.local/old", b"demo.local/app"), "prune-unapproved")
    refused(json.dumps(json.loads(good), indent=1).encode(), "bad-plan", expect=2)
    refused(b"{}", "bad-plan", expect=2)
    # An approved plan that names what belongs here: the receipts are asked again.
    forged = good.replace(b"demo.local/old", b"demo.local/app")
    plan.write_bytes(forged)
    kept = approval.read_bytes()
    approval.unlink()
    approve(row)
    assert ends(row.site.run(*CARRY_OUT, expect=3)) == {"demo.local/app:v1": "kept"}
    plan.write_bytes(good)
    # Another Sovereign's plan, an expired one, an approval of another kind, and one by a key that may not approve.
    approval.unlink()
    refused(good.replace(b'"bank"', b'"rust"'), "wrong-sovereign")
    year = json.loads(good)["expires"][:4].encode()
    refused(good.replace(b'"expires":"' + year, b'"expires":"2020'), "plan-expired", expect=2)
    row.site.run("sign", "r2.lock.json", "--key", "officer.key", "--out", ".")
    lock = (row.folder / "r2.lock.json.security-officer.sigstore.json").read_bytes()
    approval.write_bytes(lock)
    assert row.site.run(*CARRY_OUT, expect=4)["code"] == "prune-unapproved"
    approval.unlink()
    row.site.run("sign", "prune.json", "--key", "stranger.key")
    assert row.site.run(*CARRY_OUT, expect=4)["code"] == "unknown-key"
    approval.write_bytes(kept)
    assert ends(row.site.run(*CARRY_OUT)) == {"demo.local/old:v1": "deleted"}


def test_each_mistake_has_its_own_answer(row: Row) -> None:
    row.take(row.deliver(1, {"demo.local/app:v1": "v1"}))
    for line, code in (
        (("prune", *GAP), "no-plan"),
        (("prune", *GAP, "--plan", "none.json"), "bad-plan"),
        (("prune", *GAP, "--plan", "r1.lock.json"), "bad-plan"),
        (("prune", *GAP, "--dry-run", "--plan", "trust.yaml"), "other-file"),
        (("prune", *GAP, "--dry-run", "--lock", "trust.yaml"), "bad-lock"),
        (("prune", *GAP, "--dry-run", "--only", "**"), "bad-pattern"),
        (("prune", *GAP, "--dry-run", "--extra", "https://harbor.example/x"), "bad-pattern"),
        (("prune", *GAP, "--dry-run", "--only", "demo.local/app"), "bad-pattern"),  # as the table has it, without oci/
    ):
        assert row.site.run(*line, expect=2)["code"] == code
    told = run_airgap(("prune", *GAP, "--dry-run"), row.folder, PASSWORD).out
    assert "nothing to delete" in told


class Interrupting(Silent):
    """A progress that is Ctrl-C after the first thing."""

    def done(self, name: str, outcome: str) -> None:
        raise KeyboardInterrupt


def test_ctrl_c_signs_what_was_done_and_the_same_plan_continues(row: Row) -> None:
    row.take(row.deliver(1, {f"demo.local/old{number}:v1": "v1" for number in range(3)} | {"demo.local/app:v1": "v1"}))
    row.take(row.deliver(2, {"demo.local/app:v1": "v1"}))
    row.site.run(*PROPOSE)
    approve(row)
    folder = row.folder
    key = str(folder / "sovereign.key")
    options = PruneOptions(folder / "sovereign.yaml", folder / "trust.yaml", folder / "prune.json", key=key)
    password = (folder / "password").read_bytes().strip()
    surroundings = replace(quiet(folder), progress=Interrupting, password=lambda _asked: password)
    with pytest.raises(KeyboardInterrupt):
        prune(options, surroundings)
    [statement] = (folder / "state/statements").glob("prune-*.sigstore.json")
    lines = row.site.run("show", str(statement))["lines"]
    assert sorted(one["outcome"] for one in lines) == ["deleted", "not-reached", "not-reached"]
    row.site.run("log", "verify", *GAP)
    done = row.site.run(*CARRY_OUT)
    assert sorted(ends(done).values()) == ["absent", "deleted", "deleted"]
    assert "an interrupted run" in next(one["reason"] for one in done["lines"] if one["outcome"] == "absent")
