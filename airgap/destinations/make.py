"""Makes the destinations of a Sovereign from its resource: which form goes where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from airgap.base.errors import InputError
from airgap.content.forms import Form, Graph, Refs, Tree
from airgap.destinations.accepted_list import FolderShelf, RegistryShelf, Shelf, record_name
from airgap.destinations.base import AnyDestination, Destination, FormT, Run
from airgap.destinations.graph import GraphDestination, SharedPass
from airgap.destinations.graph.contents import LayoutContents, RegistryContents
from airgap.destinations.graph.layout import LayoutPlace
from airgap.destinations.graph.lists import Lists
from airgap.destinations.graph.remove import LayoutRemover, RegistryRemover
from airgap.destinations.line import AnyLine, AnyShare, Line, Share
from airgap.net.config import HostConfig
from airgap.net.http import Client
from airgap.net.origin import Origin
from airgap.resources.sovereign import GitConfig, RegistryConfig, Sovereign
from airgap.store.layout import Layout
from airgap.store.registry.client import RegistryClient
from airgap.store.registry.repository import RegistryRepository

Registry = GraphDestination[RegistryRepository]


@dataclass(slots=True)
class Destinations:
    """All destinations of one Sovereign, by the form that they accept. A form may have several destinations."""

    registries: list[Registry] = field(default_factory=list)
    layouts: list[GraphDestination[LayoutPlace]] = field(default_factory=list)
    """The layouts of an embedded Sovereign."""
    refs: list[Destination[Refs]] = field(default_factory=list)
    trees: list[Destination[Tree]] = field(default_factory=list)
    shared: SharedPass = field(default_factory=SharedPass)
    """The single reading of the media for all destinations of graphs."""
    folder: str = ""
    """The folder of an embedded Sovereign: all destinations below it are one to people."""

    def all(self) -> Sequence[AnyDestination]:
        """Every destination."""
        return [*self.registries, *self.layouts, *self.refs, *self.trees]

    def work(self, forms: Iterable[Form]) -> Work:
        """Makes a line for each form at each destination that accepts it. Raises `InputError` (`no-destination`)."""
        registries = [(one, Share(one)) for one in self.registries]
        graphs = [*(share for _, share in registries), *map(Share[Graph], self.layouts)]
        refs, trees = list(map(Share, self.refs)), list(map(Share, self.trees))
        lines: list[AnyLine] = []
        for form in forms:
            match form:
                case Graph():
                    lines += _lines(form, graphs, "registries")
                case Refs():
                    lines += _lines(form, refs, "git")
                case Tree():
                    lines += _lines(form, trees, "s3")
        signable = [(registry, line) for registry, share in registries for line in share.lines]
        return Work(lines, [*graphs, *refs, *trees], signable, self.folder)


@dataclass(frozen=True, slots=True)
class Work:
    """The work of one import, for all destinations."""

    lines: list[AnyLine]
    """In the order of the forms."""
    shares: Sequence[AnyShare]
    """The same lines grouped by destination. A share may be empty."""
    at_registries: Sequence[tuple[Registry, Line[Graph]]]
    """The lines at registries, each with its registry, which gives access to repositories."""
    folder: str = ""
    """The folder of an embedded Sovereign."""

    def place(self, url: str) -> str:
        """The destination as people know it: that of a URL, or the folder of an embedded Sovereign."""
        return self.folder if self.folder and url.startswith(f"{self.folder}/") else url


def _lines(form: FormT, shares: Sequence[Share[FormT]], section: str) -> list[Line[FormT]]:
    if not shares:
        raise InputError(
            "no-destination",
            f"{form.item!r} has no destination: the Sovereign resource has no spec.{section}",
            f"add spec.{section}, or leave the item out of the request",
        )
    return [share.add(form) for share in shares]


def http_for(sovereign: Sovereign, *, jobs: int, user_agent: str, on_retry: Callable[[str], None]) -> Client:
    """The HTTP client inside the gap: configured hosts only, no proxies. `on_retry` gets a message for each retry."""
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


@dataclass(frozen=True, slots=True)
class _Site:
    """The inputs from which destinations are made."""

    sovereign: Sovereign
    run: Callable[[str], Run]
    http: Client
    state: Path
    create: bool


def make(
    sovereign: Sovereign,
    run: Callable[[str], Run],
    *,
    http: Client,
    state: Path,
    create: bool,
) -> Destinations:
    """Makes the destinations. `run` gives the run for a URL, with the content of its receipts.

    `state` is the Sovereign's state folder. It contains journals of unfinished uploads and Git work folders.

    `create` allows the folders of an embedded Sovereign to be created (in an import; not in a dry run or an audit).
    """
    made = Destinations()
    for add in TABLE:
        add(made, _Site(sovereign, run, http, state, create))
    return made


def _registries(made: Destinations, site: _Site) -> None:
    for config in site.sovereign.registries:
        made.registries.append(_registry(config, site, made.shared))


def _registry(config: RegistryConfig, site: _Site, shared: SharedPass) -> Registry:
    client = RegistryClient(config.url, site.http)
    run = site.run(config.url)

    def place(at: str) -> RegistryRepository:
        return RegistryRepository(client, at)

    inside, lists = RegistryContents(client, place, config.places, run.jobs), Lists(client.harbor)
    return GraphDestination(
        config.url,
        place,
        run,
        dict(config.projects),
        shared,
        inside=inside,
        lists=lists,
        remover=RegistryRemover(client, place, config.places),
    )


def _git(made: Destinations, site: _Site) -> None:
    if site.sovereign.git is not None:
        made.refs.append(_git_server(site.sovereign.git, site))


def _git_server(config: GitConfig, site: _Site) -> Destination[Refs]:
    from airgap.destinations.git import GitDestination

    return GitDestination(config, site.http, site.state / "git", site.run(config.url))


def _s3(made: Destinations, site: _Site) -> None:
    config = site.sovereign.s3
    if config is not None:
        from airgap.destinations.s3 import S3Destination

        made.trees.append(S3Destination(config, site.state / "uploads", site.run(config.endpoint)))


def _directory(made: Destinations, site: _Site) -> None:
    directory = site.sovereign.directory
    if directory is not None:
        made.folder = str(directory)
        from airgap.destinations.trees.directory import DirectoryDestination

        made.layouts.append(_layout(directory, site, made.shared))
        made.trees.append(DirectoryDestination(directory, site.run(str(directory))))
        made.refs.append(_git_server(GitConfig(url=str(directory / "git"), organizations={}), site))


def _layout(directory: Path, site: _Site, shared: SharedPass) -> GraphDestination[LayoutPlace]:
    folder, create = directory / "oci", site.create
    layout = Layout(folder, create=create, batch=create) if create or folder.exists() else None
    url = f"{directory}/oci"
    inside, remover = LayoutContents(layout), LayoutRemover(layout)
    run = site.run(url)

    def place(at: str) -> LayoutPlace:
        return LayoutPlace(layout, at)

    return GraphDestination(url, place, run, shared=shared, inside=inside, remover=remover)


TABLE: Sequence[Callable[[Destinations, _Site], None]] = (_registries, _git, _s3, _directory)
"""One maker for each section of the Sovereign resource that names destinations."""
