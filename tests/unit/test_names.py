"""Which delivery wrote which name: the order of acceptance decides, and what is not known moves nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.base.digest import Digest
from airgap.base.errors import StoreError
from airgap.content.forms import Change, ChangeOutcome
from airgap.destinations.base import RESTORE, ROLLED_BACK, SETTLED, UNKNOWN
from airgap.statements.accepted_state import Accepted, AcceptedState
from airgap.station.names import FILE, NamesFile, Written

URL = "https://harbor.bank"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
ONE, TWO, THREE = (Digest.of(text.encode()) for text in ("one", "two", "three"))


def accepted(*digests: Digest) -> AcceptedState:
    """Accepted in this order, each in a stream of its own."""
    made = [Accepted(f"s{at}", 1, str(at), digest, NOW, NOW) for at, digest in enumerate(digests)]
    return AcceptedState("bank", tuple(made))


def change(name: str, outcome: ChangeOutcome = ChangeOutcome.WRITE) -> Change:
    return Change("item", "hub/app", name, str(Digest.of(name.encode())), outcome=outcome)


def take(file: NamesFile, delivery: Digest, state: AcceptedState, *names: str, crash: bool = False) -> None:
    """An import; one that crashes leaves it open which of its names it wrote."""
    file.begin(delivery)
    file.plan(delivery, state, [(URL, change(name)) for name in names], complete=True)
    if not crash:
        file.settle(delivery, [(URL, change(name, ChangeOutcome.WRITTEN)) for name in names])


def keeps(file: NamesFile, delivery: Digest, state: AcceptedState, name: str, *, there: bool = True) -> str:
    precedence = file.load().precedence(URL, delivery, state)
    return precedence.keeps(("hub/app", name), change(name).digest, there=there, repair=False)


@pytest.fixture
def file(tmp_path: Path) -> NamesFile:
    return NamesFile(tmp_path, "bank")


@pytest.mark.parametrize("crash", [False, True])
def test_what_a_later_delivery_wrote_or_may_have_written_stays(file: NamesFile, crash: bool) -> None:
    take(file, ONE, accepted(ONE), "a", "b", crash=True)
    take(file, TWO, accepted(ONE, TWO), "a", crash=crash)
    both = accepted(ONE, TWO)
    for there in (True, False):
        assert "delivery 1 of stream 's1'" in keeps(file, ONE, both, "a", there=there)
        assert keeps(file, ONE, both, "b", there=there) == ""
        assert keeps(file, TWO, both, "a", there=there) == ("" if crash or not there else SETTLED)
    assert keeps(file, ONE, both, "never seen") == UNKNOWN
    assert keeps(file, THREE, both, "a") == ""  # it is new, and will be the last


def test_a_delivery_that_goes_on_does_not_take_a_name_from_a_later_one(file: NamesFile) -> None:
    take(file, TWO, accepted(ONE, TWO), "a")
    take(file, ONE, accepted(ONE, TWO), "a")
    assert "delivery 1 of stream 's1'" in keeps(file, ONE, accepted(ONE, TWO), "a")


def test_a_later_delivery_whose_names_are_not_known_makes_all_names_stay(file: NamesFile) -> None:
    take(file, ONE, accepted(ONE), "a")
    take(file, TWO, accepted(ONE, TWO), "b", crash=True)
    state = accepted(ONE, TWO, THREE)  # of the third nothing was written down
    for name in ("a", "never seen"):
        assert keeps(file, ONE, state, name) == UNKNOWN
        assert keeps(file, TWO, state, name) == UNKNOWN
    assert keeps(file, TWO, state, "never seen", there=False) == ""


def test_a_name_of_a_delivery_that_the_state_does_not_have_stays(file: NamesFile) -> None:
    take(file, TWO, accepted(ONE, TWO), "a")
    assert str(TWO) in keeps(file, ONE, accepted(ONE), "a")


@given(st.lists(st.tuples(st.sampled_from([ONE, TWO, THREE]), st.sampled_from("abc"), st.booleans()), max_size=8))
def test_no_name_goes_back_however_imports_are_repeated_and_stopped(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[Digest, str, bool]]
) -> None:
    file = NamesFile(tmp_path_factory.mktemp("names"), "bank")
    order: list[Digest] = []
    inside: dict[str, Digest] = {}
    for delivery, name, crash in runs:
        if delivery not in order:
            order.append(delivery)
        state = accepted(*order)
        before = inside.get(name)
        if before != delivery and not keeps(file, delivery, state, name, there=before is not None):
            assert before is None or order.index(before) < order.index(delivery)
            take(file, delivery, state, name, crash=crash)
            inside[name] = delivery


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b'{"apiVersion": "v2"}', Written("other").encode(), Written("bank").encode()[:-1]],
)
def test_a_damaged_file_stops_the_import(file: NamesFile, data: bytes) -> None:
    (file.folder / FILE).write_bytes(data)
    with pytest.raises(StoreError) as caught:
        file.load()
    assert (caught.value.code, f"remove {FILE}" in caught.value.hint) == ("state-damaged", True)


def test_what_was_written_is_read_again(file: NamesFile) -> None:
    take(file, ONE, accepted(ONE), "a", "b", crash=True)
    take(file, TWO, accepted(ONE, TWO), "a")
    written = file.load()
    assert Written.decode(written.encode(), "there", "bank") == written
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_a_name_that_was_rolled_back_gets_only_what_it_went_back_to(file: NamesFile) -> None:
    take(file, ONE, accepted(ONE), "a", "b")
    take(file, TWO, accepted(ONE, TWO), "a", "b")
    old = Change("item", "hub/app", "a", str(Digest.of(b"old")), outcome=ChangeOutcome.WRITTEN)
    both = accepted(ONE, TWO)
    assert file.load().holder((URL, "hub/app", "a"), TWO, both) == ""
    assert "delivery" in file.load().holder((URL, "hub/app", "a"), ONE, both)
    file.roll_back(TWO, [(URL, old)])
    for there in (True, False):  # neither the delivery itself nor one before it, not even where the name is gone
        assert keeps(file, ONE, both, "a", there=there) == keeps(file, TWO, both, "a", there=there) == ROLLED_BACK
        precedence = file.load().precedence(URL, ONE, both)
        assert precedence.keeps(("hub/app", "a"), old.digest, there=there, repair=False) == ""
    assert "delivery" in keeps(file, ONE, both, "b")
    # The one before it may be rolled back as well, and the next delivery has the name again.
    assert file.load().holder((URL, "hub/app", "a"), ONE, both) == ""
    three = THREE
    take(file, three, accepted(ONE, TWO, three), "a")
    assert keeps(file, three, accepted(ONE, TWO, three), "a", there=False) == ""
    assert "delivery" in keeps(file, TWO, accepted(ONE, TWO, three), "a")


def test_after_a_rebuild_what_was_absent_then_moves_forward_and_nothing_else(file: NamesFile) -> None:
    """The state was made anew from a list: of no delivery it is known which names it wrote."""
    state = accepted(ONE, TWO, THREE)
    file.forget(state)
    file.plan(ONE, state, [(URL, change("absent")), (URL, change("there", ChangeOutcome.PRESENT))], complete=True)
    assert keeps(file, TWO, state, "absent") == ""
    assert keeps(file, TWO, state, "there") == keeps(file, TWO, state, "never seen") == UNKNOWN
    assert Written.decode(file.load().encode(), "there", "bank") == file.load()
    # But not if something came in that the file does not know: then it is a copy of before.
    four = Digest.of(b"four")
    assert keeps(file, TWO, accepted(ONE, TWO, THREE, four), "absent") == UNKNOWN


def test_a_restore_moves_only_what_an_earlier_delivery_wrote(file: NamesFile) -> None:
    take(file, ONE, accepted(ONE), "a")
    file.begin(TWO)
    precedence = file.load().precedence(URL, TWO, accepted(ONE, TWO))
    told = {name: precedence.keeps(("hub/app", name), "", there=True, repair=False, restore=True) for name in "ab"}
    assert told == {"a": "", "b": RESTORE}
    assert precedence.keeps(("hub/app", "b"), "", there=False, repair=False, restore=True) == ""
