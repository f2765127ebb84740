"""What a lock binds, where it is read: locks that earlier versions took and that are refused now, and what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import InputError, NotAsLockedError
from airgap.content.bound import check_attached
from airgap.content.graph import OCI_CONFIG, OCI_MANIFEST, Descriptor
from airgap.content.item import Attached
from airgap.content.lock import Lock
from airgap.store.memory import Memory

REFUSED = Path(__file__).parents[1] / "golden/locks/refused"
SAYS = {
    "attached-referrers-tag": "tag: got 'sha256-",
    "attached-tag": "tag: got '1.27', expected sha256-",
    "attached-to-nothing": f"its subject sha256:{'0' * 64} is not part of this item",
    "attached-twice": "not in order, or one is listed twice",
    "converted": "converted: got True, but the source is",
    "file-path": "path: got 'other', but its file is 'manuals/hello/manual.txt'",
    "git-head": "head: 'refs/heads/none' is none of its refs",
    "half-a-surrogate-pair": "half of a surrogate pair",
    "inside-without-platforms": "but the item has no platforms",
    "model-file": "root: got",
    "model-revision": "revision: got 'main', expected",
    "name-too-long": "metadata: name: got 256 characters, expected 1 to 255",
    "number-too-large": "size: got 1152921504606846976, expected a whole number",
    "platform-twice": "platforms: got 'linux/arm64, linux/arm64', expected os/architecture[/variant]",
    "type-flag": "lfs: got str, expected true or false",
    "type-platforms": "platforms[0]: got int, expected a string",
}


@pytest.mark.parametrize("path", sorted(REFUSED.iterdir()), ids=lambda path: path.name.split(".")[0])
def test_a_lock_that_contradicts_itself_is_refused(path: Path) -> None:
    with pytest.raises(InputError) as caught:
        Lock.decode(path.read_bytes(), "lock")
    assert (caught.value.code, SAYS[path.name.split(".")[0]] in caught.value.what) == ("bad-lock", True), caught.value
    assert caught.value.hint


def _manifest(memory: Memory, name: bytes) -> Descriptor:
    config = memory.add(OCI_CONFIG, b'{"name":"%s"}' % name)
    data = b'{"schemaVersion":2,"config":{"mediaType":"%s","digest":"%s","size":%d},"layers":[]}'
    return memory.add(OCI_MANIFEST, data % (OCI_CONFIG.encode(), config.digest.encode(), config.size))


def test_what_is_attached_to_something_attached_belongs_too_in_any_order() -> None:
    memory = Memory()
    root, signature, sbom, stray = (_manifest(memory, name) for name in (b"root", b"sig", b"sbom", b"stray"))
    chain = [Attached(signature.digest, "referrer", sbom), Attached(root.digest, "referrer", signature)]
    sizes = check_attached(chain, {root.digest}, memory)
    assert {signature.digest, sbom.digest} < sizes.keys()
    circle = [Attached(sbom.digest, "referrer", stray), Attached(stray.digest, "referrer", sbom)]
    with pytest.raises(NotAsLockedError, match="is not part of this item"):
        check_attached(circle, {root.digest}, memory)
    with pytest.raises(NotAsLockedError, match="expected sha256-"):
        check_attached([Attached(root.digest, "tag", sbom, "latest")], {root.digest}, memory)
    assert check_attached([], frozenset({Digest.of(b"")}), memory) == {}
