"""`airgap trust update`: a root out of a TUF repository, in the connected zone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from airgap.delivery import tar as tape
from tests.parts.system import NetworkNamespace
from tests.parts.tuf_repository import TufRepository, serve
from tests.parts.web import Server
from tests.worlds.cli_site import airgap
from tests.worlds.root_site import (
    CUT,
    NAME,
    SHA1,
    SHA2,
    SIGN,
    TRUSTED,
    V1,
    V2,
    copied,
    make_site,
    started,
    versions,
)
from tests.worlds.site import Site

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("made"))


@pytest.fixture
def site(made: Site, tmp_path: Path) -> Site:
    return copied(made, tmp_path / "site")


# --- update --------------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path) -> TufRepository:
    made = TufRepository(tmp_path / "repository")
    made.publish(V1)
    return made


@pytest.fixture
def server(repository: TufRepository) -> Iterator[Server]:
    running = serve(repository.folder)
    yield running
    running.stop()


def update(site: Site, url: str, *more: str) -> tuple[str, ...]:
    return ("trust", "update", *NAME, "roots", "--tuf-url", url, *more)


def test_an_update_adds_what_the_repository_signs(
    site: Site, repository: TufRepository, server: Server, tmp_path: Path
) -> None:
    airgap(site, *update(site, server.url)).refused(2, "no-tuf-root", "--tuf-root")
    (site.folder / "root.json").write_bytes(repository.first_root)
    home = tmp_path / "home"
    home.mkdir()
    started(site, *update(site, server.url, "--tuf-root", "root.json"), home=home)
    airgap(site, *update(site, f"{server.url}/elsewhere")).refused(5, "not-found", "--tuf-url")
    repository.rotate("timestamp")
    repository.rotate("root")
    repository.publish(V2)
    # The chain of trust goes on from what was trusted.
    document = json.loads(started(site, *update(site, server.url), "--json", home=home).out)
    assert (document["version"], document["sha256"]) == (2, SHA2.hex)
    assert document["origin"] == f"tuf {server.url}"
    assert list(home.iterdir()) == []
    proof = (site.folder / document["file"]).with_suffix(".tuf.tar").read_bytes()
    chain = [f"{number}.root.json" for number in (1, 2, 3)]
    assert list(tape.read_archive(proof, 1 << 20)) == [
        *chain,
        "timestamp.json",
        "snapshot.json",
        "targets.json",
    ]
    assert site.run(*update(site, server.url))["present"]
    # It travels with what proves it.
    site.run(*CUT, "media", "--trust-root", f"sigstore={document['file']}")
    site.run("sign", "media", *SIGN)
    inside = site.run("trust", "pin", "media", *NAME, "inside", *TRUSTED)
    assert (site.folder / inside["file"]).with_suffix(".tuf.tar").read_bytes() == proof


def test_a_repository_that_does_not_hold_changes_nothing(
    site: Site, repository: TufRepository, server: Server, tmp_path: Path
) -> None:
    (site.folder / "root.json").write_bytes(repository.first_root)
    site.run(*update(site, server.url, "--tuf-root", "root.json"))
    shutil.copytree(repository.folder, tmp_path / "old")
    repository.publish(V2, life=-timedelta(hours=1))
    airgap(site, *update(site, server.url)).refused(4, "tuf-expired", "clock")
    repository.publish(V1)
    site.run(*update(site, server.url))
    mirror = serve(tmp_path / "old")
    airgap(site, *update(site, mirror.url)).refused(4, "tuf-rolled-back")
    mirror.stop()
    target = next((repository.folder / "targets").glob(f"{SHA1.hex}.*"))
    repository.publish(V2)
    next((repository.folder / "targets").glob(f"{SHA2.hex}.*")).write_bytes(V2.replace(b"one", b"two"))
    airgap(site, *update(site, server.url)).refused(4, "tuf-invalid")
    repository.publish(V1)
    assert target.read_bytes() == V1
    other = TufRepository(tmp_path / "other")
    (site.folder / "other.json").write_bytes(other.first_root)
    airgap(site, *update(site, server.url, "--tuf-root", "other.json")).refused(4, "tuf-other-root")
    repository.sign_with_a_strangers_key()
    repository.publish(V2)
    airgap(site, *update(site, server.url)).refused(4, "tuf-unsigned")
    assert [one["digest"] for one in versions(site, "roots")] == [SHA1]


def test_a_repository_cannot_take_instances_away(site: Site, repository: TufRepository, server: Server) -> None:
    (site.folder / "root.json").write_bytes(repository.first_root)
    repository.publish(V2)
    site.run(*update(site, server.url, "--tuf-root", "root.json"))
    repository.publish(V1)
    airgap(site, *update(site, server.url)).refused(4, "root-shrinks")
    repository.publish(b"{}")
    airgap(site, *update(site, server.url)).refused(4, "bad-trust-root")


def test_without_a_network_an_update_says_so(site: Site, repository: TufRepository, netns: NetworkNamespace) -> None:
    (site.folder / "root.json").write_bytes(repository.first_root)
    line = update(site, "http://127.0.0.1:9", "--tuf-root", "root.json")
    airgap(site, *line, before=tuple(netns.argv())).refused(5, "unreachable")
    assert not (site.folder / "roots" / "sigstore").exists()


def test_an_update_goes_through_the_proxy_of_the_environment(
    site: Site, repository: TufRepository, server: Server
) -> None:
    (site.folder / "root.json").write_bytes(repository.first_root)
    line = update(site, "http://tuf.example", "--tuf-root", "root.json", "--json")
    # The server passes for a proxy, which is asked with the whole URL.
    said = airgap(site, *line, http_proxy=server.url)
    assert (said.code, json.loads(said.out)["origin"]) == (0, "tuf http://tuf.example"), said.err
