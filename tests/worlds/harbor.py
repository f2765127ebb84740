"""What tests of Harbor's ways share: its robot as a client, and something attached."""

from __future__ import annotations

import json
from pathlib import Path

from airgap.content.graph import OCI_MANIFEST, Descriptor
from airgap.net.config import Credentials, HostConfig
from airgap.net.http import Client, Retries
from airgap.store.registry.client import RegistryClient
from tests.parts.harbor_double import HarborDouble

ROBOT = "robot$import"
PASSWORD = "good"


def password_file(folder: Path, password: str = PASSWORD) -> Path:
    """A file with the robot's password, which nobody else may read."""
    path = folder / "password"
    path.write_text(f"{password}\n")
    path.chmod(0o600)
    return path


def robot(harbor: HarborDouble, password: Path | None) -> RegistryClient:
    """A client that logs in with this password file, or not at all."""
    login = Credentials(username="robot$import", password_file=password) if password else None
    config = HostConfig(plain_http=True, credentials=login)
    http = Client({harbor.host: config}, zone="gap", retries=Retries(attempts=3, base=0, jitter=0))
    return RegistryClient(harbor.host, http)


def attached(subject: Descriptor, kind: str = "application/vnd.test") -> tuple[Descriptor, bytes]:
    """A manifest that refers to `subject`; its config and layer are the empty blob."""
    empty = Descriptor.of("application/vnd.oci.empty.v1+json", b"{}")
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": kind,
        "config": empty.as_dict(),
        "layers": [empty.as_dict()],
        "subject": subject.as_dict(),
    }
    data = json.dumps(document).encode()
    return Descriptor.of(OCI_MANIFEST, data), data
