"""Metrics as a file in Prometheus' text format, for the textfile collector of a node exporter.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/, "Text-based format".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.base.disk import write_durably


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. Its name ends with `_total` if it only grows."""

    name: str
    words: str
    """What it says, in one line."""
    values: float | Mapping[str, float]
    """The value, or one for each value of `label`."""
    label: str = ""


def metrics_text(metrics: Sequence[Metric]) -> str:
    """The text of a metrics file. Labels and their values are airgap's own words."""
    lines = []
    for one in metrics:
        kind = "counter" if one.name.endswith("_total") else "gauge"
        lines += [f"# HELP {one.name} {one.words}", f"# TYPE {one.name} {kind}"]
        if isinstance(one.values, Mapping):
            lines += [f'{one.name}{{{one.label}="{name}"}} {value:.15g}' for name, value in one.values.items()]
        else:
            lines.append(f"{one.name} {one.values:.15g}")
    return "\n".join(lines) + "\n"


def write_metrics(path: Path, metrics: Sequence[Metric]) -> None:
    """Replaces the file at once, so that no reader sees half of it. Raises `StoreError`."""
    write_durably(path, metrics_text(metrics).encode())
