"""Reads OpenVEX documents: what somebody says about vulnerabilities in products. Nothing is believed here.

A document stands alone in a file, or it is the predicate of an attestation, which names the product then
(`ATTESTING.md`). Source: OpenVEX specification v0.2.0, and go-vex, which wrote and read most documents. Stricter than
JSON-LD: the fields of the specification and no others, because an unknown one may narrow what a statement says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from airgap.base.digest import Digest
from airgap.base.json_fields import Fields
from airgap.content.purl import Purl
from airgap.signatures.formats.intoto import parse_statement
from airgap.signatures.formats.strict import fields, parse, refusing, sequence
from airgap.signatures.record import Refusal, plain
from airgap.statements.dsse import PAYLOAD_TYPE

OPENVEX = "https://openvex.dev/ns"
"""The predicate type, as cosign (`--type openvex`) and go-vex write it."""
CONTEXT = "https://openvex.dev/ns/v0.2.0"
PREDICATE_TYPES = (OPENVEX, CONTEXT)
MAX_VEX = 16 << 20
"""Bytes of a document: those of large vendors have 1 to 5 MiB."""
MAX_STATEMENTS = 50_000
MAX_PRODUCTS = 100_000
"""Products and subcomponents of one document."""
MAX_ALIASES = 100
MAX_ID = 2048
"""Characters of an IRI, a purl or another identifier."""
MAX_TEXT = 8192
"""Characters of a text for people."""
BAD = "bad-vex"
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)\Z",
    re.ASCII,
)
_DOCUMENT = frozenset({"@context", "@id", "author", "timestamp", "version", "statements"})
_DOCUMENT_MAYBE = frozenset({"role", "last_updated", "tooling", "supplier"})
_COMPONENT = frozenset({"@id", "identifiers", "hashes", "supplier"})
_STATEMENT_MAYBE = frozenset(
    {
        *("@id", "version", "timestamp", "last_updated", "products", "supplier", "status_notes"),
        *("justification", "impact_statement", "action_statement", "action_statement_timestamp"),
    }
)
_IDENTIFIERS = frozenset({"purl", "cpe22", "cpe23"})
_HEX = re.compile(r"[0-9a-f]{64}\Z")


class VexStatus(StrEnum):
    """What a statement says of a vulnerability in its products. Only `NOT_AFFECTED` may lift a finding."""

    NOT_AFFECTED = "not_affected"
    AFFECTED = "affected"
    FIXED = "fixed"
    UNDER_INVESTIGATION = "under_investigation"


class Justification(StrEnum):
    """Why a product is not affected."""

    COMPONENT_NOT_PRESENT = "component_not_present"
    CODE_NOT_PRESENT = "vulnerable_code_not_present"
    CODE_NOT_IN_EXECUTE_PATH = "vulnerable_code_not_in_execute_path"
    CODE_NOT_CONTROLLED = "vulnerable_code_cannot_be_controlled_by_adversary"
    MITIGATED = "inline_mitigations_already_exist"


@dataclass(frozen=True, slots=True)
class Component:
    """A product, or a component of one, by everything that names it."""

    id: str = ""
    purls: tuple[Purl, ...] = ()
    """Of `@id`, if it is one, and of the identifiers."""
    digests: frozenset[Digest] = frozenset()


@dataclass(frozen=True, slots=True)
class Product:
    """What a statement is about. With components, it speaks only of the vulnerability in one of them."""

    itself: Component
    components: tuple[Component, ...] = ()


@dataclass(frozen=True, slots=True)
class VexStatement:
    """One statement, with what it inherits from its document. An attestation's may have no product of its own."""

    names: frozenset[str]
    """The vulnerability's name and aliases."""
    status: VexStatus
    at: tuple[datetime, int]
    """When it was made: the second, and nanoseconds. Of two about one thing, the later one counts."""
    products: tuple[Product, ...]
    justification: Justification | None = None
    impact: str = ""
    """The impact statement, for people: why the vulnerability cannot be exploited."""


