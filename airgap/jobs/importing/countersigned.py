"""Checks whether the Sovereign's signature or attestation is in a registry already, and whether it may be put there.

A receipt of this Sovereign is trusted for what it lists, as long as clients find it: its bytes are verified by an audit
and by `--deep`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import BlockedError, IntegrityError, NotFoundError
from airgap.base.streams import read_limited
from airgap.content.forms import Change, ChangeOutcome, Signs
from airgap.content.graph import OCI_MANIFEST, Descriptor, Node, parse_node
from airgap.destinations.base import Run
from airgap.signatures import write as cosign
from airgap.statements.keys.file import PublicKey
from airgap.store.registry.repository import RegistryRepository

BUNDLES = "application/vnd.dev.sigstore.bundle"
"""The prefix of the media type of a bundle, in every version. cosign looks for it."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """Signatures that one delivery contains for an image. A plan needs them before they are in the registry."""

    tags: Mapping[str, Digest] = field(default_factory=dict)
    """The tags of the older layout, and the manifests that they name."""
    bundles: bool = False

    @property
    def older(self) -> bool:
        """True if all of them are in the older layout."""
        return bool(self.tags) and not self.bundles


@dataclass(frozen=True, slots=True)
class Task:
    """One claim about one manifest or index at one registry, and where it goes."""

    side: RegistryRepository
    """Where it goes: a side repository, or that of the image."""
    image: RegistryRepository
    descriptor: Descriptor
    claim: cosign.Claim
    signs: Signs
    older: bool
    """True for the older layout."""
    run: Run
    upstream: Upstream

    @property
    def name(self) -> str:
        """The tag; `""` for a bundle."""
        return self.claim.tag if self.older else ""

    @property
    def key(self) -> tuple[int, str]:
        """A claim for two repositories is one task in a side repository, and two tasks next to the images."""
        return id(self.side), self.signs.statement

    @property
    def keeps(self) -> Digest | None:
        """Upstream's manifest under the same tag, to which the signature is added; `None` if there is none."""
        return self.upstream.tags.get(self.name) if self.older and self.beside else None

    @property
    def beside(self) -> bool:
        """True if it goes to the repository of the image itself."""
        return self.side is self.image

    def change(self, digest: Digest | None, outcome: ChangeOutcome, reason: str = "") -> Change:
        """A change for the task. Without a signature, the digest is that of the subject."""
        said = str(digest or self.claim.subject)
        return Change("", self.side.name, self.name, said, outcome=outcome, reason=reason, signs=self.signs)


def look(task: Task, key: PublicKey) -> Change:
    """PRESENT with the digest of the signature, REFUSED with the reason, or WRITE. Raises `UpstreamError`."""
    known = _received(task)
    if known is not None:
        return task.change(known, ChangeOutcome.PRESENT)
    return _look_older(task, key) if task.older else _look_bundle(task, key)


def _received(task: Task) -> Digest | None:
    """The digest that a receipt of this Sovereign lists, if the registry still has it."""
    listed = task.run.signed.get((task.side.name, task.name, task.signs))
    if listed is None or task.run.deep:
        return None
    digest = Digest(listed)
    return digest if found_again(task, digest) else None


def found_again(task: Task, digest: Digest) -> bool:
    """True if clients find the signature: under its tag, or at its subject. Raises `UpstreamError`."""
    if not task.name:
        # Where the index of referrers is a tag, it may list what is gone.
        there = task.side.client.has_referrers or task.side.has(Descriptor(OCI_MANIFEST, digest, 0))
        return there and task.side.lists(digest, task.claim.subject)
    try:
        return task.side.holds(task.name) == digest
    except NotFoundError:
        return False


