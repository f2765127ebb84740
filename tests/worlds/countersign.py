"""A delivery whose Sovereign signs what it admits, with what a scanner reported."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from airgap.content.graph import OCI_INDEX, OCI_MANIFEST
from tests.parts import images, need
from tests.parts.harbor_double import HarborDouble
from tests.worlds.reports import report
from tests.worlds.site import GAP, HEAD, Site

SIDE = "airgap/signatures"
COSIGN = ("--insecure-ignore-tlog=true", "--allow-http-registry", "--allow-insecure-registry")
QUIET = ("-y", "--use-signing-config=false", "--tlog-upload=false", *COSIGN[1:])


@dataclass
class Inside:
    """A site whose Sovereign signs what it admits, where its content came from, and the registry inside."""

    site: Site
    source: str
    inside: Any

    def cosign(self, *line: str, **environ: str) -> int:
        """Runs cosign in the site's folder, any way to the outside closed; returns its exit code."""
        done = subprocess.run(
            [str(need.require_part("cosign")), *line],
            cwd=self.site.folder,
            env={
                "HOME": str(self.site.folder),
                "PATH": os.environ["PATH"],
                "COSIGN_PASSWORD": "for tests",
                "HTTPS_PROXY": "http://127.0.0.1:9",
                **environ,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode

    def verifies(self, key: str, place: str, digest: str, **environ: str) -> bool:
        """Whether `cosign verify` takes what is at the digest in a repository inside."""
        line = ("verify", "--key", key, *COSIGN, f"{self.inside.host}/{place}@{digest}")
        return not self.cosign(*line, **environ)

    def sovereign(self, signatures: str) -> None:
        """Writes the Sovereign resource."""
        projects = f"{{'{self.source}': hub}}"
        url = f"'http://{self.inside.host}'"
        registry = f"{{url: {url}, projects: {projects}, signatures: {signatures}}}"
        self.site.write(
            "sovereign.yaml",
            f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\nspec:\n  stateDir: state\n"
            f"  signingKey: {{file: admitted.key, passwordFile: password}}\n  registries:\n  - {registry}\n",
        )

    def take(self, *more: str, media: str = "media", expect: int = 0) -> list[dict[str, Any]]:
        """Imports; returns the lines."""
        key = ("--key", "sovereign.key", "--receipt", "receipt.json")
        document = self.site.run("import", media, *GAP, *key, *more, expect=expect)
        return list(document["changes"])

    def get(self, path: str) -> Any:
        """A document of the registry inside."""
        request = urllib.request.Request(f"http://{self.inside.host}/v2/{path}")
        request.add_header("Accept", ", ".join((OCI_INDEX, OCI_MANIFEST)))
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)


Start = Callable[..., Inside]
SIGN: dict[str, Sequence[str] | None] = {
    "unsigned": None,
    "bundle": (),
    "legacy": ("--new-bundle-format=false",),
}


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory, distribution3: Any) -> Callable[[str], Inside]:
    """delivery(signed) → a site with a delivery of an index with two children, which upstream signed like that."""
    return cache(lambda signed: deliver(tmp_path_factory.mktemp(signed), distribution3.host, signed))


def deliver(folder: Path, source: str, signed: str) -> Inside:
    site = Site(folder)
    site.run("keys", "generate", "admitted")
    made, name = Inside(site, source, None), f"{source}/{signed}/app"
    root = images.make_image(folder / "made", "v1", platforms=("linux/amd64", "linux/arm64"))
    line = ("copy", "--all", "--dest-tls-verify=false")
    need.run("skopeo", *line, f"oci:{folder}/made:v1", f"docker://{name}:v1")
    how = SIGN[signed]
    if how is not None:
        assert made.cosign("generate-key-pair") == 0
        sign = ("sign", "--key", "cosign.key", *QUIET, *how)
        assert made.cosign(*sign, f"{name}@{root['digest']}") == 0
    plain = f"spec:\n  hosts:\n    '{source}': {{plainHTTP: true}}\n"
    spec = f"spec:\n  images:\n  - {{ref: '{name}:v1'}}\n---\nkind: Upstreams\n{plain}"
    site.write("r.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\n{spec}")
    site.write("u.yaml", f"{HEAD}kind: Upstreams\nmetadata: {{name: u}}\n{plain}")
    site.run("lock", "r.request.yaml")
    pull = ("pull", "r.lock.json", "--store", "store", "--upstreams", "u.yaml")
    site.run(*pull, "--key", "exporter.key")
    cut = ("bundle", "r.lock.json", "--store", "store", "--to", "media", "--for", "bank")
    site.run(*cut, "--key", "exporter.key")
    return made


