"""Matches who may have signed: issuer and identity, each exactly or by an anchored pattern.

A pattern describes all of it, `^` to `$` (`airgap.resources.patterns`). Identities come from strangers (their
certificates), patterns from the policy.
"""

from __future__ import annotations

from airgap.resources.patterns import MAX_IDENTITY, check_pattern, pattern_matches
from airgap.signatures.record import Identity


def matches(identity: Identity, san: str, issuer: str) -> bool:
    """True if a certificate with this subject (URI or email) from this issuer matches `identity`.

    Nothing is normalised: case, slashes and ports count. An `Identity` that lacks an issuer or an identity, has one of
    them twice, or has a pattern that `check_pattern` refuses, matches no one.
    """
    return _matches(identity.issuer, identity.issuer_pattern, issuer) and _matches(
        identity.identity, identity.pattern, san
    )


def _matches(exact: str, pattern: str, text: str) -> bool:
    if not text or len(text) > MAX_IDENTITY or bool(exact) == bool(pattern):
        return False
    if exact:
        return exact == text
    return check_pattern(pattern) is None and pattern_matches(pattern, text)
