"""`airgap prune` against real services: what is deleted there, and what they need to stay."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.parts.harbor_double import HarborDouble
from tests.parts.registry import Registry
from tests.worlds.git_sources import Work
from tests.worlds.harbor import PASSWORD, ROBOT
from tests.worlds.officer import approve, with_officer
from tests.worlds.row import Row
from tests.worlds.site import GAP

KEY = ("--key", "sovereign.key")
PROPOSE = ("prune", *GAP, "--dry-run", "--plan", "prune.json")
CARRY_OUT = ("prune", *GAP, "--plan", "prune.json", *KEY)


@pytest.fixture
def row(tmp_path: Path) -> Row:
    made = Row(tmp_path)
    with_officer(made)
    return made


def ends(document: dict[str, Any]) -> dict[str, str]:
    return {f"{one['at']}:{one['name']}": one["outcome"] for one in document["lines"]}


def manifests(url: str, at: str, *names: str) -> list[int]:
    """How a registry answers to each."""
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"}
    return [requests.get(f"{url}/v2/{at}/manifests/{name}", headers=accept, timeout=10).status_code for name in names]


def two_deliveries(row: Row, *more: str) -> tuple[str, list[str]]:
    """Two tags of one image, and an index with a signature, of which the second delivery has one tag alone.

    `more` are names that only the first delivery has. Returns the digest of the image that stays, and those of
    everything that belongs to the index.
    """
    stays = row.layout.tag("stays", row.layout.image({"a": b"stays"}))
    children = [row.layout.image({"a": name.encode()}, platform=f"linux/{name}") for name in ("amd64", "arm64")]
    index = row.layout.tag("gone", row.layout.index(*children))
    signature = row.layout.artifact("application/vnd.test", ("text/plain", b"signed"), subject=index)
    row.layout.fallback_tag(index, signature)
    names = {"demo.local/app:v1": "stays", "demo.local/app:same": "stays", "demo.local/app:old": "gone"}
    row.take(row.deliver(1, {**names, **{name: name.rpartition(":")[2] for name in more}}))
    row.take(row.deliver(2, {"demo.local/app:v1": "stays"}))
    return stays["digest"], [one["digest"] for one in (index, *children, signature)]


@pytest.mark.parametrize("version", [2, 3])
def test_a_registry_keeps_what_another_tag_needs(row: Row, start_registry: Any, version: int) -> None:
    registry: Registry = start_registry(version=version)
    row.inside(f"  registries:\n  - {{url: '{registry.url}', projects: {{demo.local: in}}}}\n")
    stays, gone = two_deliveries(row)
    assert manifests(registry.url, "in/app", *gone) == [200] * 4
    proposed = row.site.run(*PROPOSE)["proposed"]
    assert {one["name"] or one["digest"] for one in proposed} == {"same", "old", gone[-1]}
    approve(row)
    done = row.site.run(*CARRY_OUT, expect=3 if version == 2 else 0)
    same = "kept" if version == 2 else "deleted"
    assert ends(done) == {"in/app:same": same, "in/app:old": "deleted", "in/app:": "deleted"}
    assert manifests(registry.url, "in/app", *gone, "old") == [404] * 5
    assert manifests(registry.url, "in/app", "v1", stays) == [200] * 2
    assert manifests(registry.url, "in/app", gone[0].replace(":", "-")) == [404]
    audited = row.site.run("audit", *GAP, "--receipt", "media2.receipt")
    assert audited["outcome"] == "pass"


@pytest.mark.part("distribution3")
def test_a_registry_that_does_not_allow_it_is_told_so(row: Row, start_registry: Any) -> None:
    registry: Registry = start_registry(config=lambda config: config["storage"].pop("delete"))
    row.inside(f"  registries:\n  - {{url: '{registry.url}', projects: {{demo.local: in}}}}\n")
    two_deliveries(row)
    row.site.run(*PROPOSE)
    approve(row)
    done = row.site.run(*CARRY_OUT, expect=5)
    assert set(ends(done).values()) == {"failed"}
    assert all("delete-disabled" in one["reason"] for one in done["lines"])
    assert row.site.run("audit", *GAP, "--receipt", "media1.receipt")["outcome"] == "pass"
    # The plan counts on, because it was not carried out.
    assert set(ends(row.site.run(*CARRY_OUT, expect=5)).values()) == {"failed"}


@pytest.mark.part("gitea")
def test_gitea_loses_refs_and_keeps_its_default_branch(row: Row, gitea: Any) -> None:
    row.site.write("gitea-token", gitea.token(["write:organization", "write:repository"]))
    organization = gitea.new_org()
    row.inside(
        f"  git:\n    url: '{gitea.url}'\n    organizations: {{demo: {organization}}}\n"
        "    credentials: {tokenFile: gitea-token}\n"
    )
    work = Work(row.folder / "work")
    work.commit()
    for name in ("keep", "drop", "moved"):
        work.git("branch", name)

    def take(number: int, *refs: str) -> None:
        row.take(row.cut_of(number, f"  git:\n  - {{url: work, name: demo/work, refs: {json.dumps(refs)}}}\n"))

    work.git("tag", "v9")
    take(1, "refs/heads/*", "refs/tags/*")
    take(2, "refs/heads/keep")
    proposed = {one["name"] for one in row.site.run(*PROPOSE)["proposed"]}
    assert proposed == {"refs/heads/main", "refs/heads/drop", "refs/heads/moved", "refs/tags/v9"}
    approve(row)
    api = f"/repos/{organization}/work"
    gitea.api("POST", f"{api}/contents/new", {"branch": "moved", "content": "eA==", "message": "x"})
    done = row.site.run(*CARRY_OUT, expect=3)
    assert ends(done) == {
        f"{organization}/work:{name}": end
        for name, end in {
            "refs/heads/main": "kept",
            "refs/heads/drop": "deleted",
            "refs/heads/moved": "kept",
            "refs/tags/v9": "deleted",
        }.items()
    }
    assert {one["name"] for one in gitea.api("GET", f"{api}/branches")} == {"main", "keep", "moved"}


@pytest.mark.parametrize("service", ["minio", "seaweedfs"])
def test_objects_go_and_a_revision_that_a_pointer_names_stays(
    row: Row, request: pytest.FixtureRequest, service: str
) -> None:
    s3 = request.getfixturevalue(service)
    buckets = {name: s3.new_bucket(name) for name in ("models", "files")}
    row.site.write("s3-access", s3.access_key)
    row.site.write("s3-secret", s3.secret_key)
    row.inside(
        f"  s3:\n    endpoint: '{s3.endpoint}'\n    buckets: {json.dumps(buckets)}\n"
        "    credentials: {accessKeyFile: s3-access, secretKeyFile: s3-secret}\n"
    )
    (row.folder / "model").mkdir()
    for number in (1, 2):
        (row.folder / "model/weights").write_text(f"weights {number}")
        row.take(row.cut_of(number, "  models:\n  - {directory: model, name: demo/tiny}\n"))
    [line] = row.site.run(*PROPOSE)["proposed"]
    assert line["name"].endswith("/weights")
    approve(row)
    revision = line["name"].split("/")[2]
    client = s3.client()
    pointer = {"Bucket": buckets["models"], "Key": "demo/tiny/refs/main"}
    newest = client.get_object(**pointer)["Body"].read()
    client.put_object(**pointer, Body=revision.encode())
    kept = row.site.run(*CARRY_OUT, expect=3)
    assert [(one["outcome"], one["reason"]) for one in kept["lines"]] == [("kept", "demo/tiny/refs/main names it")]
    client.put_object(**pointer, Body=newest)
    time.sleep(1.1)  # a plan of the same second that proposes the same is the same plan, and that one is done
    row.site.run(*PROPOSE)
    (row.folder / "prune.json.security-officer.sigstore.json").unlink()
    approve(row)
    assert set(ends(row.site.run(*CARRY_OUT)).values()) == {"deleted"}
    assert row.site.run("audit", *GAP, "--receipt", "media2.receipt")["outcome"] == "pass"
    assert row.site.run(*PROPOSE)["proposed"] == []


@pytest.fixture
def harbor() -> Iterator[HarborDouble]:
    made = HarborDouble({ROBOT: PASSWORD})
    yield made
    made.stop()


def test_harbor_loses_tags_artifacts_and_what_is_attached(row: Row, harbor: HarborDouble) -> None:
    project = harbor.project("in", immutable={"fixed"})
    row.site.write("robot-password", PASSWORD)
    row.inside(
        f"  registries:\n  - url: '{harbor.url}'\n    projects: {{demo.local: in}}\n"
        f"    credentials: {{username: '{ROBOT}', passwordFile: robot-password}}\n"
    )
    row.layout.tag("fixed", row.layout.image({"a": b"fixed"}))
    stays, gone = two_deliveries(row, "demo.local/app:fixed")
    proposed = row.site.run(*PROPOSE)["proposed"]
    assert {one["name"] or one["digest"] for one in proposed} == {"same", "old", "fixed", gone[-1]}
    approve(row)
    rights = harbor.rights
    harbor.rights = lambda user, project, action: rights(user, project, action) and ":delete" not in action
    refused = row.site.run(*CARRY_OUT, expect=5)
    assert all("no-rights" in one["reason"] for one in refused["lines"])
    harbor.rights = rights
    done = row.site.run(*CARRY_OUT, expect=5)
    assert ends(done) == {
        "in/app:same": "deleted",
        "in/app:old": "deleted",
        "in/app:fixed": "failed",
        "in/app:": "deleted",
    }
    assert "immutable-tag" in next(one["reason"] for one in done["lines"] if one["name"] == "fixed")
    found = project.repositories["app"]
    assert found.tags.keys() == {"v1", "fixed"}
    assert stays in found.manifests
    assert not set(gone) & set(found.manifests)
