"""Origins, and where an answer may lead: the only implementation of design invariant 8.

Inside the gap, a redirect, an upload `Location`, a token realm or an LFS href is accepted only within the same origin
or the host's `allowed_hosts`. In the connected zone, any https host is accepted. A downgrade from https to http is
never followed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urljoin, urlsplit

from airgap.base.errors import InputError, Side, UpstreamError
from airgap.content.names import PORTS

Zone = Literal["connected", "gap"]
SIDES: Mapping[Zone, Side] = {"connected": "origin", "gap": "destination"}
"""Which side a zone talks to: content comes from an origin and goes to a destination."""
_REMOVED = re.compile(r"\A[\x00-\x20]|[\t\r\n]")
_AUTHORITY = re.compile(r"(?:[^\s\\\[\]@]*@)?(?:\[[0-9A-Fa-f:.]+\]|[^\s\\\[\]@:]+)(?::[0-9]*)?\Z")
"""What every program reads alike. `urlsplit` takes brackets anywhere (CVE-2025-0938, in Python before 3.11.12, 3.12.9),
and a backslash, at which libcurl and browsers end the host."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of a URL (RFC 6454). The host is lower case."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """Raises `InputError` (`bad-url`) for anything but an http or https URL with a host."""
        try:
            # What `urlsplit` removes in silence, another program does not.
            parts = urlsplit("" if _REMOVED.search(url) else url)
            host, port = parts.hostname, parts.port
        except ValueError:
            parts, host, port = urlsplit(""), None, None
        if parts.scheme not in PORTS or not host or not _AUTHORITY.match(parts.netloc):
            raise InputError("bad-url", f"not an http or https URL: {redact(url)!r}")
        return cls(parts.scheme, host, port or PORTS[parts.scheme])

    @property
    def netloc(self) -> str:
        """`host`, with `:port` unless it is the default port of the scheme."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """True for this machine: `localhost`, 127.0.0.0/8 and `::1`."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"

    def named_by(self, hosts: tuple[str, ...]) -> bool:
        """True if `hosts` contains this origin's `host`, `host:port` or `scheme://host[:port]`."""
        names = {self.host, f"{self.host}:{self.port}", self.netloc, str(self)}
        return any(name.rstrip("/").lower() in names for name in hosts)


def redact(url: str) -> str:
    """`url` for messages: without user, password, query and fragment, which may contain secrets.

    A password with an unescaped `/`, `?` or `#` ends what is read as the host: then all before the last `@` goes.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme in PORTS and "@" in url and not _AUTHORITY.match(parts.netloc):
            parts = urlsplit(f"{parts.scheme}://{url.rpartition('@')[2]}")
        netloc = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "(unreadable URL)"
    return f"{parts.scheme}://{netloc}{parts.path}" if parts.scheme else f"{netloc}{parts.path}"


def resolve_hop(url: str, location: str, what: str, *, zone: Zone, allowed: tuple[str, ...] = ()) -> str:
    """The absolute URL of `location` in an answer from `url`, if it may be followed.

    `what` names the hop in messages (`redirect`, `upload Location`, `token realm`). Raises `UpstreamError`
    (`bad-location`, `insecure-redirect`, `foreign-host`).
    """
    side = SIDES[zone]
    here = Origin.of(url)
    try:
        there_url = urljoin(url, location)
        there = Origin.of(there_url)
    except (InputError, ValueError) as error:
        raise UpstreamError(
            "bad-location",
            f"{what} from {redact(url)}: not an http or https URL: {redact(location)!r}",
            side=side,
        ) from error
    if there == here:
        return there_url
    named = there.named_by(allowed)
    if here.scheme == "https" and there.scheme == "http":
        raise UpstreamError(
            "insecure-redirect",
            f"{what} from {redact(url)} leads to plain HTTP: {redact(there_url)}",
            "set the external URL of the service to https (behind a proxy: X-Forwarded-Proto)",
            side=side,
        )
    # In the connected zone, another host is normal (object storage behind a registry), if TLS authenticates it.
    if named or (zone == "connected" and there.scheme == "https"):
        return there_url
    raise UpstreamError(
        "foreign-host",
        f"{what} from {here} leads to another host: {there}",
        f"if this is intended, add {there.netloc} to allowedHosts of {here.netloc}",
        side=side,
    )
