"""Which file goes on which disc: everything once, in order, and nothing over the edge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.base.errors import InputError
from airgap.delivery.disc_plan import RESERVE, on_medium, plan_discs
from airgap.delivery.fields import FileSum

MIB = 1 << 20


def _files(*sizes: int) -> list[FileSum]:
    return [FileSum(f"vol-{number:04d}", "0" * 64, size) for number, size in enumerate(sizes, 1)]


@given(
    sizes=st.lists(st.integers(0, 20 * MIB), min_size=1, max_size=30),
    small=st.lists(st.integers(0, MIB), max_size=6),
    disc=st.integers(32 * MIB, 90 * MIB),
)
def test_each_file_is_on_one_disc_and_every_disc_has_room_for_it(sizes: list[int], small: list[int], disc: int) -> None:
    files = _files(*sizes)
    planned = plan_discs(files, small, disc)
    assert [file for one in planned for file in one.files] == files
    assert [(one.number, one.count) for one in planned] == [(n, len(planned)) for n in range(1, len(planned) + 1)]
    for one in planned:
        assert one.files
        held = sum(map(on_medium, small)) + sum(on_medium(file.size) for file in one.files)
        assert held + RESERVE == one.size <= disc


def test_a_volume_that_fits_on_no_disc_is_named() -> None:
    with pytest.raises(InputError) as caught:
        plan_discs(_files(MIB, 9 * MIB), [1], 8 * MIB)
    assert caught.value.code == "disc-size"
    assert "vol-0002" in caught.value.what
