"""Every id by which a scan says that it did not read something has a row in the runbook."""

from __future__ import annotations

import re

from tests.worlds.source_codes import ROOT

GIVEN = re.compile(
    r'(?:_said|not_read|missed)\(\s*"([a-z-]+)"|ModelRule\("(not-read-[a-z]+)"|FindingKind\.COVERAGE,\s*"([a-z-]+)"'
)
NAMED = re.compile(r'^[A-Z_]+ = "(clamd-limit|unreadable-[a-z]+)"$', re.MULTILINE)


def test_each_id_of_coverage_has_a_row() -> None:
    rooms = [ROOT / "airgap" / name for name in ("scanning", "kinds", "statements")]
    source = "\n".join(path.read_text() for room in rooms for path in sorted(room.rglob("*.py")))
    given = {name for match in GIVEN.finditer(source) for name in match.groups() if name}
    given |= set(NAMED.findall(source))
    assert {"os-unknown", "file-unread", "artifact", "lfs-not-carried", "not-read-limit", "no-packages"} < given
    text = (ROOT / "docs" / "runbooks" / "scanner.md").read_text()
    rows = {
        name for cell in re.findall(r"^\| (`[^|]+`) \|", text, re.MULTILINE) for name in re.findall("`([^`]+)`", cell)
    }
    assert sorted(given - rows) == []
