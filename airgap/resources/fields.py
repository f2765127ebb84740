"""Declares the fields of resources. The JSON Schema, the reader and the reference come from one declaration.

    @spec_map("a map with the host's address")
    class Host:
        url: str = spec(Text("an address"), "Words for the reference.")
        ca_file: Path | None = spec(CA_FILE, default=None)

A shape describes the form of a value: one of `shapes`, or another such class. A field with a default may be left out.
A method `checked(self, at: Place)` checks what a schema cannot express: it reports with `at.bad(…)` and returns the
value, often itself. `Host.spec` is the class's own shape: `schema()` is its JSON Schema, `read(place)` makes its value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, TypeVar, cast, dataclass_transform

from airgap.resources.shapes import Declared, ListOf, MapOf, Place, shape_of, words

T = TypeVar("T")


class Table:
    """Fields that other modules offer: their names and shapes, in the order of the offers."""

    changes = 0
    """The changes of all tables. A schema made at another count is outdated."""

    def __init__(self, load: Callable[[], None]) -> None:
        """`load` is called before the table is read. It makes the other modules offer their fields."""
        self._load = load
        self._shapes: dict[str, Declared] = {}

    @property
    def shapes(self) -> Mapping[str, Declared]:
        """The shapes, by name."""
        self._load()
        return self._shapes

    def read(self, at: Place) -> dict[str, Any]:
        """The values of the table's fields in a map, without empty values."""
        there = {key: shape for key, shape in self.shapes.items() if _has(at, key, shape)}
        found = {key: shape_of(shape).read(at.child(key)) for key, shape in there.items()}
        return {key: value for key, value in found.items() if value}

    def offer(self, name: str, shape: Declared) -> None:
        """Adds an optional field."""
        self._shapes[name] = shape
        Table.changes += 1

    def withdraw(self, name: str) -> None:
        """Removes a field."""
        del self._shapes[name]
        Table.changes += 1


@dataclass(frozen=True, slots=True)
class _Spec:
    shape: Declared
    doc: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class _Inline:
    part: type[Any]


@dataclass(frozen=True, slots=True)
class _Given:
    what: str


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a declared class: its name there, the source of its value, its default."""

    attribute: str
    mark: _Spec | _Inline | _Given | Table
    default: Any

    @property
    def name(self) -> str:
        """The name in files: `caFile` for `ca_file`, unless the declaration gives another."""
        first, *rest = self.attribute.split("_")
        return (isinstance(self.mark, _Spec) and self.mark.name) or first + "".join(one.capitalize() for one in rest)


def spec(shape: Declared, doc: str = "", *, name: str = "", default: Any = MISSING) -> Any:
    """A field that people write. A field with a `default` is optional.

    `name` is its name in files; the default is `caFile` for `ca_file`. `doc` is its description in the reference; the
    default is the description of the shape.
    """
    return _field(_Spec(shape, doc, name), default)


def inline(part: type[Any], *, default: Any = MISSING) -> Any:
    """A field that contains another declared class, whose fields people write in the same map."""
    return _field(_Inline(part), default)


def brought(table: Table, *, default: Any = MISSING) -> Any:
    """A field that contains the values of a table's fields, by name."""
    return _field(table, default)


def given(what: str, *, default: Any = MISSING) -> Any:
    """A field that is not written in the map: `name` and `raw` of the document, `where` or `number` of an entry."""
    return _field(_Given(what), default)


def _field(mark: _Spec | _Inline | _Given | Table, default: Any) -> Any:
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata={"mark": mark})
    return field(default=default, metadata={"mark": mark})


