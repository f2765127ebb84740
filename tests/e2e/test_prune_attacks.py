"""Plans, states and histories with which `airgap prune` would delete, or hide, what belongs inside."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import UpstreamError
from airgap.base.times import utc_text
from airgap.content.removal import RemovalOutcome
from airgap.destinations.accepted_list import RegistryShelf
from airgap.statements.dsse import open_bundle, sign_payload
from airgap.statements.keys.file import load_private
from airgap.statements.predicates import Receipt
from airgap.statements.prune import Prune, Pruned
from airgap.statements.prune_plan import EXTRA, PruneLine, PrunePlan
from airgap.statements.statement import Statement
from tests.parts import images
from tests.worlds.commands import PASSWORD, run_airgap
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
def test_the_lists_of_accepted_deliveries_are_in_no_plan(
    row: Row, start_registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(_shelf: RegistryShelf, _name: str) -> bool:
        raise UpstreamError("no-rights", "it cannot be read")

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
    # It stays even if it cannot be read.
    monkeypatch.setattr(RegistryShelf, "is_list", unreadable)
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


def signed(row: Row, statement: Statement, who: str, role: str) -> bytes:
    """The same by whoever's key was stolen, in any role."""
    password = (row.folder / "password").read_bytes().strip()
    made = Statement.of(
        statement.subject, statement.body, signed_at=statement.signed_at, log_head=statement.log_head, role=role
    )
    return sign_payload(made.payload, load_private(row.folder / f"{who}.key", password))


def receipt(row: Row, media: str) -> Statement:
    return Statement.parse(open_bundle((row.folder / f"{media}.receipt").read_bytes(), media).payload, media)


def test_a_history_believes_no_receipt_by_the_key_of_an_exporter(row: Row) -> None:
    row.take(row.deliver(1, APP))
    found = receipt(row, "media1")
    for number, role in enumerate(("sovereign", "exporter")):
        path = row.folder / f"state/receipts/main-00000{7 + number}.sigstore.json"
        path.write_bytes(signed(row, replace(found, subject=Digest.of(b"never")), "exporter", role))
    said = run_airgap(["history", *GAP, "--json"], row.folder, PASSWORD)
    assert [one["sequence"] for one in json.loads(said.out)["deliveries"]] == [1]
    assert said.err.count("note: ignored") == 2


def test_a_revoked_key_excuses_no_theft(row: Row) -> None:
    trust = row.folder / "trust.yaml"
    listed = (
        "  - name: lost\n    role: sovereign\n    publicKeyFile: stranger.pub\n"
        "    notBefore: 2026-01-01T00:00:00Z\n    notAfter: 2036-01-01T00:00:00Z\n"
    )
    trust.write_text(trust.read_text().replace("  require:", f"{listed}  require:"))
    row.take(row.deliver(1, OLD))
    found = receipt(row, "media1")
    assert isinstance(found.body, Receipt)
    [(place, line)] = [(part, one) for part in found.body.destinations for one in part.items if "old" in one.at]
    gone = Pruned(place.url, place.form, line.item, line.at, line.name, line.digest, RemovalOutcome.DELETED)
    forged = replace(found, subject=Digest.of(b"plan"), body=Prune("bank", Digest.of(b"approval"), (gone,)))
    path = row.folder / f"state/statements/prune-{forged.subject.hex}.sigstore.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(signed(row, forged, "stranger", "sovereign"))
    row.take(row.deliver(2, APP))
    untag(row, "old:v1")
    assert row.audit("media1") == []  # whoever has a valid key of the Sovereign may say so
    revoked = f"{listed}    revoked: {{at: {utc_text(datetime.now(UTC))}}}\n"
    trust.write_text(trust.read_text().replace(listed, revoked))
    assert row.audit("media1", expect=3) == [("missing", "v1")]
