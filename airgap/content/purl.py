"""Package URLs: the names of packages and images in findings, SBOMs and VEX documents.

Source: purl-spec, "How to parse a purl string"; go-vex, `PurlMatches`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

MAX_PURL = 2048
"""Characters of a purl."""
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9.+-]*\Z")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9._-]*\Z")
_LOWER = frozenset({"alpm", "apk", "bitbucket", "composer", "deb", "github", "oci", "pypi"})
"""Types whose names are the same in upper and lower case (purl-spec, "Known purl types")."""


@dataclass(frozen=True, slots=True)
class Purl:
    """A package URL in its parts, decoded and in lower case where its type says so."""

    type: str
    namespace: str
    """`""` if there is none."""
    name: str
    version: str = ""
    """`""` for any."""
    qualifiers: Mapping[str, str] = field(default_factory=dict, hash=False)
    subpath: str = ""

    @classmethod
    def parse(cls, text: str) -> Purl | None:
        """The parts of `text`; `None` if it is not a purl, or not in one way only."""
        if len(text) > MAX_PURL or text[:4].lower() != "pkg:":
            return None
        rest, _, subpath = text[4:].lstrip("/").partition("#")
        rest, _, query = rest.partition("?")
        kind, slash, path = rest.partition("/")
        path, at, version = path.strip("/").rpartition("@") if "@" in path else (path.strip("/"), "", "")
        namespace, _, name = path.strip("/").rpartition("/")
        qualifiers = _qualifiers(query)
        if not slash or not _TYPE.match(kind) or not name or "/" in version or (at and not version):
            return None
        if qualifiers is None:
            return None
        kind = kind.lower()
        parts = (unquote(name), "/".join(unquote(one) for one in namespace.split("/") if one))
        if kind in _LOWER:
            parts = (parts[0].lower(), parts[1].lower())
        name = parts[0].replace("_", "-") if kind == "pypi" else parts[0]
        inside = "/".join(unquote(one) for one in subpath.split("/") if one not in ("", ".", ".."))
        return cls(kind, parts[1], name, unquote(version), qualifiers, inside)

    def covers(self, other: Purl) -> bool:
        """True if this purl names `other`, perhaps with others.

        One without a version names every version. All of its qualifiers must be those of `other`, which may have more.
        """
        same = (self.type, self.namespace, self.name) == (other.type, other.namespace, other.name)
        version = not self.version or self.version == other.version
        inside = not self.subpath or self.subpath == other.subpath
        return same and version and inside and self.qualifiers.items() <= other.qualifiers.items()


def _qualifiers(query: str) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        key, equals, value = pair.partition("=")
        key = key.lower()
        if not equals or not _KEY.match(key) or key in found:
            return None
        found[key] = unquote(value)
    return {key: value for key, value in found.items() if value}
