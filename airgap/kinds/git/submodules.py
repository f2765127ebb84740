"""The submodules that a repository names: other repositories, which are not carried with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from airgap.net.origin import redact
from airgap.tools.git_refs import is_oid
from airgap.tools.git_repository import BareRepository

MAX_READ = 100
"""Different .gitmodules files that are read: a repository with more branches than that seldom has more of them."""
_KEYS = r"^submodule\..*\.(path|url)$"


@dataclass(frozen=True, slots=True, order=True)
class Submodule:
    """Where it would be in the work tree, and its URL without a user and a password, both as .gitmodules has them."""

    path: str
    url: str

    def __str__(self) -> str:
        """For messages."""
        return f"{self.path} ({self.url})"


def submodules(repository: BareRepository, tips: Iterable[str]) -> list[Submodule]:
    """What the `.gitmodules` of `tips` (commits and tags) name, sorted. Raises `ToolError`, `StoreError`.

    Files that git cannot read are passed over: git would not find submodules by them either.
    """
    asked = "".join(f"{oid}:.gitmodules\n" for oid in sorted(set(tips))).encode()
    done = repository.git.run(
        "cat-file", "--batch-check=%(objecttype) %(objectname)", "--buffer", repository=repository.path, stdin=asked
    )
    pairs = (line.partition(" ") for line in done.stdout.decode(errors="replace").split("\n"))
    files = sorted({oid for kind, _, oid in pairs if kind == "blob" and is_oid(oid)})
    return sorted({one for oid in files[:MAX_READ] for one in _named(repository, oid)})


def _named(repository: BareRepository, blob: str) -> list[Submodule]:
    done = repository.git.run(
        "config", f"--blob={blob}", "--null", "--get-regexp", _KEYS, repository=repository.path, ok=()
    )
    found: dict[str, dict[str, str]] = {}
    for line in done.stdout.decode(errors="backslashreplace").split("\0") if done.status == 0 else ():
        key, _, value = line.partition("\n")
        name, _, field = key.rpartition(".")
        found.setdefault(name, {})[field] = value
    named = [fields for fields in found.values() if "path" in fields]
    return [Submodule(fields["path"], redact(fields.get("url", "")) or "no URL") for fields in named]
