"""`Client`: what it sends, what it repeats, where it follows, and how it fails."""

from __future__ import annotations

import http.client
import io
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import urllib3.exceptions as lib

from airgap.base.errors import InputError, IntegrityError, NotFoundError, UpstreamError
from airgap.net.config import HostConfig
from airgap.net.faults import TransportError, transport_error
from airgap.net.http import Client, Fixed, RequestBody, Response, Retries, Timeouts
from tests.parts import tls
from tests.parts.process import free_ports
from tests.parts.scripted import Answer, Scripted

Start = Callable[..., Scripted]
QUICK = Retries(attempts=4, base=0.0, jitter=0.0)


@pytest.fixture
def start() -> Iterator[Start]:
    """start(answers…) → a server that gives them in turn."""
    made: list[Scripted] = []

    def begin(*answers: Answer, **more: Any) -> Scripted:
        made.append(Scripted(*answers, **more))
        return made[-1]

    yield begin
    for server in made:
        server.stop()


def client(hosts: dict[str, HostConfig] | None = None, **more: Any) -> Client:
    """A client of the gap that repeats at once."""
    options: dict[str, Any] = {"zone": "gap", "retries": QUICK} | more
    return Client(hosts, **options)


# --- what it sends -------------------------------------------------------------------------------


def test_a_request_carries_an_id_and_asks_for_plain_content(start: Start) -> None:
    server = start()
    client(user_agent="airgap/1").request("GET", server.url)
    asked = server.asked[0].headers
    assert len(asked["x-request-id"]) == 16
    assert asked["accept-encoding"] == "identity"
    assert asked["user-agent"] == "airgap/1"


def test_cookies_are_never_sent_back(start: Start) -> None:
    server = start(Answer(headers={"Set-Cookie": "sid=abc; Path=/"}))
    one = client()
    one.request("GET", server.url)
    one.request("GET", server.url)
    assert "cookie" not in server.asked[1].headers


def test_netrc_and_proxies_of_the_environment_count_for_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = start()
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_ports(1)[0]}")
    client().request("GET", server.url, attempts=1)
    assert "authorization" not in server.asked[0].headers


def test_content_is_never_decoded(start: Start) -> None:
    server = start(Answer(body=b"\x1f\x8bnot gzip", headers={"Content-Encoding": "gzip"}))
    assert client().request("GET", server.url).data == b"\x1f\x8bnot gzip"


def test_connections_are_used_again(start: Start) -> None:
    server = start(Answer(body=b"x" * 100_000))
    one = client()
    ports = set()
    for _ in range(5):
        with one.open_stream(server.url) as stream:
            assert len(stream.read(-1)) == 100_000
        ports.add(len(one._pools._managers))
    assert ports == {1}
    pool = one._pools._managers[0].connection_from_url(server.url)
    assert pool.num_connections == 1


# --- bodies --------------------------------------------------------------------------------------


def test_a_body_is_sent_in_small_pieces() -> None:
    data = bytes(200_000)
    pieces = [len(piece) for piece in RequestBody.of(data).pieces()]
    assert pieces == [65536, 65536, 65536, 3392]


def test_a_body_is_opened_again_for_each_repetition(start: Start) -> None:
    server = start(Answer(503), Answer(drop=True), Answer(201))
    opened = []

    def give() -> BinaryIO:
        opened.append(1)
        return io.BytesIO(b"content")

    assert client().request("PUT", server.url, body=RequestBody(7, give)).status == 201
    assert [asked.body for asked in server.asked] == [b"content"] * 3
    assert len(opened) == 3


def test_a_body_that_ends_early_is_an_integrity_error_and_is_not_repeated(start: Start) -> None:
    server = start()
    with pytest.raises(IntegrityError) as caught:
        client().request("PUT", server.url, body=RequestBody(10, lambda: io.BytesIO(b"short")))
    assert caught.value.code == "truncated"
    assert server.asked == []


def test_a_fault_of_the_source_of_a_body_is_not_taken_for_one_of_the_peer(start: Start) -> None:
    server, calls = start(), []

    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            calls.append(1)
            raise TransportError("connection-lost", "the other side", request_id="another")

    with pytest.raises(TransportError, match="the other side"):
        client().request("PUT", server.url, body=RequestBody(5, Broken))  # type: ignore[arg-type]
    assert len(calls) == 1


