"""Names of items that a person typed: the end of a name is enough where it is the end of one only."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

from airgap.base.errors import InputError


def full_names(typed: Collection[str], names: Collection[str], flag: str, where: str) -> set[str]:
    """What was typed after `flag`, in full names: the last part of a name is enough where it is the end of one only.

    `where` is the thing that has items of these `names`, in words. Raises `InputError` (`no-such-item`), with the name
    that was probably meant.
    """
    full = set[str]()
    for one in typed:
        found = {one} if one in names else {name for name in names if _ends_with(name, one)}
        if len(found) != 1:
            raise InputError("no-such-item", *_unfound(one, names, found, flag, where))
        full |= found
    return full


def _ends_with(name: str, typed: str) -> bool:
    """Whether `typed` is the last part of a name, or several of them, with or without the tag."""
    untagged = re.sub(r":[^/:]*$", "", name)
    return any(f"/{one}".endswith(f"/{typed}") for one in (name, untagged))


def _unfound(typed: str, names: Collection[str], found: Collection[str], flag: str, where: str) -> tuple[str, str]:
    """What is wrong with a name, and the next step."""
    if found:
        several = ", ".join(sorted(found))
        return f"{flag} {typed}: the names of several items end like this: {several}", "give the full name"
    parts = {
        part: name
        for name in sorted(names, reverse=True)
        for part in (re.sub(r":[^/:]*$", "", name).rpartition("/")[2], name)
    }
    near = difflib.get_close_matches(typed, parts, 1)
    hint = f"did you mean {parts[near[0]]!r}?" if near else f"use the name of an item in {where}"
    return f"{flag} {typed}: {where} has no item with this name", hint
