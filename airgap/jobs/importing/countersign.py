"""Signs admitted content after an import, once, with the Sovereign's own key, so that admission inside finds it.

If a scanner's report or SBOM was delivered with the content, it is attested too, in the same place and layout.
Upstream's signatures stay unchanged. cosign ignores older signatures of an image as soon as any bundle refers to it.
Therefore the Sovereign's signatures go to a side repository, with the image's digest as subject, unless the Sovereign
resource says otherwise. A bundle next to an image that upstream signed only in the older layout is refused. Each
signature is a line of the receipt, so an audit notices a missing one.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, RaceError, UnconfirmedError
from airgap.base.parallel import parallel
from airgap.base.progress import Progress
from airgap.content.forms import Change, ChangeOutcome, Graph, Signs
from airgap.content.graph import Descriptor, Opener, read_node
from airgap.content.reference import own_tag
from airgap.destinations.line import Line
from airgap.destinations.make import Registry
from airgap.jobs.importing.countersigned import BUNDLES, Task, Upstream, found_again, look, payload_of, tagged
from airgap.resources.sovereign import SignaturesConfig
from airgap.signatures import write as cosign
from airgap.statements.keys.file import Signer, load_public
from airgap.station.signatory import Diary
from airgap.store.memory import Memory
from airgap.store.registry.repository import RegistryRepository

DONE = (ChangeOutcome.WRITTEN, ChangeOutcome.PRESENT)
"""Outcomes of lines that are in place."""
DUE = (ChangeOutcome.WRITE, ChangeOutcome.MOVED, ChangeOutcome.PRESENT)
"""Outcomes of lines that would be in place according to a plan."""
ACTION = "countersign"
"""The action's name in the station's log."""
SUBJECTS = 1000
"""Most digests in one line of the log. A line has at most one MiB."""

Claims = Mapping[Digest, Sequence[cosign.Claim]]
"""What is attested besides the signature, by the digest of the manifest: scanners' reports and SBOMs."""
RegistryLine = tuple[Registry, Line[Graph]]


