"""Harbor's refusals, met by `airgap import` from the command line; the double answers as the real one was seen to."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.parts.harbor_double import HarborDouble
from tests.parts.harbor_state import Project
from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.harbor import ROBOT
from tests.worlds.row import Row
from tests.worlds.site import GAP

pytestmark = pytest.mark.e2e


@pytest.fixture
def harbor() -> Iterator[HarborDouble]:
    made = HarborDouble({"robot$import": "good"})
    yield made
    made.stop()


@pytest.fixture
def row(tmp_path: Path, harbor: HarborDouble) -> Row:
    made = Row(tmp_path)
    made.site.write("robot", "good\n")
    (tmp_path / "robot").chmod(0o600)
    made.inside(
        f"  registries:\n  - {{url: '{harbor.url}', projects: {{demo.local: p1}},"
        " credentials: {username: robot$import, passwordFile: robot}}\n"
    )
    made.layout.tag("v1", made.layout.image({"a": b"a" * 50_000}))
    made.deliver(1, {"demo.local/app:v1": "v1"})
    return made


def _reasons(done: Any) -> str:
    return " ".join([*(e["error"] for e in done["errors"]), *(c["reason"] or "" for c in done["changes"])])


def _outcomes(done: Any) -> list[str]:
    return [change["outcome"] for change in done["changes"]]


def _held(harbor: HarborDouble) -> str:
    return harbor.projects["p1"].repositories["app"].tags.get("v1", "")


def _receipt(row: Row, media: str) -> Any:
    bundle = json.loads((row.folder / f"{media}.receipt").read_bytes())
    return json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))["predicate"]["destinations"][0]["items"]


def test_a_project_that_forbids_to_read_what_is_unsigned_is_filled_and_audited(row: Row, harbor: HarborDouble) -> None:
    harbor.project("p1", policy=True)
    done = row.take("media1")
    assert _outcomes(done) == ["written"]
    assert _held(harbor) == done["changes"][0]["digest"]
    assert _outcomes(row.take("media1")) == ["present"]
    # Harbor's own API says what a name holds. Nobody can hash the bytes, and a deep audit does not say so.
    assert row.audit("media1") == []
    assert row.audit_deep("media1") == {"unknown"}
    # Somebody deletes the tag, and somebody moves it: the manifest that is there is no proof of the tag.
    harbor.projects["p1"].repositories["app"].tags.clear()
    assert row.audit("media1", expect=3) == [("missing", "v1")]
    assert _outcomes(row.take("media1")) == ["written"]
    assert _held(harbor) == done["changes"][0]["digest"]
    harbor.projects["p1"].immutable.add("v1")
    assert _outcomes(row.take("media1", "--deep")) == ["present"]


def test_a_tag_moves_back_where_reading_is_forbidden(row: Row, harbor: HarborDouble) -> None:
    harbor.project("p1", policy=True)
    first = row.take("media1")["changes"][0]["digest"]
    row.layout.tag("v2", row.layout.image({"a": b"b" * 100}))
    row.take(row.deliver(2, {"demo.local/app:v1": "v2"}))
    assert _held(harbor) != first
    back = row.deliver(3, {"demo.local/app:v1": "v1"})
    # The first time, the PUT of the tag meets a registry that is busy.
    harbor.before = lambda method, path: setattr(harbor, "read_only", method == "PUT" and path.endswith("manifests/v1"))
    done = row.take(back, expect=5)
    assert (_outcomes(done), [error["code"] for error in done["errors"]]) == (["failed"], ["read-only"])
    harbor.before, harbor.read_only = (lambda method, path: None), False
    assert _outcomes(row.take(back)) == ["written"]
    assert _held(harbor) == first


def test_what_nobody_can_read_back_is_unconfirmed(row: Row, harbor: HarborDouble) -> None:
    harbor.project("p1", policy=True)
    harbor.only("push", "pull", "project:read")
    said = row.site.run("doctor", "sovereign.yaml", "trust.yaml", expect=5)
    (foreseen,) = [one for one in said["probes"] if one["state"] == "problem"]
    assert (foreseen["code"], "unconfirmed" in foreseen["said"]) == ("blocked-by-policy", True)
    assert "artifact:read" in foreseen["next"]
    harbor.only("push", "pull")
    done = row.take("media1", expect=5)
    assert _outcomes(done) == ["unconfirmed"]
    (error,) = done["errors"]
    assert (error["code"], error["name"]) == ("unconfirmed", "v1")
    assert "artifact:read" in error["hint"]
    assert [line["outcome"] for line in _receipt(row, "media1")] == ["unconfirmed"]
    assert row.audit("media1", expect=3) == [("unknown", "v1")]
    harbor.only("push", "pull", "artifact:read", "artifact:list")
    assert row.audit("media1") == []
    assert _outcomes(row.take("media1")) == ["present"]


def test_a_project_that_is_missing_is_named(row: Row, harbor: HarborDouble) -> None:
    done = row.take("media1", expect=5)
    assert "project" in _reasons(done)


def test_a_project_that_somebody_deleted_is_missing(row: Row, harbor: HarborDouble) -> None:
    harbor.project("p1")
    row.take("media1")
    del harbor.projects["p1"]
    assert row.audit("media1", expect=3) == [("missing", "v1")]


def test_a_harbor_that_is_down_is_waited_for_once(row: Row, harbor: HarborDouble) -> None:
    harbor.project("p1")
    more = {f"demo.local/app{number}:v1": "v1" for number in range(6)}
    media = row.deliver(2, more)
    harbor.core_down = True
    for what in ("core", "registry"):
        harbor.requests.clear()
        done = row.take(media, "--dry-run", expect=5)
        assert {error["code"] for error in done["errors"]} == {"unreachable"}
        assert len(done["errors"]) == len(more)
        asked = [path for _, path, _ in harbor.requests if "api" not in path]
        assert len(set(asked)) <= 3, what
        assert len(asked) < 10
        harbor.core_down, harbor.registry_down = False, True
    # Quiet is not silent about what failed, and says it once.
    said = run_airgap(["import", media, *GAP, "--dry-run", "-q"], row.folder, PASSWORD)
    assert said.code == 5
    assert said.err.count("[unreachable]") == said.err.count("next: ") == 1
    assert "app0:v1 and 5 others" in said.err


def test_a_robot_that_may_only_pull_or_only_push_is_known_before(row: Row, harbor: HarborDouble) -> None:
    harbor.project("p1")
    for rights in ("pull", "push"):
        harbor.only(rights)
        done = row.take("media1", "--dry-run", expect=5)
        assert [error["code"] for error in done["errors"]] == ["no-rights"]
        assert "push does not imply pull" in done["errors"][0]["hint"]
    harbor.only("pull", "push")
    row.take("media1")
    harbor.expired.add(ROBOT)
    done = row.take("media1", expect=5)
    assert [error["code"] for error in done["errors"]] == ["login-failed"]
    assert "expired or is disabled" in done["errors"][0]["error"]


def test_an_import_again_asks_for_lists_and_not_for_names(row: Row, harbor: HarborDouble) -> None:
    project = harbor.project("p1")
    media = row.deliver(2, {f"demo.local/app{number}:v1": "v1" for number in range(8)})
    row.take(media)
    harbor.requests.clear()
    assert set(_outcomes(row.take(media))) == {"present"}
    assert len(harbor.requests) <= 6
    # What the list does not confirm is looked at.
    project.repositories["app7"].tags.clear()
    assert sorted(_outcomes(row.take(media))) == ["present"] * 7 + ["written"]


def test_a_quota_that_is_too_small_is_named(row: Row, harbor: HarborDouble) -> None:
    project = harbor.project("p1", quota=100)
    done = row.take("media1", expect=5)
    assert "quota" in _reasons(done)
    assert "app" not in project.repositories or not project.repositories["app"].tags


def test_an_immutable_tag_that_holds_the_same_is_no_error(row: Row, harbor: HarborDouble) -> None:
    project = harbor.project("p1")
    row.take("media1")
    project.immutable.add("v1")
    again = row.take("media1")
    assert [change["outcome"] for change in again["changes"]] == ["present"]


def test_read_only_mode_is_named(row: Row, harbor: HarborDouble) -> None:
    harbor.project("p1")
    harbor.read_only = True
    assert "read only" in _reasons(row.take("media1", expect=5))


@pytest.fixture
def kept(row: Row, harbor: HarborDouble) -> Project:
    """The project of the list of accepted deliveries, which a second delivery finds there."""
    project = harbor.project("safe")
    harbor.project("p1")
    text = (row.folder / "sovereign.yaml").read_text()
    row.site.write("sovereign.yaml", text.replace("projects:", "records: safe/records, projects:"))
    row.layout.tag("v2", row.layout.image({"a": b"b" * 100}))
    row.deliver(2, {"demo.local/app:v2": "v2"})
    row.take("media1")
    return project


def _listed(project: Project) -> str:
    return project.repositories["records"].tags["accepted-bank"]


def test_a_list_of_deliveries_under_an_immutable_tag_is_named_and_catches_up(row: Row, kept: Project) -> None:
    first = _listed(kept)
    kept.immutable.add("accepted-bank")
    for _ in range(2):  # and what the delivery brings is in all the same
        done = row.take("media2", expect=5)
        assert [error["code"] for error in done["errors"]] == ["immutable-tag"]
        assert "exempt it from that rule" in done["errors"][0]["hint"]
        assert {change["outcome"] for change in done["changes"]} <= {"written", "present"}
    assert _listed(kept) == first
    kept.immutable.clear()
    row.take("media2")
    assert _listed(kept) != first


def test_a_list_of_deliveries_that_has_no_room_or_may_not_be_written_is_named(
    row: Row, kept: Project, harbor: HarborDouble
) -> None:
    first = _listed(kept)
    kept.quota = kept.used
    done = row.take("media2", expect=5)
    assert [error["code"] for error in done["errors"]] == ["quota-exceeded"]
    kept.quota = -1
    harbor.read_only = True
    assert "read only" in _reasons(row.take("media2", expect=5))
    harbor.read_only = False
    assert _listed(kept) == first
    row.take("media2")
    assert _listed(kept) != first


def test_a_clean_up_of_what_has_no_tag_takes_no_record(row: Row, kept: Project, harbor: HarborDouble) -> None:
    records = kept.repositories["records"]
    first = _listed(kept)
    records.tags = {"accepted-bank": first}  # as an earlier version left it
    row.take("media2")
    assert _listed(kept) != first
    there = set(records.manifests)
    records.delete_untagged()
    assert {first, _listed(kept)} <= set(records.manifests) == there
    assert row.audit("media2") == []
    # Only lists are our own there.
    records.tags["accepted-bank-0123456789ab"] = _held(harbor)
    records.manifests[_held(harbor)] = harbor.projects["p1"].repositories["app"].manifests[_held(harbor)]
    assert row.audit("media2", expect=3) == [("extra", "accepted-bank-0123456789ab")]
