"""Fields of what people write, declared once: JSON Schema, reader and reference come from a dataclass.

A map is a frozen dataclass with `spec: ClassVar[Map]`; a field that people write has `metadata=spec_field("caFile",
SHAPE)`. A shape says what a value looks like: `Text`, `Choice`, `Flag`, `ListOf`, `MapOf`, or another such dataclass.
A field with a default may be left out. A method `checked(self, at: Place)` holds what a schema cannot say: it reports
with `at.bad(…)` and returns the value, often itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

from airgap.resources.problems import Steps, listed, quoted

if TYPE_CHECKING:
    from airgap.resources.reader import DocumentReader


@dataclass(frozen=True, slots=True)
class Place:
    """A value in a document, and where it is."""

    reader: DocumentReader
    steps: Steps
    value: Any

    @property
    def sound(self) -> bool:
        """True where the schema refuses neither the value nor anything in it."""
        return self.steps not in self.reader.unsound

    def child(self, step: str | int) -> Place:
        """The value at a field or an index."""
        return Place(self.reader, (*self.steps, step), self.value[step])

    def bad(self, text: str, *below: str | int) -> None:
        """Reports a problem with the value, or with one below it. An empty `text` is none."""
        self.reader.bad((*self.steps, *below), text)

    def once(self, key: str, what: str, *below: str | int) -> bool:
        """Reports that an entry before this one, in the same list, has the same key. False where it has."""
        return self.reader.once((*self.steps[:-1], *below), (*self.steps, *below), key, what)


class Shape(Protocol):
    """What a value looks like, and how it is read once it looks like that."""

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the value, with a `title` that follows the word "expected"."""

    def read(self, at: Place) -> Any:
        """The value for the program."""


Declared = Shape | type[Any]
"""A shape, or a dataclass with `spec`."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text. `title` follows the word "expected" in messages; `pattern` is matched as JSON Schema does.

    `least` and `most` are lengths in characters. `complaint` answers what is wrong with a text, `""` for nothing.
    `reads` makes the value, left out: the text.
    """

    title: str
    doc: str = ""
    pattern: str = ""
    least: int = 0
    most: int = 0
    format: str = ""
    complaint: Callable[[str], str] | None = None
    reads: Callable[[Place], Any] | None = None

    def schema(self) -> dict[str, Any]:
        """The JSON Schema."""
        rules = {
            "minLength": self.least,
            "maxLength": self.most,
            "pattern": self.pattern,
            "format": self.format,
        }
        return {"type": "string"} | _words(self.title, self.doc) | {key: rule for key, rule in rules.items() if rule}

    def read(self, at: Place) -> Any:
        """The text, or what `reads` makes of it."""
        if self.complaint is not None:
            at.bad(self.complaint(at.value))
        return at.value if self.reads is None else self.reads(at)


def path(title: str, doc: str = "") -> Text:
    """A path. It is read as an absolute `Path`: a relative one starts at the folder of the resource file."""
    return Text(title, doc, least=1, reads=lambda at: at.reader.path(at.steps, at.value))


