"""Runs the shapes and prints a Markdown table for each."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from airgap.canonical import canonical
from airgap.graph import OCI_CONFIG, OCI_MANIFEST, Descriptor
from airgap.store.layout import Layout
from benchlib.yardstick import copy_loop, push_loop
from tests.parts.registry import Registry, start_registry

LAYER = "application/vnd.oci.image.layer.v1.tar"
TRUST = """\
apiVersion: airgap.openova.io/v1alpha1
kind: Trust
metadata: {name: bench}
spec:
  sovereign: bench
  keys:
  - {name: k, role: exporter, publicKeyFile: k.pub, notBefore: 2026-01-01T00:00:00Z, notAfter: 2099-01-01T00:00:00Z}
  - {name: s, role: sovereign, publicKeyFile: s.pub, notBefore: 2026-01-01T00:00:00Z, notAfter: 2099-01-01T00:00:00Z}
  require: [delivery]
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """`layers` distinct layers of `size` bytes in `images` images; with `shared`, half of each image's are shared."""

    layers: int
    size: int
    images: int
    shared: bool = False


SHAPES = {
    "S1": Shape(64, 16 << 20, 8, shared=True),
    "S2": Shape(4, 512 << 20, 2),
    "S3": Shape(1200, 8 << 10, 60),
}
"""Design, "Numbers to hold"."""


@dataclass(slots=True)
class Row:
    """One measured command: seconds, CPU seconds, peak memory in MiB."""

    what: str
    seconds: float
    cpu: float = 0.0
    memory: float = 0.0


def measure(what: str, work: Callable[[], None]) -> Row:
    """Times `work` in this process, after the disk is quiet."""
    os.sync()
    begin, cpu = time.perf_counter(), time.process_time()
    work()
    return Row(what, time.perf_counter() - begin, time.process_time() - cpu)


