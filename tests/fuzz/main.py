"""`scripts/fuzz`: gives changed files to the readers of foreign bytes, and keeps what they fail on.

With atheris, libFuzzer chooses the inputs that reach new code; without it, good files are changed at random. Both use
the same readers and the same changes. Each reader has a process of its own, with a limit on its memory.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ENGINES = ("auto", "atheris", "random")
FOUND = 77
"""The exit code of a process that found something; libFuzzer has the same."""


def main(line: Sequence[str] | None = None) -> int:
    """The exit code: 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="readers (default: all); --list names them")
    parser.add_argument("--list", action="store_true", help="name the readers and end")
    parser.add_argument("--seconds", type=float, default=60, help="for each reader (default 60; 0: no limit)")
    parser.add_argument("--runs", type=int, default=0, help="inputs for each reader (default: no limit)")
    parser.add_argument("--seed", type=int, default=0, help="of the random changes (default 0)")
    parser.add_argument("--engine", choices=ENGINES, default="auto", help="auto: atheris where it is installed")
    parser.add_argument("--keep", type=Path, default=Path(".fuzz"), help="folder of what was found (default .fuzz)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(line)
    if options.child:
        return _child(options)
    from tests.fuzz.targets import TARGETS

    unknown = [name for name in options.targets if name not in TARGETS]
    if unknown:
        parser.error(f"no reader is called {unknown[0]!r}; --list names them")
    if options.list:
        print("\n".join(TARGETS))
        return 0
    engine = options.engine
    if engine == "auto":
        engine = "atheris" if importlib.util.find_spec("atheris") else "random"
    return _parent(options, options.targets or list(TARGETS), engine)


def _parent(options: argparse.Namespace, names: Sequence[str], engine: str) -> int:
    bad = []
    for name in names:
        arguments = (
            *("--child", name, "--engine", engine, "--keep", str(options.keep), "--seed", str(options.seed)),
            *("--seconds", str(options.seconds), "--runs", str(options.runs)),
        )
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.main", *arguments], capture_output=True, text=True, check=False
        )
        said = [one for one in (done.stdout + done.stderr).splitlines() if one.startswith(("fuzz: ", "Done "))]
        print(f"{name}: {said[-1] if said else f'exit {done.returncode}'}", flush=True)
        if done.returncode:
            bad.append(name)
            print(done.stderr[-4000:], flush=True)
    print(f"{len(names) - len(bad)} passed, {len(bad)} failed ({engine})")
    return 1 if bad else 0


def _child(options: argparse.Namespace) -> int:
    from tests.fuzz.engine import Finding, check, limit_memory, spend

    [name] = options.targets
    if options.engine == "atheris":
        return _atheris(name, options)
    from tests.fuzz.mutate import Mutator
    from tests.fuzz.targets import TARGETS

    limit_memory()
    target = TARGETS[name]
    seeds, mutator, count = target.seeds(), Mutator(options.seed), 0
    for count in spend(options.seconds, options.runs):
        data = mutator.changed(seeds[count % len(seeds)], seeds, target.write)
        try:
            check(target, data)
        except Finding as finding:
            path = _kept(options.keep / name, data)
            print(f"fuzz: {finding} ({path})")
            raise
    print(f"fuzz: {count + 1} inputs")
    return 0


def _kept(folder: Path, data: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"found-{hashlib.sha256(data).hexdigest()[:16]}"
    path.write_bytes(data)
    return path


def _atheris(name: str, options: argparse.Namespace) -> int:
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

    with atheris.instrument_imports(include=["airgap", "tests.fuzz.targets"]):
        from tests.fuzz.targets import TARGETS
    from tests.fuzz.engine import MAX_MEMORY, MAX_SECONDS, check
    from tests.fuzz.mutate import Mutator

    target = TARGETS[name]
    seeds = target.seeds()
    corpus = options.keep / name / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for data in seeds:
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)

    def change(data: bytes, most: int, seed: int) -> bytes:
        if seed % 4 == 0:
            return bytes(atheris.Mutate(data, most))
        return Mutator(seed).changed(data, seeds, target.write)[:most]

    flags = [
        f"-max_total_time={options.seconds:.0f}",
        f"-runs={options.runs or -1}",
        f"-seed={options.seed + 1}",
        f"-rss_limit_mb={MAX_MEMORY >> 20}",
        f"-timeout={MAX_SECONDS}",
        f"-max_len={max(map(len, seeds)) * 2 + 4096}",
        f"-artifact_prefix={options.keep / name}/",
        "-print_final_stats=1",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *flags], lambda data: check(target, data), custom_mutator=change)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
