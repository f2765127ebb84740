"""After a loss, the deliveries of the safe come in in any order, and what is inside then is what was inside before.

The parts that decide are the real ones: acceptance, the ledger, accepted.json and names.json. Only the destination is a
table of names here.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.base.digest import Digest
from airgap.base.errors import TrustError
from airgap.base.progress import Silent
from airgap.content.forms import Change, ChangeOutcome
from airgap.delivery.journey import Baseline
from airgap.destinations.base import Run
from airgap.statements.accepted_state import AcceptedState, Standing, StateFile
from airgap.station.files import Records
from airgap.station.ledger import Ledger
from airgap.station.names import NamesFile
from airgap.station.signatory import Diary
from tests.worlds.effort import cases
from tests.worlds.trust import DAY, HOUR, NOW, SOVEREIGN, World

URL = "https://harbor.bank"
KEYS = World().signers
STREAMS = ("main", "side")
NAMES = "abcd"
Named = Mapping[str, str]


@dataclass(frozen=True)
class Sent:
    """A delivery in the safe: what it gives each of its names, and its parts."""

    world: World
    names: Named

    @property
    def label(self) -> str:
        return f"{self.world.journey.stream}-{self.world.journey.sequence}"


def send(at: int, stream: str, sequence: int, names: str, based_on: Sent | None = None) -> Sent:
    """The delivery that is cut on a day of its own."""
    label = f"{stream}-{sequence}"
    world = World(signers=KEYS, index=f'{{"kind": "Delivery", "name": "{label}"}}'.encode())
    cut = NOW - (40 - at) * DAY
    world.journey = replace(
        world.journey,
        id=f"id-{label}",
        stream=stream,
        sequence=sequence,
        created=cut - HOUR,
        based_on=() if based_on is None else (Baseline(based_on.world.digest),),
    )
    world.sign_again(cut)
    return Sent(world, {name: f"{name} of {label}" for name in names})


@dataclass
class Site:
    """A Sovereign with one registry that is a table."""

    folder: Path
    inside: dict[str, str] = field(default_factory=dict)

    def take(self, sent: Sent, *, restore: bool = False, stop: bool = False) -> Standing:
        """Imports a delivery; with `stop`, it is killed before a name is published."""
        world, names = sent.world, NamesFile(self.folder, SOVEREIGN)
        records = Records(self.folder)
        diary = Diary(records.log(), "sovereign", lambda: NOW)
        state = StateFile(self.folder, SOVEREIGN)
        ledger = Ledger(state, (), world.trust, records, diary, lambda _note: None, restore)
        admitted = world.accept(ledger.known(), restore=restore, streams=STREAMS)
        written = names.load()
        precedence = written.precedence(URL, world.digest, ledger.order(admitted.record))
        run = Run(Silent(), add_only=restore, precedence=precedence)
        plan = [self._planned(Change("item", "hub", name, value), run) for name, value in sent.names.items()]
        if ledger.rebuilds:
            names.forget(ledger.known())
        if admitted.standing is Standing.NEW:
            names.begin(world.digest)
        ledger.record(admitted.record)
        names.plan(world.digest, state.load(), ((URL, change) for change in plan), complete=True)
        if stop:
            return admitted.standing
        done = []
        for change in plan:
            if change.outcome is not ChangeOutcome.REFUSED:
                self.inside[change.name] = change.digest
                done.append(replace(change, outcome=ChangeOutcome.WRITTEN))
        names.settle(world.digest, ((URL, change) for change in done))
        return admitted.standing

    def _planned(self, change: Change, run: Run) -> Change:
        held = self.inside.get(change.name)
        if held == change.digest:
            return replace(change, outcome=ChangeOutcome.PRESENT)
        if run.keeps(change, there=held is not None):
            return replace(change, outcome=ChangeOutcome.REFUSED)
        return replace(change, outcome=ChangeOutcome.WRITE if held is None else ChangeOutcome.MOVED)

    def state(self) -> list[Digest]:
        return [one.digest for one in StateFile(self.folder, SOVEREIGN).load().deliveries]


def history(folder: Path, safe: Sequence[Sent]) -> Site:
    """The site as it was: everything came in when it was cut."""
    site = Site(folder)
    for sent in safe:
        site.take(sent)
    return site


SAFE = [
    send(1, "main", 1, "abcd"),
    send(2, "side", 1, "bc"),
    send(3, "main", 2, "ab"),
    send(4, "side", 2, "d"),
    send(5, "main", 5, "a"),
]
Folders = Callable[[], Path]


def some(safe: Sequence[Sent]) -> list[Sequence[Sent]]:
    """The worst orders and some others; with --thorough, all: the newest first, the oldest first, streams in turn."""
    every = list(permutations(safe))
    worst = [safe[::-1], safe, [*safe[::2], *safe[1::2]], [*safe[1::2], *safe[::-2]]]
    return [*worst, *every[:: max(1, len(every) // cases(4, len(every)))]]


@pytest.fixture
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return lambda: tmp_path_factory.mktemp("site")


def test_every_order_leads_to_the_newest_state(folders: Folders) -> None:
    before = history(folders(), SAFE)
    assert before.inside == {"a": "a of main-5", "b": "b of main-2", "c": "c of side-1", "d": "d of side-2"}
    for order in some(SAFE):
        site = Site(folders())
        for sent in order:
            assert site.take(sent, restore=True) is Standing.NEW
        assert (site.inside, site.state()) == (before.inside, before.state()), [sent.label for sent in order]


@pytest.mark.parametrize("lost", ["all", "registry"])
def test_no_name_ever_moves_back_and_what_is_repeated_or_killed_ends_the_same(folders: Folders, lost: str) -> None:
    before = history(folders(), SAFE)
    rank = {value: at for at, sent in enumerate(SAFE) for value in sent.names.values()}
    for seed in range(cases(2, 40)):
        chance = random.Random(seed)
        order = [*SAFE, *chance.choices(SAFE, k=4)]
        chance.shuffle(order)
        site = Site(folders() if lost == "all" else before.folder)
        for sent in order:
            seen = dict(site.inside)
            site.take(sent, restore=True, stop=chance.random() < 0.3)
            assert all(rank[site.inside[name]] >= rank[value] for name, value in seen.items())
        for sent in order:
            site.take(sent, restore=True)
        assert (site.inside, site.state()) == (before.inside, before.state())


def test_the_newest_first_without_restore_as_the_runbook_of_earlier_versions_said(folders: Folders) -> None:
    main = [sent for sent in SAFE if sent.world.journey.stream == "main"]
    before = history(folders(), main)
    site = Site(folders())
    site.take(main[-1])
    for sent in main[:-1]:
        with pytest.raises(TrustError) as caught:
            site.take(sent)
        assert caught.value.code == "older-sequence"
        assert "--restore" in caught.value.hint
        site.take(sent, restore=True)
    assert (site.inside, site.state()) == (before.inside, before.state())
    # Whatever is cut from now on comes in as ever.
    site.take(send(9, "main", 6, "ab"))
    assert site.inside["b"] == "b of main-6"


def test_a_delta_waits_for_its_baseline_and_comes_in_with_the_next_round(folders: Folders) -> None:
    safe = [SAFE[0], SAFE[2]]
    safe += [send(6, "main", 6, "bc", safe[-1])]
    safe += [send(7, "main", 7, "d", safe[-1])]
    before, codes = history(folders(), safe), set[str]()
    for order in list(permutations(safe))[:: cases(7, 1)]:
        site, left = Site(folders()), list(order)
        while left:
            refused = []
            for sent in left:
                try:
                    site.take(sent, restore=True)
                except TrustError as error:
                    refused.append(sent)
                    codes.add(error.code)
            assert len(refused) < len(left)
            left = refused
        assert (site.inside, site.state()) == (before.inside, before.state())
    assert codes == {"baseline-missing"}


cuts = st.lists(st.tuples(st.sampled_from(STREAMS), st.sets(st.sampled_from(NAMES))), min_size=1, max_size=5)


@settings(max_examples=cases(5, 100))
@given(cuts, st.randoms(use_true_random=False))
def test_the_state_is_the_same_in_every_order(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[str, set[str]]], chance: random.Random
) -> None:
    numbers = dict.fromkeys(STREAMS, 0)
    safe = []
    for at, (stream, names) in enumerate(made):
        numbers[stream] += 1 + at % 2
        safe.append(send(at, stream, numbers[stream], "".join(sorted(names))))
    before = history(tmp_path_factory.mktemp("before"), safe)
    order = list(safe)
    chance.shuffle(order)
    site = Site(tmp_path_factory.mktemp("after"))
    for sent in order:
        site.take(sent, restore=True)
    assert (site.inside, site.state()) == (before.inside, before.state())


def test_what_was_cut_after_its_successor_is_not_put_before_it(folders: Folders) -> None:
    """Somebody with a key that cuts deliveries writes an old number today."""
    site = Site(folders())
    site.take(SAFE[0])
    site.take(SAFE[-1])
    with pytest.raises(TrustError) as caught:
        site.take(send(8, "main", 3, "a"), restore=True)
    assert (caught.value.code, site.inside["a"]) == ("older-sequence", "a of main-5")
    with pytest.raises(TrustError) as caught:
        site.take(replace_index(SAFE[0]), restore=True)
    assert caught.value.code == "delivery-id-taken"


def replace_index(sent: Sent) -> Sent:
    """The same number and id, other content."""
    world = World(signers=KEYS, index=b"other", journey=sent.world.journey)
    world.sign_again(NOW - 39 * DAY)
    return Sent(world, sent.names)


def test_a_state_that_is_put_together_in_any_order_is_in_order() -> None:
    state = AcceptedState(SOVEREIGN)
    for sent in reversed(SAFE):
        state = state.adding(sent.world.accept(streams=STREAMS).record, restore=True)
    assert state.disorder() == ""
    assert [one.digest for one in state.deliveries] == [sent.world.digest for sent in SAFE]
