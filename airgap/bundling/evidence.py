"""evidence.tar: the locks, and all statements about them that the far side may check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError, TrustError
from airgap.base.inputs import read_input
from airgap.base.json_fields import Fields
from airgap.base.known_files import not_expected
from airgap.base.strict_json import parse_json
from airgap.bundling.gate import full_lock, recorded
from airgap.content.lock import Lock
from airgap.delivery import tar as tape
from airgap.delivery.index import MAX_EVIDENCE
from airgap.resources.waiver import Waiver
from airgap.statements.approval import Approvable, Approval, Approves
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE
from airgap.statements.scans import PACKED, SBOMS, SCANS
from airgap.statements.statement import article, predicate_type
from airgap.statements.trust import unverified
from airgap.statements.verdict import Verdict
from airgap.station.files import Records
from airgap.station.scans import ScanRecords

SUFFIX = ".sigstore.json"
RECORDED = ("pull", "verdict", "approval")
"""Kinds of statements that a station keeps next to its store, in their order in the evidence."""

FULL = "full/"
"""The folder of locks from which others were promoted, each named by its digest."""
WAIVERS = "waivers/"
"""The folder of waivers in evidence.tar, each named by its digest."""
ROOTS = "roots/"
"""The folder of trust roots in evidence.tar, each named by its digest."""
ROOT_NAMES = f"{ROOTS}names.json"
REPORTS = "reports/"
"""The folder of scanner reports in evidence.tar, each named by its digest."""

VEX = "vex/"
"""The folder of OpenVEX documents in evidence.tar, each named by its digest; with the signatures of those in files."""


@dataclass(frozen=True, slots=True)
class ApprovalFile:
    """A signed approval of a lock, read from a file. The far side's Trust resource decides who may approve."""

    lock: Digest
    bundle: bytes


@dataclass(frozen=True, slots=True)
class Approved:
    """A waiver that counts, with the approval that makes it count."""

    waiver: Waiver
    approval: bytes
    """The bundle."""


def beside(lock: Path) -> list[Path]:
    """The statements that `airgap sign LOCK` wrote next to a lock file."""
    return sorted(lock.parent.glob(f"{_literal(lock.name)}.*{SUFFIX}"))


