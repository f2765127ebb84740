"""Tags of signatures to which somebody added: such a tag still holds what a delivery brings, and more.

In the older layout of cosign each signature of a digest is a layer of one manifest, under the tag `sha256-….sig` or
`.att`. cosign adds a layer and keeps the others, and so does airgap for the Sovereign's own signatures.
"""

from __future__ import annotations

from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError
from airgap.base.strict_json import parse_json
from airgap.content.graph import Descriptor, Source, read_verified
from airgap.content.reference import is_signature_tag
from airgap.destinations.graph.place import GraphPlace


def added_to(repository: GraphPlace, tag: str, found: Digest, wanted: Descriptor, source: Source) -> bool:
    """True if `tag` is one of signatures, and the manifest `found` here has every layer of `wanted` as it is there.

    False if one of them cannot be read: then it is other content.
    """
    if not is_signature_tag(tag):
        return False
    try:
        here = _layers(read_verified(repository, repository.node(found)))
        there = _layers(read_verified(source, wanted))
    except AirgapError:
        return False
    return bool(there) and all(layer in here for layer in there)


def _layers(data: bytes) -> list[Any]:
    document = parse_json(data, "a signature tag")
    layers = document.get("layers") if isinstance(document, dict) else None
    return layers if isinstance(layers, list) else []
