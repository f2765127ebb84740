"""A delta inside: what it omits is read where it is, each destination has its own, and a gap is refused by name."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from airgap.cli.demo_content import make_content
from airgap.delivery.index import Index
from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.delta import sign, thin
from tests.worlds.row import BLOBS, KEY, Row
from tests.worlds.served import start_serving
from tests.worlds.site import CHECKED, GAP, HEAD, REQUEST, TRUST, Site

pytestmark = pytest.mark.e2e
BASE = os.urandom(300_000)
"""A layer that stays the same."""


def month_two(row: Row) -> dict[str, int]:
    """An image, a month later with one new layer, and another repository with the same base; what the delta omits."""
    row.layout.tag("v1", row.layout.image({"base": BASE}, {"a": b"one"}))
    row.layout.tag("v2", row.layout.image({"base": BASE}, {"a": b"two"}))
    row.layout.tag("w1", row.layout.image({"base": BASE}, {"b": b"w"}))
    row.deliver(1, {"demo.local/app:v1": "v1"})
    row.deliver(2, {"demo.local/app:v2": "v2", "demo.local/web:w1": "w1"})
    left = thin(row.folder / "media2", row.folder / "media1")
    assert len(left) == 1
    return left


def registries(row: Row, *urls: str) -> None:
    lines = "".join(f"  - {{url: '{url}', projects: {{demo.local: in}}}}\n" for url in urls)
    row.inside(f"  registries:\n{lines}")


def refused(row: Row, media: str, *more: str, expect: int = 5) -> Any:
    """The refusal of an import. Nothing was accepted."""
    accepted = row.folder / "state/accepted.json"
    before = accepted.read_bytes() if accepted.exists() else b""
    answer = row.take(media, *more, expect=expect)
    assert (accepted.read_bytes() if accepted.exists() else b"") == before
    return answer


def test_a_delta_brings_what_is_new_into_a_folder(row: Row) -> None:
    [left] = month_two(row)
    assert refused(row, "media2", expect=4)["code"] == "baseline-missing"
    # The baseline is lost: everything is wanted that the delta carries or omits, and nothing is written inside.
    wanted = row.site.run("want", "media2", *GAP, *KEY, "-o", "want.json", expect=3)
    assert wanted["accepted"] is False
    assert left in [one["digest"] for one in wanted["blobs"]]
    assert len(wanted["blobs"]) == 5
    assert not (row.folder / "inside").exists()
    found = row.site.run("verify", "media2", *CHECKED)
    assert [(one["blobs"], one["receipts"]) for one in found["basedOn"]] == [(1, [])]
    assert found["unread"] == []
    shown = run_airgap(["verify", "media2", *CHECKED], row.folder, PASSWORD).out
    assert "delta: omits 1 blob" in shown
    assert "by no receipt" in shown
    row.take("media1")
    dry = row.site.run("import", "media2", *GAP, "--dry-run")
    assert {one["outcome"] for one in dry["changes"]} == {"write"}
    done = row.take("media2")
    assert {one["outcome"] for one in done["changes"]} == {"written"}
    assert row.audit("media2") == row.audit("media1") == []
    assert {one["outcome"] for one in row.take("media2")["changes"]} == {"present"}
    # A blob that went, and the delta again.
    (row.folder / BLOBS / left.removeprefix("sha256:")).unlink()
    gap = row.take("media2", "--deep", expect=5)
    assert gap["code"] == "omitted-missing"
    assert left in gap["error"]
    assert "demo.local/app:v2" in gap["error"]
    assert "airgap want" in gap["hint"]
    # What is missing, and nothing else, goes back. The delivery was accepted before.
    wanted = row.site.run("want", "media2", *GAP, *KEY, "-o", "want.json", "--deep", expect=3)
    assert [one["digest"] for one in wanted["blobs"]] == [left]
    assert wanted["items"] == ["demo.local/app:v2", "demo.local/web:w1"]
    said = row.site.run("show", "want.json")
    assert (said["kind"], said["role"], said["blobs"]) == ("want", "sovereign", wanted["blobs"])
    assert "lacks   1 blob" in run_airgap(["show", "want.json"], row.folder, PASSWORD).out


def test_a_file_whose_only_place_another_one_takes_is_carried(row: Row) -> None:
    def files(**named: str) -> str:
        lines = (f"{{file: {row.folder / one}, path: {path}, sha256: {ids[one]}}}" for path, one in named.items())
        return "  files:\n" + "".join(f"  - {line}\n" for line in lines)

    ids = {name: hashlib.sha256(name.encode() * 999).hexdigest() for name in ("v1", "v2", "same")}
    for name in ids:
        (row.folder / name).write_bytes(name.encode() * 999)
    row.cut_of(1, files(now="v1", same="same"))
    row.take("media1")
    row.cut_of(2, files(before="v1", now="v2", same="same", copy="same"))
    for media, since in (("a", ("--since", "media1.receipt", *CHECKED)), ("b", ("--since-delivery", "media1"))):
        row.cut_to(2, media, *since)
        index = json.loads((row.folder / media / "AIRGAP.json").read_text())
        assert index["contents"]["omitted"].keys() == {f"sha256:{ids['same']}"}
    # Whatever cut it: nothing is read where something else is about to be, and nothing is half published.
    thin(row.folder / "media2", row.folder / "media1")
    assert refused(row, "media2")["code"] == "omitted-missing"
    row.take("a")
    assert row.audit("a") == []


@pytest.mark.part("distribution3")
def test_a_registry_mounts_what_another_of_its_repositories_has(row: Row, start_registry: Any) -> None:
    registry = start_registry()
    registries(row, registry.url)
    [left] = month_two(row)
    row.take("media1")
    row.take("media2")
    assert row.audit("media2") == []
    for name in ("app", "web"):
        assert requests.head(f"{registry.url}/v2/in/{name}/blobs/{left}", timeout=10).status_code == 200


@pytest.mark.part("distribution3")
def test_one_of_two_registries_was_built_anew(row: Row, start_registry: Any) -> None:
    first, second = start_registry(), start_registry()
    registries(row, first.url, second.url)
    month_two(row)
    row.take("media1")
    third = start_registry()
    registries(row, first.url, third.url)
    done = row.take("media2")
    assert {one["outcome"] for one in done["changes"]} == {"written"}
    assert row.audit("media2") == []
    # Both: a delta will not do.
    registries(row, start_registry().url)
    answer = row.take("media2", expect=5)
    assert answer["code"] == "omitted-missing"
    assert "After a loss a delta alone" in answer["hint"]
    assert "--baseline" in answer["hint"]
    looked = row.site.run("doctor", "sovereign.yaml", "trust.yaml", "--delivery", "media2", expect=None)
    assert "omitted-missing" in {one["code"] for one in looked["probes"]}
    row.take("media1", "--restore")
    row.take("media2")
    assert row.audit("media2") == []


def test_a_damaged_blob_inside_is_not_blamed_on_the_medium(row: Row) -> None:
    [left] = month_two(row)
    row.take("media1")
    path = row.folder / BLOBS / left.removeprefix("sha256:")
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    assert refused(row, "media2", "--deep")["code"] == "omitted-missing"
    assert row.audit_deep("media1") == {"changed"}
    # What is only found in place is taken for whole, without --deep.
    assert row.site.run("want", "media2", *GAP, *KEY, "-o", "want.json")["blobs"] == []
    wanted = row.site.run("want", "media2", *GAP, *KEY, "-o", "want.json", "--deep", expect=3)
    assert left in [one["digest"] for one in wanted["blobs"]]
    row.take("media1", "--restore", "--deep")
    row.take("media2")
    assert row.audit("media1") == row.audit("media2") == []


class Months:
    """Five kinds, delivered month after month from one store."""

    def __init__(self, folder: Path) -> None:
        self.site, self.folder = Site(folder), folder
        manual = make_content(folder / "content")
        request = re.sub("sha256: [0-9a-f]{64}", f"sha256: {manual}", REQUEST.read_text())
        self.site.write("r.request.yaml", request)
        spec = "spec: {stateDir: state, directory: inside}\n"
        self.site.write("sovereign.yaml", f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\n{spec}")

    def lock(self) -> None:
        """What is upstream now."""
        update = ["--update"] if (self.folder / "r.lock.json").exists() else []
        self.site.run("lock", "r.request.yaml", *update)
        self.site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")

    def cut(self, media: str, *more: str, to: str = "bank") -> None:
        """Cuts it."""
        self.site.run(
            "bundle", "r.lock.json", "--store", "store", "--key", "exporter.key", "--to", media, *more, "--for", to
        )

    def take(self, media: str, *more: str, expect: int = 0) -> Any:
        """Imports it; the receipt is `MEDIA.receipt`."""
        return self.site.run("import", media, *GAP, *KEY, "--receipt", f"{media}.receipt", *more, expect=expect)


def test_five_kinds_after_a_loss_of_everything_but_the_state(tmp_path: Path) -> None:
    months = Months(tmp_path)
    months.lock()
    months.cut("media1")
    months.take("media1")
    (tmp_path / "content/model/more.md").write_text("more")
    months.lock()
    for media, since in (("media2", "media1.receipt"), ("media3", "media2.receipt")):
        months.cut(media, "--since", since, *CHECKED)
        months.take(media)
    (tmp_path / "inside").rename(tmp_path / "lost")
    answer = months.take("media3", expect=5)
    assert answer["code"] == "omitted-missing"
    assert "After a loss a delta alone" in answer["hint"]
    # With its baselines it is everything.
    done = months.take("media3", "--baseline", "media1", "--baseline", "media2")
    assert {one["outcome"] for one in done["changes"]} == {"written"}
    assert months.site.run("audit", *GAP, "--receipt", "media3.receipt")["outcome"] == "pass"
    assert months.site.run("verify", "media3", *CHECKED)["unread"] == ["demo.local/charts/hello:0.1.0"]
    # A delta alone says what it lacks, to whoever takes things out of it.
    extract = ("extract", "media3", "demo/tiny", "--to", "tiny", *CHECKED)
    said = months.site.run(*extract, expect=5)
    assert said["code"] == "omitted-missing"
    assert "--baseline" in said["hint"]
    months.site.run(*extract, "--baseline", "media1", "--baseline", "media2")
    assert (tmp_path / "tiny/more.md").read_text() == "more"
    months.site.run("extract", "media3", "manual", "--to", "x", *CHECKED, "--baseline", "store")


def test_a_delta_that_was_lost_does_not_cost_a_full_delivery(tmp_path: Path) -> None:
    months = Months(tmp_path)
    months.lock()
    months.cut("media1")
    months.take("media1")
    for number in (2, 3):
        (tmp_path / f"content/model/{number}.md").write_text(str(number))
        months.lock()
        months.cut(f"media{number}", "--since-delivery", f"media{number - 1}")
    assert months.take("media3", expect=4)["code"] == "baseline-missing"
    months.site.run("want", "media3", *GAP, *KEY, "-o", "want.json", expect=3)
    wanted = ("bundle", "--want", "want.json", "--store", "store", "--key", "exporter.key", "--for", "bank", *CHECKED)
    months.site.run(*wanted, "--to", "media4")
    made = json.loads((tmp_path / "media4/AIRGAP.json").read_bytes())["contents"]
    carried = sum(extent[2] for extents in made["blobs"].values() for extent in extents)
    assert carried < 20_000 < sum(size for size, *_ in made["omitted"].values())
    months.take("media4")
    assert months.site.run("audit", *GAP, "--receipt", "media4.receipt")["outcome"] == "pass"


def test_the_store_of_a_station_must_have_what_a_delta_omits(tmp_path: Path) -> None:
    months = Months(tmp_path)
    months.lock()
    months.site.write(
        "station.yaml", TRUST.replace("sovereign: bank", "sovereign: dmz").replace("{name: bank}", "{name: dmz}")
    )
    station = ("--store", "dmz", "--trust", "station.yaml")
    months.cut("leg1", to="dmz")
    months.cut("leg2", "--since-delivery", "leg1", to="dmz")
    months.site.run("import", "leg1", *station)
    gone = next(iter(json.loads((tmp_path / "leg2/AIRGAP.json").read_bytes())["contents"]["omitted"]))
    blob = tmp_path / "dmz/blobs/sha256" / gone.removeprefix("sha256:")
    blob.rename(tmp_path / "kept")
    accepted = (tmp_path / "dmz/airgap/accepted.json").read_bytes()
    for more in ((), ("--dry-run",)):
        said = months.site.run("import", "leg2", *station, *more, expect=5)
        assert said["code"] == "omitted-missing"
        assert gone in said["error"]
    assert (tmp_path / "dmz/airgap/accepted.json").read_bytes() == accepted
    months.site.run("import", "leg2", *station, "--baseline", "leg1")
    assert blob.read_bytes() == (tmp_path / "kept").read_bytes()


def test_what_is_no_baseline_is_refused(row: Row) -> None:
    month_two(row)
    row.take("media1")
    assert row.take("media1", "--baseline", "media2", expect=2)["code"] == "usage"
    assert row.take("media2", "--baseline", "made/blobs", expect=2)["code"] == "no-delivery"
    refusal = row.site.run("extract", "store", "x", "--to", "x", "--baseline", "media1", expect=2)
    assert refusal["code"] == "usage"
    # Nor does a delta say another size of what it leaves out than its manifests.
    index = Index.decode((row.folder / "media2/AIRGAP.json").read_bytes())
    short = {digest: replace(one, size=1) for digest, one in index.contents.omitted.items()}
    sign(replace(index, contents=replace(index.contents, omitted=short)), row.folder / "media2")
    assert row.site.run("verify", "media2", *CHECKED, expect=4)["code"] == "bad-index"
    assert row.take("media2", expect=4)["code"] == "bad-index"


def test_a_served_delta_says_what_it_lacks(row: Row) -> None:
    [left] = month_two(row)
    with ExitStack() as stack:
        served = start_serving(stack, row.folder, row.folder / "serve.log", "media2", *CHECKED)
        assert served.ask("GET", f"/v2/demo.local/app/blobs/{left}")[0] == 404
        assert "--baseline DIR" in (row.folder / "serve.log").read_text()


def test_a_delta_on_several_discs(row: Row) -> None:
    row.layout.tag("v1", row.layout.image({"base": BASE}, {"a": b"one"}))
    row.layout.tag("v2", row.layout.image({"base": BASE}, {"a": os.urandom(150_000)}))
    for number in (1, 2):
        row.lock_of(number, {f"demo.local/app:v{number}": f"v{number}"})
    row.cut_to(1, "media1")
    row.take("media1")
    media = row.folder / row.cut_to(2, "media2", "--since-delivery", "media1", "--volume-size", "64KiB")
    _, *others = sorted(path.name for path in media.glob("vol-*"))
    shutil.copytree(media, row.folder / "disc1", ignore=lambda _folder, _names: others)
    for number, name in enumerate(others, 2):
        (row.folder / f"disc{number}").mkdir()
        shutil.copy(media / name, row.folder / f"disc{number}")
    assert len(others) == 2
    for number, missing in enumerate((others, others[1:], []), 1):
        done = row.take(f"disc{number}", expect=5 if missing else 0)
        assert done["missingVolumes"] == missing
    assert row.audit("disc3") == []
