"""`airgap help TOPIC`: the documents, examples and error codes that an installed machine can read without a network."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from airgap.base.errors import InputError
from airgap.cli.manual import codes, topic, topics
from airgap.cli.markdown import Page, render
from tests.worlds.commands import run_airgap
from tests.worlds.source_codes import ROOT

KNOWN = topics()
NAMES = frozenset(one.name for one in KNOWN)


def test_every_document_and_example_is_a_topic() -> None:
    pages = {path.relative_to(ROOT / "docs").as_posix().removesuffix(".md") for path in (ROOT / "docs").rglob("*.md")}
    assert pages <= NAMES
    assert {f"examples/{path.name}" for path in (ROOT / "manifests").iterdir()} <= NAMES
    assert KNOWN[0].name.startswith("runbooks/")


@pytest.mark.parametrize("one", KNOWN, ids=lambda one: one.name)
def test_a_document_is_shown_within_its_width_and_its_links_lead_to_topics(one: object) -> None:
    assert isinstance(one, type(KNOWN[0]))
    if one.plain:
        return
    lines = render(one.text, Page(one.name, NAMES), 80)
    code = {f"    {line}".rstrip() for line in one.text.splitlines()}
    too_long = [line for line in lines if len(line) > 80 and line not in code and " " in line.strip()]
    assert too_long == []
    for named in re.findall(r"`airgap help ([a-z]+/[a-z0-9-]+)`", " ".join(lines)):
        assert topic(named, KNOWN).text


def test_links_that_lead_out_of_the_documents_are_words_alone() -> None:
    page = Page("runbooks/import", NAMES)
    text = "See [codes](../reference/codes.md#x), [code](../../airgap/x.py), [the site](https://example.org/a)."
    assert render(text, page, 200) == [
        "See codes (`airgap help reference/codes`), code, the site (https://example.org/a)."
    ]


def test_a_wide_table_becomes_paragraphs_and_a_narrow_one_stays_a_table() -> None:
    page = Page("x", frozenset())
    narrow = "| a | b |\n|---|---|\n| 1 | two |"
    assert render(narrow, page, 80) == ["a  b", "-  ---", "1  two"]
    wide = f"| code | meaning | what to do |\n|---|---|---|\n| `x` | {'m ' * 30} | {'d ' * 30} |"
    shown = render(wide, page, 60)
    assert shown[0] == "`x`"
    assert shown[1].startswith("    meaning: m m")
    assert any(line.startswith("    what to do: d d") for line in shown)
    assert max(map(len, shown)) <= 60


def test_every_code_of_the_runbooks_has_an_answer() -> None:
    known = codes(KNOWN)
    assert len(known) > 200
    assert {one.name.rpartition("/")[2] for one in KNOWN} & set(known) == set()  # a code leads to no document
    for code in known[::20]:
        assert code in topic(code, KNOWN).text


@pytest.mark.parametrize("word", ["Sovereign", "sovereign", "codes", "import", "docs/runbooks/import.md", "format"])
def test_the_last_part_of_a_name_is_enough(word: str) -> None:
    assert topic(word, KNOWN).text


@pytest.mark.parametrize(
    ("word", "hint"),
    [("volume-mising", "'volume-missing'"), ("runbooks/imprt", "'runbooks/import'"), ("zzz", "topics")],
)
def test_an_unknown_word_is_refused_with_what_was_meant(word: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        topic(word, KNOWN)
    assert (caught.value.code, hint in caught.value.hint) == ("usage", True)


def test_a_command_is_a_command_and_says_where_there_is_more(tmp_path: Path) -> None:
    said = run_airgap(["help", "import"], tmp_path)
    assert said.out.startswith("usage: airgap import")
    assert said.out.endswith("more: airgap help runbooks/import\n")
    listed = json.loads(run_airgap(["help", "topics", "--json"], tmp_path).out)["topics"]
    assert {"name": "runbooks/import", "title": topic("runbooks/import", KNOWN).title} in listed
    example = run_airgap(["help", "examples/platform.policy.yaml"], tmp_path).out
    assert example == (ROOT / "manifests" / "platform.policy.yaml").read_text()
    said = run_airgap(["help", "no", "such"], tmp_path)
    said.refused(2, "usage", "'no such'")


def test_no_message_points_to_a_file_of_the_checkout() -> None:
    """What an installed machine reads is `airgap help TOPIC`; a path in docs/ is not there."""
    found = []
    word = re.compile(r"\b(?:docs|stages|scripts)/")
    for path in (ROOT / "airgap").rglob("*.py"):
        if not word.search(path.read_text()):
            continue
        tree = ast.parse(path.read_text())
        notes = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in notes]
        said = [node.value for node in texts if isinstance(node.value, str)]
        found += [(path.name, text) for text in said if word.search(text)]
    assert [one for one in found if one[0] not in ("shipped.py", "manual.py", "markdown.py")] == []