def _look_bundle(task: Task, key: PublicKey) -> Change:
    bundles = task.upstream.bundles
    for found in task.side.referrers(task.claim.subject):
        try:
            node = _node(task.side, found)
        except BlockedError:  # what a policy hides is known by its type alone, and is not taken for our own
            bundles |= found.artifact_type.startswith(BUNDLES)
            continue
        layers = [one for one in node.children if one.media_type.startswith(BUNDLES)] if node else []
        if node is None or len(layers) != 1:
            continue
        bundles = True
        said = node.annotations.get(cosign.PREDICATE)  # the Sovereign's own bundles have it
        if said == task.claim.predicate_type and layers[0].size <= task.claim.limit:
            data = _blob(task.side, layers[0])
            if cosign.is_signed_by(data, task.claim, key):
                return task.change(found.digest, ChangeOutcome.PRESENT)
    tag = _older_tag(task) if task.beside and not bundles else ""
    if tag:
        reason = (
            f"it was signed as {tag}, which cosign would no longer find next to a bundle of this Sovereign: "
            "use a side repository, layout: legacy, or leave layout out"
        )
        return task.change(None, ChangeOutcome.REFUSED, reason)
    return task.change(None, ChangeOutcome.WRITE)


def _look_older(task: Task, key: PublicKey) -> Change:
    if task.beside and _has_bundle(task):
        reason = (
            f"there is a bundle at {task.claim.subject}, and cosign finds no signature of the older layout next to it: "
            "use a side repository, or leave layout out"
        )
        return task.change(None, ChangeOutcome.REFUSED, reason)
    found = tagged(task.side, task.name)
    for layer in () if found is None else cosign.older_layers(found[1]):
        if _is_ours(task, layer, key):
            return task.change(found and found[0].digest, ChangeOutcome.PRESENT)
    if found is not None and not cosign.older_layers(found[1]):
        reason = "the tag holds something else than signatures of the older layout: use a side repository"
        return task.change(found[0].digest, ChangeOutcome.REFUSED, reason)
    return task.change(None, ChangeOutcome.WRITE)


def _has_bundle(task: Task) -> bool:
    """True if the subject has a bundle, or gets one with the delivery. Lists may omit a referrer's type."""
    if task.upstream.bundles:
        return True
    for found in task.image.referrers(task.claim.subject):
        if found.artifact_type.startswith(BUNDLES):
            return True
        with suppress(BlockedError):
            node = _node(task.image, found)
            if node is not None and any(one.media_type.startswith(BUNDLES) for one in node.children):
                return True
    return False


def _is_ours(task: Task, layer: dict[str, Any], key: PublicKey) -> bool:
    if task.claim.is_signature:
        return cosign.simple_signature(layer, key, payload_of(task))
    blob = cosign.envelope_blob(layer, task.claim)
    return blob is not None and cosign.is_enveloped_by(_blob(task.side, blob), task.claim, key)


def payload_of(task: Task) -> bytes:
    """The payload of a signature in the older layout."""
    return cosign.simple_payload(task.claim.subject, str(task.side))


def tagged(repository: RegistryRepository, tag: str) -> tuple[Descriptor, bytes] | None:
    """The manifest under a tag; `None` if there is none."""
    try:
        return repository.manifest(tag)
    except NotFoundError:
        return None


def _node(repository: RegistryRepository, found: Descriptor) -> Node | None:
    """Reads a referrer, because lists may omit its type. `None` if it is gone or is not a manifest."""
    try:
        return parse_node(*repository.manifest(found.digest))
    except (NotFoundError, IntegrityError):
        return None


def _blob(repository: RegistryRepository, blob: Descriptor) -> bytes:
    """The bytes of a small blob; `b""` if it is gone or does not match its digest."""
    try:
        with repository.open(blob) as stream:
            data = read_limited(stream, blob.size)
    except NotFoundError:
        return b""
    return data if Digest.of(data) == blob.digest else b""


def _older_tag(task: Task) -> str:
    """A tag of the older layout that the subject has, or gets with the delivery; `""` for none."""
    for tag in (
        cosign.signature_tag(task.claim.subject),
        cosign.attestation_tag(task.claim.subject),
    ):
        if tag in task.upstream.tags or _there(task.image, tag):
            return tag
    return ""


def _there(repository: RegistryRepository, tag: str) -> bool:
    """True if the tag exists, whether or not it may be read."""
    try:
        repository.holds(tag)
    except NotFoundError:
        return False
    except BlockedError:
        return True
    return True
