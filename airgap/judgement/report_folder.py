"""Scanners' reports as the station takes them along: a folder of files, each named by the digest that it is about."""

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
from airgap.content.lock import Item, Lock
from airgap.kinds.table import kind_of
from airgap.signatures.formats.read import subjects as below
from airgap.signatures.scanner_report import MAX_REPORT, MAX_REPORTS, Report

_NAME = re.compile(r"sha256-([0-9a-f]{64})\.json\Z")
_HINT = "its folder holds reports alone: sha256-<hex>.json, of `trivy image --format cosign-vuln`"


def read_reports(folder: Path) -> tuple[Report, ...]:
    """Every report in a folder, by subject. Names that begin with a dot are passed over.

    Raises `InputError` (`bad-report`): no folder, another file in it, one that is no report, more than `MAX_REPORTS`
    bytes of them.
    """
    if not folder.is_dir():
        raise InputError("bad-report", f"{str(folder)!r} is no folder", "check the path of --reports")
    with disk_errors(folder):
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    found, size = [], 0
    for path in paths:
        named = _NAME.match(path.name)
        if named is None:
            raise InputError("bad-report", f"{path}: not the name of a report", _HINT)
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
    """By lock: what registries inside may hold of it, which is every root of an image or chart and what is below.

    `roots` has the items of all locks, in order. Raises what reading manifests raises.
    """
    rest = iter(roots)
    return {
        lock.digest: frozenset(
            digest
            for item, root in islice(rest, len(lock.items))
            if kind_of(item).signed
            for digest in below(source, root, item.platforms)
        )
        for lock in locks
    }


def check_subjects(reports: Sequence[Report], about: Mapping[Digest, Collection[Digest]]) -> None:
    """Raises `InputError` (`report-unasked`) for a report about something that none of the locks brings."""
    known = {digest for found in about.values() for digest in found}
    for report in reports:
        if report.subject not in known:
            raise InputError(
                "report-unasked",
                f"--reports: {report.subject} is no image, chart or manifest below one of these locks",
                "take its file out, or scan with the lock that brings it",
            )
