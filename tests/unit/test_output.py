"""What people see: nothing that a stranger wrote moves their cursor."""

from __future__ import annotations

import io
import json
import os
from io import FileIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.base.errors import MAX_LINE, InputError
from airgap.base.text import Lines, one_line, visible
from airgap.cli.bar import Bar
from airgap.cli.context import Context, typed
from airgap.cli.demo import Demo
from airgap.cli.words import fitted, table


def test_what_a_terminal_would_obey_is_spelled_out() -> None:
    assert visible("a\tb\n") == "a\tb\n"
    assert visible("no\x1b[1A\ryes\x9b2J\u202e") == r"no\u001b[1A\u000dyes\u009b2J\u202e"
    assert visible("Müller 東京 ×") == "Müller 東京 ×"


HOSTILE = "a\nvol-2.tar  good\r\x1b[2K\x9b\u202e\u2028\u2066\u200b\xad\ud800\U000e0041\tb"
SHOWN = r"a\nvol-2.tar  good\u000d\u001b[2K\u009b\u202e\u2028\u2066\u200b\u00ad\ud800\U000e0041\u0009b"


def test_what_others_wrote_stays_on_its_line() -> None:
    assert one_line(HOSTILE) == SHOWN
    assert table([("A", "B"), (HOSTILE, "b")])[1:] == [f"{SHOWN}  b"]
    assert str(InputError("bad-x", f"{HOSTILE}: bad", HOSTILE)) == f"{SHOWN}: bad [bad-x]"
    error = InputError("bad-x", Lines.of(["two:", HOSTILE], "\n  "), HOSTILE).with_where(HOSTILE).with_hint(HOSTILE)
    assert (str(error), error.hint) == (f"{SHOWN}: two: [bad-x]\n  {SHOWN}", SHOWN)
    assert str(InputError("bad-y", error.what)) == f"{SHOWN}: two: [bad-y]\n  {SHOWN}"  # passed on, it keeps its lines
    assert "\n" not in InputError("bad-z", f"it said {error}").what  # in a message of one line it has none


@given(st.text(), st.text())
def test_no_text_makes_a_line_or_moves_a_cursor(one: str, other: str) -> None:
    assert all(one_line(text).isprintable() for text in (one, other))
    assert len(table([("A",), (one,), (other,)])) == 3
    assert len(str(InputError("bad-x", one, other)).splitlines()) == 1


def test_messages_bars_logs_and_results_keep_to_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return False

    stream, log = Terminal(), FileIO(tmp_path / "log", "wb")
    context = Context(os.environ, log_file=log)
    bar = Bar(stream, context.log, plain=True)
    bar.note(f"note: {HOSTILE}")
    bar.done(HOSTILE, "pass")
    bar.item(HOSTILE)
    bar.close()
    assert (stream.getvalue(), SHOWN in bar.line()) == (f"note: {SHOWN}\n", True)
    context.note(f"note: {HOSTILE}")
    context.result({"name": HOSTILE}, [f"name {HOSTILE}", "end"])
    context.result({"name": HOSTILE}, f"name {HOSTILE}")
    said = capsys.readouterr()
    assert said.err == f"note: {SHOWN}\n"
    assert said.out == f"name {SHOWN}\nend\nname {SHOWN}\n"
    log.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line.partition(" ")[2] for line in lines] == [f"note: {SHOWN}", f": {SHOWN}: pass", f"note: {SHOWN}"]
    Context(os.environ, as_json=True).result({"name": HOSTILE}, "")
    Context(os.environ, as_json=True).result_lines([{"name": HOSTILE}], [])
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert [json.loads(out[: out.index("}") + 1]), json.loads(out[out.index("}") + 1 :])] == [{"name": HOSTILE}] * 2


def test_results_are_for_people_or_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    name = "app\x1b[2J\x9b"
    Context(os.environ).result({"item": name}, name)
    assert capsys.readouterr().out == r"app\u001b[2J\u009b" + "\n"
    Context(os.environ, as_json=True).result({"item": name}, name)
    assert json.loads(capsys.readouterr().out) == {"item": name}
    Context(os.environ).note(name)
    assert "\x1b" not in capsys.readouterr().err


def test_a_text_of_several_lines_keeps_them_however_long_it_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Context(os.environ).note(Lines.of(["x" * 2 * MAX_LINE, HOSTILE]))
    assert capsys.readouterr().err.splitlines()[1:] == [SHOWN]
    Demo(tmp_path, Context(os.environ)).say("\n$ airgap lock\nan item")
    assert capsys.readouterr().err == "\n$ airgap lock\nan item\n"


def test_work_without_bytes_shows_items_alone() -> None:
    bar = Bar(None, lambda _line: None, plain=True)
    bar.start("judge", 0, 2)
    bar.item("app\x1b[2J")
    assert bar.line() == r"judge  0/2  app\u001b[2J"
    bar.close()


@given(
    st.integers(1, 6).flatmap(
        lambda columns: st.lists(
            st.lists(st.text("abc:/@ 0", max_size=120), min_size=columns, max_size=columns), min_size=1, max_size=6
        )
    ),
    st.integers(40, 120),
)
def test_a_table_fits_the_terminal_and_loses_nothing(rows: list[list[str]], width: int) -> None:
    whole = table(rows)
    lines = fitted(["before", *whole, "after"], width)
    assert (lines[0], lines[-1]) == ("before", "after")
    if all(len(line) <= width for line in whole):
        assert lines[1:-1] == whole
    assert all(len(line) <= width for line in lines)
    folded, plain = ("".join("".join(some).split()) for some in (lines[1:-1], whole))
    assert sorted(folded) == sorted(plain)


def test_a_digest_in_a_table_stays_whole(capsys: pytest.CaptureFixture[str]) -> None:
    digest = "sha256:" + "a" * 64
    rows = [("KIND", "NAME", "SIZE", "DIGEST"), ("image", "docker.io/library/alpine:3.20", "3.4 MiB", digest)]
    lines = fitted(table(rows), 80)
    assert lines[1:] == ["    DIGEST", "image  docker.io/library/alpine:3.20  3.4 MiB", f"    {digest}"]
    # Not where stdout is a file or a pipe: programs read lines.
    Context({}).result({}, table(rows))
    assert digest in capsys.readouterr().out.splitlines()[1]


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("pkcs11:token=a;object=b?pin-value=1234&module-path=/m", "pin-value=…&module-path=/m"),
        ("https://me:secret1@example.org/x", "https://…@example.org/x"),
        ("https://secret1@example.org/x", "https://…@example.org/x"),
        ("https://example.org/x?X-Amz-Signature=secret1&a=b", "X-Amz-Signature=…&a=b"),
        ("https://example.org/x?access_token=secret1", "access_token=…"),
        ("registry.example.org/a@sha256:00", "registry.example.org/a@sha256:00"),
        ("/path/with spaces", "'/path/with spaces'"),
    ],
)
def test_the_log_has_the_command_as_it_was_typed_without_secrets(word: str, kept: str) -> None:
    said = typed(["show", word, "--log-file", "x"])
    assert said.startswith("show ")
    assert said.endswith(" --log-file x")
    assert kept in said
    assert "secret1" not in said
    assert "1234" not in said
