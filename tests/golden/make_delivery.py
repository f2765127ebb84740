"""Makes a golden delivery, once for each version of the format: `python -m tests.golden.make_delivery FOLDER`.

Needs git, git-lfs, and PYTHONPATH=.:scripts. The result is checked in and never made again: signatures and Git bundles
have other bytes each time. Keys, clock and ids are fixed; the keys are in `keys/` with their password, and sign
nothing but this.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sys
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

from airgap.base.progress import Silent
from airgap.bundling.bundle import Audience, BundleOrder, cut_delivery
from airgap.cli import main
from airgap.cli.context import Context
from airgap.content.lock import Lock
from airgap.statements.keys.file import load_private
from airgap.station.files import store_records
from airgap.station.signatory import Signatory
from airgap.store.layout import Layout as Store
from tests.parts.images import MANIFEST, Layout, zipped
from tests.worlds.git_sources import Work

NOW = datetime(2026, 11, 26, 10, tzinfo=UTC)
LIFE = timedelta(days=100 * 365)
"""A test that accepts it must not fail some morning: longer than `--expires-in` would let it travel."""
VOLUME = 64 << 10
ID = "01a2174c-3500-7000-8000-00000000001a"
PLACE = Path("/tmp/airgap-golden")
"""Where it is made: a receipt names the folder of an embedded Sovereign."""
KEYS = Path(__file__).with_name("keys")
REQUEST = """\
apiVersion: airgap.openova.io/v1alpha1
kind: Request
metadata: {name: golden}
spec:
  images:
  - {ref: "oci:content/image:v1", name: "docker.io/library/hello:1.0"}
  - {ref: "oci:content/image:v1", name: "docker.io/library/hello:1.0-arm64", platforms: [linux/arm64]}
  charts:
  - {ref: "oci:content/chart:0.1.0", name: "ghcr.io/openova-io/charts/hello:0.1.0"}
  git:
  - {url: content/hello, name: openova/hello, refs: ["refs/heads/*", "refs/tags/*"], lfs: true}
  models:
  - {directory: content/model, name: openova/tiny}
  files:
  - {file: content/manual.txt, name: manual, path: manuals/hello/manual.txt, sha256: "MANUAL"}
"""
TRUST = """\
apiVersion: airgap.openova.io/v1alpha1
kind: Trust
metadata: {name: golden}
spec:
  sovereign: golden
  keys:
  - name: exporter
    role: exporter
    publicKeyFile: ../keys/exporter.pub
    notBefore: 2026-01-01T00:00:00Z
    notAfter: 2126-01-01T00:00:00Z
  - name: officer
    role: security-officer
    publicKeyFile: ../keys/officer.pub
    notBefore: 2026-01-01T00:00:00Z
    notAfter: 2126-01-01T00:00:00Z
  - name: sovereign
    role: sovereign
    publicKeyFile: ../keys/sovereign.pub
    notBefore: 2026-01-01T00:00:00Z
    notAfter: 2126-01-01T00:00:00Z
  require: [pull, delivery, approval]
"""
SOVEREIGN = """\
apiVersion: airgap.openova.io/v1alpha1
kind: Sovereign
metadata: {name: golden}
spec: {stateDir: state, directory: inside}
"""


def airgap(*line: str) -> None:
    """A command, at the fixed time."""
    if code := main.main([*line, "--quiet"]):
        raise SystemExit(f"airgap {line}: exit {code}")


def make_content(folder: Path) -> str:
    """One of each kind in `folder`; returns the manual's sha256."""
    image = Layout(folder / "image")
    children = [
        image.image({"hello.txt": b"hello\n", "etc/platform": each.encode()}, platform=each)
        for each in ("linux/amd64", "linux/arm64")
    ]
    root = image.tag("v1", image.index(*children))
    image.signature_tag(root)
    image.artifact("application/spdx+json", ("application/spdx+json", b'{"spdxVersion":"SPDX-2.3"}'), subject=root)
    _chart(Layout(folder / "chart"))
    work = Work(folder / "hello")
    work.commit("README.md", "# hello\n")
    work.git("tag", "--annotate", "v1", "--message", "The first release")
    work.lfs("weights.bin", hashlib.shake_128(b"lfs").digest(3000))
    model = folder / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes(hashlib.shake_128(b"model").digest(VOLUME + 6_000))
    (model / "config.json").write_text('{"model_type": "tiny"}\n')
    (model / "README.md").write_text("---\nlicense: apache-2.0\n---\n# tiny\n")
    (folder / "manual.txt").write_text("How to say hello.\n")
    return hashlib.sha256((folder / "manual.txt").read_bytes()).hexdigest()


