"""Loads resource files: `load_request`, `load_upstreams`, `load_sovereign`, `load_trust` and others.

A file contains at most one document of each kind, separated by `---`. A command uses the documents that it needs, but
all of them are checked. Documents after the first may omit `apiVersion` and `metadata`; those of the first then apply.
One `InputError` (`bad-resource`) reports all mistakes of a file, one per line:
`request.yaml:7:5: spec.images[0].platfroms: unknown field, did you mean 'platforms'?`
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from airgap.base.errors import InputError
from airgap.base.inputs import read_input
from airgap.base.known_files import recognized
from airgap.base.strict_json import decode_json
from airgap.content.lock import API_VERSION, MAX_LOCK
from airgap.resources.catalog import KINDS, RESOURCES, Value
from airgap.resources.document import Document, read_documents
from airgap.resources.policy import Policy
from airgap.resources.problems import Problem, Steps, answer, describe, listed, nearest, quoted, spell
from airgap.resources.reader import DocumentReader
from airgap.resources.request import NAMING, Request, Unusable
from airgap.resources.shapes import Place
from airgap.resources.sovereign import Sovereign
from airgap.resources.station import Station
from airgap.resources.trust import Trust
from airgap.resources.upstreams import Upstreams
from airgap.resources.validate import MAX_FOUND, mistakes
from airgap.resources.waiver import Waiver

T = TypeVar("T", Request, Upstreams, Sovereign, Trust, Policy, Waiver, Station)

TAKEN_BY = {kind: one.resource.taken_by for kind, one in RESOURCES.items()} | {
    "Lock": "`airgap pull`, `airgap scan` and `airgap bundle` take a Lock",
    "Delivery": "`airgap verify` and `airgap import` take the folder of a Delivery",
}
"""Which command takes which kind: the hint for a file given to the wrong command."""

HINT = "`airgap help resources` has every field, with an example"
_OTHER_FILE = "pass the file that has the expected kind of resource"


@dataclass(frozen=True, slots=True)
class _File:
    """A resource file: its content, its name in messages, and the folder where its relative paths start."""

    data: bytes
    label: str
    base: Path

    @classmethod
    def of(cls, source: Path | bytes, base_dir: Path | None, label: str) -> _File:
        if isinstance(source, bytes):
            return cls(source, label or "<input>", base_dir or Path("/"))
        # The limit is that of a lock, so that a lock passed by mistake is recognised and reported as such.
        data = read_input(source, MAX_LOCK, "resource-file")
        return cls(data, label or str(source), base_dir or source.absolute().parent)


def load(source: Path | bytes, *, base_dir: Path | None = None, label: str = "") -> tuple[Value, ...]:
    """All resources of a file, in the order of the file.

    `source` is a path, or the bytes themselves. `base_dir` (absolute) is the folder where relative paths start; the
    default is the file's folder. `label` is the file's name in messages; the default is the path as given.
    Raises `InputError` (`bad-resource`, `resource-file`).
    """
    return _load(_File.of(source, base_dir, label), KINDS, ())


def load_request(source: Path | bytes, *, base_dir: Path | None = None, label: str = "") -> tuple[Request, Upstreams]:
    """The Request and the Upstreams of a file; the Upstreams may be empty. Arguments and errors: `load`."""
    made = _load(_File.of(source, base_dir, label), ("Request", "Upstreams"), ("Request",))
    beside = [one for one in made if isinstance(one, Upstreams)]
    return _only(made, Request), beside[0] if beside else Upstreams(hosts={})


def load_partial_request(
    source: Path | bytes, *, base_dir: Path | None = None, label: str = ""
) -> tuple[Request, Upstreams, tuple[Unusable, ...]]:
    """As `load_request`, but entries whose mistakes are in their names alone are returned, and not an error."""
    unusable = list[Unusable]()
    made = _load(_File.of(source, base_dir, label), ("Request", "Upstreams"), ("Request",), unusable)
    beside = [one for one in made if isinstance(one, Upstreams)]
    request = _only(made, Request).without(unusable)
    return request, beside[0] if beside else Upstreams(hosts={}), tuple(unusable)


def load_upstreams(source: Path | bytes, *, base_dir: Path | None = None, label: str = "") -> Upstreams:
    """The Upstreams of a file. Arguments and errors: `load`."""
    return _only(_load(_File.of(source, base_dir, label), ("Upstreams",), ("Upstreams",)), Upstreams)


def load_sovereign(source: Path | bytes, *, base_dir: Path | None = None, label: str = "") -> Sovereign:
    """The Sovereign of a file. Arguments and errors: `load`."""
    return _only(_load(_File.of(source, base_dir, label), ("Sovereign",), ("Sovereign",)), Sovereign)


def load_trust(source: Path | bytes, *, base_dir: Path | None = None, label: str = "") -> Trust:
    """The Trust of a file, with its public keys read. Arguments and errors: `load`."""
    return _only(_load(_File.of(source, base_dir, label), ("Trust",), ("Trust",)), Trust)


def load_policy(source: Path | bytes, *, base_dir: Path | None = None, label: str = "") -> Policy:
    """The Policy of a file, with its trust roots and public keys read. Arguments and errors: `load`."""
    return _only(_load(_File.of(source, base_dir, label), ("Policy",), ("Policy",)), Policy)


def load_waiver(source: Path | bytes, *, base_dir: Path | None = None, label: str = "") -> Waiver:
    """The Waiver of a file. Arguments and errors: `load`."""
    return _only(_load(_File.of(source, base_dir, label), ("Waiver",), ("Waiver",)), Waiver)


def load_station(source: Path | bytes, *, base_dir: Path | None = None, label: str = "") -> Station:
    """The Station of a file. Arguments and errors: `load`."""
    return _only(_load(_File.of(source, base_dir, label), ("Station",), ("Station",)), Station)


def position(source: Path, kind: str, steps: Steps) -> str:
    """`file:line:column` of a value in the document of this kind, for messages about a file that was loaded."""
    data = read_input(source, MAX_LOCK, "resource-file")
    for document in read_documents(data, str(source)):
        if isinstance(document.value, dict) and document.value.get("kind") == kind:
            return f"{source}:{document.mark(steps)}"
    return str(source)


def _only(made: tuple[Value, ...], kind: type[T]) -> T:
    return next(one for one in made if isinstance(one, kind))


def _load(
    file: _File, wanted: tuple[str, ...], needed: tuple[str, ...], unusable: list[Unusable] | None = None
) -> tuple[Value, ...]:
    """Checks every document of a file, and makes values of the documents of the `wanted` kinds.

    With `unusable`, entries of a Request whose mistakes are in their names alone are added to it, and are no error.

    1. YAML. 2. Kinds: all known, no duplicates, none of the needed ones missing. 3. Schemas. 4. Rules that schemas
    cannot express.
    """
    _refuse_others(file, needed)
    documents = read_documents(file.data, file.label)
    kinds = _kinds(file, documents, needed)
    _inherit(documents)
    made: list[Value] = []
    problems: list[Problem] = []
    for document, kind in zip(documents, kinds, strict=True):
        given = {"name": _name(document), "raw": file.data}
        found = mistakes(document, kind)
        if len(found) == MAX_FOUND:  # what else is unsound is not known
            raise answer(file.label, [problem for _, problem in found], HINT)
        reader = DocumentReader(document, file.label, file.base, found, given)
        if kind in wanted:
            made.append(_resource(reader, kind))
        if unusable is not None and kind == "Request":
            unusable += _set_apart(reader)
        problems += reader.problems
    if problems:
        raise answer(file.label, problems, HINT)
    return tuple(made)


def _set_apart(reader: DocumentReader) -> list[Unusable]:
    """Takes the problems of entries that are only in their names out of the reader's."""
    by_entry: dict[Steps, list[tuple[Steps, Problem]]] = {}
    for steps, problem in reader.found:
        by_entry.setdefault(steps[:3], []).append((steps, problem))
    made = list[Unusable]()
    for entry, found in by_entry.items():
        value = _at(reader.document.value, entry) if len(entry) == 3 and entry[0] == "spec" else None
        if not isinstance(value, dict) or not all(steps[3:4] and steps[3] in NAMING for steps, _ in found):
            continue
        texts = (value.get(key) for key in ("name", "ref", "url", "repo"))
        name = next((one for one in texts if isinstance(one, str) and one), spell(entry))
        text = "; ".join(problem.text.removeprefix(spell(entry)).lstrip(".") for _, problem in found)
        made.append(Unusable(name, text, reader.at(entry)))
        reader.found = [one for one in reader.found if one not in found]
    return made


