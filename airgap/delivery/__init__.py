"""The delivery: AIRGAP.json, planning, writing and reading volumes. Format: docs/format.md."""
