"""Models from a folder: the root that never changes, what is chosen, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import InputError, UpstreamError
from airgap.base.strict_json import parse_json
from airgap.content.graph import read_node, read_verified
from airgap.content.item import LockedFile
from airgap.kinds.model import KIND, ModelRequest, graph
from airgap.net.http import Client, Retries
from airgap.store.locate import Reach
from airgap.tools.hub import read_model
from tests.parts.process import free_ports

FILES = {
    "README.md": b"# Tiny\n",
    "config.json": b"{}",
    "model.safetensors": b"weights" * 10,
    "onnx/model.onnx": b"onnx",
    "tokenizer.py": b"pass\n",
}
ROOT = "sha256:60d5cf97e7fbd5dfdc85f9b0d50675dfb330cce86ffb43cb43807e43cfdbd0a2"
"""The root of FILES as acme/tiny. It must never change: locks that people have signed name it."""


@pytest.fixture
def reach(tmp_path: Path) -> Reach:
    """The connected zone, with a lock in tmp_path."""
    http = Client(zone="connected", retries=Retries(attempts=2, base=0.0, jitter=0.0))
    return Reach(http, tmp_path / "spool", tmp_path)


@pytest.fixture
def request_(tmp_path: Path) -> ModelRequest:
    """FILES in a folder."""
    for name, data in FILES.items():
        path = tmp_path / "tiny" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return ModelRequest(name="acme/tiny", directory=tmp_path / "tiny")


def test_the_root_of_a_model_stays_what_it_is(tmp_path: Path, request_: ModelRequest, reach: Reach) -> None:
    item = KIND.resolve(request_, reach)
    assert item.root is not None
    assert str(item.root.digest) == ROOT
    assert item.revision == "sha256-" + ROOT.removeprefix("sha256:")
    assert item.source == f"directory:{tmp_path / 'tiny'}"
    expected = [LockedFile(name, Digest.of(data), len(data)) for name, data in FILES.items()]
    assert list(item.files) == expected


def test_the_order_of_files_does_not_change_the_root() -> None:
    files = [LockedFile(name, Digest.of(data), len(data)) for name, data in FILES.items()]
    assert graph("acme/tiny", files[::-1])[1] == graph("acme/tiny", files)[1]
    assert graph("acme/other", files)[1] != graph("acme/tiny", files)[1]


def test_the_manifest_is_a_model_pack(request_: ModelRequest, reach: Reach) -> None:
    item = KIND.resolve(request_, reach)
    assert item.root is not None
    source = KIND.source(item, reach)
    node = read_node(source, item.root)
    config, *layers = node.children
    assert node.artifact_type == "application/vnd.cncf.model.manifest.v1+json"
    assert config.media_type == "application/vnd.cncf.model.config.v1+json"
    document = parse_json(read_verified(source, config), "config")
    digests = [str(Digest.of(data)) for data in FILES.values()]
    assert document["modelfs"] == {"type": "layers", "diffIds": digests}
    assert {each.annotations["org.cncf.model.filepath"]: each.media_type for each in layers} == {
        "README.md": "application/vnd.cncf.model.doc.v1.raw",
        "config.json": "application/vnd.cncf.model.weight.config.v1.raw",
        "model.safetensors": "application/vnd.cncf.model.weight.v1.raw",
        "onnx/model.onnx": "application/vnd.cncf.model.weight.v1.raw",
        "tokenizer.py": "application/vnd.cncf.model.code.v1.raw",
    }


def test_the_lock_alone_gives_the_form(request_: ModelRequest, reach: Reach) -> None:
    item = KIND.resolve(request_, reach)
    assert item.root is not None
    made = KIND.form(item, item.root, KIND.source(item, reach))
    told = KIND.expect(item)
    assert dict(made.entries) == dict(told.entries)
    assert told.root == item.root
    assert (told.bucket, told.prefix) == ("models", f"acme/tiny/{item.revision}")
    assert told.pointer == ("acme/tiny/refs/main", item.revision.encode())


def test_include_chooses_by_pattern(request_: ModelRequest, reach: Reach) -> None:
    item = KIND.resolve(replace(request_, include=("*.json", "onnx/*")), reach)
    assert [file.path for file in item.files] == ["config.json", "onnx/model.onnx"]


def test_a_pattern_that_names_no_file_is_refused(request_: ModelRequest, reach: Reach) -> None:
    with pytest.raises(InputError) as caught:
        KIND.resolve(replace(request_, include=("*.json", "*.gguf")), reach)
    assert caught.value.code == "no-such-file"
    assert "*.gguf" in caught.value.what


@pytest.mark.parametrize("name", ["link.bin", "folder"])
def test_links_are_refused(request_: ModelRequest, reach: Reach, name: str) -> None:
    folder = request_.directory
    assert folder is not None
    (folder / name).symlink_to("/etc/passwd" if name == "link.bin" else "/etc")
    with pytest.raises(InputError) as caught:
        KIND.resolve(request_, reach)
    assert caught.value.code == "symlink"


def test_a_root_that_is_not_the_locks_is_found(request_: ModelRequest, reach: Reach) -> None:
    item = KIND.resolve(request_, reach)
    assert item.root is not None
    assert KIND.check(item, item.root, KIND.source(item, reach)) == []
    fewer = replace(item, files=item.files[1:])
    assert ROOT in KIND.check(fewer, item.root, KIND.source(item, reach))[0]


def test_a_path_below_the_locks_folder_is_read_from_there(request_: ModelRequest, reach: Reach) -> None:
    item = replace(KIND.resolve(request_, reach), source="directory:tiny")
    layer = KIND.expect(item).entries["onnx/model.onnx"]
    assert read_verified(KIND.source(item, reach), layer) == b"onnx"


def test_a_hub_that_is_not_there_is_an_upstream_error(reach: Reach) -> None:
    (port,) = free_ports(1)
    reach.hub_endpoint = f"http://127.0.0.1:{port}"
    with pytest.raises(UpstreamError) as caught:
        KIND.resolve(ModelRequest(name="acme/tiny", repo="acme/tiny"), reach)
    assert caught.value.code == "unreachable"


GOOD = {
    "sha": "0" * 40,
    "cardData": {"license": "mit"},
    "siblings": [
        {"rfilename": "a", "blobId": "1" * 40, "size": 3},
        {"rfilename": "b", "blobId": "2" * 40, "size": 9, "lfs": {"sha256": "3" * 64, "size": 9, "pointerSize": 1}},
    ],
}


def test_what_the_hub_answers() -> None:
    model = read_model(json.dumps(GOOD).encode(), "acme/tiny")
    assert (model.commit, model.licence, [file.path for file in model.files]) == ("0" * 40, "mit", ["a", "b"])
    assert [(file.lfs, file.size) for file in model.files] == [(None, 0), (Digest("sha256:" + "3" * 64), 9)]
    several = read_model(json.dumps(GOOD | {"cardData": {"license": ["mit", "x"]}}).encode(), "acme/tiny")
    assert several.licence == ""


@pytest.mark.parametrize(
    "odd",
    [
        [],
        GOOD | {"sha": None},
        GOOD | {"sha": "main"},
        GOOD | {"siblings": None},
        GOOD | {"siblings": [1]},
        GOOD | {"siblings": [{"rfilename": 1}]},
        GOOD | {"siblings": [{"rfilename": "x" * 1025}]},
        GOOD | {"siblings": [{"rfilename": "a", "blobId": "x"}]},
        GOOD | {"siblings": [{"rfilename": "a", "lfs": {"sha256": "3", "size": 1}}]},
        GOOD | {"siblings": [{"rfilename": "a", "lfs": {"sha256": "3" * 64, "size": "many"}}]},
        GOOD | {"siblings": [{"rfilename": "a", "lfs": {"sha256": "3" * 64, "size": 2**60}}]},
        GOOD | {"cardData": {"license": "x" * 256}},
    ],
)
def test_an_answer_of_other_types_is_refused(odd: object) -> None:
    with pytest.raises(UpstreamError) as caught:
        read_model(json.dumps(odd).encode(), "acme/tiny")
    assert caught.value.code == "bad-hub-answer"
