"""`extract`: gives items of a delivery or a store as what they are: files, repositories, images. Hashes every byte."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.errors import InputError, IntegrityError, NotFoundError
from airgap.base.places import check_folder
from airgap.content.forms import Form, Graph, Refs, Tree
from airgap.jobs.extracting.databases import check_databases, database_of, list_databases, write_databases
from airgap.jobs.extracting.files import place_files, write_files
from airgap.jobs.extracting.images import check_room, plan_archive, prepare, single, write_archive, write_layout
from airgap.jobs.extracting.repositories import check_repository, write_repository
from airgap.jobs.extracting.seed import plan_seed, write_seed
from airgap.jobs.extracting.target import OutputFile, check_new_file, check_new_folder
from airgap.jobs.holding import holding
from airgap.jobs.offer import Offered, Offering, OfferOptions, open_offer
from airgap.jobs.surroundings import Surroundings

LAYOUT, ARCHIVE, DOCKER = "oci", "oci-archive", "docker-archive"
FILES, BARE, WORKTREE = "files", "bare", "worktree"
FORMATS = (LAYOUT, ARCHIVE, DOCKER, FILES, BARE, WORKTREE)
"""What an item can become, by the names that skopeo and git have for it."""
SEED = "seed"
DATABASES = "databases"
"""`FILES` of scanner databases, which are unpacked."""


@dataclass(frozen=True, slots=True)
class ExtractOptions:
    """Which items are extracted, from what, to where, and as what."""

    offer: OfferOptions
    names: tuple[str, ...]
    """The items' names: `airgap ls` lists them."""
    to: Path
    """A new file, or a new or empty folder; charts and files may go into any folder."""
    form: str = ""
    """One of `FORMATS`; `""` for what fits the kind and the target."""
    platform: str = ""
    """Of an index, only what is for this platform."""
    phase: str = ""
    """`seed` for all items of that phase, and those of `names`, in the layout of k3s."""
    dry_run: bool = False
    """True to write nothing."""

    @property
    def store(self) -> Path:
        """What the items are taken from."""
        return self.offer.thing


@dataclass(frozen=True, slots=True)
class ExtractedItem:
    """An item that was extracted: its kind, the root of what was written, and its size in bytes."""

    name: str
    kind: str
    digest: Digest
    bytes: int


@dataclass(frozen=True, slots=True)
class Extracted:
    """What was extracted, or would be: as what, which items, which files."""

    form: str
    items: tuple[ExtractedItem, ...]
    bytes: int
    files: tuple[OutputFile, ...] = ()
    """With their sha256; empty for a repository, a layout and a dry run of an archive."""
    present: int = 0
    """How many of the files were there already, with this content."""


@holding
def extract(options: ExtractOptions, surroundings: Surroundings) -> Extracted:
    """Writes items as what people use: all or nothing.

    1. Open what they are taken from; a delivery is verified, or expressly not. 2. Find the items; of a verified
    delivery, each is compared with its lock before anything of it is used. 3. Check the place, and the free space. 4.
    Write: every blob is hashed on the way, and names come last. Of an index with `platforms:`, only the content that a
    registry would get is written.

    Raises `InputError` (`not-empty`, `no-such-item`, `no-trust`, …), `TrustError`, `IntegrityError`, `NotFoundError`,
    `StoreError`.
    """
    # 1.
    _check_options(options)
    offer = open_offer(options.offer, surroundings)
    # 2.
    names = list(dict.fromkeys([*_of_phase(options, offer), *options.names]))
    found = [offer.find(name) for name in names]
    # 3. and 4.
    try:
        if options.phase:
            return _seed(options, offer, found, surroundings)
        things = [(one, one.kind.thing(one.name, one.root, offer.source)) for one in found]
        form = _form(things, options)
        return _WRITERS[form](replace(options, form=form), offer, things, surroundings)
    except (IntegrityError, NotFoundError) as error:
        raise offer.placed(error) from error


Things = Sequence[tuple[Offered, Form]]


def _check_options(options: ExtractOptions) -> None:
    if options.phase and options.form:
        raise InputError("usage", "--phase decides the form of everything", "leave out --as")
    check_folder(options.to.parent, "--to")
    if os.path.lexists(options.to) and not options.to.is_dir():
        check_new_file(options.to)
    if not options.names and not options.phase:
        what = "no item was named"
        raise InputError("usage", what, "name an item (`airgap ls` lists them), or use --phase seed")


def _of_phase(options: ExtractOptions, offer: Offering) -> list[str]:
    if not options.phase:
        return []
    found = offer.in_phase(options.phase)
    if not found and not options.names:
        hint = "write `phase: seed` in the request for what nodes need before the registry answers"
        if offer.contents is None and options.offer.lock is None:
            hint = "a store does not say phases: add --lock LOCK"
        raise InputError("no-such-item", f"{offer.where}: there is no item of phase {options.phase}", hint)
    return found


