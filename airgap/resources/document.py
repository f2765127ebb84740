"""Reads YAML into plain values with positions. Accepts only the part of YAML 1.2 that corresponds to JSON.

Uses the parser's events and not a YAML loader: a loader resolves aliases, tags, merge keys and the scalars of YAML 1.1
(`no`, `1:30`, dates) before they can be refused. Refuses, with their position: anchors, aliases, tags, merge keys,
duplicate keys, keys that are not text, control characters, and files above the limits below.
Source: YAML 1.2.2, 10.3 "Core Schema".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from airgap.base.errors import InputError
from airgap.resources.problems import Mark, Number, Problem, Steps, answer, quoted, spell

MAX_BYTES = 4 << 20
"""Bytes of a resource file: tens of thousands of items, more than people write or review."""
MAX_DEPTH = 32
"""Levels of maps and lists: resources have seven."""
MAX_NODES = 200_000
"""Keys and values of a file. This limits the memory, about 1 KiB for each."""
MAX_DOCUMENTS = 16
"""Documents of a file: each kind of resource can occur once."""
MAX_FOREIGN = 20_000
"""Keys and values of a file that others wrote: umbrella charts with a hundred dependencies have a thousand."""
MAX_DIRECTIVES = 16
"""Lines that begin with `%`: libyaml compares each `%TAG` with all before it."""

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser where PyYAML was built with it (ten times faster), else the one in Python."""

