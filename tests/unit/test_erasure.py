"""The erasure code: what it loses and finds again, by ISA-L and by plain Python, with the same bytes."""

from __future__ import annotations

import random
import threading
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.erasure import engine as engines
from airgap.erasure.code import Code
from airgap.erasure.engine import Engine, IsaL, PlainPython, best_engine, slow_note
from airgap.erasure.field import INVERSE, TIMES, add, cauchy, inverse, times


def _engines() -> list[Engine]:
    return [PlainPython()] + ([best_engine()] if isinstance(best_engine(), IsaL) else [])


def _stripe(code: Code, size: int, seed: int) -> list[bytes]:
    rows = [random.Random(seed + at).randbytes(size) for at in range(code.data)]
    parity = [bytearray(size) for _ in range(code.parity)]
    code.encode(rows, parity)
    return rows + [bytes(row) for row in parity]


def test_the_field_is_the_one_that_is_written_down() -> None:
    assert TIMES[2][0x80] == 0x1D
    assert TIMES[0x53][0xCA] == 0x8F
    assert all(TIMES[a][INVERSE[a]] == 1 for a in range(1, 256))
    assert cauchy(3, 0) == bytes([0xF4, 0x8E, 0x01])  # 1/3, 1/2, 1/1


def test_a_matrix_times_its_inverse_is_one() -> None:
    matrix = [cauchy(100, row) for row in range(100)]
    product = times(matrix, inverse(matrix))
    assert all(row == bytes(int(i == at) for i in range(100)) for at, row in enumerate(product))
    with pytest.raises(ValueError, match="no inverse"):
        inverse([b"\1\1", b"\1\1"])
    assert add(b"\1\2", b"\3\2") == b"\2\0"


def test_the_vector_of_the_format() -> None:
    """Three rows of four bytes and two parity rows: the numbers in docs/format.md."""
    for engine in _engines():
        parity = [bytearray(4), bytearray(4)]
        Code(3, 2, engine).encode([b"airg", b"ap v", b"olum"], parity)
        assert [row.hex() for row in parity] == ["05734b80", "8f06a704"], engine.name


def test_isa_l_is_used_here() -> None:
    """The extra `parity` brings it; without it these tests would compare plain Python with itself."""
    pytest.importorskip("pyeclib")
    assert best_engine().name == "ISA-L"


def test_a_library_that_computes_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    best_engine.cache_clear()
    monkeypatch.setattr(engines, "_VECTOR", "0" * 64)
    try:
        assert best_engine().name == "plain Python"
        assert "install airgap[parity]" in slow_note()
    finally:
        best_engine.cache_clear()


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 300), st.randoms(use_true_random=False))
def test_any_losses_up_to_the_parity_are_rebuilt(data: int, parity: int, size: int, chance: random.Random) -> None:
    made = []
    for engine in _engines():
        code = Code(data, parity, engine)
        rows = _stripe(code, size, data)
        made.append(rows)
        lost = chance.sample(range(data + parity), chance.randint(0, parity))
        wanted = {at: bytearray(size) for at in lost}
        code.rebuild([None if at in lost else row for at, row in enumerate(rows)], wanted)
        assert {at: bytes(row) for at, row in wanted.items()} == {at: rows[at] for at in lost}
    assert made[0] == made[-1]


@pytest.mark.parametrize("engine", _engines(), ids=lambda engine: engine.name)
def test_every_pattern_of_a_small_code(engine: Engine) -> None:
    code = Code(4, 3, engine)
    rows = _stripe(code, 70_001, 1)
    for count in range(1, 4):
        for lost in combinations(range(7), count):
            wanted = {at: bytearray(70_001) for at in lost}
            code.rebuild([None if at in lost else memoryview(row) for at, row in enumerate(rows)], wanted)
            assert all(wanted[at] == rows[at] for at in lost), lost


def test_the_largest_code_loses_half() -> None:
    code = Code(128, 128)
    rows = _stripe(code, 64, 3)
    wanted = {at: bytearray(64) for at in range(128)}
    code.rebuild([None if at < 128 else row for at, row in enumerate(rows)], wanted)
    assert [bytes(wanted[at]) for at in range(128)] == rows[:128]


def test_rows_may_be_parts_of_one_buffer() -> None:
    whole = bytearray(random.Random(7).randbytes(6 * 1408))
    rows = [memoryview(whole)[at * 1408 : (at + 1) * 1408] for at in range(6)]
    code = Code(4, 2)
    code.encode(rows[:4], rows[4:])
    before, whole[1408:2816] = bytes(rows[1]), bytes(1408)
    code.rebuild([rows[0], None, *rows[2:]], {1: rows[1]})
    assert rows[1] == before


def test_many_patterns_do_not_fill_memory() -> None:
    code = Code(20, 4)
    rows = _stripe(code, 16, 5)
    for lost in list(combinations(range(20), 2)):
        code.rebuild([None if at in lost else row for at, row in enumerate(rows)], {lost[0]: bytearray(16)})
    assert len(code._plans) == 64


def test_several_threads_use_one_code() -> None:
    code = Code(10, 4)
    rows = _stripe(code, 4096, 9)
    wrong: list[tuple[int, ...]] = []

    def work(seed: int) -> None:
        for _ in range(30):
            lost = tuple(random.Random(seed).sample(range(14), 4))
            wanted = {at: bytearray(4096) for at in lost}
            code.rebuild([None if at in lost else row for at, row in enumerate(rows)], wanted)
            if any(wanted[at] != rows[at] for at in lost):
                wrong.append(lost)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_is_not_a_stripe_is_refused() -> None:
    for data, parity in ((0, 1), (1, 0), (200, 57)):
        with pytest.raises(ValueError, match="expected 1 or more"):
            Code(data, parity)
    code = Code(2, 1)
    with pytest.raises(ValueError, match="expected at least 2 that are not lost"):
        code.rebuild([None, b"ab", None], {0: bytearray(2)})
    with pytest.raises(ValueError, match="got 2 rows"):
        code.rebuild([b"ab", b"ab"], {})
    with pytest.raises(ValueError, match="expected 0 to 2"):
        code.rebuild([b"ab", b"ab", None], {3: bytearray(2)})
    with pytest.raises(ValueError, match="a row of 1 bytes"):
        code.encode([b"ab", b"a"], [bytearray(2)])
    with pytest.raises(ValueError, match="and at least 1"):
        code.encode([b"", b""], [bytearray()])
    with pytest.raises(ValueError, match="expected 2 and 1"):
        code.encode([b"ab"], [bytearray(2)])
    code.rebuild([b"ab", b"ab", None], {})
