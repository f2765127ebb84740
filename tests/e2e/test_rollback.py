"""`airgap rollback`: what a delivery moved goes back, by receipts alone, and everything that reads them knows it."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

from airgap.base.digest import Digest
from airgap.destinations.graph import GraphDestination
from tests.parts import need
from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.git_sources import Work
from tests.worlds.row import Row
from tests.worlds.site import GAP

pytestmark = pytest.mark.e2e
BACK = ("rollback", "media2.receipt", *GAP)
KEY = ("--key", "sovereign.key")
BRANCH = "refs/heads/main"


class Forms(Row):
    """A row of deliveries with one item of each form: an image, a repository, a model and a file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.work = Work(folder / "work")
        (folder / "model").mkdir()

    def cut(self, number: int, *more: str) -> str:
        """The next delivery, in which everything is new. `more` are tags besides `demo.local/app:v`."""
        for tag in ("v", *more):
            self.layout.tag(tag, self.layout.image({"a": f"{tag} {number}".encode()}))
        self.work.commit("file", f"{number}\n")
        (self.folder / "model/weights").write_text(f"weights {number}")
        (self.folder / "plain.txt").write_text(f"plain {number}")
        plain = Digest.of((self.folder / "plain.txt").read_bytes()).hex
        images = "".join(f"  - {{ref: 'oci:made:{tag}', name: 'demo.local/app:{tag}'}}\n" for tag in ("v", *more))
        spec = (
            f"  images:\n{images}  git:\n  - {{url: work, name: demo/work, refs: [{BRANCH}]}}\n"
            f"  models:\n  - {{directory: model, name: demo/tiny}}\n"
            f"  files:\n  - {{file: plain.txt, name: plain, sha256: '{plain}', path: plain/plain.txt}}\n"
        )
        return self.cut_of(number, spec)


@pytest.fixture
def forms(tmp_path: Path) -> Forms:
    return Forms(tmp_path)


def outcomes(done: Any) -> dict[str, str]:
    return {change["name"]: change["outcome"] for change in done["changes"]}


def test_every_form_goes_back_and_everything_knows_it(forms: Forms) -> None:
    forms.take(forms.cut(1))
    first = forms.work.oid("main")
    forms.take(forms.cut(2, "fresh"))
    names = (forms.folder / "state/names.json").read_bytes()
    # A dry run changes nothing; a file that was replaced in place cannot go back, so nothing is moved.
    planned = forms.site.run(*BACK, "--dry-run", expect=3)
    assert outcomes(planned) == {
        "v": "moved",
        "fresh": "stays",
        BRANCH: "moved",
        "HEAD": "moved",
        "demo/tiny/refs/main": "moved",
        "plain/plain.txt": "refused",
    }
    assert forms.site.run(*BACK, *KEY, expect=3)["stopped"]
    assert (forms.folder / "state/names.json").read_bytes() == names
    assert forms.audit("media2") == []
    done = forms.site.run(*BACK, *KEY, "--keep-going", "--report", "back.json", expect=3)
    assert outcomes(done) == {
        "v": "written",
        "fresh": "stays",
        BRANCH: "written",
        "HEAD": "written",
        "demo/tiny/refs/main": "written",
        "plain/plain.txt": "refused",
    }
    git = ("git", "-C", "inside/git/demo/work.git", "rev-parse", "main")
    assert subprocess.check_output(git, cwd=forms.folder, text=True).strip() == first
    pointer = next((forms.folder / "inside/objects/models/demo/tiny").glob("refs/main"))
    assert (pointer.parents[1] / pointer.read_text() / "weights").read_text() == "weights 1"
    # The receipt, the rollback and the earlier receipt agree with what is inside; so does the log.
    assert forms.audit("media2") == []
    assert forms.audit("media1", expect=3) == [("changed", "plain/plain.txt")]
    assert forms.site.run("audit", *GAP, "--receipt", "back.json", expect=3)["findings"]
    forms.site.run("log", "verify", *GAP)
    # Again: nothing changes. An import of the same delivery does not bring it again, that of the earlier one may.
    assert forms.site.run(*BACK, *KEY, "--keep-going", expect=3)["standingStatement"]
    again = forms.take("media2", expect=3)
    assert outcomes(again)["v"] == outcomes(again)[BRANCH] == outcomes(again)["demo/tiny/refs/main"] == "refused"
    # A new delivery does.
    forms.cut(3)
    # What somebody changes by hand meanwhile does not go back, and neither does what a later delivery has.
    assert outcomes(forms.site.run(*BACK, "--dry-run", expect=3))["v"] == "present"
    third = forms.take("media3")
    assert set(outcomes(third).values()) <= {"written", "present"}
    assert forms.audit("media3") == []
    later = forms.site.run(*BACK, *KEY, expect=3)["changes"]
    assert {change["outcome"] for change in later} == {"refused", "stays"}
    assert {change["reason"] for change in later if change["name"] == "v"} == {
        "delivery 3 of stream 'main' has written this name since"
    }


