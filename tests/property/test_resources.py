"""Whatever the bytes: a value or an InputError. Whatever the value: it comes back from its file as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.base.errors import InputError
from airgap.resources import document
from airgap.resources.catalog import KINDS, schema
from airgap.resources.document import read_documents, scalar
from airgap.resources.load import load, load_request, load_sovereign
from airgap.resources.patterns import name_covers, name_matches
from airgap.resources.problems import Number
from airgap.resources.references import (
    chart_complaint,
    git_complaint,
    image_complaint,
    parse_time,
    platform_complaint,
    ref_complaint,
    url_complaint,
)
from airgap.resources.request import Request
from airgap.resources.sovereign import Sovereign
from tests.worlds.effort import cases

BASE = Path("/work")
EXAMPLES = [example for kind in KINDS for example in schema(kind)["examples"]]

# Begins with a letter, because PyYAML writes YAML 1.1, in which 08 and 1e5 are text without quotes.
name = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
host = st.sampled_from(["docker.io/team", "ghcr.io", "localhost:5000", "[::1]:5000", "registry.example.org"])
digest = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)
awkward = st.sampled_from(
    ["no", "null", "1.10", "0x1f", "<<", "*a", "&a", "!x", "a: b", "- a", "#", "~", "'", '"', "{{x}}", "=",
     "2026-01-01", "", "\t", "\n", "\0", "\x1b[0m", "\u202e", "\ud800", "é", "https://a:b@c", "oci://x/y:1", "oci:",
     "../..", "~/x", "refs/heads/main"]
)  # fmt: skip
leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | awkward
tree = st.recursive(
    leaf,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | awkward, inner, max_size=4),
    max_leaves=20,
)


def survives(data: bytes) -> None:
    try:
        load(data, base_dir=BASE, label="f")
        return
    except InputError as error:
        refusal = error
    assert refusal.code == "bad-resource"
    # What a terminal gets: no control characters but the ends of lines.
    assert all(char == "\n" or char.isprintable() for char in refusal.what), refusal.what


class TestAnyBytes:
    """No input raises anything but `InputError`."""

    @given(st.binary(max_size=400))
    def test_random_bytes(self, data: bytes) -> None:
        survives(data)

    @given(st.text(alphabet="abk:-?[]{}&*!|>'\"%@`#,~<=\\ \n\r\t0129.éU\ufeff\u2028\x85", max_size=80))
    def test_random_yaml(self, text: str) -> None:
        survives(text.encode())

    @given(st.text(alphabet="abk:-?[]{}&*!|>'\"%@`#,~<=\\ \n\r\t0129.éUuxD8", max_size=80))
    def test_random_yaml_for_the_parser_in_python(self, text: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(document, "LOADER", yaml.SafeLoader)
            survives(text.encode())

    @given(st.sampled_from(EXAMPLES), st.data())
    def test_an_example_with_some_bytes_changed(self, example: dict[str, Any], data: st.DataObject) -> None:
        raw = bytearray(yaml.safe_dump(example, sort_keys=False).encode())
        for _ in range(data.draw(st.integers(1, 3))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        survives(bytes(raw))

    @settings(max_examples=cases(100, 3000))
    @given(st.sampled_from(EXAMPLES), tree, st.data())
    def test_an_example_with_any_value_anywhere(self, example: dict[str, Any], value: Any, data: st.DataObject) -> None:
        made = json.loads(json.dumps(example))
        here = made
        while True:
            step = data.draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
            if not isinstance(here[step], dict | list) or not here[step] or data.draw(st.booleans()):
                break
            here = here[step]
        here[step] = value
        survives(json.dumps(made).encode())
        survives(yaml.safe_dump(made, allow_unicode=True).encode("utf-8", "replace"))

    @given(st.text() | awkward)
    def test_any_text_where_a_reference_is_expected(self, text: str) -> None:
        for check in (image_complaint, chart_complaint, git_complaint, ref_complaint, url_complaint):
            assert isinstance(check(text), str)
        platform_complaint(f"linux/{text}")
        made = parse_time(text)
        assert isinstance(made, str) or made.tzinfo is not None

    @given(st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})"))
    def test_any_time_like_text(self, text: str) -> None:
        made = parse_time(text)
        assert isinstance(made, str) or made.utcoffset() is not None


class Quoted(yaml.SafeDumper):
    """Writes strings in quotes: PyYAML leaves `0E0` bare, which Kubernetes' reader and ours take for a number."""

    def represent_text(self, value: str) -> yaml.ScalarNode:
        """A string."""
        return self.represent_scalar("tag:yaml.org,2002:str", value, style='"')


Quoted.add_representer(str, Quoted.represent_text)


