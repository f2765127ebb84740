"""Proof that each real part is real, and works as the starters of tests.parts promise."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from botocore.exceptions import ClientError

from tests.parts.engine import Engine
from tests.parts.fixtures import StartRegistry
from tests.parts.images import Layout, make_image, tar_of
from tests.parts.need import run
from tests.parts.registry import Auth, Registry
from tests.parts.s3 import S3Service
from tests.parts.system import NetworkNamespace
from tests.parts.trivy import Trivy, trivy_cache

pytestmark = pytest.mark.e2e


def crane_round_trip(registry: Registry, folder: Path) -> None:
    """Push a layout and pull it again: the digest is the same."""
    root = make_image(folder / "in", platforms=["linux/amd64", "linux/arm64"])
    target = f"{registry.host}/library/hello:v1"
    env = registry.client_env()
    run("crane", "push", folder / "in", target, env=env)
    assert run("crane", "digest", target, env=env).strip() == root["digest"]
    run("crane", "pull", "--format=oci", target, folder / "out", env=env)
    assert Layout(folder / "out").entries()[0]["digest"] == root["digest"]


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("auth", [None, "basic", "token"], ids=["open", "basic", "token"])
def test_registry_variants(
    start_registry: StartRegistry, tmp_path: Path, version: int, auth: Auth | None, tls: bool
) -> None:
    registry = start_registry(version=version, auth=auth, tls=tls, storage="inmemory")
    crane_round_trip(registry, tmp_path)
    if auth == "token":
        assert registry.tokens is not None
        pushed = [each for each in registry.tokens.requests if "library/hello" in str(each)]
        assert pushed
        assert {each.status for each in pushed} == {200}


def test_shared_registries(any_registry: Registry, tmp_path: Path) -> None:
    crane_round_trip(any_registry, tmp_path)
    assert any_registry.root is not None
    assert any_registry.root.is_dir()


def test_wrong_password(start_registry: StartRegistry) -> None:
    registry = start_registry(auth="basic")
    registry.password = "wrong"
    with pytest.raises(AssertionError, match="UNAUTHORIZED"):
        run("crane", "catalog", registry.host, env=registry.client_env())


def test_tokens_without_the_permission(start_registry: StartRegistry, tmp_path: Path) -> None:
    registry = start_registry(auth="token")
    assert registry.tokens is not None
    registry.tokens.permission = lambda user, kind, name, action: action == "pull"
    with pytest.raises(AssertionError, match=r"401|UNAUTHORIZED|DENIED"):
        crane_round_trip(registry, tmp_path)


@pytest.mark.parametrize("version", [2, 3])
def test_registry_restart(start_registry: StartRegistry, tmp_path: Path, version: int) -> None:
    registry = start_registry(version=version)
    crane_round_trip(registry, tmp_path)
    host = registry.host
    registry.restart()
    assert registry.host == host
    assert run("crane", "ls", f"{host}/library/hello").split() == ["v1"]


def test_no_referrers_api(any_registry: Registry) -> None:
    url = f"{any_registry.url}/v2/a/referrers/sha256:{'0' * 64}"
    with pytest.raises(urllib.error.HTTPError) as caught, urllib.request.urlopen(url):
        pass
    assert caught.value.code == 404
    caught.value.close()


def test_layouts(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "images")
    inner = layout.index(layout.image({"a": b"1"}), layout.image({"a": b"2"}, platform="linux/arm/v7"))
    root = layout.tag("nested", layout.index(inner))
    tag = layout.signature_tag(root)
    referrer = layout.artifact("text/plain", ("text/plain", b"note"), subject=root)
    layout.fallback_tag(root, referrer)
    assert tag.endswith(".sig")
    again = Layout(tmp_path / "again")
    one = again.image({"a": b"1"})
    assert json.loads(layout.read(inner["digest"]))["manifests"][0] == one
    seen = run("skopeo", "inspect", "--raw", f"oci:{layout.folder}:nested")
    assert json.loads(seen)["manifests"][0]["digest"] == inner["digest"]


def test_s3(any_s3: S3Service) -> None:
    bucket = any_s3.new_bucket()
    client = any_s3.client()
    client.put_object(Bucket=bucket, Key="a/b", Body=b"content", ChecksumAlgorithm="SHA256")
    assert client.get_object(Bucket=bucket, Key="a/b")["Body"].read() == b"content"
    with pytest.raises(ClientError, match=r"PreconditionFailed|412"):
        client.put_object(Bucket=bucket, Key="a/b", Body=b"other", IfNoneMatch="*")
    stranger = any_s3.client(aws_secret_access_key="wrong")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        stranger.get_object(Bucket=bucket, Key="a/b")


def test_engine(podman_api: Engine, tmp_path: Path) -> None:
    make_image(tmp_path / "in")
    loaded = podman_api.load(tar_of(tmp_path / "in", tmp_path / "in.tar"))
    client = docker.DockerClient(base_url=podman_api.docker_host)
    try:
        image = client.images.get(loaded)
        assert image.attrs["Architecture"] == "amd64"
        assert b"".join(image.save(named=False))
    finally:
        client.close()


def test_debian_image(debian_image: Path, distribution3: Registry, tmp_path: Path) -> None:
    (root,) = Layout(debian_image).entries()
    target = f"{distribution3.host}/debian:bookworm"
    run("crane", "push", debian_image, target)
    assert run("crane", "digest", target).strip() == root["digest"]
    run("crane", "export", target, tmp_path / "root.tar")
    with tarfile.open(tmp_path / "root.tar") as archive:
        assert {"./bin/busybox", "bin/busybox"} & set(archive.getnames())


def test_network_namespace(netns: NetworkNamespace, distribution3: Registry, start_registry: StartRegistry) -> None:
    assert netns.run(["ip", "route"]).stdout == ""
    outside = urllib.request.Request(f"{distribution3.url}/v2/")
    with netns.entered():
        inside = start_registry()
        assert run("crane", "catalog", inside.host) == ""
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(outside)
    with urllib.request.urlopen(outside) as answer:
        assert answer.status == 200
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{inside.url}/v2/")
    script = "import sys, urllib.request as u; u.urlopen(sys.argv[1])"
    netns.run([sys.executable, "-c", script, f"{inside.url}/v2/"])


def test_tiny_disk(tiny_tmpfs: Callable[[int], Path]) -> None:
    disk = tiny_tmpfs(1 << 20)
    with pytest.raises(OSError, match="No space left"):
        (disk / "file").write_bytes(bytes(2 << 20))


@pytest.mark.part("oras", "helm", "cosign", "regctl")
@pytest.mark.parametrize("name", ["oras", "helm", "cosign", "regctl"])
def test_clients(name: str) -> None:
    assert run(name, "version")


@pytest.mark.parametrize(("name", "option"), [("buildah", "version"), ("containerd", "--version"), ("nginx", "-v")])
def test_programs(name: str, option: str) -> None:
    run(name, option)


def test_trivy(any_trivy: Trivy, tmp_path: Path) -> None:
    """Both versions find a published vulnerability without a network."""
    layout = Layout(tmp_path / "images")
    apk = b"P:apk-tools\nV:2.10.4-r2\nA:x86_64\no:apk-tools\n\n"
    image = layout.tag("v1", layout.image({"etc/alpine-release": b"3.10.0\n", "lib/apk/db/installed": apk}))
    done = subprocess.run(
        [
            *(any_trivy.program, "image", "--cache-dir", trivy_cache(tmp_path / "cache"), "--skip-db-update"),
            *("--offline-scan", "--scanners", "vuln", "--format", "json", "--quiet"),
            *("--input", f"{layout.folder}@{image['digest']}"),
        ],
        capture_output=True,
        check=True,
    )
    assert b'"CVE-2021-36159"' in done.stdout
    said = subprocess.run([any_trivy.program, "--version"], capture_output=True, check=True, text=True).stdout
    assert said.split() == ["Version:", any_trivy.version]
