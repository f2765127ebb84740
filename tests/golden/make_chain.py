"""Makes the golden chain of a repository: `python -m tests.golden.make_chain FOLDER`. Needs git.

The result is checked in and never made again: Git bundles have other bytes with each version of git.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from airgap.base.progress import Silent
from airgap.content.lock import Lock
from airgap.kinds.git.packer import GitPacker
from airgap.kinds.git.request import GitRequest
from airgap.net.http import Client
from airgap.store.layout import Layout
from tests.worlds.git_sources import Work


def make(folder: Path, temp: Path) -> None:
    """A store and the lock of its newest state: two bundles of HEAD's branch, one of another branch."""
    work, store = Work(temp / "chain"), Layout(folder / "store", create=True)
    packer = GitPacker(temp / "work", Client(zone="connected"), Silent())
    work.commit("file", "one\n" * 100)
    work.git("tag", "-a", "v1", "-m", "one")
    request = GitRequest(url=str(work.path), name="openova/chain")
    store.publish({request.name: packer.pack(packer.resolve(request), store)})
    work.git("checkout", "--quiet", "-b", "topic")
    work.commit("topic", "topic\n")
    work.git("checkout", "--quiet", "main")
    work.commit("file", "one\n" * 101)
    item = packer.resolve(request)
    store.publish({request.name: packer.pack(item, store)})
    lock = Lock.of("chain", [replace(item, source="/srv/chain")])
    (folder / "chain.lock.json").write_bytes(lock.encode())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temp:
        make(Path(sys.argv[1]), Path(temp))
