"""What `extract` takes for a file's name comes from graphs that strangers made: no name leads out of the folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airgap.base.errors import AirgapError, InputError
from airgap.content.forms import Tree
from airgap.content.graph import OCI_MANIFEST, Descriptor
from airgap.jobs.extracting.files import place_files
from airgap.kinds.chart import CHART, CONFIG
from airgap.kinds.file import FILE_TYPE
from airgap.kinds.model import FILE_PATH, MODEL_TYPE
from airgap.kinds.table import kind_named, kind_of_type
from airgap.store.memory import Memory

TITLE = "org.opencontainers.image.title"


def graph(store: Memory, artifact_type: str, config: tuple[str, bytes], *layers: tuple[str, str, str]) -> Descriptor:
    """A manifest; each layer has a media type, an annotation and its value."""
    listed = [
        {**store.add(media_type, value.encode()).as_dict(), "annotations": {key: value}}
        for media_type, key, value in layers
    ]
    document = {"schemaVersion": 2, "artifactType": artifact_type, "config": store.add(*config).as_dict()}
    return store.add(OCI_MANIFEST, json.dumps({**document, "layers": listed}).encode())


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a\\x", "a\nb", "", "."])
@pytest.mark.parametrize(("kind", "made", "key"), [("model", MODEL_TYPE, FILE_PATH), ("file", FILE_TYPE, TITLE)])
def test_paths_of_models_and_files_stay_below_the_folder(kind: str, made: str, key: str, path: str) -> None:
    store = Memory()
    root = graph(store, made, ("a/b", b"{}"), ("a/c", key, path))
    assert kind_of_type(made).name == kind
    with pytest.raises(InputError, match="bad-path"):
        kind_named(kind).thing("x", root, store)


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", "", "x\n", 7, None, "x" * 200])
def test_the_file_of_a_chart_has_a_plain_name(name: object) -> None:
    store = Memory()
    config = json.dumps({"name": name, "version": "1.0.0"}).encode()
    root = graph(store, "", (CONFIG, config), (CHART, TITLE, "x"))
    with pytest.raises(AirgapError, match="bad-chart"):
        kind_named("chart").thing("x", root, store)


def test_two_files_do_not_become_one(tmp_path: Path) -> None:
    store = Memory()
    trees = []
    for item, text in (("one", "a/k3s"), ("two", "b/k3s")):
        root = graph(store, FILE_TYPE, ("a/b", b"{}"), ("a/c", TITLE, text))
        tree = kind_named("file").thing(item, root, store)
        assert isinstance(tree, Tree)
        trees.append(("file", tree))
    with pytest.raises(InputError, match="key-collision"):
        place_files(trees, tmp_path / "out")
    assert place_files(trees[:1], tmp_path / "out").listed()[0].path == "out"
    assert place_files(trees[:1], tmp_path).listed()[0].path == "k3s"
