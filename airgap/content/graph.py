"""The graph vocabulary: `Descriptor`, `Source`, `Target`, and the parts of a manifest.

All content that airgap carries is a graph of content-addressed blobs. Nodes are manifests and indexes; leaves are
opaque. A descriptor is an edge; its parent gives it its meaning. Source: OCI image-spec v1.1.1, descriptor.md,
manifest.md, image-index.md; Docker image manifest v2 schema 2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, BinaryIO, Protocol

from airgap.base.digest import Digest
from airgap.base.errors import DamageError, IntegrityError, TooLargeError
from airgap.base.json_fields import MAX_NUMBER
from airgap.base.streams import read_limited
from airgap.base.strict_json import parse_json

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFEST_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
NODE_TYPES = INDEX_TYPES | MANIFEST_TYPES

ANNOTATION_REF_NAME = "org.opencontainers.image.ref.name"
ANNOTATION_IMAGE_NAME = "io.containerd.image.name"
ANNOTATION_PLATFORMS = "io.openova.airgap.platforms"
"""On a name in a store: the selected children of an index, `linux/amd64,linux/arm64`. The others may be absent."""
ANNOTATION_TITLE = "org.opencontainers.image.title"

MAX_NODE = 4 << 20
"""Bytes of a manifest or index: the limit of registries (distribution and Harbor both refuse more)."""
MAX_MEDIA_TYPE = 255
"""Characters of a media type or an artifact type: two names of up to 127 and a slash (RFC 6838 §4.2)."""
MAX_DEPTH = 8
"""Levels of nested indexes: real ones have two."""
MAX_CHILDREN = 20_000
"""Edges of one node: more than a real 4 MiB manifest names."""
MAX_PLATFORM = 64
"""Characters of an operating system, an architecture or a variant."""
EMPTY_BLOB = b"{}"

_TYPE = re.compile(rf"[!-~][ -~]{{0,{MAX_MEDIA_TYPE - 1}}}\Z")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Media type, digest and size in bytes of a blob, with the parent's annotations."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    artifact_type: str = ""
    platform: str = ""
    """`os/architecture[/variant]`, `""` if the parent does not name one."""

    @property
    def is_node(self) -> bool:
        """True for manifests and indexes, whose bytes point to more blobs."""
        return self.media_type in NODE_TYPES

    @property
    def is_index(self) -> bool:
        """True for an image index or a Docker manifest list."""
        return self.media_type in INDEX_TYPES

    def as_dict(self) -> dict[str, Any]:
        """The descriptor as OCI JSON, without annotations and platform."""
        return {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}

    @classmethod
    def of(cls, media_type: str, data: bytes, **more: Any) -> Descriptor:
        """The descriptor of `data`."""
        return cls(media_type, Digest.of(data), len(data), **more)


class PutResult(StrEnum):
    """What `put` did."""

    WRITTEN = "written"
    PRESENT = "present"
    MOUNTED = "mounted"


Opener = Callable[[int], BinaryIO]
"""`open(offset)` returns the bytes from `offset` on, any number of times: to repeat a body, open it again."""


class Source(Protocol):
    """The read side of a store. The bytes from `open` are not verified: the reader must hash them."""

    def has(self, descriptor: Descriptor) -> bool:
        """True if the store has a blob under this digest. Presence is not integrity."""

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """The blob's bytes from `offset` on. Raises `NotFoundError`, `StoreError` or `UpstreamError`."""

    def roots(self) -> Sequence[tuple[str, Descriptor]]:
        """Names and the roots they point to, in the store's order."""


