"""One way to read JSON: what is refused, and as what."""

from __future__ import annotations

import pytest

from airgap.base.errors import InputError, IntegrityError
from airgap.base.strict_json import RepeatedKeyError, decode_json, parse_json


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{} {}",
        b"NaN",
        b"[-Infinity]",
        b"1e999",
        b"-1e999",
        b"1" * 400,
        b"9" * 5000,
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 101 + b"]" * 101,
        b"{'a': 1}",
        b'"\\ud83d"',
        b'{"\\ude00": 1}',
        b'"\\uDE00\\uD83D"',
        b'"\\\\\\ud800"',
    ],
)
def test_what_readers_disagree_about_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        decode_json(data)


def test_a_key_that_occurs_twice_has_a_class_of_its_own() -> None:
    with pytest.raises(RepeatedKeyError):
        decode_json(b'{"a": {"b": 1, "b": 1}}')


def test_what_everybody_reads_alike_is_taken() -> None:
    assert decode_json(b'"\\ud83d\\uDE00 \\\\ud800"') == "\U0001f600 \\ud800"
    assert decode_json(b"[" * 100 + b"]" * 100)
    assert decode_json(b' {"a": [1, 2.5, 9007199254740993, "\\u00e9\xc3\xa9", null, true]}\n') == {
        "a": [1, 2.5, 9007199254740993, "éé", None, True]
    }


def test_the_caller_says_which_error_it_is() -> None:
    with pytest.raises(IntegrityError, match="thing: not valid JSON") as damaged:
        parse_json(b"{", "thing")
    assert damaged.value.code == "bad-json"
    with pytest.raises(InputError, match="thing: not valid JSON"):
        parse_json(b"{", "thing", lambda what: InputError("bad-lock", what))
