"""The command line: the only place that touches argv, the environment, the clock and exit codes."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  (said here: an older Python cannot even read what comes next)
    sys.stderr.write(
        "airgap: got Python {}.{}, expected 3.11 or later\n  next: install a newer Python, and airgap with it\n".format(
            *sys.version_info
        )
    )
    sys.exit(5)
