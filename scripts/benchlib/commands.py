"""airgap's own commands in a run, and the files that they read."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import airgap as package
from benchlib.content import Image
from benchlib.measure import Line

PROGRAM = str(Path(sys.executable).with_name("airgap"))
HEAD = "apiVersion: airgap.openova.io/v1alpha1\n"
KEY = """\
  - {{name: {0}, role: {1}, publicKeyFile: {0}.pub, notBefore: 2026-01-01T00:00:00Z, notAfter: 2099-01-01T00:00:00Z}}
"""
ENV = {"AIRGAP_KEY_PASSWORD_FILE": "pw"}
PROJECT = "in"
"""Where the images land in the Sovereign's registry."""
REFUSED = 4
"""Exit code for a signature that does not count."""


def airgap(*arguments: str) -> Line:
    """The command as people call it."""
    return [PROGRAM, *arguments, "--quiet"]


def prepare(folder: Path, host: str, images: Sequence[Image]) -> list[Line]:
    """Writes request, upstreams and trust for the images at `host`; returns what makes bytecode, keys and lock."""
    (folder / "pw").write_text("bench\n")
    (folder / "pw").chmod(0o600)
    keys = KEY.format("k", "exporter") + KEY.format("s", "sovereign")
    _write(folder, "trust.yaml", "Trust", f"  sovereign: bench\n  require: [delivery]\n  keys:\n{keys}")
    refs = "".join(f"  - {{ref: '{host}/{image.name}'}}\n" for image in images)
    _write(folder, "r.request.yaml", "Request", f"  images:\n{refs}")
    _write(folder, "u.yaml", "Upstreams", f"  hosts:\n    '{host}': {{plainHTTP: true}}\n")
    return [
        # As in an installed package: a start must not compile.
        [sys.executable, "-m", "compileall", "-q", str(Path(package.__file__).parent)],
        airgap("keys", "generate", "k"),
        airgap("keys", "generate", "s"),
        airgap("lock", "r.request.yaml", "--upstreams", "u.yaml"),
    ]


def sovereign(folder: Path, source: str, url: str) -> None:
    """Writes a Sovereign without a state, whose registry is at `url`."""
    registry = f"  - {{url: '{url}', projects: {{'{source}': {PROJECT}}}}}\n"
    _write(folder, "sov.yaml", "Sovereign", f"  stateDir: state\n  registries:\n{registry}")


def _write(folder: Path, name: str, kind: str, spec: str) -> None:
    (folder / name).write_text(f"{HEAD}kind: {kind}\nmetadata: {{name: bench}}\nspec:\n{spec}")


def pull() -> Line:
    """Registry → store."""
    return airgap("pull", "r.lock.json", "--store", "round/store", "--upstreams", "u.yaml")


def bundle(to: str, *more: str) -> Line:
    """Store → media."""
    line = ("r.lock.json", "--store", "round/store", "--to", f"round/{to}", "--for", "bench")
    return airgap("bundle", *line, "--key", "k.key", *more)


def bring(media: str = "media") -> Line:
    """Media → registry, with a receipt."""
    files = ("--sovereign", "round/sov.yaml", "--trust", "trust.yaml", "--key", "s.key")
    return airgap("import", f"round/{media}", *files, "--receipt", "round/receipt.json")


def verify() -> Line:
    """Every byte of the media."""
    return airgap("verify", "round/media", "--trust", "trust.yaml")


def audit() -> Line:
    """The receipt against the registry."""
    files = ("--sovereign", "round/sov.yaml", "--receipt", "round/receipt.json")
    return airgap("audit", *files, "--trust", "trust.yaml")


def spoil(media: Path, to: Path) -> None:
    """The same delivery with a signature of the right form that is wrong; volumes are links, not copies."""
    for path in media.rglob("*"):
        if not path.is_file():
            continue
        target = to / path.relative_to(media)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not path.name.endswith(".sigstore.json"):
            os.link(path, target)
            continue
        document = json.loads(path.read_bytes())
        for signature in document["dsseEnvelope"]["signatures"]:
            value = bytearray(base64.b64decode(signature["sig"]))
            value[-1] ^= 1
            signature["sig"] = base64.b64encode(value).decode()
        target.write_text(json.dumps(document))
