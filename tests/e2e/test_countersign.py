"""What an import admitted is signed by the Sovereign's own key, and real cosign sees it without losing upstream's."""

from __future__ import annotations

import base64
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

from airgap.base.digest import Digest
from airgap.content.graph import OCI_INDEX, OCI_MANIFEST
from tests.cli_site import airgap
from tests.e2e.test_import_registries import GAP, Site
from tests.parts import images, need
from tests.parts.harbor_double import HarborDouble

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.part("cosign", "skopeo", "distribution2", "distribution3"),
]
HEAD = "apiVersion: airgap.openova.io/v1alpha1\n"
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


def digests(inside: Inside) -> list[str]:
    """The index, and its children."""
    root = inside.get("hub/app/manifests/v1")
    tagged = json.loads((inside.site.folder / "r.lock.json").read_bytes())["items"][0]["root"]
    return [tagged["digest"], *(child["digest"] for child in root["manifests"])]


def ours(lines: list[dict[str, Any]], at: str = SIDE) -> list[dict[str, Any]]:
    return [line for line in lines if line["at"] == at]


@pytest.mark.parametrize("registry", ["distribution2", "distribution3", "harbor"])
def test_everything_admitted_is_signed_once_in_a_side_repository(start: Start, registry: str) -> None:
    inside = start(registry)
    inside.sovereign(f"{{repository: {SIDE}}}")
    first = ours(inside.take())
    assert [line["outcome"] for line in first] == ["written"] * 3
    index, *children = digests(inside)
    for digest in (index, *children):
        assert inside.verifies("admitted.pub", SIDE, digest)
        assert not inside.verifies("exporter.pub", SIDE, digest)
        assert not inside.verifies("admitted.pub", "hub/app", digest)  # nothing lies beside it
    # Again: what is there is found, and not signed once more.
    again = ours(inside.take())
    assert [line["outcome"] for line in again] == ["present"] * 3
    assert [line["digest"] for line in again] == [line["digest"] for line in first]
    # It is in the receipt, so an audit knows of it.
    inside.site.run("audit", *GAP, "--receipt", "receipt.json")


def test_signatures_that_are_gone_are_missed_and_made_again(start: Start) -> None:
    inside = start()
    inside.sovereign(f"{{repository: {SIDE}}}")
    lost = ours(inside.take())
    shutil.rmtree(next(Path(inside.inside.folder).rglob(f"repositories/{SIDE}")))
    problem = inside.site.run("audit", *GAP, "--receipt", "receipt.json", expect=3)
    assert all(line["digest"] in json.dumps(problem) for line in lost)
    assert [line["outcome"] for line in ours(inside.take())] == ["written"] * 3
    assert inside.verifies("admitted.pub", SIDE, digests(inside)[0])


@pytest.mark.parametrize("registry", ["distribution2", "harbor"])
@pytest.mark.parametrize("signed", ["bundle", "legacy"])
def test_upstreams_signature_is_still_seen(start: Start, registry: str, signed: str) -> None:
    inside = start(registry, signed)
    inside.sovereign(f"{{repository: {SIDE}}}")
    inside.take()
    root = digests(inside)[0]
    assert inside.verifies("cosign.pub", "hub/app", root)
    assert inside.verifies("admitted.pub", SIDE, root)


def test_a_bundle_beside_an_older_signature_is_refused(start: Start) -> None:
    inside = start(signed="legacy")
    inside.sovereign("{place: beside}")
    lines = inside.take(expect=3)
    refused = [line for line in lines if line["outcome"] == "refused"]
    assert len(refused) == 1
    assert "side repository" in refused[0]["reason"]
    index, *children = digests(inside)
    assert inside.verifies("cosign.pub", "hub/app", index)
    assert not inside.verifies("admitted.pub", "hub/app", index)
    assert inside.verifies("admitted.pub", "hub/app", children[0])


def test_a_bundle_beside_a_bundle_is_one_more(start: Start) -> None:
    inside = start("distribution2", "bundle")
    inside.sovereign("{place: beside}")
    inside.take()
    for digest in digests(inside):
        assert inside.verifies("admitted.pub", "hub/app", digest)
    assert inside.verifies("cosign.pub", "hub/app", digests(inside)[0])
    assert {line["outcome"] for line in inside.take()} == {"present"}
    inside.site.run("audit", *GAP, "--receipt", "receipt.json")


