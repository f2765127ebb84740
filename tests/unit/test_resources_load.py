"""Good resource files become the values that they say; bad files are refused whatever their bytes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from airgap.base.errors import InputError
from airgap.kinds.chart import ChartRequest
from airgap.kinds.file import FileRequest
from airgap.kinds.git.request import GitRequest
from airgap.kinds.image import ImageRequest
from airgap.kinds.model import ModelRequest
from airgap.net.config import Credentials, HostConfig
from airgap.net.credentials import Login, login_of
from airgap.resources.document import MAX_BYTES, MAX_DEPTH, MAX_NODES
from airgap.resources.load import (
    load,
    load_request,
    load_sovereign,
    load_trust,
    load_upstreams,
)
from airgap.resources.problems import quoted
from airgap.resources.request import Request
from airgap.resources.sovereign import GitConfig, RegistryConfig, S3Config, Sovereign
from airgap.resources.trust import Revocation, Trust
from airgap.resources.upstreams import Upstreams

HEAD = "apiVersion: airgap.openova.io/v1alpha1\nkind: {kind}\nmetadata: {{name: demo}}\n"
REQUEST = HEAD.format(kind="Request")
SHA = "5f" * 32
BASE = Path("/work")


def refused(data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        load_request(data, label="f")
    assert caught.value.code == "bad-resource"
    return caught.value.what


def test_every_field_of_a_request() -> None:
    text = f"""{REQUEST}
