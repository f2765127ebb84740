"""What verifying costs: a pull of many signed images, and the scan that verifies a signature of each.

The images are signed by the tests' own Sigstore instance and by a key. Each way of signing is a registry of its own
with the same images, so that its pull and its scan are about the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchlib import registries
from benchlib.commands import ENV, HEAD, airgap
from benchlib.measure import Meter, Sample
from tests.parts.fake_sigstore import (
    ISSUER,
    SAN,
    FakeSigstore,
    How,
    attach,
    managed,
    public_pem,
)
from tests.parts.images import Descriptor, Layout

NAME = "K"
AT = datetime(2026, 6, 1, tzinfo=UTC)
LAYERS, LAYER = 4, 256 << 10
IMAGES, SMALL = 1000, 10
TARGET = "< 10 %"
OWNER = managed("bench")

Attach = Callable[[Layout, Descriptor], object]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to sign, and what a policy demands of it."""

    name: str
    attach: Attach
    require: str


def ways(instance: FakeSigstore) -> list[Way]:
    """Certificates and keys, in what cosign writes today and in its older layout."""
    identity = f"trustRoot: bench, identities: [{{issuer: '{ISSUER}', identity: '{SAN}'}}]"

    def bundle(how: How) -> Attach:
        return lambda layout, image: attach.fallback(layout, image, instance.sign_image(str(image["digest"]), how))

    def legacy(layout: Layout, image: Descriptor) -> None:
        attach.tag(layout, image, "sig", [instance.old_signature(str(image["digest"]), How(AT))])

    return [
        Way("certificate, bundle, log v1", bundle(How(AT)), identity),
        Way("certificate, bundle, log v2 and time stamp", bundle(How(AT, log="v2", stamp=True)), identity),
        Way("certificate, legacy tag, log v1", legacy, identity),
        Way("key, bundle", bundle(How(AT, signer=OWNER, log="none")), "keys: [bench]"),
    ]


def table(folder: Path, *, small: bool) -> str:
    """Measures, and gives the table in Markdown."""
    count = SMALL if small else IMAGES
    instance = FakeSigstore()
    lines = [
        f"### {NAME}: {count:,} images of {LAYERS} × {LAYER >> 10} KiB, each signed, 1 round",
        "",
        "| signed by | pull, s | scan, s | of the pull | scan, CPU s | ms an image | scan, peak MiB | target |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for way in ways(instance):
        print(f"bench: {NAME}: {way.name}", file=sys.stderr)
        pull, scan = _measure(folder, way, instance, count)
        cells = (
            f"{pull.seconds:.1f}",
            f"{scan.seconds:.1f}",
            f"{100 * scan.seconds / pull.seconds:.0f} %",
            f"{scan.cpu:.1f}",
            f"{1000 * scan.seconds / count:.1f}",
            f"{scan.peak / (1 << 20):.0f}",
        )
        lines.append(f"| {way.name} | {' | '.join(cells)} | {TARGET} |")
    return "\n".join(lines) + "\n"


def _measure(folder: Path, way: Way, instance: FakeSigstore, count: int) -> tuple[Sample, Sample]:
    with tempfile.TemporaryDirectory(prefix="airgap-bench-", dir=folder) as temporary:
        place = Path(temporary)
        with Meter(place) as meter, registries.empty(place) as source:
            layout = Layout(place / "made")
            tags = _fill(layout, way, count)
            attach.push(layout, source.url, "bench/app")
            _prepare(place, way, instance, source.host, tags)
            meter.commands([airgap("keys", "generate", "station"), airgap("lock", "r.request.yaml")], env=ENV)
            pulled = meter.commands([airgap("pull", "r.lock.json", "--store", "store", "--upstreams", "u.yaml")])
            scan = ("r.lock.json", "--store", "store", "--policy", "policy.yaml", "--key", "station.key")
            return pulled, meter.commands([airgap("scan", *scan)], env=ENV)


def _fill(layout: Layout, way: Way, count: int) -> Sequence[str]:
    tags = [f"v{number}" for number in range(count)]
    images = [layout.image(*(os.urandom(LAYER) for _ in range(LAYERS))) for _ in tags]
    for tag, image in zip(tags, images, strict=True):
        way.attach(layout, image)
        layout.tag(tag, image)
    return tags


def _prepare(place: Path, way: Way, instance: FakeSigstore, host: str, tags: Sequence[str]) -> None:
    root = instance.trusted_root()
    (place / "root.json").write_bytes(root)
    (place / "bench.pub").write_bytes(public_pem(OWNER.key))
    (place / "pw").write_text("bench\n")
    (place / "pw").chmod(0o600)
    refs = "".join(f"  - {{ref: '{host}/bench/app:{tag}'}}\n" for tag in tags)
    upstreams = f"kind: Upstreams\nmetadata: {{name: u}}\nspec:\n  hosts:\n    '{host}': {{plainHTTP: true}}\n"
    request = f"kind: Request\nmetadata: {{name: r}}\nspec:\n  images:\n{refs}---\n"
    (place / "r.request.yaml").write_text(HEAD + request + HEAD + upstreams)
    (place / "u.yaml").write_text(HEAD + upstreams)
    (place / "policy.yaml").write_text(
        f"{HEAD}kind: Policy\nmetadata: {{name: bench}}\nspec:\n"
        f"  trustRoots: [{{name: bench, file: root.json, sha256: {hashlib.sha256(root).hexdigest()}}}]\n"
        "  keys: [{name: bench, publicKeyFile: bench.pub}]\n"
        f"  rules:\n  - {{match: ['**'], require: {{{way.require}}}}}\n"
    )
