"""Who reads what we wrote: deliveries, extracted items and imported content, in the hands of other tools."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.golden.make_delivery import make_content
from tests.parts.containerd import Containerd
from tests.parts.fixtures import StartRegistry, scratch
from tests.parts.images import Layout
from tests.parts.need import require_root, run
from tests.parts.registry import Registry
from tests.worlds.site import CHECKED, GAP, Site, checked

pytestmark = [pytest.mark.e2e, pytest.mark.part("skopeo", "git", "git-lfs")]

IMAGE = "docker.io/library/hello:1.0"
CHART = "ghcr.io/openova-io/charts/hello:0.1.0"
HEAD = "apiVersion: airgap.openova.io/v1alpha1\nkind: Request\nmetadata: {name: r}\nspec:\n"
ONE = f"  images:\n  - {{ref: 'oci:content/image:v1', name: '{IMAGE}'}}\n"
GRAPHS = (
    f"{ONE}  - {{ref: 'oci:content/image:v1', name: '{IMAGE}-arm64', platforms: [linux/arm64]}}\n"
    f"  charts:\n  - {{ref: 'oci:content/chart:0.1.0', name: '{CHART}'}}\n"
)
ALL = f"{GRAPHS}  models:\n  - {{directory: content/model, name: openova/tiny}}\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    make_content(tmp_path / "content")
    return made


def deliver(site: Site, asked: str, *more: str) -> Path:
    """A delivery of what is asked for; returns its folder."""
    site.write("r.request.yaml", HEAD + asked)
    site.run("lock", "r.request.yaml")
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    to = ("--to", "media", "--for", "bank", "--key", "exporter.key")
    site.run("bundle", "r.lock.json", "--store", "store", *to, *more)
    return site.folder / "media"


def root(site: Site, kind: str = "image") -> str:
    """The digest of the content's image or chart."""
    # Beside the image stands its signature.
    return str(Layout(site.folder / "content" / kind).entries()[0]["digest"])


def raw_digest(image: str, *more: str) -> str:
    """The digest of an image as skopeo sees it: sha256 of the manifest's bytes."""
    data = run("skopeo", "inspect", "--raw", *more, image).encode()
    return "sha256:" + hashlib.sha256(data).hexdigest()


def copied(image: str, folder: Path, *more: str) -> Layout:
    """skopeo's copy of an image, whose blobs it hashes."""
    run("skopeo", *more, "copy", "--insecure-policy", image, f"oci:{folder}:copy")
    return Layout(folder)


# --- deliveries ---------------------------------------------------------------------------------


def test_skopeo_reads_a_delivery_of_one_volume_where_it_lies(site: Site, tmp_path: Path) -> None:
    volume = deliver(site, ONE) / "vol-0001-of-0001.tar"
    # One image needs no name.
    for image in (f"oci-archive:{volume}", f"oci-archive:{volume}:{IMAGE}"):
        assert raw_digest(image) == root(site)
    run("skopeo", "copy", "--all", "--insecure-policy", f"oci-archive:{volume}:{IMAGE}", f"oci:{tmp_path / 'all'}:copy")
    assert Layout(tmp_path / "all").entries()[0]["digest"] == root(site)


def test_skopeo_reads_each_of_several_images_by_its_name(site: Site, tmp_path: Path) -> None:
    volume = deliver(site, ALL) / "vol-0001-of-0001.tar"
    assert raw_digest(f"oci-archive:{volume}:{IMAGE}") == root(site)
    assert raw_digest(f"oci-archive:{volume}:{CHART}") == root(site, "chart")
    layout = copied(f"oci-archive:{volume}:{IMAGE}-arm64", tmp_path / "arm", "--override-arch=arm64")
    assert layout.entries()
    with pytest.raises(AssertionError, match="more than one image"):
        run("skopeo", "inspect", "--raw", f"oci-archive:{volume}")


