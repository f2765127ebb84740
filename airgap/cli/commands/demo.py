"""`airgap demo`: runs the main job on embedded defaults, and shows each command as a user would type it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from airgap.cli.context import Context
from airgap.cli.parser import command


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "demo",
        run,
        summary="run lock, pull, bundle, verify, import and audit on real content, without any service or network",
        examples="airgap demo\nairgap demo --dir /tmp/airgap-demo      keep all files there",
    )
    parser.add_argument(
        "--dir",
        type=Path,
        metavar="DIR",
        help="a new or empty folder, which is kept (default: a temporary one)",
    )


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap demo`."""
    from airgap.cli.demo import run_demo

    return run_demo(arguments.dir, context)
