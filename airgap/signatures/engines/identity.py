"""Who may have signed: an issuer that is exactly so, and an identity that is exactly so or of an anchored pattern.

A pattern says the whole of an identity, `^` to `$` (`airgap.resources.patterns`). Identities come from strangers (their
certificates), patterns from the policy.
"""

from __future__ import annotations

from airgap.resources.patterns import MAX_IDENTITY, check_pattern, pattern_matches
from airgap.signatures.record import Identity


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
    return pattern_matches(identity.pattern, san)
