"""Shapes: the form of values in resources. A shape makes the JSON Schema of a value, and reads it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airgap.resources.problems import Steps, listed, quoted

if TYPE_CHECKING:
    from airgap.resources.reader import DocumentReader


@dataclass(frozen=True, slots=True)
class Place:
    """A value in a document, and its position."""

    reader: DocumentReader
    steps: Steps
    value: Any

    @property
    def sound(self) -> bool:
        """True if the schema accepts the value and everything in it."""
        return self.steps not in self.reader.unsound

    def child(self, step: str | int) -> Place:
        """The value at a field or an index."""
        return Place(self.reader, (*self.steps, step), self.value[step])

    def bad(self, text: str, *below: str | int) -> None:
        """Reports a problem with the value, or with a value below it. An empty `text` reports none."""
        self.reader.bad((*self.steps, *below), text)

    def once(self, key: str, what: str, *below: str | int) -> bool:
        """Reports an earlier entry of the same list with the same key. Returns false in that case."""
        return self.reader.once((*self.steps[:-1], *below), (*self.steps, *below), key, what)


class Shape(Protocol):
    """The form of a value, and how to read a value of this form."""

    def schema(self, doc: str = "") -> dict[str, Any]:
        """The JSON Schema of the value, with a `title` that follows the word "expected"."""

    def read(self, at: Place) -> Any:
        """The value for the program."""


Declared = Shape | type[Any]
"""A shape, or a class made by `spec_map`, which has its shape in `spec`."""


def shape_of(declared: Declared) -> Shape:
    """The shape of a declaration."""
    return declared.spec if isinstance(declared, type) else declared


@dataclass(frozen=True, slots=True)
class Text:
    """A text. `title` follows the word "expected" in messages; `pattern` is matched as JSON Schema does.

    `least` and `most` are lengths in characters. `complaint` returns the problem of a text, or `""`. `reads` makes the
    value; the default is the text.
    """

    title: str
    doc: str = ""
    pattern: str = ""
    least: int = 0
    most: int = 0
    format: str = ""
    complaint: Callable[[str], str] | None = None
    reads: Callable[[Place], Any] | None = None

    def schema(self, doc: str = "") -> dict[str, Any]:
        """The JSON Schema."""
        rules = {
            "minLength": self.least,
            "maxLength": self.most,
            "pattern": self.pattern,
            "format": self.format,
        }
        return (
            {"type": "string"} | words(self.title, doc or self.doc) | {key: rule for key, rule in rules.items() if rule}
        )

    def read(self, at: Place) -> Any:
        """The text, or the value that `reads` makes of it."""
        if self.pattern.endswith("$") and at.value.endswith(
            "\n"
        ):  # `$` of Python also matches before a final line feed
            at.bad(f"got {quoted(at.value)}, expected {self.title}")
        if self.complaint is not None:
            at.bad(self.complaint(at.value))
        return at.value if self.reads is None else self.reads(at)


def path(title: str, doc: str = "") -> Text:
    """A path, read as an absolute `Path`. A relative one starts at the folder of the resource file."""
    return Text(title, doc, least=1, reads=lambda at: at.reader.path(at.steps, at.value))


def named(title: str, where: str, doc: str = "") -> Text:
    """The name of an entry of the list at `where`, such as `spec.keys`. Read as that entry."""
    return Text(title, doc, least=1, reads=lambda at: at.reader.entry_named(at.steps, at.value, where))


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several words."""

    values: tuple[str, ...]
    doc: str = ""

    def schema(self, doc: str = "") -> dict[str, Any]:
        """The JSON Schema."""
        return {"enum": list(self.values)} | words(listed(self.values), doc or self.doc)

    def read(self, at: Place) -> Any:
        """The word."""
        return at.value


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    doc: str = ""

    def schema(self, doc: str = "") -> dict[str, Any]:
        """The JSON Schema."""
        return {"type": "boolean"} | words("true or false", doc or self.doc)

    def read(self, at: Place) -> Any:
        """The flag."""
        return at.value


@dataclass(frozen=True, slots=True)
class WholeNumber:
    """A whole number from `least` to `most`; `most` of 0 is no limit. `title` follows "expected" in messages."""

    title: str
    doc: str = ""
    least: int = 0
    most: int = 0

    def schema(self, doc: str = "") -> dict[str, Any]:
        """The JSON Schema."""
        most = {"maximum": self.most} if self.most else {}
        return {"type": "integer"} | words(self.title, doc or self.doc) | {"minimum": self.least} | most

    def read(self, at: Place) -> Any:
        """The number."""
        made = int(at.value.text)
        if made < self.least or made > self.most > 0:
            at.bad(f"got {made}, expected {self.title}")
        return made


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list with at least `least` entries. `unique`: no text occurs twice. `into` makes the value: tuple, frozenset.

    `names`: each entry has a different `name`, by which `named` finds it. `distinct`: no two entries have the same
    `name`, but the name may be omitted.
    """

    item: Declared
    title: str
    doc: str = ""
    least: int = 0
    unique: bool = False
    names: bool = False
    distinct: bool = False
    into: Callable[[Iterator[Any]], Collection[Any]] = tuple

    def schema(self, doc: str = "") -> dict[str, Any]:
        """The JSON Schema."""
        least = {"minItems": self.least} if self.least else {}
        return {"type": "array"} | words(self.title, doc or self.doc) | least | {"items": shape_of(self.item).schema()}

    def read(self, at: Place) -> Any:
        """The sound entries."""
        return self.into(self._entries(at))

    def _entries(self, at: Place) -> Iterator[Any]:
        item = shape_of(self.item)
        known = at.reader.names(at.steps) if self.names else {}
        for index, text in enumerate(at.value if isinstance(at.value, list) else ()):
            one = at.child(index)
            if not one.sound:
                continue
            made = item.read(one)
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
    """A map with at least `least` keys, which the author of the resource chooses."""

    key: Shape
    value: Declared
    title: str
    doc: str = ""
    least: int = 0

    def schema(self, doc: str = "") -> dict[str, Any]:
        """The JSON Schema."""
        least = {"minProperties": self.least} if self.least else {}
        inside = {"propertyNames": self.key.schema(), "additionalProperties": shape_of(self.value).schema()}
        return {"type": "object"} | words(self.title, doc or self.doc) | least | inside

    def read(self, at: Place) -> Any:
        """The sound entries, by key."""
        value = at.value if isinstance(at.value, dict) else {}
        shape = shape_of(self.value)
        return {key: shape.read(at.child(key)) for key in value if at.child(key).sound}


def words(title: str, doc: str) -> dict[str, Any]:
    """The annotations of a schema: `title`, and `description` where there is one."""
    return {"title": title} | ({"description": doc} if doc else {})
