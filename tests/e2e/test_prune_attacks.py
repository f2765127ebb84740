"""Plans, states and histories with which `airgap prune` would delete, or hide, what belongs inside."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.statements.prune_plan import EXTRA, PruneLine, PrunePlan
from tests.parts import images
from tests.worlds.officer import approve, with_officer
from tests.worlds.row import Row
from tests.worlds.site import GAP

KEY = ("--key", "sovereign.key")
PROPOSE = ("prune", *GAP, "--dry-run", "--plan", "prune.json")
CARRY_OUT = ("prune", *GAP, "--plan", "prune.json", *KEY)
APP, OLD = {"demo.local/app:v1": "v1"}, {"demo.local/app:v1": "v1", "demo.local/old:v1": "v1"}


@pytest.fixture
def row(tmp_path: Path) -> Row:
    made = Row(tmp_path)
    with_officer(made)
    made.layout.tag("v1", made.layout.image({"a": b"v1"}))
    return made


def two(row: Row) -> None:
    """Two deliveries, of which the second no longer has `old`."""
    row.take(row.deliver(1, OLD))
    row.take(row.deliver(2, APP))


def forge(row: Row, destination: str, form: str, at: str, name: str, digest: str) -> None:
    """An approved plan by hand, for something that no delivery brought."""
    path = row.folder / "prune.json"
    plan = PrunePlan.decode(path.read_bytes(), "plan")
    path.write_bytes(replace(plan, lines=(PruneLine(destination, form, at, name, digest, EXTRA),)).encode())
    approve(row)


def ends(document: dict[str, Any]) -> list[str]:
    return [one["outcome"] for one in document["lines"]]


def untag(row: Row, name: str) -> None:
    index = row.folder / "inside/oci/index.json"
    found = json.loads(index.read_bytes())
    found["manifests"] = [one for one in found["manifests"] if name not in json.dumps(one)]
    index.write_text(json.dumps(found))


def test_a_prune_does_not_excuse_what_was_brought_again_and_stolen(row: Row) -> None:
    two(row)
    row.site.run(*PROPOSE)
    approve(row)
    row.site.run(*CARRY_OUT)
    assert row.audit("media1") == []
    row.take(row.deliver(3, OLD))
    untag(row, "old:v1")
    for media in ("media1", "media3"):
        assert row.audit(media, expect=3) == [("missing", "v1")]


def test_a_plan_names_nothing_outside_the_folder_or_the_buckets(row: Row) -> None:
    two(row)
    row.site.run(*PROPOSE)
    inside, state = row.folder / "inside", row.folder / "state/accepted.json"
    (inside / "objects/files").mkdir(parents=True)
    digest = str(Digest.of(state.read_bytes()))
    for number, (at, name, end) in enumerate(
        (("files", "../../../state/accepted.json", "failed"), ("..", "../state/accepted.json", "kept"))
    ):
        if number:
            row.site.run(*PROPOSE)
            (row.folder / "prune.json.security-officer.sigstore.json").unlink()
        forge(row, str(inside), "tree", at, name, digest)
        assert ends(row.site.run(*CARRY_OUT, expect=None)) == [end]
        assert state.exists()


@pytest.mark.part("distribution3")
def test_the_lists_of_accepted_deliveries_are_in_no_plan(row: Row, start_registry: Any) -> None:
    registry = start_registry()
    row.inside(f"  registries:\n  - {{url: '{registry.url}', projects: {{demo.local: in}}, records: rec/lists}}\n")
    two(row)
    extra = row.site.run(*PROPOSE, "--extra", f"{registry.host}/rec/**")["proposed"]
    assert [(one["at"], one["name"]) for one in extra] == [("in/old", "v1")]
    listed = f"{registry.url}/v2/rec/lists/manifests/accepted-bank"
    import requests

    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    digest = requests.head(listed, headers=accept, timeout=10).headers["Docker-Content-Digest"]
    forge(row, registry.url, "graph", "rec/lists", "accepted-bank", digest)
    assert ends(row.site.run(*CARRY_OUT, expect=3)) == ["kept"]
    assert requests.head(listed, headers=accept, timeout=10).status_code == 200
    # Nor is what airgap does not fill.
    row.inside(f"  registries:\n  - {{url: '{registry.url}', projects: {{demo.local: other}}, records: rec/lists}}\n")
    done = row.site.run(*PROPOSE)
    assert done["proposed"] == []


def test_a_state_folder_from_an_older_backup_deletes_nothing(row: Row) -> None:
    two(row)
    shutil.copytree(row.folder / "state", row.folder / "backup")
    row.site.run(*PROPOSE)
    approve(row)
    row.take(row.deliver(3, OLD))
    shutil.rmtree(row.folder / "state")
    (row.folder / "backup").rename(row.folder / "state")
    for line in (PROPOSE, CARRY_OUT):
        assert row.site.run(*line, expect=4)["code"] == "state-rolled-back"


def test_what_an_import_without_a_receipt_brought_stays(row: Row) -> None:
    two(row)
    row.site.run(*PROPOSE)
    approve(row)
    row.site.run("import", row.deliver(3, OLD), *GAP)
    proposed = row.site.run("prune", *GAP, "--dry-run")
    assert (proposed["proposed"], proposed["untold"]) == ([], 1)
    done = row.site.run(*CARRY_OUT, expect=3)
    assert ends(done) == ["kept"]
    assert "delivery 3 of stream 'main' may have brought it" in done["lines"][0]["reason"]
    # Locks say what counts instead. A plan is held up by what was accepted after it.
    assert row.site.run("prune", *GAP, "--dry-run", "--lock", "r3.lock.json")["proposed"] == []
    assert len(row.site.run(*PROPOSE, "--lock", "r2.lock.json")["proposed"]) == 1


def test_a_name_without_a_tag_goes_and_a_plan_may_have_any_name(row: Row) -> None:
    two(row)
    inside = images.Layout(row.folder / "inside/oci")
    inside.tag("stray", inside.image({"a": b"stranger"}))
    plan = "plan[1].json"
    row.site.run("prune", *GAP, "--dry-run", "--plan", plan, "--extra", "oci/stray")
    approve(row, plan)
    assert ends(row.site.run("prune", *GAP, "--plan", plan, *KEY)) == ["deleted", "deleted"]
    assert "stray" not in (row.folder / "inside/oci/index.json").read_text()


def test_what_a_rollback_brought_back_belongs_also_after_a_refused_import(row: Row) -> None:
    row.layout.tag("v2", row.layout.image({"a": b"v2"}))
    row.take(row.deliver(1, OLD))
    row.take(row.deliver(2, {"demo.local/app:v1": "v2"}))
    row.site.run("rollback", "media2.receipt", *GAP, *KEY)
    row.take("media2", expect=3)
    assert row.site.run("prune", *GAP, "--dry-run")["proposed"] == []


def test_a_rollback_leaves_what_a_later_delivery_has_whatever_the_state_has_lost(row: Row) -> None:
    row.layout.tag("v2", row.layout.image({"a": b"v2"}))
    row.take(row.deliver(1, APP))
    row.take(row.deliver(2, {"demo.local/app:v1": "v2"}))
    shutil.copytree(row.folder / "state", row.folder / "backup")
    row.take(row.deliver(3, {"demo.local/app:v1": "v2"}))
    back = ("rollback", "media2.receipt", *GAP, *KEY)
    (row.folder / "state/names.json").unlink()
    [line] = row.site.run(*back, expect=3)["changes"]
    assert (line["outcome"], line["reason"]) == ("refused", "delivery 3 of stream 'main' has this name in place")
    shutil.rmtree(row.folder / "state")
    (row.folder / "backup").rename(row.folder / "state")
    assert row.site.run(*back, expect=4)["code"] == "state-rolled-back"
