"""An image of large layers in a registry, and the lines that pull and cut it."""

from __future__ import annotations

import random
from typing import Any

from tests.parts import images, need
from tests.worlds.site import Site

LAYER = 24 << 20


def request_big_image(site: Site, registry: Any, host: str, layer: int = LAYER) -> None:
    """An image of two random layers of `layer` bytes at `registry`, asked for by way of `host`."""
    noise = random.Random(7)
    images.make_image(site.folder / "made", "v1", layers=[noise.randbytes(layer), noise.randbytes(layer)])
    made, there = f"oci:{site.folder}/made:v1", f"docker://{registry.host}/team/app:v1"
    need.run("skopeo", "copy", "--dest-tls-verify=false", made, there)
    head = "apiVersion: airgap.openova.io/v1alpha1\n"
    spec = f"spec:\n  images:\n  - {{ref: '{host}/team/app:v1'}}\n"
    site.write("r.request.yaml", f"{head}kind: Request\nmetadata: {{name: r}}\n{spec}")
    hosts = f"spec:\n  hosts:\n    '{host}': {{plainHTTP: true}}\n"
    site.write("u.yaml", f"{head}kind: Upstreams\nmetadata: {{name: u}}\n{hosts}")
    site.run("lock", "r.request.yaml", "--upstreams", "u.yaml")


PULL = ("pull", "r.lock.json", "--store", "store", "--key", "exporter.key", "--upstreams", "u.yaml")
