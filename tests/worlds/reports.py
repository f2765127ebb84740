"""A vulnerability report as Trivy writes it."""

from __future__ import annotations

from typing import Any


def report(**scanner: Any) -> dict[str, Any]:
    """What Trivy 0.59.1 writes, its result cut short."""
    return {
        "invocation": {"parameters": None, "uri": "", "event_id": "", "builder.id": ""},
        "scanner": {
            "uri": "pkg:github/aquasecurity/trivy@0.59.1",
            "version": "0.59.1",
            "db": {"uri": "", "version": ""},
            "result": {"SchemaVersion": 2, "Results": [{"Vulnerabilities": [{"V3Score": 7.5}]}]},
            **scanner,
        },
        "metadata": {
            "scanStartedOn": "2026-11-27T01:10:13.608034137Z",
            "scanFinishedOn": "2026-11-27T03:10:13+02:00",
        },
    }
