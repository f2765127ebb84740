"""A bare repository in a folder: that of the embedded Sovereign, or any folder that people clone from."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from airgap.base.digest import CHUNK, hash_stream
from airgap.base.disk import Filling, disk_errors, make_folder, replacing, sync_folder
from airgap.base.errors import AirgapError, NotFoundError, UpstreamError
from airgap.content.graph import Descriptor, Opener
from airgap.content.verified import verified
from airgap.destinations.git.place import Listing
from airgap.tools.git import Git, Remote
from airgap.tools.git_repository import BareRepository
from airgap.tools.lfs import object_path


class FolderPlace:
    """A `Place` at `root`/`at`.git."""

    can_set_head = True
    first_is_head = False

    def __init__(self, git: Git, root: Path, at: str) -> None:
        self.at = at
        self._root = root
        self._repository = BareRepository(git, root / f"{at}.git")
        self.remote = Remote(str(self._repository.path), side="destination")

    def look(self, *, to_write: bool = True) -> Listing | None:
        """See `Place.look`."""
        path = self._repository.path
        if not os.path.lexists(path):
            return None
        if path.is_symlink() or not self._repository.object_format():
            raise UpstreamError(
                "git-not-a-repository", f"{path}: not a bare repository", "move it out of the way", side="destination"
            )
        return Listing(
            self._repository.refs(),
            self._repository.head(),
            self._repository.resolve_symbolic("HEAD"),
            self._repository.object_format(),
        )

    def refuses(self, ref: str) -> str:
        """See `Place.refuses`."""
        return ""

    def check_new(self, object_format: str) -> None:
        """See `Place.check_new`. This git makes both formats."""

    def settle(self) -> None:
        """See `Place.settle`."""

    def ready(self, head: str, object_format: str) -> None:
        """See `Place.ready`. Made next to its place and moved there, so that an incomplete one is never visible."""
        path = self._repository.path
        if path.exists():
            return
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-") as temp:
                made = BareRepository(self._repository.git, Path(temp) / "new.git")
                made.create(object_format)
                if head:
                    made.set_head(head)
                made.path.rename(path)
            sync_folder(path.parent)

    def set_head(self, ref: str) -> None:
        """See `Place.set_head`."""
        self._repository.set_head(ref)

    def delete(self, ref: str, oid: str) -> AirgapError | None:
        """See `Place.delete`."""
        self._repository.git.run("update-ref", "-d", ref, oid, repository=self._repository.path)
        return None

    def lfs_present(self, objects: Sequence[Descriptor]) -> set[str]:
        """See `Place.lfs_present`. The check hashes the objects, so a damaged object counts as absent."""
        return {one.digest.hex for one in objects if self._lfs_good(one)}

    def _lfs_good(self, descriptor: Descriptor) -> bool:
        path = self._lfs_path(descriptor)
        if not path.is_file() or path.stat().st_size != descriptor.size:
            return False
        with disk_errors(path), path.open("rb") as file:
            return hash_stream(file)[0] == descriptor.digest

    def lfs_put(self, descriptor: Descriptor, opener: Opener) -> None:
        """See `Place.lfs_put`."""
        path = self._lfs_path(descriptor)
        make_folder(path.parent)
        with replacing(path) as fd, verified(opener(0), descriptor) as stream, disk_errors(path):
            file = Filling(fd)
            while piece := stream.read(CHUNK):
                file.write(memoryview(piece))
            os.fchmod(fd, 0o444)  # as git-lfs leaves it
        # A run that was killed may have made the folders without syncing them.
        with disk_errors(path):
            for folder in (path.parent.parent, path.parent.parent.parent):
                sync_folder(folder)

    def lfs_open(self, descriptor: Descriptor) -> BinaryIO:
        """See `Place.lfs_open`."""
        path = self._lfs_path(descriptor)
        if not path.is_file():
            raise NotFoundError("lfs-missing", f"{path}: missing", side="destination")
        with disk_errors(path):
            return path.open("rb")

    def _lfs_path(self, descriptor: Descriptor) -> Path:
        return object_path(self._repository.path, descriptor.digest.hex)
