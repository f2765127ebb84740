"""Upstreams: how to reach the hosts of the connected zone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from airgap.net.config import Credentials, HostConfig
from airgap.resources.fields import spec, spec_map
from airgap.resources.parts import ALLOWED_HOSTS, CA_FILE, HOST, HostLogin
from airgap.resources.references import url_complaint
from airgap.resources.resource import Resource
from airgap.resources.shapes import Choice, Flag, MapOf, Place, Text

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


@spec_map("a map that says how to reach the host")
class UpstreamHost:
    """How to reach one host."""

    credentials: Credentials | None = spec(HostLogin, default=None)
    ca_file: Path | None = spec(CA_FILE, default=None)
    plain_http: bool = spec(
        Flag(),
        "true: a registry is reached without TLS, and secrets may be sent to `http://` addresses (Git, models). "
        "Not needed for localhost, 127.0.0.0/8 and ::1.",
        name="plainHTTP",
        default=False,
    )
    mirror: str = spec(
        Text("an https URL", least=1, complaint=lambda url: url_complaint(url, query=False)),
        "Used in place of the host. For a registry, the URL ends with `/v2` and the path that the mirror puts before "
        "names.",
        default="",
    )
    allowed_hosts: tuple[str, ...] = spec(ALLOWED_HOSTS, default=())
    referrers: str = spec(
        Choice(("tags", "none")),
        "For a registry that refuses to say what is attached to an image: signatures, attestations, SBOMs. `tags`: do "
        "not ask its referrers API, only the tags `sha256-…`. `none`: do not ask at all; nothing attached is carried. "
        "The lock records it (`asked`). Default: ask both.",
        default="",
    )

    def checked(self, at: Place) -> HostConfig:
        """The configuration in the form that `airgap.net` uses."""
        mirror = self.mirror.rstrip("/")
        return HostConfig(self.credentials, self.ca_file, self.plain_http, mirror, self.allowed_hosts, self.referrers)


@spec_map("a map with hosts")
class Upstreams:
    """Connected zone: `hosts` maps `host[:port]` to the configuration for it."""

    resource: ClassVar = Resource(
        doc="How to reach the hosts of the connected zone. It is in the request's file after a line `---`, where it "
        "may omit `apiVersion` and `metadata`, or in a separate file.",
        taken_by="Upstreams belong in the file of a Request, for `airgap lock` and `airgap pull`",
        examples=(_EXAMPLE,),
    )
    hosts: Mapping[str, HostConfig] = spec(MapOf(HOST, UpstreamHost, "a map from a host to its configuration"))
