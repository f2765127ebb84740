"""The reference is made from the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_resource_reference_is_up_to_date() -> None:
    script = Path(__file__).parents[2] / "scripts" / "reference"
    done = subprocess.run([sys.executable, str(script), "--check"], check=False)
    assert done.returncode == 0, "run scripts/reference"
