"""One drive, several discs: the same command for each, nothing visible before the last, no disc needed twice."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from airgap.cli.demo_content import make_content
from tests.e2e.test_five_kinds import REQUEST
from tests.e2e.test_import_registries import GAP, Site

pytestmark = pytest.mark.e2e
KEY = ("--key", "sovereign.key")
EMBEDDED = """\
apiVersion: airgap.openova.io/v1alpha1
kind: Sovereign
metadata: {name: bank}
spec:
  stateDir: state
  directory: inside
"""


class Discs:
    """A site with five kinds in a delivery whose volumes lie on a disc each; AIRGAP.json is on the first alone."""

    def __init__(self, site: Site, volume_size: str = "400KiB") -> None:
        self.site, self.folder = site, site.folder
        manual = make_content(self.folder / "content")
        request = re.sub("sha256: [0-9a-f]{64}", f"sha256: {manual}", REQUEST.read_text())
        site.write("r.request.yaml", request)
        site.write("sovereign.yaml", EMBEDDED)
        site.run("lock", "r.request.yaml")
        site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
        self.count = self.cut("media", volume_size)
        self.burn("media", "disc")

    def cut(self, to: str, volume_size: str) -> int:
        """Cuts a delivery; returns its number of volumes."""
        options = ("--store", "store", "--to", to, "--for", "bank", "--volume-size", volume_size)
        made = self.site.run("bundle", "r.lock.json", *options, "--key", "exporter.key")
        return len(made["volumes"])

    def burn(self, media: str, name: str) -> None:
        """Puts each volume on a disc of its own."""
        for number, volume in enumerate(sorted((self.folder / media).glob("vol-*")), 1):
            disc = self.folder / f"{name}{number}"
            if number == 1:
                shutil.copytree(self.folder / media, disc, ignore=shutil.ignore_patterns("vol-*"))
            else:
                disc.mkdir()
            shutil.copy(volume, disc / volume.name)

    def insert(self, *numbers: int, expect: int) -> Any:
        """Imports with these discs in the drives, and no other to be had."""
        away = self.folder / "away"
        away.mkdir(exist_ok=True)
        for number in set(range(1, self.count + 1)) - set(numbers):
            (self.folder / f"disc{number}").rename(away / f"disc{number}")
        names = [f"disc{number}" for number in numbers]
        try:
            return self.site.run("import", *names, *GAP, *KEY, "--receipt", "receipt.json", expect=expect)
        finally:
            for disc in list(away.iterdir()):
                disc.rename(self.folder / disc.name)

    def visible(self) -> list[str]:
        """Names that somebody inside could see."""
        inside = self.folder / "inside"
        found = [item["name"] for item in self.site.run("ls", "inside/oci")["items"]]
        objects = [path for path in (inside / "objects").rglob("*") if path.is_file()]
        found += [str(path) for path in objects if path.suffix == ".txt" or path.name == "main"]
        return found + [str(path) for path in (inside / "git").rglob("refs/heads/*")]


@pytest.fixture
def discs(tmp_path: Path) -> Discs:
    return Discs(Site(tmp_path))


def _finished(discs: Discs) -> None:
    discs.site.run("audit", *GAP, "--receipt", "receipt.json")
    discs.site.run("audit", *GAP[:2], "--lock", "r.lock.json", "--deep")
    assert not list((discs.folder / "state/unfinished").iterdir())


@pytest.mark.parametrize("order", ["forward", "backward"])
def test_each_disc_is_inserted_once_and_names_come_with_the_last(discs: Discs, order: str) -> None:
    later = list(range(2, discs.count + 1))
    assert len(later) >= 4
    done: Any = {}
    left = {f"vol-{number:04d}-of-{discs.count:04d}.tar" for number in later}
    for number in [1, *(later if order == "forward" else reversed(later))]:
        left.discard(f"vol-{number:04d}-of-{discs.count:04d}.tar")
        done = discs.insert(number, expect=5 if left else 0)
        if left:
            assert set(done["missingVolumes"]) <= left
            assert not done["errors"]
            assert not discs.visible()
    # A model's files were brought by the run that had their disc.
    assert {change["outcome"] for change in done["changes"]} <= {"written", "present"}
    _finished(discs)


def test_the_wrong_disc_is_named_and_nothing_is_lost(discs: Discs) -> None:
    discs.insert(1, expect=5)
    (discs.folder / "empty").mkdir()
    wrong = discs.site.run("import", "empty", *GAP, *KEY, expect=2)
    assert wrong["code"] == "no-delivery"
    assert "under way" in wrong["error"]
    discs.insert(*range(2, discs.count + 1), expect=0)
    _finished(discs)


def test_a_disc_that_fits_two_deliveries_is_not_guessed(discs: Discs) -> None:
    discs.cut("again", "400KiB")  # the same volumes, as the next delivery of the stream
    discs.burn("again", "other")
    discs.insert(1, expect=5)
    discs.site.run("import", "other1", *GAP, *KEY, expect=5)
    assert discs.site.run("import", "disc2", *GAP, *KEY, expect=2)["code"] == "which-delivery"
    rest = [f"disc{number}" for number in range(2, discs.count + 1)]
    discs.site.run("import", "other1", *rest, *GAP, *KEY, "--receipt", "receipt.json")
    discs.site.run("audit", *GAP, "--receipt", "receipt.json")


def test_a_damaged_part_of_a_split_blob_is_found_and_its_disc_can_come_again(discs: Discs) -> None:
    index = json.loads((discs.folder / "media/AIRGAP.json").read_bytes())
    split = next(e for e in index["contents"]["blobs"].values() if len(e) > 1 and e[0][0] > 1)
    volume, offset, length = split[0]
    last = split[-1][0]
    path = next((discs.folder / f"disc{volume}").glob("vol-*"))
    good = path.read_bytes()
    at = offset + length // 2
    path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
    for number in range(1, last):
        discs.insert(number, expect=5)
    failed = discs.insert(last, expect=4)
    assert [error["code"] for error in failed["errors"]] == ["digest-mismatch"]
    path.write_bytes(good)
    discs.insert(volume, expect=5)
    for number in range(volume + 1, discs.count):
        discs.insert(number, expect=5)
    discs.insert(discs.count, expect=0)
    _finished(discs)


def test_a_dry_run_with_one_disc_keeps_nothing(discs: Discs) -> None:
    planned = discs.site.run("import", "disc1", *GAP, "--dry-run")
    assert len(planned["missingVolumes"]) == discs.count - 1
    assert not (discs.folder / "state").exists()


@pytest.mark.part("distribution3", "minio", "gitea")
def test_two_registries_gitea_and_s3_are_filled_disc_by_disc(
    discs: Discs, start_registry: Any, minio: Any, gitea: Any
) -> None:
    registries = [start_registry(), start_registry(version=2)]
    models, files = minio.new_bucket("models"), minio.new_bucket("files")
    secrets = {
        "gitea-token": gitea.token(["write:organization", "write:repository"]),
        "s3-access": minio.access_key,
        "s3-secret": minio.secret_key,
    }
    for name, secret in secrets.items():
        discs.site.write(name, secret)
        (discs.folder / name).chmod(0o600)
    lines = "".join(f"  - {{url: '{one.url}', projects: {{demo.local: catalog}}}}\n" for one in registries)
    discs.site.write(
        "sovereign.yaml",
        EMBEDDED.replace("  directory: inside\n", f"  registries:\n{lines}")
        + f"  git:\n    url: '{gitea.url}'\n    organizations: {{demo: {gitea.new_org()}}}\n"
        "    credentials: {tokenFile: gitea-token}\n"
        f"  s3:\n    endpoint: '{minio.endpoint}'\n    buckets: {{models: {models}, files: {files}}}\n"
        "    credentials: {accessKeyFile: s3-access, secretKeyFile: s3-secret}\n",
    )
    for number in range(1, discs.count):
        discs.insert(number, expect=5)
    assert not minio.client().list_objects_v2(Bucket=files).get("Contents")
    discs.insert(discs.count, expect=0)
    discs.site.run("audit", *GAP, "--receipt", "receipt.json")
