"""`Places`: where the members of one archive come to lie, one after the other: outside, through a link, twice."""

from __future__ import annotations

from airgap.base.untar import TarEntry
from airgap.content.scan_finding import Severity
from airgap.scanning.archives.notes import Notes

MAX_PART = 255
"""Bytes of a part of a path on every file system of Linux."""
MAX_PATH = 4096
"""Bytes of a path that the kernel takes (PATH_MAX)."""
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_ODD = ("/", "/.", "..")
_MAX_HOPS = 40
"""Links that the kernel follows in one path."""


class Places:
    """Says what is wrong with the place of each member. Memory: some 80 bytes for each member.

    A layer is unpacked below the root of a container, so an absolute target is inside; in other archives it is not.
    """

    def __init__(self, notes: Notes, *, layer: bool, nested: bool) -> None:
        self._notes, self._layer = notes, layer
        self._bad = Severity.MEDIUM if nested else Severity.HIGH
        self._doubt = Severity.LOW if nested else Severity.MEDIUM
        # Hashes of paths in place of paths: Python's are keyed by a secret, so nobody makes two that are the same.
        self._files = set[int]()
        self._folders = set[int]()
        self._hidden = set[int]()
        """What whiteouts of this layer remove."""
        self._links: dict[str, str] = {}
        self._parent, self._parent_is_link = "", False

    def add(self, one: TarEntry, shown: str) -> str:
        """Looks at a member; `shown` is its path in findings. Returns its path, without `.` and empty parts."""
        path, leaves = plain(one.name)
        self._name(one, shown)
        if leaves:
            self._notes.add("path-leaves", self._bad, "a member's path leads out of the archive's folder", shown)
        elif one.name.startswith("/"):
            self._notes.add("absolute-path", Severity.LOW, "a member's path is absolute", shown)
        self._through(path, shown)
        if one.type in ("link", "symlink"):
            self._link(one, path, shown)
        self._twice(one, path, shown)
        if self._layer:
            self._whiteout(one, path, shown)
        return path

    def _name(self, one: TarEntry, shown: str) -> None:
        name = one.name
        if not one.utf8:
            self._notes.add("name-not-utf8", Severity.LOW, "a name, or the target of a link, is no UTF-8", shown)
        if not name.isprintable():
            bad = any(char < " " or "\x7f" <= char < "\xa0" for char in name)
            title = "a name contains control characters" if bad else "a name contains characters that cannot be seen"
            self._notes.add("name-unprintable", self._doubt if bad else Severity.LOW, title, shown)
        if len(name) > MAX_PART // 4:
            data = name.encode("utf-8", "surrogateescape")
            if len(data) > MAX_PATH or max(map(len, data.split(b"/"))) > MAX_PART:
                self._notes.add("name-too-long", self._doubt, "a name is longer than file systems take", shown)

    def _through(self, path: str, shown: str) -> None:
        parent = path.rpartition("/")[0]
        if parent != self._parent:
            self._parent, self._parent_is_link = parent, bool(self._links) and self._first_link(parent) is not None
        if not self._parent_is_link:
            return
        where = self._resolved(parent)
        if where is None:
            title = "a member is written through a symbolic link that leads out of the archive's folder"
            self._notes.add("through-link", self._bad, title, shown)
        elif where == "/":
            title = "a member is written through a symbolic link to an absolute path"
            self._notes.add("through-link", self._doubt, title, shown)

    def _link(self, one: TarEntry, path: str, shown: str) -> None:
        if one.type == "symlink":
            self._links[path] = one.link
            self._parent = "\0"
            return
        target, leaves = plain(one.link)
        if leaves or (not self._layer and one.link.startswith("/")):
            self._notes.add(
                "link-leaves", self._bad, f"a hard link leads out of the archive's folder: {one.link}", shown
            )
        elif self._first_link(target.rpartition("/")[0]) is not None and self._resolved(target) in (None, "/"):
            title = f"a hard link leads out of the archive's folder, through a symbolic link: {one.link}"
            self._notes.add("link-leaves", self._bad, title, shown)
        elif hash(target) not in self._files and target not in self._links:
            title = f"a hard link to what is not in the archive before it: {one.link}"
            self._notes.add("link-without-target", Severity.LOW, title, shown)

    def _twice(self, one: TarEntry, path: str, shown: str) -> None:
        key = hash(path)
        folder = one.type == "folder"
        if key in self._files or (not folder and key in self._folders):
            title = "a path occurs twice: programs differ in which one counts"
            self._notes.add("duplicate-path", self._doubt, title, shown)
        if folder:
            self._folders.add(key)
        else:
            self._files.add(key)
        if one.type != "symlink" and path in self._links:
            del self._links[path]
            self._parent = "\0"
        if key in self._hidden:
            self._both(shown)

    def _whiteout(self, one: TarEntry, path: str, shown: str) -> None:
        folder, _, name = path.rpartition("/")
        if not name.startswith(WHITEOUT):
            if f"/{WHITEOUT}" in f"/{folder}":
                title = "a member lies in a folder whose name is that of a whiteout"
                self._notes.add("whiteout-odd", self._doubt, title, shown)
            return
        if name == OPAQUE:
            return
        removed = name.removeprefix(WHITEOUT)
        if removed in ("", ".", ".."):
            self._notes.add("whiteout-odd", Severity.HIGH, "a whiteout removes its own folder, or the one above", shown)
        elif removed.startswith(WHITEOUT):
            self._notes.add("whiteout-odd", Severity.LOW, "a whiteout of a kind that only aufs knows", shown)
        elif one.type != "file" or one.size:
            self._notes.add("whiteout-odd", self._doubt, "a whiteout is no empty file", shown)
        key = hash(f"{folder}/{removed}" if folder else removed)
        self._hidden.add(key)
        if key in self._files or key in self._folders:
            self._both(shown)

    def _both(self, shown: str) -> None:
        title = "a layer removes a path and also has it: programs differ in whether it is there"
        self._notes.add("whiteout-and-member", self._doubt, title, shown)

    def _first_link(self, path: str) -> str | None:
        """The shortest prefix of a path that is a symbolic link of this archive."""
        at = path.find("/")
        while at >= 0:
            if path[:at] in self._links:
                return path[:at]
            at = path.find("/", at + 1)
        return path if path in self._links else None

    def _resolved(self, path: str) -> str | None:
        """Where a path leads: `None` for out of the folder, `/` for through an absolute link, or too many links."""
        absolute = False
        for _ in range(_MAX_HOPS):
            link = self._first_link(path)
            if link is None:
                return "/" if absolute else path
            target = self._links[link]
            if target.startswith("/"):
                if not self._layer:
                    return None
                absolute, base = True, ""
            else:
                base = link.rpartition("/")[0]
            path, leaves = plain(f"{base}/{target}{path[len(link) :]}".lstrip("/"))
            if leaves:
                return None
        return "/"


def plain(name: str) -> tuple[str, bool]:
    """A path without `.`, `..` and empty parts, and whether it leads above where it begins."""
    if (
        "./" not in name
        and "//" not in name
        and not name.startswith("/")
        and not name.endswith(("/", "/.", ".."))
        and name != "."
    ):
        return name, False
    parts: list[str] = []
    leaves = False
    for part in name.split("/"):
        if part == "..":
            leaves = leaves or not parts
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts), leaves
