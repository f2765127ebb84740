"""`airgap serve`: a registry straight from volumes, asked by real clients and by the conformance tests of the spec."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.parts.containerd import Containerd
from tests.parts.fixtures import scratch
from tests.parts.images import Layout, make_image
from tests.parts.need import require_part, run
from tests.parts.tls import issue, make_authority
from tests.worlds.commands import run_airgap
from tests.worlds.served import ServedSite, start_serving
from tests.worlds.site import CHECKED, Site
from tests.worlds.things import APP, CHART, PAUSE, burn_things, deliver_things, packed_chart, root_of

pytestmark = [pytest.mark.e2e, pytest.mark.part("git-lfs")]
REPOSITORY = "/v2/registry.local/team/app"


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site whose delivery nobody changes."""
    return deliver_things(tmp_path_factory.mktemp("things"))


@pytest.fixture(scope="module")
def served(things: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedSite]:
    """The delivery, served."""
    with ExitStack() as stack:
        yield start_serving(stack, things.folder, tmp_path_factory.mktemp("log") / "log", "media", *CHECKED)


@pytest.mark.part("crane", "skopeo", "helm", "oras")
def test_clients_take_what_they_know_by_upstreams_name(things: Site, served: ServedSite, tmp_path: Path) -> None:
    app, root = f"{served.host}/{APP}", root_of(things, APP)
    assert run("crane", "digest", app).strip() == root
    assert "PASS" in run("crane", "validate", "--remote", app)
    copy = ("skopeo", "copy", "--all", "--insecure-policy", "--src-tls-verify=false")
    run(*copy, f"docker://{served.host}/{APP}@{root}".replace(":1.0@", "@"), f"oci:{tmp_path}/copy:it")
    assert Layout(tmp_path / "copy").entries()[0]["digest"] == root
    found = run("oras", "discover", "--plain-http", "--format", "json", "--depth", "1", app)
    assert {one["artifactType"] for one in json.loads(found)["referrers"]} == {
        "application/vnd.example.signature",
        "application/vnd.example.sbom",
    }
    chart = f"oci://{served.host}/{CHART.partition(':')[0]}"
    run("helm", "pull", chart, "--version", "0.1.0+build5", "--plain-http", "--destination", tmp_path)
    assert (tmp_path / "hello-0.1.0+build5.tgz").read_bytes() == packed_chart()


@pytest.mark.part("containerd")
def test_containerd_takes_it_for_the_upstream_registry(
    things: Site, served: ServedSite, tmp_path: Path, stack: ExitStack
) -> None:
    printed = things.run("serve", "media", *CHECKED, "--print-config", "--url", served.url)["files"]
    for path, text in printed.items():
        place = tmp_path / path.removeprefix("/")
        place.parent.mkdir(parents=True)
        place.write_text(text)
    containerd = Containerd(scratch(stack, "ctr"))
    stack.callback(containerd.stop)
    hosts = str(tmp_path / "etc/containerd/certs.d")
    pull = ("images", "pull", "--snapshotter", "native", "--hosts-dir", hosts, "--platform", "linux/amd64")
    containerd.ctr(*pull, APP)
    containerd.ctr(*pull, f"{PAUSE.partition(':')[0]}@{root_of(things, PAUSE)}")
    listed = {row.split()[0]: row.split()[2] for row in containerd.ctr("images", "ls").splitlines()[1:]}
    assert listed[APP] == root_of(things, APP)
    # k3s asks the same server with the upstream's name in a parameter.
    assert "endpoint" in printed["/etc/rancher/k3s/registries.yaml"]
    assert served.ask("HEAD", "/v2/team/app/manifests/1.0?ns=registry.local")[0] == 200
    assert served.ask("HEAD", "/v2/team/app/manifests/1.0?ns=docker.io")[0] == 404
    assert served.ask("HEAD", "/v2/team/app/manifests/1.0")[0] == 404


