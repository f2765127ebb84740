"""How much a test does: what proves its point, or with `pytest --thorough` much more of the same."""

from __future__ import annotations

import os

VARIABLE = "AIRGAP_TEST_THOROUGH"


def cases(enough: int, thorough: int) -> int:
    """The number of examples or things: `enough` to prove the point, or `thorough`."""
    return thorough if VARIABLE in os.environ else enough
