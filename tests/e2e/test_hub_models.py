"""A model of the Hub, from the command line: locked, pulled, and refused when the Hub changes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.worlds.site import Site

UP = ("--upstreams", "u.yaml")


@pytest.mark.e2e
@pytest.mark.part("minilm")
def test_a_model_of_the_hub_is_locked_by_its_hashes_and_pulled(
    tmp_path: Path, hf_endpoint: Any, minilm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hf_endpoint.url)
    commit = hf_endpoint.publish("acme/minilm", minilm)
    site = Site(tmp_path)
    site.write(
        "r.request.yaml",
        "apiVersion: airgap.openova.io/v1alpha1\nkind: Request\nmetadata: {name: r}\n"
        "spec:\n  models:\n  - {repo: acme/minilm}\n",
    )
    # Over plain http a redirect to another host has to be allowed by name.
    hub, cdn = (url.removeprefix("http://") for url in (hf_endpoint.url, hf_endpoint.cdn_url))
    site.write(
        "u.yaml",
        "apiVersion: airgap.openova.io/v1alpha1\nkind: Upstreams\nmetadata: {name: u}\n"
        f"spec:\n  hosts:\n    '{hub}': {{plainHTTP: true, allowedHosts: ['{cdn}']}}\n",
    )
    site.run("lock", "r.request.yaml", "--upstreams", "u.yaml")
    item = json.loads((tmp_path / "r.lock.json").read_bytes())["items"][0]
    assert item["revision"] == commit
    pulled = site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key", *UP)
    assert [row["outcome"] for row in pulled["items"]] == ["pass"]
    for file in item["files"]:
        stored = (tmp_path / "store/blobs/sha256" / file["digest"][7:]).read_bytes()
        assert stored == (minilm / file["path"]).read_bytes()
