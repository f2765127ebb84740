"""S3 against MinIO and SeaweedFS.

What they cannot be brought to say (quota, clock, read-only) is put into a real exchange with them by the fault proxy,
in their own words. What only AWS has is in test_s3_aws.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError, IntegrityError, UpstreamError
from airgap.base.progress import Silent
from airgap.content.finding import State
from airgap.content.forms import ChangeOutcome
from airgap.destinations.base import Run
from airgap.destinations.s3 import S3Destination
from airgap.net.config import Credentials, HostConfig
from airgap.resources.sovereign import S3Config
from tests.parts.need import require_part
from tests.parts.process import LOOPBACK, Process, free_ports, listens
from tests.parts.s3 import ACCESS_KEY, SECRET_KEY, S3Service
from tests.parts.tls import issue, make_authority
from tests.suites.destination_suite import (
    Bytes,
    DestinationSuite,
    Place,
    carry,
    damage,
    flipped,
    outcomes,
    tree,
)
from tests.worlds.s3 import PART, S3Place, big, s3_config

if TYPE_CHECKING:
    from tests.parts.fixtures import MakeProxy

pytestmark = pytest.mark.e2e


@pytest.fixture
def place(any_s3: S3Service, tmp_path: Path) -> Iterator[S3Place]:
    buckets = {"models": any_s3.new_bucket("models"), "files": any_s3.new_bucket("files")}
    client = any_s3.client()
    yield S3Place(any_s3, s3_config(any_s3, tmp_path, buckets), tmp_path / "journals", client)
    client.close()


@pytest.fixture
def run() -> Run:
    return Run(Silent(), jobs=2)


class TestS3(DestinationSuite):
    """The suite, on both services."""

    @pytest.fixture
    def place(self, any_s3: S3Service, tmp_path: Path) -> Iterator[Place]:
        buckets = {"models": any_s3.new_bucket("models"), "files": any_s3.new_bucket("files")}
        client = any_s3.client()
        yield S3Place(any_s3, s3_config(any_s3, tmp_path, buckets), tmp_path / "journals", client)
        client.close()


def test_each_object_carries_its_sha256(place: S3Place, run: Run) -> None:
    carry(place.make(run), tree({"one": b"1"}))
    bucket = place.config.buckets["models"]
    head = place.client.head_object(Bucket=bucket, Key="acme/mini/r1/one", ChecksumMode="ENABLED")
    assert head["Metadata"]["sha256"] == hashlib.sha256(b"1").hexdigest()
    assert head["ChecksumSHA256"] == "a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s="


def test_large_objects_go_in_parts(place: S3Place) -> None:
    form = tree({"weights": big(), "exact": big(2 * PART)})
    assert outcomes(carry(place.in_parts(), form)) == {ChangeOutcome.WRITTEN}
    assert place.read("models", "acme/mini/r1/weights") == big()
    assert place.read("models", "acme/mini/r1/exact") == big(2 * PART)
    bucket = place.config.buckets["models"]
    head = place.client.head_object(Bucket=bucket, Key="acme/mini/r1/weights", ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"].endswith("-3")
    assert head["Metadata"]["sha256"] == Digest.of(big()).hex
    assert list(place.journals.glob("*.jsonl")) == []
    assert outcomes(carry(place.in_parts(), form)) == {ChangeOutcome.PRESENT}


@pytest.mark.parametrize("position", [0, 7_000_000, -1])
def test_a_flipped_byte_in_a_part_leaves_nothing(place: S3Place, position: int) -> None:
    form = tree({"weights": big()})
    damage(form, "weights", flipped(big(), position))
    [error] = place.in_parts().transfer([form]).values()
    assert isinstance(error, IntegrityError)
    assert place.listing("models") == set()
    assert place.uploads() == 0
    assert list(place.journals.glob("*.jsonl")) == []


def test_an_upload_in_parts_goes_on_in_another_run(place: S3Place, fault_proxy: MakeProxy) -> None:
    proxy = fault_proxy(place.service.endpoint)
    proxy.fault("PUT", r"partNumber=3", status=403)
    form = tree({"weights": big()})
    [error] = place.in_parts(endpoint=proxy.url).transfer([form]).values()
    assert error.code == "access-denied"
    assert place.listing("models") == set()
    assert place.uploads() == 1
    proxy.clear()
    progress = Bytes()
    again = place.in_parts(Run(progress, jobs=1), endpoint=proxy.url)
    assert again.transfer([form]) == {}
    assert progress.count == len(big())
    assert proxy.count("PUT", r"partNumber=[12]\b") == 0
    assert proxy.count("PUT", r"partNumber=3") == 1
    assert place.read("models", "acme/mini/r1/weights") == big()
    assert place.uploads() == 0


def test_a_journal_whose_upload_is_gone_begins_anew(place: S3Place, fault_proxy: MakeProxy) -> None:
    proxy = fault_proxy(place.service.endpoint)
    proxy.fault("PUT", r"partNumber=3", status=403)
    form = tree({"weights": big()})
    assert place.in_parts(endpoint=proxy.url).transfer([form])
    bucket = place.config.buckets["models"]
    page = place.client.list_multipart_uploads(Bucket=bucket, Prefix="acme/mini/r1/weights")
    [upload] = page["Uploads"]
    place.client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    proxy.clear()
    assert outcomes(carry(place.in_parts(endpoint=proxy.url), form)) == {ChangeOutcome.WRITTEN}
    assert place.read("models", "acme/mini/r1/weights") == big()


def test_an_upload_of_other_content_is_given_up(place: S3Place, fault_proxy: MakeProxy) -> None:
    proxy = fault_proxy(place.service.endpoint)
    proxy.fault("PUT", r"partNumber=3", status=403)
    assert place.in_parts(endpoint=proxy.url).transfer([tree({"weights": big()})])
    proxy.clear()
    other = tree({"weights": big()[::-1]})
    assert outcomes(carry(place.in_parts(endpoint=proxy.url), other)) == {ChangeOutcome.WRITTEN}
    assert place.read("models", "acme/mini/r1/weights") == big()[::-1]
    assert place.uploads() == 0
    assert list(place.journals.glob("*.jsonl")) == []


KILLED = """
import json, os, sys
from pathlib import Path
from airgap.destinations.s3 import S3Destination
from airgap.destinations.base import Run
from airgap.base.progress import Silent
from airgap.net.config import Credentials, HostConfig
from airgap.resources.sovereign import S3Config
from tests.worlds.s3 import PART, big
from tests.suites.destination_suite import tree
endpoint, buckets, folder = sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3])
keys = Credentials(access_key_file=folder / "access", secret_key_file=folder / "secret")
config = S3Config(endpoint=endpoint, buckets=buckets, host=HostConfig(credentials=keys))
run = Run(Silent(), jobs=1)
destination = S3Destination(config, folder / "journals", run, single_put=PART, part_size=PART)
form = tree({"weights": big(40_000_000)})
assert destination.transfer([form]) == {}
"""


def test_a_killed_process_is_continued(place: S3Place, fault_proxy: MakeProxy) -> None:
    proxy = fault_proxy(place.service.endpoint)
    proxy.fault("PUT", r"partNumber=4", delay=60)
    folder = place.journals.parent
    buckets = json.dumps(dict(place.config.buckets))
    argv = [sys.executable, "-c", KILLED, proxy.url, buckets, str(folder)]
    child = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    try:
        while not any(len(path.read_bytes().splitlines()) == 4 for path in _journals(place)):
            assert child.poll() is None
    finally:
        child.kill()
        child.wait()
    proxy.clear()
    form = tree({"weights": big(40_000_000)})
    taken = proxy.taken()
    assert outcomes(carry(place.in_parts(endpoint=proxy.url), form)) == {ChangeOutcome.WRITTEN}
    # Three parts of eight are not sent again.
    assert proxy.taken() - taken < 40_000_000 - 3 * PART + (1 << 20)
    assert place.read("models", "acme/mini/r1/weights") == big(40_000_000)


def _journals(place: S3Place) -> list[Path]:
    return list(place.journals.glob("*.jsonl"))


def test_a_completed_upload_whose_journal_stayed_is_tidied(place: S3Place, fault_proxy: MakeProxy) -> None:
    proxy = fault_proxy(place.service.endpoint)
    proxy.fault("PUT", r"partNumber=3", status=403)
    form = tree({"weights": big()})
    assert place.in_parts(endpoint=proxy.url).transfer([form])
    place.client.put_object(
        Bucket=place.config.buckets["models"],
        Key="acme/mini/r1/weights",
        Body=big(),
        Metadata={"sha256": Digest.of(big()).hex},
    )
    assert place.in_parts(endpoint=proxy.url).transfer([form]) == {}
    assert _journals(place) == []
    assert place.uploads() == 0


def test_moved_content_is_replaced_in_parts_too(place: S3Place) -> None:
    place.plant("models", "acme/mini/r1/weights", b"old")
    form = tree({"weights": big()})
    destination = place.in_parts()
    plan = destination.plan(form)
    assert {change.outcome for change in plan} == {ChangeOutcome.MOVED, ChangeOutcome.WRITE}
    assert destination.transfer([form]) == {}
    assert outcomes(list(destination.publish(form, plan))) == {ChangeOutcome.WRITTEN}
    assert place.read("models", "acme/mini/r1/weights") == big()


def test_a_lost_answer_is_not_a_failure(place: S3Place, fault_proxy: MakeProxy) -> None:
    proxy = fault_proxy(place.service.endpoint)
    proxy.fault("PUT", r"/one$", times=1, lost_answer=True)
    changes = carry(_through(place, proxy.url), tree({"one": big()}))
    assert outcomes(changes) == {ChangeOutcome.WRITTEN}
    assert place.read("models", "acme/mini/r1/one") == big()
    assert proxy.count("PUT", r"/one$") == 2


def test_a_dropped_upload_is_sent_again_from_its_source(place: S3Place, fault_proxy: MakeProxy) -> None:
    proxy = fault_proxy(place.service.endpoint)
    proxy.fault("PUT", r"/one$", times=1, cut_request_after=5_000_000)
    progress = Bytes()
    destination = _through(place, proxy.url, Run(progress))
    assert outcomes(carry(destination, tree({"one": big()}))) == {ChangeOutcome.WRITTEN}
    assert place.read("models", "acme/mini/r1/one") == big()
    assert progress.count == len(big()) + 2


def _through(place: S3Place, url: str, run: Run | None = None) -> S3Destination:
    config = replace(place.config, endpoint=url)
    return S3Destination(config, place.journals, run or Run(Silent()))


class Flipping(threading.Thread):
    """Passes one TCP connection after another on, with one bit of one byte sent up changed."""

    def __init__(self, endpoint: str, position: int) -> None:
        super().__init__(daemon=True)
        self._server = socket.create_server((LOOPBACK, 0))
        self._upstream = (LOOPBACK, int(endpoint.rpartition(":")[2]))
        self._left = position
        self.url = f"http://{LOOPBACK}:{self._server.getsockname()[1]}"
        self.start()

    def run(self) -> None:
        while True:
            try:
                below, _address = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._both_ways, args=(below,), daemon=True).start()

    def _both_ways(self, below: socket.socket) -> None:
        with below, socket.create_connection(self._upstream) as above:
            back = threading.Thread(target=self._pass_on, args=(above, below))
            back.start()
            self._pass_on(below, above, up=True)
            back.join()

    def _pass_on(self, source: socket.socket, sink: socket.socket, *, up: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(self._flip(data) if up else data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _flip(self, data: bytes) -> bytes:
        position, self._left = self._left, self._left - len(data)
        return flipped(data, position) if 0 <= position < len(data) else data

    def stop(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


def test_a_byte_flipped_on_the_way_is_refused_by_the_server(place: S3Place) -> None:
    line = Flipping(place.service.endpoint, 6_000_000)
    try:
        failed = _through(place, line.url).transfer([tree({"one": big()})])
    finally:
        line.stop()
    [error] = failed.values()
    assert isinstance(error, IntegrityError)
    assert error.code == "digest-mismatch"
    assert place.listing("models") == set()


# --- what goes wrong with names and rights ------------------------------------------------------


def problem(place: S3Place, config: S3Config) -> AirgapError:
    """What a plan says with this configuration."""
    with pytest.raises(AirgapError) as caught:
        S3Destination(config, place.journals, Run(Silent())).plan(tree({"one": b"1"}))
    assert caught.value.hint
    return caught.value


def test_a_missing_bucket_is_refused_and_not_made(place: S3Place) -> None:
    missing = place.config.buckets["models"] + "-not-there"
    error = problem(place, replace(place.config, buckets={"models": missing}))
    assert isinstance(error, InputError)
    assert error.code == "no-bucket"
    assert missing not in {entry["Name"] for entry in place.client.list_buckets()["Buckets"]}
    failed = S3Destination(replace(place.config, buckets={"models": missing}), place.journals, Run(Silent())).transfer(
        [tree({"one": b"1"})]
    )
    assert [error.code for error in failed.values()] == ["no-bucket"]
    assert missing not in {entry["Name"] for entry in place.client.list_buckets()["Buckets"]}


def test_a_bucket_without_mapping_is_refused(place: S3Place) -> None:
    error = problem(place, replace(place.config, buckets={"files": "x"}))
    assert isinstance(error, InputError)
    assert error.code == "no-mapping"


@pytest.mark.parametrize("which", ["access", "secret"])
def test_wrong_keys_are_told_apart_from_missing_rights(place: S3Place, which: str) -> None:
    path = place.journals.parent / which
    path.write_text("wrong" * 4)
    error = problem(place, place.config)
    assert error.code == "bad-credentials"
    assert "wrong" not in f"{error}{error.hint}" or which == "access"


def test_nobody_there(place: S3Place) -> None:
    [port] = free_ports(1)
    error = problem(place, replace(place.config, endpoint=f"http://127.0.0.1:{port}"))
    assert isinstance(error, UpstreamError)
    assert error.code == "unreachable"


def test_a_redirect_elsewhere_is_not_followed(place: S3Place, fault_proxy: MakeProxy) -> None:
    proxy, elsewhere = fault_proxy(place.service.endpoint), fault_proxy(place.service.endpoint)
    proxy.fault("GET", "", status=307, headers={"Location": f"{elsewhere.url}/models"})
    with pytest.raises(UpstreamError):
        _through(place, proxy.url).plan(tree({"one": b"1"}))
    assert elsewhere.count() == 0


def test_the_environment_changes_nothing(place: S3Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    (tmp_path / "aws").write_text("[default]\ns3 =\n  addressing_style = virtual\nregion = x\n")
    for name, value in {
        "HTTP_PROXY": nowhere,
        "http_proxy": nowhere,
        "AWS_PROFILE": "not-there",
        "AWS_ACCESS_KEY_ID": "wrong",
        "AWS_SECRET_ACCESS_KEY": "wrong",
        "AWS_SESSION_TOKEN": "wrong",
        "AWS_ENDPOINT_URL": nowhere,
        "AWS_ENDPOINT_URL_S3": nowhere,
        "AWS_CA_BUNDLE": "/not/there",
        "AWS_CONFIG_FILE": str(tmp_path / "aws"),
        "AWS_USE_DUALSTACK_ENDPOINT": "true",
        "AWS_DEFAULTS_MODE": "auto",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "WHEN_SUPPORTED",
    }.items():
        monkeypatch.setenv(name, value)
    assert outcomes(carry(place.make(Run(Silent())), tree({"one": b"1"}))) == {ChangeOutcome.WRITTEN}


def test_a_profile_is_read_from_the_home(place: S3Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(
        f"[import]\naws_access_key_id = {place.service.access_key}\n"
        f"aws_secret_access_key = {place.service.secret_key}\n"
    )
    config = replace(place.config, host=HostConfig(credentials=Credentials(profile="import")))
    destination = S3Destination(config, place.journals, Run(Silent()))
    assert outcomes(carry(destination, tree({"one": b"1"}))) == {ChangeOutcome.WRITTEN}
    for name in ("other", "empty"):
        (tmp_path / ".aws/config").write_text("[profile empty]\nregion = here\n")
        host = HostConfig(credentials=Credentials(profile=name))
        with pytest.raises(InputError) as caught:
            S3Destination(replace(config, host=host), place.journals, Run(Silent()))
        assert caught.value.code == "no-credentials"


def test_nothing_secret_is_said(place: S3Place) -> None:
    (place.journals.parent / "secret").write_text("hunter2hunter2")
    error = problem(place, place.config)
    assert "hunter2" not in f"{error!r}{error}{error.hint}{error.__cause__!r}"


# --- what a service says when it will not: its own words, put into a real exchange ---------------


@pytest.mark.parametrize(
    ("status", "said", "code", "hint"),
    [
        (403, "AccessDenied", "access-denied", "read-only"),
        (403, "InvalidAccessKeyId", "bad-credentials", "access key"),
        (403, "SignatureDoesNotMatch", "bad-credentials", "secret key"),
        (403, "RequestTimeTooSkewed", "clock", "clock"),
        (400, "XMinioAdminBucketQuotaExceeded", "quota", "quota"),
        (507, "XMinioStorageFull", "destination-full", "free space there"),
        (404, "NoSuchBucket", "no-bucket", "create the bucket"),
        (400, "InvalidRequest", "refused", ""),
    ],
)
def test_refusals_say_what_to_do(
    place: S3Place, fault_proxy: MakeProxy, status: int, said: str, code: str, hint: str
) -> None:
    proxy = fault_proxy(place.service.endpoint)
    body = f"<Error><Code>{said}</Code><Message>because</Message></Error>".encode()
    proxy.fault("PUT", r"/one$", status=status, body=body)
    [error] = _through(place, proxy.url).transfer([tree({"one": big()})]).values()
    assert error.code == code
    assert hint in error.hint
    assert said in error.what
    assert place.listing("models") == set()


def test_a_busy_service_is_asked_again(place: S3Place, fault_proxy: MakeProxy) -> None:
    proxy = fault_proxy(place.service.endpoint)
    proxy.fault("PUT", r"/one$", times=1, status=503)
    proxy.fault("HEAD", r"/one$", times=1, status=500)
    assert outcomes(carry(_through(place, proxy.url), tree({"one": big()}))) == {ChangeOutcome.WRITTEN}
    assert place.read("models", "acme/mini/r1/one") == big()


def test_an_object_that_is_cut_while_it_is_read_is_unknown(place: S3Place, fault_proxy: MakeProxy) -> None:
    changes = carry(place.make(Run(Silent())), tree({"one": big()}))
    proxy = fault_proxy(place.service.endpoint)
    proxy.fault("GET", r"/one$", cut_at=0.5)
    found = _through(place, proxy.url).inspect(changes, deep=True)
    assert [finding.state for finding in found] == [State.UNKNOWN, State.GOOD]


def test_a_bit_that_rots_in_a_body_is_found(place: S3Place, fault_proxy: MakeProxy) -> None:
    changes = carry(place.make(Run(Silent())), tree({"one": big()}))
    proxy = fault_proxy(place.service.endpoint)
    proxy.fault("GET", r"/one$", flip_at=11_000_000)
    found = _through(place, proxy.url).inspect(changes, deep=False)
    assert [finding.state for finding in found] == [State.CHANGED, State.GOOD]


def test_a_store_that_keeps_something_else_is_found_out(place: S3Place, fault_proxy: MakeProxy) -> None:
    proxy = fault_proxy(place.service.endpoint)
    destination = _through(place, proxy.url)
    form = tree({"one": b"1"})
    plan = destination.plan(form)
    # The answer to the PUT is good, and nothing was kept.
    proxy.fault("PUT", r"/one$", status=200, body=b"")
    [error] = destination.transfer([form]).values()
    assert error.code == "read-back"
    failed = destination.publish(form, plan)
    assert {change.outcome for change in failed} == {ChangeOutcome.FAILED}


# --- TLS, memory ----------------------------------------------------------------------------------


@pytest.fixture
def tls_minio(tmp_path: Path, stack: ExitStack) -> tuple[str, Path]:
    """A MinIO of its own behind TLS with a private authority: its address and the authority."""
    authority = make_authority(tmp_path, "test storage")
    certificate = issue(tmp_path, authority)
    certs = tmp_path / "certs"
    certs.mkdir()
    shutil.copy(certificate.cert_file, certs / "public.crt")
    shutil.copy(certificate.key_file, certs / "private.key")
    port, console = free_ports(2)
    argv: list[str | Path] = [
        *(require_part("minio"), "server", tmp_path / "data", "--quiet", "--certs-dir", certs),
        *("--address", f"{LOOPBACK}:{port}", "--console-address", f"{LOOPBACK}:{console}"),
    ]
    env = {"MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY, "MINIO_BROWSER": "off"}
    process = Process(argv, log=tmp_path / "minio.log", env={**env, "HOME": str(tmp_path)})
    stack.callback(process.stop)
    process.wait_ready(lambda: listens(port))
    return f"https://{LOOPBACK}:{port}", authority.cert_file


def test_a_private_authority_is_believed_when_it_is_named(tls_minio: tuple[str, Path], tmp_path: Path) -> None:
    url, ca_file = tls_minio
    keys = Credentials(access_key_file=tmp_path / "access", secret_key_file=tmp_path / "secret")
    (tmp_path / "access").write_text(ACCESS_KEY)
    (tmp_path / "secret").write_text(SECRET_KEY)
    for name in ("access", "secret"):
        (tmp_path / name).chmod(0o600)
    named = S3Config(endpoint=url, buckets={"models": "models"}, host=HostConfig(credentials=keys, ca_file=ca_file))
    with pytest.raises(InputError, match="no-bucket"):  # so far, but TLS is well
        S3Destination(named, tmp_path, Run(Silent())).plan(tree({"one": b"1"}))
    unnamed = replace(named, host=HostConfig(credentials=keys))
    with pytest.raises(UpstreamError) as caught:
        S3Destination(unnamed, tmp_path, Run(Silent())).plan(tree({"one": b"1"}))
    assert caught.value.code == "tls"
    missing = replace(named, host=HostConfig(credentials=keys, ca_file=tmp_path / "none"))
    with pytest.raises(InputError) as not_there:
        S3Destination(missing, tmp_path, Run(Silent()))
    assert not_there.value.code == "no-ca-file"


MEASURED = """
import io, json, re, sys
from pathlib import Path
from airgap.destinations.s3 import S3Destination
from airgap.base.digest import Digest, hash_stream
from airgap.content.forms import Tree
from airgap.destinations.base import Run
from airgap.content.graph import Descriptor
from airgap.base.progress import Silent
from airgap.net.config import Credentials, HostConfig
from airgap.resources.sovereign import S3Config

