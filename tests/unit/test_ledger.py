"""Where accepted deliveries are written down, when two imports meet."""

from __future__ import annotations

from pathlib import Path

import pytest

from airgap.base.errors import StoreError
from airgap.statements.accepted_state import StateFile
from airgap.station.files import Records
from airgap.station.ledger import Ledger
from airgap.station.signatory import Diary
from tests.worlds.trust import NOW, SOVEREIGN, World, accepted


def ledger(folder: Path) -> Ledger:
    """That of one import."""
    records = Records(folder)
    diary = Diary(records.log(), "sovereign", lambda: NOW)
    return Ledger(StateFile(folder, SOVEREIGN), (), World().trust, records, diary, lambda _note: None)


def test_what_was_judged_before_another_import_is_not_accepted(tmp_path: Path) -> None:
    """Two first imports of two streams: each alone would be the first of the only one."""
    first, second = ledger(tmp_path), ledger(tmp_path)
    assert first.known() == second.known()
    first.record(accepted(1, "main"))
    with pytest.raises(StoreError) as caught:
        second.record(accepted(1, "side"))
    assert (caught.value.code, caught.value.hint) == ("locked", "run the same command again")
    assert [one.stream for one in second.file.load().deliveries] == ["main"]
    second.known()  # asked again for the names, under the lock: it changes nothing about what was judged
    with pytest.raises(StoreError):
        second.record(accepted(1, "side"))
    again = ledger(tmp_path)
    again.known()
    again.record(accepted(2, "main"))
