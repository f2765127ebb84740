"""A real registry behind a proxy that breaks things on real sockets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from airgap.base.errors import IntegrityError, UpstreamError
from airgap.content.graph import Descriptor, Opener, PutResult, Source, read_verified
from airgap.net.config import HostConfig
from airgap.net.http import Client, Retries, Timeouts
from airgap.store.layout import Layout
from airgap.store.registry.client import RegistryClient
from airgap.store.registry.repository import RegistryRepository
from tests.parts.fault_proxy import FaultProxy
from tests.parts.fixtures import MakeProxy
from tests.parts.registry import Registry
from tests.suites.target_suite import blob, image, opener, read_all

pytestmark = pytest.mark.e2e
MIB = 1 << 20
SIZE = 20 * MIB
NAME = "faults/x"
BLOB = r"/blobs/sha256"
UPLOAD = r"/blobs/uploads/"


@pytest.fixture
def proxy(any_registry: Registry, fault_proxy: MakeProxy) -> FaultProxy:
    """In front of each registry in turn."""
    return fault_proxy(any_registry.url)


def repository(host: str, waits: list[float] | None = None, name: str = NAME) -> RegistryRepository:
    """Through the proxy, or past it."""
    http = Client(
        {host: HostConfig(plain_http=True)},
        zone="gap",
        retries=Retries(attempts=4, base=0, jitter=0),
        timeouts=Timeouts(connect=5, read=1.0),
        sleep=(waits if waits is not None else []).append,
    )
    return RegistryRepository(RegistryClient(host, http), name)


@pytest.fixture
def there(any_registry: Registry) -> tuple[Descriptor, bytes]:
    """A blob that the registry has."""
    descriptor, data = blob(SIZE)
    repository(any_registry.host).put(descriptor, opener(data))
    return descriptor, data


def from_source(source: Source, descriptor: Descriptor) -> Opener:
    """What the mover would pass to `put`."""
    return lambda offset: source.open(descriptor, offset)


# --- pulling -------------------------------------------------------------------------------------


def test_a_drop_at_95_percent_costs_little(proxy: FaultProxy, there: tuple[Descriptor, bytes], tmp_path: Path) -> None:
    descriptor, data = there
    proxy.fault("GET", BLOB, times=1, cut_at=0.95)
    store = Layout(tmp_path / "store", create=True)
    store.put(descriptor, from_source(repository(proxy.host), descriptor))
    assert read_all(store, descriptor) == data
    assert proxy.served(BLOB) <= SIZE + MIB


def test_many_drops_are_survived_while_there_is_progress(proxy: FaultProxy, there: tuple[Descriptor, bytes]) -> None:
    descriptor, data = there
    proxy.fault("GET", BLOB, times=9, cut_after=2 * MIB)
    assert read_all(repository(proxy.host), descriptor) == data
    assert proxy.served(BLOB) <= SIZE + 9 * MIB


def test_a_server_that_ignores_range_gives_the_right_bytes(proxy: FaultProxy, there: tuple[Descriptor, bytes]) -> None:
    descriptor, data = there
    proxy.fault("GET", BLOB, times=1, cut_at=0.5)
    proxy.fault("GET", BLOB, ignore_range=True)
    assert read_all(repository(proxy.host), descriptor) == data
    assert read_all(repository(proxy.host), descriptor, SIZE - 5) == data[-5:]


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_registry_is_waited_for(proxy: FaultProxy, there: tuple[Descriptor, bytes], status: int) -> None:
    descriptor, data = there
    waits: list[float] = []
    proxy.fault("GET", BLOB, times=2, status=status, retry_after="3")
    assert read_all(repository(proxy.host, waits), descriptor) == data
    assert waits == [3, 3]


def test_a_stall_is_a_drop(proxy: FaultProxy, there: tuple[Descriptor, bytes]) -> None:
    descriptor, data = there
    proxy.fault("GET", BLOB, times=1, stall_after=10 * MIB, stall=4.0)
    assert read_all(repository(proxy.host), descriptor) == data


def test_a_length_that_says_too_little_is_found(
    proxy: FaultProxy, there: tuple[Descriptor, bytes], tmp_path: Path
) -> None:
    descriptor, data = there
    proxy.fault("GET", BLOB, length_delta=-1)
    store = Layout(tmp_path / "store", create=True)
    with pytest.raises((IntegrityError, UpstreamError)):
        store.put(descriptor, from_source(repository(proxy.host), descriptor))
    assert not store.has(descriptor)
    proxy.clear()
    store.put(descriptor, from_source(repository(proxy.host), descriptor))
    assert read_all(store, descriptor) == data


def test_a_length_that_says_too_much_does_no_harm(
    proxy: FaultProxy, there: tuple[Descriptor, bytes], tmp_path: Path
) -> None:
    descriptor, data = there
    proxy.fault("GET", BLOB, length_delta=1)
    store = Layout(tmp_path / "store", create=True)
    store.put(descriptor, from_source(repository(proxy.host), descriptor))
    assert read_all(store, descriptor) == data


def test_a_flipped_bit_is_found(proxy: FaultProxy, there: tuple[Descriptor, bytes], tmp_path: Path) -> None:
    descriptor, _ = there
    proxy.fault("GET", BLOB, flip_at=SIZE - 1)
    store = Layout(tmp_path / "store", create=True)
    with pytest.raises(IntegrityError) as caught:
        store.put(descriptor, from_source(repository(proxy.host), descriptor))
    assert caught.value.code == "digest-mismatch"
    assert not store.has(descriptor)


def test_a_manifest_that_is_another_is_found(proxy: FaultProxy, any_registry: Registry) -> None:
    direct = repository(any_registry.host)
    root = image(direct)
    direct.publish({"v1": root})
    other = json.dumps({"schemaVersion": 2, "config": {}, "layers": []}).encode()
    proxy.fault("GET", r"/manifests/", replace=other)
    through = repository(proxy.host)
    with pytest.raises(UpstreamError) as caught:
        through.resolve("v1")
    assert caught.value.code == "digest-differs"
    with pytest.raises(IntegrityError):
        read_verified(through, root)


def test_content_that_changes_between_two_answers_is_found(proxy: FaultProxy, there: tuple[Descriptor, bytes]) -> None:
    descriptor, data = there
    proxy.fault("GET", BLOB, times=1, cut_at=0.5)
    proxy.fault("GET", BLOB, ignore_range=True, replace=data[:-1] + b"x")
    with pytest.raises(IntegrityError):
        read_verified(repository(proxy.host), descriptor, SIZE)


def test_a_registry_that_never_answers_is_an_error_in_the_end(proxy: FaultProxy) -> None:
    proxy.fault(refuse=True)
    with pytest.raises(UpstreamError) as caught:
        repository(proxy.host).tags()
    assert caught.value.code == "connection-lost"
    assert proxy.count() == 4


# --- pushing -------------------------------------------------------------------------------------

FRESH = iter(range(1000))


@pytest.fixture
def wanted() -> tuple[Descriptor, bytes]:
    """A blob that no registry has yet."""
    return blob(SIZE, 1 + next(FRESH))


def test_an_upload_that_is_cut_starts_again(
    proxy: FaultProxy, wanted: tuple[Descriptor, bytes], any_registry: Registry
) -> None:
    descriptor, data = wanted
    proxy.fault("PUT", UPLOAD, times=2, cut_request_after=10 * MIB)
    assert repository(proxy.host).put(descriptor, opener(data)) is PutResult.WRITTEN
    assert proxy.count("POST", UPLOAD) == 3
    assert read_all(repository(any_registry.host), descriptor) == data


def test_an_answer_that_got_lost_is_not_work_done_twice(proxy: FaultProxy, wanted: tuple[Descriptor, bytes]) -> None:
    descriptor, data = wanted
    proxy.fault("PUT", UPLOAD, times=1, lost_answer=True)
    assert repository(proxy.host).put(descriptor, opener(data)) is PutResult.WRITTEN
    assert proxy.count("PUT", UPLOAD) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD"])
@pytest.mark.parametrize("status", [429, 503, 500])
def test_a_busy_registry_is_pushed_to_in_the_end(
    proxy: FaultProxy, wanted: tuple[Descriptor, bytes], method: str, status: int
) -> None:
    descriptor, data = wanted
    proxy.fault(method, "/blobs/", times=2, status=status, retry_after="2")
    target = repository(proxy.host)
    assert target.put(descriptor, opener(data)) is PutResult.WRITTEN
    assert target.has(descriptor)


@pytest.mark.parametrize("times", [1, 2])
def test_a_chunk_that_is_cut_starts_the_upload_again(
    proxy: FaultProxy, wanted: tuple[Descriptor, bytes], any_registry: Registry, times: int
) -> None:
    descriptor, data = wanted
    target = repository(proxy.host)
    target.client.chunk_size = 4 * MIB
    proxy.fault("PATCH", UPLOAD, skip=2, times=times, cut_request_after=MIB)
    assert target.put(descriptor, opener(data)) is PutResult.WRITTEN
    assert read_all(repository(any_registry.host), descriptor) == data


def test_a_proxy_that_limits_requests_gets_pieces(
    proxy: FaultProxy, wanted: tuple[Descriptor, bytes], any_registry: Registry
) -> None:
    descriptor, data = wanted
    proxy.fault("PUT", UPLOAD, times=1, status=413)
    target = repository(proxy.host)
    assert target.put(descriptor, opener(data)) is PutResult.WRITTEN
    assert proxy.count("PATCH", UPLOAD) == SIZE // MIB
    assert read_all(repository(any_registry.host), descriptor) == data


def test_wrong_bytes_never_reach_the_end_of_an_upload(proxy: FaultProxy, wanted: tuple[Descriptor, bytes]) -> None:
    descriptor, data = wanted
    with pytest.raises(IntegrityError):
        repository(proxy.host).put(descriptor, opener(data[:-1] + b"\0"))
    assert proxy.taken(UPLOAD) < SIZE


def test_bytes_that_change_on_the_way_are_refused_by_the_registry_and_sent_again(
    any_registry: Registry, wanted: tuple[Descriptor, bytes], fault_proxy: MakeProxy
) -> None:
    # The proxy's own double: what it takes from us is right, and what the registry answers is a refusal.
    descriptor, data = wanted
    proxy = fault_proxy(any_registry.url)
    body = b'{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match"}]}'
    proxy.fault("PUT", UPLOAD, times=1, status=400, body=body, headers={"Content-Type": "application/json"})
    assert repository(proxy.host).put(descriptor, opener(data)) is PutResult.WRITTEN


def test_a_manifest_is_put_again_after_a_drop(proxy: FaultProxy, any_registry: Registry) -> None:
    proxy.fault("PUT", "/manifests/", times=2, lost_answer=True)
    target = repository(proxy.host)
    root = image(target, 77)
    target.publish({"dropped": root})
    assert repository(any_registry.host).resolve("dropped").digest == root.digest


def test_registry_to_registry_streams(
    proxy: FaultProxy, there: tuple[Descriptor, bytes], distribution3: Registry
) -> None:
    descriptor, data = there
    source = cast("Source", repository(proxy.host))
    proxy.fault("GET", BLOB, times=3, cut_after=5 * MIB)
    target = repository(distribution3.host, name=f"faults/copy{next(FRESH)}")
    assert target.put(descriptor, from_source(source, descriptor)) is PutResult.WRITTEN
    assert read_all(target, descriptor) == data


def test_a_registry_that_says_yes_to_every_mount_gets_the_bytes_all_the_same(proxy: FaultProxy) -> None:
    descriptor, data = blob(1000, seed=77)
    proxy.fault("POST", "mount=", times=1, status=201)
    target = repository(proxy.host, name="faults/yes")
    assert target.put(descriptor, opener(data)) is PutResult.WRITTEN
    assert target.has(descriptor)
    assert target.put(descriptor, opener(data)) is PutResult.PRESENT
