"""Folders that people cloned and copied: what is no part of the model stays here, and a secret stops the lock."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.worlds.commands import Said, run_airgap
from tests.worlds.site import HEAD

pytestmark = pytest.mark.e2e

TOKEN = "hf_" + "aB3" * 11 + "x"
KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)


def lock(folder: Path, spec: str) -> Said:
    (folder / "r.request.yaml").write_text(f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n{spec}")
    return run_airgap(["lock", "r.request.yaml"], folder)


def item(folder: Path) -> dict[str, Any]:
    [found] = json.loads((folder / "r.lock.json").read_bytes())["items"]
    return dict(found)


def write(folder: Path, path: str, data: bytes | str) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(data if isinstance(data, bytes) else data.encode())


@pytest.fixture
def cloned(tmp_path: Path) -> Path:
    """A model as `git clone` and `huggingface-cli download` leave it."""
    write(tmp_path, "m/config.json", "{}")
    write(tmp_path, "m/model.safetensors", "w")
    write(tmp_path, "m/.git/config", f'[remote "origin"]\n\turl = https://me:{TOKEN}@huggingface.co/acme/m\n')
    write(tmp_path, "m/.git/lfs/objects/aa/bb/aabb", "w")
    write(tmp_path, "m/sub/.git", "gitdir: ../.git/modules/sub\n")
    write(tmp_path, "m/.cache/huggingface/download/config.json.metadata", "abc\n")
    (tmp_path / "m/.git/link").symlink_to("config")
    return tmp_path


MODEL = "  models:\n  - {directory: m, name: acme/m%s}\n"


def test_a_clone_is_carried_without_its_history_and_cache(cloned: Path) -> None:
    said = lock(cloned, MODEL % "")
    assert said.code == 0, said
    assert "note: acme/m: files of tools are left out: 1 in .cache, 4 in .git" in said.err
    assert [one["path"] for one in item(cloned)["files"]] == ["config.json", "model.safetensors"]
    # A lock of an earlier version, with the history in it, is not kept.
    document = json.loads((cloned / "r.lock.json").read_bytes())
    config = (cloned / "m/.git/config").read_bytes()
    from airgap.base.digest import Digest
    from airgap.content.item import LockedFile
    from airgap.kinds.model import graph

    old = [LockedFile(one["path"], Digest(one["digest"]), one["size"]) for one in document["items"][0]["files"]]
    old.insert(0, LockedFile(".git/config", Digest.of(config), len(config)))
    root = graph("acme/m", old)[1]
    document["items"][0] |= {
        "files": [one.as_dict() for one in old],
        "root": root.as_dict(),
        "revision": f"sha256-{root.digest.hex}",
        "bytes": sum(one.size for one in old) + root.size,
    }
    text = json.dumps(document, separators=(",", ":"), sort_keys=True) + "\n"
    (cloned / "r.lock.json").write_text(text)
    said = lock(cloned, MODEL % "")
    assert "files of tools: carried → left out" in said.err
    assert ".git" not in str(item(cloned)["files"])


def test_a_secret_in_a_folder_is_refused_unless_its_path_is_listed(cloned: Path) -> None:
    write(cloned, "m/tests/server.key", KEY)
    write(cloned, "m/.env", f"HF_TOKEN={TOKEN}\n")
    said = lock(cloned, MODEL % "")
    assert (said.code, "secret-in-tree" in said.err) == (2, True)
    assert ".env: an access token" in said.err
    assert "tests/server.key: a private key" in said.err
    assert TOKEN not in said.err
    assert not (cloned / "r.lock.json").exists()
    said = lock(cloned, MODEL % ", allowSecrets: ['tests/*.key']")
    assert (said.code, "tests/server.key" in said.err, ".env: an access token" in said.err) == (2, False, True)
    (cloned / "m/.env").unlink()
    assert lock(cloned, MODEL % ", allowSecrets: ['tests/*.key']").code == 0
    assert item(cloned)["asked"]["allowSecrets"] == ["tests/*.key"], "who approves the lock sees it"
    # A list that means nothing is a mistake, and without it the pin is not kept.
    assert "no-such-file" in lock(cloned, MODEL % ", allowSecrets: ['test/*.key']").err
    assert lock(cloned, MODEL % "").code == 2
    mistake = "  models:\n  - {repo: acme/m, allowSecrets: [a]}\n"
    assert "only for a directory" in lock(cloned, mistake).err


def test_a_local_file_with_a_secret_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "id", KEY)
    digest = hashlib.sha256(KEY).hexdigest()
    spec = f"  files:\n  - {{file: id, path: keys/id.pem, sha256: {digest}%s}}\n"
    said = lock(tmp_path, spec % "")
    assert (said.code, "a private key" in said.err) == (2, True)
    assert "does not match the path" in lock(tmp_path, spec % ", allowSecrets: [id]").err
    assert lock(tmp_path, spec % ", allowSecrets: [keys/id.pem]").code == 0
    assert item(tmp_path)["asked"] == {"allowSecrets": ["keys/id.pem"]}
