"""What a lock binds, where it is read: locks that earlier versions took and that are refused now, and what they say."""

from __future__ import annotations

import json
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


def _manifest(memory: Memory, name: str, subject: Descriptor | None = None) -> Descriptor:
    config = memory.add(OCI_CONFIG, json.dumps({"name": name}).encode()).as_dict()
    made = {"schemaVersion": 2, "config": config, "layers": [], **({"subject": subject.as_dict()} if subject else {})}
    return memory.add(OCI_MANIFEST, json.dumps(made).encode())


def test_what_is_attached_to_something_attached_belongs_too_in_any_order() -> None:
    memory = Memory()
    root, signature, sbom, stray = (_manifest(memory, name) for name in ("root", "sig", "sbom", "stray"))
    chain = [Attached(signature.digest, "referrer", sbom), Attached(root.digest, "referrer", signature)]
    sizes = check_attached(chain, {root.digest}, memory)
    assert {signature.digest, sbom.digest} < sizes.keys()
    circle = [Attached(sbom.digest, "referrer", stray), Attached(stray.digest, "referrer", sbom)]
    with pytest.raises(NotAsLockedError, match="is not part of this item"):
        check_attached(circle, {root.digest}, memory)
    with pytest.raises(NotAsLockedError, match="expected sha256-"):
        check_attached([Attached(root.digest, "tag", sbom, "latest")], {root.digest}, memory)
    assert check_attached([], frozenset({Digest.of(b"")}), memory) == {}


def test_what_is_attached_refers_to_nothing_else() -> None:
    """A registry lists a manifest under the subject that the manifest names, whatever the lock says of it."""
    memory = Memory()
    root, other = _manifest(memory, "root"), _manifest(memory, "other")
    good, evil = _manifest(memory, "good", root), _manifest(memory, "evil", other)
    assert check_attached([Attached(root.digest, "referrer", good)], {root.digest}, memory)
    with pytest.raises(NotAsLockedError, match=f"it refers to {other.digest}, which is not part of this item"):
        check_attached([Attached(root.digest, "referrer", evil)], {root.digest}, memory)
