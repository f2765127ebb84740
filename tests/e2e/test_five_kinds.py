"""Five kinds from the command line: into an embedded Sovereign (the demo), and into real services."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airgap.cli.demo_content import make_content
from airgap.content.lock import Lock
from tests.parts import need
from tests.worlds.cli_site import airgap
from tests.worlds.site import GAP, REQUEST, Site


@pytest.mark.e2e
def test_every_claim_of_the_demo_holds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "airgap.cli.main", "demo", "--dir", str(tmp_path / "demo"), "--json"]
    user = {name: str(tmp_path / "user" / name) for name in ("HOME", "XDG_STATE_HOME", "AIRGAP_KEY", "AIRGAP_STORE")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **user})
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(done.stdout)["rows"]
    claims = {row["claim"] for row in rows}
    assert {"names are resolved to digests", "a second import finds everything present"} <= claims
    assert "one flipped byte inside is found" in claims  # the last one: nothing was left out
    assert all(row["result"].endswith(", as claimed") for row in rows)
    # Nothing of the user's is asked for, and nothing is written to the user's state folder.
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    # The lock beside the request is what the demo makes of it, but for signatures, whose key is new each time, and for
    # the image, which has files of the machine in it.
    made, kept = (
        Lock.decode(path.read_bytes(), str(path))
        for path in (tmp_path / "demo/demo.lock.json", REQUEST.with_name("demo.lock.json"))
    )
    unsigned, same = (
        [replace(item, attached=(), bytes=0) for item in lock.items if item.kind != "image"] for lock in (made, kept)
    )
    assert unsigned == same
    assert [item.name for item in made.items] == [item.name for item in kept.items]


@pytest.mark.e2e
def test_relative_folders_hold_their_repositories_once_whatever_the_current_folder(tmp_path: Path) -> None:
    site = Site(tmp_path)
    manual = make_content(tmp_path / "content")
    site.write("r.request.yaml", re.sub("sha256: [0-9a-f]{64}", f"sha256: {manual}", REQUEST.read_text()))
    head = "apiVersion: airgap.openova.io/v1alpha1\nkind: Sovereign\nmetadata: {name: bank}\nspec:\n"
    site.write("sovereign.yaml", f"{head}  directory: inside\n")  # without a stateDir
    elsewhere = Site.__new__(Site)
    elsewhere.folder = tmp_path / "elsewhere"
    elsewhere.folder.mkdir()
    store, key = ("--store", "../store"), ("--key", "../exporter.key")
    gap = ("--sovereign", "../sovereign.yaml", "--trust", "../trust.yaml")
    for command in (
        ("lock", "../r.request.yaml"),
        ("pull", "../r.lock.json", *store, *key),
        ("bundle", "../r.lock.json", *store, *key, "--to", "../media", "--for", "bank"),
        ("import", "../media", *gap, "--key", "../sovereign.key", "--receipt", "../receipt.json"),
        ("audit", *gap, "--receipt", "../receipt.json"),
    ):
        said = airgap(elsewhere, *command, AIRGAP_KEY_PASSWORD_FILE="../password", XDG_STATE_HOME="../state")
        assert said.code == 0, said.err
    assert list(elsewhere.folder.iterdir()) == []
    [packed] = (tmp_path / "store").rglob("*.git")
    assert packed.parent == tmp_path / "store/airgap/work/git"
    work = tmp_path / "state/airgap/bank/git"
    assert {path.parent for path in (tmp_path / "state").rglob("gitconfig")} == {work}
    assert {path.parent for path in (tmp_path / "state").rglob("*.git")} <= {work}


@pytest.mark.e2e
def test_an_audit_tells_damage_in_a_repository_from_one_that_cannot_be_asked(tmp_path: Path) -> None:
    site = Site(tmp_path)
    manual = make_content(tmp_path / "content")
    site.write("r.request.yaml", re.sub("sha256: [0-9a-f]{64}", f"sha256: {manual}", REQUEST.read_text()))
    head = "apiVersion: airgap.openova.io/v1alpha1\nkind: Sovereign\nmetadata: {name: bank}\nspec:\n  stateDir: state\n"
    site.write("sovereign.yaml", f"{head}  directory: inside\n")
    site.run("lock", "r.request.yaml")
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    site.run("bundle", "r.lock.json", "--store", "store", "--to", "media", "--for", "bank", "--key", "exporter.key")
    site.run("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    [pack] = (tmp_path / "inside/git/demo/hello.git").rglob("*.pack")
    pack.chmod(0o644)
    with pack.open("r+b") as file:
        file.seek(60)
        file.write(b"xxxx")
    damaged = site.run("audit", *GAP, "--receipt", "receipt.json", expect=3)
    states = {(found["item"], found["state"]) for found in damaged["findings"]}
    assert ("demo/hello", "changed") in states
    assert ("demo/tiny", "good") in states
    # A Git server that is gone is a finding; what could be asked is in the same report.
    git = "  git: {url: 'http://127.0.0.1:9', organizations: {demo: demo}}\n"
    registry = "  registries:\n  - {url: 'http://127.0.0.1:9', projects: {demo.local: x}}\n"
    files = tmp_path / "elsewhere.yaml"
    files.write_text(f"{head}{git}{registry}")
    lock = Lock.decode((tmp_path / "r.lock.json").read_bytes(), "lock")
    kept = [item for item in lock.items if item.kind in ("git", "image")]
    (tmp_path / "some.lock.json").write_bytes(Lock.of("some", kept).encode())
    unknown = site.run("audit", "--sovereign", "elsewhere.yaml", "--lock", "some.lock.json", expect=3)
    assert {(found["item"], found["state"]) for found in unknown["findings"] if found["item"]} == {
        (item.name, "unknown") for item in kept
    }


@pytest.mark.e2e
@pytest.mark.part("distribution3", "minio", "gitea", "helm", "crane")
def test_five_kinds_arrive_in_a_registry_gitea_and_s3(
    tmp_path: Path, start_registry: Any, minio: Any, gitea: Any
) -> None:
    site = Site(tmp_path)
    manual = make_content(tmp_path / "content")
    site.write("r.request.yaml", re.sub("sha256: [0-9a-f]{64}", f"sha256: {manual}", REQUEST.read_text()))
    site.run("lock", "r.request.yaml")
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    site.run("bundle", "r.lock.json", "--store", "store", "--to", "media", "--for", "bank", "--key", "exporter.key")
    registry = start_registry()
    models, files = minio.new_bucket("models"), minio.new_bucket("files")
    secrets = {
        "gitea-token": gitea.token(["write:organization", "write:repository"]),
        "s3-access": minio.access_key,
        "s3-secret": minio.secret_key,
    }
    for name, secret in secrets.items():
        site.write(name, secret)
    site.write(
        "sovereign.yaml",
        "apiVersion: airgap.openova.io/v1alpha1\nkind: Sovereign\nmetadata: {name: bank}\nspec:\n"
        "  stateDir: state\n  registries:\n"
        f"  - {{url: '{registry.url}', projects: {{demo.local: catalog}}}}\n"
        f"  git:\n    url: '{gitea.url}'\n    organizations: {{demo: {gitea.new_org()}}}\n"
        "    credentials: {tokenFile: gitea-token}\n"
        f"  s3:\n    endpoint: '{minio.endpoint}'\n    buckets: {{models: {models}, files: {files}}}\n"
        "    credentials: {accessKeyFile: s3-access, secretKeyFile: s3-secret}\n",
    )
    done = site.run("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    assert {change["outcome"] for change in done["changes"]} == {"written"}
    again = site.run("import", "media", *GAP, "--key", "sovereign.key")
    assert {change["outcome"] for change in again["changes"]} == {"present"}
    site.run("audit", *GAP, "--receipt", "receipt.json")
    site.run("audit", "--sovereign", "sovereign.yaml", "--lock", "r.lock.json")
    # What others read there.
    body = minio.client().get_object(Bucket=files, Key="manuals/hello/manual.txt")["Body"].read()
    assert body == (tmp_path / "content/manual.txt").read_bytes()
    chart = f"oci://{registry.host}/catalog/charts/hello"
    need.run("helm", "pull", chart, "--version", "0.1.0", "--plain-http", cwd=tmp_path)
    assert (tmp_path / "hello-0.1.0.tgz").exists()
    # What someone changed is found.
    minio.client().put_object(Bucket=files, Key="manuals/hello/manual.txt", Body=b"changed")
    found = site.run("audit", *GAP, "--receipt", "receipt.json", expect=3)
    assert [f["state"] for f in found["findings"] if f["state"] != "good"] == ["changed"]