def _literal(name: str) -> str:
    """A pattern that matches only this file name."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def read_approval(path: Path, locks: Sequence[Lock]) -> ApprovalFile:
    """Reads an approval of one of `locks`. Raises `InputError` (`bad-approval`) for anything else, `TrustError` for an
    approval of another kind of thing.

    An approval of another version of a lock is refused and not skipped, because its signer did not see this version.
    """
    hint = "have exactly this lock approved: airgap sign LOCK --key KEY --role security-officer"
    data = read_input(path, MAX_EVIDENCE_BUNDLE, "bad-approval")
    try:
        statement = unverified(data, str(path))
    except InputError:
        raise
    except AirgapError as error:
        what = not_expected(str(path), data, "a signed statement", error.what)
        raise InputError("bad-approval", what, hint) from error
    if not isinstance(statement.body, Approval):
        raise InputError("bad-approval", f"{path}: got {article(statement.kind)} statement, expected an approval", hint)
    if all(statement.subject != lock.digest for lock in locks):
        named = ", ".join(f"{lock.name!r} {lock.digest}" for lock in locks)
        raise InputError("bad-approval", f"{path}: is about {statement.subject}, expected {named}", hint)
    statement.body.check(Approves(Approvable.LOCK), str(path))
    return ApprovalFile(statement.subject, data)


@dataclass(frozen=True, slots=True)
class CarriedRoot:
    """A trust root to include, so that `airgap trust pin DELIVERY` can add it on the far side."""

    name: str
    data: bytes
    """A trusted_root.json."""
    proof: bytes = b""
    """The TUF metadata that came with it, as a tar; empty if there is none."""


def root_files(trust_roots: Sequence[CarriedRoot]) -> dict[str, bytes]:
    """The members of evidence.tar that carry `trust_roots`, and the one that lists their names."""
    files: dict[str, bytes] = {}
    for root in trust_roots:
        digest = Digest.of(root.data)
        files[f"{ROOTS}{digest.hex}.json"] = root.data
        if root.proof:
            files[f"{ROOTS}{digest.hex}.tuf.tar"] = root.proof
    if files:
        # If two have the same name, the first counts: requested trust roots come before those of verdicts.
        names = {root.name: str(Digest.of(root.data)) for root in reversed(trust_roots)}
        files[ROOT_NAMES] = canonical(names)
    return files


def root_names(files: Mapping[str, bytes]) -> dict[str, Digest]:
    """The trust roots in the members of evidence.tar, by name. Raises `TrustError` (`evidence-mismatch`)."""
    document = parse_json(files.get(ROOT_NAMES, b"{}"), ROOT_NAMES)
    names = sorted(document) if isinstance(document, dict) else []
    fields = Fields.of(document, frozenset(names), ROOT_NAMES, _mismatch)
    return {name: fields.digest(name) for name in names}


def _mismatch(what: str) -> AirgapError:
    return TrustError("evidence-mismatch", f"evidence.tar: {what}", "have the delivery cut again")


def _judged_by(verdicts: Sequence[Verdict | None], records: Records) -> list[CarriedRoot]:
    """The trust roots that verdicts name, as far as the records contain them."""
    named = {(one.name, one.digest): None for verdict in verdicts if verdict for one in verdict.trust_roots}
    found = ((name, records.root(digest)) for name, digest in named)
    return [CarriedRoot(name, data) for name, data in found if data is not None]


def _vex_files(verdicts: Sequence[Verdict | None], records: Records) -> dict[str, bytes]:
    """The OpenVEX documents that verdicts name, and the signatures of those that came in files."""
    files: dict[str, bytes] = {}
    for document in {named.digest: None for one in verdicts if one for named in one.vex}:
        files[f"{VEX}{document.hex}.json"] = records.vex(document) or b""
        signature = records.vex_signature(document)
        files |= {} if signature is None else {f"{VEX}{document.hex}{SUFFIX}": signature}
    return files


def scan_files(verdicts: Sequence[Verdict], scans: ScanRecords) -> dict[str, bytes]:
    """The results that verdicts name, and the SBOMs that those name, compressed as the records have them."""
    results, sboms = dict[str, bytes](), dict[str, bytes]()
    for scan in {scan.result: scan for one in verdicts for scan in one.scans}.values():
        data, sbom = scans.named(scan) or (b"", None)
        results[f"{SCANS}{scan.result.hex}{PACKED}"] = data
        if sbom is not None:
            sboms[f"{SBOMS}{sbom.hex}{PACKED}"] = scans.packed_sbom(sbom) or b""
    return results | sboms


def make_evidence(
    locks: Sequence[Lock],
    records: Records,
    approvals: Sequence[ApprovalFile] = (),
    trust_roots: Sequence[CarriedRoot] = (),
    accepted: Sequence[Approved] = (),
) -> tuple[bytes, tuple[tuple[str, Digest], ...]]:
    """Builds evidence.tar, and the list of its statements for the index.

    For each verdict it includes the waivers that the verdict names, with their approvals, because the reader judges
    them again; its trust roots, so that the far side can add them; and the OpenVEX documents, scanner reports and scan
    results that it names, with their SBOMs. With a promoted lock go its full lock and the pull statements about that.
    `accepted` are waivers of findings in locks without a verdict. Raises `InputError` (`evidence-too-large`).
    """
    files = {f"locks/{lock.digest.hex}.json": lock.encode() for lock in locks}
    for full in filter(None, (full_lock(lock, records) for lock in locks)):
        files[f"{FULL}{full.digest.hex}.json"] = full.encode()
    statements: dict[Digest, str] = {}
    verdicts = [recorded(records, lock, Verdict) for lock in locks]
    given = {one.waiver.digest: one for one in accepted}
    waivers = list({used.digest: None for one in verdicts if one for used in one.waivers} | dict.fromkeys(given))
    for kind in RECORDED:
        subjects = [one for lock in locks for one in (lock.pulled_as if kind == "pull" else (lock.digest,))]
        for subject in [*subjects, *waivers] if kind == "approval" else subjects:
            found = [records.statement(kind, subject)]
            if kind == "approval":
                found += records.received(kind, subject)
                found += [approval.bundle for approval in approvals if approval.lock == subject]
                found += [given[subject].approval] if subject in given else []
            for bundle in found:
                if bundle is not None:
                    digest = Digest.of(bundle)
                    files[f"statements/{digest.hex}{SUFFIX}"] = bundle
                    statements.setdefault(digest, predicate_type(kind))
    for waiver in waivers:
        own = given[waiver].waiver.raw if waiver in given else records.waiver(waiver)
        files[f"{WAIVERS}{waiver.hex}.yaml"] = own or b""
    files |= root_files([*trust_roots, *_judged_by(verdicts, records)])
    files |= _vex_files(verdicts, records)
    for report in {named.digest: None for one in verdicts if one for named in one.reports}:
        files[f"{REPORTS}{report.hex}.json"] = records.report(report) or b""
    files |= scan_files([one for one in verdicts if one], ScanRecords(records.folder))
    packed = tape.pack(files.items())
    if len(packed) > MAX_EVIDENCE:
        raise InputError(
            "evidence-too-large",
            f"the evidence would have {len(packed)} bytes, but an import reads at most {MAX_EVIDENCE}",
            "bundle fewer locks at once, or scan with smaller --reports; scan results and SBOMs count, too",
        )
    return packed, tuple((kind, digest) for digest, kind in statements.items())
