"""What is fetched over the network, each with its login or its authority, from the command line into a Sovereign."""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.parts import tls
from tests.parts.fixtures import StartGitServer
from tests.parts.hugging_face import HuggingFace
from tests.parts.scripted import Answer, Scripted
from tests.worlds.git_sources import Work, publish, refs
from tests.worlds.site import GAP, HEAD, Site

pytestmark = [pytest.mark.e2e, pytest.mark.part("git", "git-lfs", "minilm")]


def test_git_with_a_login_a_file_with_a_private_authority_and_a_model_arrive(
    tmp_path: Path,
    stack: ExitStack,
    start_git_http: StartGitServer,
    hf_endpoint: HuggingFace,
    minilm: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site(tmp_path)
    server = start_git_http(username="robot", password="secret")
    work = Work(tmp_path / "work")
    work.commit()
    work.lfs("weights.bin", os.urandom(100_000))
    work.git("tag", "--annotate", "--message", "first", "v1")
    url = publish(work, server, "team/app")
    site.write("git.pw", server.password + "\n")
    (tmp_path / "git.pw").chmod(0o600)
    for name in ("ca", "server"):
        (tmp_path / name).mkdir()
    authority = tls.make_authority(tmp_path / "ca")
    data = os.urandom(3 << 20)
    files = Scripted(Answer(200, data), certificate=tls.issue(tmp_path / "server", authority))
    stack.callback(files.stop)
    commit = hf_endpoint.publish("acme/minilm", minilm)
    monkeypatch.setenv("HF_ENDPOINT", hf_endpoint.url)
    hub, cdn = (address.removeprefix("http://") for address in (hf_endpoint.url, hf_endpoint.cdn_url))
    site.write(
        "r.request.yaml",
        f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n"
        f"  git:\n  - {{url: '{url}', refs: ['refs/heads/*', 'refs/tags/v*'], lfs: true}}\n"
        f"  models:\n  - {{repo: acme/minilm}}\n"
        f"  files:\n  - url: '{files.url}/k3s'\n    sha256: {hashlib.sha256(data).hexdigest()}\n    path: k3s/k3s\n",
    )
    hosts = (
        f"    '{server.host}': {{plainHTTP: true, credentials: {{username: robot, passwordFile: git.pw}}}}\n"
        f"    '{files.host}': {{caFile: {authority.cert_file}}}\n"
        f"    '{hub}': {{plainHTTP: true, allowedHosts: ['{cdn}']}}\n"
    )
    site.write("u.yaml", f"{HEAD}kind: Upstreams\nmetadata: {{name: u}}\nspec:\n  hosts:\n{hosts}")
    site.write(
        "sovereign.yaml",
        f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\nspec:\n  stateDir: state\n  directory: inside\n",
    )
    up = ("--upstreams", "u.yaml")
    site.run("lock", "r.request.yaml", *up)
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key", *up)
    # From here on there is no outside.
    server.stop()
    files.stop()
    site.run(
        "bundle",
        "r.lock.json",
        "--store",
        "store",
        "--to",
        "media",
        "--for",
        "bank",
        "--key",
        "exporter.key",
    )
    site.run("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    site.run("audit", *GAP, "--receipt", "receipt.json")
    objects = tmp_path / "inside/objects"
    assert (objects / "files/k3s/k3s").read_bytes() == data
    weights = objects / "models/acme/minilm" / commit / "model.safetensors"
    original = minilm / "model.safetensors"
    assert not original.exists() or weights.read_bytes() == original.read_bytes()
    assert (objects / "models/acme/minilm/refs/main").read_text() == commit
    [bare] = (tmp_path / "inside/git").rglob("app.git")
    assert refs(bare) == work.refs()
