"""Registries as they are: Distribution 2.8 and 3.1 with every kind of login, judged by crane, skopeo and oras."""

from __future__ import annotations

import itertools
import json
import threading
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import NotFoundError, UpstreamError
from airgap.content.copy import Copy, copy_graph
from airgap.content.graph import OCI_MANIFEST, Descriptor, PutResult, descriptor_from
from airgap.net.config import Credentials, HostConfig
from airgap.net.http import Client, Retries
from airgap.store.layout import Layout as Store
from airgap.store.registry import repository as registry
from airgap.store.registry.client import RegistryClient
from airgap.store.registry.repository import RegistryRepository
from tests.parts.fixtures import StartRegistry
from tests.parts.images import Layout, make_image
from tests.parts.need import run
from tests.parts.registry import Registry
from tests.suites.target_suite import LARGE, blob, image, never, opener, read_all

pytestmark = pytest.mark.e2e
_COUNT = itertools.count()


def client_of(made: Registry, folder: Path, **more: object) -> RegistryClient:
    """As a resource would configure it."""
    credentials = None
    if made.username:
        password = folder / "password"
        password.write_text(made.password + "\n")
        password.chmod(0o600)
        credentials = Credentials(username=made.username, password_file=password)
    config = HostConfig(
        credentials=credentials,
        ca_file=made.ca_file,
        plain_http=made.ca_file is None,
        allowed_hosts=("localhost",),  # the token server of the tests
    )
    http = Client({made.host: config}, zone="gap", retries=Retries(attempts=3, base=0, jitter=0))
    return RegistryClient(made.host, http, **more)  # type: ignore[arg-type]


def fresh(name: str = "real") -> str:
    """A repository of this test's own."""
    return f"{name}/r{next(_COUNT)}"


def push(source: Path, name: str, client: RegistryClient, repository: str, tag: str = "v1") -> Digest:
    """Copies the image `name` of a layout made by hand into a registry."""
    store = Store(source)
    root = store.find(name)
    assert root is not None
    target = RegistryRepository(client, repository)
    [copied] = copy_graph([Copy("item", store, target, root)])
    assert copied.error is None
    target.publish({tag: root})
    return root.digest


# --- logins --------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    ("auth", "tls"),
    [("basic", False), ("token", False), (None, True), ("token", True), ("basic", True)],
)
def test_every_login_pushes_and_pulls(
    start_registry: StartRegistry, tmp_path: Path, version: int, auth: str | None, tls: bool
) -> None:
    made = start_registry(version=version, auth=auth, tls=tls)  # type: ignore[arg-type]
    make_image(tmp_path / "image", platforms=["linux/amd64", "linux/arm64"])
    pushed = push(tmp_path / "image", "v1", client_of(made, tmp_path), "a/x")
    # 1. crane, with its own login, sees the same digest and finds the image whole.
    env = made.client_env()
    insecure = [] if tls else ["--insecure"]
    assert run("crane", "digest", f"{made.host}/a/x:v1", *insecure, env=env).strip() == pushed
    run("crane", "validate", "--remote", f"{made.host}/a/x:v1", *insecure, env=env)
    # 2. A new client of ours reads it back.
    source = RegistryRepository(client_of(made, tmp_path), "a/x")
    store = Store(tmp_path / "back", create=True)
    [copied] = copy_graph([Copy("item", source, store, source.resolve("v1"))])
    assert copied.error is None
    assert copied.copy.root.digest == pushed
    # 3. Tokens are fetched once for each set of rights, not for each request.
    if made.tokens is not None:
        ours = [each for each in made.tokens.requests if each.user == made.username]
        scopes = {each.scopes for each in ours if each.scopes}
        assert any("pull,push" in scope for each in scopes for scope in each)


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_logins_of_the_docker_store_are_used(start_registry: StartRegistry, tmp_path: Path, auth: str) -> None:
    made = start_registry(auth=auth)  # type: ignore[arg-type]
    config = HostConfig(plain_http=True, allowed_hosts=("localhost",))
    http = Client({made.host: config}, zone="connected")
    client = RegistryClient(made.host, http, docker_config=made.docker_config() / "config.json")
    root = image(RegistryRepository(client, "a/x"))
    assert RegistryRepository(client, "a/x").has(root)
    with pytest.raises(UpstreamError) as caught:
        RegistryRepository(RegistryClient(made.host, http), "a/x").tags()
    assert caught.value.status == 401


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_a_wrong_password_is_said_and_not_shown(start_registry: StartRegistry, tmp_path: Path, auth: str) -> None:
    made = start_registry(auth=auth)  # type: ignore[arg-type]
    made.password = "not the right one"
    with pytest.raises(UpstreamError) as caught:
        RegistryRepository(client_of(made, tmp_path), "a/x").tags()
    assert caught.value.status == 401
    assert "not the right one" not in f"{caught.value} {caught.value.hint}"


