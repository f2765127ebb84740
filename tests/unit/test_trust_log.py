"""The hash-chained log: appending, tearing, cutting, rewriting."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import InputError, IntegrityError, StoreError
from airgap.statements.log import EMPTY_HEAD, MAX_LINE, REPAIR, StationLog
from tests.worlds.trust import NOW

ONE, TWO = Digest.of(b"one"), Digest.of(b"two")


def filled(path: Path, count: int = 3) -> tuple[StationLog, list[Digest]]:
    """A log with lines, and the head after each."""
    log = StationLog(path)
    heads = [
        log.append(time=NOW, actor="exporter", action=f"pull-{number}", subjects=[ONE]).head for number in range(count)
    ]
    return log, heads


def code_of(log: StationLog, *heads: Digest) -> str:
    with pytest.raises(IntegrityError) as caught:
        log.verify(heads)
    assert caught.value.hint
    assert str(log.path) in caught.value.what
    return caught.value.code


def test_a_log_that_is_not_there_is_empty_and_is_not_made_by_looking(tmp_path: Path) -> None:
    log = StationLog(tmp_path / "log.jsonl")
    assert (log.head(), log.verify(), list(log.entries())) == (EMPTY_HEAD, 0, [])
    assert code_of(log, ONE) == "log-cut"
    assert list(tmp_path.iterdir()) == []


def test_each_line_names_the_one_before_it(tmp_path: Path) -> None:
    log, heads = filled(tmp_path / "deep" / "log.jsonl")
    lines = log.path.read_bytes().splitlines()
    assert [Digest.of(line) for line in lines] == heads
    documents = [json.loads(line) for line in lines]
    assert [document["previous"] for document in documents] == [EMPTY_HEAD, *heads[:2]]
    assert documents[0] == {
        "time": "2026-11-23T12:00:00Z",
        "actor": "exporter",
        "action": "pull-0",
        "subjects": [str(ONE)],
        "previous": str(EMPTY_HEAD),
    }
    assert log.head() == heads[-1]
    assert log.verify([*heads, EMPTY_HEAD]) == 3
    assert [entry.action for entry in log.entries()] == ["pull-0", "pull-1", "pull-2"]


def test_a_log_can_grow_while_it_is_read(tmp_path: Path) -> None:
    log, _ = filled(tmp_path / "log.jsonl")
    for entry in log.entries():
        log.append(time=NOW, actor="auditor", action="saw " + entry.action)
    assert log.verify() == 6


@pytest.mark.parametrize("keep", [1, 40])
def test_a_torn_line_is_reported_then_mended_and_the_mending_is_noted(tmp_path: Path, keep: int) -> None:
    log, heads = filled(tmp_path / "log.jsonl")
    data = log.path.read_bytes()
    torn = data.splitlines(keepends=True)[1][:keep]
    log.path.write_bytes(data + torn)
    assert code_of(log) == "log-torn"
    assert log.head() == heads[-1]
    appended = log.append(time=NOW, actor="station", action="scan", subjects=[TWO])
    assert appended.repaired == Digest.of(torn)
    assert [entry.action for entry in log.entries()][3:] == [REPAIR, "scan"]
    assert list(log.entries())[3].subjects == (Digest.of(torn),)
    assert log.verify([*heads, appended.head]) == 5
    assert log.append(time=NOW, actor="station", action="scan").repaired is None


@pytest.mark.parametrize("torn", [b"{", b'{"action":"x', b'{"act\0\0\0', b"\0\0"])
def test_a_log_that_is_only_a_torn_line(tmp_path: Path, torn: bytes) -> None:
    log = StationLog(tmp_path / "log.jsonl")
    log.path.write_bytes(torn)
    assert log.head() == EMPTY_HEAD
    assert log.append(time=NOW, actor="a", action="b").repaired == Digest.of(torn)
    assert log.verify() == 2


@pytest.mark.parametrize(
    "data",
    [
        b'{"dsseEnvelope": 1}',
        b"text",
        b"text\n",
        b"text\nmore",
        b"-----BEGIN PUBLIC KEY-----\n",
        b"\n",
        b"x" * MAX_LINE,
    ],
)
def test_a_file_that_is_no_log_is_neither_erased_nor_added_to(tmp_path: Path, data: bytes) -> None:
    log = StationLog(tmp_path / "log.jsonl")
    log.path.write_bytes(data)
    for use in (log.head, lambda: log.append(time=NOW, actor="a", action="b")):
        with pytest.raises(InputError, match="not-a-log"):
            use()
    assert log.path.read_bytes() == data


def test_a_cut_log_is_found_by_the_heads_that_were_signed(tmp_path: Path) -> None:
    log, heads = filled(tmp_path / "log.jsonl")
    whole = log.path.read_bytes()
    log.path.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    assert log.verify() == 2
    assert code_of(log, heads[2]) == "log-cut"
    log.path.unlink()
    assert code_of(log, heads[2]) == "log-cut"


def test_a_changed_line_breaks_the_chain(tmp_path: Path) -> None:
    log, _ = filled(tmp_path / "log.jsonl")
    lines = log.path.read_bytes().splitlines(keepends=True)
    for changed, code in [
        ([lines[0].replace(b"pull-0", b"pull-9"), *lines[1:]], "log-broken"),
        (lines[1:], "log-broken"),
        ([lines[0], lines[2]], "log-broken"),
        ([lines[1], lines[0], lines[2]], "log-broken"),
        ([lines[0], b"junk\n", *lines[1:]], "log-damaged"),
        ([lines[0], b"\n", *lines[1:]], "log-damaged"),
        ([lines[0].replace(b'"actor"', b'"actor":"x","actor"'), *lines[1:]], "log-damaged"),
    ]:
        log.path.write_bytes(b"".join(changed))
        assert code_of(log) == code


def test_nothing_is_appended_to_what_cannot_be_read(tmp_path: Path) -> None:
    log, _ = filled(tmp_path / "log.jsonl")
    for damage in [b"junk\n", b"x" * (MAX_LINE + 1), b"x" * (3 * MAX_LINE) + b"\n"]:
        data = log.path.read_bytes() + damage
        log.path.write_bytes(data)
        with pytest.raises(IntegrityError) as caught:
            log.append(time=NOW, actor="a", action="b")
        assert caught.value.code == "log-damaged"
        assert code_of(log) == "log-damaged"
        assert log.path.read_bytes() == data
        log.path.write_bytes(data[: -len(damage)])


def test_links_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch()
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(target)
    os.mkfifo(pipe)
    for path in (link, pipe, tmp_path):
        with pytest.raises(StoreError):
            StationLog(path).append(time=NOW, actor="a", action="b")
    assert target.read_bytes() == b""


def test_a_line_that_is_too_long_is_a_bug_and_leaves_nothing(tmp_path: Path) -> None:
    log = StationLog(tmp_path / "log.jsonl")
    with pytest.raises(ValueError, match="line"):
        log.append(time=NOW, actor="a", action="b", subjects=[ONE] * 20_000)
    assert log.verify() == 0


def test_several_writers_make_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    threads = [threading.Thread(target=filled, args=(path, 10)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert StationLog(path).verify() == 40


def test_a_cut_shows_also_behind_a_torn_line_and_says_what_names_the_head(tmp_path: Path) -> None:
    log, heads = filled(tmp_path / "log.jsonl")
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(lines[0] + lines[1][:20])
    assert code_of(log) == code_of(log, heads[0]) == "log-torn"
    assert code_of(log, heads[1]) == "log-cut"
    with pytest.raises(IntegrityError, match=r"receipt\.json"):
        log.verify({heads[2]: "receipt.json (a receipt statement)"})
