"""`Kind`: everything that the program asks about a kind of content, with the answers of most kinds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from airgap.base.digest import Digest
from airgap.base.errors import InputError, NotAsLockedError
from airgap.content.forms import Form, Graph, Tree
from airgap.content.graph import Descriptor, Node, Source, Target
from airgap.content.item import Item
from airgap.content.known_kinds import ItemFields
from airgap.content.lock_finding import LockFinding
from airgap.content.names import RuleNames, claimed_place, url_name

if TYPE_CHECKING:
    from airgap.content.scan_subject import ScanSubject
    from airgap.store.locate import Reach

Asked_contra = TypeVar("Asked_contra", contravariant=True)
"""The kind's entry in a Request: a dataclass with at least `name` and `where`."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What the content of an item says that it belongs with. It decides nothing about trust: anybody can write it."""

    images: tuple[str, ...] = ()
    """References of images that it needs."""
    sources: tuple[str, ...] = ()
    """URLs of its source repository."""


class Kind(Protocol[Asked_contra]):
    """A kind of content. A subclass implements what has no answer here, and overrides what differs.

    A module of a kind imports at its top only what declares it, and working libraries (HTTP, YAML, git) inside
    functions: reading a lock loads all kinds.
    """

    name: str
    """The name in locks, in policies and on the screen."""
    section: str
    """The field of a Request's `spec` that lists items of this kind."""
    section_title: str
    """A description of that list, which follows the word "expected" in messages."""
    request: type[Any]
    """An entry of the list: a dataclass whose fields are declared (`airgap.resources.fields`), with a `name`."""
    item_fields: ItemFields
    """The fields that a lock has for it."""
    signed: bool = False
    """True where registries keep signatures of it, so that a policy may require some."""
    artifact_type: str = ""
    """The artifact type of its graphs, where no lock says the kind; `""` for images, which have any."""
    packed: bool = False
    """True where `pull` has to make the graph (`pack`); otherwise the graph is read from upstream (`source`)."""
    path_prefixes: tuple[str, ...] = ()
    """Prefixes of a source that is a path; `""` for a bare path. In a lock, the path is relative to the lock."""

    # What was asked, and what is pinned.

    def parts(self, asked: Asked_contra) -> Iterable[tuple[str, Any]]:
        """The requests that one entry of a Request makes, as (name of a kind, request of that kind).

        One item has one form. A kind with several forms, such as a graph and Git refs, stands for other kinds: here it
        gives a request for each of them, and no item is of this kind itself.
        """
        return ((self.name, asked),)

    def origin(self, asked: Asked_contra) -> str:
        """The `source` that the lock will have, with absolute paths."""

    def said(self, asked: Asked_contra) -> Mapping[str, Any]:
        """The fields of a request besides its origin that a pin also shows: `pinned` gives the same for the pin."""
        return {}

    def pinned(self, item: Item) -> Mapping[str, Any]:
        """The same fields of a pin. If the two differ, the request has changed and is resolved again."""
        return {}

    def unwritten(self, asked: Asked_contra, reach: Reach) -> Mapping[str, str | list[str]]:
        """What was asked and its pin does not show: the lock's field `asked`."""
        return {}

    def check_item(self, item: Item, where: str) -> None:
        """Checks an item of a lock beyond `item_fields`. Raises `InputError` (`bad-lock`)."""
        return

    def blobs(self, item: Item) -> Sequence[Descriptor] | None:
        """Every blob of an item, as its lock alone tells; `None` if only its graph does."""
        return None

    def findings(self, item: Item) -> Sequence[LockFinding]:
        """What the item lacks of what was asked, as its own fields tell: only `lock --partial` makes such items."""
        return ()

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
        """Every difference between an item of a lock and its content; empty if there is none.

        One comparison for those who pull and those who accept: `form` compares the nodes, `check_content` the leaves.
        No kind overrides it.
        """
        try:
            self.form(item, root, source)
        except NotAsLockedError as error:
            return [error.what]
        return self.check_content(item, root, source)

    def check_content(self, item: Item, root: Descriptor, source: Source) -> list[str]:
        """The differences that show only in leaves; empty if there are none."""
        return []

    def opened(self, item: Item, root: Descriptor, source: Source) -> Sequence[Descriptor] | None:
        """The leaves that `check_content` reads. `None` if no import asks it, because a destination compares them."""
        return ()

    def own_files(self, root: Node) -> tuple[Digest, ...]:
        """The files that are the artifact itself, if it contains no packages: an SBOM may be about one of them."""
        return ()

    def annotations(self, item: Item) -> dict[str, str]:
        """What a store's index.json records about it besides its name, so that `extract` needs no lock."""
        return {}

    def declares(self, item: Item, root: Descriptor, source: Source) -> Declared:
        """What its content says that it belongs with. Raises any error of reading its nodes and configs."""
        return Declared()

    # From a store into a Sovereign.

    def form(self, item: Item, root: Descriptor, source: Source) -> Form:
        """The form in which it arrives: it decides which destinations accept the item.

        Nothing becomes a form that its lock does not say: raises `NotAsLockedError` where the nodes of the graph differ
        from the item in a field that decides a name, a place or what is carried.
        """

    def expect(self, item: Item) -> Form:
        """The form as far as the lock alone tells it: names and digests, for an audit without content."""

    # From a store to people.

    def thing(self, name: str, root: Descriptor, source: Source) -> Form:
        """What people use without a Sovereign, as `extract` writes it: read from the graph alone.

        Raises `InputError`, `IntegrityError` for a graph that is not of this kind.
        """
        return Graph(name, name, root, source)

    # From a store to scanners.

    def subjects(self, item: Item, root: Descriptor, source: Source, work: Path) -> Iterable[ScanSubject]:
        """Everything that is to be scanned of an item, each digest once; an item without one was not scanned.

        `work` is a folder of this item's own, which need not exist; what the subjects unpack stays there until the
        caller removes it. The caller has compared the item with its graph. Raises any error of reading nodes. Most
        kinds: the files of the tree in which the item arrives, else each manifest of its graph.
        """
        from airgap.kinds.subjects import graph_subjects, tree_subject

        form = self.form(item, root, source)
        return (tree_subject(item, form),) if isinstance(form, Tree) else graph_subjects(item, root, source)

    # What people and policies call it.

    def is_local(self, item: Item) -> bool:
        """True for a source on the machine that locked it: a folder, an archive, an engine."""
        return any(item.source.startswith(prefix) for prefix in self.path_prefixes)

    def source_complaint(self, source: str) -> str:
        """Why no request gives this `source`, `""` if one does. A lock takes what a request takes, and nothing else."""
        return ""

    def address(self, item: Item) -> str:
        """The origin of a source that is not local, for rules of a policy: without scheme, tag and digest."""
        return url_name(item.source)

    def inside(self, item: Item) -> str:
        """The name of its place inside, for rules of a policy: the item's own name."""
        return item.name

    def upstream(self, inside: str) -> str:
        """The origin whose items have that name inside unless a request renames them."""
        return inside

    def rule_names(self, item: Item) -> RuleNames:
        """What rules are matched against: one place has one name, however its address is written.

        A source on this machine has no origin, so that a folder next to the request cannot pass by a rule for
        something else. In a store, an item is found by its name: one that is written in full is a place, too.
        """
        inside = self.inside(item)
        places = [tuple(dict.fromkeys((inside, self.upstream(inside))))]
        label = "" if item.name == inside else claimed_place(item.name)
        if label and label not in places[0]:
            places.append((label,))
        return RuleNames("" if self.is_local(item) else self.address(item), tuple(places))

    def check_names(self, item: Item, where: str) -> None:
        """Checks that a request could have given the source of an item. Raises `InputError` (`bad-lock`)."""
        complaint = self.source_complaint(item.source)
        if complaint:
            what = f"{where}: source: {complaint}"
            raise InputError("bad-lock", what, "no request gives this source: run `airgap lock` again with the request")

    def claims(self, node: Node) -> bool:
        """True for a graph in a registry that is of this kind, and not only an image."""
        return False

    def notes(self, item: Item) -> list[str]:
        """Notes for people about a new pin."""
        return []

    def shown(self, item: Item) -> str:
        """The text that `show` prints after an item's name."""
        return str(item.root.digest) if item.root else ""

    def identity(self, item: Item) -> str:
        """The identity of the content, in a few words."""
        return str(item.root.digest) if item.root else ""

    def changed(self, field: str, before: Any, after: Any) -> list[str]:
        """The change in one field of two items, in words; `None` stands for a missing field."""
        return [f"{field}: {before} → {after}"]
