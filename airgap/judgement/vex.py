"""OpenVEX documents at the station: whose count for which item, and which findings they lift.

A document is a file with its signature beside it, or an attestation that is attached to an image. It counts only if
somebody signed it whom the policy names (`findings.vex`) for the item; others count for nothing, and are reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError
from airgap.base.inputs import read_input
from airgap.base.strict_json import parse_json
from airgap.base.text import one_line
from airgap.base.times import CLOCK_SKEW
from airgap.content.graph import Descriptor, Node, Source, by_platform, walk
from airgap.content.item import Item
from airgap.content.names import RuleNames
from airgap.content.purl import Purl
from airgap.content.reference import parse_reference
from airgap.content.scan_finding import ScanFinding
from airgap.judgement.examination import denial, identities_of, keys_of
from airgap.resources.policy import Policy
from airgap.resources.policy_vex import VexSigner, vex_label
from airgap.signatures.explain import signer_text, weight
from airgap.signatures.formats.bundle import read_bundle
from airgap.signatures.formats.read import MAX_BLOB, read_attached, subjects
from airgap.signatures.record import SIGNATURE, Refusal, Signed, Status, Unread, VerificationResult
from airgap.signatures.verify import Demand, verify
from airgap.signatures.vex import MAX_VEX, PREDICATE_TYPES, VexDocument, VexStatement, VexStatus, read_vex
from airgap.signatures.vex_opinion import ScannedImage, opinion

if TYPE_CHECKING:
    from airgap.signatures.roots.trust_root import TrustRoot

ENDS = (".sigstore.json", ".sigstore", ".bundle")
"""What is added to the name of a file for the name of its signature."""
_SIGN = (
    "get the signature from its author, or sign it (without a network: cosign sign-blob --use-signing-config=false "
    "--tlog-upload=false --key KEY --bundle FILE.sigstore.json FILE); and leave both in one folder"
)


@dataclass(frozen=True, slots=True)
class VexFile:
    """A document from a file, and its signature, which nobody verified."""

    path: str
    data: bytes
    bundle: bytes
    document: VexDocument
    signed: Signed
    want: str
    """What the signature has to be: of the file, or an attestation of this type."""


@dataclass(frozen=True, slots=True)
class TrustedVex:
    """A document that counts for an item, by one entry of the policy."""

    document: VexDocument
    data: bytes
    bundle: bytes
    """The signature of a file; empty for an attestation, which is attached."""
    signer: VexSigner
    label: str
    result: VerificationResult


@dataclass(frozen=True, slots=True)
class VexNote:
    """A document that was met, and whether it counts, for people."""

    where: str
    digest: Digest
    counts: bool
    detail: str
    """By whom it is, or why it does not count."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {"where": self.where, "digest": str(self.digest), "counts": self.counts, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Lift:
    """What lifts a finding: a statement of a document that counts."""

    by: TrustedVex
    statement: VexStatement

    @property
    def words(self) -> str:
        """`vulnerable_code_not_present: patched (signed by key 'vendor')`."""
        why = ": ".join(filter(None, (self.statement.justification, self.statement.impact)))
        return f"{why} ({signer_text(self.by.result)}, {one_line(self.by.document.id)})"


def read_vex_files(paths: Sequence[Path], now: datetime) -> tuple[VexFile, ...]:
    """The documents in files, each once.

    A file is a document with a Sigstore bundle beside it (`ENDS`), or itself a bundle around an attestation. Raises
    `InputError` (`bad-vex`) for what cannot be read, and for what was said in the future.
    """
    found: dict[tuple[Digest, bytes], VexFile] = {}
    for path in paths:
        try:
            one = _read(path)
        except Refusal as refusal:
            raise InputError("bad-vex", f"{path}: {refusal.detail}", "get it again from its author") from refusal
        if said := _in_future(one.document, now):
            raise InputError("bad-vex", f"{path}: {said}", "check this machine's clock; else ask its author")
        found.setdefault((one.document.digest, one.bundle), one)
    return tuple(found.values())