@pytest.mark.part("conformance")
def test_the_conformance_tests_of_the_spec_pass_for_pull_and_discovery(
    things: Site, served: ServedSite, tmp_path: Path
) -> None:
    root = root_of(things, APP)
    index = json.loads(Layout(things.folder / "app").read(root))
    manifest = index["manifests"][0]["digest"]
    config = json.loads(Layout(things.folder / "app").read(manifest))["config"]["digest"]
    off = ("PUSH", "BLOBS_DELETE", "MANIFESTS_DELETE", "TAGS_DELETE", "BLOBS_ATOMIC", "MANIFESTS_ATOMIC", "TAGS_ATOMIC")
    environ = {
        **os.environ,
        **{f"OCI_API_{name}": "false" for name in off},
        "OCI_API_BLOBS_DIGEST_HEADER": "true",
        "OCI_REGISTRY": served.host,
        "OCI_TLS": "disabled",
        "OCI_REPO1": "registry.local/team/app",
        "OCI_RO_DATA_TAGS": "1.0",
        "OCI_RO_DATA_MANIFESTS": f"{root} {manifest}",
        "OCI_RO_DATA_BLOBS": config,
        "OCI_RO_DATA_REFERRERS": root,
        "OCI_RESULTS_DIR": str(tmp_path),
    }
    program = str(require_part("conformance"))
    done = subprocess.run([program], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
    # What it prints counts: built without a checkout, it crashes when it writes its report about itself.
    assert "OCI Conformance Test: Pass" in done.stdout, done.stdout + done.stderr
    ended = [line.rpartition(": ") for line in done.stdout.partition("Configuration:")[0].splitlines()]
    results = {name.rpartition("/")[2]: result for name, _, result in ended if "/read-only/" in name}
    assert {"tag-list", "manifest-head-by-tag", "blob-get", "referrers"} <= results.keys()
    assert set(results.values()) == {"Pass", "Disabled"}


def test_it_is_read_only_and_pages_and_ranges(things: Site, served: ServedSite) -> None:
    root = root_of(things, APP)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        status, headers, body = served.ask(method, f"{REPOSITORY}/manifests/1.0", {"Content-Length": "0"})
        assert (status, headers["allow"]) == (405, "GET, HEAD")
        assert json.loads(body)["errors"][0]["code"] == "UNSUPPORTED"
    status, headers, body = served.ask("GET", f"{REPOSITORY}/tags/list?n=1")
    assert json.loads(body)["tags"] == ["1.0"]
    following = headers["link"].partition("<")[2].partition(">")[0]
    assert json.loads(served.ask("GET", following)[2])["tags"] == [root.replace(":", "-") + ".sig"]
    names = json.loads(served.ask("GET", "/v2/_catalog?last=registry.local/team/app")[2])
    assert names["repositories"] == ["registry.local/team/pause"]
    manifest = json.loads(served.ask("GET", f"{REPOSITORY}/manifests/{root}")[2])["manifests"][0]["digest"]
    layer = json.loads(served.ask("GET", f"{REPOSITORY}/manifests/{manifest}")[2])["layers"][0]
    blob, size = f"{REPOSITORY}/blobs/{layer['digest']}", layer["size"]
    whole = served.ask("GET", blob)[2]
    for asked, expected in (("bytes=2-5", whole[2:6]), ("bytes=7-", whole[7:]), ("bytes=-3", whole[-3:])):
        status, headers, body = served.ask("GET", blob, {"Range": asked})
        assert (status, body) == (206, expected)
        assert headers["content-range"].endswith(f"/{size}")
    assert served.ask("GET", blob, {"Range": f"bytes={size}-"})[0] == 416
    assert served.ask("HEAD", blob)[1]["content-length"] == str(size)
    filtered = served.ask("GET", f"{REPOSITORY}/referrers/{root}?artifactType=application/vnd.example.sbom")
    assert filtered[1]["oci-filters-applied"] == "artifactType"
    assert len(json.loads(filtered[2])["manifests"]) == 1
    # Nothing of another repository, and no path of this machine.
    assert served.ask("GET", f"/v2/registry.local/team/pause/blobs/{layer['digest']}")[0] == 404
    for path in ("/v2/../../etc/passwd", "/v2/%2e%2e/blobs/x", f"{REPOSITORY}/blobs/sha256:../x", "/", "/v3/"):
        assert served.ask("GET", path)[0] in (400, 404)


def test_a_damaged_blob_never_arrives_whole(things: Site, tmp_path: Path, stack: ExitStack) -> None:
    shutil.copytree(things.folder / "media", tmp_path / "media")
    layer = json.loads(Layout(things.folder / "pause").read(root_of(things, PAUSE)))["layers"][0]
    data = Layout(things.folder / "pause").read(layer["digest"])
    [volume] = (tmp_path / "media").glob("vol-*")
    whole = volume.read_bytes()
    at = whole.index(data)
    volume.write_bytes(whole[:at] + bytes([data[0] ^ 1]) + whole[at + 1 :])
    served = start_serving(stack, things.folder, tmp_path / "log", str(tmp_path / "media"), *CHECKED)
    blob = f"/v2/registry.local/team/pause/blobs/{layer['digest']}"
    for asked in ({}, {"Range": f"bytes={len(data) - 2}-"}, {"Range": "bytes=-1"}):
        with pytest.raises(http.client.IncompleteRead):
            served.ask("GET", blob, asked)
    assert served.ask("GET", blob, {"Range": f"bytes=0-{len(data) - 2}"})[0] == 206  # all but the end, at most
    said = served.interrupt()
    assert said["event"] == "ended"
    faults = [event["fault"] for event in served.events() if event.get("fault")]
    assert len(faults) == 3
    assert all("digest-mismatch" in fault for fault in faults)


def test_who_sends_nonsense_is_answered_or_cut_off_and_others_go_on(served: ServedSite) -> None:
    host, _, port = served.host.rpartition(":")

    def say(data: bytes) -> bytes:
        with socket.create_connection((host, int(port)), timeout=10) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := sock.recv(4096):
                answer += piece
            return answer

    assert b" 431 " in say(b"GET /v2/ HTTP/1.1\r\n" + b"X: " + b"y" * 40_000)
    assert b" 400 " in say(b"\x16\x03\x01nonsense\r\n\r\n")
    assert b" 405 " in say(b"PUT /v2/x/blobs/uploads/1 HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n" + b"z" * 100_000)
    assert b" 431 " in say(b"GET /" + b"y" * 70_000 + b" HTTP/1.1\r\n\r\n")
    # Where another program, such as a proxy, may see a body, what follows is not taken for the next request.
    odd = (b"Content-Length : 25", b"X\r\nContent-Length: 25", b" Content-Length: 25", b"X y: z")
    for header in odd:
        answer = say(b"GET /v2/ HTTP/1.1\r\n" + header + b"\r\n\r\nGET /v2/smuggled HTTP/1.1\r\n\r\n")
        assert (answer.count(b"HTTP/1.1 "), b" 400 " in answer) == (1, True), header
    twice = b"GET /v2/ HTTP/1.1\r\nContent-Length: 25\r\nContent-Length: 0\r\n\r\nGET /v2/smuggled HTTP/1.1\r\n\r\n"
    assert say(twice).count(b"HTTP/1.1 ") == 1
    assert b" 405 " in say(b"PUT /v2/ HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert served.ask("GET", "/v2/")[0] == 200


@pytest.mark.part("containerd")
def test_containerd_by_tls_from_a_layout_of_another_tool(tmp_path: Path, stack: ExitStack) -> None:
    name = "quay.local/team/app:1"
    root = make_image(tmp_path / "lay", name)
    authority = make_authority(tmp_path)
    server = issue(tmp_path, authority, "127.0.0.1")
    server.key_file.chmod(0o600)
    tls = ("--tls-cert", str(server.cert_file), "--tls-key", str(server.key_file))
    served = start_serving(stack, tmp_path, tmp_path / "log", "lay", *tls)
    config = ("--print-config", "--url", served.url, "--ca", str(authority.cert_file), "--json")
    files = json.loads(run_airgap(("serve", "lay", *config), tmp_path).out)["files"]
    hosts = tmp_path / "certs.d/quay.local"
    hosts.mkdir(parents=True)
    (hosts / "hosts.toml").write_text(files["/etc/containerd/certs.d/quay.local/hosts.toml"])
    containerd = Containerd(scratch(stack, "ctr"))
    stack.callback(containerd.stop)
    containerd.ctr("images", "pull", "--snapshotter", "native", "--hosts-dir", str(hosts.parent), name)
    assert root["digest"] in containerd.ctr("images", "ls")
    assert served.interrupt()["requests"] > 3


def test_what_is_on_another_disc_is_answered_with_404(things: Site, tmp_path: Path, stack: ExitStack) -> None:
    first, *others = burn_things(things)
    served = start_serving(stack, things.folder, tmp_path / "log", first, *CHECKED)
    assert len(served.events()[0]["missingVolumes"]) == len(others) > 0
    app = Layout(things.folder / "app")
    manifests = [one["digest"] for one in json.loads(app.read(root_of(things, APP)))["manifests"]]
    assert {served.ask("GET", f"{REPOSITORY}/manifests/{one}")[0] for one in manifests} == {200}
    layers = {layer["digest"] for one in manifests for layer in json.loads(app.read(one))["layers"]}
    assert 404 in {served.ask("GET", f"{REPOSITORY}/blobs/{one}")[0] for one in layers}
    assert any("not attached" in event.get("fault", "") for event in served.events())


def test_what_is_not_served_is_said_before_anything_answers(things: Site, tmp_path: Path) -> None:
    for line, code, name in (
        (("media",), 2, "no-trust"),
        (("media", *CHECKED, "--tls-cert", "r.lock.json"), 2, "usage"),
        (("media", *CHECKED, "--listen", "nowhere:5000"), 2, "usage"),
        (("media", *CHECKED, "--listen", "0.0.0.0:5000", "--print-config"), 2, "usage"),
        (("media", *CHECKED, "--listen", "203.0.113.7:5000"), 2, "cannot-listen"),
        (("store", *CHECKED), 2, "usage"),
        (("model",), 2, "no-store"),
    ):
        run_airgap(("serve", *line), things.folder).refused(code, name)
    shutil.copytree(things.folder / "media", tmp_path / "media")
    for path in (tmp_path / "media/signatures").iterdir():
        path.unlink()
    run_airgap(("serve", str(tmp_path / "media"), *CHECKED), things.folder).refused(4, "no-signature")
