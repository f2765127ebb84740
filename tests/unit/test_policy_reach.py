"""A pattern for signers that everybody at a host could match is refused; one that fixes the account is accepted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.resources.patterns import pattern_matches
from airgap.resources.reach import check_reach

ACCOUNT = "opens an account at that host"
HOST = "host is not fixed"
ADDRESS = "everybody with an address"
DOT = "stands for any character"


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        (r"^https://github\.com/.*$", ACCOUNT),
        (r"^https://github\.com/.+/app/\.github/workflows/x\.yaml@refs/tags/v1$", ACCOUNT),
        (r"^https://github\.com/[^/]+/app$", ACCOUNT),
        (r"^https://github\.com/\w{3,}/app$", ACCOUNT),
        (r"^https://github\.com/[^/]{1,39}/app$", ACCOUNT),
        (r"^https://github\.com/[a-z][a-z][a-z][a-z]/app$", ACCOUNT),
        (r"^https://github\.com/(?:[a-z0-9-]){1,39}/app$", ACCOUNT),
        (r"^https://github\.com/(?:\w{3})(?:\w{3})/app$", ACCOUNT),
        (r"^https://github\.com/(?:(?:[a-z]{2})(?:[a-z]{2})|acme)/app$", ACCOUNT),
        (r"^https://github\.com/acme.*$", ACCOUNT),
        (r"^https://github\.com/(?:acme/)?.*$", ACCOUNT),
        (r"^https://github\.com/acme/?.*$", ACCOUNT),
        (r"^https://github\.com/(?:acme|.*)/app$", ACCOUNT),
        (r"^(?:https://github\.com/acme/.*|https://gitlab\.com/.*)$", ACCOUNT),
        (r"^https://github\.com/.*@evil$", ACCOUNT),
        (r"^https://.*\.example/acme/.*$", HOST),
        (r"^https://[a-z]+\.github\.com/acme/.*$", HOST),
        (r"^[a-z]+://github\.com/acme/.*$", HOST),
        (r"^https://(?:[a-z.]){1,60}/acme/.*$", HOST),
        (r"^ci@.*\.example$", HOST),
        (r"^ci@[a-z]{1,60}\.example$", HOST),
        (r"^ci@(?:bank|(?:[a-z]){1,60})\.example$", HOST),
        (r"^(?:[a-z0-9.]){1,64}@gmail\.com$", ADDRESS),
        (r"^.+@gmail\.com$", ADDRESS),
        (r"^[a-z]+@bank\.example$", ADDRESS),
        (r"^(?:ci-.*@a\.example|.*@b\.example)$", ADDRESS),
        (r"^https://github.com/acme/.*$", DOT),
        (r"^https://github\.com/acme/app/\.github/workflows/release.yaml@refs/tags/v1$", DOT),
        (r"^(?:https://github.com/acme)/.*$", DOT),
        (r"^.*$", "matches anyone"),
        (r"^https://github\.com/acme/[a||b]$", "doubled character"),
        (r"https://github\.com/acme/.*", "from ^ to $"),
    ],
)
def test_a_pattern_that_means_too_many(pattern: str, complaint: str) -> None:
    said = check_reach(pattern) or ""
    assert complaint in said


@pytest.mark.parametrize(
    "pattern",
    [
        r"^https://github\.com/acme/.*$",
        r"^https://github\.com/(?:acme|beta)/[^/]+/\.github/workflows/.*@refs/tags/v.*$",
        r"^(?:https://github\.com/acme/.*|https://gitlab\.com/beta/.*)$",
        r"^https?://github\.com/acme/.*$",
        r"^https:/{2}github\.com/acme/.*$",
        r"^https://github\.com/ac[me]e/.*$",
        r"^https://github\.com/acme/app/\.github/workflows/release\.ya?ml@refs/tags/v[0-9]+\.[0-9]+$",
        r"^https://token\.actions\.githubusercontent\.com(?:/acme)?$",
        r"^spiffe://bank\.example/ns/.*$",
        r"^(?:amina|badr)@bank\.example$",
        r"^ci-.*@bank\.example$",
        r"^(?:ci|cd)-[0-9]+@bank\.example$",
        r"^https://github\.com/acme/a.{3}$",
        r"^https://github\.com/team[0-9]{2}/.*$",
        r"^https://github\.com/(?:team[0-9]{2}|crew[0-9]{2})/.*$",
        r"^https://keycloak[.]auth[.]corp[.]bank[.]example/realms/acme$",
        r"^ci[+]release@bank[\.]example$",
    ],
)
def test_a_pattern_for_particular_signers(pattern: str) -> None:
    assert check_reach(pattern) is None


NAME = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12)


@given(
    st.lists(
        st.sampled_from(["acme", "/", ".*", "[^/]+", "[a-z]*", "(?:x|y/)", "\\.", "z?", "@", "v[0-9]+"]), max_size=8
    ),
    NAME,
    NAME,
)
def test_no_accepted_pattern_lets_in_an_account_that_it_does_not_write(
    parts: list[str], account: str, rest: str
) -> None:
    """Whoever may choose the account at the host is matched only if the pattern has that very name in it."""
    pattern = rf"^https://github\.com/{''.join(parts)}$"
    if check_reach(pattern) is not None:
        return
    for path in (account, f"{account}/{rest}", f"{account}/{rest}@refs/tags/{rest}"):
        if pattern_matches(pattern, f"https://github.com/{path}"):
            # What a pattern writes out, in one of its finitely many spellings.
            assert len(account) <= len("".join(parts))
            assert set(account) <= set("acmexyz.v@0123456789") | set("".join(parts))
