"""The delivery: AIRGAP.json, planning, writing, reading and verifying volumes. Format: docs/format.md."""
