"""Upstreams: how the connected zone is reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from airgap.net.config import Credentials, HostConfig
from airgap.resources.fields import Flag, Map, MapOf, Place, Text, spec_field
from airgap.resources.parts import ALLOWED_HOSTS, CA_FILE, HOST, HostLogin
from airgap.resources.references import url_complaint
from airgap.resources.resource import Resource

_EXAMPLE = """\
metadata:
  name: connected-zone
spec:
  hosts:
    registry.example.org:
      credentials:
        username: me
        passwordFile: pw
      caFile: ca.pem
      mirror: https://mirror.example.org/v2/hub
    huggingface.co:
      credentials:
        tokenFile: hf-token
      allowedHosts: [cdn-lfs.huggingface.co]
    localhost:5000:
      plainHTTP: true
"""


@dataclass(frozen=True, slots=True)
class UpstreamHost:
    """How one host is reached."""

    spec: ClassVar = Map("a map that says how the host is reached")
    credentials: Credentials | None = field(default=None, metadata=spec_field("credentials", HostLogin))
    ca_file: Path | None = field(default=None, metadata=spec_field("caFile", CA_FILE))
    plain_http: bool = field(
        default=False, metadata=spec_field("plainHTTP", Flag("Whether the host is spoken to without TLS."))
    )
    mirror: str = field(
        default="",
        metadata=spec_field(
            "mirror",
            Text(
                "an https address",
                "Asked in place of the host; for a registry it ends in `/v2` and the path that the mirror puts "
                "before names.",
                least=1,
                complaint=lambda url: url_complaint(url, query=False),
            ),
        ),
    )
    allowed_hosts: tuple[str, ...] = field(default=(), metadata=spec_field("allowedHosts", ALLOWED_HOSTS))

    def checked(self, at: Place) -> HostConfig:
        """As the network asks for it."""
        mirror = self.mirror.rstrip("/")
        return HostConfig(self.credentials, self.ca_file, self.plain_http, mirror, self.allowed_hosts)


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Connected zone: `hosts` maps `host[:port]` to how it is reached."""

    spec: ClassVar = Map("a map with hosts")
    resource: ClassVar = Resource(
        doc="Connected zone: how the outside is reached. It stands in the request's file after a line `---`, where it "
        "may leave out `apiVersion` and `metadata`, or in a file of its own.",
        taken_by="Upstreams stand beside a Request, for `airgap lock` and `airgap pull`",
        examples=(_EXAMPLE,),
    )
    hosts: Mapping[str, HostConfig] = field(
        default_factory=dict,
        metadata=spec_field("hosts", MapOf(HOST, UpstreamHost, "a map from host to how it is reached"), needed=True),
    )
