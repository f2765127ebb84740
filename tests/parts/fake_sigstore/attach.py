"""Writes signatures beside an image in an OCI layout, the way each tool lays them out.

layout = Layout(folder)
image = layout.tag("v1", layout.image({"hello.txt": b"hello"}))
attach.tag(layout, image, "sig", [layer])               # A, B: cosign's older tags
attach.referrer(layout, image, bundle)                  # D: cosign v3, in the referrers API
attach.fallback(layout, image, bundle)                  # D: the same without that API
push(layout, registry.url, "acme/app")                  # all of it, byte for byte
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urljoin

import requests

from tests.parts.images import CONFIG, EMPTY, INDEX, MANIFEST, REF_NAME, Descriptor, Layout, bare

from .bundles import BUNDLE
from .legacy import Layer

SIGNATURE_ARTIFACT = "application/vnd.dev.cosign.artifact.sig.v1+json"
NOTATION = "application/vnd.cncf.notary.signature"
NOTATION_THUMBPRINT = "io.cncf.notary.x509chain.thumbprint#S256"
IN_TOTO = "application/vnd.in-toto+json"
CREATED = "2024-05-01T00:00:00Z"
BUILDX_TYPE = "vnd.docker.reference.type"
BUILDX_DIGEST = "vnd.docker.reference.digest"


# --- cosign's older tags: A, B, C --------------------------------------------------------------


def tag_name(subject: Descriptor, suffix: str) -> str:
    """sha256-<hex>.sig and the like."""
    return str(subject["digest"]).replace(":", "-") + (f".{suffix}" if suffix else "")


def tag(layout: Layout, subject: Descriptor, suffix: str, layers: Sequence[Layer]) -> Descriptor:
    """All signatures (`sig`) or attestations (`att`) of a subject under its tag."""
    manifest = layers_manifest(layout, layers)
    return layout.tag(tag_name(subject, suffix), layout.document(manifest, MANIFEST))


def layers_manifest(layout: Layout, layers: Sequence[Layer]) -> dict[str, Any]:
    """The manifest: an image whose config is empty, one layer for each signature."""
    config = {
        "architecture": "",
        "created": "0001-01-01T00:00:00Z",
        "history": [{"created": "0001-01-01T00:00:00Z"} for _ in layers],
        "os": "",
        "rootfs": {
            "type": "layers",
            "diff_ids": [layout.blob(each.blob, each.media_type)["digest"] for each in layers],
        },
        "config": {},
    }
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.document(config, CONFIG),
        "layers": [layout.blob(each.blob, each.media_type, annotations=dict(each.annotations)) for each in layers],
    }


def sbom_tag(layout: Layout, subject: Descriptor, sbom: bytes, media_type: str = "text/spdx+json") -> Descriptor:
    """C: an SBOM that nobody signed, as `cosign attach sbom` leaves it."""
    return tag(layout, subject, "sbom", [Layer(media_type, sbom, {})])


# --- bundles: D --------------------------------------------------------------------------------


def bundle_manifest(layout: Layout, subject: Descriptor, bundle: bytes) -> Descriptor:
    """The manifest that cosign v3 writes around a bundle; it is listed nowhere yet."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": BUNDLE,
        "config": layout.blob(b"{}", EMPTY, artifactType=BUNDLE),
        "layers": [layout.blob(bundle, BUNDLE)],
        "annotations": bundle_annotations(bundle),
        "subject": bare(subject),
    }
    made = layout.document(manifest, MANIFEST, artifactType=BUNDLE)
    return {**made, "annotations": manifest["annotations"]}


def bundle_annotations(bundle: bytes) -> dict[str, str]:
    """What cosign notes beside a bundle; nothing of it counts."""
    made = {"dev.sigstore.bundle.content": "message-signature"}
    content = json.loads(bundle).get("dsseEnvelope")
    if content:
        statement = json.loads(base64.b64decode(content["payload"]))
        made = {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": str(statement.get("predicateType", "")),
        }
    return {**made, "org.opencontainers.image.created": CREATED}