def command(what: str, *lines: list[str], cwd: Path, env: dict[str, str] | None = None) -> Row:
    """Times commands, one after the other; memory is the largest of them."""
    os.sync()
    row = Row(what, 0.0)
    for line in lines:
        begin = time.perf_counter()
        process = subprocess.Popen(
            line,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        errors = process.stderr.read() if process.stderr else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        row.seconds += time.perf_counter() - begin
        row.cpu += usage.ru_utime + usage.ru_stime
        row.memory = max(row.memory, usage.ru_maxrss / 1024)
        if process.returncode:
            raise SystemExit(
                f"{' '.join(line)}: exit {process.returncode}\n{errors.decode()[-2000:]}"
            )
    return row


def make(shape: Shape, folder: Path) -> tuple[list[str], list[Path]]:
    """The images of a shape as an OCI layout with random layers; returns names and the layers' files."""
    layout = Layout(folder, create=True)
    descriptors = []
    for _ in range(shape.layers):
        data = os.urandom(shape.size)
        descriptors.append(_put(layout, LAYER, data))
    each = shape.layers // shape.images
    common = descriptors[: each // 2] if shape.shared else []
    names = []
    for number in range(shape.images):
        own = descriptors[number * each : (number + 1) * each]
        layers = [*common, *(layer for layer in own if layer not in common)]
        config = canonical(
            {
                "architecture": "amd64",
                "os": "linux",
                "n": number,
                "rootfs": {"type": "layers", "diff_ids": [str(one.digest) for one in layers]},
            }
        )
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": _put(layout, OCI_CONFIG, config).as_dict(),
            "layers": [one.as_dict() for one in layers],
        }
        names.append(f"app{number}:v1")
        layout.publish({names[-1]: _put(layout, OCI_MANIFEST, canonical(manifest))})
    return names, [layout.blob_path(one.digest) for one in descriptors]


def _put(layout: Layout, media_type: str, data: bytes) -> Descriptor:
    import io

    descriptor = Descriptor.of(media_type, data)
    layout.put(descriptor, lambda offset: io.BytesIO(data[offset:]))
    return descriptor


def airgap(*arguments: str) -> list[str]:
    """The real command line."""
    return [sys.executable, "-m", "airgap.cli.main", *arguments, "--quiet"]


def setup(folder: Path, source: Registry, inside: Registry, names: list[str]) -> None:
    """Keys, trust, request and Sovereign of a run."""
    head = "apiVersion: airgap.openova.io/v1alpha1\n"
    (folder / "pw").write_text("bench\n")
    (folder / "pw").chmod(0o600)
    (folder / "trust.yaml").write_text(TRUST)
    refs = "".join(f"  - {{ref: '{source.host}/{name}'}}\n" for name in names)
    (folder / "r.request.yaml").write_text(
        f"{head}kind: Request\nmetadata: {{name: r}}\nspec:\n  images:\n{refs}"
    )
    hosts = f"spec:\n  hosts:\n    '{source.host}': {{plainHTTP: true}}\n"
    (folder / "u.yaml").write_text(f"{head}kind: Upstreams\nmetadata: {{name: u}}\n{hosts}")
    registries = f"  registries:\n  - {{url: '{inside.url}', projects: {{'{source.host}': in}}}}\n"
    (folder / "sov.yaml").write_text(
        f"{head}kind: Sovereign\nmetadata: {{name: bench}}\nspec:\n  stateDir: state\n{registries}"
    )


def run_shape(
    shape: Shape, folder: Path, registry: Callable[[], Registry]
) -> list[tuple[Row, Row]]:
    """All measurements of a shape, each with its yardstick."""
    env = {"AIRGAP_KEY_PASSWORD_FILE": "pw"}
    names, blobs = make(shape, folder / "made")
    source, inside, bare = registry(), registry(), registry()
    setup(folder, source, inside, names)
    for key in ("k", "s"):
        command("keys", airgap("keys", "generate", key), cwd=folder, env=env)
    for name in names:
        command(
            "seed",
            [
                "skopeo",
                "copy",
                "--dest-tls-verify=false",
                f"oci:made:{name}",
                f"docker://{source.host}/{name}",
            ],
            cwd=folder,
        )
    command("lock", airgap("lock", "r.request.yaml", "--upstreams", "u.yaml"), cwd=folder)
    loop = measure("bare loop: read, hash, write, sync", lambda: copy_loop(blobs, folder / "loop"))
    shutil.rmtree(folder / "loop")
    rows = [(loop, loop)]

    def add(row: Row, yardstick: Row) -> None:
        rows.append((row, yardstick))
        print(f"  {row.what}: {row.seconds / yardstick.seconds:.2f}", file=sys.stderr)

    pull = command(
        "airgap pull",
        airgap("pull", "r.lock.json", "--store", "store", "--upstreams", "u.yaml"),
        cwd=folder,
    )
    add(pull, loop)
    line = airgap(
        "bundle",
        "r.lock.json",
        "--store",
        "store",
        "--to",
        "media",
        "--for",
        "bench",
        "--key",
        "k.key",
    )
    bundle = command("airgap bundle", line, cwd=folder, env=env)
    add(bundle, loop)
    both = Row(
        "airgap pull and bundle",
        pull.seconds + bundle.seconds,
        pull.cpu + bundle.cpu,
        max(pull.memory, bundle.memory),
    )
    add(both, loop)
    pushed = measure("bare push loop", lambda: push_loop(blobs, bare.host, "bare/all"))
    add(pushed, pushed)
    into = airgap(
        "import", "media", "--sovereign", "sov.yaml", "--trust", "trust.yaml", "--key", "s.key"
    )
    imported = command("airgap import", into, cwd=folder, env=env)
    add(imported, pushed)
    add(command("airgap import again", into, cwd=folder, env=env), pushed)
    whole = Row(
        "airgap, the whole way",
        both.seconds + imported.seconds,
        both.cpu + imported.cpu,
        max(both.memory, imported.memory),
    )
    total = Row("", loop.seconds + pushed.seconds)
    add(whole, total)
    for tool, out, back in peers(names, source, registry):
        if shutil.which(tool) is None:
            continue
        one = command(f"{tool} pull", *out, cwd=folder)
        two = command(f"{tool} push", *back, cwd=folder)
        add(one, loop)
        add(two, pushed)
        add(
            Row(
                f"{tool}, the whole way",
                one.seconds + two.seconds,
                one.cpu + two.cpu,
                max(one.memory, two.memory),
            ),
            total,
        )
        shutil.rmtree(folder / f"{tool}-out", ignore_errors=True)
    return rows


def peers(
    names: list[str], source: Registry, registry: Callable[[], Registry]
) -> list[tuple[str, list[list[str]], list[list[str]]]]:
    """Each peer's commands from the registry to a folder, and from there to an empty registry."""
    made = []
    host = registry().host
    made.append(
        (
            "skopeo",
            [
                [
                    "skopeo",
                    "copy",
                    "--src-tls-verify=false",
                    f"docker://{source.host}/{n}",
                    f"oci:skopeo-out:{n}",
                ]
                for n in names
            ],
            [
                [
                    "skopeo",
                    "copy",
                    "--dest-tls-verify=false",
                    f"oci:skopeo-out:{n}",
                    f"docker://{host}/{n}",
                ]
                for n in names
            ],
        )
    )
    host = registry().host
    refs = [f"{source.host}/{n}" for n in names]
    made.append(
        (
            "crane",
            [
                [
                    "crane",
                    "pull",
                    "--insecure",
                    "--format=oci",
                    ref,
                    f"crane-out/{n.partition(':')[0]}",
                ]
                for n, ref in zip(names, refs, strict=True)
            ],
            [
                ["crane", "push", "--insecure", f"crane-out/{n.partition(':')[0]}", f"{host}/{n}"]
                for n in names
            ],
        )
    )
    host = registry().host
    made.append(
        (
            "oras",
            [
                [
                    "oras",
                    "copy",
                    "--from-plain-http",
                    ref,
                    "--to-oci-layout",
                    f"oras-out:{n.replace(':', '-')}",
                ]
                for n, ref in zip(names, refs, strict=True)
            ],
            [
                [
                    "oras",
                    "copy",
                    "--from-oci-layout",
                    f"oras-out:{n.replace(':', '-')}",
                    "--to-plain-http",
                    f"{host}/{n}",
                ]
                for n in names
            ],
        )
    )
    return made


def _maker(stack: ExitStack, folder: Path) -> Callable[[], Registry]:
    """Starts empty registries that end with the run."""
    started: list[Registry] = []

    def start() -> Registry:
        place = folder / f"registry{len(started)}"
        place.mkdir()
        made = start_registry(place, version=3)
        stack.callback(made.stop)
        started.append(made)
        return made

    return start


def main() -> None:
    """`scripts/bench [--small] SHAPE…`."""
    parser = argparse.ArgumentParser(description="ratios of airgap and its peers to a bare loop")
    parser.add_argument(
        "shapes", nargs="*", default=["S1", "S3"], choices=list(SHAPES), metavar="SHAPE"
    )
    parser.add_argument("--small", action="store_true", help="a sixteenth of the layers' size")
    parser.add_argument("--dir", type=Path, help="where to work (default: the temporary folder)")
    arguments = parser.parse_args()
    for name in arguments.shapes:
        shape = SHAPES[name]
        if arguments.small:
            shape = Shape(shape.layers, max(512, shape.size // 16), shape.images, shape.shared)
        with (
            tempfile.TemporaryDirectory(prefix="airgap-bench-", dir=arguments.dir) as temporary,
            ExitStack() as stack,
        ):
            folder = Path(temporary)
            rows = run_shape(shape, folder, _maker(stack, folder))
        print(
            f"\n### {name}: {shape.layers} layers of {shape.size} bytes in {shape.images} images\n"
        )
        print("| what | × yardstick | CPU s | peak MiB |\n|---|---|---|---|")
        for row, yardstick in rows:
            print(
                f"| {row.what} | {row.seconds / yardstick.seconds:.2f} | {row.cpu:.1f} | {row.memory:.0f} |"
            )


if __name__ == "__main__":
    main()
