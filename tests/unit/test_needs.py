"""What a chart declares that it belongs with, and which items of its delivery that are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.content.forms import Form, Graph, Refs
from airgap.content.graph import OCI_MANIFEST, Descriptor
from airgap.content.item import Item
from airgap.jobs.importing.needs import needs_of
from airgap.kinds.chart import CHART, CONFIG
from airgap.store.memory import Memory

ROOT = Descriptor.of(OCI_MANIFEST, b"image")


def image(name: str) -> Graph:
    return Graph(name, name, ROOT, Memory())


def repository(original: str) -> Refs:
    return Refs(original, original, {}, "", (), (), Memory(), ROOT)


def needs(*forms: Form, manifest: Any = None, **config: Any) -> set[str]:
    """What a chart of this config needs of these forms."""
    store = Memory()
    said = store.add(CONFIG, json.dumps({"name": "c", "version": "1", **config}).encode())
    layer = store.add(CHART, b"packed")
    made = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": said.as_dict(),
        "layers": [layer.as_dict()],
        **({"annotations": manifest} if manifest else {}),
    }
    root = store.add(OCI_MANIFEST, json.dumps(made).encode())
    item = Item(name="demo.local/c:1", kind="chart", source="oci://demo.local/c:1", root=root)
    return set(needs_of([(item, root)], store, forms).get(item.name, ()))


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("- name: a\n  image: docker.io/library/nginx:1.25\n", True),
        ("- image: nginx:1.25", True),
        ('- image: "library/nginx:1.25"', True),
        (f"- image: nginx@{ROOT.digest}", True),
        (f"- image: nginx:9@{ROOT.digest}", True),
        ("- image: nginx:1.26", False),
        ("- image: ghcr.io/library/nginx:1.25", False),
        (f"- image: nginx@{Digest.of(b'x')}", False),
        ("- image: ''\n- image\n- image: {a: b}\nimage: \x00", False),
        ("", False),
    ],
)
def test_images_that_a_chart_lists(said: str, found: bool) -> None:
    name = "docker.io/library/nginx:1.25"
    assert needs(image(name), annotations={"artifacthub.io/images": said}) == ({name} if found else set())


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("https://github.com/acme/shop", True),
        ("https://GitHub.com/acme/shop.git", True),
        ("https://github.com/acme/shop/tree/main/charts/c", True),
        ("https://github.com/acme/shopping", False),
        ("https://github.com/acme", False),
        ("https://example.org/github.com/acme/shop", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_the_repository_that_a_chart_names(source: str, found: bool) -> None:
    expected = {"github.com/acme/shop"} if found else set()
    assert needs(repository("github.com/acme/shop"), sources=[source, 1, None]) == expected
    assert needs(repository("github.com/acme/shop"), manifest={"org.opencontainers.image.source": source}) == expected


@pytest.mark.parametrize(
    "config", [{"annotations": 1}, {"annotations": {"artifacthub.io/images": [1]}}, {"sources": {}}]
)
def test_what_is_no_list_declares_nothing(config: dict[str, Any]) -> None:
    assert needs(image("docker.io/library/nginx:1.25"), repository("github.com/acme/shop"), **config) == set()


def test_very_many_declarations_are_looked_for_quickly() -> None:
    listed = "- image: docker.io/library/nginx:1.25\n" * 20_000
    graphs = [image(f"docker.io/library/nginx:{number}") for number in range(500)]
    sources = ["https://github.com/acme/shop" + "/x" * 1000] * 2000
    assert needs(*graphs, sources=sources, annotations={"artifacthub.io/images": listed}) == set()
