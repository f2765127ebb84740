"""`pack`: the program and all that it needs as one archive, so that a machine without a network can install it."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airgap.base.disk import Filling, disk_errors, replacing
from airgap.base.errors import DamageError
from airgap.base.places import check_new_file
from airgap.base.shipped import PYTHONS, shipped
from airgap.jobs import own_wheel
from airgap.jobs.surroundings import Surroundings
from airgap.tools import pip
from airgap.version import VERSION

if TYPE_CHECKING:
    from typing_extensions import Buffer

FOLDER = f"airgap-tool-{VERSION}"
"""The folder in the archive."""
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class PackOptions:
    """For which machines to pack, and where to write the archive."""

    output: Path
    """The archive; it must not exist."""
    pythons: Sequence[str] = PYTHONS
    architectures: Sequence[str] = ("x86_64",)


@dataclass(frozen=True, slots=True)
class Packed:
    """The archive that was written."""

    path: Path
    size: int
    sha256: str
    wheels: tuple[str, ...]


def pack(options: PackOptions, surroundings: Surroundings) -> Packed:
    """Fetches the locked packages, checks their hashes, and writes the archive. The same input gives the same bytes.

    Raises `InputError` (`other-file`, `no-wheel`, `not-installed`), `ToolError`, `IntegrityError`, `StoreError`.
    """
    check_new_file(options.output, "--output")
    wheel = own_wheel.own_wheel()
    locks = [shipped("requirements", name) for name in ("run.txt", "pack.txt")]
    targets = [(python, arch) for arch in options.architectures for python in options.pythons]
    progress = surroundings.progress()
    progress.start("pack", 0, len(targets))
    with tempfile.TemporaryDirectory(prefix="airgap-pack-") as folder:
        wheels = Path(folder)
        for python, arch in targets:
            name = f"Python {python} on {arch}"
            progress.item(name)
            pip.download(locks, wheels, python, arch)
            progress.done(name, "fetched")
        names = _checked(wheels, locks)
        files = _texts(options, locks, wheel) | {f"wheels/{own_wheel.NAME}": wheel}
        sums = [f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in files.items()]
        sums += [f"{digest}  wheels/{name}" for name, digest in names.items()]
        files["SHA256SUMS"] = ("\n".join(sorted(sums, key=lambda one: one[66:])) + "\n").encode()
        size, digest = _write(options.output, files, [wheels / name for name in names])
    return Packed(options.output, size, digest, (own_wheel.NAME, *names))


def _checked(folder: Path, locks: Sequence[Path]) -> Mapping[str, str]:
    """The wheels that pip fetched, with their sha256. Raises `IntegrityError` for one that no lock file names."""
    known = {digest for lock in locks for digest in _HASH.findall(lock.read_text())}
    found = {}
    for path in sorted(folder.iterdir()):
        with disk_errors(path), path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest not in known:
            raise DamageError(
                "digest-mismatch",
                f"{path.name}: got sha256:{digest}, which the lock files do not name",
                "find out what pip's index serves; nothing was written",
            )
        found[path.name] = digest
    return found


def _texts(options: PackOptions, locks: Sequence[Path], wheel: bytes) -> dict[str, bytes]:
    own = f"airgap=={VERSION} --hash=sha256:{hashlib.sha256(wheel).hexdigest()}\n"
    return {
        "ARCHITECTURES": _lines(options.architectures),
        "PYTHONS": _lines(options.pythons),
        "README.txt": _readme(options).encode(),
        "VERSION": f"{VERSION}\n".encode(),
        "install": shipped("install").read_bytes(),
        "requirements.txt": b"".join([*(lock.read_bytes() for lock in locks), own.encode()]),
    }


def _lines(words: Sequence[str]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode()


def _readme(options: PackOptions) -> str:
    return f"""\
airgap {VERSION}, with everything that it needs, for Linux with glibc 2.28 or later
on {" and ".join(options.architectures)}, with Python {", ".join(options.pythons)}.

Before the first use, compare the archive with the sha256 that came to you by another way:
  sha256sum {FOLDER}.tar
Then install it. No network is needed:
  sh {FOLDER}/install /opt/airgap
  export PATH=/opt/airgap/current/bin:$PATH
Git items and `airgap demo` need git, from your distribution.

Read on, without a network:
  airgap demo                     every step, on content that it makes itself
  airgap help topics              runbooks, formats, examples of resources
  airgap help CODE                what to do about an error code, such as volume-missing
  man airgap
"""


class _Hashed(io.RawIOBase):
    """A file that is written from its start to its end, and hashed on the way."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self.file, self.hash = Filling(fd), hashlib.sha256()

    def write(self, data: Buffer) -> int:
        """Writes all of `data`. Raises `OSError`."""
        view = memoryview(data)
        self.hash.update(view)
        self.file.write(view)
        return view.nbytes


def _write(output: Path, files: Mapping[str, bytes], wheels: Sequence[Path]) -> tuple[int, str]:
    """Writes the archive, durably or not at all. Returns its size and sha256."""
    with replacing(output) as fd, disk_errors(output):
        sink = _Hashed(fd)
        with tarfile.open(fileobj=sink, mode="w|", format=tarfile.GNU_FORMAT) as archive:
            for name, opened in _members(files, wheels):
                with opened:
                    info = tarfile.TarInfo(f"{FOLDER}/{name}")
                    info.size = opened.seek(0, io.SEEK_END)
                    info.mode = 0o755 if name == "install" else 0o644
                    opened.seek(0)
                    archive.addfile(info, opened)
    return sink.file.at, sink.hash.hexdigest()


def _members(files: Mapping[str, bytes], wheels: Sequence[Path]) -> Iterator[tuple[str, io.BufferedIOBase]]:
    for name, data in sorted(files.items()):
        yield name, io.BytesIO(data)
    for path in wheels:
        yield f"wheels/{path.name}", path.open("rb")
