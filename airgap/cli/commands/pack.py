"""`airgap pack`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from airgap.base.amounts import count, human
from airgap.base.shipped import ARCHITECTURES, PYTHONS
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.parser import command


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "pack",
        run,
        summary="put airgap itself, with all that it needs, into one archive for a machine without a network",
        examples="""
airgap pack
airgap pack -o /media/usb/airgap-tool.tar --python 3.11 --arch x86_64 --arch aarch64
pip fetches the packages, by the hashes of the lock file: PIP_INDEX_URL and pip.conf say from where
packed again, the archive has the same sha256: a second person can check the first one""",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="the archive (default airgap-tool-VERSION.tar in this folder)"
    )
    parser.add_argument(
        "--python",
        action="append",
        choices=PYTHONS,
        help="version of Python on the other machine; may be given more than once (default all of these)",
    )
    parser.add_argument(
        "--arch",
        action="append",
        choices=ARCHITECTURES,
        help="processor of the other machine (uname -m); may be given more than once (default x86_64)",
    )


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap pack`."""
    from airgap.jobs.pack import FOLDER, PackOptions, pack

    options = PackOptions(
        output=arguments.output or Path(f"{FOLDER}.tar"),
        pythons=tuple(sorted(set(arguments.python or PYTHONS))),
        architectures=tuple(sorted(set(arguments.arch or ARCHITECTURES[:1]))),
    )
    made = pack(options, context.surroundings(arguments))
    document = {
        "file": str(made.path),
        "size": made.size,
        "sha256": made.sha256,
        "python": list(options.pythons),
        "architectures": list(options.architectures),
        "wheels": list(made.wheels),
    }
    target = f"Python {', '.join(options.pythons)} on {', '.join(options.architectures)}"
    text = [
        f"{made.path}: {count(len(made.wheels), 'package')}, {human(made.size)}, for {target}",
        f"  sha256 {made.sha256}",
        "Bring this sha256 to the other side by another way than the archive: on paper, or by telephone. There:",
        f"  sha256sum {made.path.name}",
        f"  tar xf {made.path.name} && sh {FOLDER}/install /opt/airgap",
    ]
    context.result(document, text)
    return exits.DONE
