"""What AWS has and neither MinIO nor SeaweedFS: storage classes that archive. Simulated by moto's server on loopback.

A life-cycle rule may move objects into an archive. HEAD answers there as before, GET is refused with a 403 that is
not about rights. Source: Amazon S3 API Reference, GetObject, "InvalidObjectState".
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from airgap.base.errors import AirgapError
from airgap.base.progress import Silent
from airgap.content.finding import State
from airgap.content.forms import ChangeOutcome, Tree
from airgap.destinations.base import Run
from airgap.destinations.s3 import S3Destination
from airgap.net.config import Credentials, HostConfig
from airgap.resources.sovereign import S3Config
from tests.suites.destination_suite import FILES, outcomes, tree

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.e2e

BUCKET = "ai-hub-models"


@pytest.fixture
def endpoint() -> Iterator[str]:
    with warnings.catch_warnings():
        # moto asks for every service's libraries; S3 needs only those that are there.
        warnings.simplefilter("ignore")
        from moto.server import ThreadedMotoServer
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(endpoint: str) -> Iterator[S3Client]:
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="someone",
        aws_secret_access_key="something",
    )
    client.create_bucket(Bucket=BUCKET)
    yield client
    client.close()


@pytest.fixture
def destination(endpoint: str, tmp_path: Path) -> S3Destination:
    for name in ("access", "secret"):
        (tmp_path / name).write_text(name)
        (tmp_path / name).chmod(0o600)
    keys = Credentials(access_key_file=tmp_path / "access", secret_key_file=tmp_path / "secret")
    config = S3Config(endpoint=endpoint, buckets={"models": BUCKET}, host=HostConfig(credentials=keys))
    return S3Destination(config, tmp_path / "journals", Run(Silent(), jobs=2))


def archived(aws: S3Client, form: Tree) -> str:
    """Everything of a tree as an import left it, one file moved into the archive since; returns that one's key."""
    path, revision = form.pointer or ("", b"")
    files = {f"{form.prefix}/{name}": data for name, data in FILES.items()} | {path: revision}
    largest = max(files, key=lambda key: len(files[key]))
    for key, data in files.items():
        descriptor = form.entries.get(key.removeprefix(f"{form.prefix}/"))
        said = {"sha256": descriptor.digest.hex} if descriptor else {}
        aws.put_object(
            Bucket=BUCKET,
            Key=key,
            Body=data,
            Metadata=said,
            ChecksumAlgorithm="SHA256",
            StorageClass="GLACIER" if key == largest else "STANDARD",
        )
    return largest


def test_what_a_rule_archived_is_present_for_an_import_and_unreadable_for_an_audit(
    aws: S3Client, destination: S3Destination
) -> None:
    form = tree()
    key = archived(aws, form)
    plan = destination.plan(form)
    assert outcomes(list(plan)) == {ChangeOutcome.PRESENT}
    findings = {f"{f.at}/{f.name}".partition("/")[2]: f for f in destination.inspect(plan, deep=True)}
    bad = {name: finding for name, finding in findings.items() if finding.state is not State.GOOD}
    # Unknown counts as drift; and it is not told as missing rights, which the same status means elsewhere.
    assert {name: finding.state for name, finding in bad.items()} == {key: State.UNKNOWN}
    assert "[archived]; next: " in bad[key].detail
    # Restored, it is read again.
    aws.restore_object(Bucket=BUCKET, Key=key, RestoreRequest={"Days": 1})
    assert {finding.state for finding in destination.inspect(plan, deep=True)} == {State.GOOD}


def test_an_archived_object_says_what_to_do(aws: S3Client, destination: S3Destination) -> None:
    """Without a checksum of the server and without our metadata the object would have to be read."""
    form = tree()
    path = next(iter(sorted(form.entries)))
    aws.put_object(Bucket=BUCKET, Key=f"{form.prefix}/{path}", Body=FILES[path], StorageClass="DEEP_ARCHIVE")
    with pytest.raises(AirgapError) as caught:
        destination.plan(form)
    assert caught.value.code == "archived"
    assert "restore it" in caught.value.hint
