"""The formats of a report, by name, and which one a file's name asks for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from airgap.report.scans.cyclonedx import cyclonedx
from airgap.report.scans.declared import as_json
from airgap.report.scans.html import html_page
from airgap.report.scans.lines import finding_lines
from airgap.report.scans.model import ScanReport
from airgap.report.scans.sarif import sarif

ENDINGS = (
    (".html", "html"),
    (".htm", "html"),
    (".sarif", "sarif"),
    (".sarif.json", "sarif"),
    (".cdx.json", "cyclonedx"),
    (".jsonl", "jsonl"),
    (".ndjson", "jsonl"),
    (".json", "json"),
)
"""The first that fits counts."""


def written(report: ScanReport, form: str) -> bytes:
    """The report in a format of `FORMATS`. Raises `InputError` (`missing-extra`) for HTML without Jinja2."""
    return b"".join(FORMATS[form](report))


def form_of(name: str) -> str:
    """The format that the name of a file asks for; empty for another ending."""
    plain = PurePath(name).name.casefold()
    return next((form for ending, form in ENDINGS if plain.endswith(ending)), "")


def _document(value: Any) -> Iterator[bytes]:
    """One line of JSON. Its keys keep their order, so that a file can be recognized by its beginning."""
    yield json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _lines(report: ScanReport) -> Iterator[bytes]:
    for one in finding_lines(report):
        yield from _document(as_json(one))


FORMATS: Mapping[str, Callable[[ScanReport], Iterator[bytes]]] = {
    "html": html_page,
    "json": lambda report: _document(as_json(report)),
    "jsonl": _lines,
    "sarif": lambda report: _document(sarif(report)),
    "cyclonedx": lambda report: _document(cyclonedx(report)),
}
