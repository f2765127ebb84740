"""The conformance suite over real registries, and over Harbor's double."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from airgap.net.config import HostConfig
from airgap.net.http import Client
from airgap.store.registry.client import RegistryClient
from airgap.store.registry.repository import RegistryRepository
from tests.parts.harbor_double import HarborDouble
from tests.parts.registry import Registry
from tests.suites.target_suite import Reopen, TargetSuite

_COUNT = itertools.count()


def plain(host: str) -> Client:
    """A client that speaks plain HTTP to one host."""
    return Client({host: HostConfig(plain_http=True)}, zone="gap")


@pytest.mark.e2e
class TestDistribution(TargetSuite):
    """Distribution 2.8 and 3.1."""

    @pytest.fixture
    def reopen(self, any_registry: Registry) -> Reopen:
        host, name = any_registry.host, f"suite/r{next(_COUNT)}"
        return lambda: RegistryRepository(RegistryClient(host, plain(host)), name)


@pytest.mark.e2e
class TestDistributionInPieces(TargetSuite):
    """The same with chunked uploads."""

    @pytest.fixture
    def reopen(self, any_registry: Registry) -> Reopen:
        host, name = any_registry.host, f"pieces/r{next(_COUNT)}"
        return lambda: RegistryRepository(RegistryClient(host, plain(host), chunk_size=700_000), name)


class TestHarborDouble(TargetSuite):
    """Harbor's ways."""

    @pytest.fixture
    def harbor(self) -> Iterator[HarborDouble]:
        made = HarborDouble()
        made.rights = lambda user, project, action: True
        made.project("p1")
        yield made
        made.stop()

    @pytest.fixture
    def reopen(self, harbor: HarborDouble) -> Reopen:
        return lambda: RegistryRepository(RegistryClient(harbor.host, plain(harbor.host)), "p1/x")
