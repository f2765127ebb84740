"""The readers of foreign bytes, each one function. A new format is one more function here, with its seeds."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import UpstreamError
from airgap.base.known_files import recognized
from airgap.base.strict_json import parse_json
from airgap.content.graph import OCI_INDEX, OCI_MANIFEST, Descriptor, parse_node, platform_name
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.content.reference import parse_reference
from airgap.delivery.index import MAX_EVIDENCE, Index
from airgap.delivery.tar import read_archive
from airgap.destinations.git.gitea import read_repo
from airgap.kinds.chart import read_chart_yaml
from airgap.kinds.git.graph import CONFIG_TYPE, GIT_TYPE, git_form
from airgap.net.auth import parse_challenge
from airgap.net.faults import server_words
from airgap.net.response import Response
from airgap.resources.document import read_top_texts
from airgap.resources.load import load
from airgap.signatures.formats.envelope import read_envelope
from airgap.signatures.formats.intoto import parse_statement
from airgap.signatures.record import SIGNATURE
from airgap.signatures.roots.trust_root import TrustRoot
from airgap.signatures.sbom import CYCLONEDX, SPDX, check_sbom
from airgap.signatures.scanner_report import Report
from airgap.signatures.verify import Demand, verify
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE, PAYLOAD_TYPE, open_bundle
from airgap.statements.keys.file import load_public
from airgap.statements.log import LogLine
from airgap.statements.statement import Statement
from airgap.store.archive import Archive
from airgap.store.memory import Memory
from airgap.store.registry.client import entries, media_type
from airgap.tools.hub import read_model
from airgap.tools.lfs import parse_pointer, read_batch
from tests.fuzz.engine import Target
from tests.parts.fake_sigstore import How
from tests.parts.fake_sigstore.goods import goods
from tests.worlds import chart_bombs, keyless
from tests.worlds.commands import run_airgap

GOLDEN = Path(__file__).parent.parent / "golden"
JUDGED = GOLDEN / "delivery-judged"
TARGETS: dict[str, Target] = {}

Read = Callable[[bytes], object]
Seeds = Callable[[], Sequence[bytes]]


def compact(value: Any) -> bytes:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


def line(value: Any) -> bytes:
    """A lock."""
    return canonical(value) + b"\n"


def pretty(value: Any) -> bytes:
    """AIRGAP.json: what a reader that took the value would compare with."""
    from airgap.delivery.index import _pretty

    return (_pretty(value, 0) + "\n").encode()


def target(seeds: Seeds, write: Callable[[Any], bytes] = compact) -> Callable[[Read], Read]:
    """Registers a reader under its name."""

    def add(read: Read) -> Read:
        TARGETS[read.__name__] = Target(read.__name__, read, cache(seeds), write)
        return read

    return add


def _files(*patterns: str) -> Seeds:
    return lambda: [path.read_bytes() for pattern in patterns for path in sorted(GOLDEN.glob(pattern))]


def _inside(*suffixes: str) -> Seeds:
    """Members of the golden evidence."""

    def found() -> list[bytes]:
        archives = [
            read_archive(path.read_bytes(), MAX_EVIDENCE) for path in sorted(GOLDEN.glob("*/delivery/evidence.tar"))
        ]
        return [data for files in archives for name, data in files.items() if name.endswith(suffixes)]

    return found


_bundles = _inside(".sigstore.json")


# What crosses


@target(_files("**/*.lock.json"), line)
def lock(data: bytes) -> object:
    return Lock.decode(data, "a lock")


@target(_files("*/delivery/AIRGAP.json"), pretty)
def index(data: bytes) -> object:
    return Index.decode(data)


@target(_files("*/delivery/evidence.tar"))
def evidence(data: bytes) -> object:
    return read_archive(data, MAX_EVIDENCE)


@target(_bundles)
def bundle(data: bytes) -> object:
    envelope = open_bundle(data, "a bundle", MAX_EVIDENCE_BUNDLE)
    return Statement.parse(envelope.payload, "a bundle")


@target(lambda: [open_bundle(one, "x", MAX_EVIDENCE_BUNDLE).payload for one in _bundles()])
def statement(data: bytes) -> object:
    return Statement.parse(data, "a statement")


# What stays


@target(_files("*/*.jsonl"), canonical)
def log_line(data: bytes) -> object:
    return [LogLine.read(one, "a log") for one in data.split(b"\n")[:50]]


@target(lambda: [AcceptedState("bank").encode()], line)
def accepted_state(data: bytes) -> object:
    return AcceptedState.decode(data, "accepted.json", "bank")


@target(lambda: [*_files("*/*.pub", "*/*.json", "*/*.yaml")(), *_bundles()[:2]])
def any_file(data: bytes) -> object:
    return recognized(data)


@target(_files("*/*.pub"))
def public_key(data: bytes) -> object:
    return load_public(data)


@target(lambda: [*_files("*/*.lock.json", "*/delivery/AIRGAP.json", "*/trust.yaml")(), *_bundles()[:4]])
def shown(data: bytes) -> object:
    """From the command line, as the message or the table that a person sees."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "thing").write_bytes(data)
        said = run_airgap(("show", "thing"), folder)
    assert said.code != 1, said.err[-1000:]
    return said