@dataclass(frozen=True, slots=True)
class Countersigner:
    """Signs the content that an import admitted. `places` gives place and layout for the URL of each registry."""

    signer: Signer
    places: Mapping[str, SignaturesConfig]
    diary: Diary

    def plan(self, lines: Sequence[RegistryLine], claims: Claims, jobs: int) -> None:
        """Adds to each line what `run` would sign after the import. Writes nothing."""
        wanted = self._wanted(lines, claims, DUE)
        _tell(wanted, self._looked(wanted, jobs))

    def run(self, lines: Sequence[RegistryLine], claims: Claims, jobs: int, progress: Progress) -> None:
        """Signs the root of each line that is in place, and every manifest below it. Adds the outcome to the line.

        1. Check whether the Sovereign's signature is there already. 2. Record in the log what will be signed. 3. Sign.
        4. Make the signature findable. A failure is a failed change of its line; running the same import again repairs
        it.
        """
        wanted = self._wanted(lines, claims, DONE)
        # 1.
        every = {task.key: task for _, tasks in wanted for task in tasks}
        progress.start("sign", 0, len(every))
        looked = self._looked(wanted, jobs)
        # 2.
        fresh = [every[key] for key, change in looked.items() if change.outcome is ChangeOutcome.WRITE]
        self._note(sorted({task.claim.subject for task in fresh}))

        # 3.
        lacking = _shared(fresh)

        def sign(task: Task) -> _Made:
            progress.item(f"{task.side}@{task.claim.subject}")
            return lacking.get(id(task.side)) or self._sign(task)

        made = parallel(jobs, sign, fresh, "sign")
        # 4.
        looked |= {task.key: change for task, change in zip(fresh, _published(fresh, made, jobs), strict=True)}
        _tell(wanted, looked)
        _retell(wanted, looked)

    # what there is to do

    def _wanted(
        self, lines: Sequence[RegistryLine], claims: Claims, outcomes: Sequence[ChangeOutcome]
    ) -> list[tuple[Line[Graph], list[Task]]]:
        """The lines of registries that get signatures and whose root is (or will be) in place, with their tasks."""
        found = []
        for registry, line in lines:
            config = self.places.get(registry.url)
            if config is None or line.error is not None:
                continue
            if line.changes and line.changes[0].outcome in outcomes:
                found.append((line, list(self._tasks(registry, line, config, claims))))
        return found

    def _tasks(self, registry: Registry, line: Line[Graph], config: SignaturesConfig, claims: Claims) -> Iterator[Task]:
        image = registry.repository(line.changes[0].at)
        side = registry.repository(config.repository) if config.repository else image
        for node in registry.nodes(line.form):
            upstream = _upstream(line.form, node.digest)
            for claim in (cosign.signature(node.digest), *claims.get(node.digest, ())):
                statement = str(Digest.of(claim.statement))
                signs = Signs(str(node.digest), claim.predicate_type, statement, self.signer.key_id)
                older = config.layout == "legacy" or (config.follows and upstream.older)
                yield Task(side, image, node, claim, signs, older, registry.run, upstream)

    def _looked(self, wanted: Sequence[tuple[Line[Graph], Sequence[Task]]], jobs: int) -> dict[tuple[int, str], Change]:
        every = {task.key: task for _, tasks in wanted for task in tasks}
        key = load_public(self.signer.public_key_pem)

        def guarded(task: Task) -> Change:
            try:
                return look(task, key)
            except AirgapError as error:
                return _failed(task, error)

        return dict(zip(every, parallel(jobs, guarded, every.values(), "sign"), strict=True))

    def _note(self, digests: Sequence[Digest]) -> None:
        for at in range(0, len(digests), SUBJECTS):
            self.diary.note(ACTION, *digests[at : at + SUBJECTS])

    # signing

    def _sign(self, task: Task) -> _Made:
        """Puts a signature. No client finds it before it is published."""
        try:
            if task.older:
                made = self._older(task)
            else:
                bundle = cosign.sign_bundle(task.claim, self.signer)
                made = cosign.referrer(task.descriptor, task.claim, bundle, self.diary.clock())
            for descriptor, data in (*made.blobs, (made.manifest, made.data)):
                task.side.put(descriptor, _opener(data))
        except AirgapError as error:
            return error
        return made

    def _older(self, task: Task) -> cosign.Artifact:
        """Appends to the layers under the tag, which may come from an earlier key or an earlier scan."""
        found = tagged(task.side, task.name)
        before = [] if found is None else cosign.older_layers(found[1])
        if task.claim.is_signature:
            payload = payload_of(task)
            return cosign.older(cosign.simple_layer(payload, self.signer), payload, before)
        data = cosign.envelope(task.claim, self.signer)
        return cosign.older(cosign.envelope_layer(task.claim, data), data, before)


_Made = cosign.Artifact | AirgapError
"""A signature that was put, or the error."""


def _shared(tasks: Sequence[Task]) -> dict[int, AirgapError]:
    """Puts the blob that all bundles of a repository share, once.

    Distribution hides a blob while another client writes it. Returns the errors by repository.
    """
    failed: dict[int, AirgapError] = {}
    for side in {id(task.side): task.side for task in tasks if not task.older}.values():
        descriptor, data = cosign.EMPTY
        try:
            side.put(descriptor, _opener(data))
        except AirgapError as error:
            failed[id(side)] = error
    return failed


