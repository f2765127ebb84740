"""The readers of foreign bytes, each one function. A new format is one more function here, with its seeds."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import ToolError, UpstreamError
from airgap.base.known_files import recognized
from airgap.base.strict_json import parse_json
from airgap.base.unzip import BadZipError, ZipReader
from airgap.content.graph import (
    EMPTY_BLOB,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    parse_node,
    platform_name,
    read_node,
)
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.content.reference import parse_reference
from airgap.content.scan_result import ScanResult
from airgap.content.scanner_database import TRIVY_DB
from airgap.delivery.fields import FileSum
from airgap.delivery.index import MAX_EVIDENCE, Index
from airgap.delivery.mend import mender_of
from airgap.delivery.sealed import Sealed
from airgap.delivery.sealing.keys import X25519Identity
from airgap.delivery.sealing.stream import open_bytes
from airgap.delivery.tar import read_archive
from airgap.destinations.git.gitea import read_repo
from airgap.diode.beats import Beat
from airgap.diode.codes import read_code, wanted
from airgap.diode.frames import FrameKind, FrameReader
from airgap.diode.head import decode_signatures, encode_signatures
from airgap.kinds.chart import read_chart_yaml
from airgap.kinds.git.graph import CONFIG_TYPE, git_form
from airgap.kinds.git.request import GIT_TYPE
from airgap.net.auth import parse_challenge
from airgap.net.faults import server_words
from airgap.net.response import Response
from airgap.resources.document import read_top_texts
from airgap.resources.load import load
from airgap.resources.station import ArchiveLimits
from airgap.scanning.archives.walk import ArchiveWalk
from airgap.scanning.databases.read import artifact_of, read_info
from airgap.scanning.models.arrays import check_array
from airgap.scanning.models.blob import Blob, Budget
from airgap.scanning.models.configs import check_config, check_index
from airgap.scanning.models.gguf import check_gguf
from airgap.scanning.models.graphs import check_onnx, check_tensorflow
from airgap.scanning.models.keras import check_keras_config
from airgap.scanning.models.pickles import read_pickles
from airgap.scanning.models.rules import finding
from airgap.scanning.models.safetensors import check_safetensors
from airgap.scanning.models.stream import BoundedStream
from airgap.scanning.models.templates import check_template
from airgap.scanning.models.thing import Thing
from airgap.scanning.models.walk import Walk
from airgap.serving.answers import Asked, answer
from airgap.serving.catalog import Catalog
from airgap.signatures.formats.envelope import read_envelope
from airgap.signatures.formats.intoto import parse_statement
from airgap.signatures.record import SIGNATURE
from airgap.signatures.roots.trust_root import TrustRoot
from airgap.signatures.sbom import CYCLONEDX, SPDX, check_sbom
from airgap.signatures.scanner_report import Report
from airgap.signatures.scanner_sbom import ScannerSbom
from airgap.signatures.verify import Demand, verify
from airgap.signatures.vex import read_vex
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE, PAYLOAD_TYPE, open_bundle
from airgap.statements.keys.file import load_public
from airgap.statements.log import LogLine
from airgap.statements.statement import Statement
from airgap.store.archive import Archive
from airgap.store.memory import Memory
from airgap.store.registry.client import entries, media_type
from airgap.tools.clamd import read_answer, read_version
from airgap.tools.git_bundle import read_header
from airgap.tools.hub import read_model
from airgap.tools.lfs import parse_pointer, read_batch
from tests.fuzz.engine import Target
from tests.fuzz.seeds import (
    GOLDEN,
    Seeds,
    bundle_headers,
    bundles_of_strangers,
    compact,
    files,
    hub_answers,
    inside,
    lfs_answers,
    line,
    manifests,
    model_seeds,
    oci_archive,
    older_signatures,
    pretty,
    repositories,
    resource_files,
    sboms,
    vexes,
    zips,
)
from tests.parts.fake_sigstore import How
from tests.parts.images import tar_layer, zipped
from tests.worlds import chart_bombs, keyless, scanner_databases
from tests.worlds.commands import run_airgap
from tests.worlds.hostile_layers import usual
from tests.worlds.udp_road import messages, take_anything

JUDGED = GOLDEN / "delivery-judged"
TARGETS: dict[str, Target] = {}

Read = Callable[[bytes], object]


def target(seeds: Seeds, write: Callable[[Any], bytes] = compact) -> Callable[[Read], Read]:
    """Registers a reader under its name."""

    def add(read: Read) -> Read:
        TARGETS[read.__name__] = Target(read.__name__, read, cache(seeds), write)
        return read

    return add


_bundles = inside(".sigstore.json")


# What crosses


@target(files("**/*.lock.json"), line)
def lock(data: bytes) -> object:
    return Lock.decode(data, "a lock")


@target(files("*/delivery/AIRGAP.json", "delivery-parity/AIRGAP.json"), pretty)
def index(data: bytes) -> object:
    return Index.decode(data)


@target(files("delivery-parity/*.par"))
def parity_file(data: bytes) -> object:
    """A lost volume comes back as it was, or not at all."""
    index = Index.decode((GOLDEN / "delivery-parity" / "AIRGAP.json").read_bytes())
    delivery, names = GOLDEN / "delivery-v1alpha1" / "delivery", [file.name for file in index.protected]
    with tempfile.TemporaryDirectory() as work:
        for name in names[1:]:
            (Path(work) / name).write_bytes((delivery / name).read_bytes())
        (Path(work) / "parity-01-of-01.par").write_bytes(data)
        mender = mender_of(index, [Path(work)])
        assert mender is not None
        try:
            assert mender.read(0) == (delivery / names[0]).read_bytes()
        finally:
            mender.close()
    return None


@target(files("delivery-encrypted/delivery/AIRGAP.json"), pretty)
def sealed_index(data: bytes) -> object:
    return Sealed.decode(data)


@target(files("delivery-encrypted/delivery/*.age"))
def encrypted(data: bytes) -> object:
    secret = (GOLDEN / "delivery-encrypted/golden.identity").read_text().splitlines()[-1]
    return open_bytes(data, "an age file", [X25519Identity.parse(secret)])


@target(files("*/delivery/evidence.tar"))
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


@target(files("*/*.jsonl"), canonical)
def log_line(data: bytes) -> object:
    return [LogLine.read(one, "a log") for one in data.split(b"\n")[:50]]


@target(lambda: [AcceptedState("bank").encode()], line)
def accepted_state(data: bytes) -> object:
    return AcceptedState.decode(data, "accepted.json", "bank")


@target(lambda: [*files("*/*.pub", "*/*.json", "*/*.yaml")(), *_bundles()[:2]])
def any_file(data: bytes) -> object:
    return recognized(data)


@target(files("*/*.pub"))
def public_key(data: bytes) -> object:
    return load_public(data)


@target(lambda: [*files("*/*.lock.json", "*/delivery/AIRGAP.json", "*/trust.yaml")(), *_bundles()[:4]])
def shown(data: bytes) -> object:
    """From the command line, as the message or the table that a person sees."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "thing").write_bytes(data)
        said = run_airgap(("show", "thing"), folder)
    assert said.code != 1, said.err[-1000:]
    return said