def _read(path: Path) -> VexFile:
    data = read_input(path, MAX_BLOB, "bad-vex")
    if _is_bundle(data, path):
        signed = _signature(path, data, Digest.of(b""), b"")
        document = read_vex(signed.payload)
        about, statement = next(iter(document.subjects or ()), None), signed.statement
        if statement is None or about is None:
            raise Refusal("bad-vex", "a bundle that is no attestation about a sha256 digest")
        return VexFile(
            str(path), signed.payload, data, document, replace(signed, subject=about), statement.predicate_type
        )
    document = read_vex(data)
    beside = next((one for end in ENDS if (one := path.with_name(path.name + end)).exists()), None)
    if beside is None:
        raise InputError("bad-vex", f"{path}: no signature beside it, such as {path.name}{ENDS[0]}", _SIGN)
    bundle = read_input(beside, MAX_BLOB, "bad-vex")
    return VexFile(str(path), data, bundle, document, _signature(beside, bundle, Digest.of(data), data), SIGNATURE)


def _is_bundle(data: bytes, path: Path) -> bool:
    value = parse_json(data, str(path), _not_json)
    return isinstance(value, dict) and "verificationMaterial" in value


def _not_json(what: str) -> AirgapError:
    return InputError("bad-vex", what, "name an OpenVEX document, or a Sigstore bundle around one")


def _signature(path: Path, bundle: bytes, subject: Digest, data: bytes) -> Signed:
    value = parse_json(bundle, str(path), _not_json)
    kind = value.get("mediaType") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        raise InputError("bad-vex", f"{path}: not a Sigstore bundle: it has no mediaType", _SIGN)
    return read_bundle(subject, path.name, kind, {}, bundle, lambda: data)


def _in_future(document: VexDocument, now: datetime) -> str:
    latest = max(one.at for one in document.statements)[0]
    return f"a statement is of {latest.isoformat()}, later than now" if latest > now + CLOCK_SKEW else ""


@dataclass(frozen=True, slots=True)
class VexFiles:
    """The files of one scan, each verified once against each entry of the policy."""

    policy: Policy
    trust_roots: Mapping[str, TrustRoot]
    now: datetime
    trusted: tuple[TrustedVex, ...] = ()
    notes: tuple[VexNote, ...] = ()

    @classmethod
    def of(
        cls, files: Iterable[VexFile], policy: Policy, trust_roots: Mapping[str, TrustRoot], now: datetime
    ) -> VexFiles:
        """Verifies the signatures of files."""
        made = cls(policy, trust_roots, now)
        trusted, notes = list[TrustedVex](), list[VexNote]()
        for one in files:
            good, why = made.verified(one.signed, one.want)
            trusted += [TrustedVex(one.document, one.data, one.bundle, *entry) for entry in good]
            notes.append(VexNote(one.path, one.document.digest, bool(good), signer_text(good[0][2]) if good else why))
        return replace(made, trusted=tuple(trusted), notes=tuple(notes))

    @property
    def signers(self) -> tuple[VexSigner, ...]:
        """Whom the policy names."""
        return self.policy.findings.vex if self.policy.findings is not None else ()

    def verified(
        self, signed: Signed | Unread, want: str, names: RuleNames | None = None
    ) -> tuple[list[tuple[VexSigner, str, VerificationResult]], str]:
        """The entries of the policy that a signature meets; else why it meets none.

        With `names`, only entries that speak of an item with these names.
        """
        found, failed = [], list[VerificationResult]()
        for number, signer in enumerate(self.signers, 1):
            if names is not None and not signer.speaks_of(names):
                continue
            result = verify(signed, self._demand(signer, want))
            if result.verified and (why := denial(self.policy.deny, result.proof)):
                result = replace(result, status=Status.FAILED, reason="denied", detail=why)
            if result.verified:
                found.append((signer, vex_label(number, signer), result))
            else:
                failed.append(result)
        worst = max(failed, key=weight, default=None)
        nobody = "the policy names nobody who may say this (findings.vex)"
        return found, nobody if worst is None else f"{worst.reason}: {worst.detail}"

    def _demand(self, signer: VexSigner, want: str) -> Demand:
        return Demand(
            want=want,
            identities=identities_of(signer.by),
            keys=keys_of(signer.by),
            root=self.trust_roots[signer.trust_root] if signer.trust_root else None,
            logged={"required": True, "optional": False}.get(signer.log),
            now=self.now,
        )

    def case(self, item: Item, source: Source, root: Descriptor, names: RuleNames) -> VexCase:
        """What counts for one item: files, and what is attached to it and to its manifests.

        Raises as reading what is attached does.
        """
        mine = [one for one in self.trusted if one.signer.speaks_of(names)]
        case = VexCase(item, source, root, mine)
        if any(signer.speaks_of(names) for signer in self.signers):
            for subject in subjects(source, root, item.platforms) if item.attached else ():
                for thing in read_attached(source, subject, item.attached):
                    self._attached(thing, names, case)
        return case

    def _attached(self, thing: Signed | Unread, names: RuleNames, case: VexCase) -> None:
        if isinstance(thing, Unread) or thing.statement is None:
            return
        kind = thing.statement.predicate_type
        if kind not in PREDICATE_TYPES:
            return
        good, why = self.verified(thing, kind, names)
        digest, where = Digest.of(thing.payload), f"{case.item.name}: {thing.where}"
        if good:
            try:
                document = read_vex(thing.payload) if len(thing.payload) <= MAX_VEX else None
                why = "too large" if document is None else _in_future(document, self.now)
            except Refusal as refusal:
                document, why = None, refusal.detail
            if document is None or why:
                # It may say that something is affected after all.
                case.unread = f"{where}: {why}"
            else:
                case.trusted += [TrustedVex(document, thing.payload, b"", *entry) for entry in good]
        said = why or signer_text(good[0][2])
        case.notes.append(VexNote(where, digest, bool(good) and not why, said))


