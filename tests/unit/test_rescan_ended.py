"""`rescan` says which waivers of a verdict have ended: nothing new was found, and yet it no longer passes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

from airgap.jobs import rescan
from tests.worlds.scanned import usual


def test_a_waiver_that_ended_is_named_with_what_it_let_pass() -> None:
    verdict = usual().verdict()
    [waiver] = verdict.waivers
    judged = next(one for one in verdict.items.values() if any(check.waiver for check in one.checks))
    [check] = [check for check in judged.checks if check.waiver]
    made = replace(verdict, waivers=(replace(waiver, digest=cast(Any, check.waiver)),))
    again = cast(Any, SimpleNamespace(of=SimpleNamespace(verdict=made), judged=judged))
    assert list(rescan._ended(again, waiver.expires - timedelta(seconds=1))) == []
    [said] = rescan._ended(again, waiver.expires)
    assert said.startswith(check.finding.id if check.finding else check.check)
    assert " was waived until " in said
