"""The complete parser: every command, and the text of `airgap --help`."""

from __future__ import annotations

import argparse

from airgap.cli.parser import Parser

EPILOG = """\
how a delivery travels:
  airgap lock platform.request.yaml -o platform.lock.json      resolve names to digests
  airgap pull platform.lock.json --store store                 fetch everything once, and verify it
  airgap scan platform.lock.json --store store --policy policy.yaml --key station.key
  airgap bundle platform.lock.json --store store --to /media/usb --for bank --key station.key --role station
  airgap import /media/usb --sovereign sovereign.yaml --trust trust.yaml --key sovereign.key --receipt receipt.json
  airgap audit --sovereign sovereign.yaml --receipt receipt.json --trust trust.yaml

try it without any service or network:  airgap demo
runbooks, formats, examples, error codes:  airgap help topics
exit codes: 0 done, 1 bug, 2 input, 3 policy or audit said no, 4 integrity or trust, 5 upstream, disk, tool, 130 Ctrl-C
"""


def build() -> Parser:
    """Builds the complete parser. Commands import what they need when they run, not here."""
    from airgap.cli import commands

    parser = Parser(
        prog="airgap",
        description="Carries images, charts, Git repositories, models and files into an air-gapped Sovereign: "
        "signed, verified, resumable.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", "-V", action="store_true", help="print the version")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for module in commands.modules():
        module.add(subparsers)
    parser.set_defaults(root=parser)  # `help` and `completion` are about all commands
    return parser