# What people write


@target(resource_files)
def resources(data: bytes) -> object:
    return load(data, base_dir=JUDGED, label="x.yaml")


@target(lambda: [b"docker.io/library/alpine:3.20@sha256:" + b"0" * 64, b"oci://ghcr.io/a/b:1", b"[::1]:5000/a/b:c"])
def reference(data: bytes) -> object:
    return parse_reference(data.decode("utf-8", "surrogateescape"))


@cache
def _catalog() -> Catalog:
    store = Memory()
    made = Catalog(store)
    config = store.add("application/vnd.oci.image.config.v1+json", b"{}")
    document = {"schemaVersion": 2, "config": config.as_dict(), "layers": []}
    made.add("docker.io/library/alpine", "1", store.add(OCI_MANIFEST, canonical(document)))
    return made


@target(
    lambda: [
        b"GET\n/v2/library/alpine/tags/list?n=1&last=a&ns=docker.io\n",
        b"GET\n/v2/docker.io/library/alpine/blobs/" + Digest.of(b"{}").encode() + b"\nbytes=0-1",
        b"HEAD\n/v2/library/alpine/manifests/1\n",
        b"GET\n/v2/library/alpine/referrers/sha256:" + b"0" * 64 + b"?artifactType=a%2Fb\n",
    ]
)
def request_of_a_node(data: bytes) -> object:
    method, asked, wanted, *_ = [*data.decode("latin-1").split("\n"), "", ""]
    return answer(_catalog(), Asked(method, asked, {"range": wanted}))


