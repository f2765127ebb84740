"""Harbor's ways, one test for each line about them; the double answers as the real one was seen to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airgap.base.errors import NotFoundError, UpstreamError
from airgap.content.graph import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Descriptor, PutResult
from airgap.net.config import HostConfig
from airgap.net.http import Client
from airgap.store.memory import Memory
from airgap.store.registry.client import RegistryClient
from airgap.store.registry.repository import RegistryRepository
from tests.parts.harbor_double import HarborDouble
from tests.suites.target_suite import LARGE, blob, image, never, opener, read_all
from tests.worlds.harbor import PASSWORD, ROBOT, attached, password_file, robot


@pytest.fixture
def harbor() -> Iterator[HarborDouble]:
    """With the projects p1 and p2, and a robot that may do everything in them."""
    made = HarborDouble({ROBOT: PASSWORD})
    made.project("p1")
    made.project("p2")
    yield made
    made.stop()


@pytest.fixture
def password(tmp_path: Path) -> Path:
    """The robot's password file."""
    return password_file(tmp_path)


@pytest.fixture
def client(harbor: HarborDouble, password: Path) -> RegistryClient:
    """The robot."""
    return robot(harbor, password)


def once(method: str, work: Callable[[], None]) -> Callable[[str, str], None]:
    """For `before`: does `work` at the first request of this method."""
    left = [work]

    def before(asked: str, path: str) -> None:
        if asked == method and left:
            left.pop()()

    return before


def refused(work: object) -> UpstreamError:
    """The error that calling `work` ends with."""
    with pytest.raises(UpstreamError) as caught:
        work()  # type: ignore[operator]
    return caught.value


# --- logins --------------------------------------------------------------------------------------


def test_a_body_is_never_sent_into_a_401(harbor: HarborDouble, client: RegistryClient) -> None:
    descriptor, data = blob(LARGE)
    harbor.expire_tokens()
    assert RegistryRepository(client, "p1/x").put(descriptor, opener(data)) is PutResult.WRITTEN
    writes = [(m, s) for m, p, s in harbor.requests if m in ("PUT", "PATCH", "POST")]
    assert writes == [("POST", 202), ("PUT", 201)]


def test_each_repository_has_its_own_token(harbor: HarborDouble, client: RegistryClient) -> None:
    for name in ("p1/x", "p2/y", "p1/x"):
        image(RegistryRepository(client, name))
    assert harbor.count("GET", "/service/token.*p1.*push") == 1
    assert harbor.count("GET", "/service/token.*p2.*push") == 1
    assert harbor.count("GET", "^/v2/$") == 1


def test_an_upload_goes_on_with_a_newer_token(harbor: HarborDouble, client: RegistryClient) -> None:
    descriptor, data = blob(LARGE)
    repository = RegistryRepository(client, "p1/x")
    client.chunk_size = 1 << 20

    harbor.before = once("PATCH", harbor.expire_tokens)
    # The PATCH meets a 401 and its bytes cannot come again: the upload begins anew, with a new token.
    assert repository.put(descriptor, opener(data)) is PutResult.WRITTEN
    assert harbor.count("POST", "uploads") == 2
    assert read_all(repository, descriptor) == data


def test_a_put_that_meets_a_401_is_sent_again(harbor: HarborDouble, client: RegistryClient) -> None:
    descriptor, data = blob(LARGE)
    harbor.before = once("PUT", harbor.expire_tokens)
    assert RegistryRepository(client, "p1/x").put(descriptor, opener(data)) is PutResult.WRITTEN
    assert harbor.count("POST", "uploads") == 1
    assert harbor.count("PUT", "uploads") == 2


def test_a_missing_project_is_said_so(harbor: HarborDouble, client: RegistryClient) -> None:
    repository = RegistryRepository(client, "nope/x")
    descriptor, data = blob(10)
    assert refused(lambda: repository.has(descriptor)).code == "project-missing"
    error = refused(lambda: repository.resolve("v1"))
    assert error.code == "project-missing"
    assert "project nope not found" in str(error)
    assert refused(lambda: RegistryRepository(client, "nope/x").put(descriptor, opener(data))).code == (
        "project-missing"
    )


def test_missing_rights_are_said_so(harbor: HarborDouble, client: RegistryClient) -> None:
    harbor.rights = lambda user, project, action: action == "pull"
    descriptor, data = blob(10)
    error = refused(lambda: RegistryRepository(client, "p1/x").put(descriptor, opener(data)))
    assert error.code == "no-rights"
    assert "action: push" in str(error)