@pytest.mark.part("distribution3", "crane")
def test_what_cannot_go_back_is_told_before_anything_moves(row: Row, start_registry: Any) -> None:
    registry = start_registry()
    row.inside(f"  registries:\n  - {{url: '{registry.url}', projects: {{demo.local: in}}}}\n")
    tags = ("clean", "gone", "moved", "foreign", "removed")
    for number in (1, 2):
        for tag in tags:
            row.layout.tag(tag, row.layout.image({"a": f"{tag} {number}".encode()}))
        if number == 2:  # somebody's own content, which the second delivery then moves
            need.run("crane", "copy", "--insecure", f"{registry.host}/in/app:gone", f"{registry.host}/in/app:foreign")
        row.take(row.deliver(number, {f"demo.local/app:{tag}": tag for tag in tags}))
    api = f"{registry.url}/v2/in/app/manifests"
    old = {c["name"]: c["previous"] for _, c in moved(row.folder / "media2.receipt")}
    assert requests.delete(f"{api}/{old['gone']}", timeout=10).status_code == 202
    need.run("crane", "tag", "--insecure", f"{registry.host}/in/app:clean", "moved")
    assert requests.delete(f"{api}/removed", timeout=10).status_code in (202, 404)
    said = run_airgap([*BACK, *KEY], row.folder, PASSWORD)
    assert said.code == 3
    for tag, reason in {
        "gone": "what it held before is not there completely any more",
        "moved": "somebody moved it",
        "foreign": "no receipt of another delivery lists what it held before",
        "removed": "the tag does not exist any more",
    }.items():
        assert f"in/app {tag}: refused: " in said.out
        assert reason in said.out
    assert "nothing was moved" in said.out
    done = row.site.run(*BACK, *KEY, "--keep-going", expect=3)
    assert outcomes(done)["clean"] == "written"
    assert need.run("crane", "digest", "--insecure", f"{registry.host}/in/app:clean").strip() == old["clean"]


@pytest.mark.part("distribution3", "minio", "gitea")
def test_real_services_take_it_back(forms: Forms, start_registry: Any, minio: Any, gitea: Any) -> None:
    buckets = {name: minio.new_bucket(name) for name in ("models", "files")}
    for name, secret in {
        "gitea-token": gitea.token(["write:organization", "write:repository"]),
        "s3-access": minio.access_key,
        "s3-secret": minio.secret_key,
    }.items():
        forms.site.write(name, secret)
    organization = gitea.new_org()
    forms.inside(
        f"  registries:\n  - {{url: '{start_registry().url}', projects: {{demo.local: in}}}}\n"
        f"  git:\n    url: '{gitea.url}'\n    organizations: {{demo: {organization}}}\n"
        "    credentials: {tokenFile: gitea-token}\n"
        f"  s3:\n    endpoint: '{minio.endpoint}'\n    buckets: {json.dumps(buckets)}\n"
        "    credentials: {accessKeyFile: s3-access, secretKeyFile: s3-secret}\n"
    )
    forms.take(forms.cut(1))
    first = forms.work.oid("main")
    forms.take(forms.cut(2))
    done = forms.site.run(*BACK, *KEY, "--keep-going", expect=3)
    assert outcomes(done) == {
        "v": "written",
        BRANCH: "written",
        "HEAD": "written",
        "demo/tiny/refs/main": "written",
        "plain/plain.txt": "refused",
    }
    assert forms.audit("media2") == []
    [branch] = [change for change in done["changes"] if change["name"] == BRANCH]
    assert (branch["digest"], branch["at"]) == (first, f"{organization}/work")


