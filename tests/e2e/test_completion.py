"""`airgap completion`: what each script completes, asked of the shell itself."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.parts.need import require_part

pytestmark = pytest.mark.e2e
CASES = [
    ("airgap impo", {"import"}),
    ("airgap keys ro", {"rotate"}),
    ("airgap help keys zz", set()),
    ("airgap help roll", {"rollback"}),
    ("airgap lock --par", {"--partial"}),
    ("airgap bundle --dry", {"--dry-run"}),
    ("airgap help verify-i", {"verify-image"}),
    ("airgap completion f", {"fish"}),
    ("airgap bundle --ro", {"--role"}),
    ("airgap bundle --role st", {"station"}),
    ("airgap import --sovereign so", {"sovereign.yaml"}),
    ("airgap lock pl", {"platform.request.yaml"}),
    ("airgap sign --key pl", {"platform.request.yaml"}),
    ("airgap bundle --to me", {"media"}),
    ("airgap bundle --for so", set()),
]
"""What is typed before the key, and what it may become. `me` also begins a file, where folders are wanted."""
SHELLS = {"bash": "airgap.bash", "zsh": "_airgap", "fish": "airgap.fish"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the three scripts in `scripts`, and with what there is to complete in `work`."""
    made = tmp_path_factory.mktemp("completion")
    (made / "scripts").mkdir()
    for shell, name in SHELLS.items():
        argv = [sys.executable, "-m", "airgap", "completion", shell]
        script = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        (made / "scripts" / name).write_text(script)
    work = made / "work"
    (work / "media").mkdir(parents=True)
    for name in ("platform.request.yaml", "sovereign.yaml", "menu.txt"):
        (work / name).touch()
    return made


@pytest.mark.parametrize(("typed", "becomes"), CASES, ids=str)
def test_bash_completes(folder: Path, typed: str, becomes: set[str]) -> None:
    words = typed.split(" ")
    code = (
        f"source {folder / 'scripts/airgap.bash'}\n"
        f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; COMP_LINE='{typed}'; COMP_POINT={len(typed)}\n"
        "_shtab_airgap\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    said = subprocess.run(
        ["bash", "--norc", "-c", code], cwd=folder / "work", capture_output=True, text=True, check=True
    )
    assert set(said.stdout.split()) == becomes


@pytest.mark.part("fish")
@pytest.mark.parametrize(("typed", "becomes"), CASES, ids=str)
def test_fish_completes(folder: Path, typed: str, becomes: set[str]) -> None:
    code = f"source {folder / 'scripts/airgap.fish'}; complete -C '{typed}'"
    argv = [str(require_part("fish")), "--no-config", "-c", code]
    home = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    said = subprocess.run(argv, cwd=folder / "work", env=home, capture_output=True, text=True, check=True)
    found = {line.split("\t")[0].removesuffix("/") for line in said.stdout.splitlines()}
    assert found == becomes


@pytest.mark.part("zsh")
def test_zsh_completes(folder: Path) -> None:
    with Zsh(folder) as zsh:
        found = {typed: zsh.complete(typed) for typed, _ in CASES}
    words = {typed: next(iter(becomes), typed.rpartition(" ")[2]) for typed, becomes in CASES}
    assert found == {typed: f"{typed.rpartition(' ')[0]} {word}" for typed, word in words.items()}


class Zsh:
    """An interactive zsh at a terminal, where our script is loaded by `compinit`."""

    def __init__(self, folder: Path) -> None:
        program = str(require_part("zsh"))
        env = {
            **os.environ,
            "ZDOTDIR": str(folder),
            "TERM": "dumb",
            "PS1": "",
            "EDITOR": "",
            "VISUAL": "",
            "HOME": str(folder),
        }
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder / "work")
            os.execve(program, [program, "-f", "-i"], env)
        self.count = 0
        self.send(
            f"bindkey -e; unset zle_bracketed_paste; fpath=({folder / 'scripts'} $fpath); "
            "autoload -Uz compinit; compinit -u -D; zstyle ':completion:*' list-prompt ''; unsetopt beep\n"
        )
        self.marked()

    def __enter__(self) -> Zsh:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.terminal)
        os.waitpid(self.pid, 0)

    def send(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def marked(self) -> str:
        """Prints a word that nothing else prints; returns what came on the terminal before it."""
        self.count += 1
        self.send(f"print -r -- END''{self.count}.\n")
        said, end = "", time.monotonic() + 30
        while f"END{self.count}." not in said:
            assert time.monotonic() < end, said
            if select.select([self.terminal], [], [], 1)[0]:
                said += os.read(self.terminal, 1 << 16).decode(errors="replace")
        return said

    def complete(self, typed: str) -> str:
        """The line that zsh makes of what is typed and the key: printed instead of run."""
        self.send(f"{typed}\t\x01print -r -- GOT'': \n")
        said = self.marked()
        lines = [line.split("GOT: ")[1] for line in said.replace("\r", "\n").splitlines() if line.startswith("GOT: ")]
        assert lines, said
        return lines[-1].strip().removesuffix("/")