def test_a_wrong_password_is_said_so(harbor: HarborDouble, tmp_path: Path) -> None:
    wrong = password_file(tmp_path, "bad")
    error = refused(lambda: RegistryRepository(robot(harbor, wrong), "p1/x").tags())
    assert error.code == "login-failed"
    assert "bad" not in str(error)


def test_anonymous_may_read_what_is_public(harbor: HarborDouble, client: RegistryClient) -> None:
    root = image(RegistryRepository(client, "p1/x"))
    harbor.rights = lambda user, project, action: bool(user) or action == "pull"
    reader = RegistryRepository(robot(harbor, None), "p1/x")
    assert reader.has(root)
    descriptor, data = blob(10)
    assert refused(lambda: reader.put(descriptor, opener(data))).status == 401


# --- blobs ---------------------------------------------------------------------------------------


def test_no_resume_an_upload_starts_again_at_post(harbor: HarborDouble, client: RegistryClient) -> None:
    descriptor, data = blob(LARGE)
    repository = RegistryRepository(client, "p1/x")
    harbor.before = once("PUT", harbor.uploads.clear)  # the session is gone when the PUT comes
    assert repository.put(descriptor, opener(data)) is PutResult.WRITTEN
    assert harbor.count("POST", "uploads") == 2
    assert harbor.uploads == {}


def test_a_mount_sends_no_bytes(harbor: HarborDouble, client: RegistryClient) -> None:
    descriptor, data = blob(LARGE)
    RegistryRepository(client, "p1/x").put(descriptor, opener(data))
    assert RegistryRepository(client, "p2/y").put(descriptor, never, ("p1/x",)) is PutResult.MOUNTED
    assert read_all(RegistryRepository(client, "p2/y"), descriptor) == data
    assert harbor.count("PUT", "uploads") == 1


def test_a_mount_that_is_not_possible_is_an_upload(harbor: HarborDouble, client: RegistryClient) -> None:
    descriptor, data = blob(LARGE)
    target = RegistryRepository(client, "p2/y")
    # The repository is there without the blob; the project is missing; and the target itself.
    sources = ("p2/y", "nope/x", "p1/empty")
    assert target.put(descriptor, opener(data), sources) is PutResult.WRITTEN
    assert harbor.count("POST", "mount=") == 2
    assert harbor.count("POST", r"uploads/$") == 0  # the session of the 202 was used


def test_chunks_are_sent_one_after_the_other(harbor: HarborDouble, client: RegistryClient) -> None:
    client.chunk_size = 1 << 20
    descriptor, data = blob(LARGE)
    assert RegistryRepository(client, "p1/x").put(descriptor, opener(data)) is PutResult.WRITTEN
    assert harbor.count("PATCH") == 4
    assert harbor.projects["p1"].repositories["x"].blobs[descriptor.digest] == data


def test_a_refused_upload_is_cancelled(harbor: HarborDouble, client: RegistryClient) -> None:
    descriptor = blob(LARGE)[0]
    for chunk in (0, 1 << 20):
        client.chunk_size = chunk
        with pytest.raises(Exception, match="digest-mismatch"):
            RegistryRepository(client, "p1/x").put(descriptor, opener(bytes(LARGE)))
    assert harbor.uploads == {}
    assert harbor.projects["p1"].repositories["x"].blobs == {}


# --- quota, modes, kinds of projects -------------------------------------------------------------


@pytest.mark.parametrize("size", [1000, LARGE, 24 << 20])
def test_quota_is_named(harbor: HarborDouble, client: RegistryClient, size: int) -> None:
    harbor.projects["p1"].quota = 500
    descriptor, data = blob(size)
    error = refused(lambda: RegistryRepository(client, "p1/x").put(descriptor, opener(data)))
    assert error.code == "quota-exceeded"
    assert "will exceed the configured upper limit" in str(error)
    assert harbor.count("POST", "uploads") == 1, "asking again does not make room"


def test_quota_that_is_exceeded_already_is_named(harbor: HarborDouble, client: RegistryClient) -> None:
    repository = RegistryRepository(client, "p1/x")
    root = image(repository)
    harbor.projects["p1"].quota = 1
    descriptor, data = blob(1000, 5)
    assert refused(lambda: repository.put(descriptor, opener(data))).code == "quota-exceeded"
    repository.publish({"v1": root})  # a new name for what is there costs nothing


def test_read_only_mode_is_named(harbor: HarborDouble, client: RegistryClient) -> None:
    harbor.read_only = True
    descriptor, data = blob(10)
    assert refused(lambda: RegistryRepository(client, "p1/x").put(descriptor, opener(data))).code == "read-only"


