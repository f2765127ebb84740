"""The documents: every command in them is one that this version understands, every link leads somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.cli.app import EPILOG, build
from airgap.resources.load import load
from tests.worlds.json_schemas import FAMILIES

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "stages" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def name(value: object) -> str:
    """A page in a test's name."""
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else ""


def blocks(page: Path) -> list[str]:
    """The blocks of code on a page."""
    return re.findall(r"^```\w*\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def typed() -> Iterator[tuple[Path, str]]:
    """Every whole command line; three spaces begin what is said about it, `>` is the shell's."""
    for page in PAGES:
        for block in blocks(page):
            for text in re.sub(r" *\\\n *", " ", block).splitlines():
                line = re.split(r" {3,}| > ", text.removeprefix("$ "))[0]
                # `[flags]` is how the reference says that there are more.
                if line.startswith("airgap ") and not line.endswith("[flags]"):
                    yield page, line


def mentioned() -> Iterator[tuple[Path, str]]:
    """Every command in the middle of a sentence: it need not be whole."""
    for page in PAGES:
        for said in re.findall(r"`(airgap [a-z][^`]*)`", prose(page)):
            yield page, " ".join(said.split())


@pytest.mark.parametrize(("page", "line"), [*typed()], ids=name)
def test_commands_are_understood(page: Path, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line, comments=True)[1:]
    # The files that a line names are there, media too.
    words = [re.sub(r"^/(?=.)", "", word) for word in words]
    for word in words:
        if not word.startswith("-"):
            (tmp_path / word).mkdir(parents=True, exist_ok=True)
    assert callable(build().parse(words).handler)


def test_the_way_that_help_shows_is_understood() -> None:
    lines = [line for line in EPILOG.splitlines() if line.startswith("  airgap ")]
    assert len(lines) == 6
    for line in lines:
        words = re.split(r" {3,}", line.strip())[0].replace("/media/usb", ".").split()[1:]
        assert callable(build().parse(words).handler)


@pytest.mark.parametrize(("page", "line"), [*mentioned()], ids=name)
def test_commands_in_sentences_have_flags_that_exist(page: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = line.split()[1:]
    with pytest.raises(SystemExit):
        build().parse([*words[: 2 if words[0] in FAMILIES else 1], "--help"])
    known = re.findall(r"-[\w-]+", capsys.readouterr().out)
    assert [word for word in words if word.startswith("-") and word not in known] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_resources_in_the_readme_load(tmp_path: Path) -> None:
    found = [one for one in blocks(ROOT / "README.md") if one.startswith("apiVersion:")]
    assert found
    for block in found:
        assert load(block.encode(), base_dir=tmp_path)


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


ROOMS = sorted(
    str(path.parent.relative_to(ROOT))
    for path in (ROOT / "airgap").rglob("__init__.py")
    if len(path.relative_to(ROOT).parts) in (3, 4)
)
INSIDE = ("cli/commands", "destinations/", "kinds/git", "resources/schemas")
"""Rooms inside rooms that the line of their room speaks of."""


@pytest.mark.parametrize("room", [one for one in ROOMS if not one.removeprefix("airgap/").startswith(INSIDE)])
def test_the_design_names_every_room_and_modules_that_there_are(room: str) -> None:
    page = (ROOT / "docs/design.md").read_text("utf-8")
    [row] = [line for line in page.splitlines() if f"| `{room}/` |" in line]
    named = re.findall(r"`([a-z_0-9]+)`", row.split("|")[3])
    there = {path.stem for path in (ROOT / room).glob("*.py")}
    assert sorted(set(named) - there - {"copy_graph"}) == []


def test_the_readme_names_every_variable_of_ours() -> None:
    source = "".join(path.read_text("utf-8") for path in (ROOT / "airgap").rglob("*.py"))
    table = (ROOT / "README.md").read_text("utf-8").partition("## Environment")[2].partition("\n## ")[0]
    named = set(re.findall(r"AIRGAP_[A-Z0-9_]+", table))
    assert named == set(re.findall(r"AIRGAP_[A-Z0-9_]+", source))
