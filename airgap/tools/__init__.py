"""Programs that airgap starts: pinned or checked versions, time limits, captured output, no shell."""
