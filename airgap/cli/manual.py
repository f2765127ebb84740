"""The documents that come with the program, for machines where nobody can look anything up: `airgap help TOPIC`."""

from __future__ import annotations

import difflib
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.base.errors import InputError
from airgap.base.shipped import shipped_files

FIRST = ("runbooks/", "terms", "format", "threat-model", "design", "performance", "reference/", "adr/")
"""In which order topics are listed: what is needed at night comes first."""
_LEFT_OUT = ("requirements/", "install", "docs/reference/airgap.1")


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing that can be read: a document, an example, a section, or what the runbooks say of an error code."""

    name: str
    title: str
    text: str
    """Markdown; an example is shown as it is."""
    section_of: str = ""
    """The document of which it is a part, if it is one."""

    @property
    def page(self) -> str:
        """The document to which its links are relative."""
        return self.section_of or self.name

    @property
    def plain(self) -> bool:
        """True for a file that is shown as it is, so that it can be written into a file."""
        return self.name.startswith(("examples/", "stages/")) and not self.name.endswith("README")


def topics() -> list[Topic]:
    """All documents and examples, in the order in which they are listed."""
    found = []
    for name, path in shipped_files():
        if not name.startswith(_LEFT_OUT):
            text = path.read_text("utf-8", "replace")
            short = name.removeprefix("docs/").removesuffix(".md")
            found.append(Topic(short, _title(text, path), text))
    return sorted(found, key=lambda one: (_rank(one.name), one.name))


def _rank(name: str) -> int:
    return next((number for number, start in enumerate(FIRST) if name.startswith(start)), len(FIRST))


def _title(text: str, path: Path) -> str:
    """The heading of a document; for an example the first sentence of its first comment, or its name."""
    first = text.lstrip().partition("\n")[0]
    if not first.startswith("#") or path.suffix not in (".md", ".yaml"):
        return path.name
    title = first.lstrip("# ").strip()
    if path.suffix == ".yaml":
        title = title.partition(". ")[0].removesuffix(".")
    return textwrap.shorten(title, 76, placeholder=" …")


def topic(word: str, known: list[Topic], commands: Sequence[str] = ()) -> Topic:
    """The topic of `known` with this name; the last part of a name is enough if it is unique. Or a resource or a code.

    `commands` may be what was meant as well.

    Raises `InputError` (`usage`) if there is none, or several.
    """
    name = word.removeprefix("docs/").removesuffix(".md")  # as documents name each other
    exact = [one for one in known if one.name == name]
    last = exact or [one for one in known if one.name.rpartition("/")[2] == name]
    if len(last) == 1:
        return last[0]
    if last:
        names = ", ".join(one.name for one in last)
        raise InputError("usage", f"help: {word!r} is the name of several topics: {names}", "name one of them in full")
    found = _resource(word, known) or _code(word, known)
    if found is not None:
        return found
    meant = [*commands, *(one.name for one in known), *(one.name.rpartition("/")[2] for one in known), *codes(known)]
    near = difflib.get_close_matches(word, meant, 1, 0.7)
    raise InputError(
        "usage",
        f"help: there is no command, topic or error code {word!r}",
        f"did you mean {near[0]!r}?" if near else "`airgap help topics` lists the topics",
    )


def _resource(word: str, known: list[Topic]) -> Topic | None:
    """The section of a resource in the reference: `Sovereign`, in any case."""
    [page] = [one for one in known if one.name == "reference/resources"]
    for section in re.split(r"(?m)^(?=## )", page.text)[1:]:
        title = section.partition("\n")[0].lstrip("# ").strip()
        if title.lower() == word.lower():
            return Topic(title, title, section, page.name)
    return None


def _code(word: str, known: list[Topic]) -> Topic | None:
    """What the runbooks' tables say of an error code."""
    found = _answers(known).get(word)
    if found is None:
        return None
    text = "\n\n".join(f"`{word}`, in `airgap help {where}`:\n\n{answer}" for where, answer in found)
    return Topic(word, word, text, found[0][0])


def codes(known: list[Topic]) -> list[str]:
    """The error codes of which the runbooks speak."""
    return sorted(_answers(known))


def _answers(known: list[Topic]) -> dict[str, list[tuple[str, str]]]:
    """By code: the runbook, and its answer."""
    found: dict[str, list[tuple[str, str]]] = {}
    for page in known:
        inside = False
        for line in page.text.splitlines() if page.name.startswith("runbooks/") else ():
            inside = line.startswith("| code |") or (inside and line.startswith("|"))
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] if inside else []
            for code in re.findall(r"`([^`]+)`", cells[0]) if len(cells) > 1 else ():
                found.setdefault(code, []).append((page.name, "\n\n".join(cells[1:])))
    return found
