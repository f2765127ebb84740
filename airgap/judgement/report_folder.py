"""Scanners' reports for the station to include: a folder of files, each named by the digest that it is about."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.disk import disk_errors
from airgap.base.errors import InputError, TrustError
from airgap.base.inputs import read_input
from airgap.content.graph import Descriptor, Source
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.kinds.table import kind_of
from airgap.signatures.formats.read import subjects as below
from airgap.signatures.scanner_report import MAX_REPORT, MAX_REPORTS, Report

_NAME = re.compile(r"sha256-([0-9a-f]{64})\.json\Z")
_HINT = "keep only reports in this folder: sha256-<hex>.json files from `trivy image --format cosign-vuln`"


def read_reports(folder: Path) -> tuple[Report, ...]:
    """Reads every report in a folder, sorted by subject. Names that begin with a dot are ignored.

    Raises `InputError` (`bad-report`): not a folder, another file in it, a file that is not a report, or more than
    `MAX_REPORTS` bytes of reports.
    """
    if not folder.is_dir():
        raise InputError("bad-report", f"{str(folder)!r} is not a folder", "check the path of --reports")
    with disk_errors(folder):
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    found, size = [], 0
    for path in paths:
        named = _NAME.match(path.name)
        if named is None:
            raise InputError("bad-report", f"{path}: the file name is not that of a report", _HINT)
        data = read_input(path, MAX_REPORT, "bad-report")
        size += len(data)
        if size > MAX_REPORTS:
            what = f"{folder}: more than {MAX_REPORTS} bytes of reports"
            raise InputError("bad-report", what, "scan fewer locks at once, or leave some reports out")
        try:
            found.append(Report.read(Digest(f"sha256:{named[1]}"), data, str(path)))
        except TrustError as error:
            raise InputError(error.code, error.what, _HINT) from error
    return tuple(found)


def subjects(
    locks: Sequence[Lock], roots: Sequence[tuple[Item, Descriptor]], source: Source
) -> dict[Digest, frozenset[Digest]]:
    """By lock: the digests that registries inside may contain from it: every root of an image or chart, and all below.

    `roots` has the items of all locks, in order. Raises as reading manifests does.
    """
    rest = iter(roots)
    return {
        lock.digest: frozenset(
            one.digest
            for item, root in islice(rest, len(lock.items))
            if kind_of(item).signed
            for one in below(source, root, item.platforms)
        )
        for lock in locks
    }


def check_subjects(reports: Sequence[Report], about: Mapping[Digest, Collection[Digest]]) -> None:
    """Raises `InputError` (`report-unasked`) for a report about something that is in none of the locks."""
    known = {digest for found in about.values() for digest in found}
    for report in reports:
        if report.subject not in known:
            raise InputError(
                "report-unasked",
                f"--reports: {report.subject} is not an image, a chart or a manifest below one in these locks",
                "remove its file from the folder, or scan with the lock that contains it",
            )
