"""Reads everything attached to an image or artifact into one record, in any format. Nothing is verified here.

The media types of its layers decide what an attached manifest is: artifact types and annotations may be missing or
wrong, and cosign uses layers too. Formats: docs/format.md, "Upstream signatures".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, partial

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, DamageError, IntegrityError, TooLargeError
from airgap.base.strict_json import RepeatedKeyError
from airgap.content.graph import (
    Descriptor,
    Node,
    Source,
    by_platform,
    read_node,
    read_verified,
    walk,
)
from airgap.content.item import Attached
from airgap.signatures.formats.bundle import BUNDLE_PREFIX, read_bundle
from airgap.signatures.formats.envelope import DSSE_ENVELOPE, read_envelope
from airgap.signatures.formats.simple_signing import SIMPLE_SIGNING, read_simple_signing
from airgap.signatures.record import MAX_SAID, Refusal, SignatureLayout, Signed, Status, Unread, plain

MAX_ATTACHED = 1000
"""Manifests attached to one subject: `lock` lists no more for a complete item (`airgap.store.locate`)."""
MAX_LAYERS = 1000
"""Signatures in one manifest and on one subject: as many as cosign reads for an image."""
MAX_BLOB = 48 << 20
"""Bytes of one signature or attestation: SBOMs of large images have 10 to 30 MiB, and a bundle adds a third."""
MAX_TOTAL = 1 << 30
"""Bytes of all signatures of one subject. They are read one after another."""
LARGE = 512 << 10
"""Bytes above which only one signature at a time is in memory, across threads: parsed, it takes five times as many."""
_alone = threading.Lock()

NOTATION = "application/vnd.cncf.notary.signature"
SBOM_ARTIFACT = "application/vnd.dev.cosign.artifact.sbom.v1+json"
SBOM_PREFIXES = (
    "text/spdx",
    "application/vnd.cyclonedx",
    "application/vnd.syft",
    "application/spdx",
)
"""Layers of `cosign attach sbom` (SBOM_SPEC.md); the last prefix is from other tools."""
BUILDX_KIND = "vnd.docker.reference.type"
BUILDX_SUBJECT = "vnd.docker.reference.digest"
BUILDX_ATTESTATION = "attestation-manifest"


@dataclass(slots=True)
class _Reader:
    """Reads what is attached to one subject, within the limits for all of it."""

    source: Source
    descriptor: Descriptor
    """The subject."""
    own: Callable[[], bytes]
    """Reads its bytes, once."""
    layers: int
    """How many more layers may be read; `room`: how many more bytes."""
    room: int

    @property
    def subject(self) -> Digest:
        """The digest of the subject."""
        return self.descriptor.digest

    def read(self, attached: Attached) -> Iterator[Signed | Unread]:
        """Reads one manifest. Anything wrong with it becomes an answer, not an exception."""
        where = f"tag {attached.tag}" if attached.how == "tag" else f"referrer {attached.descriptor.digest}"
        try:
            node = read_node(self.source, attached.descriptor)
            self._belongs(node)
            layers = _layers(node)
            if (whole := _as_a_whole(attached, node, layers)) is None:
                self._spend(layers)
        except Refusal as refusal:
            yield self._refused(where, _expected(attached), refusal)
        except IntegrityError as error:
            yield self._refused(where, _expected(attached), _broken(error, "bad-manifest"))
        else:
            if whole is not None:
                yield Unread(self.subject, where, *whole)
                return
            for number, layer in enumerate(layers, 1):
                here = where if len(layers) == 1 else f"{where}, layer {number}"
                # Locked until the caller is done with it, and asks for the next.
                with _alone if layer.size > LARGE else nullcontext():
                    yield self._one(here, _layout(layer) or _expected(attached), node, layer)

    def _one(self, where: str, layout: SignatureLayout, node: Node, layer: Descriptor) -> Signed | Unread:
        try:
            return self._layer(where, node, layer)
        except Refusal as refusal:
            return self._refused(where, layout, refusal)
        except IntegrityError as error:
            return self._refused(where, layout, _broken(error, "bad-bundle"))
        except AirgapError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever is wrong with one, the others must be read)
            said = Refusal("verifier-error", plain(f"{type(error).__name__}: {error}", MAX_SAID))
            return self._refused(where, layout, said)

    def _layer(self, where: str, node: Node, layer: Descriptor) -> Signed:
        layout = _layout(layer)
        if layout is None:
            raise Refusal(
                "unsupported-format",
                f"a signature manifest has a layer of type {layer.media_type[:200]}",
                unsupported=True,
            )
        if layout is SignatureLayout.BUNDLE and len(node.children) != 2:
            what = f"a bundle must be the only layer, but {len(node.children) - 2} others are there"
            raise Refusal("bad-bundle", what)
        if layer.size > self.room:
            raise Refusal("too-large", f"the signatures on {self.subject} have more than {MAX_TOTAL} bytes")
        blob = read_verified(self.source, layer, MAX_BLOB)
        self.room -= len(blob)
        if layout is SignatureLayout.BUNDLE:
            return read_bundle(self.subject, where, layer.media_type, node.annotations, blob, self._own)
        read = read_envelope if layout is SignatureLayout.ENVELOPE else read_simple_signing
        return read(self.subject, where, layer.annotations, blob)

    def _own(self) -> bytes:
        """The bytes of the subject, for a signature of them. They count as its own: they are hashed for each."""
        if self.descriptor.size > self.room:
            what = f"the signatures on {self.subject}, and what they sign, have more than {MAX_TOTAL} bytes"
            raise Refusal("too-large", what)
        self.room -= self.descriptor.size
        return self.own()

    def _belongs(self, node: Node) -> None:
        """A manifest that names a subject must name this one. cosign's tags name none; nor do some old referrers."""
        if node.subject is not None and node.subject.digest != self.subject:
            raise Refusal(
                "wrong-subject",
                f"the manifest refers to {node.subject.digest}, not to {self.subject}",
            )

    def _spend(self, layers: Sequence[Descriptor]) -> None:
        """Counts the layers before any of them is read."""
        if len(layers) > self.layers:
            raise Refusal("too-many", f"more than {MAX_LAYERS} signatures on {self.subject}")
        self.layers -= len(layers)

    def _refused(self, where: str, layout: SignatureLayout, refusal: Refusal) -> Unread:
        return Unread(self.subject, where, layout, refusal.status, refusal.reason, refusal.detail)


