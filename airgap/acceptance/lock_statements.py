"""What the statements of a delivery must say about one of its locks: for an import, and for who is about to cut one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from airgap.acceptance.beliefs import Beliefs
from airgap.acceptance.locks import carried_reports, check_findings, check_pull, check_verdict, check_vex
from airgap.base.digest import Digest
from airgap.content.lock import Lock
from airgap.signatures.scanner_report import Report


def check_lock(
    lock: Lock,
    beliefs: Beliefs,
    roots: Mapping[str, Digest],
    waivers: Mapping[Digest, bytes],
    reports: Mapping[Digest, bytes],
    created: datetime | None,
) -> dict[Digest, Report]:
    """Checks the pull statement, the verdict and the findings of a lock; returns the reports that its verdict names.

    `created` is the time of AIRGAP.json; with `None`, findings are not checked, because a station will judge them.
    Raises `TrustError`.
    """
    beliefs.require_good(lock)
    check_pull(lock, beliefs.about_lock("pull", lock))
    verdicts = beliefs.about("verdict", lock.digest)
    check_verdict(lock, verdicts, roots, waivers, beliefs.require_approval)
    check_vex(lock, verdicts, reports)
    if created is not None:
        check_findings(lock, waivers, beliefs.require_approval, created, verdicts)
    return {one.subject: one for one in carried_reports(lock, verdicts, reports)}
