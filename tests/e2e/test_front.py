"""How a command line begins: `python -m airgap`, `airgap` alone, `airgap help`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from airgap.version import VERSION

pytestmark = pytest.mark.e2e


def run(*argv: str) -> str:
    """What `python -m airgap` prints; it ends with 0 and says nothing on stderr."""
    done = subprocess.run([sys.executable, "-m", "airgap", *argv], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_without_words_and_help_print_the_help() -> None:
    whole = run("--help")
    assert whole.startswith("usage: airgap ")
    assert run() == whole
    assert run("help") == whole


@pytest.mark.parametrize("words", [("import",), ("keys",), ("keys", "rotate"), ("help",)])
def test_help_of_a_command_is_what_its_own_flag_prints(words: tuple[str, ...]) -> None:
    said = run("help", *words)
    assert said == run(*words, "--help")
    assert json.loads(run("help", *words, "--json")) == {"command": " ".join(("airgap", *words)), "help": said}


def test_the_version_is_answered_before_a_library_is_imported() -> None:
    code = (
        "import runpy, sys\n"
        "sys.argv = ['airgap', '--version']\n"
        "try:\n    runpy.run_module('airgap', run_name='__main__')\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "found = {name.partition('.')[0] for name in sys.modules} & {'argparse', 'yaml', 'cryptography', 'urllib3'}\n"
        "assert not found, found\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"airgap {VERSION}\n"
