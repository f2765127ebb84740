"""The bar: what it counts, what a log gets of it, and what a real terminal shows."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import threading
from collections.abc import Callable, Iterator

import pytest

from airgap.cli import bar
from airgap.cli.bar import Bar

Make = Callable[..., Bar]
DRAWN = 10
"""Seconds in which something must have been drawn, or there is no drawing."""


@pytest.fixture
def make() -> Iterator[Make]:
    """Bars that end with the test."""
    made: list[Bar] = []

    def start(
        stream: bar.Stream | None = None, log: Callable[[str], None] = lambda _line: None, *, plain: bool = True
    ) -> Bar:
        made.append(Bar(stream, log, plain=plain))
        return made[-1]

    yield start
    for one in made:
        one.close()


class Lines(io.StringIO):
    """A stream that is no terminal, and says when so many lines are there."""

    def __init__(self, enough: int) -> None:
        super().__init__()
        self._enough, self.full = enough, threading.Event()

    def write(self, text: str) -> int:
        count = super().write(text)
        if self.getvalue().count("\n") >= self._enough:
            self.full.set()
        return count


def test_totals_grow_with_what_manifests_tell(make: Make) -> None:
    one = make()
    one.start("pull", 100, 3)
    one.grow(300)
    one.advance(100)
    one.item("docker.io/library/alpine:3.20")
    one.done("docker.io/library/busybox:1", "written")
    line = one.line()
    for part in ("pull", " 25 %", "100 B of 400 B", "1/3", "docker.io/library/alpine:3.20", " left"):
        assert part in line


def test_a_blob_that_is_begun_again_is_taken_back(make: Make) -> None:
    one = make()
    one.start("pull", 1000)
    one.advance(900)
    one.advance(-900)
    one.advance(500)
    assert " 50 %" in one.line()


def test_without_a_total_there_is_no_share(make: Make) -> None:
    one = make()
    one.start("import", 0)
    one.advance(2048)
    assert "2.0 KiB" in one.line()
    assert "%" not in one.line()


def test_more_than_all_is_all(make: Make) -> None:
    one = make()
    one.start("pull", 10)
    one.advance(20)
    assert "100 %" in one.line()
    assert "0:00:00 left" in one.line()


def test_a_new_phase_begins_at_zero(make: Make) -> None:
    one = make()
    one.start("pull", 10, 1)
    one.advance(10)
    one.done("a", "written")
    one.start("check", 20, 2)
    assert one.line().startswith("check    0 %")
    assert "0/2" in one.line()


def test_the_bar_itself_is_left_out_where_no_colour_is_wished(make: Make) -> None:
    for plain in (False, True):
        one = make(plain=plain)
        one.start("pull", 2)
        one.advance(1)
        assert ("[##########..........]" in one.line()) is not plain


def test_the_log_hears_of_phases_items_and_notes(make: Make) -> None:
    heard: list[str] = []
    one = make(None, heard.append)
    one.start("pull", 7, 1)
    one.done("a:1", "written")
    one.note("trying again")
    assert heard == ["pull: 7 bytes, 1 items", "pull: a:1: written", "trying again"]


def test_where_there_is_no_terminal_whole_lines_come_now_and_then(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bar.QUIET == 30
    monkeypatch.setattr(bar, "QUIET", 0.01)
    stream = Lines(3)
    one = make(stream)
    one.start("pull", 10)
    assert stream.full.wait(DRAWN)
    one.close()
    assert "\r" not in stream.getvalue()
    assert all(line.startswith("pull ") for line in stream.getvalue().splitlines())


def test_short_work_leaves_nothing_in_a_log(make: Make) -> None:
    stream = io.StringIO()
    one = make(stream)
    one.start("pull", 10)
    one.advance(10)
    one.close()
    assert stream.getvalue() == ""


class Terminal:
    """A pseudo-terminal: `stream` is drawn on, `until` reads what a person would see."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        self.stream = os.fdopen(slave, "w")
        self.seen = ""

    def until(self, pattern: str) -> str:
        """Everything so far, once it has `pattern`."""
        while not re.search(pattern, self.seen):
            ready, _, _ = select.select([self.master], [], [], DRAWN)
            assert ready, f"{pattern!r} did not come: {self.seen!r}"
            self.seen += os.read(self.master, 4096).decode()
        return self.seen

    def close(self) -> None:
        self.stream.close()
        os.close(self.master)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("COLUMNS", "40")
    made = Terminal()
    yield made
    made.close()


def test_a_terminal_shows_one_line_that_is_drawn_anew_and_never_too_long(terminal: Terminal, make: Make) -> None:
    one = make(terminal.stream)
    one.start("pull", 100)
    one.item("a" * 100)
    terminal.until("\r.* 0 %")
    one.advance(42)
    seen = terminal.until("42 %")
    assert "\n" not in seen
    assert max(len(line) for line in seen.split("\r")) < 40


def test_a_note_stands_on_a_line_of_its_own_and_the_bar_goes_on(terminal: Terminal, make: Make) -> None:
    one = make(terminal.stream)
    one.start("pull", 100)
    terminal.until("\rpull")
    one.note("trying again")
    seen = terminal.until("trying again\r\n(.|\n)*\rpull")
    before = seen.partition("trying again")[0]
    assert before.endswith("\r")
    assert before.split("\r")[-2].strip() == ""  # what was drawn is wiped out first


def test_at_its_end_the_line_is_empty(terminal: Terminal, make: Make) -> None:
    one = make(terminal.stream)
    one.start("pull", 100)
    terminal.until("\rpull")
    one.close()
    terminal.stream.write("$")
    terminal.stream.flush()
    assert re.search(r"\r +\r\$\Z", terminal.until(r"\$"))


@pytest.mark.parametrize("width", [20, 30, 40, 60, 79, 100, 120])
def test_a_line_fits_and_no_number_is_cut(make: Make, width: int) -> None:
    one = make(plain=False)
    one.start("import", 1500 << 30, 1200)
    one.advance(1023 << 20)
    one.item("registry.example.org/some/long/path/application:1.0.0")
    whole = one.line()
    line = one.line(width)
    assert len(line) <= width
    assert line.startswith("import")
    texts = [text for _, text in one._parts()[:-2]]  # the rate and the time left change as it is asked
    assert all(text in line or text not in whole for text in texts[:2]), "the share is always there"
    for part in line.split("  "):
        assert (
            part.startswith("…")
            or part.strip("[#.] ") in whole
            or re.fullmatch(r"[0-9.]+ [KMGT]?i?B/s|[0-9:]+ left", part)
        )


def test_eighty_columns_have_room_for_every_number(make: Make) -> None:
    one = make(plain=False)
    one.start("import", 999 << 30, 204)
    one.advance(998 << 30)
    line = one.line(79)
    for part in ("import", " 99 %", "998.0 GiB of 999.0 GiB", "/s", "left", "0/204"):
        assert part in line
    assert one.line(120).endswith("0/204")
    one.item("docker.io/library/alpine:3.20")
    assert one.line(120).endswith("docker.io/library/alpine:3.20")
    assert "…" in one.line(95)
    assert one.line(95).endswith("alpine:3.20")
