"""A small site for tests of trust roots: an officer, two versions of a root, something to deliver."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from airgap.base.digest import Digest
from tests.parts import images
from tests.parts.fake_sigstore import FakeSigstore
from tests.worlds.cli_site import airgap
from tests.worlds.commands import Said
from tests.worlds.site import HEAD, TRUST, Site

LISTS = ("tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities")
NAME = ("--name", "sigstore", "--roots")
TRUSTED = ("--trust", "trust.yaml")
SIGN = ("--key", "officer.key", "--role", "security-officer")
CUT = (
    "bundle",
    "r.lock.json",
    "--store",
    "store",
    "--key",
    "exporter.key",
    "--for",
    "bank",
    "--to",
)


def trusted_root(*seeds: str) -> bytes:
    """A trusted_root.json with the instances of these fake ones."""
    made = [json.loads(FakeSigstore(seed).trusted_root()) for seed in seeds]
    lists = {name: [one for root in made for one in root[name]] for name in LISTS}
    return json.dumps({**made[0], **lists}).encode()


V1, V2 = trusted_root("one"), trusted_root("one", "two")
SHA1, SHA2 = Digest.of(V1), Digest.of(V2)


def make_site(folder: Path) -> Site:
    """Keys, a Trust with an officer, `v1.json` and `v2.json`, something pulled."""
    site = Site(folder)
    site.run("keys", "generate", "officer")
    officer = OFFICER.replace(", approval]", "]")
    site.write("trust.yaml", TRUST.replace("  require: [pull, delivery]\n", officer))
    (site.folder / "v1.json").write_bytes(V1)
    (site.folder / "v2.json").write_bytes(V2)
    images.make_image(site.folder / "made", "v1")
    spec = "spec:\n  images:\n  - {ref: 'oci:made:v1', name: demo.local/app:v1}\n"
    site.write("r.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\n{spec}")
    site.run("lock", "r.request.yaml")
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    return site


def copied(made: Site, folder: Path) -> Site:
    """The same, to be changed."""
    copy = object.__new__(Site)
    copy.folder = folder
    shutil.copytree(made.folder, folder, symlinks=True)
    return copy


def started(site: Site, *line: str, before: tuple[str, ...] = (), home: Path | None = None) -> Said:
    """A command that ends well, as it is typed; returns what it said."""
    environ = {"HOME": str(home), "XDG_CACHE_HOME": "", "XDG_DATA_HOME": ""} if home else {}
    said = airgap(site, *line, before=before, stdout=subprocess.PIPE, **environ)
    assert said.code == 0, said.err
    return said


def versions(site: Site, roots: str) -> Any:
    """What `airgap trust show` says of the versions of the one name below `roots`."""
    return site.run("trust", "show", roots)["roots"][0]["versions"]


OFFICER = """\
  - name: officer
    role: security-officer
    publicKeyFile: officer.pub
    notBefore: 2026-01-01T00:00:00Z
    notAfter: 2036-01-01T00:00:00Z
  require: [pull, delivery, approval]
"""
