"""Converts the output of a failed git into an airgap error. All of git's messages are interpreted here."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass

from airgap.base.errors import (
    AirgapError,
    DiskFullError,
    IntegrityError,
    ObjectGoneError,
    RepositoryMissingError,
    Side,
    TooLargeError,
    ToolError,
    UpstreamError,
    WrongItemError,
)

MAX_SHOWN = 600
"""Characters of git's own output in an error: its last few lines."""


@dataclass(frozen=True, slots=True)
class _Fault:
    pattern: str
    kind: type[AirgapError]
    code: str
    what: str
    hint: str
    status: int = 0


# The first match counts: causes come before the general messages that git adds at the end.
_FAULTS = (
    _Fault(
        r"No space left on device|Disk quota exceeded",
        DiskFullError,
        "disk-full",
        "no space left on the disk",
        "free space, then run the same command again",
    ),
    _Fault(
        r"[Oo]ut of memory|Cannot allocate memory|died of signal 2[45]",
        TooLargeError,
        "too-large",
        "it needs more memory, time or disk than its size allows",
        "get it from where you trust it. If it is sound: repack it at its origin with `git repack -adF`, or carry its "
        "large files with LFS",
    ),
    _Fault(
        r"certificate (problem|verif)|server certificate|SSL certificate",
        UpstreamError,
        "tls-untrusted",
        "the certificate is not trusted",
        "set caFile to the authority's certificate",
    ),
    _Fault(
        r"HTTP 413|error: 413",
        UpstreamError,
        "git-too-large",
        "a proxy on the way refuses requests of this size",
        "raise the proxy's limit (nginx: client_max_body_size 0)",
        413,
    ),
    _Fault(
        r"HTTP 40[13]|error: 40[13]|Authentication failed|could not read (Username|Password)|terminal prompts disabled",
        UpstreamError,
        "git-unauthorized",
        "the credentials are missing, wrong, or not sufficient",
        "check the credentials for this host and their rights on this repository",
        401,
    ),
    _Fault(
        r"error: 30[1278]|unable to update url base from redirection",
        UpstreamError,
        "git-redirected",
        "the repository answers with a redirect, which airgap does not follow",
        "the repository was renamed or moved; use its current URL",
        301,
    ),
    _Fault(
        r"repository '[^']*' not found|error: 404|does not appear to be a git repository|[Rr]epository not found",
        RepositoryMissingError,
        "git-not-found",
        "the repository does not exist, or this account may not see it",
        "check the URL and the credentials",
        404,
    ),
    _Fault(
        r"does not support this repository's hash algorithm|mismatched algorithms|mismatched object format",
        UpstreamError,
        "git-object-format",
        "one side has sha1 ids, the other has sha256 ids",
        "use another repository: each keeps the kind of its ids for ever",
    ),
    _Fault(
        # Messages about damage itself. A broken connection gives others, but ends with the same general messages.
        r"inflate: data stream error|(packed|loose) object .{0,300}(corrupt|stored in)|object [0-9a-f]{40} is corrupt",
        IntegrityError,
        "git-corrupt",
        "objects are damaged",
        "check the repository with `git fsck --full`",
    ),
    _Fault(
        r"Could not resolve host|Failed to connect|Connection (refused|reset|timed out)|Operation (timed out|too slow)"
        r"|early EOF|unexpected disconnect|hung up unexpectedly|RPC failed|HTTP 5\d\d|error: 5\d\d|Empty reply"
        r"|Recv failure|Connection closed|transfer closed",
        UpstreamError,
        "git-unreachable",
        "the connection failed or was interrupted",
        "check the network, then run the same command again",
    ),
    _Fault(
        r"not our ref|unadvertised object",
        ObjectGoneError,
        "git-object-gone",
        "an object no longer exists",
        "update the lock: `airgap lock --update NAME`",
    ),
    _Fault(
        r"shallow update not allowed|source repository is shallow",
        WrongItemError,
        "git-shallow",
        "the source is a shallow clone: its history is incomplete",
        "run `git fetch --unshallow` there, or use the origin itself",
    ),
    _Fault(
        r"fsck|[Ii]nvalid object|bad object|corrupt|index-pack (failed|died)|inflate|SHA1 mismatch|[Mm]issing"
        r"|did not send all necessary|unresolved deltas|premature end of pack|pack signature mismatch"
        r"|unknown object type|did not receive expected|Could not read [0-9a-f]{40}|Failed to traverse",
        IntegrityError,
        "git-corrupt",
        "objects are damaged, malformed or missing",
        "check the source with `git fsck --full`",
    ),
)


def failure(command: str, status: int, stderr: str, url: str = "", side: Side = "") -> AirgapError:
    """The error for a `git command` that ended with `status`. `stderr` must not contain secrets any more."""
    if status in (-signal.SIGXCPU, -signal.SIGXFSZ):
        stderr += f"\n{command} died of signal {-status}"
    where = f"git {command}" + (f" {url}" if url else "")
    said = shown(stderr)
    for fault in _FAULTS:
        if re.search(fault.pattern, stderr):
            what = f"{where}: {fault.what}: {said}"
            if issubclass(fault.kind, UpstreamError):
                return fault.kind(fault.code, what, fault.hint, fault.status, side=side)
            return fault.kind(fault.code, what, fault.hint)
    return ToolError("git-failed", f"{where}: exit status {status}: {said or 'it printed nothing'}")


def shown(stderr: str) -> str:
    """The end of git's output in one line, without progress messages and control characters."""
    lines = [line.rpartition("\r")[2].strip() for line in stderr.split("\n")]
    text = "; ".join(line for line in lines if line)
    return "".join(char if char.isprintable() else "?" for char in text)[-MAX_SHOWN:]
