"""index.json of an OCI layout: which roots it names. Read and parsed again only after a change.

Source: OCI image-spec v1.1.1, image-layout.md, "index.json file".
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from airgap.base.disk import Filling, disk_errors, replacing
from airgap.base.errors import IntegrityError, StoreError
from airgap.base.inputs import read_plain
from airgap.base.locks import locked
from airgap.base.strict_json import parse_json
from airgap.content.graph import ANNOTATION_REF_NAME, OCI_INDEX, Descriptor, descriptor_from

LOCK_FILE = ".index.lock"
MAX_INDEX = 64 << 20
"""Bytes of index.json: a hundred thousand roots."""


class _Entry:
    """An entry, as it is in the file. An import names thousands of roots one by one, so what is made of it is kept."""

    def __init__(self, value: Any, where: str) -> None:
        self.value = value
        self._where = where

    @property
    def name(self) -> Any:
        """Its name, `None` if it has none."""
        found = self.value.get("annotations")
        return found.get(ANNOTATION_REF_NAME) if isinstance(found, dict) else None

    @cached_property
    def descriptor(self) -> Descriptor:
        """Raises `IntegrityError`."""
        return descriptor_from(self.value, self._where)

    @cached_property
    def text(self) -> str:
        """Its JSON in the file."""
        return json.dumps(self.value, indent=1, sort_keys=True).replace("\n", "\n  ")


class IndexFile:
    """The file in the folder of a layout. Safe for several threads and processes at once."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "index.json"
        self._lock = folder / LOCK_FILE
        self._kept: tuple[tuple[int, int], list[_Entry]] = ((0, 0), [])
        """A version of the file, and its entries."""

    def create(self) -> None:
        """Writes a file without entries. The caller has locked the layout."""
        self._write([])

    def entries(self) -> list[Descriptor]:
        """The descriptors, with their annotations. Raises `IntegrityError`, `StoreError`."""
        return [one.descriptor for one in self._load()]

    def name(self, names: Mapping[str, Descriptor]) -> None:
        """Points names to roots, all at once. Entries with other names are unchanged."""
        with locked(self._lock):
            entries = [one for one in self._load() if one.name not in names]
            entries += [_Entry(_value(name, root), str(self.path)) for name, root in names.items()]
            self._write(entries)

    def forget(self, names: Collection[str]) -> None:
        """Removes the entries with these names, all at once."""
        with locked(self._lock):
            self._write([one for one in self._load() if one.name not in names])

    def _load(self) -> list[_Entry]:
        with disk_errors(self.path):
            version = _version(self.path.stat())
        if self._kept[0] != version:
            self._kept = (version, [_Entry(value, str(self.path)) for value in self._read()])
        return self._kept[1]

    def _read(self) -> list[dict[str, Any]]:
        with disk_errors(self.path):
            data = read_plain(self.path, MAX_INDEX, follow=True)
        if data is None:
            raise StoreError("bad-index", f"{self.path}: larger than {MAX_INDEX} bytes")
        document = parse_json(data, str(self.path))
        manifests = document.get("manifests") if isinstance(document, dict) else None
        if not isinstance(manifests, list) or not all(isinstance(one, dict) for one in manifests):
            raise IntegrityError("bad-index", f"{self.path}: not an image index")
        return manifests

    def _write(self, entries: list[_Entry]) -> None:
        listed = ",\n  ".join(one.text for one in entries)
        manifests = f"[\n  {listed}\n ]" if entries else "[]"
        text = f'{{\n "manifests": {manifests},\n "mediaType": "{OCI_INDEX}",\n "schemaVersion": 2\n}}\n'
        with replacing(self.path) as fd, disk_errors(self.path):
            Filling(fd).write(memoryview(text.encode()))
            # Before it has its name: what another program may put in its place is another version.
            version = _version(os.fstat(fd))
        self._kept = (version, entries)


def _version(found: os.stat_result) -> tuple[int, int]:
    """Every writer replaces the file, so new content has another inode or another time."""
    return found.st_ino, found.st_mtime_ns


def _value(name: str, root: Descriptor) -> dict[str, Any]:
    return {**root.as_dict(), "annotations": {**root.annotations, ANNOTATION_REF_NAME: name}}
