"""Images that lie here: in a local engine, in layouts and archives that other tools wrote. From the command line."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.parts.engine import Engine
from tests.parts.images import Layout, tar_of
from tests.parts.need import require_root, run
from tests.worlds.site import GAP, Site

pytestmark = [pytest.mark.e2e, pytest.mark.part("skopeo", "umoci")]

NAME = "registry.local/tools/debian:test"
SOVEREIGN = """\
apiVersion: airgap.openova.io/v1alpha1
kind: Sovereign
metadata: {name: bank}
spec: {stateDir: state, directory: inside}
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    made.write("sovereign.yaml", SOVEREIGN)
    return made


def ask(site: Site, ref: str, name: str = NAME) -> None:
    """A request for one image."""
    site.write(
        "r.request.yaml",
        "apiVersion: airgap.openova.io/v1alpha1\nkind: Request\nmetadata: {name: r}\nspec:\n  images:\n"
        f"  - {{ref: '{ref}', name: '{name}'}}\n",
    )


def lock(site: Site, ref: str) -> dict[str, Any]:
    """Locks one image; returns its item."""
    ask(site, ref)
    site.run("lock", "r.request.yaml")
    [item] = json.loads((site.folder / "r.lock.json").read_bytes())["items"]
    assert isinstance(item, dict)
    return item


def bring(site: Site) -> Path:
    """Pulls what is locked, cuts a delivery, imports it; returns the layout inside."""
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    to = ("--to", "media", "--for", "bank", "--key", "exporter.key")
    site.run("bundle", "r.lock.json", "--store", "store", *to)
    done = site.run("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    assert [change["outcome"] for change in done["changes"]] == ["written"]
    site.run("audit", *GAP, "--receipt", "receipt.json", "--deep")
    return site.folder / "inside/oci"


def digest(image: str) -> str:
    """The digest of an image as skopeo sees it: sha256 of the manifest's bytes."""
    return "sha256:" + hashlib.sha256(run("skopeo", "inspect", "--raw", image).encode()).hexdigest()


def files(image: Path, name: str, into: Path) -> dict[str, tuple[int, int, int, str]]:
    """Every file of an image as umoci unpacks it: path → mode, owner, group, and content or link."""
    require_root("unpacking an image with its owners")
    run("umoci", "unpack", "--image", f"{image}:{name}", into)
    found = {}
    for path in sorted((into / "rootfs").rglob("*")):
        status = path.lstat()
        what = os.readlink(path) if path.is_symlink() else ""
        if path.is_file() and not path.is_symlink():
            what = hashlib.sha256(path.read_bytes()).hexdigest()
        where = str(path.relative_to(into))
        found[where] = (status.st_mode, status.st_uid, status.st_gid, what)
    return found


@pytest.mark.part("podman", "mmdebstrap")
def test_an_image_of_a_local_engine_arrives_with_the_same_files(
    site: Site, podman_api: Engine, debian_image: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    image = podman_api.load(tar_of(debian_image, tmp_path / "in.tar"))
    podman_api.podman("tag", image, "localhost/tools/debian:test")
    monkeypatch.setenv("DOCKER_HOST", podman_api.docker_host)
    item = lock(site, "docker-daemon:localhost/tools/debian:test")
    assert item["converted"] is True
    # An engine's image has no digest, but it is converted into the same one each time.
    assert site.run("lock", "r.request.yaml", "--check")["changes"] == []
    inside = bring(site)
    arrived = json.loads(Layout(inside).read(item["root"]["digest"]))
    assert arrived["config"]["digest"] == image
    assert digest(f"oci:{inside}:{NAME}") == item["root"]["digest"]
    here = files(debian_image, "bookworm", tmp_path / "here")
    assert here
    assert files(inside, NAME, tmp_path / "there") == here


def test_an_engine_without_the_image_is_an_input_error(
    site: Site, podman_api: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", podman_api.docker_host)
    ask(site, "docker-daemon:localhost/tools/none:test")
    assert site.run("lock", "r.request.yaml", expect=2)["code"] == "no-image"


@pytest.mark.parametrize("name", ["tools/debian:test", "debian", "registry.local/tools/debian"])
def test_a_name_without_a_place_inside_is_refused_in_the_request(site: Site, name: str) -> None:
    Layout(site.folder / "layout")
    ask(site, "oci:layout:v1", name)
    said = site.run("lock", "r.request.yaml", expect=2)
    assert said["code"] == "bad-resource"
    assert f"r.request.yaml:6:34: spec.images[0].name: {name!r} " in said["error"]
    assert "registry.local/team/app:1.0" in said["error"]


def by_umoci(debian_image: Path, folder: Path) -> str:
    return f"oci:{debian_image}:bookworm"


def by_skopeo(debian_image: Path, folder: Path) -> str:
    archive = f"oci-archive:{folder / 'skopeo.tar'}:a/b:1"
    run("skopeo", "copy", "--insecure-policy", f"oci:{debian_image}:bookworm", archive)
    return archive


def buildah(folder: Path, *line: str | Path) -> str:
    place = ("--storage-driver=vfs", f"--root={folder / 'root'}", f"--runroot={folder / 'run'}")
    return run("buildah", *place, *line).strip()


def by_buildah(folder: Path, target: str) -> str:
    """Builds an image from nothing and pushes it to `target`."""
    (folder / "hello.txt").write_text("hello\n")
    container = buildah(folder, "from", "scratch")
    buildah(folder, "copy", container, folder / "hello.txt", "/hello.txt")
    buildah(folder, "config", "--cmd", "/hello.txt", container)
    made = buildah(folder, "commit", "--quiet", container, "localhost/built:1")
    buildah(folder, "push", "--quiet", made, target)
    return target


def archive_by_buildah(debian_image: Path, folder: Path) -> str:
    return by_buildah(folder, f"oci-archive:{folder / 'buildah.tar'}")


def layout_by_buildah(debian_image: Path, folder: Path) -> str:
    return by_buildah(folder, f"oci:{folder / 'buildah'}:latest")


@pytest.mark.part("buildah", "mmdebstrap")
@pytest.mark.parametrize("write", [by_umoci, by_skopeo, layout_by_buildah, archive_by_buildah])
def test_what_others_wrote_arrives_byte_for_byte(
    site: Site, debian_image: Path, tmp_path: Path, write: Callable[[Path, Path], str]
) -> None:
    (tmp_path / "source").mkdir()
    ref = write(debian_image, tmp_path / "source")
    item = lock(site, ref)
    assert "converted" not in item
    assert item["root"]["digest"] == digest(ref)
    inside = bring(site)
    assert digest(f"oci:{inside}:{NAME}") == item["root"]["digest"]
    assert files(inside, NAME, tmp_path / "there")
