"""Named mistakes and the exact words that answer them: tests/golden/resources/*.txt.

A case begins with `=== name`; the lines that begin with `=> ` are the expected message, all others are the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from airgap.base.errors import InputError
from airgap.resources import document
from airgap.resources.load import (
    load_policy,
    load_request,
    load_sovereign,
    load_trust,
    load_upstreams,
)
from tests.worlds.resources import key_files

GOLDEN = Path(__file__).parent.parent / "golden" / "resources"
LOADERS: dict[str, Callable[..., Any]] = {
    "yaml": load_request,
    "request": load_request,
    "upstreams": load_upstreams,
    "sovereign": load_sovereign,
    "trust": load_trust,
    "policy": load_policy,
}


def cases() -> Iterator[Any]:
    for group in LOADERS:
        for part in ("\n" + (GOLDEN / f"{group}.txt").read_text()).split("\n=== ")[1:]:
            name, *lines = part.rstrip("\n").split("\n")
            message = "\n".join(line[3:] for line in lines if line.startswith("=> "))
            data = "".join(f"{line}\n" for line in lines if not line.startswith("=> "))
            yield pytest.param(group, data, message, id=f"{group}: {name}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("keys")
    key_files(made)
    return made


@pytest.fixture(params=["libyaml", "python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of PyYAML's parsers: the words must not hang on which one is installed."""
    if request.param == "python":
        monkeypatch.setattr(document, "LOADER", yaml.SafeLoader)


@pytest.mark.parametrize(("group", "data", "message"), list(cases()))
def test_mistake_is_answered_in_these_words(folder: Path, parser: None, group: str, data: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        LOADERS[group](data.encode(), base_dir=folder, label=f"{group}.yaml")
    assert caught.value.what.replace(str(folder), "BASE") == message
    assert caught.value.code == "bad-resource"


def test_no_message_holds_a_secret() -> None:
    for group in LOADERS:
        text = (GOLDEN / f"{group}.txt").read_text()
        assert not [line for line in text.split("\n") if line.startswith("=> ") and "hunter2" in line]
