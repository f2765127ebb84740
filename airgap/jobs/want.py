"""`want`: what a delivery needs and what is not inside, as a small signed list that goes back and is cut exactly.

It looks where an import would look, and writes nothing inside. The delivery need not be acceptable here: its baseline
may be lost.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from airgap.acceptance.open import Opened, accept
from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError, UnreachableError
from airgap.base.results import ResultFile
from airgap.content.forms import Form
from airgap.content.graph import Descriptor, Source
from airgap.delivery.read import Volumes
from airgap.destinations.omitted import OmittedBlobs
from airgap.jobs.as_locked import check_nodes
from airgap.jobs.importing.lines import plan_lines
from airgap.jobs.importing.omitted import ReceiptPlaces, look
from airgap.jobs.site import Site, check_same_sovereign, open_site
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.resources.load import load_sovereign, load_trust
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.want import Want, WantedBlob
from airgap.station.files import STATEMENTS


@dataclass(frozen=True, slots=True)
class WantOptions:
    """Which delivery is looked at, in which Sovereign, and where the list goes."""

    delivery: tuple[Path, ...]
    """The folders with its files; AIRGAP.json, the evidence and the first volume suffice."""
    sovereign: Path
    trust: Path
    out: Path
    key: str | None = None
    """Signs the list: a path, or a `pkcs11:` URI."""
    deep: bool = False
    """Ignore receipts, and hash what is there: what is damaged is missing."""
    jobs: int = DEFAULT_JOBS


@dataclass(frozen=True, slots=True)
class WantedOf:
    """What a delivery needs and lacks inside."""

    opened: Opened
    accepted: bool
    """True if the delivery itself was accepted here."""
    items: tuple[str, ...]
    """What is to be delivered."""
    blobs: tuple[Descriptor, ...]
    """What is not inside, or not said to be; empty if the delivery can be imported as it is."""
    unasked: Sequence[tuple[str, AirgapError]]
    """Destinations that could not be asked, by URL: what they lack is not in the list."""

    @property
    def size(self) -> int:
        """The bytes of the blobs."""
        return sum(blob.size for blob in self.blobs)


def want(options: WantOptions, surroundings: Surroundings) -> WantedOf:
    """Lists what a delivery needs and what is not inside; signs the list and writes it, unless nothing is missing.

    1. Read the resources, and check that the list can be written and signed. 2. Accept the delivery by the Trust
    resource alone: its baselines need not have been accepted here. 3. Look where an import would look. 4. Sign.

    Raises `InputError`, `TrustError`, `IntegrityError`, `NotFoundError` (`volume-missing` if its first volume is not
    there), `StoreError`.
    """
    # 1.
    site = open_site(load_sovereign(options.sovereign), load_trust(options.trust), surroundings, jobs=options.jobs)
    check_same_sovereign(site.sovereign, options.sovereign, site.trust, options.trust)
    if options.key is None:
        raise InputError("no-key", "this command signs, but no key was given", "use --key KEY, or set AIRGAP_KEY")
    result = ResultFile(
        options.out, "--output", "a want list", own=site.state, media=options.delivery, rescue=site.rescuer(STATEMENTS)
    )
    result.check()
    signatory = site.signatory(options.key)
    # 2.
    name = site.sovereign.name
    state = AcceptedState(name)
    opened = accept(
        options.delivery,
        site.trust,
        state,
        sovereign=name,
        now=surroundings.clock(),
        judges=True,
        identities=surroundings.identities,
    )
    # 3.
    found = _look(opened, site, deep=options.deep)
    # 4.
    if found.blobs:
        site.close_state()
        journey = opened.index.journey
        blobs = tuple(WantedBlob(blob.digest, blob.size) for blob in found.blobs)
        last = site.accepted().deliveries[-1:]
        base = last[0].digest if last else None
        body = Want(name, journey.id, journey.stream, journey.sequence, found.items, blobs, base)
        signed = signatory.sign(opened.media.digest, body)
        site.records.save_statement(Want.kind, opened.media.digest, signed)
        result.write(signed)
    return found


@dataclass(frozen=True, slots=True)
class _WithoutLeaves:
    """A delivery as a `Source` that has none of the leaves that it carries: only what is inside counts."""

    volumes: Volumes

    def has(self, descriptor: Descriptor) -> bool:
        return descriptor.digest not in self.volumes.contents.blobs and self.volumes.has(descriptor)

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        return self.volumes.open(descriptor, offset)

    def roots(self) -> Sequence[tuple[str, Descriptor]]:
        return self.volumes.roots()


@dataclass(slots=True)
class _Search:
    """Looks for blobs of a delivery inside."""

    opened: Opened
    site: Site
    deep: bool
    work: Path
    unasked: dict[str, AirgapError] = field(default_factory=dict)
    forms: Sequence[Form] = ()

    def missing(self, blobs: Mapping[Digest, str], source: Source) -> set[Digest]:
        """Those of `blobs`, each with the item that brought it, that something needs and that are nowhere inside."""
        opened, site = self.opened, self.site
        destinations = site.destinations(create=False, deep=self.deep, work=self.work, omitted=blobs.keys())
        inside = OmittedBlobs(blobs, destinations.all(), ReceiptPlaces(site, opened).ats)
        opened.volumes.inside = inside
        self.forms = check_nodes(opened.roots, source, site.jobs)
        planned = destinations.work(self.forms)
        for share in planned.shares:
            share.check()
        plan_lines(planned.lines, site.jobs)
        looked = look(planned.lines, inside, site.jobs)
        for line in planned.lines:
            url = line.destination.url
            if isinstance(line.error, UnreachableError):
                self.unasked[url] = line.error
            elif line.error is not None:
                raise line.error.with_where(f"{url}: {line.form.item}")
        self.unasked |= inside.unasked
        return {gap.blob.digest for gap in looked.gaps}


def _look(opened: Opened, site: Site, *, deep: bool) -> WantedOf:
    """What is missing: omitted blobs; if the delivery was accepted, also those that it carries."""
    contents, known = opened.index.contents, site.accepted()
    accepted = known.find(opened.media.digest) is not None
    omitted = {digest: one.item for digest, one in contents.omitted.items()}
    with tempfile.TemporaryDirectory(prefix="airgap-want-") as work:
        search = _Search(opened, site, deep, Path(work))
        lacking = search.missing(omitted, opened.volumes)
        unknown = [one for one in opened.index.journey.based_on if known.find(one.delivery) is None]
        if accepted:
            lacking |= search.missing(dict.fromkeys(contents.blobs, ""), _WithoutLeaves(opened.volumes))
        elif lacking or unknown:
            lacking |= contents.blobs.keys()
    found, items = dict[Digest, Descriptor](), list[str]()
    for form in search.forms if lacking else ():
        leaves = [blob for blob in form.blobs() if not blob.is_node and blob.digest in lacking]
        found.update((blob.digest, blob) for blob in leaves)
        if leaves or not accepted:
            items.append(form.item)
    return WantedOf(opened, accepted, tuple(items), tuple(found.values()), [*search.unasked.items()])