# What people write


def _resources() -> list[bytes]:
    found = [path.read_bytes() for pattern in ("*/*.yaml",) for path in sorted(GOLDEN.glob(pattern))]
    for path in sorted(GOLDEN.glob("resources/*.txt")):
        for case in path.read_text().split("=== ")[1:]:
            lines = [one for one in case.split("\n")[1:] if not one.startswith("=> ")]
            found.append("\n".join(lines).encode())
    return found


@target(_resources)
def resources(data: bytes) -> object:
    return load(data, base_dir=JUDGED, label="x.yaml")


@target(lambda: [b"docker.io/library/alpine:3.20@sha256:" + b"0" * 64, b"oci://ghcr.io/a/b:1", b"[::1]:5000/a/b:c"])
def reference(data: bytes) -> object:
    return parse_reference(data.decode("utf-8", "surrogateescape"))


# What strangers publish


@target(lambda: [chart_bombs.helm_like(), *(packed for _, packed, _ in chart_bombs.bombs() if len(packed) < 10_000)])
def chart(data: bytes) -> object:
    return read_chart_yaml(io.BytesIO(data), "a chart")


@target(lambda: [chart_bombs.GOOD.encode(), chart_bombs.LAUGHS.encode(), chart_bombs.PUBLISHED.encode()])
def chart_yaml(data: bytes) -> object:
    return read_top_texts(data, "Chart.yaml")


@target(lambda: [_oci_archive(), gzip.compress(_oci_archive(), 1)])
def archive(data: bytes) -> object:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        opened = Archive(Path(file.name), Path(tempfile.gettempdir()))
        opened.close()
        return opened


def _oci_archive() -> bytes:
    document = {"schemaVersion": 2, "manifests": [_descriptor(OCI_MANIFEST)]}
    blob = chart_bombs.tar_member("blobs/sha256/" + "0" * 64, b"x" * 600)
    return chart_bombs.tar_member("index.json", compact(document)) + blob + bytes(1024)


