"""Every service and folder of a Sovereign: whether it can be reached, and whether it would take an import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from airgap.base.errors import AirgapError, UpstreamError
from airgap.base.probe import Probe, Probes
from airgap.destinations.graph.probe import GraphNeeds, probe_registry
from airgap.jobs.doctor.local import probe_folder
from airgap.net.config import HostConfig
from airgap.net.http import Client, Fixed
from airgap.net.origin import Origin
from airgap.net.probe import probe_clock, probe_origin
from airgap.resources.sovereign import GitConfig, RegistryConfig, S3Config, Sovereign
from airgap.store.registry.client import RegistryClient

Config = RegistryConfig | GitConfig | S3Config
_FIRST = {RegistryConfig: "/v2/", GitConfig: "/api/v1/version", S3Config: "/"}
"""What is asked for first: any answer has the server's time."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service of a Sovereign with an address in the network."""

    url: str
    config: Config

    @property
    def host(self) -> HostConfig:
        """How it is reached."""
        return self.config.host


@dataclass(slots=True)
class Needs:
    """What a delivery would bring to one destination."""

    graphs: GraphNeeds = field(default_factory=GraphNeeds)
    size: int = 0
    """Bytes that are missing in a folder."""


def services_of(sovereign: Sovereign) -> list[Service]:
    """The services of a Sovereign. Folders are not among them."""
    made = [Service(one.url, one) for one in sovereign.registries]
    if sovereign.git is not None and "://" in sovereign.git.url:
        made.append(Service(sovereign.git.url, sovereign.git))
    if sovereign.s3 is not None:
        made.append(Service(sovereign.s3.endpoint, sovereign.s3))
    return made


def probe_address(service: Service, http: Client, now: datetime, within: timedelta) -> Probes:
    """Name, port, certificate and clock. A problem of one of them is one line, and ends it."""
    found = Probes(service.url)
    origin = Origin.of(service.url)
    http.alias(origin, service.host)
    if not probe_origin(found, origin, service.host, now, within):
        return found
    with found.looking("address"):
        answer = http.request("GET", f"{service.url}{_FIRST[type(service.config)]}", expect=None, follow=False)
        if origin.scheme == "http" and answer.status == 400 and b"HTTPS" in answer.data.upper():
            what = f"port {origin.port} speaks TLS, and the address says http"
            raise UpstreamError("tls-failed", what, f"write https://{origin.host}:{origin.port}", side="destination")
        if answer.status in (502, 503, 504):
            what = f"got {answer.status}: a proxy in front answers, and the service behind it does not"
            hint = "see whether the service runs (Harbor: core, `docker compose ps` or `kubectl get pods`)"
            raise UpstreamError("upstream-failed", what, hint, answer.status, side="destination")
        probe_clock(found, answer.headers.get("Date"), now)
    return found


def probe_service(found: Probes, service: Service, http: Client, needs: Needs | None) -> None:
    """Login, rights, places and settings of a service that answers."""
    try:
        match service.config:
            case RegistryConfig() as config:
                registry = RegistryClient(config.url, http)
                probe_registry(found, config, registry, None if needs is None else needs.graphs)
            case GitConfig() as config:
                _git(found, config, http)
            case S3Config() as config:
                _s3(found, config)
    except AirgapError as error:
        found.problem("service", error)


def foreseen(
    sovereign: Sovereign, http: Client, needs: Mapping[str, Needs], said: Mapping[str, set[str]]
) -> list[Probe]:
    """The problems that an import would meet at the services in `needs`, without the codes `said` of a service."""
    found: list[Probe] = []
    for service in services_of(sovereign):
        if service.url in needs:
            probes = Probes(service.url)
            probe_service(probes, service, http, needs[service.url])
            found += [one for one in probes.found if one.exit_code and not {one.code} & said.get(service.url, set())]
    return found


def _git(found: Probes, config: GitConfig, http: Client) -> None:
    from airgap.destinations.git.probe import probe_git
    from airgap.tools.git_remote import authorization

    secret = authorization(config.host.credentials)
    probe_git(found, config, http, Fixed(secret) if secret else None, config.organization_names)


def _s3(found: Probes, config: S3Config) -> None:
    from airgap.destinations.s3.client import make_client
    from airgap.destinations.s3.probe import probe_s3

    probe_s3(found, config, make_client(config, connections=2))


def probe_folders(sovereign: Sovereign, needs: dict[str, Needs]) -> list[Probes]:
    """The folders of a Sovereign that are used in place of services."""
    folders = [sovereign.directory] if sovereign.directory is not None else []
    if sovereign.git is not None and "://" not in sovereign.git.url:
        folders.append(Path(sovereign.git.url))
    made = []
    for folder in folders:
        found = Probes(str(folder))
        below = [need.size for url, need in needs.items() if url == str(folder) or url.startswith(f"{folder}/")]
        probe_folder(found, folder, sum(below))
        made.append(found)
    return made
