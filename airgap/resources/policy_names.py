"""Checks names in the rules of a Policy, and suggests the name that was probably meant."""

from __future__ import annotations

import re
from urllib.parse import unquote

from airgap.content.names import without_git
from airgap.content.reference import DOCKER_HUB, plain_host
from airgap.resources.problems import quoted

MAX_NAME = 500
"""Characters of a name in a rule."""
MAX_STARS = 8
"""Wildcards in one name: nobody reads a name with more of them."""


def name_complaint(name: str) -> str:
    """The complaint about a name in `match`, `""` for none."""
    if len(name) > MAX_NAME:
        return f"got {len(name)} characters, expected at most {MAX_NAME}"
    bare = re.sub(r"\A[A-Za-z][A-Za-z0-9+.-]*://", "", name)
    bare = bare.partition("@")[0]
    head, slash, last = bare.rpartition("/")
    # A host alone may have a port. After a slash, the text after a colon is a tag.
    bare = head + slash + (last.partition(":")[0] if slash else last)
    if bare != name:
        return f"got {quoted(name)}, expected {quoted(bare)}: the name without scheme, tag and digest"
    complaint = _wildcards(name)
    if complaint:
        return complaint
    likely = _likely(name)
    if likely != name:
        return f"got {quoted(name)}, which matches no item; did you mean {quoted(likely)}?"
    return ""


def place_complaint(name: str) -> str:
    """The complaint about a name in `inside`, `""` for none."""
    if name.startswith("/") or name.endswith("/") or "//" in name:
        return f"got {quoted(name)}, expected a name as items have it inside, without empty parts"
    return _wildcards(name)


def declared_complaint(name: str) -> str:
    """The complaint about a name in `declared` of a Sovereign, `""` for none."""
    if len(name) > MAX_NAME:
        return f"got {len(name)} characters, expected at most {MAX_NAME}"
    host, _, below = name.partition("/")
    if not host or "*" in host or "://" in name:
        return f"got {quoted(name)}, expected a host (or oci, git, objects), a / and a name, without scheme"
    if not below.strip("*/"):
        return f"got {quoted(name)}, which declares everything there; expected the beginning of a repository or key"
    return _wildcards(name)


def _wildcards(name: str) -> str:
    if re.search(r"[\s?\[\]{}\\^$]|\*\*\*", name):
        return f"got {quoted(name)}, expected a name without wildcards other than '*' and '**'"
    if len(re.findall(r"\*+", name)) > MAX_STARS:
        return f"got {quoted(name)}, expected at most {MAX_STARS} wildcards"
    return ""


def _likely(name: str) -> str:
    """A name in the form that `Kind.rule_names` gives."""
    if name.startswith("hf:"):
        return f"huggingface.co/{name.removeprefix('hf:')}"
    name = without_git(re.sub("/{2,}", "/", unquote(name).replace(" ", "*").lstrip("/")))
    if name.endswith("/"):
        name += "" if "*" in name else "**"
    name = name.rstrip("/")
    host, slash, path = name.partition("/")
    if not slash or not (set(".:") & set(host)):
        return name
    host = plain_host(host)
    official = host == DOCKER_HUB and "/" not in path and "**" not in path
    return f"{host}/{'library/' if official else ''}{path}"
