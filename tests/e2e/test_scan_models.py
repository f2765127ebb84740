"""`scan --station` on models, and on other content that contains such files: what runs code is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from airgap.scanning.models.blob import Blob
from airgap.scanning.models.thing import Thing
from airgap.scanning.models.walk import Walk
from tests.worlds.commands import ROOT
from tests.worlds.git_sources import Work
from tests.worlds.model_files import SYSTEM, reduced, safetensors, tensor, torch
from tests.worlds.site import HEAD, Site
from tests.worlds.things import CHART, put_chart

RULES = (
    'spec:\n  rules:\n  - match: ["**"]\n'
    "    digestOnly: {approver: officer, reason: tests, local: true, expires: 2036-01-01T00:00:00Z}\n"
)
REQUIRED = "{required: {git: [], chart: []}"
"""To be closed: nobody looks for secrets and misconfigurations here."""
SCAN = ("scan", "r.lock.json", "--store", "store", "--policy", "policy.yaml", "--station", "station.yaml", "--dry-run")
GOLDEN = ROOT / "tests/golden/models"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Three models, a repository, a chart and a file, pulled."""
    tmp_path = tmp_path_factory.mktemp("models")
    made = Site(tmp_path)
    made.write("policy.yaml", f"{HEAD}kind: Policy\nmetadata: {{name: p}}\n{RULES}  findings: {REQUIRED}}}\n")
    made.write("station.yaml", f"{HEAD}kind: Station\nmetadata: {{name: dmz}}\nspec: {{}}\n")
    weights = (GOLDEN / "model.safetensors").read_bytes()
    models = {
        "good": {
            "model.safetensors": weights,
            "config.json": b"{}",
            "model.gguf": (GOLDEN / "model.gguf").read_bytes(),
        },
        "pickled": {"model.safetensors": weights, "pytorch_model.bin": torch()},
        "evil": {"model.safetensors": torch(SYSTEM), "config.json": b'{"auto_map": {"AutoModel": "x--m.M"}}'},
    }
    for name, files in models.items():
        (tmp_path / name).mkdir()
        for path, data in files.items():
            (tmp_path / name / path).write_bytes(data)
    shop = Work(tmp_path / "shop")
    (tmp_path / "shop/data.json").write_bytes(SYSTEM)
    (tmp_path / "shop/setup.py").write_bytes(b"import os\n")
    shop.commit()
    put_chart(tmp_path / "chart", model=SYSTEM)
    made.write("cache.db", "")
    (tmp_path / "cache.db").write_bytes(reduced("acme.models", "Model"))
    sha = hashlib.sha256((tmp_path / "cache.db").read_bytes()).hexdigest()
    spec = (
        f"  models: [{', '.join(f'{{directory: {name}, name: acme/{name}}}' for name in models)}]\n"
        f"  charts: [{{ref: 'oci:chart:c', name: '{CHART}'}}]\n"
        f"  git: [{{url: '{tmp_path}/shop', name: git.local/acme/shop}}]\n"
        f"  files: [{{file: cache.db, sha256: {sha}, path: cache.db}}]\n"
    )
    made.write("r.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n{spec}")
    made.run("lock", "r.request.yaml")
    made.run("pull", "r.lock.json", "--store", "store")
    return made


def items(judged: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """The findings that stop each item, with their paths."""
    found = {}
    for item in judged["locks"][0]["items"]:
        stopped = [
            check["finding"] for check in item["checks"] if check["check"] == "model" and check["outcome"] == "fail"
        ]
        found[item["item"]] = sorted((one["id"], one["path"]) for one in stopped)
    return found


@pytest.mark.e2e
@pytest.mark.part("git")
def test_what_runs_code_is_refused_and_tensors_pass(site: Site) -> None:
    judged = site.run(*SCAN, expect=3)
    assert judged["scanned"]["notRun"] == {}
    assert items(judged) == {
        "acme/good": [],
        "acme/pickled": [("pickle", "pytorch_model.bin!archive/data.pkl")],
        "acme/evil": [
            ("format-mismatch", "model.safetensors"),
            ("pickle-import-unsafe", "model.safetensors!archive/data.pkl"),
            ("remote-code-elsewhere", "config.json"),
            ("safetensors-size", "model.safetensors"),
        ],
        "git.local/acme/shop": [("pickle-import-unsafe", "refs/heads/main/data.json")],
        CHART: [("pickle-import-unsafe", "hello/model")],
        "cache.db": [("pickle-import-unknown", "cache.db")],
    }
    assert [one["outcome"] for one in judged["locks"][0]["items"] if one["item"] == "acme/good"] == ["pass"]
    said = json.dumps(judged)
    assert "finding-blocks" in said
    assert "os.system" in said
    assert "acme.models.Model" in said


@pytest.mark.e2e
@pytest.mark.part("git")
def test_a_policy_says_what_severity_of_a_model_blocks(site: Site) -> None:
    findings = f"  findings: {REQUIRED}, rules: [{{findings: [model], severity: {{medium: warn}}}}]}}\n"
    site.write("lenient.yaml", f"{HEAD}kind: Policy\nmetadata: {{name: p}}\n{RULES}{findings}")
    judged = site.run(*[word.replace("policy.yaml", "lenient.yaml") for word in SCAN], expect=3)
    stopped = items(judged)
    assert stopped["acme/pickled"] == []
    assert stopped["acme/evil"] != []


@pytest.mark.part("minilm")
def test_the_real_model_has_no_finding(minilm: Path, tmp_path: Path) -> None:
    walk = Walk(tmp_path, 100_000_000)
    files = [path for path in sorted(minilm.rglob("*")) if path.is_file()]
    for path in files:
        blob = Blob(path.stat().st_size, lambda path=path: path.open("rb", buffering=0))  # type: ignore[misc]
        walk.look(Thing.of(path.relative_to(minilm).as_posix(), blob))
    assert (walk.findings, walk.pickles) == ([], [])
    assert any(path.name == "model.safetensors" for path in files)


def test_of_a_large_file_only_the_header_is_read(tmp_path: Path) -> None:
    """A file of 100 GB, most of which is a hole, and a stream that says what was read of it."""
    size = 100_000_000_000
    path, start = tmp_path / "model.safetensors", safetensors({"a": tensor("U8", [size], 0, size)})
    with path.open("wb") as file:
        file.write(start)
        file.truncate(len(start) + size)
    walk = Walk(tmp_path, 100_000_000)
    walk.look(Thing.of("model.safetensors", Blob(len(start) + size, lambda: path.open("rb", buffering=0))))
    assert walk.findings == []
