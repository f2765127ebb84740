"""A receipt that nobody could read again is found before anything is sent."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.content.forms import Change, ChangeOutcome
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE
from airgap.statements.log import EMPTY_HEAD
from airgap.statements.predicates import Receipt
from airgap.statements.statement import Statement
from airgap.station import receipts

NAME = "refs/heads/" + "x" * 200


def _changes(count: int) -> list[Change]:
    one = Change("repo", "a/b", NAME, "a" * 40, "b" * 40, ChangeOutcome.WRITTEN)
    return [one] * count


def test_the_largest_receipt_that_is_planned_is_small_enough_to_be_read() -> None:
    line = receipts.LINE + len("repo") + len("a/b") + len(NAME) + 80
    most = receipts.ROOM // line
    receipts.check_room(_changes(most))
    with pytest.raises(InputError) as caught:
        receipts.check_room(_changes(most + 1))
    assert caught.value.code == "receipt-too-large"
    body = Receipt("id", "main", 1, (receipts.placed("https://git", "refs", _changes(most)),))
    at = datetime(2026, 11, 30, tzinfo=UTC)
    made = Statement.of(Digest.of(b""), body, signed_at=at, log_head=EMPTY_HEAD, role="sovereign")
    assert len(made.payload) * 4 / 3 < MAX_EVIDENCE_BUNDLE
