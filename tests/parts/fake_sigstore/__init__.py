"""A Sigstore instance for tests, made of a few keys: it signs what real verifiers accept.

Certificates, certificate transparency, logs of both versions and time stamps at any time; bundles
of every version and cosign's older formats; and one-field mutations of all of them. Real cosign,
sigstore and @sigstore/verify judge its good output in tests/e2e/test_fake_sigstore.py.
"""

from .ca import ISSUER, SAN, Authority, CtLog, Leaf
from .instance import START, FakeSigstore, How
from .keys import Signer, managed, public_pem
from .legacy import Layer
from .trusted_root import Contents, Window
from .tsa import Stamp, TimeStamper

__all__ = [
    "ISSUER",
    "SAN",
    "START",
    "Authority",
    "Contents",
    "CtLog",
    "FakeSigstore",
    "How",
    "Layer",
    "Leaf",
    "Signer",
    "Stamp",
    "TimeStamper",
    "Window",
    "managed",
    "public_pem",
]