def test_a_proxy_project_is_named(harbor: HarborDouble, client: RegistryClient) -> None:
    harbor.project("pxy", proxy=True)
    descriptor, data = blob(10)
    error = refused(lambda: RegistryRepository(client, "pxy/x").put(descriptor, opener(data)))
    assert error.code == "proxy-project"


# --- manifests and tags --------------------------------------------------------------------------


def test_the_same_digest_under_an_immutable_tag_is_no_error(harbor: HarborDouble, client: RegistryClient) -> None:
    repository = RegistryRepository(client, "p1/x")
    one, two = image(repository, 1), image(repository, 2)
    repository.publish({"v1": one})
    harbor.projects["p1"].immutable.add("v1")
    repository.publish({"v1": one})
    error = refused(lambda: repository.publish({"v1": two}))
    assert error.code == "immutable-tag"
    assert repository.resolve("v1").digest == one.digest


def test_a_manifest_without_its_children_is_refused(harbor: HarborDouble, client: RegistryClient) -> None:
    child = Descriptor.of(OCI_CONFIG, b"not there")
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": child.as_dict(),
        "layers": [],
    }
    data = json.dumps(document).encode()
    error = refused(lambda: RegistryRepository(client, "p1/x").put(Descriptor.of(OCI_MANIFEST, data), opener(data)))
    assert error.code == "child-missing"


def test_under_a_policy_412_means_that_it_exists(harbor: HarborDouble, client: RegistryClient) -> None:
    repository = RegistryRepository(client, "p1/x")
    root = image(repository)
    harbor.projects["p1"].policy = True
    assert repository.has(root)
    assert refused(lambda: repository.resolve(root.digest)).code == "blocked-by-policy"
    assert refused(lambda: repository.open(root)).code == "blocked-by-policy"
    # Nothing may be read: the bytes come from who has them, and Harbor's own API says what the tag holds then.
    assert refused(lambda: repository.publish({"v1": root})).code == "blocked-by-policy"
    source = Memory()
    data = harbor.projects["p1"].repositories["x"].manifests[root.digest][1]
    source.add(root.media_type, data)
    repository.publish({"v1": root}, source)
    assert harbor.projects["p1"].repositories["x"].tags == {"v1": root.digest}
    assert repository.holds("v1") == repository.holds(root.digest) == root.digest
    with pytest.raises(NotFoundError):
        repository.holds("v2")
    harbor.only("push", "pull")
    error = refused(lambda: repository.publish({"v2": root}, source))
    assert (error.code, "artifact:read" in error.hint) == ("unconfirmed", True)


def test_a_root_that_is_not_there_gets_no_name(harbor: HarborDouble, client: RegistryClient) -> None:
    root = Descriptor.of(OCI_INDEX, b'{"schemaVersion":2,"manifests":[]}')
    with pytest.raises(NotFoundError):
        RegistryRepository(client, "p1/x").publish({"v1": root})


def test_a_web_page_is_no_registry(harbor: HarborDouble) -> None:
    http = Client({harbor.host: HostConfig(plain_http=True)}, zone="gap")
    client = RegistryClient(harbor.host, http)
    client.api = f"{harbor.url}/elsewhere"
    for work in (
        lambda: client.manifest("p1/x", "v1"),
        lambda: list(RegistryRepository(client, "p1/x").tags()),
        lambda: RegistryRepository(client, "p1/x").referrers(blob(1)[0].digest),
    ):
        assert isinstance(refused(work), UpstreamError)


# --- referrers -----------------------------------------------------------------------------------


def test_referrers_by_the_api(harbor: HarborDouble, client: RegistryClient) -> None:
    repository = RegistryRepository(client, "p1/x")
    subject = image(repository)
    empty = Descriptor.of("application/vnd.oci.empty.v1+json", b"{}")
    repository.put(empty, opener(b"{}"))
    made, data = attached(subject)
    assert repository.put(made, opener(data)) is PutResult.WRITTEN
    found = repository.referrers(subject.digest)
    assert [(each.digest, each.artifact_type) for each in found] == [(made.digest, "application/vnd.test")]
    assert repository.tags() == [], "no fallback tag where the API is"
    assert client.has_referrers


def test_a_referrer_may_come_before_its_subject(harbor: HarborDouble, client: RegistryClient) -> None:
    repository = RegistryRepository(client, "p1/x")
    repository.put(Descriptor.of("application/vnd.oci.empty.v1+json", b"{}"), opener(b"{}"))
    subject = Descriptor.of(OCI_INDEX, b"later")
    made, data = attached(subject)
    repository.put(made, opener(data))
    assert [each.digest for each in repository.referrers(subject.digest)] == [made.digest]
