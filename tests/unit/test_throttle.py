"""The throttle of a command: one token bucket over all threads, by a clock that stands still until somebody sleeps."""

from __future__ import annotations

import io
import threading
from datetime import UTC, datetime, time, timedelta
from time import tzset
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.base.errors import StoppedError
from airgap.base.throttle import BURST, FREE, Limited, throttled
from airgap.cli.flags import until_moment

START = datetime(2026, 11, 30, 22, 0, tzinfo=UTC)


class Clock:
    """Time passes only while somebody sleeps: threads that sleep together do so at once."""

    def __init__(self, late: float = 0.0) -> None:
        self.now, self.late = 0.0, late
        self.sleeps = 0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        with self._lock:
            self.sleeps += 1
            self.now += seconds + self.late

    def wall(self) -> datetime:
        return START + timedelta(seconds=self.now)


def limited(rate: int, clock: Clock, until: datetime | None = None) -> Limited:
    return Limited(rate, until, clock.wall, clock, clock.sleep)


@pytest.mark.parametrize("rate", [1 << 10, 500_000, 10 << 20, 3 << 30])
@pytest.mark.parametrize("late", [0.0, 0.02])
def test_the_rate_is_held_within_five_percent_over_ten_seconds(rate: int, late: float) -> None:
    clock = Clock(late)
    throttle, moved = limited(rate, clock), 0
    while clock.now < 10:
        moved += throttle.take(1 << 20)
    assert abs(moved / clock.now / rate - 1) < 0.05
    assert throttle.moved == moved


def test_all_threads_together_have_one_rate() -> None:
    clock, rate = Clock(), 1_000_000
    throttle, counts = limited(rate, clock), [0] * 8

    def work(number: int) -> None:
        while clock.now < 10:
            counts[number] += throttle.take(64 << 10)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Sleeps of threads add up here, although they would pass together: it is never faster than the rate.
    assert sum(counts) == throttle.moved <= rate * (clock.now + BURST)


def test_what_was_not_moved_is_given_back_and_what_was_saved_up_is_bounded() -> None:
    clock = Clock()
    throttle = limited(1000, clock)
    assert throttle.take(500) == 500
    throttle.give_back(500)
    before = clock.now
    assert throttle.take(500) == 500
    assert clock.now == before  # it was paid for already
    throttle.take(500)
    clock.now += 3600  # idle for an hour
    began, moved = clock.now, 0
    while clock.now < began + 10:
        moved += throttle.take(100)
    assert moved <= 1000 * (clock.now - began + BURST) + 1


@given(st.binary(max_size=9000), st.integers(1, 4000), st.integers(0, 9000))
def test_a_paced_stream_gives_the_same_bytes(data: bytes, size: int, offset: int) -> None:
    clock = Clock()
    source = io.BytesIO(data)
    source.seek(offset)
    stream = throttled(source, limited(2048, clock))
    found = b""
    while piece := stream.read(size):
        found += piece
    assert found == data[offset:]
    stream.close()
    assert source.closed
    assert cast("object", throttled(source, FREE)) is source


def test_when_the_time_is_up_nothing_moves() -> None:
    clock = Clock()
    throttle = limited(0, clock, START + timedelta(hours=8))
    assert throttle.take(1 << 30) == 1 << 30
    throttle.check()
    clock.now = 8 * 3600.0
    for act in (throttle.check, lambda: throttle.take(1)):
        with pytest.raises(StoppedError) as stopped:
            act()
        assert (stopped.value.code, stopped.value.exit_code) == ("window-ended", 5)


def test_a_sleep_that_reaches_the_end_stops() -> None:
    clock = Clock()
    throttle = limited(1000, clock, START + timedelta(seconds=1))
    with pytest.raises(StoppedError):
        any(not throttle.take(1000) for _ in range(100))
    assert 1 <= clock.now < 2.1


def test_a_time_of_day_is_the_next_one() -> None:
    local = START.astimezone()
    minute = local.replace(second=0, microsecond=0)
    for minutes in (1, 30, 60 * 9):
        ahead = minute + timedelta(minutes=minutes)
        assert until_moment(ahead.time(), local) == ahead
    assert until_moment(time(local.hour, local.minute), local) == minute + timedelta(days=1)
    assert until_moment(timedelta(hours=8), START) == START + timedelta(hours=8)


def test_a_time_of_day_that_comes_twice_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    tzset()
    try:
        for now, then in (
            ("10-25T00:10", "10-25T00:30"),
            ("10-25T00:40", "10-25T01:30"),
            ("03-29T00:50", "03-29T01:30"),
        ):
            found = until_moment(time(2, 30), datetime.fromisoformat(f"2026-{now}+00:00"))
            assert found == datetime.fromisoformat(f"2026-{then}+00:00")
    finally:
        monkeypatch.undo()
        tzset()
