"""Who may have signed: exact identities, anchored patterns, and patterns that are refused."""

from __future__ import annotations

import time

import pytest

from airgap.resources.patterns import MAX_IDENTITY
from airgap.signatures.engines.identity import matches
from airgap.signatures.record import Identity

ISSUER = "https://token.actions.githubusercontent.com"
SAN = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.0"
PATTERN = r"^https://github\.com/acme/[^/]+/\.github/workflows/release\.yml@refs/tags/v[0-9.]+$"


def test_an_exact_identity_is_that_one_and_no_other() -> None:
    me = Identity(ISSUER, SAN)
    assert matches(me, SAN, ISSUER)
    for san in (SAN + "x", SAN[:-1], SAN.upper(), f" {SAN}", f"{SAN}\n", ""):
        assert not matches(me, san, ISSUER)
    for issuer in (ISSUER + "/", ISSUER.upper(), "http" + ISSUER[5:], ""):
        assert not matches(me, SAN, issuer)


def test_an_exact_identity_is_no_pattern() -> None:
    assert not matches(Identity(ISSUER, "^.*$"), SAN, ISSUER)
    assert not matches(Identity(ISSUER, SAN.replace("acme", "....")), SAN, ISSUER)


def test_a_pattern_matches_the_whole_of_it() -> None:
    rule = Identity(ISSUER, pattern=PATTERN)
    assert matches(rule, SAN, ISSUER)
    assert matches(rule, SAN.replace("/app/", "/other/"), ISSUER)
    for san in (
        SAN.replace("/app/", "/app/x/"),
        SAN.replace("github.com", "githubxcom"),
        "https://evil.example/" + SAN,
        f"{SAN}\n",
        f"{SAN}\nhttps://evil.example",
        SAN.replace("v1.0", "v١"),
    ):
        assert not matches(rule, san, ISSUER)
    assert not matches(rule, SAN, "https://gitlab.com")


def test_an_issuer_may_be_a_pattern_too() -> None:
    rule = Identity("", SAN, issuer_pattern=r"^https://token\.actions\.githubusercontent\.com(?:/acme)?$")
    assert matches(rule, SAN, ISSUER)
    assert matches(rule, SAN, ISSUER + "/acme")
    for issuer in (ISSUER + "/evil", ISSUER + "/acme/x", f"{ISSUER}\n", "https://evil.example/" + ISSUER, ""):
        assert not matches(rule, SAN, issuer)
    assert not matches(Identity(ISSUER, SAN, issuer_pattern=rule.issuer_pattern), SAN, ISSUER)
    assert not matches(Identity("", SAN, issuer_pattern="^.*$"), SAN, ISSUER)


def test_nobody_is_matched_by_an_empty_rule_or_by_two_at_once() -> None:
    assert not matches(Identity(ISSUER), SAN, ISSUER)
    assert not matches(Identity("", SAN), SAN, "")
    assert not matches(Identity(ISSUER, SAN, PATTERN), SAN, ISSUER)


@pytest.mark.parametrize(
    "pattern",
    [
        SAN,
        "^" + SAN,
        SAN + "$",
        r"^acme|https://.*$",
        "^.*$",
        r"^https://.*$",
        r"^(?i:https://.*)v1\.0$",
    ],
)
def test_a_pattern_that_policies_may_not_have_matches_nobody(pattern: str) -> None:
    assert not matches(Identity(ISSUER, pattern=pattern), SAN, ISSUER)


def test_a_hostile_identity_takes_no_time() -> None:
    rule = Identity(ISSUER, pattern=r"^https://x/.*/.*/.*@y$")
    began = time.process_time()
    assert not matches(rule, "https://x" + "/" * (MAX_IDENTITY - 9), ISSUER)
    assert not matches(rule, "https://x" + "/" * 100_000, ISSUER)
    assert time.process_time() - began < 20
