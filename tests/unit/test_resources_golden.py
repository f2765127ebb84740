"""Named mistakes and the exact words that answer them: tests/golden/resources/*.txt.

A case begins with `=== name`; the lines that begin with `=> ` are the expected message, all others are the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from airgap.base.errors import InputError
from airgap.resources import document
from airgap.resources.load import (
    load_policy,
    load_request,
    load_sovereign,
    load_trust,
    load_upstreams,
)

GOLDEN = Path(__file__).parent.parent / "golden" / "resources"
LOADERS: dict[str, Callable[..., Any]] = {
    "yaml": load_request,
    "request": load_request,
    "upstreams": load_upstreams,
    "sovereign": load_sovereign,
    "trust": load_trust,
    "policy": load_policy,
}


def cases() -> Iterator[Any]:
    for group in LOADERS:
        for part in ("\n" + (GOLDEN / f"{group}.txt").read_text()).split("\n=== ")[1:]:
            name, *lines = part.rstrip("\n").split("\n")
            message = "\n".join(line[3:] for line in lines if line.startswith("=> "))
            data = "".join(f"{line}\n" for line in lines if not line.startswith("=> "))
            yield pytest.param(group, data, message, id=f"{group}: {name}")


def key_files(folder: Path) -> None:
    """The key files that the Trust cases name."""
    keys = [derive_private_key(number, SECP256R1()) for number in (1, 2, 3)]
    for key, name in zip(keys, ("exporter", "station", "third"), strict=True):
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pub").write_bytes(pem)
    exporter, station = (folder / "exporter.pub").read_bytes(), (folder / "station.pub").read_bytes()
    private = keys[0].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "private.key").write_bytes(private)
    (folder / "exporter-crlf.pub").write_bytes(b"of 2026\r\n" + exporter.replace(b"\n", b"\r\n"))
    (folder / "two.pub").write_bytes(exporter + station)
    (folder / "junk.pub").write_bytes(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    (folder / "large.pub").write_bytes(b"#" * (64 << 10) + exporter)
    (folder / "folder").mkdir()
    (folder / "roots").mkdir()
    (folder / "roots" / "sigstore.json").write_bytes(b"{}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("keys")
    key_files(made)
    return made


@pytest.fixture(params=["libyaml", "python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of PyYAML's parsers: the words must not hang on which one is installed."""
    if request.param == "python":
        monkeypatch.setattr(document, "LOADER", yaml.SafeLoader)


@pytest.mark.parametrize(("group", "data", "message"), list(cases()))
def test_mistake_is_answered_in_these_words(folder: Path, parser: None, group: str, data: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        LOADERS[group](data.encode(), base_dir=folder, label=f"{group}.yaml")
    assert caught.value.what.replace(str(folder), "BASE") == message
    assert caught.value.code == "bad-resource"


def test_no_message_holds_a_secret() -> None:
    for group in LOADERS:
        text = (GOLDEN / f"{group}.txt").read_text()
        assert not [line for line in text.split("\n") if line.startswith("=> ") and "hunter2" in line]
