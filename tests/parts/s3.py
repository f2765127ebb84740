"""S3 services: MinIO and SeaweedFS."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from tests.parts.need import require_part
from tests.parts.process import LOOPBACK, Process, answers_http, free_ports, retry_on_race

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REGION = "us-east-1"
ACCESS_KEY = "airgap-test"
SECRET_KEY = "airgap-test-secret"


@dataclass(frozen=True, slots=True)
class S3Service:
    """A running service and the administrator's keys."""

    name: str
    endpoint: str
    process: Process
    root: Path
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    sockets: Sequence[int] = ()  # ports that SeaweedFS names sockets in /tmp after

    def client(self, **more: Any) -> S3Client:
        """A boto3 client as the administrator; `more` takes the place of what it is given."""
        options: dict[str, Any] = {
            "endpoint_url": self.endpoint,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
            "region_name": REGION,
            "config": Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
            **more,
        }
        client: S3Client = boto3.client("s3", **options)
        return client

    def new_bucket(self, prefix: str = "test") -> str:
        """A new, empty bucket."""
        name = f"{prefix}-{secrets.token_hex(4)}"
        client = self.client()
        client.create_bucket(Bucket=name)
        client.close()
        return name

    def stop(self) -> None:
        """Stop it."""
        self.process.stop()
        for port in self.sockets:
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                path.unlink(missing_ok=True)


def start_minio(folder: Path, data: Path | None = None) -> S3Service:
    """MinIO, with its objects below `data` (a small disk, say) or in its own folder."""
    program = require_part("minio")
    root = data or folder / "data"
    env = {
        "MINIO_ROOT_USER": ACCESS_KEY,
        "MINIO_ROOT_PASSWORD": SECRET_KEY,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
        "HOME": str(folder),
    }

    def start() -> S3Service:
        port, console = free_ports(2)
        argv: Sequence[str | Path] = [
            *(program, "server", root, "--quiet"),
            *("--address", f"{LOOPBACK}:{port}"),
            *("--console-address", f"{LOOPBACK}:{console}"),
        ]
        process = Process(argv, log=folder / "minio.log", env=env)
        url = f"http://{LOOPBACK}:{port}"
        process.wait_ready(lambda: answers_http(f"{url}/minio/health/cluster"))
        return S3Service("minio", url, process, root)

    return retry_on_race(start)


def start_seaweedfs(folder: Path) -> S3Service:
    """SeaweedFS: master, volume server, filer and S3 in one process."""
    program = require_part("seaweedfs")
    root = folder / "data"
    root.mkdir()
    key = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identities = {"identities": [{"name": "test", "credentials": [key], "actions": actions}]}
    (folder / "s3.json").write_text(json.dumps(identities))
    # Each service has a second port for gRPC, by default 10000 higher: maybe somebody else's.
    services = ("master", "volume", "filer", "s3")

    def start() -> S3Service:
        ports = free_ports(2 * len(services))
        argv: list[str | Path] = [
            *(program, "server", f"-dir={root}", "-filer", "-s3"),
            *(f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}", f"-s3.config={folder / 's3.json'}"),
            # Catalogues at fixed ports, which would clash with another run's.
            *("-s3.port.iceberg=0", "-s3.port.lance=0"),
            # Small volumes: it would lay 30 GB claims on the disk.
            *("-master.volumeSizeLimitMB=64", "-volume.max=0", "-master.telemetry=false"),
        ]
        for number, service in enumerate(services):
            argv.append(f"-{service}.port={ports[2 * number]}")
            argv.append(f"-{service}.port.grpc={ports[2 * number + 1]}")
        url = f"http://{LOOPBACK}:{ports[6]}"
        # Its own folder: it looks for configuration in the current one and in the home.
        home = {"HOME": str(folder)}
        process = Process(argv, log=folder / "weed.log", cwd=folder, env=home, grace=0.5)
        made = S3Service("seaweedfs", url, process, root, sockets=tuple(ports))
        process.wait_ready(lambda: _stores(made))
        return made

    return retry_on_race(start)


def _stores(service: S3Service) -> bool:
    """Whether an object can be written: SeaweedFS answers long before that."""
    if not answers_http(service.endpoint, 200, 403):
        return False
    client = service.client()
    try:
        client.create_bucket(Bucket="ready")
        client.put_object(Bucket="ready", Key="ready", Body=b"ready")
    except Exception:  # noqa: BLE001  (whatever it is, it is not ready)
        return False
    finally:
        client.close()
    return True
