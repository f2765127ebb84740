"""What the statements of a delivery must say about one of its locks: for an import, and for who is about to cut one."""

from __future__ import annotations

from datetime import datetime

from airgap.acceptance.beliefs import Beliefs
from airgap.acceptance.locks import EvidenceFiles, carried_reports, check_findings, check_pull, check_verdict, check_vex
from airgap.acceptance.scans import Demands
from airgap.base.digest import Digest
from airgap.content.lock import Lock
from airgap.signatures.scanner_report import Report


def check_lock(
    lock: Lock,
    beliefs: Beliefs,
    carried: EvidenceFiles,
    demands: Demands,
    created: datetime | None,
) -> dict[Digest, Report]:
    """Checks the pull statement, the verdict and the findings of a lock; returns the reports that its verdict names.

    `created` is the time of AIRGAP.json; with `None`, findings are not checked, because a station will judge them.
    Raises `TrustError`.
    """
    beliefs.require_good(lock)
    check_pull(lock, beliefs.about_lock("pull", lock), carried)
    verdicts = beliefs.about("verdict", lock.digest)
    check_verdict(lock, verdicts, carried, beliefs.require_approval, demands)
    check_vex(lock, verdicts, carried.reports)
    if created is not None:
        partial = demands.limits is None or demands.limits.partial is not False
        check_findings(lock, carried.waivers, beliefs.require_approval, created, verdicts, partial=partial)
    return {one.subject: one for one in carried_reports(lock, verdicts, carried.reports)}
