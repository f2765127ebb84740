"""`airgap audit` looks at everything inside: what came in past airgap, what left the locks, what is declared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.parts import images
from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.git_sources import git
from tests.worlds.row import Row
from tests.worlds.site import GAP

KEY = ("--key", "sovereign.key")
DECLARED = """
  declared:
  - {match: ["oci/tools/*", "git/tools/**"], reason: built inside}
  - {match: ["objects/files/tools/**"], reason: built there}
  - {match: ["oci/nothing/*"], reason: was planned once}
"""


@pytest.fixture
def row(tmp_path: Path) -> Row:
    made = Row(tmp_path)
    for tag in ("v1", "v2"):
        made.layout.tag(tag, made.layout.image({"a": tag.encode()}))
    return made


def states(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(state, at, name) of what is not good, sorted."""
    return sorted((f["state"], f["at"], f["name"]) for f in document["findings"] if f["state"] != "good")


def audit(row: Row, *line: str, expect: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = row.site.run("audit", *GAP, *line, expect=expect)
    return found


def plant(row: Row, *names: str) -> str:
    """Puts an image into the embedded registry that no delivery brought; returns its digest."""
    layout = images.Layout(row.folder / "inside/oci")
    root = layout.image({"a": b"stranger"})
    for name in names:
        layout.tag(name, root)
    return str(root["digest"])


def said(row: Row, *line: str) -> str:
    """What the command prints for people."""
    return run_airgap(line, row.folder, PASSWORD).out


def test_what_came_in_past_airgap_is_extra_unless_it_is_declared(row: Row) -> None:
    row.take(row.deliver(1, {"demo.local/app:v1": "v1"}))
    foreign = plant(row, "tools/scan:v1", "demo.local/other:v1", "demo.local/app:stranger")
    git("init", "--quiet", "--bare", str(row.folder / "inside/git/tools/build.git"), cwd=row.folder)
    git("init", "--quiet", "--bare", str(row.folder / "inside/git/theirs.git"), cwd=row.folder)
    for name in ("files/tools/a/b", "files/stranger", "models/stranger"):
        path = row.folder / "inside/objects" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("stranger")
    extra = [
        ("extra", "demo.local/app", "stranger"),
        ("extra", "demo.local/other", "v1"),
        ("extra", "files", "stranger"),
        ("extra", "files", "tools/a/b"),
        ("extra", "models", "stranger"),
        ("extra", "theirs", ""),
        ("extra", "tools/build", ""),
        ("extra", "tools/scan", "v1"),
    ]
    for line in (("--receipt", "media1.receipt"), ("--lock", "r1.lock.json")):
        found = audit(row, *line, expect=3)
        assert states(found) == extra
        assert found["listed"] == "all"
        assert {f["got"] for f in found["findings"] if f["name"] == "stranger" and "app" in f["at"]} == {foreign}
        # Only what the receipt lists: nothing else is looked for, and that is said.
        only = audit(row, *line, "--only-listed")
        assert (states(only), only["listed"]) == ([], "not")
    row.inside("  directory: inside" + DECLARED)
    found = audit(row, "--receipt", "media1.receipt", "--report", "a.json", *KEY, expect=3)
    assert states(found) == [one for one in extra if "tools" not in one[1] + one[2]]
    assert [one["count"] for one in found["declared"]] == [2, 1, 0]
    told = said(row, "audit", *GAP, "--receipt", "media1.receipt")
    assert "3 declared in the Sovereign resource" in told
    assert "nothing matches oci/nothing/*" in told
    shown = row.site.run("show", "a.json")
    assert (shown["inside"]["declared"], shown["inside"]["listed"]) == (3, "all")


def test_what_left_the_lock_is_removed_and_not_forgotten(row: Row) -> None:
    row.take(row.deliver(1, {"demo.local/app:v1": "v1", "demo.local/old:v1": "v1"}))
    row.take(row.deliver(2, {"demo.local/app:v2": "v2", "demo.local/moved:v1": "v1"}))
    gone = [("removed", "demo.local/app", "v1"), ("removed", "demo.local/old", "v1")]
    for line in (("--receipt", "media2.receipt"), ("--lock", "r2.lock.json")):
        found = audit(row, *line)
        assert states(found) == gone
        removed = [one for one in found["findings"] if one["state"] == "removed"]
        assert {one["detail"] for one in removed} == {
            "delivery 1 of stream 'main' brought it; delivery 2 of stream 'main' no longer has it"
        }
        assert all(one["since"] and one["delivery"].startswith("sha256:") for one in removed)
        assert found["checked"] == 2
        assert states(audit(row, *line, "--strict", expect=3)) == gone
    audit(row, "--receipt", "media2.receipt", "--report", "a.json", *KEY)
    assert {one["at"] for one in row.site.run("show", "a.json")["inside"]["removed"]} == {one[1] for one in gone}
    assert "2 names removed from the locks, and still inside" in said(row, "audit", *GAP, "--receipt", "media2.receipt")
    # A lock of another name is another series: it leaves the first one as it is.
    row.take(row.deliver(3, {"demo.local/moved:v1": "v2"}, name="hotfix-2026-11"))
    # The old receipt is still of use: what later deliveries moved is told, and is no drift.
    old = audit(row, "--receipt", "media2.receipt")
    assert states(old) == [*gone, ("superseded", "demo.local/moved", "v1")]
    assert states(audit(row, "--lock", "r2.lock.json")) == states(old)
    # The names of an earlier delivery that belong inside are compared by its own receipt.
    first = audit(row, "--receipt", "media1.receipt")
    assert (states(first), first["others"]) == ([], 2)


def test_without_trust_what_can_be_known_is_said(row: Row) -> None:
    row.take(row.deliver(1, {"demo.local/app:v1": "v1"}))
    row.take(row.deliver(2, {"demo.local/app:v2": "v2"}))
    plant(row, "demo.local/app:stranger")
    line = ("audit", "--sovereign", "sovereign.yaml", "--lock", "r2.lock.json")
    found = row.site.run(*line, expect=3)
    assert states(found) == [("extra", "demo.local/app", "stranger"), ("removed", "demo.local/app", "v1")]
    assert found["receipts"] == "unverified"
    assert "no signature of a receipt was checked: pass --trust" in said(row, *line)


def test_an_import_without_a_key_leaves_names_that_are_not_extra(row: Row) -> None:
    row.take(row.deliver(1, {"demo.local/app:v1": "v1"}))
    row.site.run("import", row.deliver(2, {"demo.local/app:v2": "v2"}), *GAP)
    found = audit(row, "--receipt", "media1.receipt")
    assert (states(found), found["others"]) == ([], 1)
    assert states(audit(row, "--lock", "r2.lock.json")) == []
