"""How a delivery's content was judged, according to its evidence: verdicts, waivers, trust roots. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airgap.acceptance.locks import read_waiver
from airgap.acceptance.open import evidence_files
from airgap.base.digest import Digest
from airgap.base.times import utc_text
from airgap.bundling.evidence import WAIVERS, root_names
from airgap.content.lock import Lock
from airgap.content.lock_finding import CHECK, LockFinding, finding_lines, findings_json
from airgap.delivery.index import Index
from airgap.delivery.read import Media
from airgap.report.scanned import scanner_lines
from airgap.report.verdict import FEW, finding_answers, passed, passed_lines, refused, refused_lines
from airgap.resources.waiver import WaivedFinding, Waiver
from airgap.statements.approval import Approval
from airgap.statements.statement import Statement
from airgap.statements.trust import unverified
from airgap.statements.verdict import Verdict, allows


@dataclass(frozen=True, slots=True)
class Judged:
    """What travels with the content."""

    verdicts: tuple[tuple[Digest, Verdict], ...]
    """Each with the digest of its lock."""
    waivers: tuple[Waiver, ...]
    """Those that the verdicts name, and others that are approved."""
    roots: Mapping[str, Digest]
    """Trust roots, by name."""
    findings: tuple[LockFinding, ...] = ()
    """What the locks lack of their requests."""

    def unwaived(self, created: datetime) -> list[LockFinding]:
        """The findings that no waiver accepts which was valid at `created`, and no verdict: they refuse it."""
        valid = [one for one in self.waivers if not one.expired(created)]
        open_ones = [one for one in self.findings if not any(waiver.covers(CHECK, one.digest) for waiver in valid)]
        return [one for one in open_ones if not any(allows(verdict, one) for _, verdict in self.verdicts)]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "verdicts": [_verdict(lock, verdict) for lock, verdict in self.verdicts],
            "waivers": [waiver_dict(one) | {"digest": str(one.digest)} for one in self.waivers],
            "trustRoots": [{"name": name, "digest": str(one)} for name, one in self.roots.items()],
            "findings": findings_json(self.findings),
        }

    def lines(self) -> list[str]:
        """The text for people."""
        lines = finding_lines(self.findings)
        for lock, verdict in self.verdicts:
            lines.append(f"verdict {verdict.outcome} on lock {lock}, policy {verdict.policy.name!r}")
            lines += [f"  {line}" for line in scanner_lines(verdict)]
            lines += [*passed_lines(verdict), *refused_lines(verdict)]
            lines += [f"  {line}" for line in finding_answers(verdict)]
            if verdict.reports:
                judged = "" if verdict.gate is not None else "; nobody judged them"
                lines.append(f"  scanner reports for admission inside: {len(verdict.reports)}{judged}")
        for one in self.waivers:
            what = waived_words(one)
            until = f"{one.approver}, until {utc_text(one.expires)}: {one.reason}"
            lines.append(f"waiver {one.name!r}: {what}; {until}")
        if not self.verdicts:
            lines.append("verdict: none; it was not judged by a policy")
        return [*lines, *(f"trust root {name!r}, {digest}" for name, digest in self.roots.items())]


def waiver_dict(waiver: Waiver) -> dict[str, Any]:
    """What a waiver says, for `--json`."""
    return {
        "name": waiver.name,
        "digests": [str(digest) for digest in waiver.digests],
        "match": list(waiver.match),
        "checks": list(waiver.checks),
        "findings": [{"id": one.id, "package": one.package, "path": one.path} for one in waiver.findings],
        "approver": waiver.approver,
        "reason": waiver.reason,
        "expires": utc_text(waiver.expires),
    }


def waived_finding(one: WaivedFinding) -> str:
    """`CVE-2021-36159 in apk-tools`."""
    return f"{one.id} in {one.package or one.path}" if one.package or one.path else one.id


def waived_words(waiver: Waiver) -> str:
    """What a waiver lets pass, and where, in one line."""
    found = [waived_finding(one) for one in waiver.findings]
    more = [f"{len(found) - FEW} more findings"] if len(found) > FEW else []
    what = [f"{' and '.join(waiver.checks)} may fail"] if waiver.checks else []
    what += [f"{', '.join([*found[:FEW], *more])} may be there"] if found else []
    where = f"in {', '.join(waiver.match)}" if waiver.match else f"digests: {len(waiver.digests)}"
    return f"{'; '.join(what)}, {where}"


def _verdict(lock: Digest, verdict: Verdict) -> dict[str, Any]:
    return {
        "lock": str(lock),
        "outcome": verdict.outcome,
        "policy": verdict.policy.as_dict(),
        "trustRoots": [root.as_dict() for root in verdict.trust_roots],
        "waivers": [waiver.as_dict() for waiver in verdict.waivers],
        "reports": len(verdict.reports),
        "passed": [{"way": way, "items": len(names)} for way, names in passed(verdict).items()],
        "refused": refused(verdict),
    }


def judged(media: Media, index: Index, statements: Iterable[Statement] | None = None) -> Judged:
    """What the evidence contains. `statements` are the accepted ones; `None`: all in it, whoever signed them.

    Raises `IntegrityError`, `TrustError`, `NotFoundError` for evidence that does not match the index, or is missing.
    """
    files = evidence_files(media, index)
    if statements is None:
        statements = [unverified(data, name) for name, data in files.items() if name.startswith("statements/")]
    verdicts = [(one.subject, one.body) for one in statements if isinstance(one.body, Verdict)]
    named = {waiver.digest: None for _, verdict in verdicts for waiver in verdict.waivers}
    # Do not parse a file that nobody approved.
    approved = (one.subject for one in statements if isinstance(one.body, Approval))
    named |= {digest: None for digest in approved if f"{WAIVERS}{digest.hex}.yaml" in files}
    locks = [Lock.decode(data, name) for name, data in files.items() if name.startswith("locks/")]
    lacking = {finding: None for lock in locks for finding in lock.findings}
    waivers = [read_waiver(files.get(f"{WAIVERS}{digest.hex}.yaml", b"")) for digest in named]
    return Judged(tuple(verdicts), tuple(waivers), root_names(files), tuple(lacking))
