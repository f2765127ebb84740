"""One drive, several discs: the same command for each, nothing visible before the last, no disc needed twice."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.cli.demo_content import make_content
from airgap.statements.dsse import sign_payload
from airgap.statements.keys.file import load_private
from airgap.statements.predicates import Delivery
from airgap.statements.statement import Statement
from tests.worlds.site import GAP, REQUEST, Site

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

    def __init__(self, site: Site, volume_size: str = "400KiB", more_files: str = "") -> None:
        self.site, self.folder = site, site.folder
        manual = make_content(self.folder / "content")
        request = re.sub("sha256: [0-9a-f]{64}", f"sha256: {manual}", REQUEST.read_text())
        site.write("r.request.yaml", request + more_files)
        site.write("sovereign.yaml", EMBEDDED)
        site.run("lock", "r.request.yaml")
        site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
        self.count = self.cut("media", volume_size)
        self.burn("media", "disc")

    def cut(self, to: str, volume_size: str, *more: str) -> int:
        """Cuts a delivery; returns its number of volumes."""
        options = ("--store", "store", "--to", to, "--for", "bank", "--volume-size", volume_size, *more)
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
    assert "unfinished import" in wrong["error"]
    discs.insert(*range(2, discs.count + 1), expect=0)
    _finished(discs)


def test_a_disc_that_fits_two_deliveries_is_not_guessed(discs: Discs) -> None:
    discs.site.write("sovereign.yaml", f"{EMBEDDED}  streams: [main, other]\n")
    discs.cut("again", "400KiB", "--stream", "other")  # the same volumes, as a delivery of its own
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


def test_a_file_larger_than_a_volume_does_not_push_what_a_plan_reads_to_a_later_disc(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"a large file\n" * 120_000)
    digest = hashlib.sha256((tmp_path / "big").read_bytes()).hexdigest()
    more = f"  - {{file: big, name: big, path: big, sha256: {digest}}}\n"
    discs = Discs(Site(tmp_path), "700KiB", more)
    for number in range(1, discs.count):
        discs.insert(number, expect=5)
    discs.insert(discs.count, expect=0)
    _finished(discs)


@pytest.mark.part("distribution3", "minio")
def test_what_is_kept_of_discs_stays_until_names_are_written(
    discs: Discs, start_registry: Any, fault_proxy: Any, minio: Any
) -> None:
    proxy = fault_proxy(start_registry().url)
    _services(discs, [proxy], f"{discs.folder}/git", "demo", minio)
    for number in range(1, discs.count):
        discs.insert(number, expect=5)
    proxy.fault("PUT", "/manifests/1.0", status=403)
    failed = discs.insert(discs.count, expect=5)
    assert "failed" in {change["outcome"] for change in failed["changes"]}
    proxy.clear()
    discs.insert(discs.count, expect=0)
    _finished(discs)


def test_an_import_that_a_later_delivery_overtook_is_let_go(discs: Discs) -> None:
    discs.insert(1, expect=5)
    discs.cut("next", "400KiB")
    discs.site.run("import", "next", *GAP, *KEY, "--receipt", "receipt.json")
    _finished(discs)
    assert discs.site.run("import", "disc2", *GAP, *KEY, expect=2)["code"] == "no-delivery"


def test_what_is_no_accepted_delivery_in_the_state_folder_counts_for_nothing(discs: Discs) -> None:
    discs.insert(1, expect=5)
    for name in ("0" * 64, "deadbeef"):
        junk = discs.folder / "state/unfinished" / name
        junk.mkdir()
        (junk / "AIRGAP.json").write_text("not JSON at all")
    discs.insert(*range(2, discs.count + 1), expect=0)
    discs.site.run("audit", *GAP, "--receipt", "receipt.json")


def test_a_part_that_was_cut_in_the_state_folder_is_asked_for_again(discs: Discs) -> None:
    for number in range(1, discs.count):
        discs.insert(number, expect=5)
    parts = list((discs.folder / "state/unfinished").glob("*/extents/*"))
    for part in parts:
        part.write_bytes(b"")
    done = discs.insert(1, expect=5)
    assert done["missingVolumes"]
    for number in range(2, discs.count):
        discs.insert(number, expect=5)
    discs.insert(discs.count, expect=0)
    _finished(discs)


def test_content_that_no_volume_has_is_an_error_and_not_a_disc_to_wait_for(discs: Discs) -> None:
    index = json.loads((discs.folder / "media/AIRGAP.json").read_bytes())
    last = list(index["contents"]["blobs"])[-1]
    text = (discs.folder / "media/AIRGAP.json").read_text()
    lines = [line for line in text.split("\n") if f'"{last}"' not in line]
    at = next(n for n, line in enumerate(lines) if '"blobs"' in line)
    end = next(n for n in range(at, len(lines)) if lines[n].strip() == "}")
    lines[end - 1] = lines[end - 1].rstrip(",")
    forged = "\n".join(lines).encode()
    (discs.folder / "media/AIRGAP.json").write_bytes(forged)
    signer = load_private(discs.folder / "exporter.key", b"for tests")
    now = datetime.now(UTC)
    statement = Statement.of(Digest.of(forged), Delivery(), signed_at=now, log_head=Digest.of(b""), role="exporter")
    bundle = sign_payload(statement.payload, signer)
    (discs.folder / "media/signatures/exporter.sigstore.json").write_bytes(bundle)
    refused = discs.site.run("import", "media", *GAP, *KEY, expect=4)
    assert refused["code"] == "not-in-delivery"
    assert not (discs.folder / "inside").exists() or not discs.visible()


def test_a_dry_run_with_one_disc_keeps_nothing(discs: Discs) -> None:
    planned = discs.site.run("import", "disc1", *GAP, "--dry-run")
    assert len(planned["missingVolumes"]) == discs.count - 1
    assert not (discs.folder / "state").exists()


def _services(discs: Discs, registries: list[Any], git: str, organization: str, minio: Any) -> str:
    """A Sovereign of services; returns its bucket for files. `gitea-token` is there for a Git server."""
    models, files = minio.new_bucket("models"), minio.new_bucket("files")
    for name, secret in {"s3-access": minio.access_key, "s3-secret": minio.secret_key}.items():
        discs.site.write(name, secret)
        (discs.folder / name).chmod(0o600)
    lines = "".join(f"  - {{url: '{one.url}', projects: {{demo.local: catalog}}}}\n" for one in registries)
    credentials = "    credentials: {tokenFile: gitea-token}\n" if "://" in git else ""
    discs.site.write(
        "sovereign.yaml",
        EMBEDDED.replace("  directory: inside\n", f"  registries:\n{lines}")
        + f"  git:\n    url: '{git}'\n    organizations: {{demo: {organization}}}\n{credentials}"
        f"  s3:\n    endpoint: '{minio.endpoint}'\n    buckets: {{models: {models}, files: {files}}}\n"
        "    credentials: {accessKeyFile: s3-access, secretKeyFile: s3-secret}\n",
    )
    return str(files)


@pytest.mark.part("distribution3", "minio", "gitea")
def test_two_registries_gitea_and_s3_are_filled_disc_by_disc(
    discs: Discs, start_registry: Any, minio: Any, gitea: Any
) -> None:
    discs.site.write("gitea-token", gitea.token(["write:organization", "write:repository"]))
    (discs.folder / "gitea-token").chmod(0o600)
    registries = [start_registry(), start_registry(version=2)]
    files = _services(discs, registries, gitea.url, gitea.new_org(), minio)
    for number in range(1, discs.count):
        discs.insert(number, expect=5)
    assert not minio.client().list_objects_v2(Bucket=files).get("Contents")
    discs.insert(discs.count, expect=0)
    discs.site.run("audit", *GAP, "--receipt", "receipt.json")
