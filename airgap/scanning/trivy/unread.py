"""What Trivy leaves out of a layer without a word: its users report each of these as "no vulnerabilities".

Tried with 0.59.1 and 0.74.0. A file by which packages are found and that cannot be parsed is a line of its debug
output, no error and no warning: the packages are missing (aquasecurity/trivy, issues 2054, 8557). Links are skipped: a
package file that is a hard link to a file of another name is in no list. Debug output is no way to know: layers that
images share are analysed once, in a run of another image.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airgap.base.errors import IntegrityError
from airgap.base.strict_json import strict_decoder
from airgap.base.text import one_line
from airgap.base.untar import TarEntry, TarReader

MAX_LISTED = 20
"""Files of a layer that are named; more are counted."""
MAX_DOCUMENT = 64 << 20
"""Bytes of a package file in JSON that is parsed: the largest known have some MiB."""
MAX_VALUES = 2_000_000
"""Values in it, as far as that is seen before: where JSON needs three bytes, Python needs 60."""
MAX_PATH = 300
"""Characters of a path that is named."""
_PIECE = 1 << 20
_TAIL = (1 << 16) + 22
"""Bytes in which a zip file says where its directory is: the end record, and a comment."""
_END = struct.Struct("<4s4H2LH")
_NPM_NAME = re.compile(r"(@[A-Za-z0-9-._]+/)?[A-Za-z0-9-._]+")
_MAPS = ("dependencies", "optionalDependencies", "devDependencies")

_KINDS = tuple(
    (kind, re.compile(pattern, re.DOTALL))
    for kind, pattern in (
        ("jar", r"(?i).*\.(jar|war|ear|par)"),
        ("npm", r"(.*/)?package\.json"),
        ("composer", r"(.*/)?installed\.json"),
        ("dotnet", r".*\.deps\.json"),
        ("conda", r"(.*/)?conda-meta/.+-.+-.+\.json"),
        ("python", r".*(\.dist-info/METADATA|\.egg-info|\.egg-info/PKG-INFO|/EGG-INFO/PKG-INFO)"),
        ("ruby", r".*/specifications/.+\.gemspec"),
        ("dpkg", r"var/lib/dpkg/(status|status\.d/[^/]+)"),
        ("apk", r"(usr/)?lib/apk/db/installed"),
        ("rpm", r"(var/lib/rpm|usr/lib/sysimage/rpm)/(Packages|Packages\.db|rpmdb\.sqlite)"),
    )
)
"""The files in images by which Trivy finds packages, and what each is taken for."""
SYSTEMS = frozenset({"apk", "dpkg", "rpm"})
"""Those of a whole system."""
_ENDS = (
    ".json",
    "METADATA",
    "-info",
    "PKG-INFO",
    ".gemspec",
    "dpkg/status",
    "db/installed",
    "Packages",
    ".db",
    ".sqlite",
)
_JAVA = (".jar", ".war", ".ear", ".par")


@dataclass(frozen=True, slots=True)
class UnreadFile:
    """One file of a layer that the scanner leaves out, and why."""

    path: str
    why: str


class UnreadFiles:
    """Sees each entry of a layer once, in its order."""

    def __init__(self) -> None:
        self._found = dict[str, UnreadFile]()
        self.java = False
        """True if there was a Java archive."""
        self.systems = set[str]()
        """Whose package databases there are: of `apk`, `dpkg`, `rpm`."""

    @property
    def found(self) -> tuple[UnreadFile, ...]:
        """The first of them by path."""
        return tuple(self._found[path] for path in sorted(self._found)[:MAX_LISTED])

    @property
    def more(self) -> int:
        """How many there are besides."""
        return max(0, len(self._found) - MAX_LISTED)

    def give_up(self, why: str) -> None:
        """The rest of the layer cannot be looked at: it may have anything."""
        self.java = True
        self._found[""] = UnreadFile("", why)

    def see(self, entry: TarEntry, tar: TarReader) -> None:
        """Looks at one entry, and reads its content if that matters. Raises what `tar` raises."""
        if not (entry.name.endswith(_ENDS) or entry.name[-4:].lower() in _JAVA or "status.d/" in entry.name):
            return  # nearly all
        path = _clean(entry.name)
        kind = _kind(path)
        if not kind:
            return
        if entry.type == "file":
            self.java = self.java or kind == "jar"
            if kind in SYSTEMS and entry.size:
                self.systems.add(kind)
            # What comes later in a layer takes the place of what came before.
            self._found.pop(path, None)
            why = _CHECKS[kind](entry, tar) if kind in _CHECKS and entry.size else ""
        elif entry.type in ("link", "symlink"):
            target = entry.link if entry.type == "link" or entry.link.startswith("/") else f"{path}/../{entry.link}"
            why = "" if _kind(_clean(target)) == kind else f"it is a link to {entry.link[:MAX_PATH]}"
        else:
            why = "it is a device or a pipe" if entry.type == "other" else ""
        if why:
            self._found[path] = UnreadFile(one_line(path)[:MAX_PATH], one_line(why)[: 2 * MAX_PATH])


def _kind(path: str) -> str:
    return next((kind for kind, pattern in _KINDS if pattern.fullmatch(path)), "")


def _clean(path: str) -> str:
    made = list[str]()
    for part in path.split("/"):
        if part == "..":
            del made[-1:]
        elif part not in ("", "."):
            made.append(part)
    return "/".join(made)


def _zip(entry: TarEntry, tar: TarReader) -> str:
    """Goes by the end record, as readers of zip files do."""
    tail = b""
    while piece := tar.read(_PIECE):
        tail = (tail + piece)[-_TAIL:]
    at = tail.rfind(b"PK\5\6")
    while at >= 0:
        if len(tail) - at >= _END.size:
            _, disk, _, _, _, size, offset, comment = _END.unpack_from(tail, at)
            whole = at + _END.size + comment == len(tail)
            begin = entry.size - (len(tail) - at)
            if whole and disk in (0, 0xFFFF) and (offset == 0xFFFFFFFF or offset + size <= begin):
                return ""
        at = tail.rfind(b"PK\5\6", 0, at)
    return "it is no zip archive, or its end is missing"


def _document(entry: TarEntry, tar: TarReader, *, strict: bool) -> Any:
    """The JSON value of a file as Go reads it: what follows it does not count. Raises `ValueError`."""
    if entry.size > MAX_DOCUMENT:
        raise ValueError(f"more than {MAX_DOCUMENT} bytes")
    data = bytearray()
    while piece := tar.read(_PIECE):
        data += piece
    if sum(map(data.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES} values")
    text = data.decode("utf-8", "strict" if strict else "replace").lstrip(" \t\r\n")
    decoder = strict_decoder() if strict else json.JSONDecoder(parse_constant=_no_constant)
    try:
        return decoder.raw_decode(text)[0]
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _json(check: Callable[[dict[str, Any]], str], *, strict: bool = False) -> Callable[[TarEntry, TarReader], str]:
    def look(entry: TarEntry, tar: TarReader) -> str:
        try:
            found = _document(entry, tar, strict=strict)
        except (ValueError, IntegrityError) as error:
            return f"it cannot be parsed: {error}"
        return check(found) if isinstance(found, dict) else "it is not a JSON object"

    return look


def _texts(found: dict[str, Any], *names: str) -> str:
    wrong = next((name for name in names if not isinstance(found.get(name) or "", str)), "")
    return f"{wrong} is not a text" if wrong else ""


def _is_map(value: object) -> bool:
    return value is None or (isinstance(value, dict) and all(isinstance(one, str | None) for one in value.values()))


def _npm(found: dict[str, Any]) -> str:
    if wrong := _texts(found, "name", "version"):
        return wrong
    if wrong := next((name for name in _MAPS if not _is_map(found.get(name))), ""):
        return f"{wrong} is not a map of texts"
    name = found.get("name") or ""
    return "" if not name or _NPM_NAME.fullmatch(name) else "its name is none of a package"


def _composer(found: dict[str, Any]) -> str:
    packages = found.get("packages")
    if not isinstance(packages, list) or not all(isinstance(one, dict) for one in packages):
        return "packages is not a list of objects"
    wrong = any(_texts(one, "name", "version") or not _is_map(one.get("require")) for one in packages)
    return "a package in it is not what Composer writes" if wrong else ""


def _dotnet(found: dict[str, Any]) -> str:
    libraries = found.get("libraries")
    good = libraries is None or (
        isinstance(libraries, dict) and all(isinstance(one, dict) for one in libraries.values())
    )
    return "" if good else "libraries is not a map of objects"


def _conda(found: dict[str, Any]) -> str:
    return _texts(found, "name", "version", "license")


_CHECKS: dict[str, Callable[[TarEntry, TarReader], str]] = {
    "jar": _zip,
    "npm": _json(_npm),
    "composer": _json(_composer, strict=True),
    "dotnet": _json(_dotnet),
    "conda": _json(_conda),
}
