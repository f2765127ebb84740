"""Good files of every format: what the harness changes, and how a changed JSON document is written."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from airgap.base.canonical import canonical
from airgap.content.graph import OCI_INDEX, OCI_MANIFEST
from airgap.delivery.index import MAX_EVIDENCE
from airgap.delivery.tar import read_archive
from tests.parts.fake_sigstore.goods import goods
from tests.worlds import chart_bombs, keyless, model_files

GOLDEN = Path(__file__).parent.parent / "golden"
Seeds = Callable[[], Sequence[bytes]]


def compact(value: Any) -> bytes:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


def line(value: Any) -> bytes:
    """A lock."""
    return canonical(value) + b"\n"


def pretty(value: Any) -> bytes:
    """AIRGAP.json: what a reader that took the value would compare with."""
    from airgap.delivery.index import pretty

    return (pretty(value, 0) + "\n").encode()


def files(*patterns: str) -> Seeds:
    return lambda: [path.read_bytes() for pattern in patterns for path in sorted(GOLDEN.glob(pattern))]


def inside(*suffixes: str) -> Seeds:
    """Members of the golden evidence."""

    def found() -> list[bytes]:
        archives = [
            read_archive(path.read_bytes(), MAX_EVIDENCE) for path in sorted(GOLDEN.glob("*/delivery/evidence.tar"))
        ]
        return [data for files in archives for name, data in files.items() if name.endswith(suffixes)]

    return found


def resource_files() -> list[bytes]:
    found = [path.read_bytes() for pattern in ("*/*.yaml",) for path in sorted(GOLDEN.glob(pattern))]
    for path in sorted(GOLDEN.glob("resources/*.txt")):
        for case in path.read_text().split("=== ")[1:]:
            lines = [one for one in case.split("\n")[1:] if not one.startswith("=> ")]
            found.append("\n".join(lines).encode())
    return found


def oci_archive() -> bytes:
    document = {"schemaVersion": 2, "manifests": [_descriptor(OCI_MANIFEST)]}
    blob = chart_bombs.tar_member("blobs/sha256/" + "0" * 64, b"x" * 600)
    return chart_bombs.tar_member("index.json", compact(document)) + blob + bytes(1024)


def zips() -> list[bytes]:
    """One with everything short, and one with a zip64 field and bytes before it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/b.txt", "x" * 300)
        with archive.open("c", "w", force_zip64=True) as member:
            member.write(b"y")
    return [made.getvalue(), b"#!/bin/sh\n" + made.getvalue()]


def _descriptor(media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": "sha256:" + "0" * 64, "size": 2, **more}


def manifests() -> list[bytes]:
    platform = {"os": "linux", "architecture": "arm", "variant": "v7"}
    child = _descriptor(OCI_MANIFEST, platform=platform, annotations={"a": "b"}, artifactType="x/y")
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "x/y",
        "config": _descriptor("application/vnd.oci.image.config.v1+json"),
        "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar+gzip", urls=[])],
        "subject": _descriptor(OCI_INDEX),
        "annotations": {"a": "b"},
    }
    return [compact(manifest), compact({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child, child]})]


def bundle_headers() -> list[bytes]:
    refs = "".join(f"{'0' * 40} refs/heads/{name}\n" for name in ("main", "b/c"))
    old = f"# v2 git bundle\n-{'1' * 40} before\n{refs}{'0' * 40} HEAD\n\nPACK".encode()
    return [old, f"# v3 git bundle\n@object-format=sha256\n{'0' * 64} refs/tags/v1\n\nPACK".encode()]


def lfs_answers() -> list[bytes]:
    action = {"href": "https://example.org/x", "header": {"Authorization": "Bearer x"}, "expires_in": 1}
    entry = {"oid": "0" * 64, "size": 1, "authenticated": True, "actions": {"download": action}}
    failed = {"oid": "1" * 64, "size": 1, "error": {"code": 404, "message": "gone"}}
    return [compact({"transfer": "basic", "objects": [entry, failed]})]


def hub_answers() -> list[bytes]:
    lfs = {"sha256": "3" * 64, "size": 9, "pointerSize": 134}
    files = [{"rfilename": "a", "blobId": "1" * 40, "size": 3}, {"rfilename": "b", "blobId": "2" * 40, "lfs": lfs}]
    return [compact({"sha": "0" * 40, "cardData": {"license": "mit"}, "siblings": files})]


def repositories() -> list[bytes]:
    rights = {"admin": False, "push": True, "pull": True}
    return [compact({"full_name": "a/b", "empty": True, "default_branch": "main", "permissions": rights})]