def test_what_readme_says_works_as_it_is_written(site: Site, tmp_path: Path) -> None:
    media = deliver(site, ALL, "--volume-size", "64KiB")
    assert len(list(media.glob("vol-*.tar"))) > 1
    readme = (media / "README.txt").read_text()
    lines = [line.strip() for line in readme.splitlines()]
    steps = [line for line in lines if line.startswith(("mkdir layout", "(cd layout"))]
    steps += [line.partition(" on Linux")[0] for line in lines if line.startswith("sha256sum -c")]
    assert len(steps) == 3
    for step in steps:
        subprocess.run(["sh", "-euc", step], cwd=media, check=True, capture_output=True)
    inspect = next(line for line in lines if line.startswith("skopeo inspect oci:layout:NAME"))
    [tool, command, image] = inspect.split()[:3]
    said = run(tool, command, image.replace("NAME", IMAGE), cwd=media)
    assert json.loads(said)["Architecture"] == "amd64"
    assert copied(f"oci:{media / 'layout'}:{IMAGE}", tmp_path / "copy").entries()
    blobs = list((media / "layout/blobs/sha256").iterdir())
    assert {blob.name for blob in blobs} == {hashlib.sha256(blob.read_bytes()).hexdigest() for blob in blobs}


# --- extracted ----------------------------------------------------------------------------------


@pytest.fixture
def containerd(stack: ExitStack) -> Iterator[Containerd]:
    made = Containerd(scratch(stack, "ctr"))
    yield made
    made.stop()


@pytest.mark.part("containerd")
@pytest.mark.parametrize("source", ["media", "store"])
def test_containerd_imports_what_was_extracted(
    site: Site, containerd: Containerd, source: str, tmp_path: Path, stack: ExitStack
) -> None:
    deliver(site, ALL)
    site.run("extract", source, *checked(source), IMAGE, "--to", "x.tar")
    said = containerd.ctr("images", "import", "--snapshotter", "native", tmp_path / "x.tar")
    assert f"unpacking {IMAGE} ({root(site)})" in said
    listed = containerd.ctr("images", "ls", f"name=={IMAGE}").splitlines()[1].split()
    assert (listed[0], listed[2]) == (IMAGE, root(site))
    # The files are there.
    view = tmp_path / "view"
    view.mkdir()
    containerd.ctr("images", "mount", "--snapshotter", "native", IMAGE, view)
    stack.callback(subprocess.run, ["umount", str(view)], check=True)
    assert (view / "hello.txt").read_text() == "hello\n"


@pytest.mark.part("containerd", "distribution3")
def test_containerd_gives_an_item_with_a_short_name_its_full_one(
    site: Site, containerd: Containerd, distribution3: Registry, tmp_path: Path
) -> None:
    there = f"{distribution3.host}/readers/app:1"
    source = f"oci:{tmp_path}/content/image:v1"
    run("skopeo", "copy", "--all", "--insecure-policy", "--dest-tls-verify=false", source, f"docker://{there}")
    site.write(
        "u.yaml",
        "apiVersion: airgap.openova.io/v1alpha1\nkind: Upstreams\nmetadata: {name: u}\n"
        f"spec: {{hosts: {{'{distribution3.host}': {{plainHTTP: true}}}}}}\n",
    )
    site.write("r.request.yaml", f"{HEAD}  images:\n  - {{ref: '{there}', name: app}}\n")
    site.run("lock", "r.request.yaml", "--upstreams", "u.yaml")
    site.run("pull", "r.lock.json", "--store", "store", "--upstreams", "u.yaml")
    site.run("extract", "store", "app", "--to", "x.tar")
    containerd.ctr("images", "import", "--snapshotter", "native", tmp_path / "x.tar")
    assert there in containerd.ctr("images", "ls", "--quiet").split()


@pytest.mark.part("umoci")
def test_an_extracted_folder_and_tar_are_read_by_skopeo_and_umoci(site: Site, tmp_path: Path) -> None:
    require_root("unpacking an image with its owners")
    deliver(site, ALL)
    site.run("extract", "media", *CHECKED, IMAGE, "--to", "x.tar")
    site.run("extract", "media", *CHECKED, IMAGE, "--to", "folder")
    assert raw_digest(f"oci-archive:{tmp_path / 'x.tar'}:{IMAGE}") == root(site)
    assert raw_digest(f"oci:{tmp_path / 'folder'}:{IMAGE}") == root(site)
    copied(f"oci-archive:{tmp_path / 'x.tar'}:{IMAGE}", tmp_path / "copy")
    run("umoci", "unpack", "--image", f"{tmp_path / 'copy'}:copy", tmp_path / "bundle")
    assert (tmp_path / "bundle/rootfs/hello.txt").read_text() == "hello\n"


