"""`Kind`: everything that the program asks about a kind of content, and what most kinds answer."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import unquote

from airgap.content.forms import Form
from airgap.content.graph import Descriptor, Node, Source, Target
from airgap.content.known_kinds import ItemFields
from airgap.content.lock import Item
from airgap.content.reference import DOCKER_HUB, HUB_ALIASES

if TYPE_CHECKING:
    from airgap.store.locate import Reach

Asked_contra = TypeVar("Asked_contra", contravariant=True)
"""What a Request has of the kind: a dataclass with at least `name` and `where`."""


class Kind(Protocol[Asked_contra]):
    """A kind of content. A class that inherits from this one gives what has no answer here, and what differs.

    A module of a kind imports at its top what declares it, and libraries that work (HTTP, YAML, git) inside functions:
    whoever reads a lock loads all kinds.
    """

    name: str
    """In locks, in policies, on the screen."""
    section: str
    """The field of a Request's `spec` that lists such things."""
    section_title: str
    """What that list is, in words that follow "expected"."""
    request: type[Any]
    """An entry of the list: a dataclass whose fields are declared (`airgap.resources.fields`), with a `name`."""
    item_fields: ItemFields
    """What a lock has of it."""
    signed: bool = False
    """True where registries keep signatures of it, so that a policy may require some."""
    packed: bool = False
    """True where `pull` has to make the graph (`pack`); else the graph is read from upstream (`source`)."""
    path_prefixes: tuple[str, ...] = ()
    """How a source that is a path begins, `""` where it is the path alone. In a lock it is relative to the lock."""

    # What was asked, and what is pinned.

    def parts(self, asked: Asked_contra) -> Iterable[tuple[str, Any]]:
        """What one entry of a Request comes to, as (name of a kind, request of that kind).

        One item has one form. A kind whose things have several, such as a graph and Git refs, is a name for others:
        here it gives a request for each of them, and no item is of this kind itself.
        """
        return ((self.name, asked),)

    def origin(self, asked: Asked_contra) -> str:
        """The `source` that the lock will have, with absolute paths."""

    def said(self, asked: Asked_contra) -> Mapping[str, Any]:
        """What a request says besides its origin, as far as a pin shows it: what `pinned` tells of the pin."""
        return {}

    def pinned(self, item: Item) -> Mapping[str, Any]:
        """The same of a pin. Where the two differ the request has changed, and is resolved again."""
        return {}

    def unwritten(self, asked: Asked_contra) -> Mapping[str, str | list[str]]:
        """What a pin does not show of its request: the lock's field `asked`."""
        return {}

    def check_item(self, item: Item, where: str) -> None:
        """Checks an item of a lock beyond `item_fields`. Raises `InputError` (`bad-lock`)."""
        return

    # From upstream into a store.

    def resolve(self, asked: Asked_contra, reach: Reach) -> Item:
        """Pins a request. Raises `InputError`, `NotFoundError`, `UpstreamError`, `IntegrityError`."""

    def source(self, item: Item, reach: Reach) -> Source:
        """Where the pinned graph is read from. Only where the kind is not packed."""
        what = f"a {self.name} is packed"
        raise NotImplementedError(what)

    def pack(self, item: Item, target: Target, work: Path, reach: Reach) -> Descriptor:
        """Makes the graph in `target`; returns its root. Only where the kind is packed."""
        what = f"a {self.name} is read, and not packed"
        raise NotImplementedError(what)

    def check(self, item: Item, root: Descriptor, source: Source) -> list[str]:
        """What is wrong with the content, as far as digests do not fix it; nothing where all is well."""

    def annotations(self, item: Item) -> dict[str, str]:
        """What a store's index.json says of it besides its name, so that `extract` needs no lock."""
        return {}

    # From a store into a Sovereign.

    def form(self, item: Item, root: Descriptor, source: Source) -> Form:
        """The form in which it arrives: this decides which destinations take it."""

    def expect(self, item: Item) -> Form:
        """The form as far as the lock alone tells it: names and digests, for an audit without content."""

    # What people and policies call it.

    def is_local(self, item: Item) -> bool:
        """True for what was read on the machine that locked it: a folder, an archive, an engine."""
        return any(item.source.startswith(prefix) for prefix in self.path_prefixes)

    def address(self, item: Item) -> str:
        """Where something that is not local comes from, for rules of a policy; without tag and digest."""
        return straight(without_scheme(item.source).partition("#")[0].partition("?")[0])

    def local_name(self, item: Item) -> str:
        """What rules are asked about something local: the name that it has inside, without tag and digest."""
        return without_scheme(item.name).partition("#")[0].partition("?")[0].rstrip("/")

    def claims(self, node: Node) -> bool:
        """True for a graph in a registry that is of this kind, and not simply an image."""
        return False

    def notes(self, item: Item) -> list[str]:
        """What people should know of a new pin."""
        return []

    def shown(self, item: Item) -> str:
        """What `show` says of an item after its name."""
        return str(item.root.digest) if item.root else ""

    def identity(self, item: Item) -> str:
        """What names the content, in a few words."""
        return str(item.root.digest) if item.root else ""

    def changed(self, field: str, before: Any, after: Any) -> list[str]:
        """What changed in one field of two items, in words; `None` stands for a field that is left out."""
        return [f"{field}: {before} → {after}"]


def policy_name(kind: Kind[Any], item: Item) -> str:
    """What rules are matched against: where an item comes from, without scheme, tag and digest.

    One place has one name, however its address is written: hosts are in lower case, and a path goes the straight way.
    What lies on this machine goes by the name that it shall have inside, so that a folder beside the request cannot
    pass by a rule for something else.
    """
    return kind.local_name(item) if kind.is_local(item) else kind.address(item)


def without_scheme(address: str) -> str:
    """An address without `https://` or the like."""
    return re.sub(r"\A[A-Za-z][A-Za-z0-9+.-]*://", "", address)


def straight(address: str) -> str:
    """An address as everybody else would write it, so that `acme/../evil` is not taken for one of acme's."""
    host, slash, path = address.partition("/")
    host = host.rpartition("@")[2].lower().removesuffix(":443")
    host = DOCKER_HUB if host in HUB_ALIASES else host
    return host + posixpath.normpath(f"/{unquote(path).lstrip('/')}") if slash else host