def _form(things: Things, options: ExtractOptions) -> str:
    """What the items become. Raises `InputError` (`usage`) if they cannot be that, or not together."""
    other = next((one for one, thing in things if not isinstance(thing, Graph)), None)
    if options.platform and other is not None:
        what = f"--platform: {other.name!r} is a {other.kind.name}, which is for all platforms"
        raise InputError("usage", what, "leave it out")
    if options.form in (LAYOUT, ARCHIVE):
        return options.form
    wanted = options.form or (ARCHIVE if options.to.suffix == ".tar" else FILES)
    if not options.platform and wanted == FILES and all(database_of(thing) for _, thing in things):
        return DATABASES
    fits = {_FITTING[type(thing)] for _, thing in things}
    if len(fits) > 1:
        what = "these items are of different kinds"
        raise InputError("usage", what, "extract them one after the other; or add --as oci, or --as oci-archive")
    [fitting] = fits
    if options.form:
        if options.form not in fitting:
            kind = things[0][0].kind.name
            what = f"--as {options.form}: {things[0][0].name!r} is a {kind}"
            raise InputError("usage", what, f"leave it out, or use one of {', '.join((*fitting, ARCHIVE, LAYOUT))}")
        return options.form
    if fitting == (DOCKER,):
        return ARCHIVE if options.to.suffix == ".tar" else LAYOUT
    if fitting == (FILES,):
        return FILES
    return BARE if options.to.suffix == ".git" else WORKTREE


_FITTING: dict[type[Form], tuple[str, ...]] = {Graph: (DOCKER,), Tree: (FILES,), Refs: (BARE, WORKTREE)}
"""What a form can become, besides a layout and an archive, which hold any graph."""


def _items(things: Things, sizes: dict[str, tuple[Digest, int]]) -> tuple[ExtractedItem, ...]:
    return tuple(ExtractedItem(one.name, one.kind.name, *sizes[one.name]) for one, _ in things)


def _graphs(options: ExtractOptions, offer: Offering, things: Things, surroundings: Surroundings) -> Extracted:
    as_layout = options.form == LAYOUT
    (check_new_folder if as_layout else check_new_file)(options.to)
    images = [prepare(one, offer.source, options.platform) for one, _ in things]
    if options.form == DOCKER:
        images = [single(image) for image in images]
    for image, (_, thing) in zip(images, things, strict=True):
        if options.form == ARCHIVE and isinstance(thing, Graph) and not image.full_name:
            surroundings.note(f"note: {image.name!r} has no full name: `ctr images import` gives it no name")
    size = check_room(images, options.to, ", ".join(repr(one.name) for one, _ in things[:3]))
    sizes = {image.name: (image.root.digest, sum(blob.size for blob in image.blobs)) for image in images}
    made = Extracted(options.form, _items(things, sizes), size)
    if options.dry_run:
        return made
    progress = surroundings.progress()
    if as_layout:
        write_layout(images, options.to, progress)
        return made
    plan = plan_archive(images, docker=options.form == DOCKER)
    progress.start("extract", plan.volumes[0].size, len(images))
    file = write_archive(plan, images, options.to, progress)
    return replace(made, files=(OutputFile("", file.sha256, file.size),))


def _files(options: ExtractOptions, _offer: Offering, things: Things, surroundings: Surroundings) -> Extracted:
    trees = [(one.kind.name, thing) for one, thing in things if isinstance(thing, Tree)]
    files = place_files(trees, options.to)
    sizes = {
        one.name: (one.root.digest, sum(blob.size for blob in {b.digest: b for b in thing.blobs()}.values()))
        for one, thing in things
    }
    listed = files.listed()
    if files.folder != options.to:
        listed = tuple(replace(one, path=one.path.removeprefix(options.to.name)) for one in listed)
    made = Extracted(FILES, _items(things, sizes), files.size, listed)
    if options.dry_run:
        return made
    return replace(made, present=write_files(files, surroundings.progress()))


def _databases(options: ExtractOptions, _offer: Offering, things: Things, surroundings: Surroundings) -> Extracted:
    found = [one for _, thing in things if (one := database_of(thing))]
    check_databases(found, options.to)
    progress = surroundings.progress()
    files = list_databases(found, progress) if options.dry_run else write_databases(found, options.to, progress)
    sizes = {one.item: (one.artifact.digest, one.artifact.layer.size) for one in found}
    return Extracted(FILES, _items(things, sizes), sum(file.size for file in files), files)


def _repository(options: ExtractOptions, _offer: Offering, things: Things, surroundings: Surroundings) -> Extracted:
    if len(things) > 1:
        raise InputError("usage", "several repositories are no one folder", "extract them one after the other")
    one, refs = things[0]
    assert isinstance(refs, Refs), "of this form"  # noqa: S101
    check_repository(refs, options.to, bare=options.form == BARE)
    size = sum(blob.size for blob in refs.blobs())
    made = Extracted(options.form, _items(things, {one.name: (one.root.digest, size)}), size)
    if not options.dry_run:
        write_repository(refs, options.to, surroundings.progress(), bare=options.form == BARE)
    return made


def _seed(options: ExtractOptions, offer: Offering, found: Sequence[Offered], surroundings: Surroundings) -> Extracted:
    seed = plan_seed(offer, found, options.to, options.platform)
    items = tuple(
        ExtractedItem(part.offered.name, part.offered.kind.name, part.digest.digest, part.size) for part in seed.parts
    )
    made = Extracted(SEED, items, sum(part.size for part in seed.parts))
    if options.dry_run:
        planned = [
            OutputFile(path, "" if part.image else one.digest.hex, one.size)
            for part in seed.parts
            for path, one in part.files
        ]
        return replace(made, files=tuple(planned))
    return replace(made, files=write_seed(seed, offer, surroundings.progress()))


_WRITERS = {
    LAYOUT: _graphs,
    ARCHIVE: _graphs,
    DOCKER: _graphs,
    FILES: _files,
    DATABASES: _databases,
    BARE: _repository,
    WORKTREE: _repository,
}
