"""Content for `airgap demo`: real formats, made from files on this machine. Nothing is fetched."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import subprocess
import tarfile
from datetime import datetime
from pathlib import Path

from airgap.base.canonical import canonical
from airgap.content.graph import OCI_CONFIG, OCI_MANIFEST, Descriptor
from airgap.kinds.chart import CHART, CONFIG
from airgap.signatures.write import EMPTY, referrer, sign_bundle, signature
from airgap.statements.keys.file import Signer
from airgap.store.layout import Layout

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
FILES = (
    "/usr/bin/env",
    "/bin/ls",
    "/etc/os-release",
    "/etc/services",
    "/usr/bin/openssl",
    "/bin/bash",
)
"""Files for the image, if they exist: programs and configuration of this machine."""
PARAMETERS = 300_000
"""Parameters of the model: 1.2 MB of 32-bit floats, more than one volume of the demo."""


def make_content(folder: Path) -> str:
    """Makes an item of each of the five kinds in `folder`; returns the sha256 of the file item, the manual."""
    folder.mkdir(parents=True)
    _image(folder / "image")
    _chart(folder / "chart")
    _repository(folder / "hello.git", folder / "work")
    _model(folder / "model")
    manual = b"".join(path.read_bytes() for path in map(Path, ("/etc/os-release", "/etc/services")) if path.exists())
    (folder / "manual.txt").write_bytes(manual or b"a manual\n")
    return hashlib.sha256((folder / "manual.txt").read_bytes()).hexdigest()


def sign_content(folder: Path, signer: Signer, created: datetime) -> None:
    """Signs the image and the chart as cosign would, which their publisher does before anything is carried."""
    for place in ("image", "chart"):
        layout = Layout(folder / place)
        for _, root in layout.roots():
            subject = Descriptor(root.media_type, root.digest, root.size)
            claim = signature(root.digest)
            made = referrer(subject, claim, sign_bundle(claim, signer), created)
            for descriptor, data in (EMPTY, *made.blobs, (made.manifest, made.data)):
                _put(layout, descriptor.media_type, data)


def _put(layout: Layout, media_type: str, data: bytes) -> Descriptor:
    descriptor = Descriptor.of(media_type, data)
    layout.put(descriptor, lambda offset: io.BytesIO(data[offset:]))
    return descriptor


def _manifest(layout: Layout, config: Descriptor, layers: list[Descriptor], name: str) -> None:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.as_dict(),
        "layers": [layer.as_dict() for layer in layers],
    }
    layout.publish({name: _put(layout, OCI_MANIFEST, canonical(document))})


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _image(folder: Path) -> None:
    layout = Layout(folder, create=True)
    layers, diffs = [], []
    for path in map(Path, FILES):
        if path.is_file():
            plain = _tar({str(path).lstrip("/"): path.read_bytes()})
            diffs.append("sha256:" + hashlib.sha256(plain).hexdigest())
            layers.append(_put(layout, LAYER, gzip.compress(plain, 6, mtime=0)))
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/bin/ls"]},
        "rootfs": {"type": "layers", "diff_ids": diffs},
    }
    _manifest(layout, _put(layout, OCI_CONFIG, canonical(config)), layers, "demo.local/tools/hello:1.0")


def _chart(folder: Path) -> None:
    layout = Layout(folder, create=True)
    meta = {
        "apiVersion": "v2",
        "name": "hello",
        "version": "0.1.0",
        "description": "Says hello",
        "type": "application",
    }
    yaml = "".join(f"{key}: {value}\n" for key, value in meta.items())
    template = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  hello: {{ .Values.who }}\n"
    )
    packed = gzip.compress(
        _tar(
            {
                "hello/Chart.yaml": yaml.encode(),
                "hello/values.yaml": b"who: world\n",
                "hello/templates/hello.yaml": template.encode(),
            }
        ),
        mtime=0,
    )
    config = _put(layout, CONFIG, json.dumps(meta, separators=(",", ":")).encode())
    _manifest(layout, config, [_put(layout, CHART, packed)], "demo.local/charts/hello:0.1.0")


def _repository(bare: Path, work: Path) -> None:
    environ = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(work.parent),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "demo",
        "GIT_AUTHOR_EMAIL": "demo@example.org",
        "GIT_COMMITTER_NAME": "demo",
        "GIT_COMMITTER_EMAIL": "demo@example.org",
        # The same history in every run, so that two runs give the same lock.
        "GIT_AUTHOR_DATE": "2026-11-01T00:00:00Z",
        "GIT_COMMITTER_DATE": "2026-11-01T00:00:00Z",
    }

    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(work), *arguments], check=True, env=environ, capture_output=True)

    work.mkdir()
    git("init", "--quiet", "--initial-branch=main")
    for number in range(1, 6):
        (work / "README.md").write_text(f"# hello\n\nstep {number}\n")
        git("add", "README.md")
        git("commit", "--quiet", "-m", f"Step {number}")
    git("tag", "-a", "v1", "-m", "The first release")
    git("branch", "next")
    git("clone", "--quiet", "--bare", ".", str(bare))


def _model(folder: Path) -> None:
    folder.mkdir()
    weights = struct.pack(f"<{PARAMETERS}f", *((n % 251) / 251 for n in range(PARAMETERS)))
    header = json.dumps({"w": {"dtype": "F32", "shape": [PARAMETERS], "data_offsets": [0, len(weights)]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + weights)
    (folder / "config.json").write_text('{"model_type": "tiny", "hidden_size": 1}\n')
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# tiny\n")
