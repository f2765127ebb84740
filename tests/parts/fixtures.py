"""The real parts as pytest fixtures.

Ready-made ones live for the whole run and are shared: use names of your own in them. Factories
give a test parts of its own, which end with it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.parts import registry as registries
from tests.parts.debian import debian_image as make_debian_image
from tests.parts.engine import Engine
from tests.parts.fault_proxy import FaultProxy
from tests.parts.git_http import GitServer
from tests.parts.gitea import Gitea
from tests.parts.hsm import Hsm, start_hsm
from tests.parts.hugging_face import HuggingFace
from tests.parts.need import require_part
from tests.parts.registry import Auth, Registry, Storage
from tests.parts.s3 import S3Service, start_minio, start_seaweedfs
from tests.parts.system import NetworkNamespace, mount_tmpfs, unmount
from tests.parts.trivy import PARTS, Trivy


class StartRegistry(Protocol):
    """The factory behind the fixture start_registry."""

    def __call__(
        self,
        *,
        version: int = 3,
        auth: Auth | None = None,
        tls: bool = False,
        storage: Storage = "filesystem",
        config: Callable[[dict[str, Any]], None] | None = None,
    ) -> Registry:
        """Start one; it ends with the test."""
        ...


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is entered here ends with the test."""
    with ExitStack() as made:
        yield made


@pytest.fixture(scope="session")
def session_stack() -> Iterator[ExitStack]:
    """What is entered here ends with the run."""
    with ExitStack() as made:
        yield made


def scratch(stack: ExitStack, name: str) -> Path:
    """A short folder that other users can reach, gone when the stack ends.

    pytest's own folders are closed to other users, and too long for the paths of sockets.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"airgap-{name}-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    return folder


# --- registries --------------------------------------------------------------------------------


@pytest.fixture
def start_registry(stack: ExitStack) -> StartRegistry:
    """start_registry(version=2|3, auth=None|"basic"|"token", tls=…, storage=…) → Registry."""

    def start(**options: Any) -> Registry:
        made = registries.start_registry(scratch(stack, "registry"), **options)
        stack.callback(made.stop)
        return made

    return start


def _shared_registry(stack: ExitStack, version: int) -> Registry:
    made = registries.start_registry(scratch(stack, "registry"), version=version)
    stack.callback(made.stop)
    return made


@pytest.fixture(scope="session")
def distribution2(session_stack: ExitStack) -> Registry:
    """Distribution 2.8 over plain HTTP, shared."""
    return _shared_registry(session_stack, 2)


@pytest.fixture(scope="session")
def distribution3(session_stack: ExitStack) -> Registry:
    """Distribution 3.1 over plain HTTP, shared."""
    return _shared_registry(session_stack, 3)


@pytest.fixture(params=[2, 3], ids=["distribution2", "distribution3"])
def any_registry(request: pytest.FixtureRequest) -> Registry:
    """Each of the two shared registries in turn."""
    made = request.getfixturevalue(f"distribution{request.param}")
    assert isinstance(made, Registry)
    return made


# --- S3 ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def minio(session_stack: ExitStack) -> S3Service:
    """MinIO, shared: .endpoint, .access_key, .secret_key, .client(), .new_bucket()."""
    made = start_minio(scratch(session_stack, "minio"))
    session_stack.callback(made.stop)
    return made


@pytest.fixture(scope="session")
def seaweedfs(session_stack: ExitStack) -> S3Service:
    """SeaweedFS, shared; the same interface."""
    made = start_seaweedfs(scratch(session_stack, "seaweedfs"))
    session_stack.callback(made.stop)
    return made


@pytest.fixture(params=["minio", "seaweedfs"])
def any_s3(request: pytest.FixtureRequest) -> S3Service:
    """Each of the two shared S3 services in turn."""
    made = request.getfixturevalue(request.param)
    assert isinstance(made, S3Service)
    return made


# --- faults ------------------------------------------------------------------------------------


class MakeProxy(Protocol):
    """The factory behind the fixture fault_proxy."""

    def __call__(self, upstream: str, *, ca_file: Path | None = None) -> FaultProxy:
        """A proxy in front of an http or https base; it ends with the test."""
        ...


@pytest.fixture
def fault_proxy(stack: ExitStack) -> MakeProxy:
    """fault_proxy(url) → FaultProxy: .url, .host, .fault(…), .served(…), .requests."""

    def make(upstream: str, *, ca_file: Path | None = None) -> FaultProxy:
        made = FaultProxy(upstream, ca_file=ca_file)
        stack.callback(made.stop)
        return made

    return make


# --- Git ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def gitea(session_stack: ExitStack) -> Gitea:
    """Gitea, shared: .url, .token(scopes), .new_org(), .new_repo(org, name), .git_env(token)."""
    made = Gitea(scratch(session_stack, "gitea"))
    session_stack.callback(made.stop)
    return made


class StartGitServer(Protocol):
    """The factory behind the fixture start_git_http."""

    def __call__(self, *, username: str = "", password: str = "") -> GitServer:
        """Start one; it ends with the test."""
        ...


@pytest.fixture
def start_git_http(stack: ExitStack) -> StartGitServer:
    """start_git_http(username=…, password=…) → GitServer, with or without Basic credentials."""

    def start(*, username: str = "", password: str = "") -> GitServer:
        folder = scratch(stack, "git")
        made = GitServer(folder / "repositories", username=username, password=password)
        stack.callback(made.stop)
        return made

    return start


@pytest.fixture
def git_http(start_git_http: StartGitServer) -> GitServer:
    """Plain Git over HTTP with LFS, of the test's own: .url, .new_repo(name), .path(name)."""
    return start_git_http()


