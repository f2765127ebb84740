"""What a program may use of the machine: memory, processor time and the size of a file.

A Git pack of a few kilobytes can contain an object of any size, as a delta, and git builds it in memory. Scanners read
what anybody wrote. So both run under limits of the kernel, which their helper processes inherit. Memory is what a
process allocates (RLIMIT_DATA, Linux 4.7 and later); files that it maps do not count.
"""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass

MIB = 1 << 20
BIG_FILE = 512 * MIB
"""core.bigFileThreshold, git's own default: git makes no deltas of larger files, and unpacks them piece by piece."""
LEAST = 2 * BIG_FILE + 256 * MIB
"""Bytes of memory for a small pack: the two objects of one delta, and the rest of git, which needs 100 MiB."""
MOST = 8 << 30
"""Bytes of memory for any pack. Measured: 150 bytes an object, so it suffices for fifty million of them."""

# Only the shell can set limits before git runs: a hook of `subprocess` is not safe in a process with threads.
# A program in Go ignores the signal of the soft limit of time, so there is a hard one behind it.
_SCRIPT = (
    'ulimit -c 0 && ulimit -d "$1" && ulimit -S -t "$2" && ulimit -H -t "$3" && ulimit -f "$4" && shift 4 && exec "$@"'
)
GRACE = 10
"""Seconds of processor time between the signal that asks a program to end, and the one that ends it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one process of a run may use: bytes of memory, seconds of processor time, bytes of one file.

    0 stands for no limit of airgap's own.
    """

    memory: int
    seconds: int = 0
    file: int = 0

    @classmethod
    def usual(cls) -> Limits:
        """For a run that does not know how much it will read: a quarter of this machine's memory, within bounds."""
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return cls(min(MOST, max(LEAST, total // 4)))

    @classmethod
    def of_pack(cls, size: int, base: int = 0) -> Limits:
        """For unpacking a pack of `size` bytes, which may contain differences from objects in `base` bytes of packs.

        Git appends such an object to the new pack, so this takes time and disk, and no more memory.
        Measured with git's own repository (406,000 objects in 292 MiB): 77 MiB of memory, 32 s, a pack and an index of
        303 MiB. The limits for it are 2.4 GiB, 26 minutes and 1.6 GiB.
        """
        both = size + base
        return cls(min(MOST, LEAST + 4 * size), 120 + 5 * (both // MIB), (1 << 30) + 2 * both)

    def started(self, *command: str) -> tuple[str, ...]:
        """The command line that runs `command` under these limits."""
        numbers = (
            _below(resource.RLIMIT_DATA, self.memory, 1024),
            _below(resource.RLIMIT_CPU, self.seconds, 1),
            _below(resource.RLIMIT_CPU, self.seconds and self.seconds + GRACE, 1, hard=True),
            _below(resource.RLIMIT_FSIZE, self.file, 512),
        )
        return ("/bin/sh", "-c", _SCRIPT, "limits", *numbers, *command)


def _below(which: int, limit: int, unit: int, *, hard: bool = False) -> str:
    """The limit as the shell takes it, or the one that this process has already, if that is lower."""
    own = resource.getrlimit(which)[hard]
    known = [one for one in (limit, 0 if own == resource.RLIM_INFINITY else own) if one]
    return str(min(known) // unit) if known else "unlimited"
