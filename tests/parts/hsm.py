"""A token in SoftHSM with keys in it.

One for a whole run: the module reads its configuration once in a process, so that a second token of another folder
would be seen by the programs that a test starts, and not by the test itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airgap.statements.keys.pkcs11 import open_token
from airgap.statements.keys.pkcs11_uri import KeyUri
from tests.parts import need

PIN = b"1234"
CONFIG = "SOFTHSM2_CONF"
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")


@dataclass(frozen=True)
class Hsm:
    """A token with keys in it: P-256 `exporter`, `sovereign`, `twice` (two of them), and what cannot be used."""

    module: str
    config: Path

    def open(self, rest: str, pin: bytes = PIN) -> Any:
        return open_token(KeyUri.parse(f"pkcs11:token=bank;{rest}"), pin, self.module)


def make_keys(module: str) -> None:
    """In a process of its own: ours logs in once, and keeps its sessions."""
    script = f"""
import pkcs11
from pkcs11 import Attribute, KeyType
from pkcs11.util.ec import encode_named_curve_parameters as curve
token = pkcs11.lib({module!r}).get_token(token_label="bank")
with token.open(rw=True, user_pin={PIN.decode()!r}) as session:
    def pair(name, number, label, **more):
        kind = session.create_domain_parameters(KeyType.EC, {{Attribute.EC_PARAMS: curve(name)}}, local=True)
        return kind.generate_keypair(store=True, label=label, id=bytes([number]), **more)
    pair("secp256r1", 1, "exporter")
    pair("secp256r1", 2, "sovereign")
    pair("secp256r1", 3, "twice")
    pair("secp256r1", 4, "twice")
    pair("secp384r1", 5, "p384")
    session.generate_keypair(KeyType.RSA, 2048, store=True, label="rsa", id=b"\\6")
    public, _ = pair("secp256r1", 7, "half")
    public.destroy()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def start_hsm(folder: Path) -> Iterator[Hsm]:
    """A token called `bank` below `folder`; SOFTHSM2_CONF names it meanwhile, for us and for programs of ours."""
    config = folder / "softhsm2.conf"
    (folder / "tokens").mkdir()
    config.write_text(f"directories.tokendir = {folder}/tokens\n")
    before = os.environ.get(CONFIG)
    os.environ[CONFIG] = str(config)
    try:
        label, pins = ("--label", "bank"), ("--pin", PIN.decode(), "--so-pin", "5678")
        need.run("softhsm2", "--init-token", "--free", *label, *pins)
        module = next(path for path in MODULES if Path(path).exists())
        make_keys(module)
        yield Hsm(module, config)
    finally:
        if before is None:
            del os.environ[CONFIG]
        else:
            os.environ[CONFIG] = before
