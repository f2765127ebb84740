"""Proof that the Hub's real client takes our endpoint for the Hub."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
import requests
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.parts.hugging_face import HuggingFace, git_blob_id

pytestmark = pytest.mark.e2e
REPO = "sentence-transformers/all-MiniLM-L6-v2"


def small_model(folder: Path) -> Path:
    """A model of few bytes, whose weights are LFS by their name."""
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "1_Pooling" / "config.json").write_text("{}")
    (folder / "config.json").write_text('{"a": 1}')
    (folder / "model.safetensors").write_bytes(b"weights" * 1000)
    return folder


def test_real_client_downloads_a_real_model(hf_endpoint: HuggingFace, minilm: Path, tmp_path: Path) -> None:
    commit = hf_endpoint.publish(REPO, minilm)
    got = Path(snapshot_download(REPO, endpoint=hf_endpoint.url, cache_dir=tmp_path / "c", token=False))
    assert got.name == commit
    names = [path.relative_to(minilm) for path in minilm.rglob("*") if path.is_file()]
    assert "model.safetensors" in map(str, names)
    for name in names:
        assert (got / name).read_bytes() == (minilm / name).read_bytes()
    assert any("/objects/" in path for _, path in hf_endpoint.cdn_requests)


def test_metadata(hf_endpoint: HuggingFace, tmp_path: Path) -> None:
    folder = small_model(tmp_path / "model")
    commit = hf_endpoint.publish(REPO, folder, tag="v1", licence="mit")
    hf_endpoint.page = 2  # so that the tree comes in pages
    api = HfApi(endpoint=hf_endpoint.url, token=False)
    info = api.model_info(REPO, files_metadata=True)
    assert info.sha == commit
    assert info.card_data is not None
    assert info.card_data["license"] == "mit"
    files = {each.rfilename: each for each in info.siblings or []}
    weights = (folder / "model.safetensors").read_bytes()
    lfs = files["model.safetensors"].lfs
    assert lfs is not None
    assert (lfs.sha256, lfs.size) == (hashlib.sha256(weights).hexdigest(), len(weights))
    assert files["config.json"].blob_id == git_blob_id(b'{"a": 1}')
    tree = api.list_repo_tree(REPO, recursive=True, revision="v1")
    assert sorted(each.path for each in tree) == ["1_Pooling", *sorted(files)]
    (found,) = api.get_paths_info(REPO, ["config.json", "nothing"])
    assert found.path == "config.json"
    assert api.list_repo_refs(REPO).tags[0].target_commit == commit


def test_pointer_is_git_lfs_own(hf_endpoint: HuggingFace, tmp_path: Path) -> None:
    folder = small_model(tmp_path / "model")
    commit = hf_endpoint.publish(REPO, folder)
    each = hf_endpoint.repos[REPO].commits[commit]["model.safetensors"]
    pointer = subprocess.run(["git", "lfs", "pointer", f"--file={each.path}"], capture_output=True, check=True).stdout
    assert (git_blob_id(pointer), len(pointer)) == (each.oid, each.pointer_size)


def test_gates_and_strangers(hf_endpoint: HuggingFace, tmp_path: Path) -> None:
    hf_endpoint.publish(REPO, small_model(tmp_path / "model"), gated=True)
    hf_endpoint.tokens.add("hf_stranger")
    hf_endpoint.allowed.add("hf_friend")

    def fetch(
        token: str | bool,
        repo: str = REPO,
        name: str = "model.safetensors",
        revision: str | None = None,
    ) -> str:
        api = HfApi(endpoint=hf_endpoint.url, token=token)
        return str(api.hf_hub_download(repo, name, revision=revision, cache_dir=tmp_path / "c"))

    for token in (False, "hf_stranger"):
        with pytest.raises(GatedRepoError):
            fetch(token)
    assert Path(fetch("hf_friend")).read_bytes() == b"weights" * 1000
    assert hf_endpoint.leaked == []
    with pytest.raises(RevisionNotFoundError):
        fetch("hf_friend", revision="nope")
    with pytest.raises(RemoteEntryNotFoundError):
        fetch("hf_friend", name="nope")
    with pytest.raises(RepositoryNotFoundError):
        fetch("hf_friend", repo="no/pe")


def test_ranges_and_redirects(hf_endpoint: HuggingFace, tmp_path: Path) -> None:
    commit = hf_endpoint.publish(REPO, small_model(tmp_path / "model"))
    url = f"{hf_endpoint.url}/{REPO}/resolve/main/model.safetensors"
    answer = requests.head(url, timeout=10)
    assert answer.status_code == 302
    assert answer.headers["X-Repo-Commit"] == commit
    assert answer.headers["X-Linked-Size"] == "7000"
    got = requests.get(url, headers={"Range": "bytes=6993-"}, timeout=10)
    assert (got.status_code, got.content) == (206, b"weights")
    unsigned = answer.headers["Location"].partition("?")[0]
    assert requests.get(unsigned, timeout=10).status_code == 403
