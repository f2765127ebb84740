"""Upstreams: how the connected zone is reached."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from airgap.net.config import Credentials, HostConfig
from airgap.resources.fields import spec, spec_map
from airgap.resources.parts import ALLOWED_HOSTS, CA_FILE, HOST, HostLogin
from airgap.resources.references import url_complaint
from airgap.resources.resource import Resource
from airgap.resources.shapes import Flag, MapOf, Place, Text

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


@spec_map("a map that says how the host is reached")
class UpstreamHost:
    """How one host is reached."""

    credentials: Credentials | None = spec(HostLogin, default=None)
    ca_file: Path | None = spec(CA_FILE, default=None)
    plain_http: bool = spec(Flag(), "Whether the host is spoken to without TLS.", name="plainHTTP", default=False)
    mirror: str = spec(
        Text("an https address", least=1, complaint=lambda url: url_complaint(url, query=False)),
        "Asked in place of the host; for a registry it ends in `/v2` and the path that the mirror puts before names.",
        default="",
    )
    allowed_hosts: tuple[str, ...] = spec(ALLOWED_HOSTS, default=())

    def checked(self, at: Place) -> HostConfig:
        """As the network asks for it."""
        mirror = self.mirror.rstrip("/")
        return HostConfig(self.credentials, self.ca_file, self.plain_http, mirror, self.allowed_hosts)


@spec_map("a map with hosts")
class Upstreams:
    """Connected zone: `hosts` maps `host[:port]` to how it is reached."""

    resource: ClassVar = Resource(
        doc="Connected zone: how the outside is reached. It stands in the request's file after a line `---`, where it "
        "may leave out `apiVersion` and `metadata`, or in a file of its own.",
        taken_by="Upstreams stand beside a Request, for `airgap lock` and `airgap pull`",
        examples=(_EXAMPLE,),
    )
    hosts: Mapping[str, HostConfig] = spec(MapOf(HOST, UpstreamHost, "a map from host to how it is reached"))
