"""Proof that the fault proxy breaks exactly what it is told to, and nothing else."""

from __future__ import annotations

import hashlib
import http.client
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from tests.parts.fault_proxy import FaultProxy
from tests.parts.fixtures import MakeProxy
from tests.parts.images import Layout, make_image
from tests.parts.need import run
from tests.parts.registry import Registry
from tests.parts.web import Handler, Server, send_file

pytestmark = pytest.mark.e2e
SIZE = 3_000_000


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Server]:
    """Serves one file with ranges, and takes uploads."""
    path = tmp_path / "blob"
    path.write_bytes(hashlib.shake_128(b"blob").digest(SIZE))

    class Files(Handler):
        def do_GET(self) -> None:
            given = self.headers.get("Range")
            start = int(given.removeprefix("bytes=").partition("-")[0]) if given else 0
            self.send_response(206 if given else 200)
            self.send_header("Content-Length", str(SIZE - start))
            self.end_headers()
            send_file(self, path, start)

        def do_PUT(self) -> None:
            self.answer(201, str(sum(map(len, self.body()))).encode())

    server = Server(Files)
    yield server
    server.stop()


@pytest.fixture
def proxy(upstream: Server, fault_proxy: MakeProxy) -> FaultProxy:
    return fault_proxy(upstream.url)


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        yield made


def blob(tmp_path: Path) -> bytes:
    return (tmp_path / "blob").read_bytes()


def received(session: requests.Session, url: str, **options: object) -> bytes:
    """What arrives of a body until it ends or breaks."""
    got = b""
    with session.get(url, stream=True, headers={"Accept-Encoding": "identity"}) as response:
        try:
            while piece := response.raw.read1(1 << 16):
                got += piece
        except (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError):
            pass
    return got


def test_without_rules(proxy: FaultProxy, session: requests.Session, tmp_path: Path) -> None:
    for _ in range(3):
        assert session.get(proxy.url + "/b").content == blob(tmp_path)
    assert proxy.served("/b") == 3 * SIZE
    assert proxy.count("GET", "/b") == 3
    assert session.put(proxy.url + "/u", data=b"x" * SIZE).text == str(SIZE)
    chunks = (b"y" * 70_000 for _ in range(20))
    assert session.put(proxy.url + "/u", data=chunks).text == str(20 * 70_000)
    assert proxy.taken("/u") == SIZE + 20 * 70_000


@pytest.mark.parametrize(("what", "size"), [({"cut_at": 0.95}, int(SIZE * 0.95)), ({"cut_after": 1000}, 1000)])
def test_cut(proxy: FaultProxy, session: requests.Session, tmp_path: Path, what: dict[str, Any], size: int) -> None:
    proxy.fault("GET", "/b", times=1, **what)
    assert received(session, proxy.url + "/b") == blob(tmp_path)[:size]
    assert session.get(proxy.url + "/b").content == blob(tmp_path)


def test_cut_of_an_upload(proxy: FaultProxy, session: requests.Session) -> None:
    proxy.fault("PUT", times=1, cut_request_after=1_000_000)
    with pytest.raises(requests.ConnectionError):
        session.put(proxy.url + "/u", data=b"x" * SIZE)
    assert proxy.taken() == 1_000_000
    assert session.put(proxy.url + "/u", data=b"x" * SIZE).text == str(SIZE)


def test_ranges_ignored(proxy: FaultProxy, session: requests.Session) -> None:
    headers = {"Range": "bytes=1000-"}
    assert session.get(proxy.url, headers=headers).status_code == 206
    proxy.fault(ignore_range=True)
    answer = session.get(proxy.url, headers=headers)
    assert (answer.status_code, len(answer.content)) == (200, SIZE)


def test_status_and_refusal(proxy: FaultProxy, session: requests.Session) -> None:
    proxy.fault("GET", skip=1, times=1, status=429, retry_after="7", body=b"slow down")
    proxy.fault("GET", skip=2, times=1, refuse=True)
    proxy.fault("PUT", lost_answer=True)
    assert session.get(proxy.url).status_code == 200
    answer = session.get(proxy.url)
    assert (answer.status_code, answer.headers["Retry-After"], answer.text) == (
        429,
        "7",
        "slow down",
    )
    assert session.get(proxy.url).status_code == 200
    with pytest.raises(requests.ConnectionError):
        session.get(proxy.url)
    with pytest.raises(requests.ConnectionError):
        session.put(proxy.url, data=b"done, but never told")


def test_lies(proxy: FaultProxy, session: requests.Session, tmp_path: Path) -> None:
    good = blob(tmp_path)
    proxy.fault(times=1, flip_at=2_000_000)
    got = session.get(proxy.url).content
    assert [at for at in range(SIZE) if got[at] != good[at]] == [2_000_000]
    proxy.fault(times=1, replace=b"something else")
    assert session.get(proxy.url).content == b"something else"
    proxy.fault(times=1, length_delta=-10)
    assert session.get(proxy.url).content == good[:-10]
    proxy.fault(times=1, length_delta=10)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        session.get(proxy.url).content  # noqa: B018


def test_slowness(proxy: FaultProxy, session: requests.Session, tmp_path: Path) -> None:
    proxy.fault(times=1, delay=0.2, stall_after=1000, stall=0.2)
    start = time.monotonic()
    assert session.get(proxy.url).content == blob(tmp_path)
    assert time.monotonic() - start > 0.4
    proxy.fault(times=1, bytes_per_second=SIZE * 4)
    start = time.monotonic()
    assert session.get(proxy.url).content == blob(tmp_path)
    assert time.monotonic() - start > 0.24


def test_secrets_are_not_recorded(proxy: FaultProxy, session: requests.Session) -> None:
    session.get(proxy.url, auth=("me", "secret"))
    assert proxy.requests[0].headers["authorization"] == "(left out)"


def test_in_front_of_a_registry(any_registry: Registry, fault_proxy: MakeProxy, tmp_path: Path) -> None:
    proxy = fault_proxy(any_registry.url)
    root = make_image(tmp_path / "in", layers=[{"big": b"0123456789" * 300_000}])
    run("crane", "push", tmp_path / "in", f"{proxy.host}/faults:v1")
    assert run("crane", "digest", f"{proxy.host}/faults:v1").strip() == root["digest"]
    layer = max(proxy.requests, key=lambda each: proxy.sent[each.path])
    proxy.fault("GET", "/blobs/", flip_at=5)
    with pytest.raises(AssertionError):
        run("crane", "pull", "--format=oci", f"{proxy.host}/faults:v1", tmp_path / "out")
    assert layer.status
    assert Layout(tmp_path / "in").entries()