def _published(tasks: Sequence[Task], made: Sequence[_Made], jobs: int) -> list[Change]:
    """Makes all signatures findable. The referrers of a repository are entered together."""
    sides = {id(task.side): task.side for task in tasks if not task.older}
    entered = {key: _publish(side) for key, side in sides.items()}

    def publish(both: tuple[Task, _Made]) -> Change:
        task, signature = both
        if isinstance(signature, AirgapError):
            return _failed(task, signature)
        descriptor = signature.manifest
        why = _publish_older(task, signature) if task.older else entered[id(task.side)]
        try:
            if why is None and not found_again(task, descriptor.digest):
                why = _lost(task, descriptor.digest)
        except AirgapError as error:
            why = error
        if isinstance(why, UnconfirmedError):
            return task.change(descriptor.digest, ChangeOutcome.WRITE).ended(ChangeOutcome.UNCONFIRMED, why)
        return task.change(descriptor.digest, ChangeOutcome.WRITTEN) if why is None else _failed(task, why)

    return parallel(jobs, publish, list(zip(tasks, made, strict=True)), "sign")


def _publish_older(task: Task, made: cosign.Artifact) -> AirgapError | None:
    """Points the tag to the manifest with one more layer, and keeps a tag on upstream's own manifest.

    A registry cannot compare and swap. So the tag is looked at again just before: if somebody else added to it, their
    signature would be lost.
    """
    try:
        found = tagged(task.side, task.name)
    except AirgapError as error:
        return error
    if (cosign.older_layers(found[1]) if found else []) != cosign.older_layers(made.data)[:-1]:
        what = f"{task.side}:{task.name}: another client added to it meanwhile"
        return RaceError("changed-meanwhile", what, "run the same command again", side="destination")
    names = {task.name: made.manifest}
    if found is not None and task.keeps == found[0].digest:
        names = {own_tag(found[0].digest): found[0], **names}
    return _publish(task.side, names, made)


def _publish(
    repository: RegistryRepository, names: Mapping[str, Descriptor] | None = None, made: cosign.Artifact | None = None
) -> AirgapError | None:
    """Enters what was put, and points `names` to what was `made`."""
    source = Memory("a signature")
    if made is not None:
        source.add(made.manifest.media_type, made.data)
    try:
        repository.publish(names or {}, source)
    except AirgapError as error:
        return error
    return None


def _lost(task: Task, digest: Digest) -> AirgapError:
    what = f"{task.side}: {digest} was put, but clients do not find it at {task.claim.subject}"
    return RaceError("not-listed", what, "run the same command again", side="destination")


def _tell(wanted: Sequence[tuple[Line[Graph], Sequence[Task]]], looked: Mapping[tuple[int, str], Change]) -> None:
    for line, tasks in wanted:
        line.signed = [replace(looked[task.key], item=line.form.item) for task in tasks]


def _retell(wanted: Sequence[tuple[Line[Graph], Sequence[Task]]], looked: Mapping[tuple[int, str], Change]) -> None:
    """Says of upstream's tag that it holds our signatures, too, and under which tag upstream's manifest is kept."""
    for line, tasks in wanted:
        for task in tasks:
            signed = looked[task.key]
            if task.keeps is None or signed.outcome not in DONE:
                continue
            line.changes = [
                replace(one, digest=signed.digest, outcome=signed.outcome if one.outcome in DONE else one.outcome)
                if (one.at, one.name) == (task.side.name, task.name)
                else one
                for one in line.changes
            ]
            kept = Change(line.form.item, task.side.name, own_tag(task.keeps), str(task.keeps), outcome=signed.outcome)
            if signed.outcome is ChangeOutcome.WRITTEN or task.side.find(kept.name) is not None:
                line.signed = [*line.signed, kept]


def _upstream(form: Graph, subject: Digest) -> Upstream:
    attached = [one for one in form.attached if one.subject == subject]
    nodes = [read_node(form.source, one.descriptor) for one in attached if one.how == "referrer"]
    bundles = any(layer.media_type.startswith(BUNDLES) for node in nodes for layer in node.children)
    return Upstream({one.tag: one.descriptor.digest for one in attached if one.tag}, bundles)


def _failed(task: Task, error: AirgapError) -> Change:
    return task.change(None, ChangeOutcome.FAILED).ended(ChangeOutcome.FAILED, error.with_where("not signed"))


def _opener(data: bytes) -> Opener:
    return lambda offset: io.BytesIO(data[offset:])
