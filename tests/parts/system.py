"""What only a Linux root can give a test: a network without a route, a disk that is soon full."""

from __future__ import annotations

import ctypes
import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.parts.need import missing, require_part, require_root

CLONE_NEWNET = 0x40000000


class NetworkNamespace:
    """A namespace that has loopback and nothing else: no route leads out of it."""

    def __init__(self) -> None:
        """Make it; root only."""
        require_root("network namespaces")
        self._ip = require_part("iproute2")
        self.name = f"airgap-{secrets.token_hex(4)}"
        _permitted("network namespaces", [self._ip, "netns", "add", self.name])
        self._call("-n", self.name, "link", "set", "lo", "up")

    def argv(self, *command: str | Path) -> list[str]:
        """The command line that runs a command inside."""
        return [str(self._ip), "netns", "exec", self.name, *map(str, command)]

    def run(
        self,
        command: Sequence[str | Path],
        *,
        env: dict[str, str] | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, and wait for it."""
        done = subprocess.run(
            self.argv(*command),
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stderr}")
        return done

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Move this thread inside for a while.

        Sockets made, threads started and programs started meanwhile are and stay inside: a part
        that is started here can be reached only from here.
        """
        library = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net") as outside, open(f"/run/netns/{self.name}") as inside:
            _set_namespace(library, inside.fileno())
            try:
                yield
            finally:
                _set_namespace(library, outside.fileno())

    def remove(self) -> None:
        """Remove its name; the kernel removes it with its last process."""
        self._call("netns", "delete", self.name)

    def _call(self, *args: str) -> None:
        subprocess.run([self._ip, *args], check=True, capture_output=True)


def _set_namespace(library: ctypes.CDLL, descriptor: int) -> None:
    if library.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def mount_tmpfs(folder: Path, size: int) -> None:
    """Mount a file system of that many bytes; root only."""
    require_root("mounting a small disk")
    argv = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(folder)]
    _permitted("mounting a small disk", argv)


def _permitted(what: str, argv: Sequence[str | Path]) -> None:
    """Do what root may do, unless it is a root that may not, as in many containers."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        missing(f"root ({what})", f"run the tests where root may: {done.stderr.strip()}")


def unmount(folder: Path) -> None:
    """Unmount it, now or when its last file is closed."""
    subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


@contextmanager
def medium(kind: str, folder: Path, size: int) -> Iterator[Path]:
    """A medium of that many bytes, mounted in a new folder below `folder`: `exfat` or `fat`, by FUSE; root only."""
    require_root("mounting a medium")
    require_part(kind)
    image, place = folder / f"{kind}.img", folder / kind
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    if kind == "fat":
        _permitted("making a file system", [require_part("fat", "mkfs.vfat"), "-F", "32", image])
        _permitted("mounting by FUSE", [require_part("fat"), "-o", "rw+", image, place])
        device = ""
    else:
        _permitted("making a file system", [require_part("exfat", "mkfs.exfat"), image])
        made = subprocess.run(["losetup", "--find", "--show", str(image)], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            missing("root (loop devices)", f"run the tests where root may: {made.stderr.strip()}")
        device = made.stdout.strip()
        _permitted("mounting by FUSE", [require_part("exfat"), device, place])
    try:
        yield place
    finally:
        unmount(place)
        if device:
            subprocess.run(["losetup", "--detach", device], check=True, capture_output=True)
