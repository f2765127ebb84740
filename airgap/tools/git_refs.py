"""Names and object ids of Git refs from untrusted sources, checked before they reach a command line or a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from airgap.base.errors import AirgapError, UpstreamError

MAX_REF = 1024
"""Bytes of a ref name: no forge accepts more."""
MAX_PART = 250
"""Bytes of a part of it: file systems accept 255, and git appends `.lock` while it writes."""
MAX_REFS = 200_000
"""Refs of one repository: the busiest public ones have about half of that, pull requests included."""

_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
# git-check-ref-format(1). Control characters, DEL, space and ~^:?*[\ never; nor `..`, `@{`, `//`.
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")


def is_oid(value: str) -> bool:
    """True for 40 (SHA-1) or 64 (SHA-256) lower-case hex digits."""
    return _OID.match(value) is not None


def is_ref(name: str) -> bool:
    """True for a full ref name that git itself would accept. Source: git-check-ref-format(1)."""
    parts = name.split("/")
    return (
        name.startswith("refs/")
        and len(parts) >= 3
        and len(name.encode(errors="replace")) <= MAX_REF
        and _FORBIDDEN.search(name) is None
        and not name.endswith(("/", "."))
        and not any(part.startswith(".") or part.endswith(".lock") for part in parts)
        and all(len(part.encode(errors="replace")) <= MAX_PART for part in parts)
        and name.isprintable()
    )


def check_refs(refs: Mapping[str, str], where: str, error: type[AirgapError] = UpstreamError) -> dict[str, str]:
    """`refs` sorted, after checking each name and object id. Raises `error` (`bad-ref`, `too-many-refs`)."""
    if len(refs) > MAX_REFS:
        raise error(
            "too-many-refs", f"{where}: got {len(refs)} refs, expected at most {MAX_REFS}", "request fewer refs"
        )
    for name, oid in refs.items():
        if not is_ref(name) or not is_oid(oid):
            raise error("bad-ref", f"{where}: {name!r} → {oid!r} is not a ref and an object id")
    if len({len(oid) for oid in refs.values()}) > 1:
        raise error("bad-ref", f"{where}: object ids of different lengths")
    return dict(sorted(refs.items()))


def object_format(oids: Iterable[str]) -> str:
    """`sha1` or `sha256`, from the length of the ids; `sha1` if there are none."""
    return "sha256" if any(len(oid) == 64 for oid in oids) else "sha1"
