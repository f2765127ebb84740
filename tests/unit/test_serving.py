"""The read-only registry below its command: names, ranges, pages, what is cut off, and the limits of the server."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.content.graph import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Descriptor
from airgap.content.item import Attached
from airgap.serving import server as serving
from airgap.serving.answers import Asked, Reply, answer
from airgap.serving.catalog import Catalog
from airgap.serving.mirrors import configuration, hosts_toml
from airgap.serving.server import AccessLine, RegistryServer
from airgap.store.memory import Memory

LAYER = b"layer" * 1000


class Rotten(Memory):
    """A store in which one blob has other bytes than its digest says."""

    bad: Digest | None = None

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        with super().open(descriptor, 0) as stream:
            data = stream.read()
        return BytesIO((b"X" + data[1:] if descriptor.digest == self.bad else data)[offset:])


def image(store: Memory, text: bytes = LAYER, **more: object) -> Descriptor:
    config = store.add(OCI_CONFIG, b"{}")
    layer = store.add("application/vnd.oci.image.layer.v1.tar", text)
    document = {"schemaVersion": 2, "config": config.as_dict(), "layers": [layer.as_dict()], **more}
    return store.add(OCI_MANIFEST, json.dumps(document).encode())


@pytest.fixture
def store() -> Rotten:
    return Rotten()


@pytest.fixture
def catalog(store: Rotten) -> Catalog:
    made = Catalog(store)
    for tag in ("1", "2", "10"):
        made.add("docker.io/library/alpine", tag, image(store))
    return made


def get(catalog: Catalog, target: str, **headers: str) -> Reply:
    return answer(catalog, Asked("GET", target, headers))


def code(made: Reply) -> tuple[int, str]:
    return made.status, json.loads(made.body)["errors"][0]["code"]


def test_one_repository_has_the_names_that_clients_ask_for(catalog: Catalog) -> None:
    for target in (
        "/v2/docker.io/library/alpine/manifests/1",
        "/v2/library/alpine/manifests/1?ns=docker.io",
        "/v2/docker.io/library/alpine/manifests/1?ns=docker.io",
        "/v2/library/alpine/manifests/1",
    ):
        assert get(catalog, target).status == 200, target
    for target in (
        "/v2/library/alpine/manifests/1?ns=quay.io",
        "/v2/docker.io/library/alpine/manifests/1?ns=quay.io",
        "/v2/quay.io/library/alpine/manifests/1",
        "/v2/alpine/manifests/1",
    ):
        assert code(get(catalog, target)) == (404, "NAME_UNKNOWN"), target


def test_errors_are_those_of_the_spec(catalog: Catalog) -> None:
    at = "/v2/docker.io/library/alpine"
    nothing = f"sha256:{'0' * 64}"
    for target, expected in (
        (f"{at}/manifests/3", (404, "MANIFEST_UNKNOWN")),
        (f"{at}/manifests/{nothing}", (404, "MANIFEST_UNKNOWN")),
        (f"{at}/manifests/sha256:x", (400, "DIGEST_INVALID")),
        (f"{at}/blobs/{nothing}", (404, "BLOB_UNKNOWN")),
        (f"{at}/blobs/x", (400, "DIGEST_INVALID")),
        (f"{at}/referrers/x", (400, "DIGEST_INVALID")),
        (f"{at}/tags/other", (404, "UNSUPPORTED")),
        (f"{at}/tags/list?n=x", (400, "PAGINATION_NUMBER_INVALID")),
        ("/v2/UPPER/manifests/1", (400, "NAME_INVALID")),
        ("/v2/a/../b/manifests/1", (400, "NAME_INVALID")),
        ("/etc/passwd", (404, "UNSUPPORTED")),
        ("http://other/v2/", (404, "UNSUPPORTED")),
        (f"/v2/?{'a=b&' * 30}", (400, "UNSUPPORTED")),
    ):
        assert code(get(catalog, target)) == expected, target
    assert get(catalog, f"{at}/referrers/{nothing}").status == 200  # nothing refers to it


def test_tags_come_in_pages_in_their_order(catalog: Catalog) -> None:
    seen, target = list[str](), "/v2/library/alpine/tags/list?ns=docker.io&n=2"
    while target:
        made = get(catalog, target)
        seen += json.loads(made.body)["tags"]
        target = made.headers.get("Link", "").partition("<")[2].partition(">")[0]
    assert seen == ["1", "10", "2"]
    assert json.loads(get(catalog, "/v2/library/alpine/tags/list?n=0").body)["tags"] == []


NUMBERS = st.just("") | st.integers(0, 40).map(str)


@given(st.builds("bytes={}-{}".format, NUMBERS, NUMBERS) | st.text("bytes=-01, ", max_size=9), st.integers(0, 30))
def test_a_range_is_what_the_rfc_says_or_everything(header: str, size: int) -> None:
    store = Memory()
    made = Catalog(store)
    made.add("a", "1", image(store, bytes(size)))
    blob = Descriptor.of("", bytes(size))
    found = get(made, f"/v2/a/blobs/{blob.digest}", range=header)
    assert found.status in (200, 206, 416)
    if found.status == 200:
        assert (found.first, found.length) == (0, size)
    elif found.status == 206:
        assert 0 <= found.first < found.first + found.length <= size
        first, last = header.removeprefix("bytes=").split("-")
        assert not first or found.first == int(first)
        assert not first or not last or found.length == min(int(last), size - 1) - int(first) + 1
        assert first or found.length == min(int(last), size)


def test_what_refers_is_found_and_filtered(store: Rotten) -> None:
    made, root = Catalog(store), image(store)
    signature = image(store, b"s", artifactType="a/b", subject=root.as_dict(), annotations={"k": "v"})
    older = image(store, b"o")
    attached = (
        Attached(root.digest, "referrer", signature),
        Attached(root.digest, "referrer", older),  # it names no subject: an index of referrers did
        Attached(root.digest, "tag", older, f"sha256-{root.digest.hex}.sig"),
    )
    made.add("x.io/a", "1", root, (), attached)
    listed = json.loads(get(made, f"/v2/x.io/a/referrers/{root.digest}").body)["manifests"]
    assert [(one["digest"], one["artifactType"]) for one in listed] == [
        (signature.digest, "a/b"),
        (older.digest, OCI_CONFIG),
    ]
    assert listed[0]["annotations"] == {"k": "v"}
    filtered = get(made, f"/v2/x.io/a/referrers/{root.digest}?artifactType=a/b")
    assert filtered.headers["OCI-Filters-Applied"] == "artifactType"
    assert len(json.loads(filtered.body)["manifests"]) == 1
    assert get(made, f"/v2/x.io/a/manifests/sha256-{root.digest.hex}.sig").status == 200


def test_with_platforms_the_tag_names_what_a_registry_would_get_and_the_index_is_there_by_digest(store: Rotten) -> None:
    children = [
        {**image(store, name.encode()).as_dict(), "platform": {"os": "linux", "architecture": name}}
        for name in ("amd64", "arm64", "s390x")
    ]
    index = store.add(OCI_INDEX, json.dumps({"schemaVersion": 2, "manifests": children}).encode())
    one, two = Catalog(store), Catalog(store)
    one.add("a", "1", index, ("linux/arm64",))
    two.add("a", "1", index, ("linux/amd64", "linux/arm64"))
    for made, tags in ((one, [children[1]["digest"]]), (two, [child["digest"] for child in children[:2]])):
        named = get(made, "/v2/a/manifests/1")
        listed = json.loads(named.body).get("manifests")
        assert tags == ([child["digest"] for child in listed] if listed else [named.headers["Docker-Content-Digest"]])
        assert get(made, f"/v2/a/manifests/{index.digest}").status == 200
        assert get(made, f"/v2/a/manifests/{children[2]['digest']}").status == 404


def test_one_tag_for_two_things_is_refused(store: Rotten) -> None:
    made = Catalog(store)
    made.add("a", "1", image(store))
    made.add("a", "1", image(store))
    with pytest.raises(InputError, match="name-collision"):
        made.add("a", "1", image(store, b"other"))


def test_the_configuration_asks_nobody_else() -> None:
    text = hosts_toml("docker.io", "https://10.0.0.5:5000", "/etc/ca.pem")
    tomllib = pytest.importorskip("tomllib")
    parsed = tomllib.loads(text)
    there = "https://10.0.0.5:5000/v2/docker.io"
    table = {"capabilities": ["pull", "resolve"], "override_path": True, "ca": "/etc/ca.pem"}
    assert parsed == {"server": there, "host": {there: table}, **table}
    assert set(configuration(["docker.io"], "http://a:1")) == {
        "/etc/containerd/certs.d/docker.io/hosts.toml",
        "/etc/rancher/k3s/registries.yaml",
    }


# --- the server ---------------------------------------------------------------------------------


@contextmanager
def running(catalog: Catalog) -> Iterator[tuple[RegistryServer, list[AccessLine]]]:
    heard: list[AccessLine] = []
    server = RegistryServer(("127.0.0.1", 0), catalog, heard.append)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server, heard
    finally:
        server.shutdown()
        thread.join()
        server.stop()


def fetch(server: RegistryServer, path: str, **headers: str) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        connection.request("GET", path, headers=headers)
        found = connection.getresponse()
        return found.status, found.read()


def test_no_way_of_asking_gives_all_of_a_damaged_blob(catalog: Catalog, store: Rotten) -> None:
    blob = Descriptor.of("", LAYER)
    path, size = f"/v2/library/alpine/blobs/{blob.digest}", len(LAYER)
    with running(catalog) as (server, heard):
        assert fetch(server, path) == (200, LAYER)
        assert fetch(server, path, Range=f"bytes={size - 5}-") == (206, LAYER[-5:])
        store.bad = blob.digest
        for asked in ({}, {"Range": "bytes=0-"}, {"Range": f"bytes={size - 1}-{size}"}, {"Range": "bytes=-9"}):
            with pytest.raises(http.client.IncompleteRead):
                fetch(server, path, **asked)
        assert fetch(server, path, Range=f"bytes=0-{size - 2}")[0] == 206
    assert [bool(one.fault) for one in heard] == [False, False, True, True, True, True, False]


def test_a_damaged_manifest_is_not_given(catalog: Catalog, store: Rotten) -> None:
    store.bad = catalog.repositories["docker.io/library/alpine"].tags["1"].digest
    assert code(get(catalog, "/v2/library/alpine/manifests/1")) == (500, "UNKNOWN")


def test_a_connection_that_waits_gives_its_place_to_others(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MAX_CONNECTIONS", 1)
    monkeypatch.setattr(serving, "POLL", 0.05)
    with running(catalog) as (server, _), closing(http.client.HTTPConnection("127.0.0.1", server.port)) as kept:
        for _ in range(2):
            kept.request("GET", "/v2/")
            assert kept.getresponse().read() == b"{}"
        began = time.monotonic()
        assert fetch(server, "/v2/") == (200, b"{}")
        assert time.monotonic() - began < 5


def test_connections_and_heads_have_limits(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MAX_CONNECTIONS", 2)
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.3)
    with running(catalog) as (server, _):
        began = time.monotonic()
        slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2)]
        for one in slow:
            one.sendall(b"GET /v2/ HT")
        # The third waits until a slow one was cut off, and is answered then.
        assert fetch(server, "/v2/") == (200, b"{}")
        assert 0.2 < time.monotonic() - began < 5
        for one in slow:
            one.settimeout(5)
            assert one.recv(100) == b""
            one.close()
