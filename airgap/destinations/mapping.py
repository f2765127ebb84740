"""Maps an upstream name to its place inside."""

from __future__ import annotations

from collections.abc import Mapping

from airgap.base.errors import InputError
from airgap.content.reference import looks_like_host, plain_host


def map_prefix(original: str, table: Mapping[str, str], what: str) -> str:
    """The place inside for an upstream name: the longest key that is a whole-segment prefix is replaced by its value.

    `docker.io/library/alpine` with `{docker.io: dockerhub}` → `dockerhub/library/alpine`. The host of a key may have
    another spelling (`registry-1.docker.io`); where two keys mean one host, the one in its usual spelling counts.
    Raises `InputError` (`no-mapping`) if no key matches; it never guesses.
    """
    parts = original.split("/")
    usual = {_usual(key): value for key, value in sorted(table.items(), key=lambda pair: _usual(pair[0]) == pair[0])}
    for count in range(len(parts), 0, -1):
        place = usual.get("/".join(parts[:count]))
        if place is not None:
            return "/".join([place.strip("/"), *parts[count:]])
    raise InputError(
        "no-mapping",
        f"{what} in the Sovereign resource has no key for {original!r}; it has {', '.join(sorted(table)) or 'none'}",
        f"add a line to {what}, for example `{parts[0]}: some-project`",
    )


def _usual(key: str) -> str:
    host, slash, path = key.partition("/")
    return (plain_host(host) if looks_like_host(host.lower()) else host) + slash + path