def referrer(layout: Layout, subject: Descriptor, bundle: bytes) -> Descriptor:
    """D: a bundle that refers to the subject; the layout lists it without a name."""
    made = bundle_manifest(layout, subject, bundle)
    layout.tag("", bare(made))
    return made


def fallback(layout: Layout, subject: Descriptor, *bundles: bytes) -> list[Descriptor]:
    """D without a referrers API: the same manifests in an index under the bare tag."""
    made = [bundle_manifest(layout, subject, each) for each in bundles]
    layout.fallback_tag(subject, *made)
    return made


# --- the rest: E, G, H -------------------------------------------------------------------------


def old_referrer(layout: Layout, subject: Descriptor, layers: Sequence[Layer]) -> Descriptor:
    """E: cosign's experiment, its older layers in a referrer."""
    manifest = {
        **layers_manifest(layout, layers),
        "artifactType": SIGNATURE_ARTIFACT,
        "config": layout.blob(b"{}", SIGNATURE_ARTIFACT),
        "subject": bare(subject),
    }
    made = layout.document(manifest, MANIFEST, artifactType=SIGNATURE_ARTIFACT)
    layout.tag("", bare(made))
    return made


def notation(layout: Layout, subject: Descriptor) -> Descriptor:
    """G: what a Notation signature looks like from outside; its envelope is no signature."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": NOTATION,
        "config": layout.blob(b"{}", EMPTY),
        "layers": [layout.blob(b'{"payload":"","signature":""}', "application/jose+json")],
        "annotations": {NOTATION_THUMBPRINT: '["' + "00" * 32 + '"]'},
        "subject": bare(subject),
    }
    made = layout.document(manifest, MANIFEST, artifactType=NOTATION)
    layout.tag("", bare(made))
    return made


def buildx(layout: Layout, image: Descriptor, statement: bytes, name: str = "") -> Descriptor:
    """H: an index of the image and of an attestation that BuildKit wrote and nobody signed."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.document({"architecture": "unknown", "os": "unknown"}, CONFIG),
        "layers": [
            layout.blob(statement, IN_TOTO, annotations={"in-toto.io/predicate-type": "x"}),
        ],
    }
    attached = layout.document(
        manifest,
        MANIFEST,
        annotations={BUILDX_TYPE: "attestation-manifest", BUILDX_DIGEST: image["digest"]},
        platform={"architecture": "unknown", "os": "unknown"},
    )
    child = {**bare(image), "platform": image.get("platform", {})}
    index = layout.index(child, attached)
    return layout.tag(name, index) if name else index


# --- into a registry ---------------------------------------------------------------------------


def push(layout: Layout, registry: str, repository: str) -> None:
    """Put everything that the layout lists into a registry that wants no login, unchanged.

    `registry` is its base address. Raises requests.HTTPError when it refuses something.
    """
    base = f"{registry}/v2/{repository}"
    with requests.Session() as session:
        for entry in layout.entries():
            name = entry.get("annotations", {}).get(REF_NAME)
            _push_manifest(session, base, layout, entry, name or entry["digest"])


def _push_manifest(session: requests.Session, base: str, layout: Layout, entry: Mapping[str, Any], name: str) -> None:
    raw = layout.read(entry["digest"])
    manifest = json.loads(raw)
    if entry["mediaType"] == INDEX:
        for child in manifest["manifests"]:
            _push_manifest(session, base, layout, child, child["digest"])
    else:
        for blob in (manifest["config"], *manifest["layers"]):
            _push_blob(session, base, layout, blob["digest"])
    headers = {"Content-Type": entry["mediaType"]}
    session.put(f"{base}/manifests/{name}", data=raw, headers=headers).raise_for_status()


def _push_blob(session: requests.Session, base: str, layout: Layout, digest: str) -> None:
    if session.head(f"{base}/blobs/{digest}").status_code == 200:
        return
    started = session.post(f"{base}/blobs/uploads/")
    started.raise_for_status()
    where = urljoin(f"{base}/", started.headers["Location"])
    separator = "&" if "?" in where else "?"
    done = session.put(
        f"{where}{separator}digest={digest}",
        data=layout.read(digest),
        headers={"Content-Type": "application/octet-stream"},
    )
    done.raise_for_status()
