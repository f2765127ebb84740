"""Keys and `airgap sign`, with a mistake in every argument; and that no password or PIN is ever said or written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airgap.cli.demo_content import make_content
from tests.parts import need
from tests.parts.hsm import MODULES
from tests.worlds.cli_site import airgap, make_site
from tests.worlds.site import GAP, HEAD, REQUEST, Site

pytestmark = pytest.mark.e2e
KEY = ("--key", "exporter.key")
TRUSTED = ("--trust", "trust.yaml")
SIGNED = ("sign", "r.lock.json", *KEY)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"))


@pytest.mark.parametrize(
    ("line", "exit_code", "code", "words"),
    [
        (("keys", "check", "--key", "nowhere"), 2, "key-missing", "check the path"),
        (("keys", "check", "--key", "exporter.pub"), 2, "bad-key", "a public key"),
        (("keys", "check", "--key", "store"), 2, "key-not-file", "the key's file"),
        (("keys", "check", "--key", "password"), 2, "bad-key", "PREFIX.key"),
        (("keys", "check", *KEY, "--key-password-file", "wrong"), 2, "wrong-password", "--key-password-file"),
        (("keys", "check", *KEY, "--key-password-file", "trust.yaml"), 2, "password-readable", "chmod 600"),
        (("keys", "check", "--key", "stranger.key", *TRUSTED), 2, "wrong-key", "to be added there"),
        (("keys", "check", "--trust", "sovereign.yaml"), 2, "bad-resource", "expected a Trust"),
        (("keys", "check", *TRUSTED, "--within", "0"), 2, "usage", "from 1 to 365"),
        (("keys", "generate", ""), 2, "bad-path", "PREFIX"),
        (("keys", "generate", "."), 2, "bad-path", "PREFIX"),
        (("keys", "generate", ".."), 2, "bad-path", "PREFIX"),
        (("keys", "generate", "exporter"), 2, "key-exists", "another name"),
        (("keys", "show", "exporter.key"), 2, "bad-public-key", "a private key"),
        (("keys", "rotate", "trust.yaml", "r.lock.json"), 2, "bad-resource", ""),
        (("keys", "rotate", "trust.yaml", "trust.yaml", "--approval", "nowhere"), 2, "bad-approval", "check the path"),
        (("keys", "rotate", "trust.yaml", "trust.yaml", "--approval", "store"), 2, "bad-approval", "the file itself"),
        (("keys", "rotate", "trust.yaml", "trust.yaml", "--approval", "r.lock.json"), 4, "bad-bundle", ""),
        (("sign", "r.lock.json"), 2, "no-key", "--key KEY"),
        (("sign", "r.request.yaml", *KEY), 2, "unknown-thing", "name one of them"),
        (("sign", "sovereign.yaml", *KEY), 2, "unknown-thing", "name one of them"),
        (("sign", "exporter.pub", *KEY), 2, "unknown-thing", "name one of them"),
        (("sign", "receipt.json", *KEY), 2, "unknown-thing", "name one of them"),
        (("sign", "media/AIRGAP.json", *KEY), 2, "unknown-thing", "the delivery's folder, media"),
        (("sign", "store", *KEY), 2, "no-delivery", "AIRGAP.json"),
        (("sign", "/dev/null", *KEY), 2, "resource-file", "the file itself"),
        ((*SIGNED, "--role", "exporter"), 2, "usage", "security-officer"),
        ((*SIGNED, "--out", "r.lock.json"), 2, "bad-path", "name a folder"),
        ((*SIGNED, "--log", "store"), 5, "log-not-file", "another log"),
        ((*SIGNED, *TRUSTED), 2, "wrong-key", "expected security-officer"),
        ((*SIGNED, "--trust", "sovereign.yaml"), 2, "bad-resource", "expected a Trust"),
        (("log", "verify", "--log", "store"), 5, "log-not-file", "another log"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_and_nothing_is_signed(
    site: Site, line: tuple[str, ...], exit_code: int, code: str, words: str
) -> None:
    before = sorted(site.folder.iterdir())
    airgap(site, *line, XDG_STATE_HOME="home").refused(exit_code, code, words)
    assert sorted(site.folder.iterdir()) == before


def test_nobody_is_asked_for_a_password_of_what_is_no_key(site: Site) -> None:
    for key, code in (("nowhere", "key-missing"), ("exporter.pub", "bad-key"), ("exporter.key", "no-password")):
        airgap(site, "keys", "check", "--key", key, AIRGAP_KEY_PASSWORD_FILE="").refused(2, code)


# secrets

SECRETS = {"file": "for-the-file-91c2", "cosign": "for-cosign-5e07", "token": "4815162342-pin"}
RECORDER = """\
import os, sys
from airgap.cli.main import main

