"""Patterns match as Python's `re` matches, in other time."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.resources.patterns import _matcher, check_pattern, name_matches, pattern_matches
from tests.worlds.effort import cases

ATOMS = st.sampled_from(["a", "b", "/", r"\.", ".", r"\d", r"\w", r"\s", "[ab]", "[^a]", "[0-9-]"])
REPEATS = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{0}", "{1,3}", "{0,2}", "{2,}"])


def _group(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    either = st.lists(inner, min_size=1, max_size=3).map("|".join)
    return st.tuples(st.sampled_from(["(?:", "("]), either, REPEATS).map(
        lambda parts: f"{parts[0]}{parts[1]}){parts[2]}"
    )


BODIES: Any = st.recursive(
    st.tuples(ATOMS, REPEATS).map("".join) | st.just(""),
    lambda inner: _group(inner) | st.lists(inner, min_size=1, max_size=4).map("".join),
    max_leaves=12,
)
TEXTS = st.text("ab/.0_ \n\u00e9", max_size=6)
"""Short, because `re` takes a time that grows exponentially with the length where repetitions are in one another."""


@given(body=BODIES, texts=st.lists(TEXTS, min_size=1, max_size=10))
@settings(max_examples=cases(100, 4000), deadline=None)
def test_a_pattern_matches_what_re_matches(body: str, texts: list[str]) -> None:
    """Also patterns that are refused for another reason: a repeated group with repetitions in it."""
    matcher = _matcher(f"^{body}$")
    for text in texts:
        expected = re.fullmatch(body, text, re.ASCII) is not None
        assert matcher.matches(text) is expected, (body, text)
        if check_pattern(f"^{body}$") is None:
            assert pattern_matches(f"^{body}$", text) is expected


@given(pattern=st.text("a/*-", max_size=12), name=st.text("ab/-\n", max_size=12))
@settings(max_examples=cases(100, 4000), deadline=None)
def test_a_name_matches_what_re_matches(pattern: str, name: str) -> None:
    pieces = {"**": "(?s:.)*", "*": "[^/]*"}
    regex = "".join(pieces.get(one) or re.escape(one) for one in re.split(r"(\*\*|\*)", pattern))
    assert name_matches(pattern, name) is (re.fullmatch(regex, name) is not None)
