"""What a delta rests on, in words and as JSON: nothing for a delivery that is complete in itself."""

from __future__ import annotations

from collections import Counter
from typing import Any

from airgap.base.amounts import count, human
from airgap.delivery.index import Index

MOST = 20
"""Baselines that are shown; `--json` has all."""


def rests_on(index: Index) -> list[dict[str, Any]]:
    """Each baseline with its receipts, and how many blobs and bytes the delta omits because of it."""
    blobs, sizes = Counter[int](), Counter[int]()
    for one in index.contents.omitted.values():
        blobs[one.baseline] += 1
        sizes[one.baseline] += one.size
    return [
        {**one.as_dict(), "blobs": blobs[number], "bytes": sizes[number]}
        for number, one in enumerate(index.journey.based_on, 1)
    ]


def rests_on_lines(index: Index) -> list[str]:
    """The same for people."""
    omitted = index.contents.omitted
    if not omitted:
        return []
    size = human(sum(one.size for one in omitted.values()))
    lines = [f"delta: omits {count(len(omitted), 'blob')} ({size}) that must be inside already"]
    for one in rests_on(index)[:MOST]:
        many = len(one["receipts"])
        how = f"by {count(many, 'receipt')}" if many else "by no receipt: it is only known that it was cut"
        lines.append(f"  on {one['delivery']}, {count(one['blobs'], 'blob')} ({human(one['bytes'])}), known {how}")
    more = len(index.journey.based_on) - MOST
    return lines + ([f"  and on {more} more: --json has all"] if more > 0 else [])
