"""Everything attached to an image or artifact, read into one record whatever its format; nothing is verified here.

What a thing is, the media types of its layers say: artifact types and annotations may be missing or wrong, and cosign
goes by layers too. Formats: docs/format.md, "Upstream signatures".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from airgap.digest import Digest
from airgap.errors import IntegrityError
from airgap.graph import Descriptor, Node, Source, by_platform, read_node, read_verified, walk
from airgap.lock import Attached
from airgap.trust.upstream.bundle import BUNDLE_PREFIX, read_bundle
from airgap.trust.upstream.envelope import DSSE_ENVELOPE, read_envelope
from airgap.trust.upstream.record import Layout, Refusal, Signed, Status, Unread
from airgap.trust.upstream.simple_signing import SIMPLE_SIGNING, read_simple_signing

MAX_ATTACHED = 1000
"""Manifests attached to one subject: `lock` lists no more for a whole item (`airgap.store.locate`)."""
MAX_LAYERS = 1000
"""Signatures in one manifest and on one subject: as many as cosign reads of an image."""
MAX_BLOB = 8 << 20
"""Bytes of one signature or attestation: SBOMs of large images have about 5 MiB. Read whole before it is believed."""
MAX_TOTAL = 64 << 20
"""Bytes of all signatures of one subject, which are in memory at once, three times over."""

NOTATION = "application/vnd.cncf.notary.signature"
SBOM_ARTIFACT = "application/vnd.dev.cosign.artifact.sbom.v1+json"
SBOM_PREFIXES = (
    "text/spdx",
    "application/vnd.cyclonedx",
    "application/vnd.syft",
    "application/spdx",
)
"""Layers of `cosign attach sbom` (SBOM_SPEC.md); other tools write the last."""
BUILDX_KIND = "vnd.docker.reference.type"
BUILDX_SUBJECT = "vnd.docker.reference.digest"
BUILDX_ATTESTATION = "attestation-manifest"

_DAMAGE = frozenset({"digest-mismatch", "truncated", "oversized"})


@dataclass(slots=True)
class _Reader:
    """Reads what is attached to one subject, within the limits for all of it."""

    source: Source
    subject: Digest
    layers: int = MAX_LAYERS
    room: int = MAX_TOTAL
    found: list[Signed | Unread] = field(default_factory=list)

    def read(self, attached: Attached) -> None:
        """One manifest. What is wrong with it is noted, and no exception."""
        where = (
            f"tag {attached.tag}"
            if attached.how == "tag"
            else f"referrer {attached.descriptor.digest}"
        )
        try:
            node = read_node(self.source, attached.descriptor)
            self._belongs(node)
            layers = _layers(node)
            self._spend(layers)
        except Refusal as refusal:
            self._refuse(where, _expected(attached), refusal)
        except IntegrityError as error:
            self._refuse(where, _expected(attached), _broken(error, "bad-manifest"))
        else:
            if (whole := _as_a_whole(attached, node, layers)) is not None:
                self._note(where, *whole)
            else:
                self._each(where, attached, node, layers)

    def _each(
        self, where: str, attached: Attached, node: Node, layers: Sequence[Descriptor]
    ) -> None:
        for number, layer in enumerate(layers, 1):
            here = where if len(layers) == 1 else f"{where}, layer {number}"
            layout = _layout(layer) or _expected(attached)
            try:
                self.found.append(self._layer(here, node, layer))
            except Refusal as refusal:
                self._refuse(here, layout, refusal)
            except IntegrityError as error:
                self._refuse(here, layout, _broken(error, "bad-bundle"))

    def _layer(self, where: str, node: Node, layer: Descriptor) -> Signed:
        layout = _layout(layer)
        if layout is None:
            raise Refusal(
                "unsupported-format",
                f"a layer of type {layer.media_type[:200]} among signatures",
                unsupported=True,
            )
        if layout is Layout.BUNDLE and len(node.children) != 2:
            what = f"a bundle among {len(node.children) - 1} layers; it must be the only one"
            raise Refusal("bad-bundle", what)
        blob = read_verified(self.source, layer, MAX_BLOB)
        if layout is Layout.BUNDLE:
            return read_bundle(self.subject, where, layer.media_type, node.annotations, blob)
        read = read_envelope if layout is Layout.ENVELOPE else read_simple_signing
        return read(self.subject, where, layer.annotations, blob)

    def _belongs(self, node: Node) -> None:
        """A manifest that names a subject must name this one. cosign's tags name none, nor do some old referrers."""
        if node.subject is not None and node.subject.digest != self.subject:
            raise Refusal(
                "wrong-subject",
                f"the manifest refers to {node.subject.digest}, not to {self.subject}",
            )

    def _spend(self, layers: Sequence[Descriptor]) -> None:
        """Counts layers and bytes before anything is read. What has no signature in it costs nothing."""
        sizes = [min(layer.size, MAX_BLOB) for layer in layers if _layout(layer) is not None]
        if not sizes:
            return
        if len(layers) > self.layers:
            raise Refusal("too-many", f"more than {MAX_LAYERS} signatures on {self.subject}")
        if sum(sizes) > self.room:
            raise Refusal("too-large", f"signatures on {self.subject} have over {MAX_TOTAL} bytes")
        self.layers -= len(layers)
        self.room -= sum(sizes)

    def _refuse(self, where: str, layout: Layout, refusal: Refusal) -> None:
        self._note(where, layout, refusal.status, refusal.reason, refusal.detail)

    def _note(self, where: str, layout: Layout, status: Status, reason: str, detail: str) -> None:
        self.found.append(Unread(self.subject, where, layout, status, reason, detail))


