"""The commands of the gap where no route leads out: they work, ask nobody else, and what is far away is said so."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from airgap.cli.demo_content import make_content
from tests.parts.fixtures import scratch
from tests.parts.s3 import start_minio
from tests.parts.system import NetworkNamespace
from tests.worlds.no_route import Inside
from tests.worlds.row import KEY
from tests.worlds.site import CUT, GAP, HEAD, REQUEST, Site

pytestmark = [pytest.mark.e2e, pytest.mark.part("git", "iproute2")]


@pytest.fixture
def inside(tmp_path: Path, netns: NetworkNamespace) -> Inside:
    """A delivery of five kinds, cut outside."""
    site = Site(tmp_path)
    manual = make_content(tmp_path / "content")
    site.write("r.request.yaml", re.sub("sha256: [0-9a-f]{64}", f"sha256: {manual}", REQUEST.read_text()))
    site.run("lock", "r.request.yaml")
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    site.run(*CUT, "media")
    return Inside(site, netns)


def _sovereign(inside: Inside, spec: str) -> None:
    head = f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\nspec:\n  stateDir: state\n"
    inside.site.write("sovereign.yaml", head + spec)


def _whole_way(inside: Inside) -> None:
    inside.run("verify", "media", "--trust", "trust.yaml")
    inside.run("import", "media", *GAP, "--dry-run")
    done = inside.run("import", "media", *GAP, *KEY, "--receipt", "receipt.json")
    assert {change["outcome"] for change in done["changes"]} == {"written"}
    inside.run("audit", *GAP, "--receipt", "receipt.json", "--deep", *KEY, "--report", "audit.json")
    inside.run("audit", "--sovereign", "sovereign.yaml", "--lock", "r.lock.json")


def test_an_embedded_sovereign_needs_no_network_at_all(inside: Inside) -> None:
    _sovereign(inside, "  directory: inside\n")
    before = inside.asked()
    _whole_way(inside)
    assert inside.asked() == before


@pytest.mark.part("distribution3", "minio")
def test_only_the_services_that_are_configured_are_asked(inside: Inside, start_registry: Any, stack: ExitStack) -> None:
    with inside.netns.entered():
        registry = start_registry()
        minio = start_minio(scratch(stack, "minio"))
        stack.callback(minio.stop)
        models, files = minio.new_bucket("models"), minio.new_bucket("files")
    inside.site.write("access", minio.access_key)
    inside.site.write("secret", minio.secret_key)
    _sovereign(
        inside,
        f"  registries:\n  - {{url: '{registry.url}', projects: {{demo.local: catalog}}}}\n"
        "  git: {url: repositories, organizations: {demo: hub}}\n"
        f"  s3:\n    endpoint: '{minio.endpoint}'\n    buckets: {{models: {models}, files: {files}}}\n"
        "    credentials: {accessKeyFile: access, secretKeyFile: secret}\n",
    )
    before = inside.asked()
    _whole_way(inside)
    assert inside.asked() == before


def test_registries_out_there_are_unreachable_and_said_so(inside: Inside) -> None:
    """By name, for which nobody can be asked, and by address. This also shows that the kernel's counts would tell."""
    hosts = [f"https://{host}" for host in ("registry.example.com", "192.0.2.1")]
    lines = "".join(f"  - {{url: '{host}', projects: {{demo.local: catalog}}}}\n" for host in hosts)
    _sovereign(inside, f"  registries:\n{lines}")
    inside.site.write("one.request.yaml", _images_alone(inside))
    inside.site.run("lock", "one.request.yaml")
    inside.site.run("pull", "one.lock.json", "--store", "store", "--key", "exporter.key")
    cut = [word.replace("r.lock.json", "one.lock.json") for word in CUT]
    inside.site.run(*cut, "one")
    before = inside.asked()
    failed = inside.run("import", "one", *GAP, *KEY, expect=5)
    assert {error["destination"]: error["code"] for error in failed["errors"]} == dict.fromkeys(hosts, "unreachable")
    assert {change["outcome"] for change in failed["changes"]} == {"failed"}
    assert inside.asked() != before
    found = inside.run("audit", "--sovereign", "sovereign.yaml", "--lock", "one.lock.json", expect=3)
    assert {finding["state"] for finding in found["findings"]} == {"unknown"}


def _images_alone(inside: Inside) -> str:
    text = (inside.site.folder / "r.request.yaml").read_text()
    return text[: text.index("  charts:")]