class Target(Source, Protocol):
    """A store that can be written to."""

    def asks(self, descriptor: Descriptor) -> bool:
        """True if `put` detects a blob that is present at no extra cost, so that calling `has` first is unnecessary."""

    def put(self, descriptor: Descriptor, opener: Opener, mount_from: Sequence[str] = ()) -> PutResult:
        """Stores a blob. It becomes visible when size and digest match and it is durable, at the latest after `settle`.

        `mount_from` names repositories of the same registry that contain the blob. Raises `IntegrityError` if the bytes
        differ (nothing is left behind), `StoreError` or `UpstreamError`.
        """

    def check_room(self, blobs: Iterable[Descriptor]) -> None:
        """Raises `StoreError` (`disk-full`) if the absent ones of `blobs` do not fit, if the store can tell."""

    def settle(self) -> None:
        """Makes everything that was put durable and visible by digest."""

    def publish(self, names: Mapping[str, Descriptor]) -> None:
        """Points each name to its root, atomically per name, after everything that the root reaches is stored."""


_FIELDS = {
    name.casefold(): name
    for name in (
        *("schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations"),
        *("digest", "size", "urls", "data", "platform", "os", "architecture", "variant"),
    )
}


def _check_names(value: Mapping[str, Any], where: str) -> None:
    """Raises `IntegrityError` (`bad-manifest`) for a field in another spelling: Go reads `Layers` as `layers`, and the
    last one counts there, so registries and clients inside would find other content than was judged."""
    odd = next((key for key in value if _FIELDS.get(key.casefold(), key) != key), None)
    if odd is not None:
        what = f"{where}: field {odd[:80]!a}, expected {_FIELDS[odd.casefold()]!r} or another name"
        raise IntegrityError("bad-manifest", what, "build it again with a tool that writes what OCI specifies")


def descriptor_from(value: Any, where: str) -> Descriptor:
    """Builds a descriptor from parsed JSON. Raises `IntegrityError` (`bad-manifest`, `foreign-layer`)."""
    if not isinstance(value, dict):
        raise IntegrityError("bad-manifest", f"{where}: a descriptor is an object, got {type(value).__name__}")
    _check_names(value, where)
    media_type, size = value.get("mediaType"), value.get("size")
    if not isinstance(media_type, str) or not _TYPE.match(media_type):
        what = f"{where}: mediaType: got {media_type!r:.80}, expected a media type of up to {MAX_MEDIA_TYPE} characters"
        raise IntegrityError("bad-manifest", what)
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_NUMBER:
        raise IntegrityError("bad-manifest", f"{where}: size: got {size!r:.80}, expected a number of bytes")
    if value.get("urls"):
        raise IntegrityError(
            "foreign-layer",
            f"{where}: {value.get('digest')!s:.80} is stored outside the registry (urls) and cannot be carried",
            "rebuild the image with layers that the registry stores",
        )
    return Descriptor(
        media_type,
        Digest(value.get("digest")),  # type: ignore[arg-type]
        size,
        _annotations(value, where),
        _artifact_type(value),
        platform_name(value.get("platform"), where),
    )


def _annotations(value: Mapping[str, Any], where: str) -> dict[str, str]:
    found = value.get("annotations") or {}
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise IntegrityError("bad-manifest", f"{where}: annotations are not a map of strings")
    return found


def _artifact_type(value: Mapping[str, Any]) -> str:
    """The artifact type; one that is no type counts as absent, because anybody may attach anything to an image."""
    found = value.get("artifactType")
    return found if isinstance(found, str) and _TYPE.match(found) else ""


def platform_name(value: Any, where: str) -> str:
    """`os/architecture[/variant]` of an OCI platform object; `""` where there is none. Raises `IntegrityError`."""
    if not isinstance(value, dict):
        return ""
    _check_names(value, where)
    parts = [value.get(key) or "" for key in ("os", "architecture", "variant")]
    if not all(isinstance(part, str) and len(part) <= MAX_PLATFORM and part.isprintable() for part in parts):
        raise IntegrityError("bad-manifest", f"{where}: platform: got {parts!r:.80}, expected three short names")
    return "/".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Node:
    """A parsed manifest or index: its descriptor, its exact bytes and its edges."""

    descriptor: Descriptor
    data: bytes
    children: tuple[Descriptor, ...]
    config: Descriptor | None = None
    subject: Descriptor | None = None
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)