class Pattern(io.RawIOBase):
    def __init__(self, size):
        self.left = size
    def readinto(self, buffer):
        count = min(len(buffer), self.left)
        buffer[:count] = bytes(count)
        self.left -= count
        return count
    def readable(self):
        return True

class Source:
    def open(self, descriptor, offset=0):
        return Pattern(size)

endpoint, bucket, folder, size = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
keys = Credentials(access_key_file=folder / "access", secret_key_file=folder / "secret")
config = S3Config(endpoint=endpoint, buckets={"models": bucket}, host=HostConfig(credentials=keys))
blob = Descriptor("application/octet-stream", *hash_stream(Pattern(size)))
form = Tree("acme/big", "models", "acme/big/r", {"w": blob}, blob, Source(), None)
single = size // 4 if sys.argv[5] == "parts" else size
destination = S3Destination(config, folder / "journals", Run(Silent()), single_put=single)
[change] = destination.publish(form, destination.plan(form))
[good] = destination.inspect([change], deep=True)
# Not getrusage: what it says begins with the peak of the process that forked us.
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
print(json.dumps([change.outcome, good.state, peak]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["put", "parts"])
def test_memory_does_not_grow_with_an_object(tmp_path: Path, minio: S3Service, way: str) -> None:
    bucket = minio.new_bucket()
    s3_config(minio, tmp_path, {})
    peaks = []
    for size in (64 << 20, 512 << 20):
        argv = [sys.executable, "-c", MEASURED, minio.endpoint, bucket, str(tmp_path), str(size)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([*argv, way], env=env, check=True, capture_output=True, text=True)
        outcome, state, peak = json.loads(done.stdout)
        assert (outcome, state) == ("written", "good")
        peaks.append(peak)
        client = minio.client()
        client.delete_object(Bucket=bucket, Key="acme/big/r/w")
        client.close()
    assert max(peaks) < 100 << 10
    assert peaks[1] < peaks[0] + (8 << 10)