def moved(receipt: Path) -> list[tuple[str, Any]]:
    body = json.loads(base64.b64decode(json.loads(receipt.read_bytes())["dsseEnvelope"]["payload"]))["predicate"]
    return [(part["url"], line) for part in body["destinations"] for line in part["items"]]


def test_the_history_of_a_row_of_deliveries(row: Row) -> None:
    for number in (1, 2):
        row.layout.tag("v", row.layout.image({"a": str(number).encode()}))
        row.take(row.deliver(number, {"demo.local/app:v": "v"}))
    row.site.run(*BACK, *KEY)
    found = row.site.run("history", *GAP)["deliveries"]
    assert [(one["stream"], one["sequence"], [run["counts"] for run in one["runs"]]) for one in found] == [
        ("main", 1, [{"written": 1}]),
        ("main", 2, [{"moved": 1}, {"moved": 1}]),
    ]
    assert found[0]["signedBy"] == [{"kind": "delivery", "role": "exporter", "key": "exporter"}]
    assert (found[0]["rolledBackAt"], found[1]["rolledBackAt"]) == (None, found[1]["runs"][1]["signedAt"])
    said = run_airgap(["history", *GAP, "--items", "--last", "1"], row.folder, PASSWORD).out
    assert "exporter (exporter)" in said
    assert "written demo.local/app:v" in said
    # The receipts alone, and the lists of the destinations alone.
    files = [str(path.relative_to(row.folder)) for path in (row.folder / "state/receipts").iterdir()]
    assert [len(one["runs"]) for one in row.site.run("history", *files, *GAP[2:])["deliveries"]] == [1, 1]
    (row.folder / "state").rename(row.folder / "gone")
    assert row.site.run("history", *GAP)["deliveries"] == []
    lists = row.site.run("history", *GAP, "--lists")["deliveries"]
    assert [(one["sequence"], one["digest"], one["runs"]) for one in lists] == [
        (one["sequence"], one["digest"], []) for one in found
    ]
    # People can read each statement.
    for path in [*(row.folder / "gone").rglob("*.sigstore.json"), row.folder / "media2.receipt"]:
        text = run_airgap(["show", str(path)], row.folder, PASSWORD).out
        assert "{" not in text, text
        assert "statement about sha256:" in text


def test_the_newest_first_and_again_after_an_interruption(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, tags in ((1, ("a",)), (2, ("a",)), (3, ("a", "b"))):
        made = row.layout.image({"a": str(min(number, 2)).encode()})
        for tag in tags:
            row.layout.tag(tag, made)
        row.take(row.deliver(number, {f"demo.local/app:{tag}": tag for tag in tags}))
    # The third delivery has the same content as the second: it goes first, and lets go of the name.
    refused = row.site.run(*BACK, *KEY, expect=3)
    assert refused["stopped"]
    third = row.site.run("rollback", "media3.receipt", *GAP, *KEY)
    assert outcomes(third) == {"b": "stays"}
    with monkeypatch.context() as patch:
        patch.setattr(GraphDestination, "move_back", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            row.site.run(*BACK, *KEY)
    assert outcomes(row.take("media3")) == {"a": "present", "b": "present"}  # nothing was moved yet
    assert outcomes(row.site.run(*BACK, *KEY)) == {"a": "written"}
    assert row.audit("media2") == []
    assert outcomes(row.take("media3", expect=3))["a"] == "refused"
    row.site.run("log", "verify", *GAP)


def _interrupt(*_arguments: object) -> None:
    raise KeyboardInterrupt