# --- imported -----------------------------------------------------------------------------------


@pytest.fixture(params=[2, 3], ids=["distribution2", "distribution3"])
def inside(request: Any, site: Site, start_registry: StartRegistry) -> Registry:
    """A registry into which everything was imported."""
    registry = start_registry(version=request.param)
    deliver(site, GRAPHS)
    site.write(
        "sovereign.yaml",
        "apiVersion: airgap.openova.io/v1alpha1\nkind: Sovereign\nmetadata: {name: bank}\nspec:\n"
        f"  stateDir: state\n  registries:\n  - url: '{registry.url}'\n"
        "    projects: {docker.io: hub, ghcr.io: catalog}\n",
    )
    site.run("import", "media", *GAP, "--key", "sovereign.key")
    return registry


@pytest.mark.part("crane", "oras", "regctl", "distribution2", "distribution3")
def test_crane_skopeo_oras_and_regctl_read_an_imported_image(site: Site, inside: Registry, tmp_path: Path) -> None:
    repository = f"{inside.host}/hub/library/hello"
    image = f"{repository}:1.0"
    regctl = {"HOME": str(tmp_path), "REGCTL_CONFIG": str(tmp_path / "regctl.json")}
    run("regctl", "registry", "set", "--tls", "disabled", inside.host, env=regctl)
    # The same manifest, whoever asks.
    assert run("crane", "digest", image).strip() == root(site)
    assert raw_digest(f"docker://{image}", "--tls-verify=false") == root(site)
    oras = json.loads(run("oras", "manifest", "fetch", "--plain-http", "--descriptor", image))
    assert oras["digest"] == root(site)
    assert run("regctl", "image", "digest", image, env=regctl).strip() == root(site)
    # All of it: each tool hashes what it takes.
    run("crane", "pull", "--format=oci", image, tmp_path / "crane")
    run("oras", "copy", "--from-plain-http", "--to-oci-layout", image, f"{tmp_path / 'oras'}:1.0")
    run("regctl", "image", "copy", image, f"ocidir://{tmp_path / 'regctl'}:1.0", env=regctl)
    for name in ("crane", "oras", "regctl"):
        assert root(site) in {entry["digest"] for entry in Layout(tmp_path / name).entries()}
    # What is attached is found by the tools' own ways.
    found = json.loads(run("oras", "discover", "--plain-http", "--format", "json", image))
    types = [one["artifactType"] for one in found.get("referrers", found.get("manifests", ()))]
    assert types == ["application/spdx+json"]
    listed = run("regctl", "artifact", "list", "--format", "{{json .Descriptors}}", image, env=regctl)
    assert [one["artifactType"] for one in json.loads(listed)] == ["application/spdx+json"]
    signature = root(site).replace(":", "-") + ".sig"
    assert signature in run("crane", "ls", repository).split()
    # One platform is its child, which any client of that platform runs.
    config = json.loads(run("crane", "config", f"{image}-arm64"))
    assert config["architecture"] == "arm64"


@pytest.mark.part("containerd", "distribution2", "distribution3")
def test_containerd_pulls_an_imported_image(site: Site, inside: Registry, containerd: Containerd) -> None:
    image = f"{inside.host}/hub/library/hello:1.0"
    containerd.ctr("images", "pull", "--plain-http", "--snapshotter", "native", image)
    listed = containerd.ctr("images", "ls", f"name=={image}").splitlines()[1].split()
    assert (listed[0], listed[2]) == (image, root(site))


@pytest.mark.part("helm", "distribution2", "distribution3")
def test_helm_pulls_and_renders_an_imported_chart(site: Site, inside: Registry, tmp_path: Path) -> None:
    chart = f"oci://{inside.host}/catalog/openova-io/charts/hello"
    version = ("--version", "0.1.0", "--plain-http")
    run("helm", "pull", chart, *version, "--destination", tmp_path)
    assert "hello" in run("helm", "show", "chart", tmp_path / "hello-0.1.0.tgz")
    for source in ((chart, *version), (str(tmp_path / "hello-0.1.0.tgz"),)):
        assert "kind: ConfigMap" in run("helm", "template", "release", *source)
