"""`FolderOutlet`: gives deliveries to a box that copies a folder one way."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from airgap.base.digest import CHUNK
from airgap.base.disk import Filling, disk_errors, make_folder, replacing, sync_folder, write_durably
from airgap.base.errors import InputError, IntegrityError
from airgap.delivery import readme as people
from airgap.delivery.fields import INDEX_NAME
from airgap.delivery.index import README_NAME, SIGNATURES, SUMS_NAME
from airgap.delivery.on_media import hash_file, open_on_media
from airgap.diode.beats import Beat
from airgap.diode.frames import SESSION, FrameKind, FrameWriter
from airgap.diode.outgoing import Outgoing
from airgap.diode.received import folder_name
from airgap.diode.stream.carriers import FileCarrier
from airgap.diode.stream.sender import StreamSender

BEAT_NAME = "airgap-beat.ags"
"""The file of the last beat. Boxes copy a file again when it changes."""
STREAM_SUFFIX = ".ags"
"""The end of the name of a file with frames."""


class FolderOutlet:
    """A folder that a box copies. Each file appears under its name when it is whole."""

    def __init__(self, folder: Path, secret: bytes) -> None:
        """Raises `InputError` (`bad-road`) if there is no such folder: a box copies one that is there."""
        if not folder.is_dir():
            raise InputError("bad-road", f"there is no folder {folder}", "name the folder that the box copies")
        self._folder, self._secret = folder, secret

    def send(self, outgoing: Outgoing, advance: Callable[[int], None]) -> None:
        """Writes a delivery into a folder of its own, or what a resend code asks for into one file of frames.

        Raises `IntegrityError` (`damaged-file`, `unreadable`), `StoreError`.
        """
        name = folder_name(outgoing.index.journey, outgoing.digest)
        if outgoing.is_part:
            self._send_part(outgoing, self._folder / f"{name}-{secrets.token_hex(4)}{STREAM_SUFFIX}", advance)
            return
        folder = self._folder / name
        make_folder(folder / SIGNATURES)
        for signature, data in outgoing.media.signatures.items():
            write_durably(folder / SIGNATURES / signature.partition(" ")[0], data)
        write_durably(folder / INDEX_NAME, outgoing.media.index_bytes)
        for number in outgoing.order():
            self._copy(outgoing, number, folder, advance)
        readme = people.readme(outgoing.index, outgoing.media.index_bytes)
        write_durably(folder / README_NAME, readme)
        write_durably(folder / SUMS_NAME, people.sums(outgoing.index, outgoing.media.index_bytes, readme))

    def _copy(self, outgoing: Outgoing, number: int, folder: Path, advance: Callable[[int], None]) -> None:
        path, file = outgoing.paths[number], outgoing.files[number]
        source = open_on_media(path)
        try:
            partial = folder / f".{file.name}.partial"  # what a kill leaves is overwritten
            with disk_errors(folder), replacing(folder / file.name, partial=partial) as fd:
                target = Filling(fd)
                while data := os.pread(source, CHUNK, target.at):
                    target.write(memoryview(data))
                    advance(len(data))
        finally:
            os.close(source)
        if hash_file(folder / file.name, file.size) != file.sha256:
            (folder / file.name).unlink(missing_ok=True)
            hint = "have the delivery cut again, and send that"
            raise IntegrityError("damaged-file", f"{path}: its bytes are not those of {INDEX_NAME}", hint)

    def _send_part(self, outgoing: Outgoing, path: Path, advance: Callable[[int], None]) -> None:
        with disk_errors(path), replacing(path) as fd:
            sender = StreamSender(FileCarrier(os.dup(fd), str(path)), self._secret)
            sender.send(outgoing, 1, advance)
            sender.close()

    def beat(self, beat: Beat) -> None:
        """Replaces the file of the last beat. Raises `StoreError`."""
        writer = FrameWriter(self._secret, secrets.token_bytes(SESSION))
        write_durably(self._folder / BEAT_NAME, writer.frame(FrameKind.BEAT, beat.encode()))

    def close(self) -> None:
        """Syncs the folder."""
        with disk_errors(self._folder):
            sync_folder(self._folder)