# What strangers publish


@target(lambda: [chart_bombs.helm_like(), *(packed for _, packed, _ in chart_bombs.bombs() if len(packed) < 10_000)])
def chart(data: bytes) -> object:
    return read_chart_yaml(io.BytesIO(data), "a chart")


@target(lambda: [zipped(tar_layer(scanner_databases.vulnerabilities()))])
def scanner_database(data: bytes) -> object:
    store = Memory()
    layer = Descriptor.of(TRIVY_DB.media_type, data)
    config = Descriptor.of(OCI_EMPTY, EMPTY_BLOB)
    edges = {"config": config.as_dict(), "layers": [layer.as_dict()]}
    node = canonical({"schemaVersion": 2, "mediaType": OCI_MANIFEST, **edges})
    root = Descriptor.of(OCI_MANIFEST, node)
    for one, content in ((layer, data), (root, node)):
        store.put(one, lambda offset, content=content: io.BytesIO(content[offset:]))  # type: ignore[misc]
    artifact = artifact_of(read_node(store, root))
    return None if artifact is None else read_info(artifact, store)


@target(lambda: [chart_bombs.GOOD.encode(), chart_bombs.LAUGHS.encode(), chart_bombs.PUBLISHED.encode()])
def chart_yaml(data: bytes) -> object:
    return read_top_texts(data, "Chart.yaml")


@target(lambda: [oci_archive(), gzip.compress(oci_archive(), 1)])
def archive(data: bytes) -> object:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        opened = Archive(Path(file.name), Path(tempfile.gettempdir()))
        opened.close()
        return opened


@target(
    lambda: [
        *(b"stream: OK", b"stream: Eicar-Signature FOUND", b"stream: Can't allocate memory ERROR"),
        *(b"INSTREAM size limit exceeded. ERROR", b"ClamAV 1.4.6/27999/Sun Nov 29 12:00:00 2026", b"ClamAV 1.4.6"),
    ]
)
def clamd_answer(data: bytes) -> object:
    found: list[object] = []
    for read in (read_answer, read_version):
        with suppress(ToolError):
            found.append(read(data, "clamd"))
    return found


@target(lambda: [usual(), gzip.compress(usual(), 1)])
def layer(data: bytes) -> object:
    """Whatever a layer is, the walk through it ends with findings."""
    with tempfile.TemporaryDirectory() as name:
        walk = ArchiveWalk(ArchiveLimits(size=1 << 28, files=1000), Path(name))
        walk.layer(io.BytesIO(data))
    return walk.notes.findings(None)


@target(zips)
def zip_archive(data: bytes) -> object:
    found = []
    with suppress(BadZipError):
        reader = ZipReader(io.BytesIO(data), len(data), entries=1000)
        for one in reader:
            with suppress(BadZipError):
                found.append(reader.open(one).read(1 << 20))
    return found


@target(manifests)
def manifest(data: bytes) -> object:
    document = parse_json(data, "x")
    kind = OCI_INDEX if isinstance(document, dict) and "manifests" in document else OCI_MANIFEST
    return parse_node(Descriptor.of(kind, data), data)


@target(lambda: manifests()[1:])
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


@target(bundle_headers)
def git_bundle(data: bytes) -> object:
    return read_header(io.BytesIO(data), "a bundle")


