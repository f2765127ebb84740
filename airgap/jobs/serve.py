"""`serve`: a read-only registry straight from a delivery or a store, for nodes before there is another one."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from airgap.base.amounts import count, human
from airgap.base.errors import AirgapError, InputError
from airgap.base.secrets import read_private
from airgap.content.bound import measure
from airgap.content.graph import Descriptor
from airgap.content.item import Attached, Item
from airgap.content.platforms import check_platform
from airgap.content.reference import Reference, is_repository, is_tag, parse_reference
from airgap.delivery.read import Volumes
from airgap.jobs.as_locked import check_leaves, check_nodes
from airgap.jobs.offer import Offered, Offering, OfferOptions, open_offer
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.kinds.references import RegistryKind
from airgap.serving.catalog import Catalog
from airgap.serving.mirrors import configuration
from airgap.serving.server import OnAccess, RegistryServer
from airgap.store.attached import find_attached
from airgap.store.in_use import needing, using
from airgap.store.layout import Layout
from airgap.store.locate import LayoutFinder

ANY = ("0.0.0.0", "::")  # noqa: S104  (compared with, not bound to)


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What is served, and where."""

    offer: OfferOptions
    host: str = "127.0.0.1"
    """The address to listen on."""
    port: int = 5000
    """0 for any free port."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    url: str = ""
    """The address by which nodes reach it, for their configuration; `""` for the one that it listens on."""
    ca: str = ""
    """The path, on the nodes, of the CA's certificate."""
    only_config: bool = False
    """True to print the nodes' configuration and to serve nothing."""
    jobs: int = DEFAULT_JOBS
    """Of the checks before it begins."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A registry that is about to answer."""

    url: str
    repositories: Mapping[str, int]
    """Each with the number of its tags."""
    left_out: tuple[str, ...]
    """Items that are not served: other kinds, or no full name."""
    missing: tuple[str, ...]
    """Volumes of the delivery that are not attached: what is on them is answered with 404."""
    verified: bool
    config: Mapping[str, str]
    """The nodes' configuration, by the path of each file."""


@dataclass(frozen=True, slots=True)
class Served:
    """What was served, at the end: the number of requests."""

    requests: int


def serve(
    options: ServeOptions, surroundings: Surroundings, on_start: Callable[[Serving], None], on_access: OnAccess
) -> Served:
    """Serves images and charts until `KeyboardInterrupt`. Writes nothing, but that it needs what it serves of a store.

    1. Open what is served: a delivery is verified by a Trust resource, with all that its `require` asks, or expressly
    not. 2. Compare every item of a verified delivery with its lock, as an import does, and build the catalog. 3.
    Listen, say so (`on_start`), and answer; each blob is hashed while it is sent.

    Raises `InputError` (`no-trust`, `usage`, `cannot-listen`, `bad-certificate`, …), `TrustError`, `IntegrityError`.
    """
    tls = _tls(options)
    with ExitStack() as held:
        with using(options.offer.thing, surroundings.note):
            # 1.
            offering = open_offer(options.offer, surroundings)
            _tell_omitted(offering, surroundings)
            # 2.
            catalog, left_out = _catalog(offering, options.jobs, surroundings)
            if offering.contents is None and not options.only_config:
                held.enter_context(needing(options.offer.thing, catalog.digests))
        # 3.
        return _listen(options, surroundings, _Ready(offering, catalog, left_out, tls), on_start, on_access)


@dataclass(frozen=True, slots=True)
class _Ready:
    """What is served, and how."""

    offering: Offering
    catalog: Catalog
    left_out: list[str]
    tls: ssl.SSLContext | None


def _listen(
    options: ServeOptions,
    surroundings: Surroundings,
    ready: _Ready,
    on_start: Callable[[Serving], None],
    on_access: OnAccess,
) -> Served:
    offering, catalog, left_out, tls = ready.offering, ready.catalog, ready.left_out, ready.tls
    if not catalog.repositories:
        what = f"{offering.where}: there is no image and no chart with a full name"
        raise InputError("nothing-to-serve", what, "`airgap ls` lists what is there; other kinds: `airgap extract`")
    if options.only_config:
        if not options.url and options.host in ANY:
            what = f"--listen {options.host}: nodes cannot ask this address"
            raise InputError("usage", what, "add --url with the address by which they reach this machine")
        on_start(_serving(options, options.port, offering, catalog, left_out))
        return Served(0)
    try:
        server = RegistryServer((options.host, options.port), catalog, on_access, tls)
    except OSError as error:
        what = f"--listen {options.host}:{options.port}: {error.strerror or error}"
        raise InputError("cannot-listen", what, "name another port, or an address of this machine") from error
    if tls is None and not is_loopback(options.host):
        surroundings.note(
            "WARNING: plain HTTP on an address that others reach: anybody on the way can read, and change what nodes "
            "take by tag. Use --tls-cert and --tls-key"
        )
    try:
        on_start(_serving(options, server.port, offering, catalog, left_out))
        server.serve()
    finally:
        server.stop()
    return Served(server.requests)