def _descriptor(media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": "sha256:" + "0" * 64, "size": 2, **more}


def _manifests() -> list[bytes]:
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


@target(_manifests)
def manifest(data: bytes) -> object:
    document = parse_json(data, "x")
    kind = OCI_INDEX if isinstance(document, dict) and "manifests" in document else OCI_MANIFEST
    return parse_node(Descriptor.of(kind, data), data)


@target(lambda: _manifests()[1:])
def referrers(data: bytes) -> object:
    return entries(parse_json(data, "referrers"), "referrers")


@target(lambda: [b'{"os": "linux", "architecture": "arm64", "variant": "v8", "rootfs": {"diff_ids": []}}'])
def image_config(data: bytes) -> object:
    return platform_name(parse_json(data, "config"), "config")


@target(
    lambda: [b'{"head":"refs/heads/main","lfs":[],"prerequisites":[],"refs":{"refs/heads/main":"' + b"0" * 40 + b'"}}']
)
def git_config(data: bytes) -> object:
    memory = Memory()
    config = memory.add(CONFIG_TYPE, data)
    document = {"schemaVersion": 2, "artifactType": GIT_TYPE, "config": config.as_dict(), "layers": []}
    root = memory.add(OCI_MANIFEST, compact(document))
    return git_form(Item("x", "git", "https://example.org/x", refs={}, lfs=True), root, memory)


@target(lambda: [b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12\n"])
def lfs_pointer(data: bytes) -> object:
    return parse_pointer(data[:1024])


def _batch() -> list[bytes]:
    action = {"href": "https://example.org/x", "header": {"Authorization": "Bearer x"}, "expires_in": 1}
    entry = {"oid": "0" * 64, "size": 1, "authenticated": True, "actions": {"download": action}}
    failed = {"oid": "1" * 64, "size": 1, "error": {"code": 404, "message": "gone"}}
    return [compact({"transfer": "basic", "objects": [entry, failed]})]


@target(_batch)
def lfs_answer(data: bytes) -> object:
    try:
        return read_batch(parse_json(data, "answer"), str)
    except ValueError as error:  # as the client does
        raise UpstreamError("lfs-answer", str(error)) from error


def _hub() -> list[bytes]:
    lfs = {"sha256": "3" * 64, "size": 9, "pointerSize": 134}
    files = [{"rfilename": "a", "blobId": "1" * 40, "size": 3}, {"rfilename": "b", "blobId": "2" * 40, "lfs": lfs}]
    return [compact({"sha": "0" * 40, "cardData": {"license": "mit"}, "siblings": files})]


@target(_hub)
def hub_answer(data: bytes) -> object:
    return read_model(data, "acme/tiny")


def _repository() -> list[bytes]:
    rights = {"admin": False, "push": True, "pull": True}
    return [compact({"full_name": "a/b", "empty": True, "default_branch": "main", "permissions": rights})]


@target(_repository)
def gitea_answer(data: bytes) -> object:
    document = parse_json(data, "answer")
    return read_repo(document) if isinstance(document, dict) else None


@target(_manifests)
def manifest_answer(data: bytes) -> object:
    answers = [_Answer(data, kind) for kind in ("application/json", OCI_MANIFEST, "")]
    return [media_type(cast("Response", one)) for one in answers]


@dataclass(frozen=True, slots=True)
class _Answer:
    data: bytes
    content_type: str
    url: str = "https://example.org/v2/"
    side: str = "origin"


@target(lambda: [b'{"errors":[{"code":"DENIED","message":"no","detail":[]}]}', b'{"message":"no"}'])
def error_body(data: bytes) -> object:
    return server_words(data, "application/json"), server_words(data, "text/plain")


@target(lambda: [b'Bearer realm="https://example.org/token",service="x",scope="a", Basic realm="y"'])
def challenge(data: bytes) -> object:
    return parse_challenge(data.decode("latin-1"))


# What strangers sign


def _goods() -> list[bytes]:
    return [good.bundle for good in goods(keyless.SIGSTORE) if good.bundle]


@target(_goods)
def signature(data: bytes) -> object:
    demands = (
        Demand(SIGNATURE, identities=(keyless.SIGNER,), root=keyless.ROOT, now=keyless.NOW),
        Demand(SIGNATURE, keys=(), root=keyless.ROOT, now=keyless.NOW),
    )
    made = keyless.read(data, bundle_type=keyless.BUNDLE_TYPE)
    results = [verify(made, demand) for demand in demands]
    faults = [one.detail for one in results if one.reason == "verifier-error" and "sigstore-python" not in one.detail]
    assert not faults, faults
    return results


def _layers() -> list[bytes]:
    made = [(good.layer.blob, good.layer.annotations) for good in goods(keyless.SIGSTORE) if good.layer]
    return [compact({"blob": blob.decode(), "annotations": dict(annotations)}) for blob, annotations in made]


@target(_layers)
def old_signature(data: bytes) -> object:
    from airgap.signatures.formats.simple_signing import read_simple_signing

    document = parse_json(data, "x")
    try:
        blob, annotations = document["blob"].encode(), {str(k): str(v) for k, v in document["annotations"].items()}
    except (KeyError, TypeError, AttributeError):
        return None
    found = []
    for read in (read_simple_signing, read_envelope):
        made = read(keyless.SUBJECT, "x", annotations, blob)
        found.append(verify(made, Demand(SIGNATURE, identities=(keyless.SIGNER,), root=keyless.ROOT, now=keyless.NOW)))
    return found


@target(lambda: [keyless.SIGSTORE.attest(keyless.SUBJECT, SPDX, {"a": 1}, How(keyless.AT))])
def attestation(data: bytes) -> object:
    return parse_statement(data, PAYLOAD_TYPE)


def _sboms() -> list[bytes]:
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


@target(_sboms)
def sbom(data: bytes) -> object:
    return [check_sbom(kind, data, Digest.of(b"")) for kind in (SPDX, CYCLONEDX)]


@target(lambda: [keyless.SIGSTORE.trusted_root(keyless.SIGSTORE.contents())])
def trust_root(data: bytes) -> object:
    return TrustRoot.load("x", data, None)


@target(_inside(".json"))
def report(data: bytes) -> object:
    return Report.read(Digest.of(b""), data, "a report")
