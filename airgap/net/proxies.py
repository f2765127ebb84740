"""Which proxy leads to an origin: one rule for airgap's requests and for the programs that it starts.

It is the rule that people know from curl and from programs in Go, such as crane. Where the two differ, a proxy is used
only if both would use one. Source: curl(1) "Environment", `golang.org/x/net/http/httpproxy`.

- `https_proxy` is for https, `http_proxy` for http, `all_proxy` for both if the other is not set. Each may be in upper
  case. In lower case it takes precedence, also if it is empty: then there is no proxy.
- `no_proxy` lists what needs none, with commas or spaces: `*`; a host, which includes its subdomains, also as `.host`
  or `*.host`; an address; a network such as `10.0.0.0/8`, for URLs with an address. An entry may end with `:PORT`.
- Loopback (`localhost`, 127.0.0.0/8, `::1`) never uses a proxy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from airgap.base.errors import InputError
from airgap.net.origin import Origin, redact

NAMES = ("http", "https", "all", "no")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PORT = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<name>[^:\[\]]+)):(?P<port>[0-9]{1,5})\Z")


def proxies_in(environ: Mapping[str, str]) -> dict[str, str]:
    """What an environment says about proxies, by the names of `NAMES`."""
    found = {name: environ.get(f"{name}_proxy", environ.get(f"{name.upper()}_PROXY", "")).strip() for name in NAMES}
    return {name: value for name, value in found.items() if value}


def proxy_for(origin: Origin, proxies: Mapping[str, str]) -> str:
    """The URL of the proxy that leads to `origin`, `""` for none.

    Raises `InputError` (`bad-proxy`) for what is not an http or https URL.
    """
    proxy = proxies.get(origin.scheme) or proxies.get("all") or ""
    if not proxy or origin.loopback or any(_names(entry, origin) for entry in _entries(proxies)):
        return ""
    url = proxy if "://" in proxy else f"http://{proxy}"
    shown = redact(url)
    try:
        Origin.of(url)
        if "@" in shown:  # in the path: `user:12/3@proxy` is host `user`, port 12
            shown = f"{shown.partition('://')[0]}://{shown.rpartition('@')[2]}"
            raise InputError("bad-url", shown)
    except InputError as error:
        raise InputError(
            "bad-proxy",
            f"proxy {shown!r} for {origin}: not an http or https URL",
            "correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY (in a password, write / as %2F, ? as %3F, # as %23, @ as "
            "%40), or name the host in NO_PROXY",
        ) from error
    return url


def for_libcurl(origin: Origin, proxies: Mapping[str, str]) -> dict[str, str]:
    """The environment in which a program with libcurl follows the same rule. Raises `InputError` (`bad-proxy`).

    Older versions know neither networks nor ports in `no_proxy`, so this decides for `origin`. What is left for
    libcurl are other hosts, to which a redirect may lead.
    """
    proxy = proxy_for(origin, proxies)
    if not proxy:
        return {"no_proxy": "*"}
    others = {f"{name}_proxy": proxies[name] for name in ("http", "https", "all") if proxies.get(name)}
    plain = [entry.removeprefix("*.").lstrip(".") for entry in _entries(proxies) if not _PORT.match(entry)]
    return {**others, f"{origin.scheme}_proxy": proxy, "no_proxy": ",".join((*filter(None, plain), *_LOOPBACK))}


def _entries(proxies: Mapping[str, str]) -> list[str]:
    return [entry for entry in re.split(r"[,\s]+", proxies.get("no", "").lower()) if entry]


def _names(entry: str, origin: Origin) -> bool:
    """True if an entry of `no_proxy` names `origin`."""
    if entry == "*":
        return True
    match = _PORT.match(entry)
    if match is not None:
        if int(match["port"]) != origin.port:
            return False
        entry = match["six"] or match["name"]
    entry = entry.removeprefix("[").removesuffix("]")
    host = origin.host.rstrip(".")
    try:
        address = ip_address(host)
    except ValueError:
        name = entry.removeprefix("*.").lstrip(".").rstrip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
    try:
        return address in ip_network(entry, strict=False)
    except ValueError:
        return False


def login_in(url: str) -> tuple[str, str | None, str | None]:
    """A proxy's URL without its user, and user name and password as they are in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), parts.username, parts.password
