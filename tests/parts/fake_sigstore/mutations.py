"""Every one-field mutation of a good signature, and what is to be said about each.

for good in goods(fs):
    for mutation in mutations(good):
        …verify mutation.bundle or mutation.layer; expect mutation.expected
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from .bundles import dumps
from .changes import in_json
from .goods import Good
from .legacy import Layer

VERIFIED = "verified"
"""What changed proves nothing either way: the signature still holds."""

# The first pattern that is found in the mutation's whole name (`good one: where and what`) tells what is to be said.
EXPECTED: tuple[tuple[str, str], ...] = (
    # What proves nothing, or what leaves a whole signature of another shape behind.
    (r"publicKey\.hint (changed|removed)$", VERIFIED),
    (r"(cosign/chain (removed|emptied)|CertificateChain\.certificates doubled)$", VERIFIED),
    (r"annotation: (top unknown member|predicateType removed)$", VERIFIED),
    (r"^old-attestation.*cosign/signature removed$", VERIFIED),
    (r"^old-attestation-key: blob: (signatures\[0\]\.keyid|whole space)", VERIFIED),
    (r"-key-logged: .*(tlogEntries|cosign/bundle) (removed|emptied)$", VERIFIED),
    (
        r"(v1-stamped|-both): .*(VerificationData|3161Timestamps|3161timestamp) \w+ed$(?<!doubled)",
        VERIFIED,
    ),
    # What is not there.
    (r"^bundle-v2: .*(VerificationData|Timestamps) (removed|emptied)$", "no-time"),
    (r"-stamped: .*rfc3161timestamp removed$", "no-time"),
    (r"(tlogEntries (removed|emptied)|cosign/bundle removed)$", "not-logged"),
    (
        r"(tlogEntries|ignatures) doubled$(?<!spec\.signatures doubled)(?<!envelope\.signatures doubled)",
        "too-many",
    ),
    (r"certificate twice$", "too-many"),
    # What does not read as it should.
    (r"(mediaType|cosign/bundle) duplicate key$", "duplicate-key"),
    (r"^bundle.*: mediaType changed$", "unsupported-format"),
    (r"payloadType changed$(?<!envelope\.payloadType changed)", "wrong-payload-type"),
    (r"^bundle-(?!attestation).*payload>\.predicateType changed$", "not-a-signature"),
    (r"(payload>\.|annotation: )predicateType changed$", "wrong-predicate-type"),
    (r"payload>\.(_type|predicateType)", "bad-payload"),
    (r"payload>\.subject (removed|emptied)$", "bad-payload"),
    (
        r"payload>\.subject\[0\](\.digest(\.sha256)? removed|(\.digest)? unknown member)$",
        "bad-payload",
    ),
    (r"payload> unknown member$", "bad-payload"),
    (r"^old-signature.*blob: critical.*(removed|unknown member)$", "bad-payload"),
    (r"^old-signature.*blob: (critical\.type changed|top unknown member)$", "bad-payload"),
    # What was not signed by the signer.
    (r"payload(>| space added)", "bad-signature"),
    (r"^old-signature.*blob: (critical|optional|whole)", "bad-signature"),
    (
        r"^bundle.*signatures\[0\]\.sig changed$(?<!envelope\.signatures\[0\]\.sig changed)",
        "bad-signature",
    ),
    (r"blob: signatures\[0\]\.sig changed$", "bad-signature"),
    (r"^old-signature.*cosign/signature changed$", "bad-signature"),
    # What the log did not take, or not so.
    (r"^bundle-v2: .*tlogEntries\[0\]\.(canonicalizedBody>|logIndex)", "bad-proof"),
    (r"(canonicalizedBody>|Payload\.body>)", "bad-promise"),
    (
        r"tlogEntries\[0\]\.(logIndex|integratedTime|inclusionPromise) (removed|changed)$",
        "bad-promise",
    ),
    (r"Payload\.(logIndex|integratedTime) changed$", "bad-promise"),
    (r"ignedEntryTimestamp changed$", "bad-promise"),
    (r"(keyId|logID) changed$", "unknown-log"),
    (r"inclusionProof(\.\w+)? unknown member$", "bad-bundle"),
    (r"(rootHash|checkpoint|checkpoint\.envelope) removed$", "bad-bundle"),
    (r"inclusionProof( removed$|\.)", "bad-proof"),
    (r"kindVersion\.\w+ changed$", "entry-mismatch"),
    (r"^old-attestation.*blob: (whole space|signatures\[0\]\.keyid)", "entry-mismatch"),
    # What the authorities did not say.
    (r"(certificate|certificates\[0\])\.rawBytes>(issuer|publicKey)", "bad-certificate"),
    (r"(certificate|certificates\[0\])\.rawBytes>", "entry-mismatch"),
    (r"rawBytes (cut|bytes)|certificates doubled$", "bad-certificate"),
    (r"cosign/(certificate(>| cut| bytes)|chain changed)", "bad-certificate"),
    (r"(signedTimestamp|RFC3161Timestamp)>certificateHash changed$", "unknown-tsa"),
    (r"(signedTimestamp|RFC3161Timestamp)(>| cut)|Timestamps doubled$", "bad-timestamp"),
    # Everything else is a bundle that is not as bundles are.
    (r"", "bad-bundle"),
)


@dataclass(frozen=True, slots=True)
class Mutation:
    """A good signature with one change. Exactly one of bundle and layer is there."""

    name: str
    """The good one's name, and where and what was changed."""
    good: Good
    expected: str
    """A reason code, or VERIFIED."""
    bundle: bytes = b""
    layer: Layer | None = None


def mutations(good: Good) -> Iterator[Mutation]:
    """Each field of it changed, removed, doubled and so on; none is like the good one."""
    seen = {(good.bundle, good.layer and _key(good.layer))}
    for what, bundle, layer in _changes(good):
        found = (bundle, layer and _key(layer))
        if found not in seen:
            seen.add(found)
            name = f"{good.name}: {what}"
            yield Mutation(name, good, expected(name), bundle, layer)


def expected(name: str) -> str:
    """What the table above says about a mutation."""
    return next(code for pattern, code in EXPECTED if re.search(pattern, name))


def _key(layer: Layer) -> tuple[bytes, str]:
    return layer.blob, json.dumps(layer.annotations)


def _changes(good: Good) -> Iterator[tuple[str, bytes, Layer | None]]:
    if good.layer is None:
        for what, changed in in_json(json.loads(good.bundle)):
            yield what, dumps(changed), None
        doubled = b'{"mediaType":"x",' + good.bundle[1:]
        yield "mediaType duplicate key", doubled, None
        yield "whole cut short", good.bundle[:-1], None
        return
    blob, annotations = good.layer.blob, dict(good.layer.annotations)
    for what, changed in in_json(json.loads(blob)):
        yield f"blob: {what}", b"", replace(good.layer, blob=dumps(changed))
    yield "blob: whole space added", b"", replace(good.layer, blob=blob + b" ")
    for what, changed in in_json(annotations):
        yield f"annotation: {what}", b"", replace(good.layer, annotations=_texts(changed))


def _texts(value: Any) -> dict[str, str]:
    return {key: str(each) for key, each in value.items()}
