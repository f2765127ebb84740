"""A delivery gets its names at a destination as a whole or not at all, unless --keep-going says otherwise."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from airgap.statements.dsse import open_bundle
from tests.worlds.chart_bombs import NAME, VERSION, add_chart, chart_tar, chart_yaml
from tests.worlds.cli_site import airgap
from tests.worlds.git_sources import Work
from tests.worlds.row import KEY, Row
from tests.worlds.site import GAP, HEAD

pytestmark = pytest.mark.e2e
NAMES = {f"demo.local/app{number}:v1": f"app{number}" for number in range(4)}
BAD = "demo.local/app2:v1"


@pytest.fixture
def row(tmp_path: Path) -> Row:
    """A delivery `media1` of four images, each with an own layer."""
    row = Row(tmp_path)
    for tag in NAMES.values():
        row.layout.tag(tag, row.layout.image(hashlib.sha256(tag.encode()).digest() * 1000))
    row.deliver(1, NAMES)
    return row


def damage(row: Row, tag: str = "app2") -> bytes:
    """Flips a bit in the layer of an image; returns what the volume was."""
    [volume] = (row.folder / "media1").glob("vol-*")
    data = volume.read_bytes()
    index = json.loads((row.folder / "made/index.json").read_bytes())
    [root] = [one for one in index["manifests"] if one["annotations"]["org.opencontainers.image.ref.name"] == tag]
    [layer] = json.loads(row.layout.read(root["digest"]))["layers"]
    at = data.index(row.layout.read(layer["digest"]))
    volume.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    return data


def outcomes(done: Any) -> dict[str, str]:
    return {change["item"]: change["outcome"] for change in done["changes"]}


def visible(row: Row) -> set[str]:
    return {str(item["name"]) for item in row.site.run("ls", "inside/oci")["items"]}


def receipt(row: Row, media: str = "media1") -> Any:
    data = (row.folder / f"{media}.receipt").read_bytes()
    return json.loads(open_bundle(data, "receipt", 1 << 20).payload)["predicate"]


def test_one_damaged_item_withholds_all_names_and_a_good_copy_publishes_them(row: Row) -> None:
    good = damage(row)
    failed = row.take("media1", expect=4)
    assert outcomes(failed) == dict.fromkeys(NAMES, "withheld") | {BAD: "failed"}
    assert (failed["publish"], failed["half"]) == ("all-or-nothing", [])
    assert visible(row) == set()
    found = receipt(row)
    assert found["publish"] == "all-or-nothing"
    [place] = found["destinations"]
    assert {line["item"]: line["outcome"] for line in place["items"]} == outcomes(failed)
    assert all(BAD in line["reason"] for line in place["items"] if line["outcome"] == "withheld")
    assert row.site.run("show", "media1.receipt")
    said = airgap(row.site, "import", "media1", *GAP, *KEY)
    assert f"names are withheld at {row.folder}/inside:" in said.out
    assert "--keep-going" in said.out
    [volume] = (row.folder / "media1").glob("vol-*")
    volume.write_bytes(good)
    done = row.take("media1")
    assert outcomes(done) == dict.fromkeys(NAMES, "written")
    assert visible(row) == set(NAMES)
    assert receipt(row)["publish"] == "all-or-nothing"


def test_with_keep_going_what_did_not_fail_gets_its_name_and_the_receipt_says_so(row: Row) -> None:
    damage(row)
    failed = row.take("media1", "--keep-going", expect=4)
    assert outcomes(failed) == dict.fromkeys(NAMES, "written") | {BAD: "failed"}
    assert visible(row) == set(NAMES) - {BAD}
    assert failed["publish"] == receipt(row)["publish"] == "keep-going"


def test_a_station_takes_a_delivery_as_a_whole(row: Row) -> None:
    refused = row.site.run("import", "media1", "--store", "other", "--trust", "trust.yaml", "--keep-going", expect=2)
    assert refused["code"] == "usage"


@pytest.mark.part("distribution3")
def test_a_destination_is_published_although_another_one_fails(row: Row, start_registry: Any, fault_proxy: Any) -> None:
    one, two = start_registry(), start_registry()
    proxy = fault_proxy(two.url)
    both = "".join(f"  - {{url: '{each.url}', projects: {{demo.local: in}}}}\n" for each in (one, proxy))
    row.inside(f"  registries:\n{both}")
    proxy.fault("POST|PUT|PATCH", "app1/", status=403)
    failed = row.take("media1", expect=5)
    by_url: dict[str, set[str]] = {}
    for change in failed["changes"]:
        by_url.setdefault(change["destination"], set()).add(change["outcome"])
    assert by_url == {one.url: {"written"}, proxy.url: {"failed", "withheld"}}
    proxy.clear()
    done = row.take("media1")
    assert {(change["destination"], change["outcome"]) for change in done["changes"]} == {
        (one.url, "present"),
        (proxy.url, "written"),
    }


@pytest.mark.part("distribution3")
def test_publishing_that_fails_half_way_says_half_and_the_same_command_completes_it(
    row: Row, start_registry: Any, fault_proxy: Any
) -> None:
    proxy = fault_proxy(start_registry().url)
    row.inside(f"  registries:\n  - {{url: '{proxy.url}', projects: {{demo.local: in}}}}\n")
    proxy.fault("PUT", "/manifests/v1", skip=2, status=403)
    failed = row.take("media1", "--jobs", "1", expect=5)
    assert sorted(outcomes(failed).values()) == ["failed", "withheld", "written", "written"]
    assert failed["half"] == [proxy.url]
    proxy.clear()
    done = row.take("media1")
    assert sorted(outcomes(done).values()) == ["present", "present", "written", "written"]
    assert done["half"] == []
    # The next one stops half-way as well, and what came of it is taken back: then nothing more of it is published.
    for tag in NAMES.values():
        row.layout.tag(tag, row.layout.image({"new": tag.encode()}))
    row.deliver(2, NAMES)
    proxy.fault("PUT", "/manifests/v1", skip=2, status=403)
    row.take("media2", "--jobs", "1", expect=5)
    proxy.clear()
    back = row.site.run("rollback", "media2.receipt", *GAP, *KEY)
    assert len(back["changes"]) == 2
    again = row.take("media2", "--receipt", "again.receipt", expect=3)
    assert sorted(outcomes(again).values()) == ["refused", "refused", "withheld", "withheld"]


def test_a_git_tag_that_is_something_else_inside_withholds_the_rest_there_and_the_dry_run_says_so(
    tmp_path: Path,
) -> None:
    row = Row(tmp_path)
    works = [Work(tmp_path / name) for name in ("one", "two")]
    for work in works:
        work.commit()
        work.git("tag", "v1")
    row.layout.tag("app", row.layout.image({"a": b"1"}))

    def deliver(number: int) -> None:
        git = "".join(f"  - {{url: '{tmp_path}/{name}', name: {name}}}\n" for name in ("one", "two"))
        image = "  images:\n  - {ref: 'oci:made:app', name: 'demo.local/app:v1'}\n"
        request = f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n{image}  git:\n{git}"
        row.site.write(f"r{number}.request.yaml", request)
        row.site.run("lock", f"r{number}.request.yaml")
        row.site.run("pull", f"r{number}.lock.json", "--store", "store", "--key", "exporter.key")
        cut = ("--store", "store", "--to", f"media{number}", "--for", "bank", "--key", "exporter.key")
        row.site.run("bundle", f"r{number}.lock.json", *cut)

    deliver(1)
    row.take("media1")
    for work in works:
        work.commit("more")
    works[0].git("tag", "--force", "v1")
    row.layout.tag("app", row.layout.image({"a": b"2"}))
    deliver(2)
    for more in (("--dry-run",), ()):
        found = row.take("media2", *more, expect=3)
        told = {(change["item"], change["name"]): change["outcome"] for change in found["changes"]}
        assert told["one", "refs/tags/v1"] == "refused"
        moved = {outcome for (_, name), outcome in told.items() if name != "refs/tags/v1"}
        assert moved == {"withheld"}
    kept = row.take("media2", "--keep-going", expect=3)
    assert {change["outcome"] for change in kept["changes"]} == {"written", "refused", "present"}


def test_what_belongs_together_is_not_split_even_with_keep_going(tmp_path: Path) -> None:
    """A chart needs the images that it declares, and its repository; the repository needs the chart."""
    row = Row(tmp_path)
    repository = Work(tmp_path / "shop")
    repository.commit()
    for tag in ("app1", "app2"):
        row.layout.tag(tag, row.layout.image(hashlib.sha256(tag.encode()).digest() * 1000))
    listed = "- name: app\n  image: demo.local/app2:v1\n- image: 'docker.io/library/elsewhere:1'\n"
    said = {"annotations": {"artifacthub.io/images": listed}, "sources": ["https://git.local/acme/shop/tree/main"]}
    add_chart(row.layout, "chart", chart_tar(chart_yaml(f"name: {NAME}\nversion: {VERSION}\n")), **said)
    chart = f"demo.local/charts/{NAME}:{VERSION}"
    images = "".join(f"  - {{ref: 'oci:made:{tag}', name: 'demo.local/{tag}:v1'}}\n" for tag in ("app1", "app2"))
    row.site.write(
        "r.request.yaml",
        f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  images:\n{images}"
        f"  charts:\n  - {{ref: 'oci:made:chart', name: '{chart}'}}\n"
        f"  git:\n  - {{url: '{tmp_path}/shop', name: git.local/acme/shop}}\n",
    )
    row.site.run("lock", "r.request.yaml")
    row.site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    cut = ("--store", "store", "--to", "media1", "--for", "bank", "--key", "exporter.key")
    row.site.run("bundle", "r.lock.json", *cut)
    good = damage(row)
    failed = row.take("media1", "--keep-going", expect=4)
    assert outcomes(failed) == {
        "demo.local/app1:v1": "written",
        "demo.local/app2:v1": "failed",
        chart: "withheld",
        "git.local/acme/shop": "withheld",
    }
    [reason] = {change["reason"] for change in failed["changes"] if change["item"] == chart}
    assert "it belongs with 'demo.local/app2:v1', which failed" in reason
    [volume] = (row.folder / "media1").glob("vol-*")
    volume.write_bytes(good)
    assert set(outcomes(row.take("media1")).values()) == {"written", "present"}
