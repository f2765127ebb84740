"""cosign as a judge, any way to the outside closed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.parts.need import require_part

PASSWORD = b"correct horse"


def cosign(*args: str | Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Runs cosign, its caches in `home`, any way to a network closed."""
    closed = "http://127.0.0.1:9"
    env = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "COSIGN_PASSWORD": PASSWORD.decode(),
        "HTTPS_PROXY": closed,
        "HTTP_PROXY": closed,
    }
    argv = [str(require_part("cosign")), *map(str, args)]
    return subprocess.run(argv, env=env, cwd=home, capture_output=True, text=True, check=False)