def is_loopback(host: str) -> bool:
    """True for an address that only this machine reaches."""
    return ip_address(host).is_loopback


def _tls(options: ServeOptions) -> ssl.SSLContext | None:
    if options.tls_cert is None and options.tls_key is None:
        return None
    if options.tls_cert is None or options.tls_key is None:
        raise InputError("usage", "--tls-cert and --tls-key belong together", "give both, or none of them")
    read_private(options.tls_key, "key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # A key with a password would ask at the terminal.
        context.load_cert_chain(options.tls_cert, options.tls_key, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        what = f"--tls-cert {options.tls_cert}, --tls-key {options.tls_key}: {reason}"
        hint = "name a certificate and its key without a password, both in PEM"
        raise InputError("bad-certificate", what, hint) from error
    return context


def _no_password() -> str:
    raise ValueError("the key has a password")


def _serving(
    options: ServeOptions, port: int, offering: Offering, catalog: Catalog, left_out: Sequence[str]
) -> Serving:
    host = f"[{options.host}]" if ":" in options.host else options.host
    url = f"{'https' if options.tls_cert else 'http'}://{host}:{port}"
    volumes = offering.source.source
    return Serving(
        url=url,
        repositories=catalog.tags,
        left_out=tuple(left_out),
        missing=tuple(volumes.missing()) if isinstance(volumes, Volumes) else (),
        verified=offering.opened is not None,
        config=configuration(catalog.hosts, options.url or url, options.ca),
    )


def _tell_omitted(offering: Offering, surroundings: Surroundings) -> None:
    """Says how much a delta omits that no baseline has."""
    omitted = {} if offering.contents is None else offering.contents.omitted
    lacking = [one.size for digest, one in omitted.items() if not offering.source.has(Descriptor("", digest, one.size))]
    if lacking:
        surroundings.note(
            f"note: this is a delta: {count(len(lacking), 'blob')} ({human(sum(lacking))}) of earlier deliveries are "
            "answered with 404; name what has them with --baseline DIR: an earlier delivery, or a store"
        )


def _catalog(offering: Offering, jobs: int, surroundings: Surroundings) -> tuple[Catalog, list[str]]:
    """The catalog, and what is left out of it. Raises `NotAsLockedError` as an import would."""
    catalog, left_out = Catalog(offering.source), list[str]()
    unread: Mapping[str, AirgapError] = {}
    opened = offering.opened
    if opened is not None:
        roots = [(item, root) for item, root in opened.roots if isinstance(_kind(offering, item.name), RegistryKind)]
        check_nodes(roots, offering.source, jobs)
        unread = check_leaves(opened, roots, jobs)
    for name, root, item in _rows(offering):
        if name in unread:
            surroundings.note(f"note: {name!r} is not served: {unread[name]}")
            left_out.append(name)
            continue
        placed = _place(offering, name, item)
        if placed is None:
            left_out.append(name)
            continue
        repository, tag, platforms = placed
        attached = item.attached if item is not None else _attached(offering, root, platforms)
        check_platform(offering.source, root, platforms)
        catalog.add(repository, tag, root, platforms, attached)
    return catalog, left_out


def _kind(offering: Offering, name: str) -> object:
    return offering.look(name).kind


def _rows(offering: Offering) -> Iterator[tuple[str, Descriptor, Item | None]]:
    """Every item, and the unnamed roots of a layout, which can be pulled by digest."""
    for name in offering.names:
        row = offering.rows(name)
        if row is not None:
            yield name, *row
    if offering.contents is None:
        for name, root in offering.source.roots():
            if not name and root.is_node:
                yield "", root, None


def _place(offering: Offering, name: str, item: Item | None) -> tuple[str, str, tuple[str, ...]] | None:
    """Repository, tag and platforms of an item; `None` for one that registries do not have."""
    if not name:
        return offering.plain_name, "", ()
    one = offering.look(name)
    if not isinstance(one.kind, RegistryKind):
        return None
    if item is not None:
        reference = one.kind.original(item)
        return reference.name, reference.tag, one.platforms
    found = _reference(one)
    if found is not None:
        return found.name, found.tag, one.platforms
    repository, _, tag = name.rpartition(":")
    if not repository:
        repository = offering.plain_name  # a layout of other tools, in which a name is only a tag
    good = is_repository(repository) and is_tag(tag)
    return (repository, tag, one.platforms) if good else None


def _reference(one: Offered) -> Reference | None:
    for text in (one.full_name, one.name):
        try:
            return parse_reference(text)
        except InputError:
            continue
    return None


def _attached(offering: Offering, root: Descriptor, platforms: tuple[str, ...]) -> tuple[Attached, ...]:
    """What a store without a lock has that refers to an item, or is tagged for it. Raises `IntegrityError`."""
    if offering.finder is None:
        source = offering.source.source
        if not isinstance(source, Layout):
            return ()
        offering.finder = LayoutFinder(source)
    nodes, _ = measure(offering.source, root, platforms)
    return find_attached(offering.finder, nodes)