def test_the_older_layout_in_a_side_repository(start: Start) -> None:
    inside = start(signed="legacy")
    inside.sovereign(f"{{repository: {SIDE}, layout: legacy}}")
    inside.take()
    side = f"{inside.inside.host}/{SIDE}"
    for digest in digests(inside):
        assert inside.verifies("admitted.pub", SIDE, digest)
        assert inside.verifies("admitted.pub", "hub/app", digest, COSIGN_REPOSITORY=side)
    assert inside.verifies("cosign.pub", "hub/app", digests(inside)[0])
    assert {line["outcome"] for line in inside.take()} == {"present"}
    inside.site.run("audit", *GAP, "--receipt", "receipt.json")
    # A new key signs behind the old one, which stays good.
    for suffix in ("key", "pub"):
        (inside.site.folder / f"admitted.{suffix}").rename(inside.site.folder / f"old.{suffix}")
    inside.site.run("keys", "generate", "admitted")
    assert [line["outcome"] for line in ours(inside.take())] == ["written"] * 3
    for key in ("old.pub", "admitted.pub"):
        assert inside.verifies(key, SIDE, digests(inside)[0])


def test_the_older_layout_beside_leaves_upstreams_tag_alone(start: Start) -> None:
    inside = start(signed="legacy")
    inside.sovereign("{place: beside, layout: legacy}")
    lines = inside.take(expect=3)
    assert [line["outcome"] for line in lines].count("refused") == 1
    index, *children = digests(inside)
    assert inside.verifies("cosign.pub", "hub/app", index)
    assert inside.verifies("admitted.pub", "hub/app", children[0])


def test_a_statement_has_the_shape_of_cosigns(start: Start) -> None:
    inside = start()
    inside.sovereign(f"{{repository: {SIDE}}}")
    line = ours(inside.take())[-1]
    manifest = inside.get(f"{SIDE}/manifests/{line['digest']}")
    subject = manifest["subject"]["digest"]
    assert subject == digests(inside)[0]
    assert manifest["artifactType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    bundle = inside.get(f"{SIDE}/blobs/{manifest['layers'][0]['digest']}")
    assert json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"])) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": Digest(subject).hex}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    }
    assert "keyid" not in bundle["dsseEnvelope"]["signatures"][0]


def test_one_key_has_one_purpose(start: Start) -> None:
    inside = start()
    inside.sovereign(f"{{repository: {SIDE}}}")
    for suffix in ("key", "pub"):
        (inside.site.folder / f"sovereign.{suffix}").replace(inside.site.folder / f"admitted.{suffix}")
    inside.site.write("sovereign.pub", (inside.site.folder / "admitted.pub").read_text())
    refused = inside.site.run("import", "media", *GAP, expect=2)
    assert refused["code"] == "wrong-key"
    assert not (inside.site.folder / "state/accepted.json").exists()


def test_what_a_receipt_lists_is_not_looked_for_and_deep_mends_it(start: Start) -> None:
    inside = start("distribution2")
    inside.sovereign(f"{{repository: {SIDE}}}")
    first = ours(inside.take())
    root = digests(inside)[0]
    assert {line["signs"]["subject"] for line in first} == set(digests(inside))
    side = next(Path(inside.inside.folder).rglob(f"repositories/{SIDE}"))
    shutil.rmtree(side / "_manifests/tags" / root.replace(":", "-"))  # the index of referrers is a tag here
    assert not inside.verifies("admitted.pub", SIDE, root)
    assert [line["outcome"] for line in ours(inside.take())] == ["present"] * 3
    inside.site.run("audit", *GAP, "--receipt", "receipt.json", expect=3)
    assert sorted(line["outcome"] for line in ours(inside.take("--deep"))) == ["present", "present", "written"]
    assert inside.verifies("admitted.pub", SIDE, root)
    # Another key is another signature, whatever receipts say of the first.
    inside.site.run("keys", "generate", "new")
    for suffix in ("key", "pub"):
        (inside.site.folder / f"new.{suffix}").replace(inside.site.folder / f"admitted.{suffix}")
    assert [line["outcome"] for line in ours(inside.take())] == ["written"] * 3
    assert inside.verifies("admitted.pub", SIDE, root)


def test_an_index_that_lists_what_is_gone_can_be_added_to(start: Start) -> None:
    inside = start("distribution2")
    inside.sovereign(f"{{repository: {SIDE}}}")
    lost = ours(inside.take())[0]
    side = next(Path(inside.inside.folder).rglob(f"repositories/{SIDE}"))
    shutil.rmtree(side / "_manifests/revisions/sha256" / Digest(lost["digest"]).hex)
    key = ("--key", "sovereign.key", "--receipt", "receipt.json")
    said = airgap(inside.site, "import", "media", *GAP, *key)
    assert said.code == 0, said.err
    assert f"they are left out: {lost['digest']}" in said.err
    assert inside.verifies("admitted.pub", SIDE, lost["signs"]["subject"])
    inside.site.run("audit", *GAP, "--receipt", "receipt.json")