@target(lambda: [b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12\n"])
def lfs_pointer(data: bytes) -> object:
    return parse_pointer(data[:1024])


@target(lfs_answers)
def lfs_answer(data: bytes) -> object:
    try:
        return read_batch(parse_json(data, "answer"), str)
    except ValueError as error:  # as the client does
        raise UpstreamError("lfs-answer", str(error)) from error


@target(hub_answers)
def hub_answer(data: bytes) -> object:
    return read_model(data, "acme/tiny")


@target(repositories)
def gitea_answer(data: bytes) -> object:
    document = parse_json(data, "answer")
    return read_repo(document) if isinstance(document, dict) else None


@target(manifests)
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


@target(bundles_of_strangers)
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


@target(older_signatures)
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


@target(sboms)
def sbom(data: bytes) -> object:
    return [check_sbom(kind, data, Digest.of(b"")) for kind in (SPDX, CYCLONEDX)]


@target(lambda: [keyless.SIGSTORE.trusted_root(keyless.SIGSTORE.contents())])
def trust_root(data: bytes) -> object:
    return TrustRoot.load("x", data, None)


@target(inside(".json"))
def report(data: bytes) -> object:
    return Report.read(Digest.of(b""), data, "a report")


@target(files("scans/*.json"))
def scan_result(data: bytes) -> object:
    return ScanResult.decode(data, "a scan result").as_dict()


@target(files("scans/*.json.zst"))
def scanner_sbom(data: bytes) -> object:
    """A frame that may unpack to anything: a changed one has another digest, or is none."""
    return ScannerSbom.read(Digest.of(b""), Digest.of(b"{}"), data, "an SBOM")


@target(vexes)
def vex(data: bytes) -> object:
    return read_vex(data)


# Models: every reader only reports, and each finding can be written down


def _reported(rule: str, detail: str) -> None:
    finding(rule, "a", detail).as_dict()


def _blob(data: bytes) -> Blob:
    return Blob(len(data), lambda: io.BytesIO(data))


@target(model_seeds("pickles"))
def pickled(data: bytes) -> object:
    return read_pickles(BoundedStream(io.BytesIO(data)), _reported, expected=True)


@target(model_seeds("safetensors"))
def safetensors(data: bytes) -> object:
    check_safetensors(_blob(data), 1 << 20, _reported)
    return None


@target(model_seeds("gguf"))
def gguf(data: bytes) -> object:
    return check_gguf(_blob(data), 1 << 20, _reported)


@target(model_seeds("graphs"))
def graph(data: bytes) -> object:
    return (
        check_onnx(_blob(data), _reported),
        check_tensorflow(_blob(data), _reported, saved=True),
        check_tensorflow(_blob(data), _reported, saved=False),
    )


@target(model_seeds("arrays"))
def array(data: bytes) -> object:
    return check_array(_blob(data), _reported)


@target(model_seeds("configs"))
def config(data: bytes) -> object:
    check_index(data, _reported)
    check_keras_config(data, _reported)
    for name in ("config.json", "modules.json", "model_index.json", "adapter_config.json"):
        check_config(name, data, _reported)
    return None


@target(model_seeds("templates"))
def template(data: bytes) -> object:
    check_template(data.decode("utf-8", "replace"), _reported)
    return None


@target(model_seeds("files"))
def model_file(data: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        walk = Walk(Path(folder), 1 << 20, budget=Budget(16 << 20))
        for name in ("model.bin", "a.onnx", "a.safetensors"):
            walk.look(Thing.of(name, _blob(data)))
        return walk.findings


# What comes over a road


@target(messages)
def packets_of_a_diode(data: bytes) -> object:
    take_anything(data)
    return None


@target(lambda: [encode_signatures([b"one", b"another" * 20])])
def signatures_of_a_session(data: bytes) -> object:
    return decode_signatures(data)


@target(files("roads/*.ags"))
def frames_of_a_stream(data: bytes) -> object:
    found = []
    for frame in FrameReader(b"golden" * 6).feed(data):
        if frame.kind is FrameKind.BEAT:
            with suppress(ValueError):
                found.append(Beat.decode(frame.payload))
    return found


@target(lambda: [code.encode() for code in json.loads((GOLDEN / "roads/codes.json").read_text()).values()])
def code_of_a_person(data: bytes) -> object:
    files = [FileSum("vol-0001-of-0001.tar", "0" * 64, 1 << 30), FileSum("evidence.tar", "0" * 64, 9728)]
    return wanted(read_code(data.decode("utf-8", "replace")), files)
