"""Models from an endpoint of the Hub's shape into a store: a real one, and what must be refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError, IntegrityError, NotFoundError, UpstreamError
from airgap.content.copy import Copied, Copy, copy_graph
from airgap.content.graph import read_verified
from airgap.content.item import Item
from airgap.kinds.model import KIND, ModelRequest
from airgap.net.config import Credentials, HostConfig
from airgap.net.http import Client, Retries
from airgap.net.origin import Origin
from airgap.store.layout import Layout
from airgap.store.locate import Reach
from tests.parts.hugging_face import HuggingFace

pytestmark = pytest.mark.e2e
REPO = "sentence-transformers/all-MiniLM-L6-v2"
ASKED = ModelRequest(name=REPO, repo=REPO)
TOKEN = "hf_friend"


def reach_to(hub: HuggingFace, folder: Path, token: str = "") -> Reach:
    """The connected zone with this endpoint for the Hub, which may send us to its CDN."""
    credentials = None
    if token:
        (folder / "token").write_text(token + "\n")
        (folder / "token").chmod(0o600)
        credentials = Credentials(token_file=folder / "token")
    config = HostConfig(credentials, plain_http=True, allowed_hosts=(Origin.of(hub.cdn_url).netloc,))
    http = Client(
        {Origin.of(hub.url).netloc: config},
        zone="connected",
        retries=Retries(attempts=2, base=0.0, jitter=0.0),
    )
    return Reach(http, folder / "spool", folder, hub_endpoint=hub.url)


def small_model(folder: Path) -> Path:
    """A model of few bytes, whose weights are LFS by their name."""
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "1_Pooling" / "config.json").write_text("{}")
    (folder / "config.json").write_text('{"a": 1}')
    (folder / "model.safetensors").write_bytes(b"weights" * 1000)
    return folder


def pull(item: Item, reach: Reach, folder: Path) -> tuple[Copied, Layout]:
    assert item.root is not None
    store = Layout(folder, create=True)
    (copied,) = copy_graph([Copy(item.name, KIND.source(item, reach), store, item.root)])
    return copied, store


def failure(request: ModelRequest, reach: Reach) -> AirgapError:
    with pytest.raises(AirgapError) as caught:
        KIND.resolve(request, reach)
    return caught.value


def test_a_real_model_is_locked_and_arrives_whole(hf_endpoint: HuggingFace, minilm: Path, tmp_path: Path) -> None:
    commit = hf_endpoint.publish(REPO, minilm)
    reach = reach_to(hf_endpoint, tmp_path)
    item = KIND.resolve(ASKED, reach)
    assert (item.source, item.revision, item.licence) == (f"hf:{REPO}", commit, "apache-2.0")
    # The weights are not read to lock them: their LFS oid is their digest.
    assert hf_endpoint.cdn_requests == []
    copied, store = pull(item, reach, tmp_path / "store")
    assert copied.error is None
    tree = KIND.form(item, copied.copy.root, store)
    names = {p.relative_to(minilm).as_posix() for p in minilm.rglob("*") if p.is_file()}
    assert set(tree.entries) == names
    for name, descriptor in tree.entries.items():
        data = read_verified(store, descriptor, limit=descriptor.size)
        assert data == (minilm / name).read_bytes()
    assert KIND.check(item, copied.copy.root, store) == []
    assert tree.prefix == f"{REPO}/{commit}"
    assert tree.pointer == (f"{REPO}/refs/main", commit.encode())


def test_the_hub_and_a_folder_give_the_same_root(hf_endpoint: HuggingFace, minilm: Path, tmp_path: Path) -> None:
    hf_endpoint.publish(REPO, minilm)
    reach = reach_to(hf_endpoint, tmp_path)
    from_folder = KIND.resolve(ModelRequest(name=REPO, directory=minilm), reach)
    assert from_folder.root == KIND.resolve(ASKED, reach).root


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_content_flipped_after_the_lock_is_not_stored(hf_endpoint: HuggingFace, tmp_path: Path, name: str) -> None:
    folder = small_model(tmp_path / "model")
    hf_endpoint.publish(REPO, folder)
    reach = reach_to(hf_endpoint, tmp_path)
    item = KIND.resolve(ASKED, reach)
    data = bytearray((folder / name).read_bytes())
    data[-1] ^= 1
    (folder / name).write_bytes(data)
    copied, store = pull(item, reach, tmp_path / "store")
    assert isinstance(copied.error, IntegrityError)
    assert copied.error.code == "digest-mismatch"
    assert not store.has(KIND.expect(item).entries[name])
    assert not store.has(copied.copy.root)


def test_a_small_file_that_is_not_the_commits_is_refused_when_locking(hf_endpoint: HuggingFace, tmp_path: Path) -> None:
    folder = small_model(tmp_path / "model")
    hf_endpoint.publish(REPO, folder)
    (folder / "config.json").write_text('{"a": 2}')
    error = failure(ASKED, reach_to(hf_endpoint, tmp_path))
    assert isinstance(error, IntegrityError)
    assert error.code == "blob-mismatch"


def test_a_lock_stays_at_its_commit(hf_endpoint: HuggingFace, tmp_path: Path) -> None:
    first = hf_endpoint.publish(REPO, small_model(tmp_path / "one"), tag="v1")
    later = small_model(tmp_path / "two")
    (later / "config.json").write_text('{"a": 3}')
    reach = reach_to(hf_endpoint, tmp_path)
    item = KIND.resolve(ASKED, reach)
    second = hf_endpoint.publish(REPO, later)
    copied, store = pull(item, reach, tmp_path / "store")
    assert copied.error is None
    assert read_verified(store, KIND.expect(item).entries["config.json"]) == b'{"a": 1}'
    assert KIND.resolve(ASKED, reach).revision == second
    assert KIND.resolve(replace(ASKED, revision="v1"), reach).revision == first


def test_include_takes_only_what_it_names(hf_endpoint: HuggingFace, tmp_path: Path) -> None:
    hf_endpoint.publish(REPO, small_model(tmp_path / "model"))
    reach = reach_to(hf_endpoint, tmp_path)
    item = KIND.resolve(replace(ASKED, include=("*.safetensors",)), reach)
    assert [file.path for file in item.files] == ["model.safetensors"]
    assert item.files[0].digest == Digest.of(b"weights" * 1000)
    error = failure(replace(ASKED, include=("*.gguf",)), reach)
    assert isinstance(error, InputError)
    assert error.code == "no-such-file"


def test_the_token_opens_a_gated_model_and_goes_nowhere_else(hf_endpoint: HuggingFace, tmp_path: Path) -> None:
    hf_endpoint.publish(REPO, small_model(tmp_path / "model"), gated=True)
    hf_endpoint.allowed.add(TOKEN)
    reach = reach_to(hf_endpoint, tmp_path, TOKEN)
    copied, _ = pull(KIND.resolve(ASKED, reach), reach, tmp_path / "store")
    assert copied.error is None
    assert hf_endpoint.cdn_requests != []
    assert hf_endpoint.leaked == []


@pytest.mark.parametrize(("token", "status"), [("", 401), ("hf_stranger", 403)])
def test_a_gated_model_says_what_to_do(hf_endpoint: HuggingFace, tmp_path: Path, token: str, status: int) -> None:
    hf_endpoint.publish(REPO, small_model(tmp_path / "model"), gated=True)
    hf_endpoint.tokens.add("hf_stranger")
    error = failure(ASKED, reach_to(hf_endpoint, tmp_path, token))
    assert isinstance(error, UpstreamError)
    assert error.status == status
    assert "licence" in error.hint
    assert "credentials.tokenFile" in error.hint


def test_a_token_that_is_wrong_is_said_to_be_without_being_shown(hf_endpoint: HuggingFace, tmp_path: Path) -> None:
    hf_endpoint.publish(REPO, small_model(tmp_path / "model"))
    error = failure(ASKED, reach_to(hf_endpoint, tmp_path, "hf_unknown"))
    assert isinstance(error, UpstreamError)
    assert "credentials.tokenFile" in error.hint
    assert "hf_unknown" not in str(error) + error.hint


def test_a_token_of_the_environment_is_not_used(
    hf_endpoint: HuggingFace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hf_endpoint.publish(REPO, small_model(tmp_path / "model"))
    # A token that the endpoint does not know would be refused.
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_environment")
    assert KIND.resolve(ASKED, reach_to(hf_endpoint, tmp_path)).files


def test_what_is_not_there_is_said_to_be_missing(hf_endpoint: HuggingFace, tmp_path: Path) -> None:
    hf_endpoint.publish(REPO, small_model(tmp_path / "model"))
    reach = reach_to(hf_endpoint, tmp_path)
    revision = failure(replace(ASKED, revision="nope"), reach)
    repo = failure(ModelRequest(name="no/pe", repo="no/pe"), reach)
    assert isinstance(revision, NotFoundError)
    assert isinstance(repo, NotFoundError)
    assert (revision.code, repo.code) == ("no-revision", "no-model")
