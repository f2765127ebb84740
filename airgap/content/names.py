"""The one name of each place, however its address is written: what rules are matched against, and where things go.

Whoever judges an item and whoever places it asks here, so that nothing is judged by one name and placed under another.
An address that two programs may read as two places has no name. Source: RFC 3986, 6.2; WHATWG URL, "host parsing".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from airgap.base.errors import InputError
from airgap.content.reference import DOCKER_HUB, is_host, looks_like_host, plain_host

PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*://")
_MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class RuleNames:
    """The names of one item that the rules of a policy are matched against."""

    origin: str
    """Where it comes from; `""` for a source on the machine that locked it."""
    places: tuple[tuple[str, ...], ...]
    """What it becomes: inside first, then in stores. A place has several names where its upstream's name differs."""

    @property
    def deciding(self) -> tuple[str, ...]:
        """The names that select the rule: the origin, or without one the place inside."""
        return (self.origin,) if self.origin else self.places[0]

    @property
    def foreign(self) -> tuple[tuple[str, ...], ...]:
        """The places whose names do not select the rule: there it would stand under the name of something else."""
        return tuple(place for place in self.places if not set(place) & set(self.deciding))

    def __iter__(self) -> Iterator[str]:
        """Every name, each once."""
        return iter(dict.fromkeys((*self.deciding, *(name for place in self.places for name in place))))


def is_url(source: str) -> bool:
    """True for an http or https URL, in upper or lower case."""
    return re.match(r"https?://", source, re.IGNORECASE) is not None


def url_name(url: str) -> str:
    """`host[:port]/path` of an http or https URL: decoded, without scheme, default port, query and empty segments.

    Raises `InputError` (`bad-url`) for what has no single reading: user, fragment, space, control character,
    backslash, `;`, `.` and `..`, an encoding in an encoding, an unusual host. A message shows neither user nor query.
    """
    bare = url.partition("?")[0]
    scheme, mark, rest = bare.partition("://")
    authority, _, path = rest.partition("/")
    if "@" in authority:
        raise InputError("bad-url", "the URL contains a user or a password; put them in 'credentials'")

    def bad(why: str) -> InputError:
        return InputError("bad-url", f"{bare[:_MAX_SHOWN]!a}: {why}")

    if not url.isprintable() or re.search(r"[ \\#]", url):
        raise bad("got a space, a control character, a backslash or '#', expected a URL without them")
    port = PORTS.get(scheme.lower())
    if not mark or port is None:
        raise bad("not an http or https URL")
    if not is_host(authority):
        raise bad(f"{authority!a} is not a host, expected one in full and in ASCII (xn--… for other scripts)")
    parts = [part for part in _decoded(path, bad).split("/") if part]
    return "/".join([plain_host(authority, port), *parts])


def _decoded(path: str, bad: Callable[[str], InputError]) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", path):
        raise bad("a '%' is not followed by two hex digits")
    if ";" in path:
        raise bad("got a ';' in the path, which some servers cut off, expected %3B")
    try:
        text = unicodedata.normalize("NFC", unquote_to_bytes(path).decode())
    except UnicodeDecodeError as error:
        raise bad("its path is not UTF-8") from error
    if not text.isprintable() or re.search(r"\\|%[0-9A-Fa-f]{2}", text):
        raise bad("its path hides a control character, a backslash or a second encoding")
    if {".", ".."} & set(text.split("/")):
        raise bad("its path has a '.' or '..' segment")
    return text


def repository_name(url: str) -> str:
    """`host[:port]/path` of a Git repository's URL, without `.git`. Raises `InputError` (`bad-url`)."""
    name = url_name(url)
    bare = without_git(name)
    odd = re.search(r"\?|//|%2f", url.partition("://")[2], re.IGNORECASE)
    if odd or without_git(bare) != bare or bare.endswith("/") or "/" not in bare:
        what = f"{url.partition('?')[0][:_MAX_SHOWN]!a}: not a repository's URL"
        raise InputError("bad-url", f"{what}, expected https://host/path with at most one '.git' at its end")
    return bare


def without_git(name: str) -> str:
    """A name without the final `.git` that servers add or ignore."""
    return name[:-4] if name.lower().endswith(".git") else name


MAX_REPOSITORY = 100
"""Characters of a repository's name in Gitea."""
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+\Z")
_RESERVED = (".git", ".wiki", ".rss", ".atom")


def repository_complaint(name: str) -> str:
    """Why no Gitea takes the last part of a name as that of a repository; `""` if it does.

    Tried with Gitea 1.23.8: names may begin and end with any of the characters (`.github`, `-x`, `a.`).
    """
    last = name.rpartition("/")[2]
    good = (
        _REPOSITORY.match(last)
        and last not in (".", "..", "-")
        and not last.lower().endswith(_RESERVED)
        and len(last) <= MAX_REPOSITORY
    )
    if good:
        return ""
    expected = (
        f"letters, digits and -_. in up to {MAX_REPOSITORY} characters, without {', '.join(_RESERVED)} at its end"
    )
    return f"got {last[:200]!a}, expected a repository's name as Gitea takes it: {expected}"


def claimed_place(text: str) -> str:
    """Host and path of a text that is written like the full name of something in a registry, `""` for any other.

    A store finds its items by their names: under such a name, people take an item for what has it upstream.
    """
    bare = _SCHEME.sub("", text).partition("@")[0]
    head, slash, last = bare.rpartition("/")
    host, _, path = f"{head}/{last.partition(':')[0]}".partition("/")
    if not slash or not looks_like_host(host.lower()):
        return ""
    parts = [part for part in path.split("/") if part]
    if plain_host(host) == DOCKER_HUB and len(parts) == 1:
        parts.insert(0, "library")
    return without_git("/".join([plain_host(host), *parts]))