def test_a_token_that_expired_is_renewed_in_the_middle(start_registry: StartRegistry, tmp_path: Path) -> None:
    made = start_registry(auth="token")
    assert made.tokens is not None
    made.tokens.seconds = 1  # Distribution allows itself some leeway; we renew long before
    repository = RegistryRepository(client_of(made, tmp_path), "a/x")
    roots = [image(repository, seed) for seed in range(3)]
    assert all(repository.has(root) for root in roots)


def test_mounts_work_with_tokens(start_registry: StartRegistry, tmp_path: Path) -> None:
    made = start_registry(auth="token")
    client = client_of(made, tmp_path)
    descriptor, data = blob(LARGE)
    RegistryRepository(client, "a/x").put(descriptor, opener(data))
    assert RegistryRepository(client, "b/y").put(descriptor, never, ("a/x",)) is PutResult.MOUNTED


# --- what others wrote and read ------------------------------------------------------------------


def test_what_skopeo_and_crane_wrote_is_read(any_registry: Registry, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "image")
    root = make_image(tmp_path / "image", platforms=["linux/amd64", "linux/arm64"])
    name, host = fresh(), any_registry.host
    run(
        "skopeo", "copy", "--all", "--dest-tls-verify=false", "--insecure-policy",
        f"oci:{layout.folder}:v1", f"docker://{host}/{name}:skopeo",
    )  # fmt: skip
    run("crane", "push", "--insecure", "--index", str(layout.folder), f"{host}/{name}:crane")
    repository = RegistryRepository(client_of(any_registry, tmp_path), name)
    assert sorted(repository.tags()) == ["crane", "skopeo"]
    assert repository.resolve("skopeo").digest == root["digest"]
    store = Store(tmp_path / "store", create=True)
    for tag, found in repository.roots():
        [copied] = copy_graph([Copy(tag, repository, store, found)])
        assert copied.error is None
    assert store.has(descriptor_from(root, "test"))


def test_what_we_wrote_is_read_by_skopeo(any_registry: Registry, tmp_path: Path) -> None:
    root = make_image(tmp_path / "image")
    name = fresh()
    push(tmp_path / "image", "v1", client_of(any_registry, tmp_path), name)
    said = run("skopeo", "inspect", "--tls-verify=false", f"docker://{any_registry.host}/{name}:v1")
    assert json.loads(said)["Digest"] == root["digest"]


def test_docker_types_are_found_too(any_registry: Registry, tmp_path: Path) -> None:
    make_image(tmp_path / "image")
    name = fresh()
    run(
        "skopeo", "copy", "--format", "v2s2", "--dest-tls-verify=false", "--insecure-policy",
        f"oci:{tmp_path / 'image'}:v1", f"docker://{any_registry.host}/{name}:v1",
    )  # fmt: skip
    repository = RegistryRepository(client_of(any_registry, tmp_path), name)
    root = repository.resolve("v1")
    assert root.media_type == "application/vnd.docker.distribution.manifest.v2+json"
    assert repository.has(root)
    assert Digest.of(read_all(repository, root)) == root.digest


def test_a_mirror_is_asked_in_place_of_the_host(any_registry: Registry, tmp_path: Path) -> None:
    make_image(tmp_path / "image")
    inner = fresh("hub/library")
    digest = push(tmp_path / "image", "v1", client_of(any_registry, tmp_path), inner)
    config = HostConfig(mirror=f"{any_registry.url}/v2/hub", plain_http=True)
    client = RegistryClient("docker.io", Client({"docker.io": config}, zone="connected"))
    assert RegistryRepository(client, inner.removeprefix("hub/")).resolve("v1").digest == digest


# --- tags ----------------------------------------------------------------------------------------


def test_tags_come_in_pages(any_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "TAGS_PER_PAGE", 2)
    repository = RegistryRepository(client_of(any_registry, tmp_path), fresh())
    root = image(repository)
    names = [f"v{number}" for number in range(5)]
    repository.publish(dict.fromkeys(names, root))
    assert sorted(repository.tags()) == names


