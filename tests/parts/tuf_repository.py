"""A small TUF repository with a Sigstore trusted root in it, signed by keys of its own, served on loopback."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.parts.web import Handler, Server

YEAR = timedelta(days=365)
TARGET = "trusted_root.json"


class TufRepository:
    """Publishes into `folder`; every `publish` makes the next version of timestamp, snapshot and targets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._make_signer = import_module("securesystemslib.signer").CryptoSigner.generate_ecdsa
        self._api: Any = import_module("tuf.api.metadata")
        soon = datetime.now(UTC) + YEAR
        roles = ("root", "timestamp", "snapshot", "targets")
        self._signers = {role: self._make_signer() for role in roles}
        made = {role: self._api.Metadata(getattr(self._api, role.title())(version=1, expires=soon)) for role in roles}
        self._metadata, self._root = made, made["root"]
        for role, signer in self._signers.items():
            self._root.signed.add_key(signer.public_key, role)
        self._published = 0
        (folder / "targets").mkdir(parents=True)
        self._write_root()

    @property
    def first_root(self) -> bytes:
        """The root.json with which the chain begins."""
        return (self.folder / "1.root.json").read_bytes()

    def rotate(self, role: str) -> None:
        """A new key for `role`, and a new root.json that says so, signed by the root key of before and of now."""
        before, after = self._signers[role], self._make_signer()
        self._root.signed.revoke_key(before.public_key.keyid, role)
        self._root.signed.add_key(after.public_key, role)
        self._root.signed.version += 1
        root_before, self._signers[role] = self._signers["root"], after
        self._write_root(root_before)

    def publish(self, trusted_root: bytes, *, life: timedelta = YEAR) -> None:
        """The next version, whose timestamp lives for `life`."""
        self._published += 1
        number = self._published
        target = self._api.TargetFile.from_data(TARGET, trusted_root, ["sha256"])
        (self.folder / "targets" / f"{target.hashes['sha256']}.{TARGET}").write_bytes(trusted_root)
        self._metadata["targets"].signed.targets = {TARGET: target}
        self._metadata["snapshot"].signed.meta = {"targets.json": self._api.MetaFile(number)}
        self._metadata["timestamp"].signed.snapshot_meta = self._api.MetaFile(number)
        self._metadata["timestamp"].signed.expires = datetime.now(UTC).replace(microsecond=0) + life
        self._write("targets", f"{number}.targets.json", number)
        self._write("snapshot", f"{number}.snapshot.json", number)
        self._write("timestamp", "timestamp.json", number)

    def sign_with_a_strangers_key(self) -> None:
        """The timestamp is signed by a key that no root.json names."""
        self._signers["timestamp"] = self._make_signer()

    def _write(self, role: str, name: str, number: int) -> None:
        metadata = self._metadata[role]
        metadata.signed.version = number
        metadata.sign(self._signers[role])
        metadata.to_file(str(self.folder / name))

    def _write_root(self, before: Any = None) -> None:
        self._root.sign(self._signers["root"])
        if before is not None:
            self._root.sign(before, append=True)
        self._root.to_file(str(self.folder / f"{self._root.signed.version}.root.json"))


def serve(folder: Path) -> Server:
    """Serves the files of a folder, also to those who take it for a proxy; the caller stops it."""

    class Files(Handler):
        def do_GET(self) -> None:
            path = folder / urlsplit(self.path).path.lstrip("/")
            if ".." in path.parts or not path.is_file():
                return self.answer(404)
            return self.answer(200, path.read_bytes())

    return Server(Files)