@dataclass(frozen=True, slots=True)
class VexDocument:
    """A document as it was read: nothing in it is known to be true."""

    digest: Digest
    """sha256 of the bytes that were read: the file, or the statement in an attestation."""
    id: str
    author: str
    version: int
    statements: tuple[VexStatement, ...]
    """In the order of the document."""
    subjects: Mapping[Digest, frozenset[str]] | None = None
    """In an attestation: the digests that it is about, with their names. `None` for a document that stands alone."""


def read_vex(data: bytes) -> VexDocument:
    """Reads a document, or the in-toto statement of an attestation. Raises `Refusal`: `bad-vex`, `too-large`, ….

    1. The size. 2. Strict JSON of an OpenVEX document of version 0.2.0. 3. Each statement is complete: a vulnerability,
    a product (unless an attestation names it), a time, and of `not_affected` a justification or an impact statement.
    """
    # 1.
    if len(data) > MAX_VEX:
        raise Refusal("too-large", f"got {len(data)} bytes, expected at most {MAX_VEX}")
    with refusing():
        # 2.
        value = parse(data, "VEX document", BAD)
        if not isinstance(value, dict) or "_type" not in value:
            return _document(value, Digest.of(data), None)
        statement = parse_statement(data, PAYLOAD_TYPE)
        if statement.predicate_type not in PREDICATE_TYPES:
            raise Refusal("wrong-predicate-type", f"got {statement.predicate_type[:200]}, expected {OPENVEX}")
        return _document(value.get("predicate"), Digest.of(data), _subjects(value["subject"]))


def _subjects(listed: list[Any]) -> dict[Digest, frozenset[str]]:
    found: dict[Digest, frozenset[str]] = {}
    for one in listed:
        digest = one["digest"].get("sha256")
        if digest is not None:
            key = Digest(f"sha256:{digest}")
            found[key] = found.get(key, frozenset()) | {one["name"] if isinstance(one.get("name"), str) else ""}
    return {digest: names - {""} for digest, names in found.items()}


def _document(value: Any, digest: Digest, subjects: Mapping[Digest, frozenset[str]] | None) -> VexDocument:
    context = value.get("@context") if isinstance(value, dict) else None
    if isinstance(context, str) and context != CONTEXT:
        raise Refusal("unsupported-format", f"got {plain(context, 200)!r}, expected {CONTEXT}", unsupported=True)
    top = fields(value, _DOCUMENT, "VEX document", BAD, _DOCUMENT_MAYBE)
    top.exactly("@context", CONTEXT)
    _texts(top, ("role", "tooling", "supplier"), MAX_TEXT)
    made = _time(top, "timestamp")
    if top.has("last_updated"):
        _time(top, "last_updated")
    room = [MAX_PRODUCTS]
    statements = [
        _statement(one, f"VEX document: statements[{number}]", made, subjects is not None, room)
        for number, one in enumerate(sequence(top, "statements", MAX_STATEMENTS))
    ]
    if not statements:
        raise Refusal(BAD, "VEX document: it has no statement")
    return VexDocument(
        digest, top.text("@id", MAX_ID), top.text("author", MAX_ID), top.number("version"), tuple(statements), subjects
    )


def _statement(value: Any, where: str, made: tuple[datetime, int], attested: bool, room: list[int]) -> VexStatement:
    read = fields(value, {"vulnerability", "status"}, where, BAD, _STATEMENT_MAYBE)
    _texts(read, ("@id", "supplier", "status_notes", "action_statement"), MAX_TEXT)
    for name in ("last_updated", "action_statement_timestamp"):
        if read.has(name):
            _time(read, name)
    if read.has("version"):
        read.number("version")
    status = VexStatus(read.choice("status", frozenset(VexStatus)))
    reason = read.choice("justification", frozenset(Justification)) if read.has("justification") else None
    impact = _people(read, "impact_statement")
    if status is VexStatus.NOT_AFFECTED:
        if reason is None and not impact:
            raise read.refuse(f"{where}: not_affected without a justification or an impact_statement")
    elif reason is not None or impact:
        raise read.refuse(f"{where}: a justification or an impact_statement, but the status is {status}")
    products = sequence(read, "products", MAX_PRODUCTS)
    if not products and not attested:
        raise read.refuse(f"{where}: it names no product")
    return VexStatement(
        names=_vulnerability(read.values["vulnerability"], f"{where}: vulnerability"),
        status=status,
        at=_time(read, "timestamp") if read.has("timestamp") else made,
        products=tuple(_product(one, f"{where}: products[{n}]", room) for n, one in enumerate(products)),
        justification=None if reason is None else Justification(reason),
        impact=impact,
    )


