"""Who uses a store: so that `airgap store gc` deletes nothing on which a command relies.

A command that reads or fills a store holds `.use.lock` together with others while it works (`using`); who deletes holds
it alone (`alone_in`). The kernel releases such a lock when its process ends, however it ends. A server works for
months: it holds the file only while it starts, and then names what it serves in `airgap/in-use/`, a file that it keeps
locked (`needing`).

Only accounts that may write in the store, or that share its group, can open these files: whoever can open a file can
hold its lock. A reader of another account is not seen, and ends with `blob-missing` if its content is deleted.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.disk import disk_errors, make_folder
from airgap.base.errors import AirgapError, IntegrityError, StoreError
from airgap.base.inputs import read_plain
from airgap.base.locks import open_lock, try_lock
from airgap.base.strict_json import parse_json

USE_FILE = ".use.lock"
RECORDS = "airgap"
"""The folder of the records in a store. A layout without it was not made by airgap, and nothing is written there."""
IN_USE = "in-use"
MAX_NEEDS = 64 << 20
"""Bytes of a file in `in-use`: more than 800,000 digests."""


def _unheard(_message: str) -> None:
    """Drops a message."""


@contextmanager
def using(store: Path, note: Callable[[str], None] = _unheard) -> Iterator[None]:
    """Holds a store while its content is read or added, together with others. Waits while somebody deletes there.

    Where the file system has no locks, or where this account may not open the file, nothing is held. Raises
    `StoreError`.
    """
    fd = _shared(store)
    if fd is None:
        yield
        return
    try:
        with suppress(OSError):  # a file system without locks, on which nobody deletes
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                note(f"note: {store}: waiting until {_holder(fd)} ends, which deletes here")
                fcntl.flock(fd, fcntl.LOCK_SH)
        yield
    finally:
        os.close(fd)


@contextmanager
def alone_in(store: Path, *, wait: bool, note: Callable[[str], None] = _unheard) -> Iterator[None]:
    """Holds a store alone, to delete in it. Raises `StoreError`: `locked` if it is used, and `wait` is false;
    `no-locks` if the file system has no locks."""
    path = store / USE_FILE
    with disk_errors(path):
        fd = open_lock(path)
    try:
        try:
            if not try_lock(fd):
                who = _holder(fd)
                if not wait:
                    raise StoreError(
                        "locked",
                        f"{store}: {who} uses this store",
                        "wait until it ends, then run the same command again; --wait waits for it",
                    )
                note(f"note: {store}: waiting until {who} ends, which uses this store")
                fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError as error:
            raise StoreError(
                "no-locks",
                f"{store}: this file system has no locks ({error.strerror}), so a running command would not be noticed",
                "move the store to a local disk, or to a network file system with locks (NFS 4)",
            ) from error
        yield
    finally:
        os.close(fd)


@contextmanager
def needing(store: Path, digests: Iterable[Digest]) -> Iterator[None]:
    """Says that these blobs are needed until the end of the block. Call it while `using`.

    In a layout that airgap did not make, or may not write to, nothing is said. Raises `StoreError`.
    """
    fd, path = _needs_file(store)
    if fd is None:
        yield
        return
    try:
        with disk_errors(path):
            with suppress(OSError):  # a file system without locks, on which nobody deletes
                fcntl.flock(fd, fcntl.LOCK_EX)
            with os.fdopen(fd, "wb", closefd=False) as file:
                file.write(json.dumps(sorted(digests)).encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(fd)


def needed(store: Path, *, forget: bool) -> set[Digest]:
    """The blobs that running servers need. With `forget`, while `alone_in`, removes the files of those that ended.

    Raises `StoreError`, `IntegrityError` for a file that cannot be read: what its server needs is not known then.
    """
    found = set[Digest]()
    folder = store / RECORDS / IN_USE
    with disk_errors(folder):
        paths = sorted(folder.glob("*.json"))
    for path in paths:
        with disk_errors(path):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue  # its server just ended
            try:
                if is_free(fd):
                    if forget:
                        path.unlink(missing_ok=True)
                    continue
                data = read_plain(path, MAX_NEEDS) or b""
            except FileNotFoundError:
                continue
            finally:
                os.close(fd)
        listed = parse_json(data, str(path))
        if not isinstance(listed, list):
            raise IntegrityError("bad-record", f"{path}: not a list", "remove it, and start the server again")
        found |= {Digest(one) for one in listed}
    return found


def is_free(fd: int) -> bool:
    """True if nobody holds a file, which is open for reading only: NFS locks such a file together with others alone."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _shared(store: Path) -> int | None:
    path = store / USE_FILE
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    with suppress(PermissionError):
        try:
            return os.open(path, flags)
        except NotADirectoryError:
            return None  # a file is named where a store may be: nothing is held
        except FileNotFoundError:
            if not (store / RECORDS).is_dir():
                return None
        except PermissionError:
            raise
        except OSError as error:
            raise StoreError("disk-error", f"{path}: {error.strerror}", "remove it: it is not a plain file") from error
        with suppress(OSError):  # a read-only file system, on which nobody deletes
            return open_lock(path)
    return None


def _needs_file(store: Path) -> tuple[int | None, Path]:
    folder = store / RECORDS / IN_USE
    path = folder / f"{secrets.token_hex(8)}.json"
    if not (store / RECORDS).is_dir():
        return None, path
    try:
        make_folder(folder)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(path, flags, 0o600), path
    except (OSError, AirgapError):
        return None, path  # it may not be written to


def _holder(fd: int) -> str:
    """Who holds the lock of an open file, in words, as far as the kernel tells this process."""
    inode = os.fstat(fd).st_ino
    found = dict[int, str]()
    with suppress(OSError):
        for line in Path("/proc/locks").read_text(encoding="ascii", errors="replace").splitlines():
            words = line.split()
            if len(words) >= 6 and words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(inode):
                pid = int(words[4])
                found.setdefault(pid, _command(pid))
    first = next((f"{name} (process {pid})" for pid, name in sorted(found.items()) if pid > 0), "another command")
    return first if len(found) <= 1 else f"{first} and {len(found) - 1} more"


def _command(pid: int) -> str:
    """The name of a process' command: `airgap` and the first word after it, nothing else of its arguments."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        for at, word in enumerate(words[:-1]):
            by_module = at > 0 and words[at - 1] == "-m" and word.partition(".")[0] == "airgap"
            if by_module or Path(word).name in ("airgap", "__main__.py"):
                verb = words[at + 1]
                return f"`airgap {verb}`" if verb.isascii() and verb.replace("-", "").isalpha() else "airgap"
    return "another command"