def parse_node(descriptor: Descriptor, data: bytes) -> Node:
    """Parses a manifest or index whose bytes are already verified.

    Children are in the manifest's order, the config first. A subject is not a child: it points the other way. Raises
    `IntegrityError` for unknown node types, foreign layers, ambiguous or malformed documents.
    """
    where = f"{descriptor.media_type} {descriptor.digest}"
    document = parse_json(data, where)
    if not isinstance(document, dict):
        raise IntegrityError("bad-manifest", f"{where}: not an object")
    _check_names(document, where)
    # 1. The document must not claim a type other than the one its parent gives (CVE-2021-41190).
    claimed = document.get("mediaType")
    if claimed is not None and claimed != descriptor.media_type:
        raise IntegrityError(
            "bad-manifest", f"{where}: got mediaType {claimed!r:.80}, expected {descriptor.media_type}"
        )
    if document.get("schemaVersion") != 2:
        raise IntegrityError(
            "bad-manifest",
            f"{where}: schemaVersion: got {document.get('schemaVersion')!r:.80}, expected 2",
        )
    if "manifests" in document and ("layers" in document or "config" in document):
        raise IntegrityError("bad-manifest", f"{where}: both an index and a manifest")
    # 2. Its edges.
    config = None
    if descriptor.is_index:
        children = _edges(document, "manifests", where, nodes=True)
    elif descriptor.media_type in MANIFEST_TYPES:
        config = descriptor_from(document.get("config"), f"{where}: config")
        children = (config, *_edges(document, "layers", where, nodes=False))
    else:
        raise IntegrityError(
            "unknown-node",
            f"{where}: airgap does not support this type of manifest",
            "convert Docker schema 1 and the withdrawn OCI artifact manifest at their origin",
        )
    subject = document.get("subject")
    annotations = document.get("annotations")
    return Node(
        descriptor,
        data,
        children,
        config,
        None if subject is None else descriptor_from(subject, f"{where}: subject"),
        _artifact_type(document) or (config.media_type if config else ""),
        annotations if isinstance(annotations, dict) else {},
    )


def _edges(document: Mapping[str, Any], key: str, where: str, *, nodes: bool) -> tuple[Descriptor, ...]:
    # Go writes an empty list as null, and some tools leave it out: registries take both.
    values = document.get(key)
    if values is None:
        values = []
    if not isinstance(values, list):
        raise IntegrityError("bad-manifest", f"{where}: {key}: got {type(values).__name__}, expected a list")
    if len(values) > MAX_CHILDREN:
        raise IntegrityError("bad-manifest", f"{where}: {len(values)} {key}, at most {MAX_CHILDREN}")
    edges = tuple(descriptor_from(value, f"{where}: {key}[{n}]") for n, value in enumerate(values))
    for edge in edges:
        if edge.is_node != nodes:
            raise IntegrityError("unknown-node", f"{where}: {key}: {edge.digest} has type {edge.media_type}")
    return edges


def read_verified(source: Source, descriptor: Descriptor, limit: int = MAX_NODE) -> bytes:
    """The bytes of a small blob, checked against its descriptor. Raises `IntegrityError`."""
    if descriptor.size > limit:
        raise TooLargeError("too-large", f"{descriptor.digest}: {descriptor.size} bytes, at most {limit} here")
    with source.open(descriptor) as stream:
        data = read_limited(stream, descriptor.size + 1)
    check_bytes(descriptor, data)
    return data


def check_bytes(descriptor: Descriptor, data: bytes) -> None:
    """Raises `IntegrityError` unless `data` has the descriptor's size and digest."""
    check_sum(descriptor, Digest.of(data), len(data))