def hook(event, args):
    if event in ("subprocess.Popen", "os.posix_spawn", "os.exec"):
        with open(os.environ["RECORD"], "a") as file:
            file.write(repr((args, dict(os.environ))) + "\\n")

sys.addaudithook(hook)
sys.exit(main())
"""


class Watched:
    """A site whose commands are watched: what they say, and what they start with which arguments and environment."""

    def __init__(self, folder: Path) -> None:
        self.site, self.said = Site(folder), ""

    def run(self, kind: str, *line: str, expect: int = 0) -> None:
        """A command whose password is that of a kind of key."""
        environ = {**os.environ, "AIRGAP_KEY_PASSWORD_FILE": f"pw-{kind}", "RECORD": "started"}
        command = [sys.executable, "-c", RECORDER, *line, "--log-file", "said.log"]
        done = subprocess.run(command, cwd=self.site.folder, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == expect, done.stdout + done.stderr
        self.said += done.stdout + done.stderr


@pytest.mark.part("git", "cosign", "softhsm2")
def test_no_password_and_no_pin_is_said_written_or_handed_on(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nacl", reason="needs airgap[cosign-keys]")
    pytest.importorskip("pkcs11", reason="needs airgap[pkcs11]")
    watched = Watched(tmp_path)
    site, token = watched.site, _token(tmp_path_factory.mktemp("hsm"), monkeypatch)
    for kind, secret in SECRETS.items():
        site.write(f"pw-{kind}", f"{secret}\n")
    for name in ("exporter", "sovereign"):
        (tmp_path / f"{name}.key").unlink()
        (tmp_path / f"{name}.pub").unlink()
    watched.run("file", "keys", "generate", "sovereign")
    monkeypatch.setenv("COSIGN_PASSWORD", SECRETS["cosign"])
    need.run("cosign", "generate-key-pair", "--output-key-prefix", str(tmp_path / "exporter"))
    monkeypatch.delenv("COSIGN_PASSWORD")
    manual = make_content(tmp_path / "content")
    site.write("r.request.yaml", re.sub("sha256: [0-9a-f]{64}", f"sha256: {manual}", REQUEST.read_text()))
    spec = "spec: {stateDir: state, directory: inside}\n"
    site.write("sovereign.yaml", f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\n{spec}")
    # 1. Everything that signs, each with another kind of key.
    watched.run("file", "lock", "r.request.yaml")
    watched.run("cosign", "pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    cut = ("bundle", "r.lock.json", "--store", "store", "--for", "bank", "--to")
    watched.run("cosign", *cut, "media", "--key", "exporter.key")
    watched.run("token", "sign", "media", "--key", token, "--out", "approvals", "--log", "officer.jsonl")
    watched.run("file", "import", "media", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    watched.run("file", "audit", *GAP, "--receipt", "receipt.json", "--key", "sovereign.key", "--report", "audit.json")
    # 2. The wrong one for each kind of key, and a PIN where everybody can read it.
    for wrong, key in (("cosign", "sovereign.key"), ("file", "exporter.key"), ("cosign", token)):
        watched.run(wrong, "keys", "check", "--key", key, expect=2)
    for scheme in ("pkcs11", "PKCS11"):
        said = f"{scheme}:token=bank;object=officer?pin-value={SECRETS['token']}"
        watched.run("file", "keys", "check", "--key", said, expect=2)
    # 3. Nobody said it, no program got it, and no file has it but those that it was put into.
    started = (tmp_path / "started").read_text()
    assert "git" in started
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for kind, secret in SECRETS.items():
        assert secret not in watched.said
        assert [path.name for path, data in files.items() if secret.encode() in data] == [f"pw-{kind}"]


def _token(folder: Path, patch: pytest.MonkeyPatch) -> str:
    """A token with one key in it; gives the key's URI."""
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\n")
    patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
    patch.setenv("AIRGAP_PKCS11_MODULE", next(path for path in MODULES if Path(path).exists()))
    pins = ("--pin", SECRETS["token"], "--so-pin", "5678")
    need.run("softhsm2", "--init-token", "--free", "--label", "bank", *pins)
    script = f"""
import os, pkcs11
from pkcs11 import Attribute, KeyType
from pkcs11.util.ec import encode_named_curve_parameters as curve
token = pkcs11.lib(os.environ["AIRGAP_PKCS11_MODULE"]).get_token(token_label="bank")
with token.open(rw=True, user_pin={SECRETS["token"]!r}) as session:
    kind = session.create_domain_parameters(KeyType.EC, {{Attribute.EC_PARAMS: curve("secp256r1")}}, local=True)
    kind.generate_keypair(store=True, label="officer", id=b"1")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return "pkcs11:token=bank;object=officer"