def _at(value: Any, steps: Steps) -> Any:
    for step in steps:
        value = value[step]
    return value


def _refuse_others(file: _File, needed: tuple[str, ...]) -> None:
    """Refuses other files that airgap knows, and names them. As YAML they might be too large, or a too long line."""
    found = recognized(file.data)
    if found in _NO_RESOURCE:
        raise InputError("bad-resource", f"{file.label}: this is {found}, expected {_asked(needed)}", _OTHER_FILE)
    if not file.data.lstrip().startswith(b"{"):
        return
    try:
        value = decode_json(file.data)
    except ValueError:
        return  # the YAML parser will report the position
    kind = value.get("kind") if isinstance(value, dict) else None
    if isinstance(kind, str) and kind in TAKEN_BY and kind not in KINDS:
        raise InputError("bad-resource", f"{file.label}: {_foreign(kind, _asked(needed))}", _OTHER_FILE)


_NO_RESOURCE = frozenset(
    {"a signed statement", "a trusted_root.json", "a private key", "a public key", "a certificate"}
)
"""Files that airgap knows and that are not resources, as `recognized` names them."""


def _asked(needed: tuple[str, ...]) -> str:
    return listed(_article(kind) for kind in needed or KINDS)


def _kinds(file: _File, documents: list[Document], needed: tuple[str, ...]) -> list[str]:
    """The kind of each document. Raises if a kind is unknown or occurs twice, or if a needed one is missing."""
    asked = _asked(needed)
    if not documents:
        raise InputError("bad-resource", f"{file.label}: the file is empty, expected {asked}", HINT)
    first: dict[str, Document] = {}
    problems: list[Problem] = []
    for document in documents:
        kind = document.value.get("kind") if isinstance(document.value, dict) else None
        mark = document.mark(("kind",))
        if not isinstance(document.value, dict):
            text = f"got {describe(document.value)}, expected a map with apiVersion, kind, metadata and spec"
            problems.append(Problem(mark, text))
        elif kind not in KINDS:
            problems.append(Problem(mark, _foreign(kind, asked)))
        elif kind in first:
            before = first[kind].mark(("kind",))
            problems.append(Problem(mark, f"kind: second {kind} in this file; the first is at line {before.line}"))
        else:
            first[kind] = document
    for kind in needed:
        if kind not in first and not problems:
            there = next(iter(first))
            text = f"this is {_article(there)}, expected {_article(kind)}; {TAKEN_BY[there]}"
            raise answer(file.label, [Problem(first[there].mark(("kind",)), text)], _OTHER_FILE)
    if problems:
        raise answer(file.label, problems, HINT)
    return [document.value["kind"] for document in documents]