@dataclass(slots=True)
class VexCase:
    """The documents that count for one item."""

    item: Item
    source: Source
    root: Descriptor
    trusted: list[TrustedVex]
    notes: list[VexNote] = field(default_factory=list)
    unread: str = ""
    """A document of somebody who may speak, and that cannot be read: then none counts."""

    def lift(self, subject: Digest, findings: Sequence[ScanFinding]) -> list[Lift]:
        """What lifts all of `findings`, which are one vulnerability in one package, in several places; else nothing."""
        image = self._image(subject)
        lifts = [] if self.unread else [self._one(finding, image) for finding in findings]
        return [one for one in lifts if one is not None] if None not in lifts else []

    def _one(self, finding: ScanFinding, image: ScannedImage) -> Lift | None:
        package = Purl.parse(finding.purl)
        mine = [one for one in self.trusted if one.signer.speaks_of_package(package)]
        documents = {one.document.digest: one.document for one in mine}
        found = opinion(documents.values(), finding, image)
        if found is None or found.statement.status is not VexStatus.NOT_AFFECTED:
            return None
        for one in mine:
            justified = found.statement.justification is not None or one.signer.impact_statements
            if one.document.digest == found.document.digest and justified:
                return Lift(one, found.statement)
        return None

    def _image(self, subject: Digest) -> ScannedImage:
        arch = self._platforms().get(subject, "").partition("/")[2].partition("/")[0]
        digests = frozenset({subject, self.root.digest})
        for name, claimed in ((self.item.source, False), (self.item.name, True)):
            try:
                reference = parse_reference(name)
            except InputError:
                continue
            return ScannedImage(subject, digests, reference.name, reference.tag, arch, claimed)
        return ScannedImage(subject, digests)

    def _platforms(self) -> Mapping[Digest, str]:
        if not self.root.is_index:
            return {}
        return dict(self._children())

    def _children(self) -> Iterator[tuple[Digest, str]]:
        for found in walk(self.source, self.root, by_platform(self.item.platforms)):
            if isinstance(found, Node) and found.descriptor.is_index:
                yield from ((child.digest, child.platform) for child in found.children)
