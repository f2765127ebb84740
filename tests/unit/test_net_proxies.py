"""Which proxy leads to a host, and where plain HTTP is used: the rule as a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.base.errors import InputError
from airgap.net.config import Credentials, HostConfig
from airgap.net.http import Client, Fixed, Retries
from airgap.net.origin import Origin
from airgap.net.plain import is_plain_loopback
from airgap.net.proxies import for_libcurl, proxies_in, proxy_for
from airgap.tools.git import Git, Remote
from airgap.tools.git_remote import authorization, git_remote
from tests.parts import tls
from tests.parts.process import free_ports
from tests.parts.scripted import Answer, Scripted

PROXY = "http://proxy.example.org:3128"


@pytest.fixture
def plain() -> Iterator[Scripted]:
    """A server without TLS."""
    made = Scripted(Answer(200))
    yield made
    made.stop()


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({"HTTPS_PROXY": "a", "HTTP_PROXY": "b"}, {"https": "a", "http": "b"}),
        ({"https_proxy": "a", "HTTPS_PROXY": "b"}, {"https": "a"}),
        ({"https_proxy": "", "HTTPS_PROXY": "b", "NO_PROXY": " "}, {}),
        ({"ALL_PROXY": "c", "no_proxy": "x"}, {"all": "c", "no": "x"}),
    ],
)
def test_the_environment_is_read_as_curl_does(environ: dict[str, str], found: dict[str, str]) -> None:
    assert proxies_in(environ) == found


@pytest.mark.parametrize(
    ("url", "no_proxy", "direct"),
    [
        ("https://quay.io", "", False),
        ("https://quay.io", "*", True),
        ("https://quay.io", "a.example, QUAY.io", True),
        ("https://quay.io", "a.example quay.io", True),
        ("https://cdn.quay.io", "quay.io", True),
        ("https://cdn.quay.io", ".quay.io", True),
        ("https://cdn.quay.io", "*.quay.io", True),
        ("https://quay.io.", "quay.io", True),
        ("https://notquay.io", "quay.io", False),
        ("https://quay.io", "quay.io:443", True),
        ("https://quay.io:5000", "quay.io:443", False),
        ("https://quay.io:5000", "quay.io:5000", True),
        ("https://10.1.2.3", "10.0.0.0/8", True),
        ("https://11.1.2.3", "10.0.0.0/8", False),
        ("https://10.1.2.3:5000", "10.1.2.3:5000", True),
        ("https://10.1.2.3", "1.2.3", False),
        ("https://[fd00::7]", "fd00::/8", True),
        ("https://[fd00::7]", "[fd00::7]", True),
        ("https://[fd00::7]:8443", "[fd00::7]:443", False),
        ("https://quay.io", "10.0.0.0/8,,/,quay.io/24,99999", False),
        ("https://localhost:5000", "", True),
        ("https://127.9.9.9", "", True),
        ("https://[::1]:5000", "", True),
    ],
)
def test_what_needs_no_proxy(url: str, no_proxy: str, direct: bool) -> None:
    origin, proxies = Origin.of(url), {"https": PROXY, "no": no_proxy}
    assert proxy_for(origin, proxies) == ("" if direct else PROXY)
    environ = for_libcurl(origin, proxies)
    assert (environ == {"no_proxy": "*"}) is direct
    assert direct or environ["https_proxy"] == PROXY


def test_the_proxy_of_the_scheme_comes_before_the_one_for_all() -> None:
    proxies = {"https": "tls.example.org:1", "all": "http://all.example.org:2"}
    assert proxy_for(Origin.of("https://quay.io"), proxies) == "http://tls.example.org:1"
    assert proxy_for(Origin.of("http://quay.io"), proxies) == "http://all.example.org:2"
    assert proxy_for(Origin.of("http://quay.io"), {"https": PROXY}) == ""


def test_a_proxy_of_another_kind_is_refused_where_it_would_be_used() -> None:
    proxies = {"all": "socks5://user:secret@proxy.example.org:1080"}
    with pytest.raises(InputError) as caught:
        proxy_for(Origin.of("https://quay.io"), proxies)
    assert caught.value.code == "bad-proxy"
    assert "secret" not in str(caught.value)
    assert proxy_for(Origin.of("https://quay.io"), {**proxies, "no": "quay.io"}) == ""


@pytest.mark.parametrize("password", ["se/cret", "se#cret", "se?cret", "12/secret", "12/se@cret"])
def test_a_password_of_a_proxy_that_is_not_escaped_is_not_shown(password: str) -> None:
    with pytest.raises(InputError) as caught:
        proxy_for(Origin.of("https://quay.io"), {"https": f"http://user:{password}@proxy.example.org:3128"})
    assert "'http://proxy.example.org:3128'" in str(caught.value)
    assert "%2F" in caught.value.hint


def test_git_follows_the_same_rule(tmp_path: Path) -> None:
    git = Git(tmp_path / "git")
    for entry, used in (("10.0.0.0/8", False), ("10.1.2.3:80", False), ("10.1.2.3:5000", True)):
        remote = Remote("http://10.1.2.3/x.git", proxies={"http": PROXY, "no": entry})
        seen = git.run("-c", "alias.showenv=!env", "showenv", remote=remote).stdout.decode().splitlines()
        assert (f"http_proxy={PROXY}" in seen) is used
        assert ("no_proxy=*" in seen) is not used


def test_a_name_that_does_not_resolve_is_said_at_once() -> None:
    waits: list[float] = []
    client = Client(zone="gap", sleep=waits.append)
    for _ in range(2):
        with pytest.raises(Exception, match="does not resolve"):
            client.request("GET", "https://harbor.invalid/v2/")
    assert waits == []


def test_a_secret_goes_without_tls_only_where_it_is_allowed(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t0ken\n")
    token.chmod(0o600)
    login = authorization(Credentials(token_file=token))
    url = "http://git.invalid/team/app.git"
    with pytest.raises(InputError) as caught:
        git_remote(url, HostConfig(), login, side="origin")
    assert caught.value.code == "plain-http"
    git_remote(url, HostConfig(plain_http=True), login, side="origin")
    git_remote(url, HostConfig(), "", side="origin")
    git_remote("http://127.0.0.2:3000/team/app.git", HostConfig(), login, side="origin")
    for hosts, code in (({}, "plain-http"), ({"git.invalid": HostConfig(plain_http=True)}, "unreachable")):
        client = Client(hosts, zone="connected", retries=Retries(attempts=1))
        with pytest.raises(Exception, match=r"git\.invalid") as failed:
            client.request("GET", url, auth=Fixed(login))
        assert getattr(failed.value, "code", "") == code


def test_plain_http_is_found_out_only_at_loopback(plain: Scripted, tmp_path: Path) -> None:
    secure = Scripted(certificate=tls.issue(tmp_path, tls.make_authority(tmp_path)))
    try:
        assert is_plain_loopback(Origin.of(plain.url.replace("http:", "https:")), HostConfig())
        assert not is_plain_loopback(Origin.of(f"https://{secure.host}"), HostConfig())
        assert not is_plain_loopback(Origin.of(f"https://{plain.host}"), HostConfig(ca_file=Path("ca.pem")))
        assert not is_plain_loopback(Origin.of("https://registry.invalid"), HostConfig())
        assert not is_plain_loopback(Origin.of(f"https://127.0.0.1:{free_ports(1)[0]}"), HostConfig())
    finally:
        secure.stop()
    assert plain.asked == []