def named(title: str, where: str, doc: str = "") -> Text:
    """The name of an entry of the list at `where`, such as `spec.keys`. It is read as that entry."""
    return Text(title, doc, least=1, reads=lambda at: at.reader.entry_named(at.steps, at.value, where))


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    values: tuple[str, ...]
    doc: str = ""

    def schema(self) -> dict[str, Any]:
        """The JSON Schema."""
        return {"enum": list(self.values)} | _words(listed(self.values), self.doc)

    def read(self, at: Place) -> Any:
        """The word."""
        return at.value


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    doc: str = ""

    def schema(self) -> dict[str, Any]:
        """The JSON Schema."""
        return {"type": "boolean"} | _words("true or false", self.doc)

    def read(self, at: Place) -> Any:
        """The flag."""
        return at.value


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list with at least `least` entries. `unique`: no text occurs twice. `into` makes the value: tuple, frozenset.

    `names`: the entries have a `name`, no two the same, and `named` finds them by it. `distinct`: no two entries have
    the same `name`, which need not be written.
    """

    item: Declared
    title: str
    doc: str = ""
    least: int = 0
    unique: bool = False
    names: bool = False
    distinct: bool = False
    into: Callable[[Iterator[Any]], Collection[Any]] = tuple

    def schema(self) -> dict[str, Any]:
        """The JSON Schema."""
        least = {"minItems": self.least} if self.least else {}
        return {"type": "array"} | _words(self.title, self.doc) | least | {"items": schema(self.item)}

    def read(self, at: Place) -> Any:
        """The sound entries."""
        return self.into(self._entries(at))

    def _entries(self, at: Place) -> Iterator[Any]:
        known = at.reader.names(at.steps) if self.names else {}
        for index, text in enumerate(at.value if isinstance(at.value, list) else ()):
            one = at.child(index)
            if not one.sound:
                continue
            made = read(self.item, one)
            if self.unique:
                one.once(text, quoted(text))
            if self.names:
                known.setdefault(made.name, made)
                one.once(made.name, f"the name {quoted(made.name)}", "name")
            if self.distinct and made.name:
                one.once(made.name, f"the name {quoted(made.name)}")
            yield made


@dataclass(frozen=True, slots=True)
class MapOf:
    """A map with keys that people choose, `least` of them at least."""

    key: Text
    value: Declared
    title: str
    doc: str = ""
    least: int = 0

    def schema(self) -> dict[str, Any]:
        """The JSON Schema."""
        least = {"minProperties": self.least} if self.least else {}
        inside = {"propertyNames": self.key.schema(), "additionalProperties": schema(self.value)}
        return {"type": "object"} | _words(self.title, self.doc) | least | inside

    def read(self, at: Place) -> Any:
        """The sound entries by their keys."""
        value = at.value if isinstance(at.value, dict) else {}
        return {key: read(self.value, at.child(key)) for key in value if at.child(key).sound}


@dataclass(frozen=True, slots=True)
class Map:
    """What a dataclass says of its map: a `title` for messages, and rules about fields as people write them.

    `one_of` maps the words for an alternative to its fields; exactly one alternative is given. `together` are two
    fields of which neither goes without the other. `least` is how many fields there must be. `order` is the order of
    the fields for people, where it is not the dataclass's; they are read in it, too.
    """

    title: str
    doc: str = ""
    one_of: Mapping[str, tuple[str, ...]] | None = None
    together: tuple[str, ...] = ()
    least: int = 0
    order: tuple[str, ...] = ()


def one_of(*names: str) -> dict[str, tuple[str, ...]]:
    """Alternatives of one field each, called by it."""
    return {name: (name,) for name in names}


@dataclass(frozen=True, slots=True)
class _Field:
    """A field that people write: its name in files, its shape, and its words where they are not the shape's."""

    name: str
    shape: Declared
    doc: str
    needed: bool | None


def spec_field(name: str, shape: Declared, doc: str = "", *, needed: bool | None = None) -> dict[str, Any]:
    """Metadata of a field that people write as `name`. `needed`, left out: when the dataclass has no default for it.

    A field that is not needed and has no default is read as `""`; `checked` gives it its value.
    """
    return {"spec": _Field(name, shape, doc, needed)}


def inline(part: type[Any]) -> dict[str, Any]:
    """Metadata of a field that holds another declaration, whose fields people write in this same map."""
    return {"inline": part}


class Table:
    """Fields that other modules bring: their names and shapes, in the order in which they were offered."""

    changes = 0
    """Of all tables: a schema that was made at another count is old."""

    def __init__(self, load: Callable[[], None]) -> None:
        """`load` is called before the table is read, and sees to it that the other modules have brought theirs."""
        self._load = load
        self._shapes: dict[str, Declared] = {}

    @property
    def shapes(self) -> Mapping[str, Declared]:
        """The shapes by their names."""
        self._load()
        return self._shapes

    def offer(self, name: str, shape: Declared) -> None:
        """Adds a field that may be left out."""
        self._shapes[name] = shape
        Table.changes += 1

    def withdraw(self, name: str) -> None:
        """Takes a field away."""
        del self._shapes[name]
        Table.changes += 1


def brought(table: Table) -> dict[str, Any]:
    """Metadata of a field that holds the values of a table's fields, by name; those that are empty are left out."""
    return {"table": table}


def given(what: str) -> dict[str, Any]:
    """Metadata of a field that nobody writes: `name` and `raw` of the document, `where` or `number` of an entry."""
    return {"given": what}


