"""Deliveries whose content was pulled for one lock and that carry another: everything in them is rightly signed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.cli.demo_content import make_content
from airgap.delivery.index import Index, Root
from airgap.statements.approval import Approvable, Approval, Approves
from airgap.statements.predicates import Pull, PulledItem
from tests.parts.system import NetworkNamespace
from tests.worlds.attacks import Files, World, make_world
from tests.worlds.git_sources import git
from tests.worlds.site import REQUEST

Document = dict[str, Any]

IMAGES = """\
  - {ref: 'oci:made:v1', name: 'demo.local/app:v1'}
  - {ref: 'oci:made:v1', name: 'demo.local/small:v1', platforms: [linux/amd64]}
"""


def make_kinds(folder: Path, netns: NetworkNamespace | None) -> World:
    """A world with all kinds, locked and pulled as `r`, and cut by the exporter as `media`.

    In `other.lock.json` and the delivery `other`, the branch main is one commit further.
    """
    world = make_world(folder, netns)
    manual = make_content(folder / "content")
    request = re.sub("sha256: [0-9a-f]{64}", f"sha256: {manual}", REQUEST.read_text())
    world.write("r.request.yaml", request.replace("  images:\n", f"  images:\n{IMAGES}"))
    world.trust(require="pull, delivery, approval")
    cut(world, "r", "media")
    repository = folder / "content/hello.git"
    commit = git("commit-tree", "-m", "another", "-p", "main", "main^{tree}", cwd=repository).strip()
    git("update-ref", "refs/heads/main", commit, cwd=repository)
    cut(world, "other", "other")
    return world


def cut(world: World, name: str, media: str, *more: str) -> None:
    """Locks the request as `name`, pulls, has it approved, and cuts."""
    world.run("lock", "r.request.yaml", "-o", f"{name}.lock.json")
    world.run("pull", f"{name}.lock.json", "--store", "store", "--key", "exporter.key")
    world.run("sign", f"{name}.lock.json", "--key", "officer.key", "--log", "officer.jsonl")
    world.cut(media, *more, lock=f"{name}.lock.json", who="exporter")


def document(world: World, name: str = "r") -> Document:
    """A lock, to be changed."""
    made: Document = json.loads((world.folder / f"{name}.lock.json").read_bytes())
    return made


def item(lock: Document, name: str) -> Document:
    """One item of it."""
    return next(one for one in lock["items"] if one["name"] == name)


def encoded(lock: Document) -> bytes:
    """Its bytes, as `lock` would write them."""
    return canonical({**lock, "items": sorted(lock["items"], key=lambda one: (one["kind"], one["name"]))}) + b"\n"


Roots = tuple[Root, ...]


def deliver(
    world: World, media: str, to: str, lock: bytes, *, roots: Callable[[Roots], Roots] = lambda roots: roots
) -> str:
    """A copy of a delivery for another lock: pulled, cut and approved for it, as far as the signers can tell.

    The exporter's key signs that everything in the lock was pulled, and the delivery; the officer approves the lock.
    `roots` changes what the exporter says that the roots are.
    """
    digest, said = Digest.of(lock), json.loads(lock)

    def honest(index: Index) -> Roots:
        git = [one.digest for one in index.contents.roots if one.kind == "git"]
        named = [
            (one["name"], one["kind"], one["root"]["digest"] if "root" in one else git[0]) for one in said["items"]
        ]
        return tuple(Root(name, kind, Digest(root)) for name, kind, root in named)

    def evidence(made: Roots) -> Callable[[Files], Files]:
        pull = Pull({one.item: PulledItem(one.digest, "pass", 1) for one in made})
        approval = Approval(Approves(Approvable.LOCK))
        signed = [world.statement(digest, pull, "exporter"), world.statement(digest, approval, "officer")]
        files = {f"locks/{digest.hex}.json": lock}
        return lambda _: files | {f"statements/{Digest.of(one).hex}.sigstore.json": one for one in signed}

    made = roots(honest(Index.decode((world.folder / media / "AIRGAP.json").read_bytes())))

    def index(old: Index) -> Index:
        return replace(old, contents=replace(old.contents, locks=(digest,), roots=made))

    return world.forge(media, to, evidence=evidence(made), index=index, who="exporter")