# --- engines -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def podman_api(session_stack: ExitStack) -> Engine:
    """Podman's service with Docker's API, shared: .docker_host, .podman(…)."""
    made = Engine(scratch(session_stack, "podman"))
    session_stack.callback(made.stop)
    return made


@pytest.fixture(scope="session")
def debian_image() -> Path:
    """An OCI layout with a real Debian image under the tag "bookworm"; for reading only."""
    return make_debian_image()


# --- models ------------------------------------------------------------------------------------


@pytest.fixture
def hf_endpoint(stack: ExitStack) -> HuggingFace:
    """An endpoint for the Hub's client, empty: .url, .cdn_url, .publish(repo, folder), .tokens."""
    made = HuggingFace()
    stack.callback(made.stop)
    return made


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of a real embedding model, all-MiniLM-L6-v2; for reading only."""
    return require_part("minilm")


@pytest.fixture(scope="session")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hsm]:
    """A token with keys in it."""
    require_part("softhsm2")
    with start_hsm(tmp_path_factory.mktemp("hsm")) as made:
        yield made


# --- scanners ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def trivy() -> Trivy:
    """The scanner: .program, .version. Its database: tests.parts.trivy.DATABASE."""
    return Trivy.of("trivy")


@pytest.fixture(scope="session", params=PARTS)
def any_trivy(request: pytest.FixtureRequest) -> Trivy:
    """Each version of the scanner in turn."""
    return Trivy.of(request.param)


# --- what only root may do ---------------------------------------------------------------------


@pytest.fixture
def netns(stack: ExitStack) -> NetworkNamespace:
    """A network namespace without a route: .run(argv), .argv(…), .entered()."""
    made = NetworkNamespace()
    stack.callback(made.remove)
    return made


@pytest.fixture
def tiny_tmpfs(stack: ExitStack) -> Callable[[int], Path]:
    """tiny_tmpfs(size) → the folder of a file system of that many bytes."""

    def mount(size: int) -> Path:
        folder = scratch(stack, "disk")
        mount_tmpfs(folder, size)
        stack.callback(unmount, folder)
        return folder

    return mount