def bundles_of_strangers() -> list[bytes]:
    return [good.bundle for good in goods(keyless.SIGSTORE) if good.bundle]


def older_signatures() -> list[bytes]:
    made = [(good.layer.blob, good.layer.annotations) for good in goods(keyless.SIGSTORE) if good.layer]
    return [compact({"blob": blob.decode(), "annotations": dict(annotations)}) for blob, annotations in made]


def vexes() -> list[bytes]:
    """A document alone, and one in an attestation."""
    component = {"@id": "pkg:apk/alpine/libssl3@3.0.8-r3?arch=x86_64", "identifiers": {"cpe23": "cpe:2.3:a:*"}}
    said = {
        "vulnerability": {"name": "CVE-2023-3446", "aliases": ["GHSA-1"], "description": "x"},
        "timestamp": "2026-07-17T18:28:47.696004345-06:00",
        "products": [component | {"hashes": {"sha-256": "0" * 64}, "subcomponents": [component]}],
        "status": "not_affected",
        "justification": "vulnerable_code_not_present",
        "impact_statement": "patched",
    }
    document = {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://openvex.dev/docs/public/vex-1",
        "author": "x",
        "timestamp": "2026-07-17T18:28:47Z",
        "version": 1,
        "statements": [said, {**said, "status": "fixed", "justification": None, "impact_statement": None}],
    }
    subject = [{"name": "x", "digest": {"sha256": "0" * 64}}]
    outside = {"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://openvex.dev/ns"}
    return [compact(document), compact({**outside, "subject": subject, "predicate": document})]


def sboms() -> list[bytes]:
    checksum = {"algorithm": "SHA256", "checksumValue": "0"}
    spdx = {
        "spdxVersion": "SPDX-2.3",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": "app",
        "creationInfo": {"created": "x"},
        "packages": [{"SPDXID": "SPDXRef-app", "name": "app", "checksums": [checksum]}],
        "relationships": [
            {"spdxElementId": "SPDXRef-DOCUMENT", "relatedSpdxElement": "x", "relationshipType": "DESCRIBES"}
        ],
        "documentDescribes": ["SPDXRef-app"],
        "files": [{"fileName": "a"}],
    }
    component = {"name": "a", "type": "container", "version": "1", "hashes": [{"alg": "SHA-256", "content": "0"}]}
    cyclonedx = {
        "bomFormat": "CycloneDX",
        "metadata": {"component": component},
        "components": [component | {"components": [component]}],
    }
    graph = {
        "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
        "@graph": [{"type": "SpdxDocument", "name": "a", "rootElement": ["x"]}],
    }
    return [compact({"predicate": one}) for one in (spdx, cyclonedx, graph, {"Data": json.dumps(spdx)})]


def model_seeds(which: str) -> Seeds:
    """Files of models, by their reader."""
    patterns = {"safetensors": "*.safetensors", "gguf": "*.gguf", "graphs": "*.onnx", "arrays": "*.np[yz]"}

    def found() -> list[bytes]:
        if which in patterns:
            return [path.read_bytes() for path in sorted(GOLDEN.glob(f"models/{patterns[which]}"))]
        return _model_seeds()[which]

    return found


def _model_seeds() -> dict[str, list[bytes]]:
    pickles = [
        (GOLDEN / "models/ndarray.pkl").read_bytes(),
        model_files.STATE_DICT,
        model_files.SYSTEM,
        model_files.old_reduced("os", "system"),
        model_files.TORCH_START + model_files.STATE_DICT,
    ]
    configs: list[Any] = [
        {
            "auto_map": {"AutoModel": ["a.B", None]},
            "custom_pipelines": {"x": {"impl": "a.B"}},
        },
        [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}],
        {"unet": ["diffusers", "UNet"], "auto_mapping": {"parent_library": "x"}, "base_model_name_or_path": "a/b"},
        {"weight_map": {"a": "model-1.safetensors"}},
        {"module": "keras", "class_name": "Sequential", "config": {"layers": [model_files.LAMBDA, model_files.DENSE]}},
        {"chat_template": [{"name": "a", "template": "{{ messages[0]['role'] }}"}]},
    ]
    templates = [b"{% for m in messages %}{{ m['role'] ~ \"\\x5f\" }}{% endfor %}", b"{{ x | attr('__class__') }}"]
    archives = [model_files.torch(), model_files.keras(model_files.DENSE), model_files.tarred({"pickle": pickles[1]})]
    return {"pickles": pickles, "configs": [compact(one) for one in configs], "templates": templates, "files": archives}
