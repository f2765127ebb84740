"""How a delivery was judged, in words: out of verdicts, and out of the golden delivery of a station."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import NotFoundError
from airgap.delivery.index import Index
from airgap.delivery.read import open_media
from airgap.report.judged import Judged, judged
from airgap.report.things import describe
from airgap.report.verdict import FEW, MAX_REFUSED, passed, passed_lines, refused_lines
from airgap.statements.verdict import CheckResult, JudgedItem, Named, PassedBy, Verdict

ROOT = Digest.of(b"root")
DELIVERY = Path(__file__).parents[1] / "golden/delivery-judged/delivery"
SIGNED = CheckResult("signature", "pass", ROOT, "rule 1 (a/*)", PassedBy(key="ci"))


def verdict(*checks: CheckResult, number: int = 1, outcome: str = "pass") -> Verdict:
    """A verdict about so many items, each with these checks."""
    reason = None if outcome == "pass" else "absent: no signature is attached"
    items = {f"item{n}": JudgedItem(ROOT, outcome, reason, checks) for n in range(number)}
    return Verdict(Named("bank", ROOT), (), (), items)


def look(folder: Path) -> Judged:
    media = open_media([folder])
    return judged(media, Index.decode(media.index_bytes))


def test_what_passed_is_counted_by_rule_and_by_who_spoke_for_it() -> None:
    made = verdict(SIGNED, number=FEW + 1)
    alone = replace(SIGNED, check="digest-only", rule="rule 2 (**)", by=PassedBy(approver="Amina"))
    items = {**made.items, "one": JudgedItem(ROOT, "pass", None, (alone,))}
    assert passed_lines(replace(made, items=items)) == [
        f"  {FEW + 1} by rule 1 (a/*): signature of key 'ci'",
        "  1 by rule 2 (**): by digest only, approved by Amina",
        "    one",
    ]


def test_builds_of_one_issuer_are_one_way() -> None:
    spdx = replace(SIGNED, check="attestation", predicate_type="https://spdx.dev/Document")
    checks = [
        replace(SIGNED, by=PassedBy(identity=f"https://ci/x@refs/tags/v{n}", issuer="https://ci")) for n in range(2)
    ]
    assert list(passed(verdict(*checks, spdx))) == [
        "rule 1 (a/*): signature of a certificate by https://ci, attestation https://spdx.dev/Document of key 'ci'"
    ]


def test_what_may_not_pass_is_named_with_the_digest_that_a_waiver_would_need() -> None:
    bad = replace(SIGNED, outcome="fail", by=None)
    lines = refused_lines(verdict(bad, outcome="fail"))
    assert lines == [
        "  item0: rule 1 (a/*): fail: absent: no signature is attached",
        f"    signature, {ROOT}: fail",
    ]
    assert passed_lines(verdict(bad, outcome="fail")) == []
    lines = refused_lines(verdict(bad, outcome="fail", number=1000))
    assert (len(lines), lines[-1]) == (
        2 * MAX_REFUSED + 1,
        f"  and {1000 - MAX_REFUSED} more: --json lists them",
    )


def test_a_delivery_says_which_verdicts_waivers_and_trust_roots_it_has() -> None:
    found = look(DELIVERY)
    assert [one.outcome for _, one in found.verdicts] == ["pass", "pass"]
    assert [one.name for one in found.waivers] == ["tool"]
    assert set(found.roots) == {"acme", "other"}
    document, lines = describe(DELIVERY, datetime.now(UTC))
    text = "\n".join(lines)
    assert document["judged"] == found.as_dict()
    assert document["judged"]["trustRoots"][0] == {"name": "acme", "digest": str(found.roots["acme"])}
    for words in (
        "signature waived by Amina",
        "by digest only, approved by Amina",
        "waiver 'tool': signature may fail",
        f"trust root 'acme', {found.roots['acme']}",
    ):
        assert words in text


def test_only_verdicts_that_are_believed_are_told_where_somebody_asked_for_that() -> None:
    media = open_media([DELIVERY])
    found = judged(media, Index.decode(media.index_bytes), [])
    assert (found.verdicts, found.waivers) == ((), ())
    assert found.lines()[0] == "verdict: none; it was not judged by a policy"


def test_a_delivery_without_its_evidence_is_shown_all_the_same(tmp_path: Path) -> None:
    shutil.copytree(DELIVERY, tmp_path / "media")
    (tmp_path / "media/evidence.tar").unlink()
    with pytest.raises(NotFoundError):
        look(tmp_path / "media")
    document, lines = describe(tmp_path / "media", datetime.now(UTC))
    text = "\n".join(lines)
    assert "judged" not in document
    assert "evidence.tar is in none of the folders" in text
