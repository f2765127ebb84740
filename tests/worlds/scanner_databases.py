"""Artifacts of scanner databases, in the shapes in which their makers push them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airgap.base.times import utc_text
from tests.parts.images import EMPTY, MANIFEST, Descriptor, Layout, tar_layer, zipped

DB, JAVA, CHECKS = (
    "ghcr.io/aquasecurity/trivy-db:2",
    "ghcr.io/aquasecurity/trivy-java-db:1",
    "ghcr.io/aquasecurity/trivy-checks:2",
)
"""The names under which they are carried."""
TRIVY_CONFIG = "application/vnd.aquasec.trivy.config.v1+json"
OPA_CONFIG = "application/vnd.cncf.openpolicyagent.config.v1+json"
DB_LAYER = "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip"
JAVA_LAYER = "application/vnd.aquasec.trivy.javadb.layer.v1.tar+gzip"
CHECKS_LAYER = "application/vnd.cncf.openpolicyagent.layer.v1.tar+gzip"
WHEN = datetime(2026, 11, 29, 6, 12, 33, tzinfo=UTC)
"""When they were made, unless a test says otherwise."""
CHECK = b"""\
# METADATA
# title: Pods do not run as root
# schemas:
# - input: schema["kubernetes"]
# custom:
#   id: KSV-9001
#   aliases: ["AVD-KSV-9001"]
#   avd_id: AVD-KSV-9001
#   severity: HIGH
#   input:
#     selector:
#     - type: kubernetes
package builtin.kubernetes.KSV9001
import rego.v1
deny contains found if {
  input.spec.securityContext.runAsUser == 0
  found := {"msg": "it runs as root"}
}
"""
"""A check that Trivy's own program does not have, in the form of trivy-checks."""


def metadata(updated: datetime = WHEN, version: int = 2, **more: Any) -> bytes:
    """metadata.json as Go writes it."""
    said = {
        "Version": version,
        "NextUpdate": utc_text(updated + timedelta(days=1)),
        "UpdatedAt": utc_text(updated)[:-1] + ".123456789Z",
        "DownloadedAt": "0001-01-01T00:00:00Z",
    }
    return json.dumps(said | more).encode()


def vulnerabilities(updated: datetime = WHEN, content: bytes = b"advisories", **more: Any) -> dict[str, bytes]:
    """The files of a trivy-db."""
    return {"trivy.db": content, "metadata.json": metadata(updated, **more)}


def java(updated: datetime = WHEN, content: bytes = b"archives") -> dict[str, bytes]:
    """The files of a trivy-java-db."""
    return {"trivy-java.db": content, "metadata.json": metadata(updated, version=1)}


CHECK_FILES = {"policies/kubernetes/policies/root.rego": CHECK, ".manifest": b'{"revision": "1", "roots": [""]}'}


def artifact(
    layout: Layout,
    layer: str,
    content: Mapping[str, bytes] | bytes,
    *,
    created: datetime | None = WHEN,
    older: bool = False,
    annotations: Mapping[str, str] = {},
) -> Descriptor:
    """An artifact with one layer, of files or of these bytes; `older`: as oras wrote it before OCI 1.1."""
    data = content if isinstance(content, bytes) else zipped(tar_layer(content))
    kind = OPA_CONFIG if layer == CHECKS_LAYER else TRIVY_CONFIG
    title = "bundle.tar.gz" if layer == CHECKS_LAYER else "javadb.tar.gz" if layer == JAVA_LAYER else "db.tar.gz"
    said = {"org.opencontainers.image.created": utc_text(created)} if created else {}
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.blob(b"{}", kind if older else EMPTY),
        "layers": [layout.blob(data, layer, annotations={"org.opencontainers.image.title": title})],
        "annotations": said | dict(annotations),
    }
    return layout.document(manifest if older else manifest | {"artifactType": kind}, MANIFEST)


def three(folder: Path, updated: datetime = WHEN) -> Layout:
    """A layout with all three, under their names."""
    layout = Layout(folder)
    layout.tag(DB, artifact(layout, DB_LAYER, vulnerabilities(updated)))
    layout.tag(JAVA, artifact(layout, JAVA_LAYER, java(updated), older=True))
    version = {"org.opencontainers.image.version": "2.1.0"}
    layout.tag(CHECKS, artifact(layout, CHECKS_LAYER, CHECK_FILES, annotations=version))
    return layout