# --- what it repeats -----------------------------------------------------------------------------


def test_retry_after_is_honoured_and_bounded(start: Start) -> None:
    waits: list[float] = []
    lines: list[str] = []
    server = start(
        Answer(429, headers={"Retry-After": "7"}),
        Answer(503, headers={"Retry-After": "86400"}),
        Answer(503, headers={"Retry-After": "rubbish"}),
        Answer(200, b"ok"),
    )
    one = client(sleep=waits.append, on_retry=lines.append)
    assert one.request("GET", server.url).data == b"ok"
    assert waits == [7, 120]
    assert [line.rpartition("; ")[2] for line in lines] == [
        "trying again in 7 s",
        "trying again in 120 s",
        "trying again",
    ]


def test_waits_grow_and_are_bounded(start: Start) -> None:
    waits: list[float] = []
    server = start(Answer(502))
    retries = Retries(attempts=6, base=1.0, longest=5.0, jitter=0.0)
    with pytest.raises(UpstreamError):
        client(sleep=waits.append, retries=retries).request("GET", server.url)
    assert waits == [2, 4, 5, 5]  # the first repetition comes at once


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_attempts_are_bounded(start: Start, status: int) -> None:
    server = start(Answer(status))
    with pytest.raises(UpstreamError) as caught:
        client().request("GET", server.url)
    assert caught.value.status == status
    assert len(server.asked) == QUICK.attempts


def test_what_is_not_idempotent_is_repeated_only_if_nobody_looked_at_it(start: Start) -> None:
    busy, broken, lost = (
        start(Answer(503), Answer(202)),
        start(Answer(500)),
        start(Answer(drop=True)),
    )
    assert client().request("POST", busy.url).status == 202
    for server in (broken, lost):
        with pytest.raises(UpstreamError):
            client().request("POST", server.url)
        assert len(server.asked) == 1
    assert client().request("POST", start(Answer(500), Answer(202)).url, idempotent=True).status == 202


def test_a_lost_connection_is_tried_again(start: Start) -> None:
    server = start(Answer(drop=True), Answer(200, b"half", length=8), Answer(200, b"whole"))
    assert client().request("GET", server.url).data == b"whole"


def test_silence_is_a_timeout(start: Start) -> None:
    server = start(Answer(stall=2.0), Answer(200, b"ok"))
    one = client(timeouts=Timeouts(read=0.2))
    assert one.request("GET", server.url).data == b"ok"
    slow = start(Answer(stall=2.0))
    with pytest.raises(TransportError) as caught:
        one.request("GET", slow.url, attempts=1)
    assert caught.value.code == "timeout"


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"),
        (b"HTTP/1.1 99999 x\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 2\r\n\r\n{}", "head"),
    ],
)
def test_what_is_not_http_is_said_so(said: bytes, word: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(TransportError, match=word):
            client().request("GET", f"http://127.0.0.1:{server.getsockname()[1]}/", attempts=1)
        thread.join()


def test_nobody_there_is_said_so() -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}/v2/"
    with pytest.raises(TransportError) as caught:
        client().request("GET", url)
    assert caught.value.code == "unreachable"
    assert not caught.value.sent


# --- how it fails --------------------------------------------------------------------------------


def test_a_404_is_its_own_error(start: Start) -> None:
    with pytest.raises(NotFoundError):
        client().request("GET", start(Answer(404)).url)


def test_an_error_has_the_servers_words_and_no_secret(start: Start) -> None:
    body = json.dumps({"errors": [{"code": "DENIED", "message": "no room\x1b[31m"}]}).encode()
    answer = Answer(403, body, {"Content-Type": "application/json", "X-Request-Id": "r-1"})
    url = start(answer).url.replace("://", "://user:pw@") + "/path?X-Amz-Signature=secret"
    with pytest.raises(UpstreamError) as caught:
        client().request("GET", url, auth=Fixed("Bearer hidden"))
    text = f"{caught.value!r} {caught.value.__cause__!r}"
    assert "DENIED: no room" in text
    assert "X-Request-Id r-1" in text
    assert "\x1b" not in text
    assert not any(secret in text for secret in ("secret", "pw", "hidden"))


def test_a_login_is_not_in_its_repr() -> None:
    assert "secret" not in repr(Fixed("Bearer secret"))


