"""`open_stream`: one stream, whatever happens to the connections below it."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from airgap.base.errors import UpstreamError
from airgap.net.http import Client, Retries
from tests.parts.scripted import Answer, Scripted

DATA = random.Random(1).randbytes(100_000)


@pytest.fixture
def script() -> Iterator[Scripted]:
    """A server whose answers each test sets."""
    made = Scripted()
    yield made
    made.stop()


def client() -> Client:
    """Three attempts, at once."""
    return Client(zone="gap", retries=Retries(attempts=3, base=0, jitter=0), sleep=lambda _: None)


def part(start: int, end: int = len(DATA), total: int | str = len(DATA), **headers: str) -> Answer:
    """A 206 with the bytes from `start` on that breaks off at `end`."""
    said = {"Content-Range": f"bytes {start}-{len(DATA) - 1}/{total}", **headers}
    return Answer(206, DATA[start:end], said, length=len(DATA) - start)


def whole(end: int = len(DATA), **headers: str) -> Answer:
    """A 200 that breaks off at `end`."""
    return Answer(200, DATA[:end], headers, length=len(DATA))


def read(script: Scripted, offset: int = 0, etag: str = "") -> bytes:
    """Everything from `offset` on."""
    with client().open_stream(script.url, offset, etag=etag) as stream:
        return stream.read(-1)


def test_a_cut_stream_goes_on_where_it_was(script: Scripted) -> None:
    script.answers = [whole(95_000), part(95_000, 99_000), part(99_000)]
    assert read(script) == DATA
    assert [asked.headers.get("range") for asked in script.asked] == [
        None,
        "bytes=95000-",
        "bytes=99000-",
    ]


def test_attempts_are_counted_without_progress_only(script: Scripted) -> None:
    script.answers = [whole(10_000), *(part(n, n + 10_000) for n in range(10_000, 100_000, 10_000))]
    assert read(script) == DATA


def test_without_progress_it_gives_up(script: Scripted) -> None:
    script.answers = [whole(500), part(500, 500)]
    with pytest.raises(UpstreamError) as caught:
        read(script)
    assert caught.value.code == "connection-lost"
    assert len(script.asked) == 3


def test_a_server_that_ignores_range_costs_its_beginning_again(script: Scripted) -> None:
    script.answers = [whole(60_000), whole()]
    assert read(script) == DATA
    script.answers = [whole()]
    assert read(script, 70_000) == DATA[70_000:]


def test_a_drop_while_the_beginning_is_thrown_away_is_survived(script: Scripted) -> None:
    script.answers = [whole(60_000), whole(10_000), whole()]
    assert read(script) == DATA


def test_reading_from_an_offset(script: Scripted) -> None:
    script.answers = [part(99_000)]
    assert read(script, 99_000) == DATA[99_000:]


def test_reading_from_the_very_end(script: Scripted) -> None:
    script.answers = [Answer(416)]
    assert read(script, len(DATA)) == b""


@pytest.mark.parametrize("said", ["", "bytes 0-99999/100000", "bytes 499-99999/100000", "rubbish"])
def test_another_range_than_asked_for_is_refused(script: Scripted, said: str) -> None:
    script.answers = [Answer(206, DATA[500:], {"Content-Range": said} if said else {})]
    with pytest.raises(UpstreamError) as caught:
        read(script, 500)
    assert caught.value.code == "bad-range"


def test_content_that_changed_meanwhile_is_noticed_by_its_size(script: Scripted) -> None:
    script.answers = [whole(60_000), part(60_000, total=100_001)]
    with pytest.raises(UpstreamError) as caught:
        read(script)
    assert caught.value.code == "content-changed"


def test_content_that_changed_meanwhile_is_noticed_by_its_etag(script: Scripted) -> None:
    script.answers = [whole(60_000, ETag='"one"'), whole(ETag='"two"')]
    with pytest.raises(UpstreamError) as caught:
        read(script)
    assert caught.value.code == "content-changed"
    assert script.asked[1].headers["if-range"] == '"one"'


def test_a_weak_etag_is_no_validator(script: Scripted) -> None:
    script.answers = [whole(60_000, ETag='W/"one"'), part(60_000, ETag='W/"two"')]
    assert read(script) == DATA
    assert "if-range" not in script.asked[1].headers


def test_a_busy_server_in_the_middle_is_waited_for(script: Scripted) -> None:
    script.answers = [whole(60_000), Answer(503), part(60_000)]
    assert read(script) == DATA


def test_pieces_are_bounded_and_readinto_fills_from_the_stream(script: Scripted) -> None:
    script.answers = [whole()]
    buffer = bytearray(30_000)
    with client().open_stream(script.url) as stream:
        count = stream.readinto(buffer)  # type: ignore[attr-defined]
        assert buffer[:count] + stream.read(-1) == DATA


def test_what_is_not_there_is_said_when_opening(script: Scripted) -> None:
    script.answers = [Answer(404)]
    with pytest.raises(UpstreamError) as caught:
        client().open_stream(script.url)
    assert caught.value.status == 404


def test_a_stream_that_was_left_costs_its_connection_and_nothing_else(script: Scripted) -> None:
    script.answers = [Answer(200, DATA)]
    made = client()
    with made.open_stream(script.url) as stream:
        assert stream.read(10) == DATA[:10]
    with made.open_stream(script.url) as stream:
        assert stream.read(-1) == DATA


def test_a_stream_that_ends_well_is_not_tried_again(script: Scripted) -> None:
    told: list[str] = []
    script.answers = [whole()]
    made = Client(zone="gap", retries=Retries(attempts=3, base=0, jitter=0), on_retry=told.append)
    with made.open_stream(script.url) as stream:
        assert stream.read(-1) == DATA
    assert (told, len(script.asked)) == ([], 1)


def test_a_cut_is_seen_where_the_whole_length_is_not_told(script: Scripted) -> None:
    script.answers = [part(100, 50_000, total="*"), part(50_000, total="*")]
    assert read(script, 100) == DATA[100:]
    assert script.asked[1].headers["range"] == "bytes=50000-"
