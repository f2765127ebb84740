"""One good signature of each kind, all of one image: what mutations and forgeries begin with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from .bundles import SPDX
from .instance import FakeSigstore, How
from .keys import managed
from .legacy import Layer

SUBJECT = "sha256:" + "5a" * 32
AT = datetime(2024, 5, 1, 12, tzinfo=UTC)
OWNER = managed("owner")
"""Whose key signs the goods that have no certificate."""
PREDICATE = {
    "spdxVersion": "SPDX-2.3",
    "SPDXID": "SPDXRef-DOCUMENT",
    "name": "app",
    "dataLicense": "CC0-1.0",
    "packages": [{"SPDXID": "SPDXRef-app", "name": "app", "downloadLocation": "NOASSERTION"}],
}


@dataclass(frozen=True, slots=True)
class Good:
    """A signature that verifies. Exactly one of bundle and layer is there."""

    name: str
    keyed: bool = False
    """Signed by OWNER's key; otherwise by a certificate of SAN and ISSUER."""
    predicate_type: str = ""
    """Of an attestation; empty for a signature."""
    bundle: bytes = b""
    layer: Layer | None = None


def goods(fs: FakeSigstore) -> Iterator[Good]:
    """Every kind, with each source of time."""
    yield Good("bundle-v1", bundle=fs.sign_image(SUBJECT, How(AT)))
    yield Good("bundle-v1-stamped", bundle=fs.sign_image(SUBJECT, How(AT, stamp=True)))
    yield Good("bundle-v2", bundle=fs.sign_image(SUBJECT, How(AT, log="v2", stamp=True)))
    yield Good("bundle-0.2", bundle=fs.sign_image(SUBJECT, How(AT, version="0.2")))
    yield Good(
        "bundle-attestation",
        predicate_type=SPDX,
        bundle=fs.attest(SUBJECT, SPDX, PREDICATE, How(AT)),
    )
    key = How(AT, signer=OWNER, log="none")
    yield Good("bundle-key", keyed=True, bundle=fs.sign_image(SUBJECT, key))
    logged = How(AT, signer=OWNER)
    yield Good("bundle-key-logged", keyed=True, bundle=fs.sign_image(SUBJECT, logged))
    yield Good("old-signature", layer=fs.old_signature(SUBJECT, How(AT)))
    stamped = How(AT, log="none", stamp=True)
    yield Good("old-signature-stamped", layer=fs.old_signature(SUBJECT, stamped))
    both = How(AT, stamp=True)
    yield Good("old-signature-both", layer=fs.old_signature(SUBJECT, both))
    yield Good("old-signature-key", keyed=True, layer=fs.old_signature(SUBJECT, key))
    yield Good("old-signature-key-logged", keyed=True, layer=fs.old_signature(SUBJECT, logged))
    for name, how in (
        ("old-attestation", How(AT)),
        ("old-attestation-both", both),
        ("old-attestation-intoto1", How(AT, kind="intoto1")),
        ("old-attestation-intoto2", How(AT, kind="intoto2")),
    ):
        layer = fs.old_attestation(SUBJECT, SPDX, PREDICATE, how)
        yield Good(name, predicate_type=SPDX, layer=layer)
    keyed = fs.old_attestation(SUBJECT, SPDX, PREDICATE, key)
    yield Good("old-attestation-key", keyed=True, predicate_type=SPDX, layer=keyed)
