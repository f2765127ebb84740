"""A delivery of one thing of each kind, some of phase seed, as people take them out of it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import shutil
import tarfile
from pathlib import Path

from tests.parts.images import Layout, make_image
from tests.worlds.git_sources import Work
from tests.worlds.site import HEAD, Site

PLATFORMS = ("linux/amd64", "linux/arm64")
APP = "registry.local/team/app:1.0"
PAUSE = "registry.local/team/pause:3.9"
CHART = "registry.local/charts/hello:0.1.0_build5"
CHART_FILE = "hello-0.1.0+build5.tgz"
MODEL = "acme/tiny"
CHART_YAML = b"apiVersion: v2\nname: hello\nversion: 0.1.0+build5\n"
WEIGHTS = b"weights" * 1000
LARGE = b"large file in LFS\n" * 500
NOISE = random.Random(1).randbytes(100_000)
"""Bytes that do not shrink, so that an image fills a volume."""
PROGRAM = b"#!/bin/sh\necho k3s\n"


def packed_chart(**more: bytes) -> bytes:
    """The .tgz of a chart, as `helm package` makes it; `more` are files besides."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        files = {"Chart.yaml": CHART_YAML, "templates/x.yaml": b"kind: ConfigMap\n", **more}
        for name, data in files.items():
            info = tarfile.TarInfo(f"hello/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), mtime=0)


def put_chart(folder: Path, **more: bytes) -> bytes:
    """A layout with the chart and its provenance; returns the .tgz."""
    layout, packed = Layout(folder), packed_chart(**more)
    helm = "application/vnd.cncf.helm"
    config = {"apiVersion": "v2", "name": "hello", "version": "0.1.0+build5"}
    manifest = {
        "schemaVersion": 2,
        "config": layout.document(config, f"{helm}.config.v1+json"),
        "layers": [
            layout.blob(packed, f"{helm}.chart.content.v1.tar+gzip"),
            layout.blob(b"signed\n", f"{helm}.chart.provenance.v1.prov"),
        ],
    }
    layout.tag("c", layout.document(manifest, "application/vnd.oci.image.manifest.v1+json"))
    return packed


def deliver_things(folder: Path) -> Site:
    """A site with `media`, the delivery; `store`; and `r.lock.json`."""
    site = Site(folder)
    make_image(folder / "app", layers=[{"hello.txt": b"hello\n", "noise": NOISE}], platforms=PLATFORMS)
    layout = Layout(folder / "app")
    root = layout.entries()[0]
    signature = layout.artifact("application/vnd.example.signature", ("text/plain", b"ok"), subject=root)
    layout.artifact("application/vnd.example.sbom", ("text/plain", b"{}"), subject=root)
    layout.signature_tag(root)
    assert signature
    make_image(folder / "pause", layers=[{"pause": b"zzz"}])
    put_chart(folder / "chart")
    work = Work(folder / "work")
    work.commit("README.md", "hello\n")
    work.lfs("large.bin", LARGE)
    work.git("tag", "v1")
    (folder / "model/inner").mkdir(parents=True)
    (folder / "model/tiny.safetensors").write_bytes(WEIGHTS)
    (folder / "model/inner/config.json").write_bytes(b"{}")
    (folder / "k3s").write_bytes(PROGRAM)
    site.write(
        "r.request.yaml",
        f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  images:\n"
        f"  - {{ref: 'oci:app:v1', name: '{APP}', phase: seed}}\n"
        f"  - {{ref: 'oci:pause:v1', name: '{PAUSE}', phase: seed}}\n"
        f"  charts:\n  - {{ref: 'oci:chart:c', name: '{CHART}', phase: seed}}\n"
        "  git:\n  - {url: work, name: demo/work, refs: ['refs/heads/*', 'refs/tags/*'], lfs: true}\n"
        f"  models:\n  - {{directory: model, name: {MODEL}}}\n"
        f"  files:\n  - {{file: k3s, path: bin/k3s, phase: seed, sha256: {hashlib.sha256(PROGRAM).hexdigest()}}}\n"
        f"  - {{file: k3s, path: bin/later, sha256: {hashlib.sha256(PROGRAM).hexdigest()}}}\n",
    )
    site.run("lock", "r.request.yaml")
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    site.run("bundle", "r.lock.json", "--store", "store", "--to", "media", "--for", "bank", "--key", "exporter.key")
    return site


def burn_things(site: Site) -> list[str]:
    """The same content in small volumes, each in a folder of its own; AIRGAP.json is in the first."""
    to = ("--to", "small", "--for", "bank", "--key", "exporter.key", "--volume-size", "128KiB")
    site.run("bundle", "r.lock.json", "--store", "store", *to)
    discs = []
    for number, volume in enumerate(sorted((site.folder / "small").glob("vol-*")), 1):
        disc = site.folder / f"disc{number}"
        if number == 1:
            shutil.copytree(site.folder / "small", disc, ignore=shutil.ignore_patterns("vol-*"))
        disc.mkdir(exist_ok=True)
        volume.rename(disc / volume.name)
        discs.append(disc.name)
    return discs


def root_of(site: Site, name: str) -> str:
    """The digest of an item's root, by the lock."""
    items = json.loads((site.folder / "r.lock.json").read_text())["items"]
    return str(next(item["root"]["digest"] for item in items if item["name"] == name))