_NULL = re.compile(r"(?:null|Null|NULL|~|)\Z")
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")
_NUMBER = re.compile(
    r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_NOT_YAML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")
"""YAML forbids most of these; the rest are line breaks for some parsers and not for others."""


_DIRECTIVE = re.compile("^%", re.MULTILINE)


@dataclass(slots=True)
class Document:
    """One document: its value (`dict`, `list`, `str`, `bool`, `None`, `Number`), and the position of every part."""

    value: Any = None
    values: dict[Steps, Mark] = field(default_factory=dict)
    keys: dict[Steps, Mark] = field(default_factory=dict)

    def mark(self, steps: Steps) -> Mark:
        """The position of the value, or of the nearest value around it that exists."""
        while steps and steps not in self.values:
            steps = steps[:-1]
        return self.values.get(steps, Mark(1, 1))

    def key_mark(self, steps: Steps) -> Mark:
        """The position of the value's key."""
        return self.keys.get(steps) or self.mark(steps)


def read_documents(data: bytes, label: str) -> list[Document]:
    """The documents of a YAML file, without empty ones. `label` is the file's name in messages.

    Raises `InputError` (`bad-resource`) for the first part that is not valid YAML, or that is not supported.
    """
    return _read(data, label, _Composer(label))


def read_top_texts(data: bytes, label: str) -> dict[str, str]:
    """The texts and numbers at the top of a YAML map that others wrote, as they are written.

    The file may have what resources may not: anchors, aliases, tags, text of several lines. The same limits hold, and
    nothing is expanded: an alias stands for a text, and for nothing if its anchor is at a map or a list. Two names that
    differ in case only are refused, because Go reads them as one (`verſion`, with a long s, as `version`). Raises
    `InputError` (`bad-resource`).
    """
    documents = _read(data, label, _Composer(label, foreign=True))
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        raise answer(label, [Problem(Mark(1, 1), "expected one document, a map")])
    folded = dict[str, str]()
    for key in documents[0].value:
        other = folded.setdefault(key.casefold(), key)
        if other != key:
            raise answer(label, [Problem(Mark(1, 1), f"{key[:60]!a} and {other[:60]!a} differ in case only")])
    texts = {
        key: value.text if isinstance(value, Number) else value
        for key, value in documents[0].value.items()
        if isinstance(value, Number | str)
    }
    return {key: text for key, text in texts.items() if not _CONTROL.search(text)}


def _read(data: bytes, label: str, composer: _Composer) -> list[Document]:
    text = _text(data, label)
    try:
        for event in yaml.parse(text, Loader=LOADER):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        raise answer(label, [_syntax(error, text)]) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # The parser in Python lets chr() raise for `"\UFFFFFFFF"`.
        raise answer(label, [Problem(composer.last, f"not valid YAML: {error}")]) from error
    return [document for document in composer.documents if document.value is not None]


def scalar(text: str) -> Any:
    """The value of a plain (unquoted) scalar in the core schema: `None`, a `bool`, a `Number`, or the text."""
    if _NULL.match(text):
        return None
    if _BOOL.match(text):
        return text[0] in "tT"
    return Number(text) if _NUMBER.match(text) else text


def _text(data: bytes, label: str) -> str:
    if len(data) > MAX_BYTES:
        raise InputError("bad-resource", f"{label}: got more than {MAX_BYTES >> 20} MiB, expected a smaller file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        problem = Problem(_mark_after(before), f"byte 0x{data[error.start]:02x} is not UTF-8 text")
        raise answer(label, [problem], "save the file as UTF-8") from error
    bad = _NOT_YAML.search(text)
    if bad:
        what = f"control character U+{ord(bad.group()):04X}, expected plain text"
        raise answer(label, [Problem(_mark_after(text[: bad.start()]), what)])
    if len(_DIRECTIVE.findall(text)) > MAX_DIRECTIVES:
        raise answer(label, [Problem(Mark(1, 1), f"got more than {MAX_DIRECTIVES} lines that begin with '%'")])
    return text


def _mark_after(text: str) -> Mark:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return Mark(len(lines), len(lines[-1]) + 1)


def _mark(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1)


_SYNTAX = (
    (re.compile("tab character"), "found a tab; indent with spaces"),
    (re.compile("incompatible YAML"), "the %YAML line names a version other than 1; remove the line"),
    (
        re.compile("mapping values are not allowed"),
        "a ':' is not allowed here; check the indentation, {quotes}",
    ),
    (re.compile("',' or '[]}]'"), "expected ',' or the bracket that closes the one opened at {begun}"),
    (re.compile("unexpected end of stream|document separator"), "the quote opened at {begun} is not closed"),
    (
        re.compile("expected '-' indicator|expected <block end>|expected key|expected ':'"),
        "does not belong to the list or map that starts at {begun}; check the indentation, {quotes}",
    ),
)
"""The most frequent complaints of both parsers, in words that need no knowledge of parsers."""


def _syntax(error: yaml.MarkedYAMLError, text: str) -> Problem:
    at = error.problem_mark or error.context_mark
    mark = _mark(at) if at else Mark(1, 1)
    begun = _mark(error.context_mark) if error.context_mark else mark
    problem = error.problem or "cannot be read"
    if "cannot start any token" in problem:
        character = text.splitlines()[mark.line - 1][mark.column - 1 : mark.column]
        if character == "\t":
            return Problem(mark, "found a tab; indent with spaces")
        return Problem(mark, f"a value that starts with {quoted(character)} must be in quotes")
    for pattern, words in _SYNTAX:
        if pattern.search(problem):
            return Problem(mark, words.format(begun=begun, quotes="and put text that contains ': ' in quotes"))
    return Problem(mark, f"not valid YAML: {problem}")


@dataclass(slots=True)
class _Open:
    """A map or list that is being read. `key` is the key of the next value."""

    steps: Steps
    value: dict[str, Any] | list[Any]
    key: str | None = None


class _Composer:
    """Reads the parser's events one by one. Does not recurse, so deep nesting costs nothing before it is refused."""

    def __init__(self, label: str, *, foreign: bool = False) -> None:
        self.label = label
        self._foreign = foreign
        self._anchors: dict[str, Any] = {}
        """What has an anchor, in files that others wrote: a text, or `None` for a map or a list."""
        self._most = MAX_FOREIGN if foreign else MAX_NODES
        self.documents: list[Document] = []
        self.last = Mark(1, 1)
        self._stack: list[_Open] = []
        self._nodes = 0

    def take(self, event: Any) -> None:
        self.last = _mark(event.start_mark)
        match event:
            case yaml.DocumentStartEvent():
                if len(self.documents) == MAX_DOCUMENTS:
                    self._refuse(f"got more than {MAX_DOCUMENTS} documents in one file, expected one of each kind")
                self.documents.append(Document())
            case yaml.AliasEvent() if self._foreign:
                self._count()
                self._alias(str(event.anchor))
            case yaml.AliasEvent():
                self._refuse(f"alias {quoted('*' + str(event.anchor))} is not supported; write the value out")
            case yaml.ScalarEvent():
                self._plain(event)
                self._add_scalar(event)
            case yaml.MappingStartEvent():
                self._plain(event)
                self._open({})
            case yaml.SequenceStartEvent():
                self._plain(event)
                self._open([])
            case yaml.CollectionEndEvent():
                self._stack.pop()

    def _refuse(self, text: str) -> None:
        raise answer(self.label, [Problem(self.last, text)])

    def _count(self) -> None:
        self._nodes += 1
        if self._nodes > self._most:
            self._refuse(f"got more than {self._most} keys and values, expected a smaller file")

    def _plain(self, event: Any) -> None:
        """Counts a node, and refuses features that JSON does not have."""
        self._count()
        if self._foreign:
            if event.anchor:
                self._anchors[event.anchor] = None
            return
        if event.anchor:
            self._refuse(f"anchor {quoted('&' + event.anchor)} is not supported; write the value out")
        if event.tag:
            written = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._refuse(f"tag {quoted(written)} is not supported; put text in quotes instead")

    def _add_scalar(self, event: yaml.ScalarEvent) -> None:
        plain = event.implicit[0]
        value = scalar(event.value) if plain else event.value
        bad = None if self._foreign else _CONTROL.search(event.value)
        if bad:
            self._refuse(f"character U+{ord(bad.group()):04X} in a value, expected one line of plain text")
        if event.anchor:
            self._anchors[event.anchor] = value
        self._add(value, plain=plain)

    def _alias(self, name: str) -> None:
        if name not in self._anchors:
            self._refuse(f"alias {quoted('*' + name)} has no anchor before it")
        self._add(self._anchors[name], plain=False)

    def _add(self, value: Any, *, plain: bool) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            self._add_key(top, value, merge=plain and value == "<<")
        else:
            self._place(value)

    def _add_key(self, top: _Open, value: Any, *, merge: bool) -> None:
        if merge and not (self._foreign and top.steps):
            self._refuse("merge key '<<' is not supported; write the fields out")
        if not isinstance(value, str):
            written = value.text if isinstance(value, Number) else {None: "null", True: "true"}.get(value, "false")
            if not self._foreign:
                self._refuse(f"key {quoted(written)} is not text; put it in quotes")
            value = written
        steps = (*top.steps, value)
        keys = self.documents[-1].keys
        if steps in keys:
            self._refuse(f"{spell(steps)}: set twice, first at {keys[steps]}")
        keys[steps] = self.last
        top.key = value

    def _open(self, value: dict[str, Any] | list[Any]) -> None:
        if len(self._stack) == MAX_DEPTH:
            self._refuse(f"nested deeper than {MAX_DEPTH} levels")
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            self._refuse("a key must be text, not a map or a list; put text that begins with { or [ in quotes")
        self._stack.append(_Open(self._place(value), value))

    def _place(self, value: Any) -> Steps:
        """Adds a value to the map or list that is open, and returns its steps."""
        document = self.documents[-1]
        if not self._stack:
            document.value = value
            steps: Steps = ()
        else:
            top = self._stack[-1]
            if isinstance(top.value, list):
                steps = (*top.steps, len(top.value))
                top.value.append(value)
            else:
                key, top.key = top.key or "", None
                steps = (*top.steps, key)
                top.value[key] = value
        document.values[steps] = self.last
        return steps
