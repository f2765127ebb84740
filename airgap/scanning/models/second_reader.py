"""Reads pickles with the library picklescan, and prints what it calls dangerous. A program of its own.

It is started with the path of a folder, as an isolated process without a network and within limits, and imports
nothing of airgap: what a library does with a stranger's file stays there. Prints a JSON object: for each file of the
folder, the dangerous imports as pairs of module and name.
"""

import json
import logging
import sys
from pathlib import Path


def main(folder: Path) -> int:
    """Reads every file of the folder; returns the exit status."""
    logging.disable(logging.CRITICAL)
    from picklescan.scanner import SafetyLevel, scan_pickle_bytes

    found = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            result = scan_pickle_bytes(file, path.name)
        found[path.name] = sorted(
            [one.module[:300], one.name[:300]] for one in result.globals if one.safety is SafetyLevel.Dangerous
        )
    sys.stdout.write(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
