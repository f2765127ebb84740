"""Git refs as programs and servers list them: names and object ids, checked before they reach a command or a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from airgap.base.errors import AirgapError, UpstreamError
from airgap.content.ref_name import ref_fault

MAX_REFS = 200_000
"""Refs of one repository: the busiest public ones have about half of that, pull requests included."""

_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")


def is_oid(value: str) -> bool:
    """True for 40 (SHA-1) or 64 (SHA-256) lower-case hex digits."""
    return _OID.match(value) is not None


def ref_lines(output: bytes) -> Iterator[str]:
    r"""The lines of a list of refs. Only line feeds end one: a name may contain what Python takes for a line's end.

    Bytes that are not UTF-8 are written as git quotes them for people (`caf\xe9`). No ref contains a backslash, so no
    two names become one, and `check_refs` refuses such a name where it is used.
    """
    return (line for line in output.decode(errors="backslashreplace").split("\n") if line)


def check_ids(refs: Mapping[str, str], where: str, error: type[AirgapError] = UpstreamError) -> None:
    """Checks the number of refs and their object ids, but not their names. Raises `error` (`bad-ref`, …)."""
    if len(refs) > MAX_REFS:
        raise error(
            "too-many-refs", f"{where}: got {len(refs)} refs, expected at most {MAX_REFS}", "request fewer refs"
        )
    for name, oid in refs.items():
        if not is_oid(oid):
            raise error("bad-ref", f"{where}: {name:.300} → {oid!r:.100} is not a ref and an object id")
    if len({len(oid) for oid in refs.values()}) > 1:
        raise error("bad-ref", f"{where}: object ids of different lengths")


def check_refs(refs: Mapping[str, str], where: str, error: type[AirgapError] = UpstreamError) -> dict[str, str]:
    """`refs` sorted, after checking each name and object id. Raises `error` (`bad-ref`, `too-many-refs`)."""
    check_ids(refs, where, error)
    for name in refs:
        fault = ref_fault(name)
        if fault:
            raise error(
                "bad-ref",
                f"{where}: {name:.300} is not a ref that can be carried: {fault}",
                "leave it out: list the other refs in the request, or add a pattern that begins with ^, such as "
                "^refs/heads/old-*",
            )
    return dict(sorted(refs.items()))


def object_format(oids: Iterable[str]) -> str:
    """`sha1` or `sha256`, from the length of the ids; `sha1` if there are none."""
    return "sha256" if any(len(oid) == 64 for oid in oids) else "sha1"
