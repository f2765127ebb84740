"""What deliveries brought and what left since, by receipts alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.base.digest import Digest
from airgap.content.forms import Change, ChangeOutcome
from airgap.content.lock_finding import LockFinding
from airgap.jobs.prune import why_kept
from airgap.statements.predicates import CarriedLock, Placed, Receipt
from airgap.statements.prune_plan import REMOVED, PruneLine
from airgap.station.brought import Past, series_name

PLACE = ("https://harbor.example", "graph")
DAY = datetime(2026, 1, 1, tzinfo=UTC)
LOCKS = ("platform-2026-01", "platform-2026-02", "models", "hotfix")
ITEMS = ("a", "b", "c", "d")


def digest(text: str) -> str:
    return str(Digest.of(text.encode()))


def receipt(
    sequence: int, locks: Mapping[str, Sequence[str]], *, stream: str = "main", named: bool = True, content: str = ""
) -> Receipt:
    """Of a delivery with these locks, each with its items; `content` makes their content another one."""
    items = list(dict.fromkeys(item for some in locks.values() for item in some))
    lines = tuple(
        Change(item, f"hub/{item}", "1", digest(item + content), outcome=ChangeOutcome.WRITTEN) for item in items
    )
    carried = tuple(CarriedLock(name, Digest.of(name.encode()), tuple(some)) for name, some in locks.items())
    return Receipt("id", stream, sequence, (Placed(*PLACE, lines),), locks=carried if named else ())


def past(*receipts: Receipt) -> Past:
    """The receipts of deliveries, imported one a day."""
    made = Past()
    for number, one in enumerate(receipts):
        made.add(Digest.of(f"{one.stream} {one.sequence}".encode()), DAY + timedelta(days=number), one)
    made.close()
    return made


def removed(made: Past) -> set[str]:
    """The items that are in no newest delivery."""
    brought = {item for item in ITEMS if made.entries(PLACE, (f"hub/{item}", "1"))}
    return {item for item in brought if made.current(PLACE, (f"hub/{item}", "1")) is None}


@pytest.mark.parametrize(
    ("lock", "series"),
    [
        ("platform-2026-11", "platform"), ("platform-2026-11-30", "platform"), ("platform_202611", "platform"),
        ("platform.2026", "platform"), ("platform-2026-W48", "platform"), ("2026-11", ""), ("platform", "platform"),
        ("platform-2026-13", "platform-2026-13"), ("k3s-1.31", "k3s-1.31"), ("release-12", "release-12"),
    ],
)  # fmt: skip
def test_a_series_has_a_name_without_the_date(lock: str, series: str) -> None:
    assert series_name(lock) == series


def test_a_small_delivery_removes_nothing_of_another_series() -> None:
    full, hot = {"platform-2026-01": "abc"}, {"hotfix": "d"}
    assert removed(past(receipt(1, full), receipt(2, hot))) == set()
    made = past(receipt(1, full), receipt(2, hot), receipt(3, {"platform-2026-02": "ab"}))
    assert removed(made) == {"c"}
    [entry] = made.entries(PLACE, ("hub/c", "1"))
    assert made.left(entry) == ("delivery 3 of stream 'main' no longer has it", DAY + timedelta(days=2))
    # Another stream is another series; a restored delivery, which is imported later, is still the older one.
    assert removed(past(receipt(1, full), receipt(2, {"platform-2026-02": "a"}, stream="side"))) == set()
    assert removed(past(receipt(2, {"platform-2026-02": "a"}), receipt(1, full))) == {"b", "c"}


def test_receipts_that_name_no_locks_are_continued_by_any_later_delivery() -> None:
    old = receipt(1, {"r": "abc"}, named=False)
    assert removed(past(old, receipt(2, {"r": "ab"}, named=False))) == {"c"}
    assert removed(past(old, receipt(2, {"hotfix": "a"}))) == {"b", "c"}
    assert removed(past(old, receipt(2, {"r": "abc"}), receipt(3, {"hotfix": "a"}))) == set()


def test_an_item_of_two_locks_stays_as_long_as_one_of_them_has_it() -> None:
    both = receipt(1, {"platform": "ab", "models": "bc"})
    assert removed(past(both, receipt(2, {"platform": "a"}))) == set()
    assert removed(past(both, receipt(2, {"platform": "a"}), receipt(3, {"models": "c"}))) == {"b"}


def test_what_a_lock_names_and_lacks_is_not_removed() -> None:
    """It is in quarantine, or gone upstream: people still ask for it."""
    lacking = replace(receipt(2, {"platform-2026-02": "ab"}), findings=(LockFinding("c", "quarantined", "CVE-1"),))
    full = receipt(1, {"platform-2026-01": "abcd"})
    made = past(full, lacking)
    assert removed(made) == {"d"}
    # Then it comes, with other content; or people no longer ask for it.
    later = past(full, lacking, receipt(3, {"platform-2026-03": "abc"}, content="!"))
    assert later.current(PLACE, ("hub/c", "1")) is not None
    assert later.current(PLACE, ("hub/c", digest("c"))) is None
    gone = past(full, lacking, receipt(3, {"platform-2026-03": "ab"}))
    assert removed(gone) == {"c", "d"}
    [entry] = gone.entries(PLACE, ("hub/c", "1"))
    assert gone.left(entry) == ("delivery 3 of stream 'main' no longer has it", DAY + timedelta(days=2))


def test_a_rollback_lets_the_earlier_delivery_count_again() -> None:
    assert removed(past(receipt(1, {"r": "ab"}), receipt(2, {"r": "bc"}))) == {"a"}
    made = Past()
    made.roll_back(Digest.of(b"main 2"), DAY + timedelta(days=5))
    for number, items in enumerate(("ab", "bc"), 1):
        made.add(Digest.of(b"main %d" % number), DAY + timedelta(days=number), receipt(number, {"r": items}))
    made.close()
    assert removed(made) == {"c"}
    [entry] = made.entries(PLACE, ("hub/c", "1"))
    assert made.left(entry) == ("it was rolled back", DAY + timedelta(days=5))
    made.add(Digest.of(b"main 2"), DAY + timedelta(days=6), receipt(2, {"r": "bc"}))
    made.close()
    assert removed(made) == {"a"}


def test_an_earlier_content_of_a_tag_is_known_by_its_digest() -> None:
    made = past(receipt(1, {"r": "a"}), receipt(2, {"r": "a"}, content="!"))
    [before] = made.entries(PLACE, ("hub/a", digest("a")))
    assert not made.is_current(before)
    assert made.current(PLACE, ("hub/a", digest("a!"))) is not None


def test_what_a_delivery_did_not_bring_is_listed_and_not_brought() -> None:
    line = Change("a", "hub/a", "1", digest("a"), outcome=ChangeOutcome.REFUSED)
    made = past(Receipt("id", "main", 1, (Placed(*PLACE, (line,)),)))
    [entry] = made.entries(PLACE, ("hub/a", "1"))
    assert not entry.brought


_Delivery = st.dictionaries(
    st.sampled_from(LOCKS), st.lists(st.sampled_from(ITEMS), min_size=1, unique=True), min_size=1, max_size=2
)


@given(st.lists(_Delivery, min_size=1, max_size=6), st.integers(0, 5))
def test_what_is_removed_is_what_no_newest_lock_has(deliveries: list[dict[str, list[str]]], again: int) -> None:
    receipts = [receipt(number, locks) for number, locks in enumerate(deliveries, 1)]
    # The receipt of a second run of one of them changes nothing.
    made = past(*receipts, receipts[again % len(receipts)])
    newest: dict[str, set[str]] = {}
    for locks in deliveries:
        of: dict[str, set[str]] = {}
        for name, items in locks.items():
            of.setdefault(series_name(name), set()).update(items)
        newest |= of
    brought = {item for locks in deliveries for items in locks.values() for item in items}
    assert removed(made) == brought - {item for items in newest.values() for item in items}


def test_a_tag_is_not_the_last_name_of_what_another_item_has_without_a_name() -> None:
    named = Change("a", "hub/a", "1", digest("same"), outcome=ChangeOutcome.WRITTEN)
    bare = Change("b", "hub/a", "", digest("same"), outcome=ChangeOutcome.WRITTEN)
    carried = (CarriedLock("r", Digest.of(b"r"), ("a", "b")),)
    first = Receipt("id", "main", 1, (Placed(*PLACE, (named, bare)),), locks=carried)
    for more, expected in (((bare,), True), ((), False)):
        made = past(first, Receipt("id", "main", 2, (Placed(*PLACE, more),), locks=carried))
        line = PruneLine(*PLACE, "hub/a", "1", digest("same"), REMOVED)
        assert bool(why_kept(line, made)) is expected