def read_attached(source: Source, subject: Descriptor, attached: Sequence[Attached]) -> Iterator[Signed | Unread]:
    """Reads the manifests of `attached` that belong to `subject`, one signature in memory at a time.

    Small manifests come first: they contain one signature, and a manifest that names a thousand must not use up the
    limits before them. For each manifest: 1. its bytes match its digest; 2. the subject that it names, if any, is this
    one; 3. its layers are within the limits; 4. each layer is read by its media type, after its bytes were hashed. What
    is broken, too large, of another format or unsigned becomes an `Unread` with its reason. Raises `StoreError`,
    `UpstreamError` and `NotFoundError` if the store fails, or lacks what the lock lists.
    """
    mine = sorted((one for one in attached if one.subject == subject.digest), key=lambda one: one.descriptor.size)
    if len(mine) > MAX_ATTACHED:
        what = f"{len(mine)} manifests are attached to {subject.digest}, at most {MAX_ATTACHED}"
        yield Unread(subject.digest, "attached", SignatureLayout.OTHER, Status.FAILED, "too-many", what)
        return
    own = cache(partial(read_verified, source, subject))
    reader = _Reader(source, subject, own, MAX_LAYERS, MAX_TOTAL)
    for one in mine:
        yield from reader.read(one)


def subjects(source: Source, root: Descriptor, platforms: Sequence[str]) -> list[Descriptor]:
    """The nodes of an item that can be signed: the root, then every carried manifest below it, each once.

    With `platforms`, children of an index for other platforms are not carried. The bytes of each were hashed. Raises
    `IntegrityError`, `StoreError`, `UpstreamError`.
    """
    below = [node.descriptor for node in _nodes(source, root, platforms)]
    return [root, *(one for one in below if one.digest != root.digest)]


