"""What trusted OpenVEX documents say about one finding: the statement that counts, or none.

A statement counts if it speaks of the vulnerability, and its product is the image, or a package in it. Of several, the
one that was made last counts, whoever made it. Where documents say different things of the same time, the one that
lifts nothing does. Source: OpenVEX specification v0.2.0 and ATTESTING.md, with go-vex for purls; where these leave a
choice, the one by which fewer statements lift something.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from airgap.base.digest import Digest
from airgap.content.purl import Purl
from airgap.content.reference import DOCKER_HUB, HUB_ALIASES
from airgap.content.scan_finding import ScanFinding
from airgap.signatures.vex import Component, Product, VexDocument, VexStatement, VexStatus

_CVE = "CVE-"


@dataclass(frozen=True, slots=True)
class ScannedImage:
    """An image or chart, by everything that names it in a product."""

    manifest: Digest
    """The manifest that was scanned."""
    digests: frozenset[Digest]
    """The same, and what contains it: the root of the item."""
    repository: str = ""
    """Where it comes from: `docker.io/library/alpine`; `""` if that is no registry."""
    tag: str = ""
    arch: str = ""
    """Of the manifest, as OCI names it: `amd64`; `""` if it is not known."""
    claimed: bool = False
    """True if only the request says where it comes from: then a product has to name its digest."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """The statement that counts, and the document that has it."""

    document: VexDocument
    statement: VexStatement

    @property
    def lifts(self) -> bool:
        """True if it says that the product is not affected."""
        return self.statement.status is VexStatus.NOT_AFFECTED


def opinion(documents: Iterable[VexDocument], finding: ScanFinding, image: ScannedImage) -> Opinion | None:
    """The newest statement about a finding in an image, by `documents` that are trusted for it; `None` if none is."""
    found: list[Opinion] = []
    package = Purl.parse(finding.purl)
    for document in newest(documents):
        mine = [one for one in document.statements if _speaks_of(one, finding, package, document, image)]
        if mine:
            # Of equal times, the later one in the document.
            last = max(enumerate(mine), key=lambda one: (one[1].at, one[0]))[1]
            found.append(Opinion(document, last))
    if not found:
        return None
    time = max(one.statement.at for one in found)
    newer = [one for one in found if one.statement.at == time]
    return next((one for one in newer if not one.lifts), newer[0])


def newest(documents: Iterable[VexDocument]) -> Sequence[VexDocument]:
    """The documents without the earlier versions of one that is there in a later version."""
    listed = list(documents)
    versions: dict[str, int] = {}
    for one in listed:
        versions[one.id] = max(one.version, versions.get(one.id, 0))
    return [one for one in listed if one.version == versions[one.id]]


def _speaks_of(
    statement: VexStatement, finding: ScanFinding, package: Purl | None, document: VexDocument, image: ScannedImage
) -> bool:
    if not _same_vulnerability(statement.names, frozenset({finding.id, *finding.aliases})):
        return False
    if document.subjects is None:
        return any(_is_product(one, package, image) for one in statement.products)
    # ATTESTING.md: without products it is about the subjects; with products, about those that are subjects.
    names = frozenset[str]().union(*(document.subjects.get(one, ()) for one in image.digests))
    if not image.digests & document.subjects.keys():
        return False
    if not statement.products:
        return True
    return any(
        (_is_image(one.itself, image) or one.itself.id in names) and _in_product(one, package)
        for one in statement.products
    )


def _same_vulnerability(said: frozenset[str], found: frozenset[str]) -> bool:
    """An advisory of a distribution is an alias of each CVE in it: where both name CVEs, one of them must be equal."""
    cves = [frozenset(one for one in names if one.startswith(_CVE)) for names in (said, found)]
    return bool(cves[0] & cves[1]) if all(cves) else bool(said & found)


def _is_product(product: Product, package: Purl | None, image: ScannedImage) -> bool:
    if _is_image(product.itself, image):
        return _in_product(product, package)
    # A package with components of its own: whether the finding's package is one of these is not known.
    return not product.components and package is not None and _is_package(product.itself, package)


def _in_product(product: Product, package: Purl | None) -> bool:
    """True if the product has no components, or the package is one of them."""
    return not product.components or (
        package is not None and any(_is_package(one, package) for one in product.components)
    )


def _is_package(component: Component, package: Purl) -> bool:
    return any(one.covers(package) for one in component.purls)


def _is_image(component: Component, image: ScannedImage) -> bool:
    return bool(component.digests & image.digests) or any(_names_image(one, image) for one in component.purls)


def _names_image(purl: Purl, image: ScannedImage) -> bool:
    """True if a purl of type `oci` names the image: by digest, or by its repository. Unknown qualifiers match nothing.

    Source: purl-spec, types/oci: the name is the last part of the repository, the version is the digest.
    """
    parent, _, name = image.repository.rpartition("/")
    if purl.type != "oci" or purl.namespace or purl.subpath or purl.name != name.lower():
        return False
    if purl.version not in {"" if not image.claimed else image.manifest, *image.digests}:
        return False
    said = dict(purl.qualifiers)
    url = said.pop("repository_url", "")
    if url and _repository(url) not in (image.repository, parent):
        return False
    exact = purl.version == image.manifest
    arch, tag = said.pop("arch", ""), said.pop("tag", "")
    good = (not arch or exact or arch == image.arch) and (not tag or bool(purl.version) or tag == image.tag)
    return good and not said and bool(url or purl.version)


def _repository(url: str) -> str:
    """The repository of a qualifier: `https://index.docker.io/library/alpine/` is `docker.io/library/alpine`."""
    host, slash, path = url.partition("://")[2].partition("/") if "://" in url else url.partition("/")
    host = host.lower()
    return f"{DOCKER_HUB if host in HUB_ALIASES else host}{slash}{path}".rstrip("/")
