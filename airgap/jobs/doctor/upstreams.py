"""The hosts of the connected zone: whether each can be reached, and whether its login is accepted."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import urlsplit

from airgap.base.probe import Probe, Probes
from airgap.content.reference import CHART_SCHEME, local_scheme, split_reference
from airgap.destinations.graph.probe import probe_login
from airgap.jobs.surroundings import Surroundings
from airgap.net.http import Client
from airgap.net.origin import Origin, redact
from airgap.net.probe import probe_clock, probe_origin
from airgap.net.proxies import proxy_for
from airgap.resources.request import Request
from airgap.store.registry.client import RegistryClient

REGISTRY = frozenset({200, 401, 403})
"""What `/v2/` answers with at a registry."""


def hosts_of(request: Request, surroundings: Surroundings) -> set[str]:
    """The hosts (`host[:port]`) of the items of a Request. Local sources have none."""
    found: set[str] = set()
    for entry in (one for some in request.entries.values() for one in some):
        ref, url = str(getattr(entry, "ref", "")), str(getattr(entry, "url", ""))
        if ref and local_scheme(ref.removeprefix(CHART_SCHEME)) == "":
            found.add(split_reference(ref.removeprefix(CHART_SCHEME))[0])
        if getattr(entry, "repo", ""):
            url = surroundings.hub_endpoint
        if "://" in url:
            found.add(urlsplit(url).netloc)
    return {host for host in found if host}


def probe_upstream(
    host: str, client: Client, surroundings: Surroundings, now: datetime, within: timedelta
) -> list[Probe]:
    """Looks at one host, as `lock` and `pull` reach it: by its mirror, its proxy and its login."""
    found = Probes(host)
    docker = surroundings.docker_config
    with found.looking("credentials"):
        registry = RegistryClient(
            host, client, docker_config=docker if docker is not None and docker.exists() else None
        )
        origin = Origin.of(registry.api)
        proxy = proxy_for(origin, surroundings.proxies)
        if proxy:
            found.ok("address", f"by the proxy {redact(proxy)}")
        elif not probe_origin(found, origin, client.host(origin), now, within):
            return found.found
        answer = client.request("GET", f"{registry.api}/", expect=None, follow=False)
        probe_clock(found, answer.headers.get("Date"), now)
        challenge = answer.headers.get("Www-Authenticate") or answer.headers.get("Docker-Distribution-Api-Version")
        if answer.status in REGISTRY and (challenge or (answer.status == 200 and answer.content_type != "text/html")):
            probe_login(found, registry)
        elif registry.authority.login is not None:
            found.unknown("login", "was read; this is no registry, so `airgap lock` will try it")
    return found.found
