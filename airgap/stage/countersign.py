"""After an import: what was admitted is signed by the Sovereign's own key, once, so that admission inside finds it.

Upstream's signatures stay what they are. cosign sees no older signature of an image beside which any bundle lies, so
ours lie in a side repository, with the image's digest as subject, unless the Sovereign resource says otherwise; and a
bundle beside an image that upstream signed in the older layout alone is refused. Each signature is a line of the
receipt: an audit finds one that is gone.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airgap.destinations.graph import GraphDestination
from airgap.digest import Digest
from airgap.errors import AirgapError, NotFoundError
from airgap.forms import Change, Graph, Verdict
from airgap.graph import Descriptor, Opener, parse_node, read_limited
from airgap.parallel import parallel
from airgap.progress import Progress
from airgap.resources.model import SignaturesConfig
from airgap.stage.station import Diary
from airgap.store.registry import Repository
from airgap.trust import cosign_statement as cosign
from airgap.trust.dsse import MAX_BUNDLE
from airgap.trust.keys import Signer, load_public

if TYPE_CHECKING:
    from airgap.stage.import_ import Line

DONE = (Verdict.WRITTEN, Verdict.PRESENT)
ACTION = "countersign"
"""What the station's log calls it."""
SUBJECTS = 1000
"""Digests in one line of the log, which has at most one MiB."""
_BUNDLES = "application/vnd.dev.sigstore.bundle"
"""How the media type of a bundle begins, whatever its version: what cosign looks for."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """One manifest or index at one registry, and where its signature goes."""

    repository: Repository
    """Where the signature goes."""
    image: Repository
    """Where the subject is."""
    descriptor: Descriptor
    config: SignaturesConfig

    @property
    def digest(self) -> Digest:
        """That of the subject."""
        return self.descriptor.digest

    @property
    def key(self) -> tuple[int, Digest]:
        """One digest in two repositories is one signature in a side repository, and two beside."""
        return id(self.repository), self.digest


@dataclass(frozen=True, slots=True)
class Countersigner:
    """Signs what an import admitted. `places` has, by a registry's URL, where and in which layout."""

    signer: Signer
    places: Mapping[str, SignaturesConfig]
    diary: Diary

    def run(self, lines: Sequence[Line], jobs: int, progress: Progress) -> None:
        """Signs the root of each line that is in place, and every manifest below it; adds what came of it to the line.

        1. Look whether our signature is there already. 2. Note in the log what will be signed. 3. Sign. 4. Make it
        findable. What fails is a failed change of its line, and the same import again mends it.
        """
        wanted = [(line, _subjects(line, config)) for line, config in self._lines(lines)]
        every = {subject.key: subject for _, subjects in wanted for subject in subjects}
        progress.start("sign", 0, len(every))
        # 1.
        found = parallel(jobs, lambda one: _guarded(self._look, one), every.values(), "sign")
        looked = dict(zip(every, found, strict=True))
        # 2.
        fresh = [every[key] for key, change in looked.items() if change.outcome is Verdict.WRITE]
        self._note(sorted({subject.digest for subject in fresh}))

        # 3.
        def sign(subject: _Subject) -> _Made:
            progress.item(f"{subject.repository}@{subject.digest}")
            return self._sign(subject)

        made = parallel(jobs, sign, fresh, "sign")
        # 4.
        for subject, change in zip(fresh, _published(fresh, made), strict=True):
            looked[subject.key] = change
        for line, subjects in wanted:
            changes = (looked[subject.key] for subject in subjects)
            line.signed = [replace(one, item=line.form.item) for one in changes]

    def _lines(self, lines: Sequence[Line]) -> Iterator[tuple[Line, SignaturesConfig]]:
        """The lines of registries that get signatures, whose root is in place."""
        for line in lines:
            config = self.places.get(line.destination.url)
            if config is None or line.error is not None or not isinstance(line.form, Graph):
                continue
            if line.changes and line.changes[0].outcome in DONE:
                yield line, config

    def _note(self, digests: Sequence[Digest]) -> None:
        for at in range(0, len(digests), SUBJECTS):
            self.diary.note(ACTION, *digests[at : at + SUBJECTS])

    # 1. looking

    def _look(self, subject: _Subject) -> Change:
        """PRESENT with the signature's digest, REFUSED with the reason, or WRITE."""
        key = load_public(self.signer.public_key_pem)
        if subject.config.layout == "legacy":
            return self._look_simple(subject)
        bundles = 0
        for found in subject.repository.referrers(subject.digest):
            layer = _bundle_layer(subject.repository, found)
            if layer is None:
                continue
            bundles += 1
            with subject.repository.open(layer) as stream:
                data = read_limited(stream, MAX_BUNDLE)
            if Digest.of(data) == layer.digest and cosign.is_signed_by(data, subject.digest, key):
                return _change(subject, "", found.digest, Verdict.PRESENT)
        tag = _older(subject) if subject.repository is subject.image and not bundles else ""
        if tag:
            reason = (
                f"upstream signed it as {tag}, which cosign would not see any more beside a bundle of ours: "
                "use a side repository, or layout: legacy"
            )
            return _change(subject, "", subject.digest, Verdict.REFUSED, reason)
        return _change(subject, "", subject.digest, Verdict.WRITE)

    def _look_simple(self, subject: _Subject) -> Change:
        key, tag = load_public(self.signer.public_key_pem), cosign.signature_tag(subject.digest)
        found = _tagged(subject.repository, tag)
        if found is None:
            return _change(subject, tag, subject.digest, Verdict.WRITE)
        layers = cosign.simple_layers(found[1])
        payload = _payload(subject)
        if any(cosign.simple_signature(layer, key, payload) for layer in layers):
            return _change(subject, tag, found[0].digest, Verdict.PRESENT)
        if subject.repository is subject.image:
            reason = "the tag holds other signatures, which are not ours to change: use a side repository"
            return _change(subject, tag, found[0].digest, Verdict.REFUSED, reason)
        return _change(subject, tag, subject.digest, Verdict.WRITE)

    # 3. signing

    def _sign(self, subject: _Subject) -> _Made:
        """Puts a signature, which nobody finds before it is published."""
        try:
            if subject.config.layout == "legacy":
                made = self._simple(subject)
            else:
                bundle = cosign.sign_bundle(subject.digest, self.signer)
                made = cosign.referrer(subject.descriptor, bundle, self.diary.clock())
            for descriptor, data in (*made.blobs, (made.manifest, made.data)):
                subject.repository.put(descriptor, _opener(data))
        except AirgapError as error:
            return error
        return made.manifest

    def _simple(self, subject: _Subject) -> cosign.Artifact:
        """Behind the signatures that are under the tag: a key that was rotated signed before."""
        found = _tagged(subject.repository, cosign.signature_tag(subject.digest))
        layers = [] if found is None else cosign.simple_layers(found[1])
        return cosign.simple(_payload(subject), self.signer, layers)