spec:
  images:
  - {{ref: docker.io/library/alpine:3.20, name: alpine, platforms: [linux/amd64, linux/arm/v7], phase: seed}}
  charts:
  - {{ref: 'oci://ghcr.io/openova-io/bp-cilium:1.1.1', name: cilium, phase: seed}}
  git:
  - {{url: https://github.com/openova-io/openova, name: blueprints, refs: [refs/heads/main, refs/tags/v*], lfs: true}}
  models:
  - {{repo: BAAI/bge-m3, name: x/y, revision: refs/pr/1, include: ['*.safetensors']}}
  files:
  - {{url: 'https://get.example.org/k3s?v=1', sha256: {SHA}, path: k3s/v1.31/k3s, name: k3s}}
"""
    made, upstreams = load_request(text.encode(), base_dir=BASE, label="r.yaml")
    assert upstreams == Upstreams(hosts={})
    assert made == Request(
        name="demo",
        entries={
            "images": (
                ImageRequest(
                    ref="docker.io/library/alpine:3.20",
                    name="alpine",
                    platforms=("linux/amd64", "linux/arm/v7"),
                    phase="seed",
                    where="r.yaml:7:5",
                ),
            ),
            "charts": (
                ChartRequest(
                    ref="oci://ghcr.io/openova-io/bp-cilium:1.1.1", name="cilium", phase="seed", where="r.yaml:9:5"
                ),
            ),
            "git": (
                GitRequest(
                    url="https://github.com/openova-io/openova",
                    name="blueprints",
                    refs=("refs/heads/main", "refs/tags/v*"),
                    lfs=True,
                    where="r.yaml:11:5",
                ),
            ),
            "models": (
                ModelRequest(
                    name="x/y",
                    repo="BAAI/bge-m3",
                    directory=None,
                    revision="refs/pr/1",
                    include=("*.safetensors",),
                    where="r.yaml:13:5",
                ),
            ),
            "files": (
                FileRequest(
                    name="k3s",
                    sha256=SHA,
                    path="k3s/v1.31/k3s",
                    url="https://get.example.org/k3s?v=1",
                    where="r.yaml:15:5",
                ),
            ),
        },
    )


def test_what_is_left_out_is_filled_in() -> None:
    text = f"""{REQUEST}
spec:
  images:
  - ref: localhost:5000/app@sha256:{SHA}
  - ref: oci:built/app:r.local/team/app:1.0
  - ref: oci-archive:/media/app.tar:r.local/app:1
  - ref: docker-daemon:localhost/app:dev
  - {{ref: "oci:../layout", name: "r.local/other:1"}}
  charts:
  - ref: oci://ghcr.io/openova-io/bp-cilium:1.1.1_build
  git:
  - url: https://github.com/openova-io/openova.git
  - url: http://gitea.local:3000/a/b/
  - url: ../repos/local.git
  - {{url: ., name: here}}
  models:
  - repo: gpt2
  - {{directory: models/bge, name: BAAI/bge}}
  files:
  - {{file: bin/k3s, sha256: {SHA}, path: k3s/k3s}}
"""
    made, _ = load_request(text.encode(), base_dir=BASE)
    assert [(image.ref, image.name, image.platforms, image.phase) for image in made.of("images")] == [
        (f"localhost:5000/app@sha256:{SHA}", f"localhost:5000/app@sha256:{SHA}", (), "registry"),
        ("oci:/work/built/app:r.local/team/app:1.0", "r.local/team/app:1.0", (), "registry"),
        ("oci-archive:/media/app.tar:r.local/app:1", "r.local/app:1", (), "registry"),
        ("docker-daemon:localhost/app:dev", "localhost/app:dev", (), "registry"),
        ("oci:/layout", "r.local/other:1", (), "registry"),
    ]
    assert [chart.name for chart in made.of("charts")] == ["ghcr.io/openova-io/bp-cilium:1.1.1_build"]
    assert [(git.url, git.name) for git in made.of("git")] == [
        ("https://github.com/openova-io/openova.git", "openova"),
        ("http://gitea.local:3000/a/b/", "b"),
        ("/repos/local.git", "local"),
        ("/work", "here"),
    ]
    assert {git.refs for git in made.of("git")} == {("refs/heads/*", "refs/tags/*")}
    assert [(model.name, model.repo, model.directory, model.revision) for model in made.of("models")] == [
        ("gpt2", "gpt2", None, "main"),
        ("BAAI/bge", "", Path("/work/models/bge"), "main"),
    ]
    assert [(file.name, file.file) for file in made.of("files")] == [("k3s/k3s", Path("/work/bin/k3s"))]


def test_upstreams_beside_a_request_may_leave_out_what_the_first_document_says() -> None:
    text = f"""{REQUEST}spec: {{images: []}}
---
kind: Upstreams
spec:
  hosts:
    registry.example.org:
      credentials: {{username: me, passwordFile: pw}}
      caFile: ca.pem
      plainHTTP: true
      mirror: https://mirror.example.org/v2/hub/
      allowedHosts: ['cdn.example.org:8443']
    huggingface.co: {{credentials: {{tokenFile: /run/secrets/hf}}}}
    "[::1]:5000": {{}}
"""
    made, upstreams = load_request(text.encode(), base_dir=BASE)
    assert made == Request(name="demo")
    assert upstreams.hosts == {
        "registry.example.org": HostConfig(
            Credentials(username="me", password_file=Path("/work/pw")),
            Path("/work/ca.pem"),
            plain_http=True,
            mirror="https://mirror.example.org/v2/hub",
            allowed_hosts=("cdn.example.org:8443",),
        ),
        "huggingface.co": HostConfig(Credentials(token_file=Path("/run/secrets/hf"))),
        "[::1]:5000": HostConfig(),
    }
    assert load_upstreams(text.encode(), base_dir=BASE) == upstreams


def test_a_sovereign_of_services() -> None:
    text = f"""{HEAD.format(kind="Sovereign")}
spec:
  stateDir: /var/lib/airgap
  registries:
  - url: https://harbor.example.org/
    projects: {{ghcr.io/openova-io: catalyst, docker.io: dockerhub}}
    credentials: {{credentialsFile: robot.json}}
    allowedHosts: [storage.example.org]
  - {{url: 'http://localhost:5000', projects: {{docker.io: hub/nested}}}}
  git:
    url: https://gitea.example.org/sub/
    organizations: {{github.com/openova-io: catalog}}
    credentials: {{username: import, passwordFile: pw}}
  s3:
    endpoint: http://minio.storage.svc:9000
    buckets: {{models: ai-hub-models}}
    credentials: {{accessKeyFile: id, secretKeyFile: key}}
"""
    assert load_sovereign(text.encode(), base_dir=BASE) == Sovereign(
        name="demo",
        state_dir=Path("/var/lib/airgap"),
        registries=(
            RegistryConfig(
                url="https://harbor.example.org",
                projects={"ghcr.io/openova-io": "catalyst", "docker.io": "dockerhub"},
                host=HostConfig(
                    Credentials(password_file=Path("/work/robot.json")), allowed_hosts=("storage.example.org",)
                ),
            ),
            RegistryConfig(
                url="http://localhost:5000", projects={"docker.io": "hub/nested"}, host=HostConfig(plain_http=True)
            ),
        ),
        git=GitConfig(
            url="https://gitea.example.org/sub",
            organizations={"github.com/openova-io": "catalog"},
            host=HostConfig(Credentials(username="import", password_file=Path("/work/pw"))),
        ),
        s3=S3Config(
            endpoint="http://minio.storage.svc:9000",
            buckets={"models": "ai-hub-models"},
            host=HostConfig(
                Credentials(access_key_file=Path("/work/id"), secret_key_file=Path("/work/key")), plain_http=True
            ),
        ),
    )


def test_the_robot_file_of_a_registry_is_a_login(tmp_path: Path) -> None:
    (tmp_path / "robot.json").write_text('{"id": 7, "name": "robot$import", "secret": "s3"}')
    (tmp_path / "robot.json").chmod(0o600)
    registry = "{url: 'https://h.example', projects: {docker.io: hub}, credentials: {credentialsFile: robot.json}}"
    text = f"{HEAD.format(kind='Sovereign')}spec: {{registries: [{registry}]}}\n"
    made = load_sovereign(text.encode(), base_dir=tmp_path)
    assert login_of(made.registries[0].host.credentials) == Login("robot$import", "s3")


def test_a_sovereign_of_folders() -> None:
    head = HEAD.format(kind="Sovereign")
    made = load_sovereign(f"{head}spec: {{directory: ./sovereign}}\n".encode(), base_dir=BASE)
    assert made == Sovereign(name="demo", directory=Path("/work/sovereign"))
    git = "spec: {git: {url: git, organizations: {github.com: catalog}}}\n"
    made = load_sovereign(f"{head}{git}".encode(), base_dir=BASE)
    assert made.git == GitConfig(url="/work/git", organizations={"github.com": "catalog"})


def write_keys(folder: Path) -> tuple[bytes, bytes]:
    pems = []
    for number, name in enumerate(("exporter", "station"), start=1):
        public = derive_private_key(number, SECP256R1()).public_key()
        pems.append(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        (folder / f"{name}.pub").write_bytes(pems[-1])
    return pems[0], pems[1]


TRUST = f"""{HEAD.format(kind="Trust")}
spec:
  sovereign: bankdhofar
  keys:
  - name: exporter-2026
    role: exporter
    publicKeyFile: exporter.pub
    notBefore: 2026-01-01T00:00:00Z
    notAfter: "2027-01-01T00:00:00.25+04:00"
  - name: station-2026
    role: station
    publicKeyFile: station.pub
    notBefore: 2026-01-01 00:00:00z
    notAfter: '2027-01-01t00:00:00-00:30'
    revoked: {{at: 2026-06-01T00:00:00Z, accept: ['sha256:{SHA}']}}
  require: [pull, delivery]
"""


def test_a_trust_file_with_its_keys(tmp_path: Path) -> None:
    exporter, station = write_keys(tmp_path)
    path = tmp_path / "trust.yaml"
    path.write_text(TRUST)
    made = load_trust(path)
    assert isinstance(made, Trust)
    assert (made.sovereign, made.require, made.raw) == ("bankdhofar", ("pull", "delivery"), TRUST.encode())
    one, two = made.keys
    assert (one.name, one.role, one.public_key_pem) == ("exporter-2026", "exporter", exporter)
    assert one.not_before == datetime(2026, 1, 1, tzinfo=UTC)
    assert one.not_after == datetime(2026, 12, 31, 20, 0, 0, 250_000, tzinfo=UTC)
    assert one.revoked is None
    assert (two.public_key_pem, two.not_after) == (station, datetime(2027, 1, 1, 0, 30, tzinfo=UTC))
    assert two.revoked == Revocation(at=datetime(2026, 6, 1, tzinfo=UTC), accept=(f"sha256:{SHA}",))


def test_delivery_is_required_when_nothing_is_said(tmp_path: Path) -> None:
    write_keys(tmp_path)
    text = TRUST.replace("  require: [pull, delivery]\n", "")
    assert load_trust(text.encode(), base_dir=tmp_path).require == ("delivery",)


def test_one_file_may_hold_one_of_each(tmp_path: Path) -> None:
    write_keys(tmp_path)
    documents = [
        f"{REQUEST}spec: {{images: []}}\n",
        "kind: Upstreams\nspec: {hosts: {}}\n",
        "kind: Sovereign\nmetadata: {name: bankdhofar}\nspec: {directory: /srv}\n",
        TRUST,
    ]
    path = tmp_path / "all.yaml"
    path.write_text("---\n" + "---\n".join(documents) + "...\n---\n# nothing more\n")
    assert [type(made).__name__ for made in load(path)] == ["Request", "Upstreams", "Sovereign", "Trust"]
    assert load_request(path)[0].name == "demo"
    assert load_sovereign(path).name == "bankdhofar"
    assert load_trust(path).sovereign == "bankdhofar"


def test_a_mistake_in_a_document_that_was_not_asked_for_is_one_all_the_same() -> None:
    text = f"{REQUEST}spec: {{images: []}}\n---\nkind: Sovereign\nspec: {{directry: /srv}}\n"
    assert refused(text.encode()) == "f:7:8: spec.directry: unknown field, did you mean 'directory'?"


def test_a_login_in_place_of_a_host_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "upstreams.yaml"
    hosts = "{'user:hunter2@quay.io': {}, ghcr.io: {allowedHosts: ['https://user:hunter2@cdn.io']}}"
    file.write_text(
        f"apiVersion: airgap.openova.io/v1alpha1\nkind: Upstreams\nmetadata: {{name: u}}\nspec: {{hosts: {hosts}}}\n"
    )
    with pytest.raises(InputError) as caught:
        load(file)
    assert "hunter2" not in str(caught.value)
    assert "write 'quay.io'" in str(caught.value)
    assert quoted("alpine:3@sha256:00") == "'alpine:3@sha256:00'"


def test_paths_begin_at_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    text = f"{REQUEST}spec: {{files: [{{file: k3s, sha256: {SHA}, path: k3s}}]}}\n"
    (tmp_path / "sub" / "r.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    made, _ = load_request(Path("sub/r.yaml"))
    assert made.of("files")[0].file == tmp_path / "sub" / "k3s"
    assert made.of("files")[0].where == "sub/r.yaml:4:16"


def test_core_schema_not_yaml_1_1() -> None:
    text = f"""{REQUEST}
spec:
  images:
  - {{ref: docker.io/library/one:1, name: no}}
  - {{ref: docker.io/library/two:1, name: on}}
  - {{ref: docker.io/library/three:1, name: 12:30:45}}
  - {{ref: docker.io/library/four:1, name: 2026-11-23}}
  - {{ref: docker.io/library/five:1, name: 1_000}}
  - {{ref: docker.io/library/six:1, name: v1.10}}
  git: [{{url: ./x, lfs: True}}]
"""
    made, _ = load_request(text.encode())
    assert [image.name for image in made.of("images")] == ["no", "on", "12:30:45", "2026-11-23", "1_000", "v1.10"]
    assert made.of("git")[0].lfs is True


def test_byte_order_mark_crlf_and_json_are_taken() -> None:
    plain = f"{REQUEST}spec:\n  images:\n  - ref: docker.io/library/alpine:3.20\n"
    made, _ = load_request(plain.encode())
    for data in (b"\xef\xbb\xbf" + plain.encode(), plain.replace("\n", "\r\n").encode()):
        again, _ = load_request(data)
        assert again == made
    resource = {
        "apiVersion": "airgap.openova.io/v1alpha1",
        "kind": "Request",
        "metadata": {"name": "demo"},
        "spec": {"images": []},
    }
    assert load_request(json.dumps(resource).encode())[0] == Request(name="demo")


def test_bytes_that_are_no_text_are_refused_where_they_are() -> None:
    assert refused(b"kind: Request\nmetadata: {name: \xff}\n") == "f:2:18: byte 0xff is not UTF-8 text"
    assert refused(b"kind: Request\r\na: \x00\n") == "f:2:4: control character U+0000, expected plain text"
    assert refused("a: \u2028\n".encode()) == "f:1:4: control character U+2028, expected plain text"
    assert "is not UTF-8 text" in refused(REQUEST.encode("utf-16"))
    assert refused(b"\x1f\x8b\x08\x00") == "f:1:2: byte 0x8b is not UTF-8 text"


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_is_refused(opening: str) -> None:
    assert f"nested deeper than {MAX_DEPTH} levels" in refused((opening * 100_000).encode())


def test_nesting_up_to_the_limit_is_yaml() -> None:
    data = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert refused(data).startswith("f:1:1: got a list, expected a map")


def test_billion_laughs_are_refused_at_the_first_anchor() -> None:
    lines = ['a0: &a0 "lol"']
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert refused("\n".join(lines).encode()) == "f:1:5: anchor '&a0' is not supported; write the value out"


def test_too_many_bytes_nodes_and_documents_are_refused() -> None:
    assert "more than 4 MiB" in refused(b"#" * (MAX_BYTES + 1))
    assert f"more than {MAX_NODES} keys and values" in refused(b"[" + b"a," * MAX_NODES + b"a]")
    assert "more than 16 documents" in refused(b"--- a\n" * 17)


@pytest.mark.parametrize("number", ["9" * 100_000, "0x" + "f" * 100_000, "1e999999999", ".inf", "-0"])
def test_huge_numbers_are_only_numbers(number: str) -> None:
    what = refused(f"{REQUEST}spec: {number}\n".encode())
    assert what.startswith("f:4:7: spec: got the number ")
    assert len(what) < 250


def test_many_unknown_fields_are_answered_quickly_and_briefly() -> None:
    fields = "".join(f"  field{n}: 1\n" for n in range(50_000))
    what = refused(f"{REQUEST}spec:\n{fields}".encode())
    assert len(what.split("\n")) == 21
    assert what.endswith("f: and 980 more")


def test_terminal_escapes_never_reach_a_message() -> None:
    what = refused(f'{REQUEST}spec: {{"\\e[31mred": 1}}\n'.encode())
    assert "\x1b" not in what
    what = refused(f'{REQUEST}spec: {{"right\u202eleft": 1}}\n'.encode())
    assert "\u202e" not in what


def test_a_large_lock_is_called_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock.json"
    path.write_bytes(b'{"items":["' + b"x" * MAX_BYTES + b'"],"kind":"Lock"}\n')
    with pytest.raises(InputError, match="this is a Lock, expected a Request; `airgap pull`"):
        load_request(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.yaml", tmp_path, Path("nul\0byte")):
        with pytest.raises(InputError) as caught:
            load_request(path)
        assert caught.value.code == "resource-file"
        assert "cannot be read" in caught.value.what
