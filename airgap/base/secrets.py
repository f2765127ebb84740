"""Small files that contain a secret: checked for their permissions, read when used, never kept, never shown."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from airgap.base.errors import InputError, ReadableError

MAX_SECRET = 64 << 10
"""Bytes of a secret's file. Keys have under 1 KiB, tokens with many claims a few; a wrong path can have any size."""
_SHARED = stat.S_IRWXG | stat.S_IRWXO
_ACL = "system.posix_acl_access"


def read_private(path: Path, what: str) -> bytes:
    """The bytes of a small file that no one else can read: a key, a password, a token.

    Symbolic links are followed, because Kubernetes mounts secrets through them; the checks apply to the opened file.
    `what` is the beginning of the error codes. Raises `InputError`: `{what}-missing`, `{what}-not-file`,
    `{what}-readable`, `bad-{what}-file` (too large).
    """
    try:
        # Non-blocking, so that opening a named pipe returns at once.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{what}-missing",
            f"{str(path)!r} cannot be read: {_reason(error)}",
            "check the path, and that you have permission to read it",
        ) from error
    try:
        _check(fd, path, what)
        with open(fd, "rb", closefd=False) as stream:
            data = stream.read(MAX_SECRET + 1)
    except OSError as error:
        raise InputError(
            f"{what}-missing",
            f"{str(path)!r} cannot be read: {_reason(error)}",
            "check the disk (dmesg) and the path",
        ) from error
    finally:
        os.close(fd)
    if len(data) > MAX_SECRET:
        raise InputError(f"bad-{what}-file", f"{str(path)!r}: got more than {MAX_SECRET} bytes, expected at most that")
    return data


def _check(fd: int, path: Path, what: str) -> None:
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode):
        raise InputError(f"{what}-not-file", f"{str(path)!r} is not a file", f"pass the path of the {what}'s file")
    if info.st_mode & _SHARED and not _by_group_alone(fd, info):
        raise ReadableError(
            f"{what}-readable",
            f"{str(path)!r}: mode {stat.S_IMODE(info.st_mode):04o} gives other users access, expected 0600",
            f"chmod 600 {path}, or under Kubernetes fsGroup with defaultMode 0440; "
            f"if others may have read it, replace the {what} and revoke the old one",
        )


def _by_group_alone(fd: int, info: os.stat_result) -> bool:
    """True if root owns the file, and only its group, of which this process is a member, lets this process read it.

    This is how Kubernetes mounts a Secret with fsGroup: root:fsGroup, mode 0440. Only processes of the pod are in that
    group. A file with any other bit set, a file of the own user, and a process that runs as root are no such case.
    """
    return (
        info.st_mode & _SHARED == stat.S_IRGRP
        and info.st_uid == 0
        and os.geteuid() != 0
        and info.st_gid in (os.getegid(), *os.getgroups())
        and not _has_acl(fd)
    )


def _has_acl(fd: int) -> bool:
    """With an access list, the group bits are the list's mask, and do not tell who is on the list."""
    try:
        return _ACL in os.listxattr(fd)
    except OSError:
        return False  # the file system does not support them


def read_secret(path: Path, what: str = "secret", *, may_be_json: bool = False) -> str:
    """The password or token in a file, without one newline at its end; `may_be_json` allows JSON over several lines.

    Raises `InputError` (see `read_private`; also `bad-{what}-file` for content that is not a secret). The error text
    never contains any of the content.
    """

    def bad(why: str) -> InputError:
        return InputError(
            f"bad-{what}-file",
            f"{str(path)!r} {why}, expected one line with the {what}",
            f"pass a file that contains only the {what}",
        )

    try:
        secret = read_private(path, what).decode()
    except UnicodeDecodeError:
        # The decoder's own error contains the bytes.
        raise bad("is not text in UTF-8") from None
    secret = secret.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise bad("is empty")
    if may_be_json and secret.lstrip().startswith("{"):
        return secret
    if any(ord(char) < 32 or ord(char) == 127 for char in secret):
        # The secret goes into a header, where a line break starts the next header.
        raise bad("has several lines or control characters")
    return secret


def _reason(error: OSError | ValueError) -> str:
    # ValueError: a NUL byte in the path.
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
