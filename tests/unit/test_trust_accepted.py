"""The signed list of accepted deliveries: what it may say, what a state makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import InputError, TrustError
from airgap.base.json_fields import Fields
from airgap.statements.accepted import AcceptedList
from airgap.statements.accepted_state import Accepted, AcceptedState, Standing, StateFile
from airgap.statements.statement import Statement
from airgap.statements.trust import check_may_sign
from tests.worlds.trust import DAY, HOUR, NOW, SOVEREIGN, accepted, statement

FIVE, SIX, SEVEN, OTHER = accepted(5), accepted(6), accepted(7), accepted(6, "other")


def parsed(**changes: Any) -> AcceptedList:
    """A list out of a predicate with these fields changed."""
    values = {**AcceptedList(SOVEREIGN, (FIVE, OTHER, SIX)).as_dict(), **changes}
    return AcceptedList.read(Fields(values, "list", lambda what: TrustError("bad", what)))


def test_a_list_is_read_as_it_was_signed() -> None:
    body = AcceptedList(SOVEREIGN, (FIVE, OTHER, SIX))
    made = statement(body.newest, body, "sovereign")
    assert Statement.parse(made.payload, "list").body == body == parsed()
    assert made.subject == SIX.digest
    assert made.as_dict()["kind"] == "accepted"


def test_only_the_sovereign_signs_it() -> None:
    check_may_sign("sovereign", "accepted")
    for role in ("exporter", "station", "security-officer"):
        with pytest.raises(InputError):
            check_may_sign(role, "accepted")


@pytest.mark.parametrize(
    "deliveries",
    [
        (),
        (SIX, FIVE),
        (FIVE, FIVE),
        (FIVE, replace(SIX, id=FIVE.id)),
        (FIVE, replace(OTHER, digest=FIVE.digest)),
    ],
)
def test_a_list_that_no_state_can_be_is_refused(deliveries: tuple[Accepted, ...]) -> None:
    with pytest.raises(TrustError):
        parsed(deliveries=[one.as_dict() for one in deliveries])


def test_unknown_and_missing_fields_are_refused() -> None:
    entry = FIVE.as_dict()
    for changed in (entry | {"more": 1}, {k: v for k, v in entry.items() if k != "id"}):
        with pytest.raises(TrustError):
            parsed(deliveries=[changed])


def test_what_a_state_lacks_is_told_by_all_that_names_a_delivery() -> None:
    state = AcceptedState(SOVEREIGN, (FIVE, SIX))
    assert state.lacks([FIVE, SIX, replace(SIX, accepted_at=NOW)]) == []
    changed = replace(SIX, digest=Digest.of(b"another"))
    assert state.lacks([SEVEN, FIVE, OTHER, changed]) == [SEVEN, OTHER, changed]


def test_a_state_and_a_list_become_one_in_their_order() -> None:
    state = AcceptedState(SOVEREIGN, (FIVE, OTHER))
    assert state.merged([FIVE]) is state
    assert state.merged([SEVEN, SIX]).deliveries == (FIVE, SIX, OTHER, SEVEN)
    assert AcceptedState(SOVEREIGN).merged([OTHER, FIVE, SIX]).deliveries == (OTHER, FIVE, SIX)
    # The clock was set back by half an hour between two deliveries: the number still decides.
    early = replace(SEVEN, accepted_at=SIX.accepted_at - HOUR / 2)
    assert AcceptedState(SOVEREIGN, (early,)).merged([FIVE, SIX]).deliveries == (FIVE, SIX, early)
    # A list that contains the state is believed in its order, because that decides whose names are newer.
    late = replace(OTHER, accepted_at=FIVE.accepted_at - HOUR / 2)
    for known in ((), (FIVE,)):
        assert AcceptedState(SOVEREIGN, known).merged([FIVE, late, SIX]).deliveries == (FIVE, late, SIX)


@pytest.mark.parametrize("more", [{"digest": Digest.of(b"x"), "id": "x"}, {"stream": "new"}])
def test_two_stories_about_one_delivery_are_not_made_one(more: dict[str, Any]) -> None:
    with pytest.raises(TrustError) as caught:
        AcceptedState(SOVEREIGN, (FIVE, SIX)).merged([replace(SIX, **more)])
    assert caught.value.code == "state-conflict"
    assert caught.value.hint


def test_a_lost_state_is_rebuilt_and_then_judges_as_before(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state", SOVEREIGN)
    assert not file.exists()
    assert file.rebuild([FIVE, SIX]).deliveries == (FIVE, SIX)
    assert file.exists()
    assert file.load().standing(FIVE, FIVE.digest, restore=True) is Standing.RESTORE
    assert file.load().latest_time() == SIX.accepted_at
    before = file.path.read_bytes()
    file.rebuild([FIVE])
    assert file.path.read_bytes() == before
    assert file.record(replace(SEVEN, accepted_at=NOW + DAY)).disorder() == ""
