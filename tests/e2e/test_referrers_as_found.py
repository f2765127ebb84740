"""Referrers as registries have them in earnest: an index with old entries and with entries that are gone, signatures of
signatures. What cosign finds outside it finds inside, and what is gone stops nothing."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.parts import images
from tests.parts.fake_sigstore import FakeSigstore, How, attach, managed, public_pem
from tests.parts.need import require_part
from tests.worlds.site import GAP, HEAD, Site

pytestmark = [pytest.mark.e2e, pytest.mark.part("cosign", "distribution3")]
HOW = How(datetime(2024, 5, 1, tzinfo=UTC), signer=managed("owner"), log="none")


def _without_subject(layout: images.Layout, subject: images.Descriptor) -> images.Descriptor:
    """A bundle's manifest that does not say to what it refers: only the index says it."""
    made = attach.bundle_manifest(layout, subject, FakeSigstore().sign_image(subject["digest"], HOW))
    manifest = json.loads(layout.read(made["digest"]))
    del manifest["subject"]
    return layout.document(manifest, images.MANIFEST, artifactType=made["artifactType"])


def _verifies(site: Site, reference: str) -> bool:
    argv = [require_part("cosign"), "verify", "--key", "owner.pub", "--insecure-ignore-tlog=true"]
    env = {
        "HOME": str(site.folder),
        "PATH": os.environ["PATH"],
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [*map(str, argv), "--allow-http-registry", reference],
        env=env, cwd=site.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode == 0


def test_what_an_index_of_referrers_names_is_found_inside(tmp_path: Path, start_registry: Any) -> None:
    site, outside, inside = Site(tmp_path), start_registry(), start_registry()
    layout = images.Layout(tmp_path / "made")
    image = layout.tag("v1", layout.image({"a": b"a"}))
    bundle = _without_subject(layout, image)
    gone = layout.artifact("application/vnd.test.gone", ("text/plain", b"x"), subject=image)
    layout.fallback_tag(image, bundle, gone)
    attach.fallback(layout, bundle, FakeSigstore().sign_image(bundle["digest"], HOW))
    attach.push(layout, outside.url, "acme/app")
    # Somebody deletes a referrer, and leaves the index as it was.
    address = f"{outside.url}/v2/acme/app/manifests/{gone['digest']}"
    requests.delete(address, timeout=60).raise_for_status()
    (tmp_path / "owner.pub").write_bytes(public_pem(managed("owner").key))
    references = [f"{{}}/acme/app@{one['digest']}" for one in (image, bundle)]
    assert all(_verifies(site, one.format(outside.host)) for one in references)
    host = f"spec:\n  hosts:\n    '{outside.host}': {{plainHTTP: true}}\n"
    site.write("u.yaml", f"{HEAD}kind: Upstreams\nmetadata: {{name: u}}\n{host}")
    site.write(
        "r.request.yaml",
        f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  images:\n  - {{ref: '{outside.host}/acme/app:v1'}}\n",
    )
    site.write(
        "sovereign.yaml",
        f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\nspec:\n  stateDir: state\n  registries:\n"
        f"  - {{url: 'http://{inside.host}', projects: {{'{outside.host}': hub}}}}\n",
    )
    up, store = ("--upstreams", "u.yaml"), ("--store", "store", "--key", "exporter.key")
    site.run("lock", "r.request.yaml", *up)
    site.run("pull", "r.lock.json", *store, *up)
    site.run("bundle", "r.lock.json", *store, "--to", "media", "--for", "bank")
    for _ in range(2):
        site.run("import", "media", *GAP, "--key", "sovereign.key")
        assert all(_verifies(site, one.format(f"{inside.host}/hub")) for one in references)
