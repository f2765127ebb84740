"""A registry that refuses a big upload before it has all of it: its word is read, and the rest is not sent."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import BinaryIO, cast

import pytest

from airgap.base.errors import UpstreamError
from airgap.content.graph import Descriptor
from airgap.net.config import Credentials, HostConfig
from airgap.net.http import Client, Retries
from airgap.store.registry.client import RegistryClient
from airgap.store.registry.repository import RegistryRepository
from tests.parts.harbor_double import HarborDouble
from tests.parts.web import Handler, Server
from tests.suites.target_suite import LAYER

SIZE = 64 << 20
WORDS = "adding 64.0 MiB of storage resource, which when updated to current usage of 0 B will exceed the upper limit"


class Zeros(io.RawIOBase):
    """`SIZE` zeros from an offset on, counted."""

    def __init__(self, offset: int, given: list[int]) -> None:
        super().__init__()
        self._left, self._given = SIZE - offset, given

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = min(len(buffer), self._left)
        buffer[:count] = bytes(count)
        self._left -= count
        self._given.append(count)
        return count


@pytest.fixture(scope="module")
def big() -> Descriptor:
    return Descriptor.of(LAYER, bytes(SIZE))


def refused(host: str, big: Descriptor, login: Credentials | None = None) -> tuple[UpstreamError, int]:
    """The error of a put, and how many bytes were read of the blob."""
    http = Client({host: HostConfig(login, plain_http=True)}, zone="gap", retries=Retries(attempts=3, base=0, jitter=0))
    given: list[int] = []
    with pytest.raises(UpstreamError) as caught:
        RegistryRepository(RegistryClient(host, http), "p1/x").put(
            big, lambda offset: cast("BinaryIO", Zeros(offset, given))
        )
    return caught.value, sum(given)


def test_a_quota_of_harbor_is_named_though_the_body_was_not_sent_whole(big: Descriptor) -> None:
    harbor = HarborDouble()
    harbor.rights = lambda user, project, action: True
    harbor.project("p1", quota=1 << 20)
    try:
        error, given = refused(harbor.host, big)
    finally:
        harbor.stop()
    assert (error.code, error.status) == ("quota-exceeded", 403)
    assert given < SIZE
    assert harbor.count("PUT") == 1  # a quota does not go away by asking again


class Abrupt(Handler):
    """Answers a PUT by its head and closes at once, with all of the body still on its way."""

    refusals: list[str]

    def do_POST(self) -> None:
        self.answer(202, b"", {"Location": "/v2/p1/x/blobs/uploads/1?_state=a"})

    def do_PUT(self) -> None:
        self.refusals.append(self.path)
        body = json.dumps({"errors": [{"code": "DENIED", "message": WORDS}]}).encode()
        self.answer(403, body, {"Content-Type": "application/json", "Connection": "close"})
        self.wfile.flush()
        self.close_connection = True

    def do_HEAD(self) -> None:
        self.answer(404)

    def do_GET(self) -> None:
        self.answer(200, b"{}")

    def do_DELETE(self) -> None:
        self.answer(204)


@pytest.fixture
def abrupt() -> Iterator[tuple[Server, list[str]]]:
    refusals: list[str] = []
    made = Server(type("Bound", (Abrupt,), {"refusals": refusals}))
    yield made, refusals
    made.stop()


def test_an_answer_before_a_connection_is_reset_is_read(abrupt: tuple[Server, list[str]], big: Descriptor) -> None:
    server, refusals = abrupt
    for number in range(1, 6):
        error, given = refused(server.host, big)
        assert (error.code, error.status) == ("quota-exceeded", 403)
        assert given < SIZE
        assert len(refusals) == number
