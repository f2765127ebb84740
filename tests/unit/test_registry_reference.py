"""References: written in full, and nothing guessed."""

from __future__ import annotations

import pytest

from airgap.base.errors import InputError
from airgap.content.reference import (
    full_name,
    is_referrers_tag,
    is_signature_tag,
    local_scheme,
    parse_reference,
    referrers_tag,
    split_reference,
    subject_of,
)
from airgap.net.config import HostConfig
from airgap.net.http import Client
from airgap.resources.references import image_complaint
from airgap.store.registry.client import RegistryClient

HEX = "a" * 64


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag", "wanted"),
    [
        ("docker.io/library/alpine:3.20", "docker.io", "library/alpine", "3.20", "3.20"),
        ("localhost/x:1", "localhost", "x", "1", "1"),
        ("h:5000/a/b_c__d-e.f:V1.0_x", "h:5000", "a/b_c__d-e.f", "V1.0_x", "V1.0_x"),
        (f"ghcr.io/a/b@sha256:{HEX}", "ghcr.io", "a/b", "", f"sha256:{HEX}"),
        (f"ghcr.io/a/b:1@sha256:{HEX}", "ghcr.io", "a/b", "1", f"sha256:{HEX}"),
        (
            "oci://ghcr.io/openova-io/bp-cilium:1.1.1",
            "ghcr.io",
            "openova-io/bp-cilium",
            "1.1.1",
            "1.1.1",
        ),
        ("[::1]:5000/x:1", "[::1]:5000", "x", "1", "1"),
        ("GHCR.io/a/b:1", "ghcr.io", "a/b", "1", "1"),
    ],
)
def test_full_references(text: str, host: str, repository: str, tag: str, wanted: str) -> None:
    found = parse_reference(text)
    assert (found.host, found.repository, found.tag, found.wanted) == (
        host,
        repository,
        tag,
        wanted,
    )
    assert parse_reference(str(found)) == found


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("alpine:3.20", "docker.io/library/alpine:3.20"),
        ("alpine", "docker.io/library/alpine:latest"),
        ("bitnami/redis:7", "docker.io/bitnami/redis:7"),
        ("docker.io/alpine:3.20", "docker.io/library/alpine:3.20"),
        ("ghcr.io/a/b", "ghcr.io/a/b:latest"),
        ("ghcr.io/A/b:1", "lower case"),
    ],
)
def test_what_is_not_in_full_is_answered_with_what_was_meant(text: str, suggestion: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_reference(text, "request.yaml:7:5")
    assert suggestion in caught.value.hint
    assert str(caught.value).startswith("request.yaml:7:5: ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ghcr.io/",
        "ghcr.io//x:1",
        "ghcr.io/x/:1",
        "ghcr.io/../x:1",
        "ghcr.io/x:",
        "ghcr.io/x:-1",
        "ghcr.io/x:" + "1" * 129,
        "ghcr.io/" + "a" * 250 + ":1",
        "ghcr.io/x:a/b",
        "ghcr.io/x@sha512:" + "a" * 128,
        "ghcr.io/x@sha256:" + "A" * 64,
        f"ghcr.io/x@sha256:{HEX}@sha256:{HEX}",
        "ghcr.io/x?y:1",
        "ghcr.io/x y:1",
        "user@ghcr.io/x:1",
        "ghcr.io/x:1\n",
        "gh_cr.io/x:1",
    ],
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_reference(text)
    assert caught.value.code == "bad-reference"


def test_the_longest_names() -> None:
    parse_reference("ghcr.io/" + "a" * 247 + ":" + "1" * 128)


def test_the_fallback_tag() -> None:
    reference = parse_reference(f"h.x/a@sha256:{HEX}")
    assert reference.digest is not None
    tag = referrers_tag(reference.digest)
    assert tag == f"sha256-{HEX}"
    assert is_referrers_tag(tag)
    assert subject_of(tag) == reference.digest
    assert [is_referrers_tag(one) for one in (f"{tag}.sig", tag[:-1], f"{tag}\n")] == [False] * 3
    assert all(is_signature_tag(tag + suffix) for suffix in (".sig", ".att", ".sbom"))
    assert not any(is_signature_tag(one) for one in (tag, f"{tag}.", f"{tag}.sig.att", f"{tag}.other", "v1.sig"))


@pytest.mark.parametrize(
    ("ref", "scheme"),
    [
        ("oci:folder:v1", "oci"),
        ("oci:/srv/x", "oci"),
        ("oci-archive:x.tar", "oci-archive"),
        ("docker-daemon:app:1", "docker-daemon"),
        ("oci://ghcr.io/a/b:1", ""),
        ("oci://oci:5000/a/b:1", ""),
        ("ghcr.io/a/b:1", ""),
        ("localhost:5000/a:1", ""),
        ("oci", ""),
        ("directory:x", ""),
    ],
)
def test_what_lies_here_and_what_is_in_a_registry(ref: str, scheme: str) -> None:
    assert local_scheme(ref) == scheme


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("h:5000/a/b:1@sha256:x", ("h:5000", "a/b", "1", "sha256:x")),
        ("h.x/a", ("h.x", "a", "", "")),
        ("h.x/a:@", ("h.x", "a", ":", "@")),
        ("alpine:3", ("alpine", "", "3", "")),
        ("h.x/", ("h.x", "", "", "")),
    ],
)
def test_a_reference_falls_into_parts(text: str, parts: tuple[str, ...]) -> None:
    assert split_reference(text) == parts