def test_what_is_not_there(any_registry: Registry, tmp_path: Path) -> None:
    repository = RegistryRepository(client_of(any_registry, tmp_path), "never/made")
    assert repository.tags() == []
    assert repository.find("v1") is None
    assert repository.referrers(blob(1)[0].digest) == []
    with pytest.raises(NotFoundError):
        repository.resolve("v1")


def test_a_child_that_is_missing_is_refused(any_registry: Registry, tmp_path: Path) -> None:
    child = Descriptor.of("application/vnd.oci.image.config.v1+json", b"not there")
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": child.as_dict(),
        "layers": [],
    }
    data = json.dumps(document).encode()
    with pytest.raises(UpstreamError) as caught:
        RegistryRepository(client_of(any_registry, tmp_path), fresh()).put(
            Descriptor.of(OCI_MANIFEST, data), opener(data)
        )
    assert caught.value.code == "child-missing"


# --- referrers without the API -------------------------------------------------------------------


def test_referrers_get_their_fallback_tag_and_oras_finds_them(any_registry: Registry, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "image")
    subject = make_image(tmp_path / "image")
    referrers = [
        layout.artifact(kind, ("text/plain", kind.encode()), subject=subject)
        for kind in ("application/vnd.test.one", "application/vnd.test.two")
    ]
    for number, referrer in enumerate(referrers):
        layout.tag(f"r{number}", referrer)
    client, name = client_of(any_registry, tmp_path), fresh()
    for tag in ("v1", "r0", "r1", "r1"):
        push(tmp_path / "image", tag, client, name, tag)
    found = RegistryRepository(client_of(any_registry, tmp_path), name).referrers(Digest(subject["digest"]))
    assert {(each.digest, each.artifact_type) for each in found} == {
        (each["digest"], each["artifactType"]) for each in referrers
    }
    said = json.loads(run("oras", "discover", "--plain-http", "--format", "json", f"{any_registry.host}/{name}:v1"))
    listed = said.get("referrers") or said.get("manifests")
    assert {each["digest"] for each in listed} == {each["digest"] for each in referrers}


def test_an_index_of_referrers_that_oras_began_is_merged(any_registry: Registry, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "image")
    subject = make_image(tmp_path / "image")
    client, name, host = client_of(any_registry, tmp_path), fresh(), any_registry.host
    push(tmp_path / "image", "v1", client, name)
    (tmp_path / "note.txt").write_text("by oras")
    run(
        "oras", "attach", "--plain-http", "--artifact-type", "application/vnd.test.oras",
        f"{host}/{name}:v1", "note.txt:text/plain", cwd=tmp_path,
    )  # fmt: skip
    layout.tag("r", layout.artifact("application/vnd.test.ours", subject=subject))
    push(tmp_path / "image", "r", client, name, "r")
    found = RegistryRepository(client, name).referrers(Digest(subject["digest"]))
    assert {each.artifact_type for each in found} == {
        "application/vnd.test.oras",
        "application/vnd.test.ours",
    }


def test_a_referrer_is_not_findable_before_names_are_published(any_registry: Registry, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "image")
    subject = make_image(tmp_path / "image")
    client, name = client_of(any_registry, tmp_path), fresh()
    push(tmp_path / "image", "v1", client, name)
    layout.tag("r", layout.artifact("application/vnd.test.ours", subject=subject))
    source = Store(tmp_path / "image")
    root = source.find("r")
    assert root is not None
    repository = RegistryRepository(client, name)
    [copied] = copy_graph([Copy("r", source, repository, root)])
    assert copied.error is None
    assert repository.referrers(Digest(subject["digest"])) == []
    repository.publish({})
    assert [each.digest for each in repository.referrers(Digest(subject["digest"]))] == [root.digest]


def test_many_referrers_at_once_are_all_listed(any_registry: Registry, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "image")
    subject = make_image(tmp_path / "image")
    client, name = client_of(any_registry, tmp_path), fresh()
    push(tmp_path / "image", "v1", client, name)
    kinds = [f"application/vnd.test.n{number}" for number in range(6)]
    for kind in kinds:
        layout.tag(kind.rpartition(".")[2], layout.artifact(kind, subject=subject))
    threads = [
        threading.Thread(target=push, args=(tmp_path / "image", tag, client, name, tag))
        for tag in (kind.rpartition(".")[2] for kind in kinds)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = RegistryRepository(client, name).referrers(Digest(subject["digest"]))
    assert sorted(each.artifact_type for each in found) == sorted(kinds)
