"""How the connected zone is reached, from an Upstreams resource and the surroundings."""

from __future__ import annotations

from pathlib import Path

from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.net.http import Client
from airgap.resources.load import load_upstreams
from airgap.resources.upstreams import Upstreams
from airgap.store.locate import Reach
from airgap.version import USER_AGENT


def upstreams_in(path: Path | None) -> Upstreams:
    """The Upstreams resource of a file; one without hosts for `None`. Raises `InputError`."""
    return load_upstreams(path) if path is not None else Upstreams(hosts={})


def connected_client(upstreams: Upstreams, surroundings: Surroundings, jobs: int = DEFAULT_JOBS) -> Client:
    """The HTTP client of the connected zone, with its proxies. `jobs` is the number of connections per host."""
    return Client(
        upstreams.hosts,
        zone="connected",
        proxies=surroundings.proxies,
        user_agent=USER_AGENT,
        max_connections=jobs,
        on_retry=surroundings.progress().note,
        throttle=surroundings.throttle,
    )


def reach_for(upstreams: Upstreams, base: Path, work: Path, jobs: int, surroundings: Surroundings) -> Reach:
    """How the connected zone is reached. `base` is where relative paths begin, `work` a folder for temporary files."""
    client = connected_client(upstreams, surroundings, jobs)
    work.mkdir(parents=True, exist_ok=True)
    docker = surroundings.docker_config
    return Reach(
        http=client,
        spool=work,
        base=base.absolute(),
        docker_config=docker if docker is not None and docker.exists() else None,
        docker_host=surroundings.docker_host,
        progress=surroundings.progress(),
        proxies=surroundings.proxies,
        hub_endpoint=surroundings.hub_endpoint,
        jobs=jobs,
    )
