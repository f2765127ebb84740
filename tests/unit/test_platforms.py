"""`narrow`: which root a tag names when only some platforms of an index were carried."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError
from airgap.content.graph import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    by_platform,
    descriptor_from,
    walk,
)
from airgap.content.item import Attached
from airgap.content.platforms import arriving, narrow
from airgap.store.memory import Memory
from airgap.store.overlay import Overlay

AMD, ARM5, ARM7, ARM64 = "linux/amd64", "linux/arm/v5", "linux/arm/v7", "linux/arm64"


class Images:
    """A source of hand-made manifests and indexes."""

    def __init__(self) -> None:
        self.memory = Memory()

    def image(self, platform: str) -> dict[str, Any]:
        """The entry of an index for one platform."""
        config = self.memory.add(OCI_CONFIG, json.dumps({"for": platform}).encode())
        document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.as_dict(), "layers": []}
        made = self.memory.add(OCI_MANIFEST, json.dumps(document).encode())
        return {**made.as_dict(), "platform": _platform(platform)}

    def index(self, *entries: dict[str, Any], **more: Any) -> Descriptor:
        """An index of entries."""
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries), **more}
        return self.memory.add(OCI_INDEX, json.dumps(document).encode())


def _platform(name: str) -> dict[str, str]:
    return dict(zip(("os", "architecture", "variant"), name.split("/"), strict=False))


@pytest.fixture
def images() -> Images:
    return Images()


def listed(images: Images, root: Descriptor, platforms: Sequence[str]) -> list[str]:
    """The digests that the index for these platforms lists."""
    narrowed, node = narrow(images.memory, root, platforms)
    assert node is not None
    assert node.descriptor == narrowed
    assert Descriptor.of(narrowed.media_type, node.data) == narrowed
    return [entry["digest"] for entry in json.loads(node.data)["manifests"]]


def test_one_platform_is_its_child_unchanged(images: Images) -> None:
    amd, arm = images.image(AMD), images.image(ARM64)
    root = images.index(amd, arm)
    narrowed, node = narrow(images.memory, root, [ARM64])
    assert (str(narrowed.digest), narrowed.size, narrowed.media_type, node) == (
        arm["digest"], arm["size"], OCI_MANIFEST, None,
    )  # fmt: skip
    assert narrowed.platform == ""


def test_several_platforms_are_an_index_of_exactly_these_in_their_old_order(images: Images) -> None:
    amd, arm7, arm64 = (images.image(one) for one in (AMD, ARM7, ARM64))
    root = images.index(amd, arm7, arm64, annotations={"a": "b"})
    assert listed(images, root, [ARM64, AMD]) == [amd["digest"], arm64["digest"]]
    narrowed, node = narrow(images.memory, root, [ARM64, AMD])
    assert node is not None
    document = json.loads(node.data)
    assert document["annotations"] == {"a": "b"}
    assert document["manifests"] == [amd, arm64]
    assert (narrowed, node) == narrow(images.memory, root, [AMD, ARM64])  # the same every time


def test_an_architecture_means_all_its_variants(images: Images) -> None:
    amd, arm5, arm7, arm64 = (images.image(one) for one in (AMD, ARM5, ARM7, ARM64))
    root = images.index(amd, arm5, arm7, arm64)
    assert listed(images, root, ["linux/arm"]) == [arm5["digest"], arm7["digest"]]
    narrowed, _ = narrow(images.memory, root, [ARM7])
    assert str(narrowed.digest) == arm7["digest"]


@pytest.mark.parametrize("platforms", [(), (AMD, ARM64), ("linux",)])
def test_all_platforms_are_the_index_itself(images: Images, platforms: Sequence[str]) -> None:
    root = images.index(images.image(AMD), images.image(ARM64))
    assert narrow(images.memory, root, platforms) == (root, None)


@pytest.mark.parametrize("platforms", [["linux/s390x"], ["linux/amd"], ["windows/amd64"], [AMD, "linux/s390x"]])
def test_one_that_is_missing_is_refused_with_those_that_there_are(images: Images, platforms: Sequence[str]) -> None:
    root = images.index(images.image(AMD), images.image(ARM64))
    with pytest.raises(InputError) as caught:
        narrow(images.memory, root, platforms)
    assert caught.value.code == "no-platform"
    assert platforms[-1] in caught.value.what
    assert AMD in caught.value.hint
    assert ARM64 in caught.value.hint


def test_what_says_no_platform_is_left_out(images: Images) -> None:
    amd, unknown = images.image(AMD), images.image(ARM64)
    del unknown["platform"]
    narrowed, _ = narrow(images.memory, images.index(amd, unknown), [AMD])
    assert str(narrowed.digest) == amd["digest"]
    with pytest.raises(InputError, match="has nothing for"):
        narrow(images.memory, images.index(unknown), [AMD])


def test_a_nested_index_comes_along_by_its_own_platform(images: Images) -> None:
    amd, arm64, s390 = images.image(AMD), images.image(ARM64), images.image("linux/s390x")
    inner = images.index(amd)
    nested = {**inner.as_dict(), "platform": _platform(AMD)}
    root = images.index(nested, arm64, s390)
    narrowed, node = narrow(images.memory, root, [AMD])
    assert (narrowed, node) == (inner, None)
    assert listed(images, root, [AMD, ARM64]) == [str(inner.digest), arm64["digest"]]
    # Whole with what it lists: an index that a registry would take.
    narrowed, node = narrow(images.memory, root, [AMD, ARM64])
    assert node is not None
    made = Memory()
    made.add(narrowed.media_type, node.data)
    found = list(walk(Overlay(made, images.memory), narrowed))
    assert len(found) == 4 + 2  # two indexes, two manifests, two configs


def test_a_single_manifest_stays_as_it_is(images: Images) -> None:
    root = descriptor_from(images.image(AMD), "here")
    assert narrow(images.memory, root, [ARM64]) == (root, None)


def test_what_is_carried_of_an_index_is_what_its_tag_will_name(images: Images) -> None:
    """`walk` with the same platforms brings every node that the derived index lists."""
    root = images.index(*(images.image(one) for one in (AMD, ARM7, ARM64)))
    brought = {str(found.digest) for found in _descriptors(images, root)}
    assert set(listed(images, root, [AMD, ARM64])) <= brought


def _descriptors(images: Images, root: Descriptor) -> list[Descriptor]:
    found = walk(images.memory, root, by_platform([AMD, ARM64]))
    return [one if isinstance(one, Descriptor) else one.descriptor for one in found]


def test_an_index_that_is_damaged_is_not_narrowed(images: Images) -> None:
    root = images.index(images.image(AMD), images.image(ARM64))
    images.memory._blobs[root.digest] = b"x" * root.size
    with pytest.raises(AirgapError):
        narrow(images.memory, root, [AMD])


def test_what_is_attached_to_an_index_that_stays_outside_stays_with_all_that_hangs_on_it(images: Images) -> None:
    amd, arm = images.image(AMD), images.image(ARM64)
    root = images.index(amd, arm)
    inside, _ = narrow(images.memory, root, [AMD])

    def attached(name: str, subject: Digest) -> Attached:
        return Attached(subject, "referrer", Descriptor.of(OCI_MANIFEST, name.encode()))

    child = Digest(amd["digest"])
    on_root, on_child = attached("a", root.digest), attached("b", child)
    on_that, on_both = attached("c", on_root.descriptor.digest), attached("d", child)
    also_root = attached("d", root.digest)
    last = attached("e", on_both.descriptor.digest)
    everything = [on_root, on_child, on_that, on_both, also_root, last]
    assert arriving(everything, root.digest, inside.digest) == (on_child, on_both, last)
    assert arriving(everything, root.digest, root.digest) == tuple(everything)
