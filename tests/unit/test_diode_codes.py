"""Codes that people carry: what is missing, and that all arrived; each mistake shows, and in its group."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.delivery.fields import FileSum
from airgap.diode.codes import (
    CodeKind,
    everything_code,
    is_receipt,
    read_code,
    receipt_code,
    resend_code,
    wanted,
)
from airgap.diode.ranges import Ranges

DELIVERY, OTHER = Digest.of(b"one"), Digest.of(b"other")
KEY = b"k" * 32
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@st.composite
def losses(draw: st.DrawFn) -> tuple[list[FileSum], dict[int, list[tuple[int, int]]]]:
    """The files of a delivery, and what is missing of them."""
    sizes = draw(st.lists(st.integers(1, 5 << 30), min_size=1, max_size=8))
    files = [FileSum(f"vol-{n}", "0" * 64, size) for n, size in enumerate(sizes)]
    missing = {}
    for number, size in enumerate(sizes):
        lost = Ranges()
        for begin in draw(st.lists(st.integers(0, size - 1), max_size=12)):
            lost.add(begin, min(size, begin + draw(st.integers(1, 64 << 20))))
        if len(lost):
            missing[number] = list(lost)
    return files, missing


@given(losses())
def test_a_code_asks_for_all_that_is_missing(case: tuple[list[FileSum], dict[int, list[tuple[int, int]]]]) -> None:
    files, missing = case
    if not missing:
        return
    text = resend_code(DELIVERY, files, missing)
    assert len(text) <= 13 * 6
    code = read_code(text)
    assert code.kind is CodeKind.RESEND
    assert code.is_about(DELIVERY)
    asked = wanted(code, files)
    assert all(0 <= begin < end <= files[number].size for number, ranges in asked.items() for begin, end in ranges)
    for number, ranges in missing.items():
        there = Ranges()
        for begin, end in asked[number]:
            there.add(begin, end)
        assert all(there.covers(begin, end) for begin, end in ranges)


def test_one_lost_block_is_asked_for_exactly() -> None:
    files = [FileSum(f"vol-{n}", "0" * 64, 4293918720) for n in range(40)]
    for number, begin in ((0, 0), (39, 4293918720 - (1 << 20)), (7, 1 << 20)):
        asked = wanted(read_code(resend_code(DELIVERY, files, {number: [(begin, begin + 1)]})), files)
        ((low, high),) = asked[number]
        assert list(asked) == [number]
        assert low <= begin < high
        assert high - low == 64 << 10
    assert wanted(read_code(everything_code(DELIVERY)), files)[39] == [(0, 4293918720)]


def test_a_code_is_read_as_people_type_it() -> None:
    text = receipt_code(KEY, DELIVERY)
    typed = text.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert read_code(typed) == read_code(text)
    assert is_receipt(read_code(typed), KEY, DELIVERY)
    assert not is_receipt(read_code(text), b"x" * 32, DELIVERY)
    assert not is_receipt(read_code(receipt_code(KEY, OTHER)), KEY, DELIVERY)
    assert not is_receipt(read_code(everything_code(DELIVERY)), KEY, DELIVERY)


def test_every_single_mistake_is_found_in_its_group() -> None:
    text = resend_code(DELIVERY, [FileSum("v", "0" * 64, 1 << 32)], {0: [(1 << 20, 9 << 20), (1 << 30, 2 << 30)]})
    groups = text.split("-")
    for at, symbol in enumerate(text):
        for other in ALPHABET.replace(symbol, "") if symbol != "-" else "":
            with pytest.raises(InputError, match=f"group {at // 6 + 1} of"):
                read_code(text[:at] + other + text[at + 1 :])
    for at in range(len(text) - 1):
        swapped = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        if "-" not in text[at : at + 2] and swapped != text:
            with pytest.raises(InputError, match="mistyped"):
                read_code(swapped)
    for wrong in (groups[1:], groups[:-1], [groups[1], groups[0], *groups[2:]], [*groups, groups[0]]):
        with pytest.raises(InputError):
            read_code("-".join(wrong))


@pytest.mark.parametrize("text", ["", "-", "hello", "U" * 15, "0" * 15, "1" * 1005, "é" * 15, "15NRQ" * 3])
def test_what_is_no_code(text: str) -> None:
    with pytest.raises(InputError) as error:
        read_code(text)
    assert error.value.code == "bad-code"


def test_noise_is_no_code() -> None:
    noise = random.Random(1)
    for _ in range(2000):
        text = "".join(noise.choice(ALPHABET) for _ in range(5 * noise.randint(3, 14)))
        with pytest.raises(InputError):
            read_code(text)