class TestPlainValues:
    """The YAML reader gives back what was written."""

    @given(st.recursive(
        st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"],
                                       exclude_characters="\ufeff\ufffe\uffff"))
        | st.booleans() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet="abc-_. é"), inner),
        max_leaves=30,
    ).filter(lambda value: value is not None))  # fmt: skip
    def test_json_comes_back(self, value: Any) -> None:
        for text in (json.dumps(value, ensure_ascii=False), yaml.dump(value, Dumper=Quoted, allow_unicode=True)):
            # A plain document is ended by the dumper with "...", which begins no second one.
            assert [made.value for made in read_documents(text.encode(), "f")] == [value]

    @given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
    def test_numbers_keep_their_text(self, value: float) -> None:
        assert scalar(str(value)) == Number(str(value))


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """A Request document that is right."""
    names = draw(st.lists(name, min_size=5, max_size=5, unique=True))
    one, two, three, four, five = names
    image: dict[str, Any] = {"ref": f"{draw(host)}/{one}:{two}"}
    if draw(st.booleans()):
        image |= {"name": three, "phase": draw(st.sampled_from(["seed", "registry"]))}
    if draw(st.booleans()):
        image["platforms"] = ["linux/amd64", "linux/arm/v7"]
    git: dict[str, Any] = {"url": draw(st.sampled_from([f"https://github.com/x/{one}", f"./{one}", f"/srv/{one}.git"]))}
    if draw(st.booleans()):
        git |= {"refs": [f"refs/heads/{two}", "refs/tags/v*"], "lfs": draw(st.booleans())}
    model = draw(st.sampled_from([{"repo": f"org/{three}"}, {"directory": four, "name": f"org/{three}"}]))
    sha256 = draw(digest)[7:]
    file = {"url": f"https://example.org/{four}", "sha256": sha256, "path": f"{four}/{five}"}
    spec = {
        "images": [image],
        "charts": [{"ref": f"oci://ghcr.io/{four}/{five}@{draw(digest)}"}],
        "git": [git],
        "models": [model],
        "files": [file],
    }
    kept = {key: value for key, value in spec.items() if draw(st.booleans())} or {"files": []}
    head = {"apiVersion": "airgap.openova.io/v1alpha1", "kind": "Request", "metadata": {"name": one}}
    return {**head, "spec": kept}


@given(requests())
def test_a_right_request_loads_and_says_what_was_written(written: dict[str, Any]) -> None:
    made, _ = load_request(yaml.safe_dump(written).encode(), base_dir=BASE, label="f")
    assert made == load_request(yaml.safe_dump(written, default_flow_style=False).encode(), base_dir=BASE, label="f")[0]
    assert written_again(made) == filled_in(written)


def filled_in(written: dict[str, Any]) -> dict[str, Any]:
    """What a request says, with what it leaves out."""
    spec = json.loads(json.dumps(written["spec"]))
    for image in spec.get("images", ()):
        image.setdefault("name", image["ref"])
        image.setdefault("phase", "registry")
        image.setdefault("platforms", [])
    for chart in spec.get("charts", ()):
        chart |= {"name": chart["ref"][6:], "phase": "registry"}
    for git in spec.get("git", ()):
        git["name"] = git["url"].rpartition("/")[2].removesuffix(".git")
        git["url"] = git["url"].replace("./", "/work/")
        git.setdefault("refs", ["refs/heads/*", "refs/tags/*"])
        git.setdefault("lfs", False)
    for model in spec.get("models", ()):
        model.setdefault("name", model.get("repo"))
        model.setdefault("repo", "")
        model["directory"] = f"/work/{model['directory']}" if "directory" in model else None
    for file in spec.get("files", ()):
        file["name"] = file["path"]
    return {"name": written["metadata"]["name"], **{key: value for key, value in spec.items() if value}}


def written_again(made: Request) -> dict[str, Any]:
    """The same out of the values."""
    spec: dict[str, Any] = {
        "images": [
            {"ref": image.ref, "name": image.name, "platforms": list(image.platforms), "phase": image.phase}
            for image in made.of("images")
        ],
        "charts": [{"ref": chart.ref, "name": chart.name, "phase": chart.phase} for chart in made.of("charts")],
        "git": [{"url": git.url, "name": git.name, "refs": list(git.refs), "lfs": git.lfs} for git in made.of("git")],
        "models": [
            {"repo": model.repo, "name": model.name, "directory": str(model.directory) if model.directory else None}
            for model in made.of("models")
        ],
        "files": [
            {"url": file.url, "sha256": file.sha256, "path": file.path, "name": file.name} for file in made.of("files")
        ],
    }
    return {"name": made.name, **{key: value for key, value in spec.items() if value}}


@given(st.dictionaries(st.tuples(host, name).map("/".join), name, min_size=1), name)
def test_a_map_of_projects_comes_back(projects: dict[str, str], label: str) -> None:
    written = {
        "apiVersion": "airgap.openova.io/v1alpha1",
        "kind": "Sovereign",
        "metadata": {"name": label},
        "spec": {"registries": [{"url": "https://harbor.example.org", "projects": projects}]},
    }
    made = load_sovereign(yaml.safe_dump(written).encode(), base_dir=BASE)
    assert isinstance(made, Sovereign)
    assert made.registries[0].projects == projects


NAMES = st.lists(st.sampled_from(["a", "b", "/", "*", "**", "."]), max_size=7).map("".join)


@given(wide=NAMES, narrow=NAMES, name=st.text("ab/.", max_size=8))
def test_what_a_covered_pattern_takes_the_other_takes(wide: str, narrow: str, name: str) -> None:
    if "***" not in wide + narrow and name_covers(wide, narrow) and name_matches(narrow, name):
        assert name_matches(wide, name)
