"""Who may have signed: an issuer that is exactly so, and an identity that is exactly so or of an anchored pattern.

A pattern is a regular expression that says the whole of an identity, `^` to `$`. Identities come from strangers
(their certificates), patterns from the policy; so a pattern that could match in the middle, match anybody, or take
long over a hostile identity is refused when the policy is read.
"""

from __future__ import annotations

import re

from airgap.trust.upstream.record import Identity

MAX_IDENTITY = 1024
"""Characters of an identity in a certificate."""
MAX_PATTERN = 512
"""Characters of a pattern."""
MAX_REPEATS = 4
"""Parts of a pattern that may be of any length: backtracking takes time in the power of them."""
_PART = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?.?|\{[0-9]*,?[0-9]*\}|.", re.DOTALL)
_FORBIDDEN = re.compile(r"\\[1-9AZbB]")
_STRANGERS = ("https://example.invalid/x", "somebody@example.invalid", "x")


def matches(identity: Identity, san: str, issuer: str) -> bool:
    """True when a certificate with this subject (URI or email) by this issuer is `identity`.

    Nothing is normalised: case, slashes and ports count. An `Identity` with neither an exact identity nor a
    pattern, or with a pattern that `check_pattern` refuses, matches nobody.
    """
    if not san or not issuer or issuer != identity.issuer or len(san) > MAX_IDENTITY:
        return False
    if identity.identity:
        return not identity.pattern and identity.identity == san
    if not identity.pattern or check_pattern(identity.pattern) is not None:
        return False
    return re.fullmatch(identity.pattern, san, re.ASCII) is not None


def check_pattern(text: str) -> str | None:
    """Why a pattern is refused, None where it is good."""
    if len(text) > MAX_PATTERN:
        return f"got {len(text)} characters, expected at most {MAX_PATTERN}"
    if not text.startswith("^") or not text.endswith("$") or _escaped_end(text):
        return "not anchored: expected ^ at its start and $ at its end"
    try:
        compiled = re.compile(text, re.ASCII)
    except (re.error, RecursionError, OverflowError) as error:
        return f"not a regular expression: {error}"
    return _danger(text) or _everybody(compiled)


def _everybody(compiled: re.Pattern[str]) -> str | None:
    if any(compiled.fullmatch(stranger) for stranger in _STRANGERS):
        return "it matches anybody: name whose identities are meant"
    return None


def _escaped_end(text: str) -> bool:
    """True for `…\\$`, where the last character means itself."""
    stem = text[:-1]
    return (len(stem) - len(stem.rstrip("\\"))) % 2 == 1


def _danger(text: str) -> str | None:
    """What makes a pattern match elsewhere than it seems, or take exponential time."""
    depth = repeats = 0
    previous = ""
    for match in _PART.finditer(text):
        part = match.group()
        if part in {"(", "(?:"}:
            depth += 1
        elif part == ")":
            depth -= 1
        elif part == "|" and depth == 0:
            return "an alternative outside of brackets is not anchored: write ^(?:…|…)$"
        elif part.startswith("(?") or _FORBIDDEN.match(part):
            return f"{part} is not allowed: only groups, classes and repeats"
        elif part in {"*", "+"} or (part.startswith("{") and len(part) > 1):
            if previous == ")":
                return "a group that repeats can take for ever: repeat a character or a class"
            repeats += 1
        previous = part
    if repeats > MAX_REPEATS:
        return f"got {repeats} parts that repeat, expected at most {MAX_REPEATS}"
    return None