def test_an_answer_has_a_limit(start: Start) -> None:
    server = start(Answer(body=b"x" * 1001))
    with pytest.raises(UpstreamError) as caught:
        client().request("GET", server.url, limit=1000)
    assert caught.value.code == "answer-too-large"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"<html>"),
        ("application/json", b"<html>"),
        ("application/json", b'{"a":1,"a":2}'),
        ("text/html", b"{}"),
    ],
)
def test_what_is_not_json_is_said_so(start: Start, kind: str, body: bytes) -> None:
    response = client().request("GET", start(Answer(200, body, {"Content-Type": kind})).url)
    with pytest.raises(UpstreamError) as caught:
        response.json()
    assert caught.value.code == "not-json"


def test_a_bad_url_is_an_input_error() -> None:
    for url in ("ftp://host/x", "file:///etc/passwd", "https://", "nonsense", "http://h:port/"):
        with pytest.raises(InputError):
            client().request("GET", url)


LIBRARY = [
    lib.ProtocolError("Connection aborted.", http.client.RemoteDisconnected("gone")),
    lib.ReadTimeoutError(None, "http://h/?secret", "Read timed out."),  # type: ignore[arg-type]
    lib.IncompleteRead(5, 10),
    lib.SSLError(ssl.SSLError("bad record")),
    lib.LocationParseError("http://h/?secret"),
    lib.DecodeError("secret"),
    http.client.BadStatusLine("secret"),
    http.client.LineTooLong("header"),
    ConnectionResetError(104, "Connection reset by peer"),
    BrokenPipeError(32, "Broken pipe"),
    TimeoutError("timed out"),
    OSError("odd"),
]


