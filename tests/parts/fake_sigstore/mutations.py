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
UNDECIDED = ""
"""To be refused; the code is for whoever writes the verifier to say."""

# The first pattern that is found in the mutation's name tells what is to be said.
EXPECTED: tuple[tuple[str, str], ...] = (
    (r"publicKey\.hint (changed|removed)$", VERIFIED),
    (r"cosign/chain removed$", VERIFIED),
    (r"unknownMember|unknown member$", UNDECIDED),
    (r"duplicate key$", "duplicate-key"),
    (r"^blob: (critical|optional|whole)", "bad-signature"),
    (r"dsseEnvelope\.payload>|^blob: payload>|payload space added", "bad-signature"),
    (r"payloadType changed$", UNDECIDED),
    (r"messageSignature\.signature changed", "bad-signature"),
    (r"(signatures\[0\]\.sig|cosign/signature) changed$", "bad-signature"),
    (r"(canonicalizedBody|\.body)>", UNDECIDED),
    (r"(hashes|rootHash|treeSize|checkpoint\.envelope>|inclusionProof\.logIndex)", UNDECIDED),
    (r"(signedEntryTimestamp|SignedEntryTimestamp) changed$", "bad-promise"),
    (r"(keyId|logID) changed$", "unknown-log"),
    (r"integratedTime changed$", UNDECIDED),
    (r"(signedTimestamp|RFC3161Timestamp)(>| cut)", "bad-timestamp"),
)


@dataclass(frozen=True, slots=True)
class Mutation:
    """A good signature with one change. Exactly one of bundle and layer is there."""

    name: str
    """The good one's name, and where and what was changed."""
    good: Good
    expected: str
    """A reason code, VERIFIED or UNDECIDED."""
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
            yield Mutation(name, good, expected(what), bundle, layer)


def expected(what: str) -> str:
    """What the table above says about a change."""
    return next((code for pattern, code in EXPECTED if re.search(pattern, what)), UNDECIDED)


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
