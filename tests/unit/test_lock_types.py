"""Locks and indexes whose values have another type or length than airgap writes: refused where they are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airgap.base.canonical import canonical
from airgap.base.errors import AirgapError, InputError
from airgap.content.lock import Lock
from airgap.delivery.index import Index
from airgap.delivery.journey import MAX_STREAM
from airgap.jobs.lock import encoded
from tests.golden.site import FOLDER

GOLDEN = FOLDER / "delivery-v1alpha1"
ODD: tuple[Any, ...] = (
    None, True, 1, -1, 2**60, 1.5, [], [1], [[]], {}, {"a": 1}, "", "x" * 10_000, "a\nb", "\x1b[2J",
)  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(inner, (*path, key))


def _with(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _with(copy[path[0]], path[1:], odd)
    return copy


def _written(value: Any) -> bytes:
    try:
        return canonical(value) + b"\n"
    except ValueError:  # 2^60, which only others write
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _reads(read: Callable[[bytes], Any], data: bytes) -> None:
    """Reads what differs from an honest file: the answer is ours, and short."""
    said = ""
    try:
        assert read(data).encode() == data
    except AirgapError as error:
        said = error.what
    assert len(said) < 1000
    assert "\n" not in said


@pytest.mark.parametrize("name", ["delivery-v1alpha1/golden.lock.json", "delivery-judged/acme.lock.json"])
def test_any_value_in_a_lock_may_be_of_another_type(name: str) -> None:
    golden = json.loads((FOLDER / name).read_bytes())
    for path in _places(golden):
        for odd in ODD:
            _reads(lambda data: Lock.decode(data, "a lock"), _written(_with(golden, path, odd)))


def test_any_value_in_an_index_may_be_of_another_type() -> None:
    golden = json.loads((GOLDEN / "delivery" / "AIRGAP.json").read_bytes())
    for path in _places(golden):
        for odd in ODD:
            _reads(Index.decode, json.dumps(_with(golden, path, odd)).encode())


@pytest.mark.parametrize(
    ("path", "odd"),
    [
        (("metadata", "name"), "x" * 256),
        (("items", 0, "name"), "x" * 513),
        (("items", 0, "name"), "a b"),
        (("items", 0, "source"), "x" * 8193),
        (("items", 0, "phase"), "later"),
        (("items", 0, "platforms"), [1]),
        (("items", 0, "bytes"), 2**60),
        (("items", 0, "root", "size"), -1),
        (("items", 0, "root", "mediaType"), "x" * 256),
    ],
)
def test_what_is_too_long_or_of_another_type_is_a_bad_lock(path: tuple[Any, ...], odd: Any) -> None:
    golden = json.loads((GOLDEN / "golden.lock.json").read_bytes())
    golden["items"] = [item | {"platforms": ["linux/amd64"]} for item in golden["items"] if item["kind"] == "image"]
    with pytest.raises(AirgapError) as caught:
        Lock.decode(_written(_with(golden, path, odd)), "a lock")
    assert caught.value.code == "bad-lock"


@pytest.mark.parametrize(
    ("stream", "good"), [("s" * MAX_STREAM, True), ("s" * (MAX_STREAM + 1), False), ("ä" * 37, False)]
)
def test_a_stream_has_room_in_the_file_name_of_a_receipt(stream: str, good: bool) -> None:
    data = (GOLDEN / "delivery" / "AIRGAP.json").read_text()
    changed = data.replace('"stream": "main"', f'"stream": "{stream}"').encode()
    if good:
        assert Index.decode(changed).journey.stream == stream
    else:
        with pytest.raises(AirgapError, match="stream") as caught:
            Index.decode(changed)
        assert caught.value.code == "bad-index"


def test_a_lock_that_no_command_could_read_is_not_written() -> None:
    good = Lock.decode((GOLDEN / "golden.lock.json").read_bytes(), "golden")
    assert encoded(good, Path("r.lock.json")) == good.encode()
    item = next(item for item in good.items if item.kind == "git")
    long = Lock.of("long", [replace(item, refs={"refs/heads/" + "b" * 2000: "0" * 40}, head="")])
    with pytest.raises(InputError) as caught:
        encoded(long, Path("r.lock.json"))
    assert (caught.value.code, "nothing was written" in caught.value.hint) == ("bad-lock", True)