def _vulnerability(value: Any, where: str) -> frozenset[str]:
    read = fields(value, {"name"}, where, BAD, frozenset({"@id", "description", "aliases"}))
    _texts(read, ("@id",), MAX_ID)
    _people(read, "description")
    aliases = sequence(read, "aliases", MAX_ALIASES)
    named = Fields({str(n): one for n, one in enumerate(aliases)}, f"{where}: aliases", read.refuse)
    return frozenset({read.text("name", MAX_ID), *(named.text(n, MAX_ID) for n in named.values)})


def _product(value: Any, where: str, room: list[int]) -> Product:
    read = fields(value, set(), where, BAD, _COMPONENT | {"subcomponents"})
    inner = [
        _component(fields(one, set(), f"{where}: subcomponents[{n}]", BAD, _COMPONENT), room)
        for n, one in enumerate(sequence(read, "subcomponents", MAX_PRODUCTS))
    ]
    return Product(_component(read, room), tuple(inner))


def _component(read: Fields, room: list[int]) -> Component:
    """A component that names nothing would match nothing: it is a mistake, and the document says something else."""
    room[0] -= 1
    if room[0] < 0:
        raise Refusal("too-many", f"VEX document: more than {MAX_PRODUCTS} products and subcomponents")
    identity = read.text("@id", MAX_ID) if read.has("@id") else ""
    _texts(read, ("supplier",), MAX_TEXT)
    purls = [identity] if identity[:4].lower() == "pkg:" else []
    if read.has("identifiers"):
        named = fields(read.values["identifiers"], set(), read.at("identifiers"), BAD, _IDENTIFIERS)
        texts = {name: named.text(name, MAX_ID) for name in named.values}
        purls += [texts["purl"]] if "purl" in texts else []
    hashes: dict[str, str] = {}
    if read.has("hashes"):
        value = read.values["hashes"]
        given = Fields(value if isinstance(value, dict) else {}, read.at("hashes"), read.refuse)
        hashes = {name: given.text(name, MAX_ID) for name in given.values}
    digest = hashes.get("sha-256", "")
    if digest and not _HEX.match(digest):
        raise read.refuse(f"{read.at('hashes')}: sha-256: expected 64 lower-case hex digits")
    if not identity and not hashes and not read.has("identifiers"):
        raise read.refuse(f"{read.where}: it names nothing: no @id, no identifiers, no hashes")
    parsed = [Purl.parse(one) for one in dict.fromkeys(purls)]
    if None in parsed:
        raise read.refuse(f"{read.where}: {plain(purls[parsed.index(None)], 200)!r} is not a package URL")
    digests = frozenset({Digest(f"sha256:{digest}")} if digest else ())
    return Component(identity, tuple(one for one in parsed if one is not None), digests)


def _people(read: Fields, name: str) -> str:
    """A text for people, which may have several lines: as one printable line."""
    if not read.has(name):
        return ""
    text = read.text(name)
    if len(text) > MAX_TEXT:
        raise read.refuse(f"{read.at(name)}: got {len(text)} characters, expected at most {MAX_TEXT}")
    return plain(" ".join(text.split()), MAX_TEXT)


def _texts(read: Fields, names: tuple[str, ...], most: int) -> None:
    for name in names:
        if read.has(name) and len(read.text(name)) > most:
            raise read.refuse(f"{read.at(name)}: more than {most} characters")


def _time(read: Fields, name: str) -> tuple[datetime, int]:
    """A time of RFC 3339, which may have nanoseconds."""
    found = _TIME.match(read.text(name))
    try:
        if found is None:
            raise ValueError
        zone = "+00:00" if found[4] in "Zz" else found[4]
        moment = datetime.fromisoformat(f"{found[1]}T{found[2]}{zone}").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        wrong = plain(read.text(name), 60)
        raise read.refuse(f"{read.at(name)}: got {wrong!r}, expected a time like 2026-11-23T10:00:00Z") from error
    return moment, int((found[3] or "").ljust(9, "0"))
