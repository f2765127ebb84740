"""Which items of a lock or a delivery need others to be of use, as far as their content declares it.

A lock has no field for it, so it is derived. A graph with its children and what is attached is one item anyway. Of a
chart, its config says more, which `lock`, `pull` and `import` compare with the chart: the images that it lists in the
annotation `artifacthub.io/images`, and the Git repository that it names in `sources` (so do its manifest's annotation
`org.opencontainers.image.source` and, for a Blueprint, its repository). Images that only templates or values name are
not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from airgap.base.errors import AirgapError, InputError
from airgap.content.forms import Form, Graph, Refs
from airgap.content.graph import Descriptor, Source
from airgap.content.item import Item
from airgap.content.reference import Reference, parse_reference
from airgap.kinds.table import kind_of

MAX_PARTS = 32
"""Parts of a URL's path in which a repository is looked for."""
Needs = Mapping[str, frozenset[str]]
"""By item, the items without which it is of no use."""


def needs_of(roots: Sequence[tuple[Item, Descriptor]], source: Source, forms: Sequence[Form]) -> Needs:
    """What each item needs. A chart and the repository that it names need each other; a chart needs its images.

    A config that cannot be read declares nothing: its item fails where its content is read.
    """
    known = _Known.of(forms)
    made: dict[str, set[str]] = {}
    for item, root in roots:
        try:
            declared = kind_of(item).declares(item, root, source)
        except AirgapError:
            continue
        for reference in declared.images:
            made.setdefault(item.name, set()).update(known.images(reference))
        for address in declared.sources:
            for name in known.repositories(address):
                made.setdefault(item.name, set()).add(name)
                made.setdefault(name, set()).add(item.name)
    return {name: frozenset(others - {name}) for name, others in made.items()}


@dataclass(frozen=True, slots=True)
class _Known:
    """The items of a delivery by what others call them: charts can declare many thousand things."""

    graphs: Mapping[tuple[str, str], frozenset[str]]
    """By (host/repository, tag or digest)."""
    refs: Mapping[str, str]
    """By host/path, in lower case."""

    @classmethod
    def of(cls, forms: Sequence[Form]) -> _Known:
        graphs: dict[tuple[str, str], set[str]] = {}
        refs = {}
        for form in forms:
            if isinstance(form, Refs):
                refs[form.original.casefold()] = form.item
            reference = _reference(form.original) if isinstance(form, Graph) else None
            if reference is not None:
                for wanted in (reference.tag, str(reference.digest), str(form.root.digest)):
                    graphs.setdefault((reference.name, wanted), set()).add(form.item)
        return cls({key: frozenset(items) for key, items in graphs.items()}, refs)

    def images(self, text: str) -> frozenset[str]:
        """The items that a reference means."""
        reference = _reference(text)
        return frozenset() if reference is None else self.graphs.get((reference.name, reference.wanted), frozenset())

    def repositories(self, source: str) -> Iterator[str]:
        """The items whose repository a URL names, or something in it."""
        try:
            url = urlsplit(source)
        except ValueError:
            return
        parts = f"{url.netloc}{url.path}".casefold().split("/")[:MAX_PARTS]
        for count in range(1, len(parts) + 1):
            found = self.refs.get("/".join(parts[:count]).removesuffix(".git"))
            if found is not None:
                yield found


def _reference(text: str) -> Reference | None:
    """A reference, written in full or as Docker writes it; `None` for anything else."""
    for prefix in ("", "docker.io/", "docker.io/library/"):
        try:
            return parse_reference(prefix + text)
        except InputError:
            continue
    return None
