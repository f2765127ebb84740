"""Checks names in the rules of a Policy, and suggests the name that was probably meant."""

from __future__ import annotations

import re

from airgap.content.reference import DOCKER_HUB, HUB_ALIASES
from airgap.resources.problems import quoted

MAX_STARS = 8
"""Wildcards in one name: each multiplies the cost of a comparison."""


def name_complaint(name: str) -> str:
    """The complaint about a name in `match`, `""` for none."""
    bare = re.sub(r"\A[A-Za-z][A-Za-z0-9+.-]*://", "", name)
    bare = bare.partition("@")[0]
    head, slash, last = bare.rpartition("/")
    # A host alone may have a port. After a slash, the text after a colon is a tag.
    bare = head + slash + (last.partition(":")[0] if slash else last)
    if bare != name:
        return f"got {quoted(name)}, expected {quoted(bare)}: the name without scheme, tag and digest"
    if re.search(r"[\s?\[\]{}\\^$]|\*\*\*", name):
        return f"got {quoted(name)}, expected a name without wildcards other than '*' and '**'"
    if len(re.findall(r"\*+", name)) > MAX_STARS:
        return f"got {quoted(name)}, expected at most {MAX_STARS} wildcards"
    likely = _likely(name)
    if likely != name:
        return f"got {quoted(name)}, which matches no item; did you mean {quoted(likely)}?"
    return ""


def _likely(name: str) -> str:
    """A name in the form that the kinds pass to `Policy.rule_for`."""
    if name.startswith("hf:"):
        return f"huggingface.co/{name.removeprefix('hf:')}"
    name = re.sub("/{2,}", "/", name.lstrip("/")).removesuffix(".git")
    if name.endswith("/"):
        name += "" if "*" in name else "**"
    name = name.rstrip("/")
    host, slash, path = name.partition("/")
    if not slash or not (set(".:") & set(host)):
        return name
    host = host.lower().removesuffix(":443")
    host = DOCKER_HUB if host in HUB_ALIASES else host
    official = host == DOCKER_HUB and "/" not in path and "**" not in path
    return f"{host}/{'library/' if official else ''}{path}"