@dataclass(frozen=True, slots=True)
class Map:
    """The shape of a declared class: the arguments of `spec_map`, and the fields."""

    made: type[Any]
    title: str
    doc: str
    one_of: Mapping[str, tuple[str, ...]]
    together: tuple[str, ...]
    least: int
    fields: tuple[_Field, ...]

    def schema(self, doc: str = "") -> dict[str, Any]:
        """The JSON Schema. It is complete and refers to no other schema."""
        properties = dict[str, Any]()
        required = list[str]()
        for name, one, default in self.written():
            properties[name] = shape_of(one.shape).schema(one.doc)
            if default is MISSING:
                required.append(name)
            elif _shown(default, properties[name]):
                properties[name]["default"] = list(default) if isinstance(default, tuple | frozenset) else default
        made = {"type": "object"} | words(self.title, doc or self.doc) | {"additionalProperties": False}
        if required:
            made["required"] = required
        if self.least:
            made["minProperties"] = self.least
        if self.together:
            made["dependentRequired"] = {
                name: [other for other in self.together if other != name] for name in self.together
            }
        if self.one_of:
            made["oneOf"] = [_alternative(title, names) for title, names in self.one_of.items()]
        return made | {"properties": properties}

    def read(self, at: Place) -> Any:
        """The value of the class, or what its `checked` returns. Adds problems to the reader's.

        Validate the document against the schema first. Of a map that the schema refuses, only lists and maps of
        declared values are read.
        """
        values = dict[str, Any]()
        for one in self.fields:
            match one.mark:
                case _Given(what):
                    values[one.attribute] = _given(what, at)
                case _Inline(part):
                    values[one.attribute] = shape_of(part).read(at)
                case Table() as table:
                    values[one.attribute] = table.read(at)
                case _Spec(shape) if _has(at, one.name, shape):
                    values[one.attribute] = shape_of(shape).read(at.child(one.name))
                case _Spec(shape) if one.default is MISSING:
                    values[one.attribute] = () if isinstance(shape, ListOf) else {} if isinstance(shape, MapOf) else ""
        made = self.made(**values)
        return made.checked(at) if hasattr(made, "checked") else made

    def written(self) -> Iterator[tuple[str, _Spec, Any]]:
        """The fields that people write: name, declaration, default (`MISSING`: none)."""
        for one in self.fields:
            match one.mark:
                case _Spec():
                    yield one.name, one.mark, one.default
                case _Inline(part):
                    yield from part.spec.written()
                case Table(shapes=shapes):
                    yield from ((name, _Spec(shape), None) for name, shape in shapes.items())


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(spec, inline, brought, given))
def spec_map(
    title: str = "",
    doc: str = "",
    *,
    one_of: Mapping[str, tuple[str, ...]] | None = None,
    together: tuple[str, ...] = (),
    least: int = 0,
) -> Callable[[type[T]], type[T]]:
    """Makes a class a frozen dataclass that declares a map. `title` follows the word "expected" in messages.

    `one_of` maps the name of each alternative to its fields in files; exactly one alternative must be present.
    `together` are fields that are only allowed together. `least` is the minimum number of fields. The fields are read,
    and appear in the reference, in the order of the class.
    """

    def declare(cls: type[T]) -> type[T]:
        made: Any = dataclass(frozen=True, slots=True, kw_only=True)(cls)
        found = tuple(_Field(one.name, one.metadata["mark"], _default(one)) for one in fields(made))
        made.spec = Map(made, title, doc, one_of or {}, together, least, found)
        return cast(type[T], made)

    return declare


def one_of(*names: str) -> dict[str, tuple[str, ...]]:
    """Alternatives of one field each, with the name of that field."""
    return {name: (name,) for name in names}


def _has(at: Place, name: str, shape: Declared) -> bool:
    """Whether the map contains a field that can be read."""
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


def _default(one: Field[Any]) -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()


def _shown(default: Any, made: Mapping[str, Any]) -> bool:
    """Whether the reference shows the default as a value. For other defaults, the description explains them."""
    if isinstance(default, (tuple, frozenset)):
        least: int = made.get("minItems", 0)
        return made["type"] == "array" and len(default) >= least
    return isinstance(default, bool) or (isinstance(default, str) and default != "")


def _alternative(title: str, names: tuple[str, ...]) -> dict[str, Any]:
    each = [{"required": [name]} for name in names]
    return {"title": title} | (each[0] if len(each) == 1 else {"anyOf": each})
