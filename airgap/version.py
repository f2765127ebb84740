"""The version, in the one place that packaging, the command line and statements read."""

VERSION = "0.1.0"
USER_AGENT = f"airgap/{VERSION}"
"""What servers are told: the program and its version."""
