"""`receipt print` and `receipt decode`: a signed statement on paper, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.disk import write_durably
from airgap.base.errors import InputError
from airgap.base.inputs import read_input
from airgap.base.places import check_new_file
from airgap.delivery.fields import INDEX_NAME
from airgap.delivery.index import MAX_INDEX, Index
from airgap.delivery.read import Media, open_index
from airgap.delivery.seal import Identities, no_identities
from airgap.jobs.cut_records import cut_index
from airgap.jobs.surroundings import Surroundings
from airgap.paper import pieces
from airgap.paper.codes import MAX_PICTURE, check_kind, is_picture, read_codes
from airgap.paper.shorter import MAX_STATEMENT, restore, shorten, subject_of
from airgap.resources.load import load_trust
from airgap.statements.dsse import open_bundle
from airgap.statements.statement import Statement
from airgap.statements.trust import authenticate, authorise, key_ring
from airgap.station.files import store_records
from airgap.station.receipts import read_signed

CAME_BACK = ("receipt",)
"""Kinds of statements that a store keeps when they come back: `bundle --since last` looks there."""


@dataclass(frozen=True, slots=True)
class ShortenOptions:
    """Which statement goes on paper, and the delivery that it is about, as far as it is at hand."""

    statement: Path
    delivery: Path | None = None
    """A folder with its AIRGAP.json, or that file; without it the page repeats what stands there."""


@dataclass(frozen=True, slots=True)
class Shortened:
    """A statement, the hint of its key, and the pieces of its codes."""

    statement: Statement
    hint: str
    pieces: tuple[str, ...]
    bytes: int
    """Of all pieces, before they were written as text."""


def shorten_statement(options: ShortenOptions, identities: Identities = no_identities) -> Shortened:
    """Makes the pieces of a signed statement. `identities` open an encrypted delivery.

    Raises `InputError` (`no-receipt`, `no-delivery`, `other-delivery`, `page-too-large`), `TrustError`.
    """
    data = read_signed(options.statement)
    if len(data) > MAX_STATEMENT:
        raise InputError(
            "page-too-large",
            f"{options.statement}: got {len(data)} bytes, expected at most {MAX_STATEMENT}",
            "carry the file itself, on a medium",
        )
    envelope = open_bundle(data, str(options.statement), MAX_STATEMENT)
    statement = Statement.parse(envelope.payload, str(options.statement))
    index = None
    if options.delivery is not None:
        index = _index(options.delivery, statement.subject, f"{options.statement} is about", identities)
    made = shorten(data, index, statement.subject)
    return Shortened(statement, envelope.hint, tuple(pieces.split(made)), len(made))


def _index(path: Path, expected: Digest, what: str, identities: Identities) -> Index:
    """The AIRGAP.json that a statement is about: its digest is known, so its bytes can be believed.

    In an encrypted delivery it is the one that is inside.
    """
    file = path / INDEX_NAME if path.is_dir() else path
    data = read_input(file, MAX_INDEX, "no-delivery")
    if Digest.of(data) != expected:
        raise InputError(
            "other-delivery",
            f"{what} the delivery {expected}, but {file} is {Digest.of(data)}",
            "pass the folder of that delivery",
        )
    return open_index(Media((file.parent,), data, {}), identities)[1]


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """The pictures and texts of one page, where its delivery is known, and where the statement goes."""

    pages: tuple[Path, ...]
    output: Path | None = None
    trust: Path | None = None
    """The Trust resource: whose signature is accepted; `None` to check it later."""
    delivery: Path | None = None
    store: Path | None = None
    """A store that cut the delivery: it knows the AIRGAP.json, and keeps a receipt that is trusted."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A statement that came back: its file's bytes, who signed it as far as that was checked, whether it was kept."""

    data: bytes
    statement: Statement
    hint: str
    key: str = ""
    """The name of the key in the Trust resource; `""` if nobody checked the signature."""
    kept: bool = False


def restore_statement(options: RestoreOptions, surroundings: Surroundings) -> Restored:
    """Reads a page, restores the statement, and writes its file.

    1. Find the codes. 2. Join them. 3. Restore the bytes, with the AIRGAP.json that they point at. 4. Check the
    signature, if a Trust resource is given. 5. Write the file; keep a trusted receipt in the store. Raises
    `InputError`, `TrustError`, `StoreError`.
    """
    if options.output is not None:
        check_new_file(options.output, "-o")
    # 1. and 2.
    data = pieces.join(piece for path in options.pages for piece in _found(path))
    # 3.
    about = subject_of(data)
    bundle = restore(data, None if about is None else _known(about, options, surroundings))
    envelope = open_bundle(bundle, "the page", MAX_STATEMENT)
    key, kept = "", False
    # 4.
    if options.trust is not None:
        authentic = authenticate(bundle, key_ring(load_trust(options.trust)), "the page", MAX_STATEMENT)
        verified = authorise(authentic, "the page", now=surroundings.clock())
        key = verified.key.name
    statement = Statement.parse(envelope.payload, "the page")
    # 5.
    if options.output is not None:
        write_durably(options.output, bundle)
    if key and options.store is not None and statement.kind in CAME_BACK:
        store_records(options.store).receive(statement.kind, statement.subject, [bundle], replace=False)
        kept = True
    return Restored(bundle, statement, envelope.hint, key, kept)


def _found(path: Path) -> Sequence[str]:
    data = read_input(path, MAX_PICTURE, "bad-picture")
    check_kind(data, str(path))
    texts = "\n".join(read_codes(data, str(path))) if is_picture(data) else data.decode("utf-8", "replace")
    return pieces.find(texts)


def _known(about: Digest, options: RestoreOptions, surroundings: Surroundings) -> Index:
    if options.delivery is not None:
        return _index(options.delivery, about, "the page is about", surroundings.identities)
    index = None if options.store is None else cut_index(about, store_records(options.store))
    if index is None:
        raise InputError(
            "no-delivery",
            f"the page is about the delivery {about}, whose {INDEX_NAME} is needed to read it",
            "pass --store with the store that cut it, or --delivery with its folder",
        )
    return index
