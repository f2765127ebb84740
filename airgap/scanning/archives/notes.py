"""`Notes`: the findings in one layer or file, with a limit for each rule."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from airgap.base.amounts import count
from airgap.base.digest import Digest
from airgap.base.text import one_line
from airgap.content.scan_finding import MAX_TEXT, FindingKind, ScanFinding, Severity

MAX_EACH = 20
"""Findings of one rule that are listed; more are counted."""
SHOWN = 512
"""Characters of a path or a name that a finding shows; the middle of a longer one is left out."""


class Notes:
    """Collects findings. One thread uses it."""

    def __init__(self) -> None:
        self._found: list[ScanFinding] = []
        self._counts = Counter[tuple[str, Severity]]()

    def add(self, rule: str, severity: Severity, title: str, path: str = "") -> None:
        """A finding of the kind `archive`. `title` may quote what strangers wrote."""
        self._add(ScanFinding(FindingKind.ARCHIVE, rule, severity, title=shown(title), path=shown(path)))

    def missed(self, rule: str, title: str, path: str = "") -> None:
        """A finding of the kind `coverage`: something was not looked at."""
        self._add(ScanFinding(FindingKind.COVERAGE, rule, Severity.UNKNOWN, title=shown(title), path=shown(path)))

    def findings(self, layer: Digest | None) -> tuple[ScanFinding, ...]:
        """All of them, in a layer."""
        more = [
            ScanFinding(
                FindingKind.ARCHIVE, rule, severity, title=f"{count(number - MAX_EACH, 'more finding')} of this"
            )
            for (rule, severity), number in sorted(self._counts.items())
            if number > MAX_EACH
        ]
        return tuple(replace(one, layer=layer) for one in (*self._found, *more))

    def _add(self, finding: ScanFinding) -> None:
        key = (finding.id, finding.severity)
        self._counts[key] += 1
        if self._counts[key] <= MAX_EACH:
            self._found.append(finding)


def shown(text: str) -> str:
    """A text on one line, not too long."""
    line = one_line(text)
    if len(line) > SHOWN:
        line = f"{line[: SHOWN // 2]}…{line[-SHOWN // 2 :]}"
    return line[:MAX_TEXT]
