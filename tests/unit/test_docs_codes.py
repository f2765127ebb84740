"""The runbooks' tables of codes: each code is one that airgap gives, and each that it gives has a row or a reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.worlds.source_codes import ROOT, exits, source

RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))

HANDED_ON = {
    "jobs/keys.py: error.code",
    "destinations/s3/client.py: ours",
    "base/inputs.py: code",
    "bundling/selected.py: error.code",
    "bundling/gate.py: found.code",
    "bundling/gate.py: lacking.code",
    "judgement/report_folder.py: error.code",
    "store/registry/errors.py: code",
    "store/registry/errors.py: known.code",
    "scanning/run.py: code",
    "scanning/run.py: result.not_run",
    "scanning/sboms.py: error.code",
    "tools/git_faults.py: fault.code",
    "tools/trivy.py: code",
    "acceptance/locks.py: code",
    "acceptance/scans.py: code",
    "acceptance/locks.py: found.code",
    "acceptance/locks.py: lacking.code",
    "acceptance/promoted.py: error.code",
    "acceptance/steps.py: error.code",
    "signatures/formats/strict.py: reason",
}
"""Codes that come from another error, or out of one of the calls and tables above."""

NO_ROW: Mapping[str, Sequence[str]] = {
    "a server that answers nonsense: the message has its answer, and who runs it must look": (
        "answer-too-large", "bad-catalog", "bad-engine-answer", "bad-hub-answer", "bad-location", "bad-range",
        "bad-tag-list", "bad-token", "conflict", "endless-list", "lfs-answer", "not-a-manifest",
        "not-an-index", "not-json", "precondition-failed", "too-many-redirects",
        "too-many-referrers", "too-much-output",
    ),
    "content that is malformed where it was made: nobody here can mend it": (
        "bad-digest", "bad-git-graph", "bad-json", "bad-manifest", "blob-mismatch",
        "git-prerequisite", "git-wrong-ref", "layer-mismatch", "lfs-pointer",
    ),
    "said inside another error or finding, never the first thing that people see": (
        "blob-missing", "cannot-list", "interrupted", "no-layout", "stopped",
    ),
    "a Trust resource that its schema refuses before": ("unknown-role",),
}  # fmt: skip
"""Codes that need no row, by the reason."""


# what the source says


# what the runbooks say


def rows(path: Path) -> list[str]:
    """The codes in the first cells of the tables of codes."""
    found: list[str] = []
    inside = False
    for line in path.read_text("utf-8").splitlines():
        if not line.startswith("|"):
            inside = False
        elif line.startswith("| code |"):
            inside = True
        elif inside:
            found += re.findall(r"`([^`]+)`", line.split("|")[1])
    return found


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.name)
def test_every_code_of_a_runbook_is_one_that_airgap_gives(path: Path) -> None:
    listed = rows(path)
    assert listed
    assert sorted(set(listed) - source()[0]) == []
    assert len(listed) == len(set(listed)), "a code has two rows"


def test_every_code_has_a_row_or_a_reason() -> None:
    listed = {code for path in RUNBOOKS for code in rows(path)}
    without = {code for group in NO_ROW.values() for code in group}
    assert sorted(source()[0] - listed - without) == []
    assert sorted(without & listed) == [], "it has a row by now"
    assert sorted(without - source()[0]) == [], "airgap does not give it any more"


def test_the_source_is_read_whole() -> None:
    assert sorted(source()[1]) == sorted(HANDED_ON)


def test_codes_are_plain_words() -> None:
    assert [code for code in source()[0] if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)] == []


def interface() -> list[tuple[str, set[int]]]:
    """The codes of the page that scripts may rely on, with their exit codes."""
    page = (ROOT / "docs" / "reference" / "codes.md").read_text("utf-8")
    found = re.findall(r"^\| `([^`]+)` \| ([\d, ]+) \|", page, re.MULTILINE)
    return [(code, {int(one) for one in exits.split(", ")}) for code, exits in found]


def test_the_codes_that_scripts_may_rely_on_exist() -> None:
    listed = [code for code, _ in interface()]
    assert sorted(set(listed) - source()[0]) == []
    assert len(listed) == len(set(listed)), "a code has two rows"
    assert 35 <= len(listed) <= 50, "about 50 codes are the interface; the others are details"


def test_a_code_that_scripts_may_rely_on_has_the_exit_codes_of_its_row() -> None:
    known = exits()
    wrong = {code: known[code] for code, said in interface() if code in known and known[code] != said}
    assert wrong == {}
    assert len([code for code, _ in interface() if code in known]) > 30