_Made = Descriptor | AirgapError
"""The manifest of a signature that was put, or why there is none."""


def _published(subjects: Sequence[_Subject], made: Sequence[_Made]) -> Iterator[Change]:
    """Makes all of them findable; a repository's referrers are entered together."""
    entered: dict[int, AirgapError | None] = {}
    for subject, signature in zip(subjects, made, strict=True):
        if isinstance(signature, AirgapError):
            yield _failed(subject, signature)
            continue
        repository, tag = subject.repository, ""
        if subject.config.layout == "legacy":
            tag = cosign.signature_tag(subject.digest)
            why = _publish(repository, {tag: signature})
        else:
            if id(repository) not in entered:
                entered[id(repository)] = _publish(repository, {})
            why = entered[id(repository)]
        if why is None:
            yield _change(subject, tag, signature.digest, Verdict.WRITTEN)
        else:
            yield _failed(subject, why)


def _publish(repository: Repository, names: Mapping[str, Descriptor]) -> AirgapError | None:
    try:
        repository.publish(names)
    except AirgapError as error:
        return error
    return None


def _subjects(line: Line, config: SignaturesConfig) -> list[_Subject]:
    destination, form = line.destination, line.form
    if not isinstance(destination, GraphDestination) or not isinstance(form, Graph):
        raise TypeError("only graphs are signed")
    image = destination.repository(line.changes[0].at)
    side = destination.repository(config.repository) if config.repository else image
    if not isinstance(image, Repository) or not isinstance(side, Repository):
        raise TypeError("only registries have signatures")
    return [_Subject(side, image, node, config) for node in destination.nodes(form)]


def _change(
    subject: _Subject, name: str, digest: Digest, outcome: Verdict, reason: str = ""
) -> Change:
    return Change("", subject.repository.name, name, str(digest), outcome=outcome, reason=reason)


def _guarded(work: Callable[[_Subject], Change], subject: _Subject) -> Change:
    try:
        return work(subject)
    except AirgapError as error:
        return _failed(subject, error)


def _failed(subject: _Subject, error: AirgapError) -> Change:
    return _change(subject, "", subject.digest, Verdict.FAILED, f"not signed: {error}")


def _bundle_layer(repository: Repository, found: Descriptor) -> Descriptor | None:
    """The bundle of a referrer, by its layer's type as cosign does it: lists may leave the artifact type out."""
    try:
        descriptor, data = repository.manifest(found.digest)
        layers = [
            one
            for one in parse_node(descriptor, data).children
            if one.media_type.startswith(_BUNDLES)
        ]
    except NotFoundError:
        return None  # listed, and gone
    return layers[0] if len(layers) == 1 else None


def _older(subject: _Subject) -> str:
    """A tag of the older layout that the subject has where it is, `""` for none."""
    for tag in (cosign.signature_tag(subject.digest), cosign.attestation_tag(subject.digest)):
        if subject.image.find(tag) is not None:
            return tag
    return ""


def _tagged(repository: Repository, tag: str) -> tuple[Descriptor, bytes] | None:
    try:
        return repository.manifest(tag)
    except NotFoundError:
        return None


def _payload(subject: _Subject) -> bytes:
    return cosign.simple_payload(subject.digest, str(subject.repository))


def _opener(data: bytes) -> Opener:
    return lambda offset: io.BytesIO(data[offset:])
