"""What helm, oras, crane and cosign put into a registry, carried into another, and read there by the same tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.parts import images
from tests.parts.need import run
from tests.worlds.site import GAP, HEAD, Site

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.part("distribution2", "distribution3", "helm", "oras", "crane", "cosign", "skopeo"),
]


def _fill(folder: Path, host: str) -> None:
    """A chart by helm, an artifact with a note attached by oras, an image by skopeo and crane, signed by cosign."""
    run("helm", "create", "hello", cwd=folder)
    run("helm", "package", "hello", cwd=folder)
    run("helm", "push", "hello-0.1.0.tgz", f"oci://{host}/charts", "--plain-http", cwd=folder)
    (folder / "rules.yaml").write_text("rules: []\n")
    (folder / "note.txt").write_text("a note\n")
    artifact = f"{host}/rules/falco:1"
    for verb, kind, file in (("push", "rules", "rules.yaml:text/yaml"), ("attach", "note", "note.txt:text/plain")):
        kind = f"application/vnd.{kind}"  # noqa: PLW2901
        run("oras", verb, "--plain-http", "--artifact-type", kind, artifact, file, cwd=folder)
    images.make_image(folder / "made", "v1", platforms=("linux/amd64", "linux/arm64"))
    app = f"{host}/team/app:v1"
    run("skopeo", "copy", "--all", "--dest-tls-verify=false", f"oci:{folder}/made:v1", f"docker://{app}")
    run("crane", "mutate", "--insecure", "--label", "by=crane", "--tag", f"{host}/team/app:v2", app)
    env = {"COSIGN_PASSWORD": "for tests", "HOME": str(folder)}
    run("cosign", "generate-key-pair", cwd=folder, env=env)
    for tag in ("v1", "v2"):
        digest = run("crane", "digest", "--insecure", f"{host}/team/app:{tag}").strip()
        run(
            "cosign", "sign", "--yes", "--key", "cosign.key", "--allow-http-registry", "--tlog-upload=false",
            "--use-signing-config=false", f"{host}/team/app@{digest}", cwd=folder, env=env,
        )  # fmt: skip


def test_what_others_wrote_is_read_by_them_inside(tmp_path: Path, start_registry: Any) -> None:
    site, source, inside = Site(tmp_path), start_registry(), start_registry(version=2)
    (tmp_path / "others").mkdir()
    _fill(tmp_path / "others", source.host)
    site.write(
        "r.request.yaml",
        f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  images:\n"
        + "".join(f"  - ref: '{source.host}/{name}'\n" for name in ("team/app:v1", "team/app:v2", "rules/falco:1"))
        + f"  charts:\n  - ref: 'oci://{source.host}/charts/hello:0.1.0'\n",
    )
    site.write(
        "u.yaml",
        f"{HEAD}kind: Upstreams\nmetadata: {{name: u}}\nspec:\n  hosts:\n    '{source.host}': {{plainHTTP: true}}\n",
    )
    site.run("lock", "r.request.yaml", "--upstreams", "u.yaml")
    lock = json.loads((tmp_path / "r.lock.json").read_bytes())
    attached = {item["name"].rpartition("/")[2]: len(item.get("attached", ())) for item in lock["items"]}
    assert attached["falco:1"] == attached["app:v1"] == attached["app:v2"] == 1
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key", "--upstreams", "u.yaml")
    site.run("bundle", "r.lock.json", "--store", "store", "--to", "media", "--for", "bank", "--key", "exporter.key")
    site.write(
        "sovereign.yaml",
        f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\nspec:\n  stateDir: state\n"
        f"  registries:\n  - {{url: '{inside.url}', projects: {{'{source.host}': in}}}}\n",
    )
    site.run("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    site.run("audit", *GAP, "--receipt", "receipt.json")
    source.stop()
    out = tmp_path / "out"
    out.mkdir()
    run("helm", "pull", f"oci://{inside.host}/in/charts/hello", "--version", "0.1.0", "--plain-http", cwd=out)
    assert (out / "hello-0.1.0.tgz").read_bytes() == (tmp_path / "others/hello-0.1.0.tgz").read_bytes()
    run("oras", "pull", "--plain-http", f"{inside.host}/in/rules/falco:1", cwd=out)
    assert (out / "rules.yaml").read_text() == "rules: []\n"
    found = json.loads(run("oras", "discover", "--plain-http", "--format", "json", f"{inside.host}/in/rules/falco:1"))
    assert [one["artifactType"] for one in found.get("referrers") or found["manifests"]] == ["application/vnd.note"]
    run("crane", "validate", "--insecure", "--remote", f"{inside.host}/in/team/app:v2")
    for tag in ("v1", "v2"):
        run(
            "cosign", "verify", "--key", tmp_path / "others/cosign.pub", "--allow-http-registry",
            "--insecure-ignore-tlog=true", f"{inside.host}/in/team/app:{tag}", env={"HOME": str(tmp_path)},
        )  # fmt: skip
