"""The command line of `scripts/parts`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import zipfile

from . import cache
from .catalogue import BY_NAME, PARTS, AptPart, Part
from .make import CannotMakeError, make


def main() -> int:
    """Make the wanted parts; 1 when one of them could not be had."""
    parser = argparse.ArgumentParser(
        prog="scripts/parts",
        description="Install and build the real parts that the tests run against.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these parts")
    parser.add_argument("--list", action="store_true", help="show every part and its state")
    parser.add_argument("--path", action="store_true", help="print the folder of the programs")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BY_NAME]
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are: {', '.join(BY_NAME)}")
    if options.path:
        print(cache.bin_dir())
        return 0
    wanted = [BY_NAME[name] for name in options.names] or list(PARTS)
    if options.list:
        return show(wanted)
    return make_all(wanted)


def show(parts: list[Part]) -> int:
    """One line for each part."""
    print(f"{'name':<16} {'version':<36} {'how':<13} {'state':<8} what it proves")
    for part in parts:
        state = "here" if cache.present(part) else "missing"
        print(f"{part.name:<16} {version(part):<36} {part.how:<13} {state:<8} {part.proves}")
    return 0


def version(part: Part) -> str:
    """The pinned version, or for a Debian package the installed one."""
    if not isinstance(part, AptPart) or not cache.present(part):
        return part.version
    argv = ["dpkg-query", "-W", "-f", "${Version}", part.packages[0]]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout or "not Debian's"


def make_all(parts: list[Part]) -> int:
    """Make what is missing, go on after a failure, and end with what was not had and why."""
    failures: list[tuple[Part, str]] = []
    for part in parts:
        try:
            make_one(part)
        except CannotMakeError as error:
            failures.append((part, str(error)))
        # A full disk or a broken download must not hide the other parts.
        except (OSError, ValueError, zipfile.BadZipFile, subprocess.SubprocessError) as error:
            failures.append((part, f"{type(error).__name__}: {error}"))
    for part, reason in failures:
        say(f"MISSING {part.name}: {reason}; not tested without it: {part.proves}")
    return 1 if failures else 0


def make_one(part: Part) -> None:
    """Make one part, or wait for another run that is making it."""
    with cache.locked(part.name):
        if cache.present(part):
            return
        say(f"{part.name} {part.version}: {part.how} …")
        start = time.monotonic()
        make(part)
        if not cache.present(part):
            raise CannotMakeError(f"it was made, but {', '.join(part.programs)} is not there")
        say(f"{part.name} {part.version}: ready after {time.monotonic() - start:.0f} s")


def say(text: str) -> None:
    """Messages go to stderr; stdout is for --list and --path."""
    print(f"parts: {text}", file=sys.stderr, flush=True)
