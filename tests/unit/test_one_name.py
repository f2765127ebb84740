"""The one name of a place: addresses that lead to one place have one name, and what has two readings has none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.base.errors import InputError
from airgap.content.item import Item
from airgap.content.names import RuleNames, claimed_place, repository_name, url_name
from airgap.content.reference import is_host, parse_reference, plain_host
from airgap.destinations.mapping import map_prefix
from airgap.kinds.table import kind_named, rule_names
from airgap.net.origin import Origin

SEGMENT = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["C", "Z"]), min_size=1)
SEGMENTS = st.lists(SEGMENT.filter(lambda text: text not in (".", "..") and "\\" not in text and "%" not in text))


@given(
    SEGMENTS,
    st.sampled_from(["", ":443", ":0443", ":8443"]),
    st.sampled_from(["https://git.example", "HTTPS://GIT.Example"]),
)
def test_one_place_has_one_name(segments: list[str], port: str, server: str) -> None:
    raw = "".join(f"/{quote(one, safe='')}" for one in segments)
    every = "".join("/" + "".join(f"%{byte:02x}" for byte in one.encode()) for one in segments)
    first, second = url_name(f"{server}{port}{raw}"), url_name(f"https://git.example{port}//{every}/?x=1")
    assert first == second
    assert first.startswith("git.example:8443" if port == ":8443" else "git.example")


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_name_has_the_host_that_a_program_would_ask(host: str, path: str) -> None:
    url = f"https://{host}/{path}"
    try:
        name = url_name(url)
    except InputError:
        return
    assert Origin.of(url).netloc.encode("ascii")
    assert name.partition("/")[0] == plain_host(str(urlsplit(url).netloc))
    assert not {"", ".", ".."} & set(name.split("/"))
    assert name.isprintable()


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example./x",
        "https://a..example/x",
        "https://user@a.example/x",
        "https://a.example:0/x",
        "https://a.example:65536/x",
        "https://127.1/x",
        "https://0x7f000001/x",
        "https://010.0.0.1/x",
        "https://[::1/x",
        "https://[::zz]/x",
        "https://bücher.example/x",
        "https://a.example/%",
        "https://a.example/x;y/z",
        "https://a.example/%0a",
        "https://a.example/%c3%28",
        "https://a.example/%252e%252e",
        "https://a.example/x/%2E./y",
        "https://a.example\\x",
        "https:/a.example/x",
        "//a.example/x",
        " https://a.example/x",
        "https://a.example/x#y",
        "https://a.\u200bexample/x",
    ],
)
def test_what_has_two_readings_has_no_name(url: str) -> None:
    with pytest.raises(InputError) as caught:
        url_name(url)
    assert (caught.value.code, "user" in url and "user@" in caught.value.what) == ("bad-url", False)


@pytest.mark.parametrize("suffix", ["", ".git", ".GIT", ".git/", "/"])
def test_a_repository_has_no_suffix(suffix: str) -> None:
    assert repository_name(f"https://github.com/acme/app{suffix}") == "github.com/acme/app"


@pytest.mark.parametrize("path", ["", "/", "/.git", "/a.git.git", "/a//b", "/a%2Fb", "/a?b", "//a", "/a/.git"])
def test_what_is_no_repository(path: str) -> None:
    with pytest.raises(InputError, match="not a repository's URL"):
        repository_name(f"https://github.com{path}")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("docker.io/library/nginx:1.27", "docker.io/library/nginx"),
        ("docker.io/nginx:1.27", "docker.io/library/nginx"),
        ("index.docker.io:443/library/nginx@sha256:00", "docker.io/library/nginx"),
        ("oci://GHCR.io/lab/x:1", "ghcr.io/lab/x"),
        ("https://github.com//lab/x.git", "github.com/lab/x"),
        ("localhost/x", "localhost/x"),
        ("alpine", ""),
        ("alpine:3.20", ""),
        ("team/app", ""),
        ("openova", ""),
    ],
)
def test_a_name_that_claims_a_place(text: str, name: str) -> None:
    assert claimed_place(text) == name


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("GHCR.io:443", "ghcr.io"),
        ("ghcr.io:0443", "ghcr.io"),
        ("ghcr.io:05000", "ghcr.io:5000"),
        ("Index.Docker.IO", "docker.io"),
        ("registry-1.docker.io:443", "docker.io"),
        ("registry-1.docker.io:5000", "registry-1.docker.io:5000"),
        ("[0:0::1]:443", "[::1]"),
        ("127.0.0.1:*", "127.0.0.1:*"),
        ("*.example.org", "*.example.org"),
    ],
)
def test_a_host_in_its_usual_spelling(text: str, plain: str) -> None:
    assert plain_host(text) == plain
    assert plain_host(plain) == plain


@given(st.from_regex(r"[a-zA-Z0-9.:\[\]_-]{1,20}", fullmatch=True))
def test_a_host_keeps_its_spelling(text: str) -> None:
    assert plain_host(plain_host(text)) == plain_host(text)
    if is_host(text):
        assert is_host(plain_host(text))
        assert re.fullmatch(r"[a-z0-9.:\[\]_-]+", plain_host(text))


def test_a_reference_names_the_registry_once() -> None:
    assert parse_reference("oci://registry-1.docker.io/bitnami/redis:1").name == "docker.io/bitnami/redis"
    assert str(parse_reference("GHCR.io:0443/acme/app:1")) == "ghcr.io/acme/app:1"


def test_a_key_of_a_sovereign_means_a_place_and_no_spelling() -> None:
    assert map_prefix("docker.io/bitnami/redis", {"registry-1.docker.io": "hub"}, "projects") == "hub/bitnami/redis"
    two = {"registry-1.docker.io": "other", "docker.io": "hub"}
    assert map_prefix("docker.io/bitnami/redis", two, "projects") == "hub/bitnami/redis"
    assert map_prefix("ghcr.io/a/b", {"GHCR.io:443/a": "x"}, "projects") == "x/b"


def test_the_names_of_an_item() -> None:
    own = RuleNames("ghcr.io/a", (("ghcr.io/a",),))
    assert (own.deciding, own.foreign, list(own)) == (("ghcr.io/a",), (), ["ghcr.io/a"])
    local = RuleNames("", (("a/b", "huggingface.co/a/b"), ("ghcr.io/a",)))
    assert (local.deciding, local.foreign) == (("a/b", "huggingface.co/a/b"), (("ghcr.io/a",),))


def golden() -> Iterator[tuple[str, str, str]]:
    """Kind, source and name of each line."""
    for line in (Path(__file__).parents[1] / "golden/locks/sources.txt").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            said, _, name = line.partition(" → ")
            kind, _, source = said.partition(" ")
            yield kind, source.encode("raw_unicode_escape").decode("unicode_escape"), name


@pytest.mark.parametrize(("kind", "source", "name"), list(golden()))
def test_a_source_is_named_as_it_always_was(kind: str, source: str, name: str) -> None:
    item = Item("registry.local/x:1", kind, source)
    if name == "refused":
        assert kind_named(kind).source_complaint(source).isprintable()
        assert kind_named(kind).source_complaint(source)
    else:
        assert not kind_named(kind).source_complaint(source)
        assert rule_names(item).origin == name