def _chart(layout: Layout) -> None:
    meta = {"apiVersion": "v2", "name": "hello", "version": "0.1.0", "description": "Says hello"}
    files = {
        "hello/Chart.yaml": "".join(f"{key}: {value}\n" for key, value in meta.items()),
        "hello/values.yaml": "who: world\n",
        "hello/templates/hello.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hello}\n",
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.document(meta, "application/vnd.cncf.helm.config.v1+json"),
        "layers": [layout.blob(zipped(buffer.getvalue()), "application/vnd.cncf.helm.chart.content.v1.tar+gzip")],
    }
    layout.tag("0.1.0", layout.document(manifest, MANIFEST))


def make_delivery() -> None:
    """Everything, in the current folder."""
    Path("golden.request.yaml").write_text(REQUEST.replace("MANUAL", make_content(Path("content"))))
    Path("sovereign.yaml").write_text(SOVEREIGN)
    lock, store = "golden.lock.json", Path("store")
    airgap("lock", "golden.request.yaml")
    airgap("pull", lock, "--store", "store", "--key", "keys/exporter.key")
    digest = Lock.decode(Path(lock).read_bytes(), lock).digest
    approve = ("--key", "keys/officer.key", "--log", "officer.jsonl")
    airgap("sign", lock, "--out", "approvals", *approve)
    [approval] = Path("approvals").iterdir()
    approval.rename(store / f"airgap/statements/approval-{digest.hex}.sigstore.json")
    records = store_records(store)
    signer = load_private(Path("keys/exporter.key"), Path("keys/password").read_bytes().strip())
    station = Signatory(signer, "exporter", records.log(), lambda: NOW)
    out = Path("golden/delivery")
    order = BundleOrder((Lock.decode(Path(lock).read_bytes(), lock),), (Audience("golden"),), out, "main", VOLUME, LIFE)
    cut_delivery(order, Store(store), records, station, Silent())
    airgap("sign", str(out), *approve)
    for name, text in (("trust.yaml", TRUST), (lock, Path(lock).read_text())):
        Path("golden", name).write_text(text)
    gap = ("--sovereign", "sovereign.yaml", "--trust", "golden/trust.yaml")
    airgap("import", str(out), *gap, "--key", "keys/sovereign.key", "--receipt", "golden/receipt.json")


def run(target: Path, make: Callable[[], None], *made_ids: str) -> None:
    """Makes `target`, which must not be there: what `make` leaves in the folder `golden`."""
    if target.exists():
        raise SystemExit(f"{target} is there: a golden delivery is never made again")
    target = target.absolute()
    os.environ["AIRGAP_KEY_PASSWORD_FILE"] = "keys/password"
    PLACE.mkdir()
    try:
        shutil.copytree(KEYS, PLACE / "keys")
        for secret in (PLACE / "keys").iterdir():
            secret.chmod(0o600)
        (PLACE / "golden").mkdir()
        os.chdir(PLACE)
        with (
            mock.patch.object(Context, "now", return_value=NOW),
            mock.patch("airgap.bundling.bundle.uuid7", side_effect=made_ids),
        ):
            make()
        shutil.copytree("golden", target)
    finally:
        shutil.rmtree(PLACE)


if __name__ == "__main__":
    run(Path(sys.argv[1]), make_delivery, ID)
