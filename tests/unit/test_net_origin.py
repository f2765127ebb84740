"""Where an answer may send us: the rule of design invariant 8 as a table."""

from __future__ import annotations

import pytest

from airgap.base.errors import InputError, UpstreamError
from airgap.net.origin import Origin, Zone, redact, resolve_hop

HERE = "https://harbor.example.org/v2/p/x/blobs/uploads/"


TWO_HOSTS = (
    "https://harbor.example.org[::1]/x",
    "https://[::1].harbor.example.org/x",
    "https://harbor.example.org:443[::1]/",
    "https://[v1.x]/",
    "https://evil.example.org\\@harbor.example.org/",
    "https://a@evil.example.org@harbor.example.org/",
)
"""Two programs find two hosts in them. Python before 3.11.12 and 3.12.9 takes the first four (CVE-2025-0938)."""


@pytest.mark.parametrize("zone", ["gap", "connected"])
@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/v2/up/1?_state=a%2Bb&x=1", "https://harbor.example.org/v2/up/1?_state=a%2Bb&x=1"),
        ("1?_state=s", HERE + "1?_state=s"),
        ("https://harbor.example.org/token", "https://harbor.example.org/token"),
        ("https://HARBOR.example.org:443/token", "https://HARBOR.example.org:443/token"),
        ("//harbor.example.org/y", "https://harbor.example.org/y"),
    ],
)
def test_the_same_origin_is_always_allowed(zone: Zone, location: str, expected: str) -> None:
    assert resolve_hop(HERE, location, "redirect", zone=zone) == expected


@pytest.mark.parametrize(
    "location",
    [
        "https://other.example.org/x",
        "https://harbor.example.org:8443/x",
        "https://harbor.example.org.evil.org/x",
        "https://harbor.example.org@evil.org/x",
        "//evil.org/x",
    ],
)
def test_inside_the_gap_other_origins_are_not(location: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        resolve_hop(HERE, location, "token realm", zone="gap")
    assert caught.value.code == "foreign-host"


@pytest.mark.parametrize("name", ["s3.example.org", "s3.example.org:443", "S3.example.org", "https://s3.example.org"])
def test_allowed_hosts_are(name: str) -> None:
    url = "https://s3.example.org/bucket/blob?sig=1"
    assert resolve_hop(HERE, url, "redirect", zone="gap", allowed=(name,)) == url


def test_an_allowed_host_with_a_port_is_that_port_only() -> None:
    with pytest.raises(UpstreamError):
        resolve_hop(HERE, "https://s3:2/x", "redirect", zone="gap", allowed=("s3:1",))


@pytest.mark.parametrize("zone", ["gap", "connected"])
@pytest.mark.parametrize("host", ["harbor.example.org", "s3.example.org"])
def test_https_never_goes_down_to_http(zone: Zone, host: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        resolve_hop(HERE, f"http://{host}/x", "redirect", zone=zone, allowed=("s3.example.org",))
    assert caught.value.code == "insecure-redirect"


def test_connected_any_https_host_is_allowed_and_plain_http_is_not() -> None:
    realm = "https://auth.docker.io/token"
    assert resolve_hop(HERE, realm, "token realm", zone="connected") == realm
    with pytest.raises(UpstreamError) as caught:
        resolve_hop("http://one:5000/v2/", "http://two:5000/", "redirect", zone="connected")
    assert caught.value.code == "foreign-host"


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://h/x", "https://[", "http://:80/", *TWO_HOSTS])
def test_rubbish_is_refused(location: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        resolve_hop(HERE, location, "redirect", zone="connected")
    assert caught.value.code == "bad-location"


def test_what_people_see_has_no_secrets() -> None:
    assert redact("https://me:pw@h:1/p?sig=s#f") == "https://h:1/p"
    assert "pw" not in redact("https://me:pw@[broken/p")
    for url in ("http://me:p/w@h:1/p", "https://me:p#w@h:1/p?x", "https://me:p?w@h:1/p", "http:/me:pw@h:1/p"):
        assert redact(url).endswith("://h:1/p")
    assert redact("https://h:80/@scope/p@1") == "https://h:80/@scope/p@1"
    assert redact("git@h:p") == "git@h:p"


@pytest.mark.parametrize(
    ("url", "netloc"),
    [
        ("https://h", "h"),
        ("https://h:443/x", "h"),
        ("http://h:443", "h:443"),
        ("http://[::1]:5000/", "[::1]:5000"),
        ("HTTP://H.Example/", "h.example"),
    ],
)
def test_origins(url: str, netloc: str) -> None:
    assert Origin.of(url).netloc == netloc


def test_an_origin_needs_a_host() -> None:
    with pytest.raises(InputError):
        Origin.of("https:///path")


@pytest.mark.parametrize("url", TWO_HOSTS)
def test_a_url_with_two_hosts_has_no_origin(url: str) -> None:
    with pytest.raises(InputError, match="bad-url"):
        Origin.of(url)