def check_sum(descriptor: Descriptor, digest: Digest, size: int) -> None:
    """Raises `IntegrityError` unless the computed size and digest match the descriptor."""
    if size < descriptor.size:
        raise DamageError("truncated", f"{descriptor.digest}: got {size} bytes, expected {descriptor.size}")
    if size > descriptor.size:
        raise DamageError("oversized", f"{descriptor.digest}: got more than the expected {descriptor.size} bytes")
    if digest != descriptor.digest:
        raise DamageError("digest-mismatch", f"got {digest}, expected {descriptor.digest} ({size} bytes)")


def read_node(source: Source, descriptor: Descriptor) -> Node:
    """Reads, verifies and parses a manifest or index."""
    return parse_node(descriptor, read_verified(source, descriptor))


def unnamed(source: Source, digest: Digest) -> Descriptor:
    """The descriptor of a manifest or index of which only the digest is known. Raises any error of reading it."""
    with source.open(Descriptor("", digest, 0)) as stream:
        data = read_limited(stream, MAX_NODE)
    check_sum(Descriptor("", digest, len(data)), Digest.of(data), len(data))
    document = parse_json(data, str(digest))
    if not isinstance(document, dict):
        raise IntegrityError("bad-manifest", f"{digest}: not an object")
    claimed = document.get("mediaType")
    media_type = claimed if isinstance(claimed, str) else OCI_INDEX if "manifests" in document else OCI_MANIFEST
    return Descriptor(media_type, digest, len(data))


Keep = Callable[["Node", Descriptor], bool]
"""`keep(parent, child)`: true for the children of an index that are wanted."""


def walk(source: Source, root: Descriptor, keep: Keep | None = None) -> Iterable[Node | Descriptor]:
    """Yields the graph below `root`, children first, each blob once: `Node` for nodes, `Descriptor` for leaves.

    `keep(parent, child)` can exclude children of an index (`platforms:`). Reads each node once. Raises `IntegrityError`
    (`bad-manifest`) if one digest is both a leaf and a node, or a node of two types: whoever asks for every manifest
    would miss one that stands as a layer first.
    """
    seen: dict[Digest, str] = {}

    def visit(descriptor: Descriptor, depth: int) -> Iterable[Node | Descriptor]:
        if depth > MAX_DEPTH:
            raise IntegrityError("too-deep", f"{root.digest}: more than {MAX_DEPTH} levels of indexes")
        kind = descriptor.media_type if descriptor.is_node else ""
        before = seen.get(descriptor.digest)
        if before is not None:
            if before != kind:
                raise IntegrityError(
                    "bad-manifest",
                    f"{root.digest}: {descriptor.digest} is {before or 'a layer'} in one place and "
                    f"{kind or 'a layer'} in another",
                    "rebuild the image: one digest cannot be both",
                )
            return
        seen[descriptor.digest] = kind
        if not descriptor.is_node:
            yield descriptor
            return
        node = read_node(source, descriptor)
        for child in node.children:
            if keep is None or not descriptor.is_index or keep(node, child):
                yield from visit(child, depth + 1)
        yield node

    if not root.is_node:
        raise IntegrityError(
            "unknown-node",
            f"{root.digest}: a root must be a manifest or an index, got {root.media_type}",
        )
    return visit(root, 0)


def is_for(platform: str, wanted: str) -> bool:
    """True if `platform` is `wanted` or a variant of it: `linux/arm` matches every `linux/arm/v…`."""
    return platform == wanted or platform.startswith(wanted + "/")


def by_platform(platforms: Sequence[str]) -> Keep | None:
    """A `keep` for `walk` that selects the children for `platforms`; `None` (keep all) if `platforms` is empty.

    `linux/arm` matches every variant of it, `linux/arm/v7` only that one. Children without a platform are excluded.
    """
    if not platforms:
        return None
    wanted = tuple(platforms)

    def keep(_parent: Node, child: Descriptor) -> bool:
        return any(is_for(child.platform, name) for name in wanted)

    return keep
