"""The entry point. It answers `airgap --version` before it imports anything else."""

from __future__ import annotations

import sys

from airgap.base.errors import StoreError
from airgap.cli import exits, output
from airgap.version import VERSION


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns its exit code (see `airgap.cli.exits`)."""
    arguments = sys.argv[1:] if argv is None else argv
    output.settle()
    if arguments in (["--version"], ["-V"]):
        try:
            output.write(f"airgap {VERSION}\n")
        except StoreError as error:
            output.Messages().write(f"airgap: {error}\n")
            return error.exit_code
        return exits.DONE
    from airgap.cli.run import run

    return run(arguments)


def entry() -> None:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    entry()
