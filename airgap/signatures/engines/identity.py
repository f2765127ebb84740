"""Matches who may have signed: the issuer exactly, and the identity exactly or by an anchored pattern.

A pattern describes a complete identity, `^` to `$` (`airgap.resources.patterns`). Identities come from strangers (their
certificates), patterns from the policy.
"""

from __future__ import annotations

from airgap.resources.patterns import MAX_IDENTITY, check_pattern, pattern_matches
from airgap.signatures.record import Identity


def matches(identity: Identity, san: str, issuer: str) -> bool:
    """True if a certificate with this subject (URI or email) from this issuer matches `identity`.

    Nothing is normalised: case, slashes and ports count. An `Identity` with neither an exact identity nor a
    pattern, or with a pattern that `check_pattern` refuses, matches no one.
    """
    if not san or not issuer or issuer != identity.issuer or len(san) > MAX_IDENTITY:
        return False
    if identity.identity:
        return not identity.pattern and identity.identity == san
    if not identity.pattern or check_pattern(identity.pattern) is not None:
        return False
    return pattern_matches(identity.pattern, san)
