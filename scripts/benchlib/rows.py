"""`Table`: what was measured, grouped by the stage of the way, with ratios to the yardstick of the same round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean, median
from typing import Any

from benchlib.measure import Sample
from benchlib.shapes import Shape

STAGES = {
    "copy": ("copy", ""),
    "pull": ("copy", "≤ 1.2 ×, ahead of every peer"),
    "bundle": ("copy", ""),
    "out": ("copy", "≤ 1.2 ×"),
    "verify": ("copy", ""),
    "send": ("push", ""),
    "push": ("push", "≤ 1.2 ×"),
    "again": ("push", "≤ 2 s"),
    "audit": ("push", ""),
    "way": ("way", "ahead of every peer"),
    "bad": ("", "< 1 s"),
    "start": ("start", ""),
    "version": ("start", "< 3 ×"),
}
"""Stages in the order of the table: the yardstick, and the target of airgap's own row (docs/design.md)."""


@dataclass(slots=True)
class Round:
    """Samples of one round by stage and label, and those of its yardsticks."""

    samples: dict[tuple[str, str], Sample] = field(default_factory=dict)
    loops: dict[str, list[Sample]] = field(default_factory=dict)

    def loop(self, name: str, sample: Sample) -> Sample:
        """One more run of a yardstick; returns the mean of its runs in this round."""
        runs = self.loops.setdefault(name, [])
        runs.append(sample)
        return Sample(mean(run.seconds for run in runs), mean(run.cpu for run in runs))

    def yardstick(self, name: str) -> float:
        """Seconds of a yardstick: the mean of its runs, before and after the others."""
        if name == "way":
            return self.yardstick("copy") + self.yardstick("push")
        return mean(run.seconds for run in self.loops[name])


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table. Numbers are medians over the rounds; the peak is the largest of all."""

    stage: str
    what: str
    samples: tuple[Sample, ...]
    ratios: tuple[float, ...]

    @property
    def ratio(self) -> float | None:
        """Multiple of the yardstick; `None` where there is none."""
        return median(self.ratios) if self.ratios else None

    @property
    def yardstick(self) -> str:
        """Which yardstick."""
        return STAGES[self.stage][0]

    @property
    def target(self) -> str:
        """What airgap has to hold."""
        return STAGES[self.stage][1] if self.what.startswith("airgap") else ""

    def median(self, name: str) -> float:
        """The median of a field of the samples."""
        return float(median(getattr(sample, name) for sample in self.samples))

    @property
    def peak(self) -> int:
        """Bytes of resident memory at the most."""
        return max(sample.peak for sample in self.samples)

    def as_dict(self, size: int) -> dict[str, Any]:
        """For --json; bytes as multiples of `size`."""
        times = ("read", "written", "disk_read", "disk_written")
        return {
            "stage": self.stage,
            "what": self.what,
            "yardstick": self.yardstick or None,
            "ratio": self.ratio,
            "ratios": list(self.ratios),
            "seconds": [sample.seconds for sample in self.samples],
            "cpuSeconds": self.median("cpu"),
            "peakBytes": self.peak,
            "timesContent": {name: self.median(name) / size for name in times},
            "target": self.target or None,
        }


@dataclass(frozen=True, slots=True)
class Table:
    """A shape's result. `bytes` is the size of its content; `notes` says what was left out."""

    shape: Shape
    bytes: int
    rows: tuple[Row, ...]
    rounds: int
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        shape = self.shape
        return {
            "shape": shape.name,
            "images": shape.images,
            "blobs": shape.blobs,
            "blobBytes": shape.size,
            "contentBytes": self.bytes,
            "rounds": self.rounds,
            "rows": [row.as_dict(self.bytes) for row in self.rows],
            "notes": list(self.notes),
        }


def rows_of(rounds: Sequence[Round]) -> tuple[Row, ...]:
    """The rows over all rounds, in the order of the stages."""
    order = list(STAGES)
    keys = sorted(
        rounds[0].samples,
        key=lambda key: (order.index(key[0]), _rank(key[1]), key[1]),
    )
    return tuple(_row(stage, what, rounds) for stage, what in keys)


def _rank(what: str) -> int:
    """Ours first, then the loops, then the peers."""
    return 0 if what.startswith("airgap") else 1 if what.startswith("bare") else 2


def _row(stage: str, what: str, rounds: Sequence[Round]) -> Row:
    samples = tuple(one.samples[stage, what] for one in rounds)
    name = STAGES[stage][0]
    pairs = zip(samples, rounds, strict=True)
    ratios = tuple(one.seconds / each.yardstick(name) for one, each in pairs) if name else ()
    return Row(stage, what, samples, ratios)
