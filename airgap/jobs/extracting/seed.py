"""Everything that the seed phase needs, in k3s' layout: images, charts and files for nodes without a registry."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from airgap.base.disk import check_free, write_durably
from airgap.base.errors import InputError
from airgap.base.progress import Progress
from airgap.content.forms import Refs, Tree
from airgap.content.graph import Descriptor
from airgap.delivery.plan import Plan
from airgap.destinations.trees.keys import folders
from airgap.jobs.extracting.images import Image, plan_archive, prepare, write_archive
from airgap.jobs.extracting.target import OutputFile, check_staged, staged, write_file
from airgap.jobs.offer import Offered, Offering

IMAGES = "images"
CHARTS = "static/charts"
FILES = "files"
MANIFEST = "SEED.json"
SUMS = "SHA256SUMS"
MAX_NAME = 180
"""Characters of the name of an archive, without its ending."""
_ODD = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class SeedPart:
    """One item of the seed phase: an archive to write, or files to copy; by their paths below the folder."""

    offered: Offered
    digest: Descriptor
    image: Image | None
    plan: Plan | None
    files: tuple[tuple[str, Descriptor], ...]

    @property
    def size(self) -> int:
        """Bytes of what is written."""
        return self.plan.volumes[0].size if self.plan else sum(one.size for _, one in self.files)


@dataclass(frozen=True, slots=True)
class Seed:
    """All parts, and where they go."""

    to: Path
    parts: tuple[SeedPart, ...]
    platform: str = ""


def plan_seed(offer: Offering, offered: Iterable[Offered], to: Path, platform: str) -> Seed:
    """Decides what is written where, and checks the place. Reads manifests only.

    Raises `InputError` (`not-empty`, `no-image-name`, `no-seed-form`, `key-collision`, `key-conflict`), `StoreError`
    (`disk-full`).
    """
    check_staged(to)
    taken, parts = dict[str, str](), list[SeedPart]()
    for one in offered:
        part = _part(offer, one, platform)
        if part.image is not None and part.files[0][0] in taken:
            part = replace(part, files=((_other_path(part), part.files[0][1]),))
        parts.append(part)
        for path, _ in part.files:
            other = taken.setdefault(path, one.name)
            if other != one.name:
                what = f"{other!r} and {one.name!r} would both be {path}"
                raise InputError("key-collision", what, "leave one of them out, or rename it in the request")
    for path, name in taken.items():
        for folder in folders(path):
            if folder in taken:
                what = f"{taken[folder]!r} would be {folder}, a file, and {name!r} would be in a folder of that name"
                raise InputError("key-conflict", what, "leave one of them out, or rename it in the request")
    check_free(to, sum(part.size for part in parts) + 8192 * len(parts) + (1 << 20), "the seed phase")
    return Seed(to, tuple(parts), platform)


def _part(offer: Offering, one: Offered, platform: str) -> SeedPart:
    thing = one.kind.thing(one.name, one.root, offer.source)
    if isinstance(thing, Refs):
        what = f"{one.name!r} is a Git repository, which no node takes from a folder"
        raise InputError("no-seed-form", what, "extract it alone, without --phase")
    if isinstance(thing, Tree):
        below = CHARTS if one.kind.name == "chart" else FILES
        paths = [(f"{below}/{path}", descriptor) for path, descriptor in thing.entries.items()]
        if one.kind.name == "model":
            paths = [(f"{FILES}/{one.name}/{path}", descriptor) for path, descriptor in thing.entries.items()]
        return SeedPart(one, one.root, None, None, tuple(paths))
    image = prepare(one, offer.source, platform)
    if not image.full_name:
        what = f"{one.name!r} has no full name, so containerd would import it without any name"
        hint = "name it in full in the request, such as registry.local/team/app:1.0, and lock it again"
        raise InputError("no-image-name", what, hint)
    plan = plan_archive([image])
    path = f"{IMAGES}/{_file_name(image.full_name)}.tar"
    return SeedPart(one, image.root, image, plan, ((path, Descriptor("", image.root.digest, plan.volumes[0].size)),))


def _other_path(part: SeedPart) -> str:
    path, root = part.files[0]
    return f"{path.removesuffix('.tar')}-{root.digest.hex[:12]}.tar"


def _file_name(full: str) -> str:
    return _ODD.sub("_", full)[-MAX_NAME:].lstrip("._-")


def write_seed(seed: Seed, offer: Offering, progress: Progress) -> tuple[OutputFile, ...]:
    """Writes everything; the folder appears when it is whole. Returns its files.

    Raises `IntegrityError`, `NotFoundError`, `StoreError`.
    """
    progress.start("extract", sum(part.size for part in seed.parts), len(seed.parts))
    written: dict[str, tuple[SeedPart, OutputFile]] = {}
    with staged(seed.to) as partial:
        new = partial / "new"
        for part in seed.parts:
            progress.item(part.offered.name)
            for path, descriptor in part.files:
                target = new / path
                target.parent.mkdir(parents=True, exist_ok=True)
                if part.image is not None and part.plan is not None:
                    made = write_archive(part.plan, [part.image], target, progress)
                    written[path] = (part, OutputFile(path, made.sha256, made.size))
                else:
                    write_file(offer.source, descriptor, target)
                    progress.advance(descriptor.size)
                    written[path] = (part, OutputFile(path, descriptor.digest.hex, descriptor.size))
            progress.done(part.offered.name, "written")
        files = [one for _, one in written.values()]
        manifest = json.dumps(_manifest(seed, written), indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"
        write_durably(new / MANIFEST, manifest)
        sums = "".join(f"{one.sha256}  {one.path}\n" for one in sorted(files, key=lambda one: one.path))
        write_durably(new / SUMS, sums.encode())
    return tuple(files)


def _manifest(seed: Seed, written: dict[str, tuple[SeedPart, OutputFile]]) -> dict[str, Any]:
    items: dict[str, dict[str, Any]] = {}
    for part, file in written.values():
        entry = items.setdefault(part.offered.name, _described(part))
        entry["files"].append(file.as_dict())
    return {
        "apiVersion": "airgap.openova.io/v1alpha1",
        "kind": "Seed",
        "platform": seed.platform,
        "items": list(items.values()),
    }


def _described(part: SeedPart) -> dict[str, Any]:
    made: dict[str, Any] = {"name": part.offered.name, "kind": part.offered.kind.name, "files": []}
    made["digest"] = str(part.digest.digest)
    if part.image is not None:
        made["image"] = part.image.full_name
    return made
