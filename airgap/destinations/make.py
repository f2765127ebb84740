"""The destinations of a Sovereign, made from its resource: which form goes where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from airgap.base.errors import InputError
from airgap.content.forms import Form, Graph, Tree
from airgap.destinations.accepted_list import FolderShelf, RegistryShelf, Shelf, record_name
from airgap.destinations.base import Destination, Run
from airgap.destinations.graph import GraphDestination, GraphPlace
from airgap.destinations.graph.layout import LayoutPlace
from airgap.destinations.trees.destination import TreeDestination
from airgap.net.config import HostConfig
from airgap.net.http import Client
from airgap.net.origin import Origin
from airgap.resources.model import GitConfig, RegistryConfig, Sovereign
from airgap.store.layout import Layout
from airgap.store.registry.client import RegistryClient
from airgap.store.registry.repository import RegistryRepository


@dataclass(slots=True)
class Destinations:
    """All destinations of one Sovereign by form; graphs may have several."""

    graphs: list[GraphDestination] = field(default_factory=list)
    refs: list[Destination] = field(default_factory=list)
    trees: list[TreeDestination] = field(default_factory=list)

    def all(self) -> Sequence[GraphDestination | Destination]:
        """Every destination."""
        return [*self.graphs, *self.refs, *self.trees]

    def of(self, form: Form) -> Sequence[GraphDestination | Destination]:
        """Those that take a form. Raises `InputError` (`no-destination`)."""
        if isinstance(form, Graph):
            found: Sequence[GraphDestination | Destination] = self.graphs
            missing = "registries"
        elif isinstance(form, Tree):
            found, missing = self.trees, "s3"
        else:
            found, missing = self.refs, "git"
        if not found:
            raise InputError(
                "no-destination",
                f"{form.item!r} has no place to go: the Sovereign resource has no spec.{missing}",
                f"add spec.{missing}, or leave the item out of the request",
            )
        return found


def http_for(sovereign: Sovereign, *, jobs: int, user_agent: str, on_retry: Callable[[str], None]) -> Client:
    """The HTTP client inside the gap: only the configured hosts, no proxies. `on_retry` is told what is tried again."""
    hosts: dict[str, HostConfig] = {}
    for registry in sovereign.registries:
        hosts[Origin.of(registry.url).netloc] = registry.host
    if sovereign.git is not None and "://" in sovereign.git.url:
        hosts[Origin.of(sovereign.git.url).netloc] = sovereign.git.host
    return Client(hosts, zone="gap", user_agent=user_agent, max_connections=jobs, on_retry=on_retry)


def shelves(sovereign: Sovereign, http: Client) -> list[Shelf]:
    """Where this Sovereign's signed list of accepted deliveries is kept."""
    name, made = record_name(sovereign.name), list[Shelf]()
    for registry in sovereign.registries:
        if registry.records:
            repository = RegistryRepository(RegistryClient(registry.url, http), registry.records)
            made.append(RegistryShelf(registry.url, repository, name))
    if sovereign.directory is not None:
        path = sovereign.directory / "records" / f"{name}.sigstore.json"
        made.append(FolderShelf(str(sovereign.directory), path))
    return made


def make(
    sovereign: Sovereign,
    runs: Mapping[str, Run],
    default: Run,
    *,
    http: Client,
    state: Path,
    create: bool,
) -> Destinations:
    """Makes the destinations. `runs` has the run of each URL, with what our receipts say of it.

    `state` is the Sovereign's state folder: journals of unfinished uploads and work of Git lie there.

    `create` lets an embedded Sovereign's folders be made (an import does, a dry run and an audit do not).
    """
    made = Destinations()
    for registry in sovereign.registries:
        run = runs.get(registry.url, default)
        made.graphs.append(_registry(registry, http, run))
    if sovereign.git is not None:
        from airgap.destinations.git import GitDestination

        run = runs.get(sovereign.git.url, default)
        made.refs.append(GitDestination(sovereign.git, http, state / "git", run))
    if sovereign.s3 is not None:
        from airgap.destinations.s3 import S3Destination

        run = runs.get(sovereign.s3.endpoint, default)
        made.trees.append(S3Destination(sovereign.s3, state / "uploads", run))
    if sovereign.directory is not None:
        from airgap.destinations.git import GitDestination

        _embedded(made, sovereign.directory, runs, default, create=create)
        folder = GitConfig(str(sovereign.directory / "git"), {})
        run = runs.get(folder.url, default)
        made.refs.append(GitDestination(folder, http, state / "git", run))
    return made


def _registry(config: RegistryConfig, http: Client, run: Run) -> GraphDestination:
    client = RegistryClient(config.url, http)
    return GraphDestination(config.url, lambda at: RegistryRepository(client, at), run, dict(config.projects))


def _embedded(made: Destinations, directory: Path, runs: Mapping[str, Run], default: Run, *, create: bool) -> None:
    from airgap.destinations.trees.directory import DirectoryDestination

    url = f"{directory}/oci"
    layout = Layout(directory / "oci", create=create, batch=create) if create or (directory / "oci").exists() else None
    places: dict[str, GraphPlace] = {}

    def place(at: str) -> GraphPlace:
        return places.setdefault(at, LayoutPlace(layout, at))

    made.graphs.append(GraphDestination(url, place, runs.get(url, default)))
    made.trees.append(DirectoryDestination(directory, runs.get(str(directory), default)))
