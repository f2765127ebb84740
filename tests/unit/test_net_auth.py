"""Logins and tokens: whom we tell what, how often, and what a refusal means."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.base.errors import InputError, UpstreamError
from airgap.net.auth import Challenge, TokenRealm, parse_challenge
from airgap.net.config import Credentials, HostConfig
from airgap.net.credentials import Login, docker_login, login_of
from airgap.net.http import Client, Retries
from tests.parts.harbor_double import HarborDouble
from tests.parts.scripted import Answer, Scripted

PULL, PUSH = "repository:p1/x:pull", "repository:p1/x:pull,push"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("   ", None),
        ('Basic realm="harbor"', Challenge("basic")),
        ("Basic", Challenge("basic")),
        (
            'Bearer realm="https://a/t",service="s",scope="repository:x:pull,push"',
            Challenge("bearer", "https://a/t", "s"),
        ),
        ('bearer REALM="x", realm="https://a/t"', Challenge("bearer", "https://a/t")),
        (
            'Bearer error="",realm="https://a/t",service="s"',
            Challenge("bearer", "https://a/t", "s"),
        ),
        ('Basic realm="b", Bearer realm="https://a/t"', Challenge("bearer", "https://a/t")),
        ('Bearer realm="https://a/t", Basic realm="b"', Challenge("bearer", "https://a/t")),
        ("Negotiate", Challenge("negotiate")),
    ],
)
def test_challenges(header: str, expected: Challenge | None) -> None:
    assert parse_challenge(header) == expected


# --- logins --------------------------------------------------------------------------------------


def secret(folder: Path, text: str) -> Path:
    """A file with a secret."""
    path = folder / "secret"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_password_file_may_end_with_a_newline(tmp_path: Path) -> None:
    given = Credentials(username="robot$import", password_file=secret(tmp_path, "a b:c\n"))
    login = login_of(given)
    assert login is not None
    assert base64.b64decode(login.header.removeprefix("Basic ")).decode() == "robot$import:a b:c"
    assert "a b:c" not in repr(login)


def test_the_robot_file_that_harbor_gives_is_a_login(tmp_path: Path) -> None:
    robot = json.dumps({"name": "robot$p1+rw", "secret": "s3", "id": 7}, indent=2)
    for username in ("", "robot$p1+rw"):
        given = Credentials(username=username, password_file=secret(tmp_path, robot))
        assert login_of(given) == Login("robot$p1+rw", "s3")


def test_a_token_file_is_a_bearer_token(tmp_path: Path) -> None:
    login = login_of(Credentials(token_file=secret(tmp_path, "tok\n")))
    assert login is not None
    assert login.header == "Bearer tok"


@pytest.mark.parametrize("text", ["", "\n", "two\nlines", "x" * 70_000])
def test_a_secret_file_holds_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError) as caught:
        login_of(Credentials(username="u", password_file=secret(tmp_path, text)))
    assert caught.value.code == "bad-secret-file"


def test_a_missing_secret_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        login_of(Credentials(username="u", password_file=tmp_path / "missing"))


def config(folder: Path, document: object) -> Path:
    """A docker config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps(document))
    return path


def auth(pair: str) -> dict[str, str]:
    """An entry of `auths`."""
    return {"auth": base64.b64encode(pair.encode()).decode()}


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("harbor.example.org", "harbor.example.org"),
        ("https://harbor.example.org", "harbor.example.org"),
        ("https://harbor.example.org/v2/", "harbor.example.org"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
    ],
)
def test_docker_keys(tmp_path: Path, key: str, host: str) -> None:
    path = config(tmp_path, {"auths": {key: auth("me:pw:1"), "other": auth("x:y")}})
    assert docker_login(path, host) == Login("me", "pw:1")


def test_a_login_is_for_its_host_only(tmp_path: Path) -> None:
    path = config(tmp_path, {"auths": {"localhost:5000": auth("me:pw"), "example.org": {}}})
    for host in ("127.0.0.1:5000", "localhost", "example.org", "sub.example.org"):
        assert docker_login(path, host) is None
    assert docker_login(tmp_path / "missing.json", "localhost:5000") is None
    assert docker_login(None, "localhost:5000") is None


@pytest.mark.parametrize(
    "document",
    [
        {"auths": {"h": {"auth": "!!!"}}},
        {"auths": {"h": {"auth": 5}}},
        {"auths": {"h": auth("no colon")}},
        {"auths": {"h": auth("<token>:refresh")}},
        {"auths": ["h"]},
        [],
        {"credsStore": "../../bin/sh"},
    ],
)
def test_what_cannot_be_understood_is_an_input_error(tmp_path: Path, document: object) -> None:
    with pytest.raises(InputError) as caught:
        docker_login(config(tmp_path, document), "h")
    assert caught.value.code == "bad-docker-config"


