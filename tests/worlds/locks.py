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
from airgap.delivery.contents import Root
from airgap.delivery.index import Index
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
    world: World, media: str, to: str, *locks: bytes, roots: Callable[[Roots], Roots] = lambda roots: roots
) -> str:
    """A copy of a delivery for other locks: pulled, cut and approved for them, as far as the signers can tell.

    The exporter's key signs that everything in the locks was pulled, and the delivery; the officer approves the locks.
    `roots` changes what the exporter says that the roots are.
    """
    old = Index.decode((world.folder / media / "AIRGAP.json").read_bytes()).contents
    git = [one.digest for one in old.roots if one.kind == "git"]
    items = {one["name"]: one for lock in locks for one in json.loads(lock)["items"]}
    digests = [Digest(one["root"]["digest"]) if "root" in one else git[0] for one in items.values()]
    pairs = zip(items.values(), digests, strict=True)
    made = roots(tuple(Root(one["name"], one["kind"], digest) for one, digest in pairs))
    files: Files = {}
    for lock in locks:
        digest, own = Digest.of(lock), {one["name"] for one in json.loads(lock)["items"]}
        files[f"locks/{digest.hex}.json"] = lock
        pull = Pull({one.item: PulledItem(one.digest, "pass", 1) for one in made if one.item in own})
        approval = Approval(Approves(Approvable.LOCK))
        for signed in (world.statement(digest, pull, "exporter"), world.statement(digest, approval, "officer")):
            files[f"statements/{Digest.of(signed).hex}.sigstore.json"] = signed
    contents = replace(old, locks=tuple(map(Digest.of, locks)), roots=made)
    return world.forge(
        media, to, evidence=lambda _: files, index=lambda index: replace(index, contents=contents), who="exporter"
    )