@pytest.mark.parametrize(
    "ref", ["[::1.2.3.4]/a:1", "ghcr.io/" + "a" * 250 + ":1", "ghcr.io/x:-1", "ghcr.io/x@sha256:1"]
)
def test_a_request_and_a_store_refuse_the_same(ref: str) -> None:
    assert image_complaint(ref)
    with pytest.raises(InputError):
        parse_reference(ref)


@pytest.mark.parametrize(
    ("host", "config", "url"),
    [
        ("ghcr.io", HostConfig(), "https://ghcr.io/v2/library/x/tags/list"),
        ("h:5000", HostConfig(plain_http=True), "http://h:5000/v2/library/x/tags/list"),
        ("docker.io", HostConfig(), "https://registry-1.docker.io/v2/library/x/tags/list"),
        ("http://h:5000", HostConfig(), "http://h:5000/v2/library/x/tags/list"),
        ("https://v2.example.org/", HostConfig(), "https://v2.example.org/v2/library/x/tags/list"),
        (
            "docker.io",
            HostConfig(mirror="https://mirror.example.org/v2/hub/"),
            "https://mirror.example.org/v2/hub/library/x/tags/list",
        ),
        (
            "docker.io",
            HostConfig(mirror="https://mirror.example.org"),
            "https://mirror.example.org/v2/library/x/tags/list",
        ),
    ],
)
def test_where_a_registry_is_asked(host: str, config: HostConfig, url: str) -> None:
    name = host.partition("://")[2].rstrip("/") or host
    client = RegistryClient(host, Client({name: config}, zone="connected"))
    assert client.url(client.repository_path("library/x"), "tags/list") == url


@pytest.mark.parametrize("key", ["docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_is_reached_as_upstreams_says_under_any_of_its_names(key: str) -> None:
    config = HostConfig(mirror="https://mirror.example.org/v2")
    host = parse_reference("oci://registry-1.docker.io/bitnami/redis:1").host
    assert RegistryClient(host, Client({key: config}, zone="connected")).api == "https://mirror.example.org/v2"


@pytest.mark.parametrize("mirror", ["https://m.example.org/hub", "https://m.example.org/v2/hub?x=1"])
def test_a_mirror_is_an_api_address(mirror: str) -> None:
    with pytest.raises(InputError) as caught:
        RegistryClient("docker.io", Client({"docker.io": HostConfig(mirror=mirror)}, zone="connected"))
    assert caught.value.code == "bad-mirror"


def test_a_registrys_address_has_no_path() -> None:
    with pytest.raises(InputError):
        RegistryClient("https://harbor.example.org/project", Client(zone="gap"))


@pytest.mark.parametrize("ref", ["gh_cr.io/x:1", "my_host:5000/team/app:1"])
def test_a_request_takes_no_host_that_cannot_be_located(ref: str) -> None:
    assert "is not a registry host" in image_complaint(ref)


@pytest.mark.parametrize(
    ("name", "source", "full"),
    [
        ("ghcr.io/lab/app:1", "docker.io/library/pause:3.9", "ghcr.io/lab/app:1"),
        ("ghcr.io/lab/app:1", "oci:folder:v1", "ghcr.io/lab/app:1"),
        ("pause", "docker.io/library/pause:3.9", "docker.io/library/pause:3.9"),
        ("library/pause:3.9", "docker.io/library/pause:3.9", "docker.io/library/pause:3.9"),
        ("alpine", "docker.io/library/pause:3.9", ""),
        ("use:3.9", "docker.io/library/pause:3.9", ""),
        ("pause:3.8", "docker.io/library/pause:3.9", ""),
        ("app", "oci:folder:v1", ""),
    ],
)
def test_a_full_name_is_the_name_or_ends_with_it(name: str, source: str, full: str) -> None:
    assert full_name(name, source) == full
