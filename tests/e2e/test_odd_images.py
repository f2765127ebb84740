"""Images as registries and tools really have them: without layers, with something odd attached, with children that are
not there, several in one layout. Each is carried, or the message says what to write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.parts.images import CONFIG, INDEX, LAYER, MANIFEST, REF_NAME, Descriptor, Layout, bare, tar_of
from tests.worlds.cli_site import airgap
from tests.worlds.commands import Said
from tests.worlds.site import CUT, GAP, HEAD, Site

pytestmark = pytest.mark.e2e

WITHDRAWN = "application/vnd.oci.artifact.manifest.v1+json"
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
FULL = "io.containerd.image.name"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    made.write(
        "sovereign.yaml",
        f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\nspec: {{stateDir: state, directory: inside}}\n",
    )
    return made


def ask(site: Site, *refs: str, more: str = "", section: str = "images") -> None:
    """A request for images of local layouts, called demo.local/0:1, demo.local/1:1, …"""
    entries = "".join(f"  - {{ref: '{ref}', name: 'demo.local/{n}:1'{more}}}\n" for n, ref in enumerate(refs))
    site.write("r.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  {section}:\n{entries}")


def lock(site: Site, *refs: str, more: str = "") -> Said:
    ask(site, *refs, more=more)
    return airgap(site, "lock", "r.request.yaml")


def locked(site: Site) -> list[dict[str, Any]]:
    return list(json.loads((site.folder / "r.lock.json").read_bytes())["items"])


def carry(site: Site) -> None:
    """Pulls, cuts, imports and audits what is locked."""
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    site.run(*CUT, "media")
    site.run("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    site.run("audit", *GAP, "--receipt", "receipt.json", "--deep")


def test_manifests_without_layers_and_an_index_without_manifests_are_carried(site: Site) -> None:
    layout = Layout(site.folder / "made")
    kinds: dict[str, dict[str, Any]] = {"absent": {}, "null": {"layers": None}, "empty": {"layers": []}}
    for name, more in kinds.items():
        config = layout.document({"architecture": "amd64", "os": "linux", "rootfs": {}}, CONFIG)
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, **more}
        layout.tag(name, layout.document(document, MANIFEST))
    layout.tag("index", layout.document({"schemaVersion": 2, "mediaType": INDEX, "manifests": None}, INDEX))
    assert lock(site, "oci:made:absent", "oci:made:null", "oci:made:empty", "oci:made:index").code == 0
    carry(site)
    assert len({item["root"]["digest"] for item in locked(site)}) == 4


def test_what_is_attached_and_cannot_be_carried_is_left_out_and_named(site: Site) -> None:
    layout = Layout(site.folder / "made")
    image = layout.tag("v1", layout.image({"a": b"a"}))
    old = layout.document({"mediaType": WITHDRAWN, "blobs": [], "subject": bare(image)}, WITHDRAWN)
    on_it = layout.artifact("application/vnd.test.on-it", ("text/plain", b"x"), subject=old)
    blob = layout.blob(b"w", "text/plain", urls=["https://example.org/w"])
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": layout.blob(b"{}", "text/plain"), "layers": [blob]}
    elsewhere = layout.document({**manifest, "subject": bare(image)}, MANIFEST)
    good = layout.artifact("application/vnd.test.good", ("text/plain", b"x"), subject=image)
    said = lock(site, "oci:made:v1")
    assert said.code == 0, said
    [item] = locked(site)
    assert [one["digest"] for one in item["attached"]] == [good["digest"]]
    codes = {one["digest"]: one["code"] for one in item["leftOut"]}
    assert codes == {
        old["digest"]: "unknown-node",
        on_it["digest"]: "not-as-locked",
        elsewhere["digest"]: "foreign-layer",
    }
    for one in codes:
        assert f"without {one}" in said.err
    assert old["digest"] in airgap(site, "show", "r.lock.json").out
    carry(site)
    # A lock in which it is written differently is refused.
    document = json.loads((site.folder / "r.lock.json").read_bytes())
    document["items"][0]["leftOut"].reverse()
    site.write("r.lock.json", json.dumps(document, separators=(",", ":"), sort_keys=True) + "\n")
    assert "leftOut" in airgap(site, "show", "r.lock.json").err


def test_an_index_with_children_that_cannot_be_carried_names_them_and_the_way_on(site: Site) -> None:
    layout = Layout(site.folder / "made")
    amd, arm = (layout.image({"a": one.encode()}, platform=f"linux/{one}") for one in ("amd64", "arm64"))
    layer = layout.blob(b"w", FOREIGN, urls=["https://example.org/w"])
    config = layout.document({"os": "windows", "architecture": "amd64"}, CONFIG)
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
    windows = layout.document(document, MANIFEST, platform={"os": "windows", "architecture": "amd64"})
    note = layout.image({"b": b"b"}) | {"platform": {"os": "unknown", "architecture": "unknown"}}
    layout.tag("sparse", layout.index(amd, arm, note))
    layout.tag("foreign", layout.index(amd, windows))
    layout.tag("nothing", layout.index(arm))
    layout.path(arm["digest"]).unlink()
    for name, child in (("sparse", "linux/arm64"), ("foreign", "windows/amd64")):
        said = lock(site, f"oci:made:{name}")
        assert said.code != 0
        assert f"the index lists {child}, which cannot be carried: {child} (sha256:" in said.err
        assert "write `platforms: [linux/amd64]` in the request" in said.err
        assert lock(site, f"oci:made:{name}", more=", platforms: [linux/amd64]").code == 0
        (site.folder / "r.lock.json").unlink()
    said = lock(site, "oci:made:sparse", more=", platforms: [linux/arm64]")
    assert "the index lists linux/arm64, which cannot be carried" in said.err
    assert "write `platforms" not in lock(site, "oci:made:nothing").err
    carried = lock(site, "oci:made:sparse", more=", platforms: [linux/amd64]")
    assert carried.code == 0


def several(layout: Layout) -> list[Descriptor]:
    """As `docker save` and `ctr image export` write two images of one tag: the full name is in an annotation."""
    made = []
    for name in ("docker.io/library/one:latest", "registry.local/team/two:latest"):
        image = layout.image({"a": name.encode()})
        made.append(image)
        layout._write_index([*layout.entries(), image | {"annotations": {REF_NAME: "latest", FULL: name}}])
    return made


@pytest.mark.parametrize("scheme", ["oci", "oci-archive"])
def test_each_of_several_images_is_reached_by_its_full_name_or_its_digest(site: Site, scheme: str) -> None:
    layout = Layout(site.folder / "made")
    one, two = several(layout)
    for _ in range(2):  # `crane pull --format=oci`: no names at all
        layout.tag("", one)
    bare_one = layout.image({"b": b"b"})
    layout.tag("", bare_one)
    path = "made"
    if scheme == "oci-archive":
        path = tar_of(site.folder / "made", site.folder / "made.tar").name
    refs = {
        f"{scheme}:{path}:docker.io/library/one:latest": one,
        f"{scheme}:{path}:one:latest": one,
        f"{scheme}:{path}:registry.local/team/two:latest": two,
        f"{scheme}:{path}@{bare_one['digest']}": bare_one,
        f"{scheme}:{path}:latest@{two['digest']}": two,
    }
    assert lock(site, *refs).code == 0
    assert [item["root"]["digest"] for item in locked(site)] == [image["digest"] for image in refs.values()]
    sources = [item["source"] for item in locked(site)]
    assert sources == list(refs), "relative to the lock, and with the digest"
    carry(site)
    # Which is meant? The message lists what there is.
    for ref, problem in (
        (f"{scheme}:{path}:latest", "has several roots called 'latest'"),
        (f"{scheme}:{path}", "the reference names none of them"),
        (f"{scheme}:{path}:latest@{bare_one['digest']}", f"has no root {bare_one['digest']} called 'latest'"),
    ):
        said = lock(site, ref)
        assert (said.code, problem in said.err) == (2, True), said
        assert f"registry.local/team/two:latest {two['digest']}" in said.err
    # The digest in a source is that of the root.
    text = (site.folder / "r.lock.json").read_text().replace(f"@{bare_one['digest']}", f"@{one['digest']}")
    site.write("r.lock.json", text)
    assert "bad-lock" in airgap(site, "show", "r.lock.json").err


def test_a_chart_of_before_helm_3_7_is_a_chart(site: Site) -> None:
    layout = Layout(site.folder / "made")
    config = layout.document({"name": "0", "version": "1"}, "application/vnd.cncf.helm.config.v1+json")
    packed = layout.image({"0/Chart.yaml": b"apiVersion: v2\nname: '0'\nversion: '1'\n"})
    layer = json.loads(layout.read(packed["digest"]))["layers"][0]
    assert layer["mediaType"] == LAYER
    old = {**layer, "mediaType": "application/tar+gzip"}
    layout.tag("v1", layout.document({"schemaVersion": 2, "config": config, "layers": [old]}, MANIFEST))
    layout.tag("odd", layout.document({"schemaVersion": 2, "config": config, "layers": [layer]}, MANIFEST))
    ask(site, "oci:made:v1", section="charts")
    site.run("lock", "r.request.yaml")
    assert [item["kind"] for item in locked(site)] == ["chart"]
    carry(site)
    (site.folder / "r.lock.json").unlink()
    ask(site, "oci:made:odd", section="charts")
    assert "list it under `images:`" in airgap(site, "lock", "r.request.yaml").err
