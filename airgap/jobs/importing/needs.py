"""Which items of a delivery need others to be of use, as far as their content declares it.

A lock has no field for it, so it is derived. A graph with its children and what is attached is one item anyway. Of a
chart, its config says more, which `lock`, `pull` and `import` compare with the chart: the images that it lists in the
annotation `artifacthub.io/images`, and the Git repository that it names in `sources` (so do its manifest's annotation
`org.opencontainers.image.source` and, for a Blueprint, its repository). Images that only templates or values name are
not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from airgap.acceptance.open import Opened
from airgap.base.errors import AirgapError, InputError
from airgap.content.forms import Form, Graph, Refs
from airgap.content.reference import Reference, parse_reference
from airgap.kinds.table import kind_of

Needs = Mapping[str, frozenset[str]]
"""By item, the items without which it is of no use."""


def needs_of(opened: Opened, forms: Sequence[Form]) -> Needs:
    """What each item needs. A chart and the repository that it names need each other; a chart needs its images.

    A config that cannot be read declares nothing: its item fails where its content is read.
    """
    graphs = [form for form in forms if isinstance(form, Graph)]
    repositories = [form for form in forms if isinstance(form, Refs)]
    made: dict[str, set[str]] = {}
    for item, root in opened.roots:
        kind = kind_of(item)
        try:
            declared = kind.declares(item, root, opened.volumes)
        except AirgapError:
            continue
        for reference in declared.images:
            made.setdefault(item.name, set()).update(_images(reference, graphs))
        for source in declared.sources:
            for name in _repositories(source, repositories):
                made.setdefault(item.name, set()).add(name)
                made.setdefault(name, set()).add(item.name)
    return {name: frozenset(others - {name}) for name, others in made.items()}


def _images(text: str, graphs: Sequence[Graph]) -> Iterator[str]:
    wanted = _reference(text)
    for form in graphs:
        there = _reference(form.original)
        if wanted is None or there is None or there.name != wanted.name:
            continue
        if wanted.digest in (form.root.digest, there.digest) if wanted.digest else wanted.tag == there.tag:
            yield form.item


def _reference(text: str) -> Reference | None:
    """A reference, written in full or as Docker writes it; `None` for anything else."""
    for prefix in ("", "docker.io/", "docker.io/library/"):
        try:
            return parse_reference(prefix + text)
        except InputError:
            continue
    return None


def _repositories(source: str, repositories: Sequence[Refs]) -> Iterator[str]:
    try:
        url = urlsplit(source)
    except ValueError:
        return
    path = f"{url.netloc}{url.path}".casefold() + "/"
    for form in repositories:
        original = form.original.casefold()
        if path.startswith((f"{original}/", f"{original}.git/")):
            yield form.item
