"""`scripts/bench`: measures shapes, prints a Markdown table for each."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchlib import commands, peers, registries, render
from benchlib.commands import ENV
from benchlib.content import make
from benchlib.measure import Meter
from benchlib.rounds import Runner, World
from benchlib.rows import Table, rows_of
from benchlib.shapes import DEFAULT, SHAPES, Shape

SIGNED, SCANNED, DIODE = "K", "F", "D"
OWN_TABLES = (SIGNED, SCANNED, DIODE)
CLONE = Path(__file__).resolve().parents[2]
EPILOG = """\
shapes:
  S1   images that share layers, 16 MiB each         T    50 images of 100 small layers
  S2   2 GiB in blobs of 512 MiB                     L    4 GiB in blobs of 512 MiB
  S3   1,200 small blobs in 60 images                M    peak memory: one blob of 256 MiB, one of 2 GiB, no peers
  K    1,000 signed images: what verifying adds to their pull
  F    200 images that share layers: what looking for vulnerabilities and secrets takes
  D    1 GiB through a data diode that loses packets, next to pydiode and udpcast; root only

examples:
  scripts/bench                                      S1 and S3, three rounds each
  scripts/bench S1 S2 L S3 T M --json bench.json     everything: half an hour, 40 GiB free
  scripts/bench --small S3                           does it work?
  scripts/bench S1 --no-peers --cold                 airgap alone, every file read from the disk
  scripts/bench S2 --dir /mnt/disk --repeat 3        on another disk

Peers (skopeo, crane, oras) that are not on PATH are left out, and that is said: scripts/parts skopeo crane oras
"""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures airgap and its peers, as ratios to a bare loop on the same blobs in the same rounds.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    names = f"{', '.join((*SHAPES, *OWN_TABLES))} (default: {' '.join(DEFAULT)})"
    add("shapes", nargs="*", metavar="SHAPE", help=names)
    add("--small", action="store_true", help="a sixteenth of big layers, a tenth of many images")
    add("--repeat", type=int, metavar="N", help="rounds (default: 3 for S1 and S3, else 1)")
    add("--no-peers", action="store_true", help="airgap and the yardsticks only")
    add("--cold", action="store_true", help="files leave the page cache before each command")
    add("--dir", type=Path, metavar="DIR", help="where data lies (default: temporary folder)")
    add("--json", type=Path, metavar="FILE", help="write all that was measured there as well")
    arguments = parser.parse_args(argv)
    unknown = [name for name in arguments.shapes if name not in (*SHAPES, *OWN_TABLES)]
    if unknown:
        parser.error(f"no shape {unknown[0]!r}: there are {', '.join((*SHAPES, *OWN_TABLES))}")
    if arguments.repeat is not None and arguments.repeat < 1:
        parser.error("--repeat: at least 1")
    return arguments


def shapes_of(arguments: argparse.Namespace) -> list[Shape]:
    """The shapes to measure, in the order they were named."""
    names = [name for name in arguments.shapes or DEFAULT if name not in OWN_TABLES]
    chosen = [shape for name in names for shape in SHAPES[name]]
    return [shape.small() if arguments.small else shape for shape in chosen]


def work_folder(wanted: Path | None) -> Path:
    """Where data goes. Raises `SystemExit` for a folder in the clone: nothing of a run must end up there."""
    folder = (wanted or Path(tempfile.gettempdir())).resolve()
    if folder.is_relative_to(CLONE):
        raise SystemExit(f"bench: {folder} is in the clone: name a folder outside with --dir")
    return folder


def check_space(shape: Shape, folder: Path) -> None:
    """Raises `SystemExit` when the disk cannot hold a run."""
    free = shutil.disk_usage(folder).free
    if free < shape.needed:
        raise SystemExit(
            f"bench: {shape.name} needs {shape.needed >> 20:,} MiB in {folder}, {free >> 20:,} MiB are free: "
            "name another disk with --dir, or use --small"
        )


def measure(shape: Shape, folder: Path, rounds: int, chosen: list[peers.Peer], *, cold: bool) -> Table:
    """All rounds of a shape; its data is gone afterwards."""
    check_space(shape, folder)
    print(f"bench: {shape.name}: {shape}", file=sys.stderr)
    with _world(shape, folder, chosen, cold=cold) as world:
        done = []
        for number in range(rounds):
            print(f"bench:  round {number + 1} of {rounds}", file=sys.stderr)
            done.append(Runner(world, number).run())
        return Table(shape, world.content.bytes, rows_of(done), rounds)


@contextmanager
def _world(shape: Shape, folder: Path, chosen: list[peers.Peer], *, cold: bool) -> Iterator[World]:
    """The content, in a registry, with keys and a lock."""
    with tempfile.TemporaryDirectory(prefix="airgap-bench-", dir=folder) as temporary:
        place = Path(temporary)
        with Meter(place, cold=cold, warm=shape.warm) as meter, registries.empty(place) as source:
            content = make(shape, place / "made")
            registries.fill(content, source.host)
            meter.commands(commands.prepare(place, source.host, content.images), env=ENV)
            peers.prepare(place, source.host, content.images)
            yield World(place, meter, content, source.host, chosen if shape.peers else [])


def main() -> None:
    """The entry point."""
    arguments = parse()
    # Ended from outside, data and registries still go away.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))
    folder = work_folder(arguments.dir)
    chosen, versions = peers.present()
    for name in (name for name, version in versions.items() if not version):
        print(f"bench: {name} is not here: left out (scripts/parts {name})", file=sys.stderr)
    tables = []
    for shape in shapes_of(arguments):
        rounds = arguments.repeat or shape.repeat
        usable = [] if arguments.no_peers else chosen
        tables.append(measure(shape, folder, rounds, usable, cold=arguments.cold))
        print(render.markdown(tables[-1]), flush=True)
    if tables:
        print(render.LEGEND)
    if SIGNED in arguments.shapes:
        from benchlib import signed  # it wants what tests want

        print(signed.table(folder, small=arguments.small), flush=True)
    if SCANNED in arguments.shapes:
        from benchlib import scanned

        print(scanned.table(folder, small=arguments.small), flush=True)
    if DIODE in arguments.shapes:
        from benchlib import diode

        print(diode.table(folder, small=arguments.small), flush=True)
    if arguments.json:
        arguments.json.write_text(render.as_json(tables, versions))


if __name__ == "__main__":
    main()