def helper(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """`docker-credential-test` on the PATH."""
    program = folder / "docker-credential-test"
    program.write_text(f"#!/bin/sh\nread host\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.parametrize("place", ["credsStore", "credHelpers"])
def test_credential_helpers_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    script = 'echo "{\\"ServerURL\\":\\"$host\\",\\"Username\\":\\"me\\",\\"Secret\\":\\"for $host\\"}"'
    helper(tmp_path, monkeypatch, script)
    value = "test" if place == "credsStore" else {"h:5000": "test"}
    path = config(tmp_path, {place: value, "auths": {"h:5000": {}}})
    assert docker_login(path, "h:5000") == Login("me", "for h:5000")


def test_a_helper_that_has_nothing_means_anonymous(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    helper(tmp_path, monkeypatch, "echo credentials not found; echo secret >&2; exit 1")
    assert docker_login(config(tmp_path, {"credsStore": "test"}), "h") is None
    assert "secret" not in "".join(capfd.readouterr())


def test_a_helper_that_is_missing_or_talks_rubbish_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (
        config(tmp_path, {"credsStore": "not-installed-anywhere"}),
        config(tmp_path, {"credsStore": "test"}),
    ):
        helper(tmp_path, monkeypatch, "echo secret rubbish")
        with pytest.raises(InputError) as caught:
            docker_login(path, "h")
        assert caught.value.code in ("credential-helper", "bad-docker-config")
        assert "secret" not in str(caught.value)


# --- tokens --------------------------------------------------------------------------------------


@pytest.fixture
def harbor() -> Iterator[HarborDouble]:
    """With a project and a robot."""
    made = HarborDouble({"robot$import": "good"})
    made.project("p1")
    yield made
    made.stop()


def authority(harbor: HarborDouble, password: str | None = "good") -> TokenRealm:
    """What a client knows of it."""
    http = Client(zone="gap", retries=Retries(attempts=2, base=0, jitter=0))
    login = None if password is None else Login("robot$import", password)
    return TokenRealm(http, f"{harbor.url}/v2/", login)


def test_one_token_for_each_set_of_scopes_however_many_ask(harbor: HarborDouble) -> None:
    one = authority(harbor)
    threads = [threading.Thread(target=one.header, args=((scope,),)) for scope in (PULL, PUSH) * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert harbor.count("GET", "/service/token") == 2
    assert harbor.count("GET", "^/v2/$") == 1


def test_a_token_is_renewed_before_it_ends(harbor: HarborDouble) -> None:
    now = [0.0]
    one = authority(harbor)
    one = TokenRealm(one._http, f"{harbor.url}/v2/", one.login, clock=lambda: now[0])
    first = one.header((PULL,))
    now[0] = harbor.token_seconds - 31
    assert one.header((PULL,)) == first
    now[0] = harbor.token_seconds - 29
    assert one.header((PULL,)) != first


def test_an_expired_token_is_refreshed_once(harbor: HarborDouble) -> None:
    one = authority(harbor)
    url = f"{harbor.url}/v2/p1/x/tags/list"
    one._http.request("GET", url, auth=one.scoped(PULL))
    harbor.expire_tokens()
    one._http.request("GET", url, auth=one.scoped(PULL))
    assert harbor.count("GET", "/service/token") == 2


def test_a_wrong_password_is_found_though_harbor_gives_a_token(harbor: HarborDouble) -> None:
    with pytest.raises(UpstreamError) as caught:
        authority(harbor, "wrong").header((PULL,))
    assert caught.value.code == "login-failed"
    assert "expired or is disabled" in str(caught.value)
    assert "robot$import" in str(caught.value)


def test_missing_rights_are_not_taken_for_a_wrong_password(harbor: HarborDouble) -> None:
    harbor.rights = lambda user, project, action: False
    assert authority(harbor).header((PULL,)).startswith("Bearer ")


def test_anonymous_gets_tokens_too(harbor: HarborDouble) -> None:
    harbor.rights = lambda user, project, action: action == "pull"
    assert authority(harbor, None).header((PULL,)).startswith("Bearer ")


@pytest.fixture
def scripts() -> Iterator[list[Scripted]]:
    """Servers that a test starts."""
    made: list[Scripted] = []
    yield made
    for server in made:
        server.stop()


def test_inside_the_gap_a_password_goes_to_no_foreign_realm(scripts: list[Scripted]) -> None:
    stranger = Scripted(Answer(200, b'{"token":"t"}', {"Content-Type": "application/json"}))
    challenge = {"Www-Authenticate": f'Bearer realm="{stranger.url}/token",service="s"'}
    registry = Scripted(Answer(401, headers=challenge))
    scripts += [stranger, registry]
    login = Login("me", "pw")
    with pytest.raises(UpstreamError) as caught:
        TokenRealm(Client(zone="gap"), f"{registry.url}/v2/", login).header((PULL,))
    assert caught.value.code == "foreign-host"
    assert stranger.asked == []
    named = Client({registry.host: HostConfig(allowed_hosts=(stranger.host,))}, zone="gap")
    assert TokenRealm(named, f"{registry.url}/v2/", login).header((PULL,)) == "Bearer t"
    assert stranger.asked[0].headers["authorization"] == login.header


def test_a_registry_that_asks_nobody_gets_no_password(scripts: list[Scripted]) -> None:
    registry = Scripted(Answer(200))
    scripts.append(registry)
    one = TokenRealm(Client(zone="gap"), f"{registry.url}/v2/", Login("me", "pw"))
    assert one.header((PULL,)) == ""
    assert "authorization" not in registry.asked[0].headers


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"token":5}', b'{"token":"a b"}', b'{"token":"a\\n"}'])
def test_an_answer_without_a_token_is_an_error(scripts: list[Scripted], body: bytes) -> None:
    server = Scripted(Answer(200, body, {"Content-Type": "application/json"}))
    realm = {"Www-Authenticate": f'Bearer realm="{server.url}/token"'}
    server.answers.insert(0, Answer(401, headers=realm))
    scripts.append(server)
    with pytest.raises(UpstreamError) as caught:
        TokenRealm(Client(zone="gap"), f"{server.url}/v2/", None).header((PULL,))
    assert caught.value.code == "bad-token"
