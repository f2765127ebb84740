"""`doctor`: which resources there are, and what is looked at for each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from airgap.base.errors import InputError
from airgap.base.parallel import parallel
from airgap.base.probe import Health, Probe, Probes
from airgap.destinations.make import http_for
from airgap.jobs.doctor.destinations import Needs, probe_address, probe_folders, probe_service, services_of
from airgap.jobs.doctor.incoming import Incoming, probe_delivery
from airgap.jobs.doctor.local import probe_keys, probe_programs, probe_state, probe_trust
from airgap.jobs.doctor.upstreams import hosts_of, probe_upstream
from airgap.jobs.reach import connected_client
from airgap.jobs.site import check_same_sovereign, open_site, state_folder_of
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.net.config import HostConfig
from airgap.net.http import Retries
from airgap.resources.catalog import Value
from airgap.resources.load import load
from airgap.resources.request import Request
from airgap.resources.sovereign import Sovereign
from airgap.resources.trust import Trust
from airgap.resources.upstreams import Upstreams
from airgap.version import USER_AGENT

T = TypeVar("T")
RETRIES = Retries(attempts=2, base=0.2)
"""A person waits for the answer, and a service that is down is what is to be found."""


@dataclass(frozen=True, slots=True)
class DoctorOptions:
    """Which resources are looked at, and with what else."""

    resources: tuple[Path, ...]
    """Files with Sovereign, Trust, Upstreams, Request, Policy, Waiver or Station resources."""
    key: str | None = None
    """The key with which an import signs: a path, or a `pkcs11:` URI."""
    delivery: tuple[Path, ...] = ()
    """The folders of a delivery that is to be imported; requires a Sovereign and a Trust resource."""
    within: timedelta = timedelta(days=30)
    """How long before its end a key or a certificate is reported."""
    jobs: int = DEFAULT_JOBS


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A resource with its file."""

    file: Path
    value: Value


def doctor(options: DoctorOptions, surroundings: Surroundings) -> list[Probe]:
    """Looks at everything that the resources name; every problem is in the result, one cause once.

    1. Read the resources. 2. What is on this machine: keys, state, programs. 3. Every service: name, port, certificate,
    clock, login, rights, places, settings. 4. With a delivery: whether it would be accepted, and what it would meet.
    Sends only requests that read, and writes only below the folder for temporary files.

    Raises `InputError` (`usage`) for a delivery without a Sovereign and a Trust resource.
    """
    # 1.
    found: list[Probe] = []
    loaded = [one for path in dict.fromkeys(options.resources) for one in _read(path, found)]
    sovereigns, trusts = _of(loaded, Sovereign), _of(loaded, Trust)
    broken = any(one.health is Health.PROBLEM for one in found)
    if options.delivery and not broken and not (len(sovereigns) == len(trusts) == 1):
        raise InputError(
            "usage",
            f"--delivery: got {len(sovereigns)} Sovereign and {len(trusts)} Trust resources, expected one of each",
            "name both files: airgap doctor sovereign.yaml trust.yaml --delivery DIR",
        )
    # 2. to 4.
    for file, trust in trusts:
        found += probe_trust(file, trust, surroundings.clock(), options.within)
    if len(trusts) == 1 and options.key is not None and not sovereigns:
        found += probe_keys(options.key, None, trusts[0][1], surroundings)
    for file, sovereign in sovereigns:
        found += _sovereign(file, sovereign, trusts, options, surroundings)
    found += _upstreams(loaded, options, surroundings)
    return found


def _read(path: Path, found: list[Probe]) -> list[_Loaded]:
    probes = Probes(str(path))
    values: tuple[Value, ...] = ()
    with probes.looking("resource"):
        values = load(path)
        probes.ok("resource", ", ".join(type(one).__name__ for one in values))
    found += probes.found
    return [_Loaded(path, one) for one in values]


def _of(loaded: list[_Loaded], kind: type[T]) -> list[tuple[Path, T]]:
    return [(one.file, one.value) for one in loaded if isinstance(one.value, kind)]


def _sovereign(
    file: Path,
    sovereign: Sovereign,
    trusts: list[tuple[Path, Trust]],
    options: DoctorOptions,
    surroundings: Surroundings,
) -> list[Probe]:
    now = surroundings.clock()
    trust_file, trust = trusts[0] if len(trusts) == 1 else (None, None)
    found = Probes(str(file))
    if trust is not None and trust_file is not None:
        with found.looking("name"):
            check_same_sovereign(sovereign, file, trust, trust_file)
    probes = [*found.found, *probe_state(state_folder_of(sovereign, surroundings), sovereign.name, now)]
    probes += probe_keys(options.key, sovereign.signing_key, trust, surroundings)
    probes += probe_programs(sovereign)
    http = http_for(sovereign, jobs=options.jobs, user_agent=USER_AGENT, on_retry=surroundings.progress().note)
    http.retries = RETRIES
    services = services_of(sovereign)
    looked = parallel(options.jobs, lambda one: probe_address(one, http, now, options.within), services)
    needs = dict[str, Needs]()
    incoming = Incoming()
    if options.delivery and trust is not None and not found.broken:
        site = open_site(sovereign, trust, surroundings, jobs=options.jobs)
        down = {probe.place for probe in looked if probe.broken}
        incoming = probe_delivery(options.delivery, site, down)
        needs = incoming.needs
    up = [(service, probe) for service, probe in zip(services, looked, strict=True) if not probe.broken]
    parallel(options.jobs, lambda one: probe_service(one[1], one[0], http, needs.get(one[0].url)), up)
    folders = probe_folders(sovereign, needs)
    for probe in [*looked, *folders]:
        probes += probe.found
    return [*probes, *incoming.unsaid(looked)]


def _upstreams(loaded: list[_Loaded], options: DoctorOptions, surroundings: Surroundings) -> list[Probe]:
    upstreams = [one for _, one in _of(loaded, Upstreams)]
    hosts = {host: config for one in upstreams for host, config in one.hosts.items()}
    for _, request in _of(loaded, Request):
        for host in hosts_of(request, surroundings):
            hosts.setdefault(host, HostConfig())
    client = connected_client(Upstreams(hosts=hosts), surroundings, options.jobs)
    client.retries = RETRIES
    now = surroundings.clock()
    looked = parallel(
        options.jobs,
        lambda host: probe_upstream(host, client, surroundings, now, options.within),
        sorted(hosts),
    )
    return [probe for one in looked for probe in one]