def schema(declared: Declared) -> dict[str, Any]:
    """The JSON Schema of a shape or a declared dataclass, with nothing outside that it refers to."""
    if not isinstance(declared, type):
        return declared.schema()
    told: Map = declared.spec
    properties = dict[str, Any]()
    required = list[str]()
    for one, default in _written(declared):
        properties[one.name] = schema(one.shape) | ({"description": one.doc} if one.doc else {})
        if _needed(one, default):
            required.append(one.name)
        if _shown(default, properties[one.name]):
            properties[one.name]["default"] = list(default) if isinstance(default, Collection) and not isinstance(
                default, str
            ) else default  # fmt: skip
    made = {"type": "object"} | _words(told.title, told.doc) | {"additionalProperties": False}
    if required:
        made["required"] = required
    if told.least:
        made["minProperties"] = told.least
    if told.together:
        made["dependentRequired"] = {
            name: [other for other in told.together if other != name] for name in told.together
        }
    if told.one_of:
        made["oneOf"] = [_alternative(title, names) for title, names in told.one_of.items()]
    return made | {"properties": properties}


def read(declared: Declared, at: Place) -> Any:
    """The value of a shape or a declared dataclass. What is wrong with it ends up in the reader's problems.

    The schema must have been asked before. In a map that it refuses, only lists and maps of declared values are read.
    """
    if not isinstance(declared, type):
        return declared.read(at)
    values = dict[str, Any]()
    for name, meta, default in _ordered(declared):
        if "given" in meta:
            values[name] = _given(meta["given"], at)
        elif "inline" in meta:
            values[name] = read(meta["inline"], at)
        elif "table" in meta:
            found = {
                key: read(shape, at.child(key)) for key, shape in meta["table"].shapes.items() if _has(at, key, shape)
            }
            values[name] = {key: value for key, value in found.items() if value}
        else:
            one: _Field = meta["spec"]
            if _has(at, one.name, one.shape):
                values[name] = read(one.shape, at.child(one.name))
            elif default is MISSING:
                values[name] = () if isinstance(one.shape, ListOf) else {} if isinstance(one.shape, MapOf) else ""
    made = declared(**values)
    return made.checked(at) if hasattr(made, "checked") else made


def _has(at: Place, name: str, shape: Declared) -> bool:
    """Whether a map has a field that can be read."""
    if not isinstance(at.value, dict) or name not in at.value:
        return False
    if at.sound:
        return True
    if isinstance(shape, ListOf):
        return isinstance(shape.item, type)
    if isinstance(shape, MapOf):
        return isinstance(shape.value, type)
    return isinstance(shape, type) and at.child(name).sound


def _given(what: str, at: Place) -> Any:
    if what == "where":
        return at.reader.at(at.steps)
    return int(at.steps[-1]) + 1 if what == "number" else at.reader.given[what]


def _ordered(declared: type[Any]) -> list[tuple[str, Mapping[str, Any], Any]]:
    """The fields in the order for people: name, metadata, default (`MISSING`: none)."""
    order: tuple[str, ...] = declared.spec.order
    found = []
    for one in fields(declared):
        default = one.default if one.default_factory is MISSING else one.default_factory()
        if one.metadata:
            found.append((one.name, one.metadata, default))
    return sorted(found, key=lambda one: order.index(one[0]) if one[0] in order else -1)


def _written(declared: type[Any]) -> Iterator[tuple[_Field, Any]]:
    for _, meta, default in _ordered(declared):
        if "spec" in meta:
            yield meta["spec"], default
        elif "inline" in meta:
            yield from _written(meta["inline"])
        elif "table" in meta:
            yield from (
                (_Field(name, shape, "", needed=False), MISSING) for name, shape in meta["table"].shapes.items()
            )


def _needed(one: _Field, default: Any) -> bool:
    return default is MISSING if one.needed is None else one.needed


def _shown(default: Any, made: Mapping[str, Any]) -> bool:
    """Whether people would write the default themselves; else the words say what leaving the field out means."""
    if isinstance(default, (tuple, frozenset)):
        least: int = made.get("minItems", 0)
        return made["type"] == "array" and len(default) >= least
    return isinstance(default, bool) or (isinstance(default, str) and default != "")


def _alternative(title: str, names: tuple[str, ...]) -> dict[str, Any]:
    each = [{"required": [name]} for name in names]
    return {"title": title} | (each[0] if len(each) == 1 else {"anyOf": each})


def _words(title: str, doc: str) -> dict[str, Any]:
    return {"title": title} | ({"description": doc} if doc else {})
