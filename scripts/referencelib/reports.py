"""The page about what `airgap report` writes, and the JSON Schema of it, from the report's own declarations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints

from airgap.report.scans.build import MOST_FINDINGS
from airgap.report.scans.declared import declared, object_schema
from airgap.report.scans.model import ReportFinding, ScanReport

HEAD = """# Reports

Made by `scripts/reference` from `airgap/report/scans/model.py`; change that instead.

`airgap report` writes one model in five formats. `json` has all of it, `jsonl` one finding a line. Their fields are the
interface: fields may be added, none is renamed or removed without a line in the changelog. Every field is always there.
A text without a value is empty, everything else is `null`. Digests are `sha256:` and 64 hex digits, times are RFC 3339
in UTC. Texts of others are one line, and what is not printable in them is escaped. The JSON Schema is
[report.schema.json](report.schema.json).

## Formats

| format | ending | what |
|---|---|---|"""
FORMATS = (
    ("html", ".html", "one page for people, which loads nothing: it opens from a USB stick, and prints"),
    ("json", ".json", "the whole model, `ScanReport` below"),
    (
        "jsonl",
        ".jsonl",
        "one `ReportFinding` a line, for a SIEM; first those for scans without an answer",
    ),
    (
        "sarif",
        ".sarif",
        (
            "SARIF 2.1.0: one run a scanner. `partialFingerprints` has the finding's `fingerprint`; what a "
            "waiver or VEX lets pass has `suppressions`; what was not scanned is a notification of the first run"
        ),
    ),
    (
        "cyclonedx",
        ".cdx.json",
        (
            "CycloneDX 1.6 with `vulnerabilities`. Items and packages with findings are components. `analysis` "
            "has the answer of a waiver or of VEX. The `properties` have the kind, `airgap:kind`"
        ),
    ),
)
FOOT = f"""
A report lists at most {MOST_FINDINGS:,} findings, those that stop an item first, then the worst. `counts` are of all,
and `more` says how many are not listed.
"""


def schema() -> str:
    """The JSON Schema of `--format json`; a line of `jsonl` is one of its findings."""
    made = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "airgap report --format json",
        **object_schema(ScanReport),
    }
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def render() -> str:
    """The whole page: the finding first, because most readers want that."""
    rows = [f"| `{form}` | `{ending}` | {words} |" for form, ending, words in FORMATS]
    parts = ["\n".join([HEAD, *rows, FOOT])]
    classes = dict.fromkeys([ReportFinding, ScanReport, *_inner(ScanReport)])
    for one in classes:
        words = (one.__doc__ or "").split("\n")[0]
        parts.append(f"## {one.__name__}\n\n{words}\n")
        parts.append("\n".join(_table(one)) + "\n")
    return "\n".join(parts)


def _inner(of: type) -> Iterator[type]:
    """The declared classes that the fields of a class have, in their order."""
    for hint in get_type_hints(of, include_extras=False).values():
        for one in _classes(hint):
            yield one
            yield from _inner(one)


def _classes(hint: Any) -> Iterator[type]:
    if is_dataclass(hint) and isinstance(hint, type):
        yield hint
    for one in get_args(hint):
        yield from _classes(one)


def _table(of: type) -> Iterator[str]:
    yield "| field | type | meaning |"
    yield "|---|---|---|"
    for one in declared(of):
        yield f"| `{one.name}` | {one.type} | {one.words} |"
