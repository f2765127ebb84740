"""Exit codes: part of the interface. Anything else is a failure."""

from __future__ import annotations

DONE = 0
BUG = 1
"""Not the user's fault: please report it, with the log file."""
INPUT = 2
NO = 3
"""Policy, a check or an audit said no."""
TRUST = 4
"""Integrity or trust."""
UPSTREAM = 5
"""Upstream, destination, tool or local disk."""
INTERRUPTED = 130