def unsigned(source: Source, root: Descriptor, platforms: Sequence[str]) -> list[Unread]:
    """The attestation manifests that BuildKit puts into an index. They are not signed, so they never count.

    Each is about the carried child that it names, otherwise about its index. Raises as `subjects` does.
    """
    if not root.is_index:
        return []
    carried = {one.digest for one in subjects(source, root, platforms)}
    found = list[Unread]()
    for node in _nodes(source, root, platforms):
        if not node.descriptor.is_index:
            continue
        for child in node.children:
            if child.annotations.get(BUILDX_KIND) == BUILDX_ATTESTATION:
                about = child.annotations.get(BUILDX_SUBJECT, "")
                named = next((one for one in carried if one == about), node.descriptor.digest)
                what = "an attestation that BuildKit wrote into the index; it is not signed"
                where = f"attestation manifest {child.digest}"
                found.append(Unread(named, where, SignatureLayout.BUILDX, Status.ABSENT, "unsigned", what))
    return found


def _nodes(source: Source, root: Descriptor, platforms: Sequence[str]) -> Iterator[Node]:
    for one in walk(source, root, by_platform(platforms)):
        if isinstance(one, Node):
            yield one


def _layers(node: Node) -> tuple[Descriptor, ...]:
    return () if node.descriptor.is_index else node.children[1:]  # the config comes first


def _layout(layer: Descriptor) -> SignatureLayout | None:
    """How a layer is read, by its media type; `None` if it is not a known kind of signature."""
    if layer.media_type.startswith(BUNDLE_PREFIX):
        return SignatureLayout.BUNDLE
    known = {SIMPLE_SIGNING: SignatureLayout.SIMPLE_SIGNING, DSSE_ENVELOPE: SignatureLayout.ENVELOPE}
    return known.get(layer.media_type)


def _expected(attached: Attached) -> SignatureLayout:
    """The layout that a tag's name promises, for answers about a manifest that cannot be read."""
    suffix = attached.tag.rpartition(".")[2]
    promised = {"sig": SignatureLayout.SIMPLE_SIGNING, "att": SignatureLayout.ENVELOPE, "sbom": SignatureLayout.SBOM}
    return promised.get(suffix, SignatureLayout.OTHER)


def _as_a_whole(
    attached: Attached, node: Node, layers: Sequence[Descriptor]
) -> tuple[SignatureLayout, Status, str, str] | None:
    """What a manifest is that has no layer to verify: layout, status, reason, detail. `None` if it has such a layer."""
    if any(_layout(layer) is not None for layer in layers):
        return None
    config = node.config.media_type if node.config else ""
    kind = (node.artifact_type or node.descriptor.media_type)[:200]
    expected = _expected(attached)
    if NOTATION in (node.artifact_type, config):
        what = "a Notation signature, which this version does not verify"
        return SignatureLayout.NOTATION, Status.UNSUPPORTED, "unsupported-format", what
    if expected in (SignatureLayout.SIMPLE_SIGNING, SignatureLayout.ENVELOPE):
        what = plain(f"no layer has a type that this version verifies: {kind}")
        return expected, Status.UNSUPPORTED, "unsupported-format", what
    if (
        expected is SignatureLayout.SBOM
        or SBOM_ARTIFACT in (node.artifact_type, config)
        or any(layer.media_type.startswith(SBOM_PREFIXES) for layer in layers)
    ):
        return SignatureLayout.SBOM, Status.ABSENT, "unsigned", "an SBOM that is not signed"
    return SignatureLayout.OTHER, Status.ABSENT, "other", plain(f"not a signature: {kind}")


def _broken(error: IntegrityError, reason: str) -> Refusal:
    if isinstance(error, DamageError):
        return Refusal("damaged", error.what)
    if isinstance(error, TooLargeError):
        return Refusal("too-large", error.what)
    return Refusal("duplicate-key" if isinstance(error.__cause__, RepeatedKeyError) else reason, error.what)
