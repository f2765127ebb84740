"""Harbor's own API, as `airgap.store.registry.harbor` asks it; the double answers as the real one was seen to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.base.errors import NotFoundError, UpstreamError
from airgap.content.graph import Descriptor
from airgap.net.http import Client
from airgap.store.registry.client import RegistryClient
from airgap.store.registry.harbor import PAGE, Harbor, Quota
from airgap.store.registry.repository import RegistryRepository
from tests.parts.harbor_double import HarborDouble
from tests.parts.registry import Registry
from tests.suites.target_suite import image, opener
from tests.worlds.harbor import PASSWORD, ROBOT, attached, password_file, robot


@pytest.fixture
def double() -> Iterator[HarborDouble]:
    """With the project p1."""
    made = HarborDouble({ROBOT: PASSWORD})
    made.project("p1")
    yield made
    made.stop()


@pytest.fixture
def password(tmp_path: Path) -> Path:
    """The robot's password file."""
    return password_file(tmp_path)


@pytest.fixture
def harbor(double: HarborDouble, password: Path) -> Harbor:
    """The API as the robot sees it."""
    return robot(double, password).harbor


def refused(work: object) -> UpstreamError:
    """The error that calling `work` ends with."""
    with pytest.raises(UpstreamError) as caught:
        work()  # type: ignore[operator]
    return caught.value


def test_a_harbor_is_recognised_without_a_password(double: HarborDouble, harbor: Harbor) -> None:
    assert harbor.there()
    assert harbor.there()
    assert double.count("GET", "systeminfo") == 1
    assert harbor.system().version.startswith("v2.")
    double.read_only = True
    assert harbor.system().read_only


def test_what_is_down_is_no_harbor_for_now(double: HarborDouble, harbor: Harbor) -> None:
    double.core_down = True
    assert not harbor.there()
    assert harbor.sick() == []
    double.core_down = False
    assert harbor.there()
    assert harbor.sick() == []
    double.registry_down = True
    assert harbor.sick() == ["registry"]


def test_projects(double: HarborDouble, harbor: Harbor) -> None:
    double.project("123", quota=1000, policy=True)
    double.project("pxy", proxy=True)
    assert harbor.has_project("p1")
    assert not harbor.has_project("nope")
    assert harbor.project("p1").blocking == ()
    assert not harbor.project("p1").proxy
    assert harbor.project("123").blocking == ("Prevent vulnerable images from running",)
    assert harbor.project("pxy").proxy
    assert harbor.quota("123") == Quota(0, 1000)
    assert harbor.quota("p1").room is None
    # A robot gets the same answer for a missing project as without the permission.
    assert "project:read" in refused(lambda: harbor.project("nope")).hint


def test_everything_in_a_project(double: HarborDouble, password: Path, harbor: Harbor) -> None:
    client = robot(double, password)
    repository = RegistryRepository(client, "p1/deep/er")
    root = image(repository)
    repository.publish({"v1": root, "latest": root})
    double.projects["p1"].immutable.add("v1")
    repository.put(Descriptor.of("application/vnd.oci.empty.v1+json", b"{}"), opener(b"{}"))
    referrer, data = attached(root)
    repository.put(referrer, opener(data))
    assert harbor.repositories("p1") == ["p1/deep/er"]
    (one,) = harbor.artifacts("p1")
    assert (one.repository, one.digest, one.tags, one.immutable) == (
        "p1/deep/er",
        root.digest,
        frozenset({"v1", "latest"}),
        frozenset({"v1"}),
    )
    assert [each.kind for each in one.accessories] == ["subject.accessory"]
    assert harbor.artifact("p1/deep/er", "v1") == one
    assert harbor.artifact("p1/deep/er", root.digest) == one
    with pytest.raises(NotFoundError):
        harbor.artifact("p1/deep/er", "v2")
    double.only("push", "pull")
    error = refused(lambda: harbor.artifacts("p1"))
    assert (error.code, "artifact:list" in error.hint) == ("no-rights", True)


def test_a_list_of_several_pages(double: HarborDouble, password: Path, harbor: Harbor) -> None:
    repository = RegistryRepository(robot(double, password), "p1/x")
    for number in range(PAGE + 1):
        image(repository, number)
    found = harbor.artifacts("p1")
    assert len({one.digest for one in found}) == len(found) > PAGE
    assert double.count("GET", "/artifacts") == 2


def test_an_account_that_has_expired(double: HarborDouble, harbor: Harbor) -> None:
    double.expired.add(ROBOT)
    error = refused(lambda: harbor.artifacts("p1"))
    assert (error.code, "expired" in error.hint) == ("login-failed", True)


def test_another_registry_is_no_harbor(distribution3: Registry) -> None:
    assert not RegistryClient(distribution3.url, Client({}, zone="gap")).harbor.there()
