"""A page of the documents, run as it is written: its commands in a world of their own, and what they print."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.worlds.commands import PASSWORD, run_airgap

ROOT = Path(__file__).parents[2]
LOOP = re.compile(r"for (\w+) in (\S+); do (.*); done\Z")
EXIT = re.compile(r"exit (\d(?:(?:, | or )\d)*)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(slots=True)
class Section:
    """The blocks of one section of a page. `go` runs the next commands, and compares what they print."""

    blocks: list[tuple[str, str]]
    folder: Path
    places: Mapping[str, str]
    """What the page calls a place → where it is in this world. Longer names first."""
    said: str = ""
    codes: list[int] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """True if no command is left."""
        return not self.blocks

    def go(self) -> str:
        """Runs the commands up to the next expected output, or of one block; compares; returns what was said."""
        kind, text = self.blocks.pop(0)
        assert kind == "sh", text
        self.said = "".join(self._line(line) for line in _lines(text))
        if self.blocks and self.blocks[0][0] == "text":
            self._compare(self.blocks.pop(0)[1])
        return self.said

    def rest(self) -> None:
        """Runs all that is left."""
        while not self.over:
            self.go()

    def _line(self, line: str) -> str:
        command, _, about = line.partition("   #")
        found = EXIT.search(line.partition("#")[2])
        expected = {0} if found is None else set(map(int, re.findall(r"\d", found[1])))
        command = command.partition(" # ")[0].strip()
        said, codes = "", []
        for one in self._commands(self._here(command)):
            code, text = self._run(one)
            codes.append(code)
            said += text
        assert set(codes) <= expected, f"{command}: exit {codes}, expected {expected}{about}\n{said}"
        self.codes = codes
        return said

    def _commands(self, command: str) -> Iterator[str]:
        loop = LOOP.match(command)
        if loop is None:
            yield command
            return
        name, pattern, body = loop.groups()
        for path in sorted(Path("/").glob(pattern.lstrip("/"))):
            yield body.replace(f'"${name}"', shlex.quote(str(path))).replace(f"${name}", str(path))

    def _run(self, command: str) -> tuple[int, str]:
        if command.startswith("airgap "):
            done = run_airgap(shlex.split(command)[1:], self.folder, {**PASSWORD, "AIRGAP_KEY": "sovereign.key"})
            return done.code, self._there(done.out + done.err)
        if command.startswith(("cd ", "export ")):
            return 0, ""
        ran = subprocess.run(["bash", "-c", command], cwd=self.folder, capture_output=True, text=True, check=False)
        return ran.returncode, self._there(ran.stdout + ran.stderr)

    def _here(self, text: str) -> str:
        for named, place in self.places.items():
            text = re.sub(rf"(?<![\w/]){re.escape(named)}(?![\w-])", place.replace("\\", r"\\"), text)
        return text

    def _there(self, text: str) -> str:
        for named, place in self.places.items():
            text = text.replace(place, named)
        return text

    def _compare(self, text: str) -> None:
        left = self.said.splitlines()
        for line in text.splitlines():
            words = [r"\s+".join(map(re.escape, part.split())) for part in line.split("…")]
            pattern = re.compile(r".*".join(words))
            while left and not pattern.search(left[0]):
                left.pop(0)
            assert left, f"the page says {line!r}; it is not in what was said after that:\n{self.said}"


def _lines(text: str) -> list[str]:
    return [line for line in re.sub(r" *\\\n *", " ", text).splitlines() if line.strip()]


def section(page: str, title: str, folder: Path, places: Mapping[str, str]) -> Section:
    """One section of a page of docs/runbooks."""
    text = (ROOT / "docs/runbooks" / f"{page}.md").read_text("utf-8")
    [found] = [part for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:] if part.startswith(f"{title}\n")]
    return Section(FENCE.findall(found), folder, dict(sorted(places.items(), key=lambda pair: -len(pair[0]))))


def titles(page: str) -> list[str]:
    """The sections of a page."""
    text = (ROOT / "docs/runbooks" / f"{page}.md").read_text("utf-8")
    return re.findall(r"^## (.*)$", text, re.MULTILINE)
