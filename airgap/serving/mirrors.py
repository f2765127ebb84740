"""What nodes are told, so that they ask this registry: hosts.toml of containerd, registries.yaml of k3s.

Sources: containerd docs/hosts.md; docs.k3s.io, "Private Registry Configuration".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence


def hosts_toml(host: str, url: str, ca: str = "") -> str:
    """The file `/etc/containerd/certs.d/HOST/hosts.toml`.

    `server` is the mirror, too: without it, containerd asks the internet when the mirror does not have something.
    """
    there = json.dumps(f"{url}/v2/{host}")
    trusted = f"ca = {json.dumps(ca)}\n" if ca else ""
    lines = f'capabilities = ["pull", "resolve"]\noverride_path = true\n{trusted}'
    return f"server = {there}\n{lines}\n[host.{there}]\n" + "".join(f"  {line}\n" for line in lines.splitlines())


def registries_yaml(hosts: Sequence[str], url: str, ca: str = "") -> str:
    """The file `/etc/rancher/k3s/registries.yaml`. containerd names the upstream host in `?ns=`."""
    lines = ["mirrors:"]
    for host in hosts:
        lines += [f"  {json.dumps(host)}:", "    endpoint:", f"    - {json.dumps(url)}"]
    if ca:
        at = url.partition("://")[2]
        lines += ["configs:", f"  {json.dumps(at)}:", "    tls:", f"      ca_file: {json.dumps(ca)}"]
    return "\n".join(lines) + "\n"


def configuration(hosts: Sequence[str], url: str, ca: str = "") -> Mapping[str, str]:
    """All files, by their path on a node."""
    files = {f"/etc/containerd/certs.d/{host}/hosts.toml": hosts_toml(host, url, ca) for host in hosts}
    return {**files, "/etc/rancher/k3s/registries.yaml": registries_yaml(hosts, url, ca)}