def read_attached(
    source: Source, subject: Digest, attached: Sequence[Attached]
) -> list[Signed | Unread]:
    """What of `attached` is attached to `subject`, in that order, each signature for itself.

    For each manifest: 1. its bytes are those of its digest; 2. the subject that it names, if any, is this one; 3. its
    layers are within the limits; 4. each layer is read by its media type, after its bytes were hashed. What is broken,
    too large, of another format or unsigned is an `Unread` with its reason. Raises `StoreError`, `UpstreamError` and
    `NotFoundError` when the store fails, or lacks what the lock lists.
    """
    mine = [one for one in attached if one.subject == subject]
    if len(mine) > MAX_ATTACHED:
        what = f"{len(mine)} manifests are attached to {subject}, at most {MAX_ATTACHED}"
        return [Unread(subject, "attached", Layout.OTHER, Status.FAILED, "too-many", what)]
    reader = _Reader(source, subject)
    for one in mine:
        reader.read(one)
    return reader.found


def subjects(source: Source, root: Descriptor, platforms: Sequence[str]) -> list[Digest]:
    """What can be signed of an item: the root, then every manifest below it that is carried, each once.

    With `platforms`, children of an index for others are not carried. The bytes of each were hashed. Raises
    `IntegrityError`, `StoreError`, `UpstreamError`.
    """
    below = [node.descriptor.digest for node in _nodes(source, root, platforms)]
    return [root.digest, *(digest for digest in below if digest != root.digest)]


def unsigned(source: Source, root: Descriptor, platforms: Sequence[str]) -> list[Unread]:
    """The attestation manifests that BuildKit puts into an index: nobody signed them, so they never count.

    Each is about the carried child that it names, else about its index. Raises as `subjects` does.
    """
    if not root.is_index:
        return []
    carried = set(subjects(source, root, platforms))
    found = list[Unread]()
    for node in _nodes(source, root, platforms):
        if not node.descriptor.is_index:
            continue
        for child in node.children:
            if child.annotations.get(BUILDX_KIND) == BUILDX_ATTESTATION:
                about = child.annotations.get(BUILDX_SUBJECT, "")
                named = next((one for one in carried if one == about), node.descriptor.digest)
                what = "an attestation that BuildKit wrote into the index: nobody signed it"
                where = f"attestation manifest {child.digest}"
                found.append(Unread(named, where, Layout.BUILDX, Status.ABSENT, "unsigned", what))
    return found


def _nodes(source: Source, root: Descriptor, platforms: Sequence[str]) -> Iterator[Node]:
    for one in walk(source, root, by_platform(platforms)):
        if isinstance(one, Node):
            yield one


def _layers(node: Node) -> tuple[Descriptor, ...]:
    return () if node.descriptor.is_index else node.children[1:]  # the config comes first


def _layout(layer: Descriptor) -> Layout | None:
    """How a layer is read, by its media type; `None` for what is no signature that we know."""
    if layer.media_type.startswith(BUNDLE_PREFIX):
        return Layout.BUNDLE
    known = {SIMPLE_SIGNING: Layout.SIMPLE_SIGNING, DSSE_ENVELOPE: Layout.ENVELOPE}
    return known.get(layer.media_type)


def _expected(attached: Attached) -> Layout:
    """What a tag's name promises, for answers about something that cannot be read."""
    suffix = attached.tag.rpartition(".")[2]
    promised = {"sig": Layout.SIMPLE_SIGNING, "att": Layout.ENVELOPE, "sbom": Layout.SBOM}
    return promised.get(suffix, Layout.OTHER)


def _as_a_whole(
    attached: Attached, node: Node, layers: Sequence[Descriptor]
) -> tuple[Layout, Status, str, str] | None:
    """What a manifest without a layer that we verify is: layout, status, reason, detail. `None` where there is one."""
    if any(_layout(layer) is not None for layer in layers):
        return None
    config = node.config.media_type if node.config else ""
    kind = (node.artifact_type or node.descriptor.media_type)[:200]
    expected = _expected(attached)
    if NOTATION in (node.artifact_type, config):
        what = "a signature of Notation, which this version does not verify"
        return Layout.NOTATION, Status.UNSUPPORTED, "unsupported-format", what
    if expected in (Layout.SIMPLE_SIGNING, Layout.ENVELOPE):
        what = f"no layer of a type that this version verifies: {kind}"
        return expected, Status.UNSUPPORTED, "unsupported-format", what
    if (
        expected is Layout.SBOM
        or SBOM_ARTIFACT in (node.artifact_type, config)
        or any(layer.media_type.startswith(SBOM_PREFIXES) for layer in layers)
    ):
        return Layout.SBOM, Status.ABSENT, "unsigned", "an SBOM that nobody signed"
    return Layout.OTHER, Status.ABSENT, "other", f"no signature: {kind}"


def _broken(error: IntegrityError, reason: str) -> Refusal:
    if error.code in _DAMAGE:
        return Refusal("damaged", error.what)
    if error.code == "too-large":
        return Refusal("too-large", error.what)
    return Refusal("duplicate-key" if "occurs twice" in error.what else reason, error.what)
