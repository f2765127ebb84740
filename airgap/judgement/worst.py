"""How many answers about findings a judgement keeps: the worst ones, and how many more there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from airgap.base.amounts import count
from airgap.judgement.checks.base import Answer, Outcome

MOST = 50
"""Answers about findings of one kind with one end, for one subject. All of them are in the scan results."""


def bounded(answers: Sequence[Answer]) -> Iterator[Answer]:
    """The answers; of those about findings of one subject with one kind and one end, `MOST` and one for the rest.

    What a waiver lets pass is bounded for itself, so that every waiver that was needed is named. What a VEX document
    lifted is not bounded, because nothing else says which findings these are. The answers of a subject have the worst
    finding first.
    """
    numbers: dict[tuple[object, ...], int] = {}
    for one in answers:
        if one.named is not None:
            numbers[_like(one)] = numbers.get(_like(one), 0) + 1
    seen: dict[tuple[object, ...], int] = {}
    for one in answers:
        if one.named is None or one.outcome is Outcome.PASSED:
            yield one
            continue
        seen[_like(one)] = nth = seen.get(_like(one), 0) + 1
        if nth <= MOST:
            yield one
        elif nth == MOST + 1:
            left = count(numbers[_like(one)] - MOST, "more finding")
            what = "waived" if one.outcome is Outcome.WAIVED else one.outcome
            yield replace(one, named=None, detail=f"and {left} of the kind {one.check}: {what}")


def _like(one: Answer) -> tuple[object, ...]:
    waiver = None if one.waiver is None else one.waiver.digest
    return (one.subject, one.check, one.outcome, waiver)
