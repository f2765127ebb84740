"""Names of Git refs and patterns of them: one rule for requests, for locks and for what servers list.

Source: git-check-ref-format(1). Forges accept what git accepts.
"""

from __future__ import annotations

import re

MAX_REF = 1024
"""Bytes of a ref name: no forge accepts more."""
MAX_PART = 250
"""Bytes of a part of it: file systems accept 255, and git appends `.lock` while it writes."""
SERVERS_OWN = ("refs/pull/", "refs/for/")
"""Refs that no client can write in Gitea: pull requests make the first, a push to the second opens one."""

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
_CONTROL = re.compile("[\x80-\x9f\u2028\u2029]")
"""Git takes these, but no list of names in lines or statement does. Everything else that is UTF-8 is carried: joined
emoji, no-break spaces, marks of direction. How such a name looks is the matter of those who show it (`base/text`)."""


def ref_fault(name: str) -> str:
    r"""Why git would not accept a full ref name, or why a lock cannot contain it; `""` if neither is the case."""
    parts = name.split("/")
    if not name.startswith("refs/") or len(parts) < 3:
        return "expected a full name, such as refs/heads/main"
    try:
        sizes = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        return "it is not UTF-8"
    if "\\" in name:
        return "it is not UTF-8, or it contains a backslash"
    if len(name.encode()) > MAX_REF or max(sizes) > MAX_PART:
        return f"it is longer than {MAX_REF} bytes, or a part of it than {MAX_PART}"
    control = _CONTROL.search(name)
    if control:
        return f"it contains the control character U+{ord(control[0]):04X}"
    forbidden = (
        _FORBIDDEN.search(name)
        or name.endswith(("/", "."))
        or any(part.startswith(".") or part.endswith(".lock") for part in parts)
    )
    return "git does not allow such a name" if forbidden else ""


def pattern_fault(pattern: str) -> str:
    """The same for what a request names: `HEAD`, a full name, or names with `*`; after a `^`, what is left out."""
    plain = pattern.removeprefix("^")
    return "" if pattern == "HEAD" else ref_fault(plain.replace("*", "x/x") if "*" in plain else plain)
