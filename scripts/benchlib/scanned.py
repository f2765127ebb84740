"""What looking into content costs: many images that share layers, by airgap's station and by Trivy called by itself.

Half of each image's layers are shared: one has all of them, the other one is of ten. The layers hold packages and
texts, because a scanner passes over random bytes. airgap also verifies each layer, and makes an SBOM and a report.
"""

from __future__ import annotations

import hashlib
import io
import random
import shlex
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchlib.commands import HEAD, airgap
from benchlib.measure import Line, Meter, Sample
from tests.parts.images import Descriptor, Layout
from tests.parts.need import require_part
from tests.parts.trivy import DATABASE
from tests.worlds import scanner_databases

NAME = "F"
IMAGES, SMALL = 200, 12
POOL = 10
"""Layers of which each image has one besides that of all."""
TEXT, BINARY = 6 << 20, 2 << 20
"""Bytes of a layer."""
AT_ONCE = 4
"""As Hangar calls it."""
LOCAL = "digestOnly: {approver: bench, reason: bench, local: true, expires: 2099-01-01T00:00:00Z}"
ANSWERED = (0, 3)


def table(folder: Path, *, small: bool) -> str:
    """Measures, and gives the table in Markdown."""
    count = SMALL if small else IMAGES
    program = require_part("trivy")
    with tempfile.TemporaryDirectory(prefix="airgap-bench-", dir=folder) as temporary:
        place = Path(temporary)
        layout = Layout(place / "made")
        images = list(_images(layout, count + 1))
        with Meter(place) as meter:
            rows = [*_peers(meter, place, layout, images[:-1], program), *_ours(meter, place, layout, images, program)]
    base = next(sample.seconds for what, sample in rows if what == ALONE)
    lines = [
        f"### {NAME}: {count} images of 4 layers of {(TEXT + BINARY) >> 20} MiB, 2 of each shared, 1 round",
        "",
        "| what | s | of one after another | CPU s | peak MiB of a process |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for what, sample in rows:
        cells = (f"{sample.seconds:.1f}", f"{sample.seconds / base:.2f}", f"{sample.cpu:.1f}", f"{sample.peak >> 20}")
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


ALONE = "`trivy image`, one after another, a cache each"


def _peers(
    meter: Meter, place: Path, layout: Layout, images: Sequence[Descriptor], program: Path
) -> Iterator[tuple[str, Sample]]:
    """Trivy as people call it. It reads what stands in index.json."""
    for number, image in enumerate(images):
        layout.tag(f"v{number}", image)
    cache = place / "cache"
    (cache / "db").mkdir(parents=True)
    for name in ("trivy.db", "metadata.json"):
        shutil.copy(DATABASE / name, cache / "db" / name)
    names = place / "names"
    names.write_text("".join(f"{image['digest']}\n" for image in images))
    scan = (
        f"{shlex.quote(str(program))} image --quiet --offline-scan --skip-db-update --skip-java-db-update "
        f"--format json --scanners vuln,secret --input {shlex.quote(str(layout.folder))}@$1"
    )
    each = f"c=$(mktemp -d -p {place}) && cp -r {cache}/db $c/db && {scan} --cache-dir $c --output $c.json && rm -r $c"
    shared = f"{scan} --cache-dir {cache} --output {place}/report.json"
    for what, line, jobs in (
        (ALONE, each, 1),
        (f"`trivy image`, {AT_ONCE} at once, a cache each", each, AT_ONCE),
        ("`trivy image`, one after another, one cache", shared, 1),
    ):
        print(f"bench: {NAME}: {what}", file=sys.stderr)
        script = f"xargs -P {jobs} -n 1 sh -c {shlex.quote(line)} sh < {names}"
        yield what, meter.commands([("sh", "-c", script)])


def _ours(
    meter: Meter, place: Path, layout: Layout, images: Sequence[Descriptor], program: Path
) -> Iterator[tuple[str, Sample]]:
    files = {
        "trivy.db": (DATABASE / "trivy.db").read_bytes(),
        "metadata.json": scanner_databases.metadata(datetime.now(UTC)),
    }
    layout.tag("db", scanner_databases.artifact(layout, scanner_databases.DB_LAYER, files))
    layout.tag(f"v{len(images) - 1}", images[-1])
    sha256 = hashlib.sha256(program.read_bytes()).hexdigest()
    _write(
        place,
        "station.yaml",
        "Station",
        f"  trivy: {{program: {program}, sha256: {sha256}}}\n  databases: {{vulnerabilities: bench.local/db:2}}\n",
    )
    _write(place, "policy.yaml", "Policy", f"  findings: {{}}\n  rules:\n  - {{match: ['**'], {LOCAL}}}\n")
    database = "  - {ref: 'oci:made:db', name: 'bench.local/db:2'}\n"
    for name, count in (("r", len(images) - 1), ("next", len(images))):
        refs = "".join(f"  - {{ref: 'oci:made:v{at}', name: 'bench.local/app:{at}'}}\n" for at in range(count))
        _write(place, f"{name}.request.yaml", "Request", f"  images:\n{database}{refs}")
    locked = [airgap("lock", f"{name}.request.yaml") for name in ("r", "next")]
    meter.commands([*locked, airgap("pull", "next.lock.json", "--store", "store")])
    for what, lock in (
        ("airgap scan", "r"),
        ("airgap scan again, nothing new", "r"),
        ("airgap scan again, one new image", "next"),
    ):
        print(f"bench: {NAME}: {what}", file=sys.stderr)
        yield what, meter.commands([_scan(lock)], expect=ANSWERED)
        if failed := [*(place / "store/airgap/scans").glob("*.not-run.*")]:
            raise SystemExit(f"bench: {len(failed)} scans did not run: {failed[0]}")


def _scan(lock: str) -> Line:
    files = ("--store", "store", "--policy", "policy.yaml", "--station", "station.yaml")
    return airgap("scan", f"{lock}.lock.json", *files, "--dry-run")


def _images(layout: Layout, count: int) -> Iterator[Descriptor]:
    base = _layer(0, {"etc/debian_version": b"12.5\n", "etc/os-release": b'ID=debian\nVERSION_ID="12"\n'})
    pool = [_layer(1 + at, {}) for at in range(POOL)]
    for number in range(count):
        own = [_layer(1000 + 2 * number + at, {}) for at in range(2)]
        yield layout.image(base, pool[number % POOL], *own)


def _layer(seed: int, more: dict[str, bytes]) -> bytes:
    """A layer as an application's: packages, sources and a program."""
    chance = random.Random(seed)
    lines = [f"def f{at}(value): return value * {chance.randrange(10**9)}  # {chance.random()}\n" for at in range(400)]
    text = "".join(lines).encode()
    files = {f"app/{seed}/m{at}.py": text for at in range(TEXT // len(text))}
    files[f"app/{seed}/program"] = chance.randbytes(BINARY)
    for at in range(6):
        metadata = f"Metadata-Version: 2.1\nName: package{seed}-{at}\nVersion: 1.{at}\n".encode()
        files[f"opt/site-packages/package{seed}_{at}-1.{at}.dist-info/METADATA"] = metadata
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in sorted((files | more).items()):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _write(place: Path, name: str, kind: str, spec: str) -> None:
    (place / name).write_text(f"{HEAD}kind: {kind}\nmetadata: {{name: bench}}\nspec:\n{spec}")