def _foreign(kind: Any, asked: str) -> str:
    if kind is None:
        return f"kind: missing, expected {asked}"
    if not isinstance(kind, str):
        return f"kind: got {describe(kind)}, expected {asked}"
    if kind in TAKEN_BY:
        return f"this is {_article(kind)}, expected {asked}; {TAKEN_BY[kind]}"
    word = nearest(kind, KINDS)
    return f"kind: got {quoted(kind)}, " + (f"did you mean '{word}'?" if word else f"expected {asked}")


def _article(kind: str) -> str:
    return kind if kind == "Upstreams" else f"a {kind}"


def _inherit(documents: list[Document]) -> None:
    """Copies `apiVersion` and `metadata` of the first document to later ones that omit them."""
    first = documents[0].value
    for document in documents[1:]:
        document.value.setdefault("apiVersion", API_VERSION)
        # If the first has no name either, the file is refused for that; one report is enough.
        document.value.setdefault("metadata", first.get("metadata", {"name": "unnamed"}))


def _name(document: Document) -> str:
    metadata = document.value.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def _resource(reader: DocumentReader, kind: str) -> Value:
    steps, spec = ("spec",), reader.document.value.get("spec")
    if not isinstance(spec, dict):
        reader.unsound.add(steps)
    made: Value = RESOURCES[kind].spec.read(Place(reader, steps, spec))
    return made
