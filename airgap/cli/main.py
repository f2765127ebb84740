"""The entry point. `airgap --version` is answered before anything else is imported."""

from __future__ import annotations

import sys

from airgap.version import VERSION


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns its exit code (see `airgap.cli.exits`)."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments in (["--version"], ["-V"]):
        sys.stdout.write(f"airgap {VERSION}\n")
        return 0
    from airgap.cli.run import run

    return run(arguments)


def entry() -> None:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    entry()