@pytest.mark.parametrize("error", LIBRARY, ids=lambda error: type(error).__name__)
def test_every_library_fault_becomes_ours(start: Start, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    made = transport_error(error, "GET", "http://h/?secret", "id")
    assert isinstance(made, UpstreamError)
    assert "secret" not in f"{made} {made.hint}"
    one = client()
    response = one.request("GET", start(Answer(body=b"x" * 10)).url, stream=True)

    def broken(size: int) -> bytes:
        raise error

    monkeypatch.setattr(response._raw, "read", broken)
    with pytest.raises(UpstreamError):
        response.read(5)


# --- 401 and redirects ---------------------------------------------------------------------------


class Renewing:
    """An `Auth` with a new word after each refusal."""

    def __init__(self, words: list[str]) -> None:
        """Says the first of `words` to begin with."""
        self.words = words

    def authorization(self) -> str:
        """The current word."""
        return self.words[0]

    def refused(self, response: Response) -> bool:
        """Goes to the next."""
        assert response.status == 401
        del self.words[0]
        return bool(self.words)


def test_after_a_401_the_new_authorization_is_tried_once(start: Start) -> None:
    server = start(Answer(401), Answer(200))
    client().request("GET", server.url, auth=Renewing(["old", "new"]))
    assert [asked.headers["authorization"] for asked in server.asked] == ["old", "new"]
    stubborn = start(Answer(401))
    with pytest.raises(UpstreamError) as caught:
        client().request("GET", stubborn.url, auth=Renewing(["a", "b", "c"]))
    assert caught.value.status == 401
    assert len(stubborn.asked) == 2


def test_inside_the_gap_a_redirect_to_another_host_is_refused(start: Start) -> None:
    other = start(Answer(200, b"there"))
    server = start(Answer(307, headers={"Location": f"{other.url}/blob?sig=secret"}))
    with pytest.raises(UpstreamError) as caught:
        client().request("GET", server.url)
    assert caught.value.code == "foreign-host"
    assert other.host in caught.value.hint
    assert "secret" not in str(caught.value)
    assert other.asked == []


def test_authorization_does_not_follow_to_another_origin(start: Start) -> None:
    other = start(Answer(200, b"there"))
    server = start(Answer(307, headers={"Location": f"{other.url}/blob?sig=1"}))
    one = client({server.host: HostConfig(allowed_hosts=(other.host,))})
    headers = {"Authorization": "Bearer mine", "Cookie": "a=b", "Accept": "x/y"}
    for auth in (None, Fixed("Basic mine")):
        assert one.request("GET", server.url, headers=headers, auth=auth).data == b"there"
    for asked in other.asked:
        assert asked.path == "/blob?sig=1"
        assert asked.headers["accept"] == "x/y"
        assert not {"authorization", "cookie"} & set(asked.headers)


def test_within_one_origin_authorization_follows(start: Start) -> None:
    server = start(Answer(302, headers={"Location": "/elsewhere"}), Answer(200))
    client().request("GET", server.url, auth=Fixed("Bearer mine"))
    assert server.asked[1].path == "/elsewhere"
    assert server.asked[1].headers["authorization"] == "Bearer mine"


def test_redirects_have_an_end(start: Start) -> None:
    server = start(Answer(302, headers={"Location": "/again"}))
    with pytest.raises(UpstreamError) as caught:
        client().request("GET", server.url)
    assert caught.value.code == "too-many-redirects"


def test_a_write_does_not_follow(start: Start) -> None:
    server = start(Answer(301, headers={"Location": "/renamed"}))
    with pytest.raises(UpstreamError) as caught:
        client().request("PUT", server.url, body=RequestBody.of(b"x"))
    assert caught.value.code == "redirect-refused"
    assert client().request("GET", server.url, follow=False, expect=(301,)).status == 301


# --- TLS and proxies -----------------------------------------------------------------------------


@pytest.fixture
def secure(start: Start, tmp_path: Path) -> tuple[Scripted, Path]:
    """A TLS server and the certificate of its authority."""
    authority = tls.make_authority(tmp_path)
    return start(certificate=tls.issue(tmp_path, authority)), authority.cert_file


def test_a_private_authority_is_trusted_only_for_its_host(secure: tuple[Scripted, Path]) -> None:
    server, ca_file = secure
    one = client({server.host: HostConfig(ca_file=ca_file)})
    assert one.request("GET", server.url).status == 200
    other = client({"elsewhere": HostConfig(ca_file=ca_file)})
    with pytest.raises(TransportError) as caught:
        other.request("GET", server.url)
    assert caught.value.code == "tls-untrusted"
    assert not caught.value.repeatable


def test_a_name_that_is_not_in_the_certificate_is_refused(start: Start, tmp_path: Path) -> None:
    authority = tls.make_authority(tmp_path)
    server = start(certificate=tls.issue(tmp_path, authority, "registry.example.org"))
    one = client({server.host: HostConfig(ca_file=authority.cert_file)})
    with pytest.raises(TransportError) as caught:
        one.request("GET", server.url)
    assert caught.value.code == "tls-untrusted"


def test_plain_http_on_the_port_is_explained(start: Start) -> None:
    with pytest.raises(TransportError) as caught:
        client().request("GET", start().url.replace("http:", "https:"))
    assert caught.value.code == "tls-failed"
    assert "plainHTTP" in caught.value.hint


def test_a_ca_file_that_is_none_is_an_input_error(tmp_path: Path) -> None:
    rubbish = tmp_path / "ca.pem"
    rubbish.write_text("no certificate")
    for path in (rubbish, tmp_path / "missing.pem"):
        one = client({"localhost:1": HostConfig(ca_file=path)})
        with pytest.raises(InputError) as caught:
            one.request("GET", "https://localhost:1/")
        assert caught.value.code == "bad-ca-file"


def test_connected_a_proxy_is_used_and_inside_the_gap_never(start: Start) -> None:
    proxy = start(Answer(200, b"by proxy"))
    proxies = {"http": proxy.url.replace("://", "://me:pw@"), "no": "internal.invalid"}
    one = Client(zone="connected", proxies=proxies, retries=QUICK)
    assert one.request("GET", "http://registry.invalid/v2/").data == b"by proxy"
    assert proxy.asked[0].path == "http://registry.invalid/v2/"
    assert proxy.asked[0].headers["proxy-authorization"].startswith("Basic ")
    for url, zone in (
        ("http://a.internal.invalid/", "connected"),
        ("http://registry.invalid/", "gap"),
    ):
        with pytest.raises(TransportError):
            Client(zone=zone, proxies=proxies, retries=QUICK).request("GET", url, attempts=1)  # type: ignore[arg-type]
    assert len(proxy.asked) == 1


def test_loopback_never_goes_through_a_proxy(start: Start) -> None:
    proxy, server = start(), start()
    Client(zone="connected", proxies={"http": proxy.url}).request("GET", server.url)
    assert proxy.asked == []
    assert len(server.asked) == 1