@pytest.fixture
def start(tmp_path: Path, start_registry: Any, delivery: Callable[[str], Inside], stack: ExitStack) -> Start:
    """start(registry, signed) → the delivery on a copy of its site, and an empty registry inside."""

    def make(registry: str = "distribution3", signed: str = "unsigned") -> Inside:
        before = delivery(signed)
        shutil.copytree(before.site.folder, tmp_path, dirs_exist_ok=True)
        site = copy.copy(before.site)
        site.folder = tmp_path
        if registry != "harbor":
            return Inside(site, f"{before.source}/{signed}", start_registry(version=int(registry[-1])))
        harbor = HarborDouble()
        stack.callback(harbor.stop)
        harbor.rights = lambda user, project, action: True
        for project in ("hub", "airgap"):
            harbor.project(project)
        return Inside(site, f"{before.source}/{signed}", harbor)

    return make


def ours(lines: list[dict[str, Any]], at: str = SIDE) -> list[dict[str, Any]]:
    return [line for line in lines if line["at"] == at]


STATION = """\
  - name: station
    role: station
    publicKeyFile: station.pub
    notBefore: 2026-01-01T00:00:00Z
    notAfter: 2036-01-01T00:00:00Z
  require: [pull, verdict, delivery]
"""
POLICY = """\
kind: Policy
metadata: {name: bank}
spec:
  rules:
  - match: ["**"]
    digestOnly: {approver: Amina, reason: for tests, expires: 2036-01-01T00:00:00Z}
"""
SCAN = ("scan", "r.lock.json", "--store", "store", "--policy", "policy.yaml", "--reports", "trivy")


def station(site: Site) -> list[str]:
    """Makes the station, and a Trust that demands its verdict; returns the digests of the index and its children."""
    site.run("keys", "generate", "station")
    trust = (site.folder / "trust.yaml").read_text()
    site.write("trust.yaml", trust.replace("  require: [pull, delivery]\n", STATION))
    site.write("policy.yaml", HEAD + POLICY)
    root = json.loads((site.folder / "r.lock.json").read_bytes())["items"][0]["root"]["digest"]
    blob = site.folder / "store/blobs/sha256" / root.removeprefix("sha256:")
    return [root, *(child["digest"] for child in json.loads(blob.read_bytes())["manifests"])]


def say(site: Site, digest: str, version: str = "0.59.1") -> dict[str, Any]:
    """A scanner's report about a digest, in its file."""
    made = report(version=version)
    (site.folder / "trivy").mkdir(exist_ok=True)
    name = f"{digest.replace(':', '-')}.json"
    site.write(f"trivy/{name}", json.dumps(made, indent=2))
    return made


def cut(site: Site, media: str) -> None:
    """Scans, and cuts what passed."""
    site.run(*SCAN, "--key", "station.key", "--trust", "trust.yaml")
    line = ("bundle", "r.lock.json", "--store", "store", "--to", media, "--for", "bank")
    site.run(*line, "--role", "station", "--key", "station.key")


def attested(inside: Inside, key: str, place: str, digest: str, **environ: str) -> bool:
    """Whether `cosign verify-attestation` finds a vulnerability attestation by the key."""
    line = ("verify-attestation", "--type", "vuln", "--key", key, *COSIGN)
    return not inside.cosign(*line, f"{inside.inside.host}/{place}@{digest}", **environ)
