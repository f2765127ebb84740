"""References to layouts and archives: each place is opened once, however many references lead into it."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import IntegrityError
from airgap.net.http import Client
from airgap.store.archive import Archive
from airgap.store.attached import find_attached
from airgap.store.locate import Reach
from tests.parts import images


@pytest.fixture
def made(tmp_path: Path) -> images.Layout:
    layout = images.Layout(tmp_path / "made")
    for tag in ("v1", "v2"):
        image = layout.tag(tag, layout.image({tag: tag.encode()}))
        layout.signature_tag(image)
        layout.tag("", layout.artifact("application/vnd.test", ("text/plain", b"x"), subject=image))
    return layout


@pytest.fixture
def reach(tmp_path: Path) -> Reach:
    (tmp_path / "spool").mkdir()
    http = Client({}, zone="connected", user_agent="test", max_connections=1)
    return Reach(http, tmp_path / "spool", tmp_path)


@pytest.mark.parametrize("scheme", ["oci", "oci-archive"])
def test_many_references_read_a_place_once(made: images.Layout, reach: Reach, tmp_path: Path, scheme: str) -> None:
    place = "made"
    if scheme == "oci-archive":
        place = "made.tar"
        with tarfile.open(tmp_path / place, "w") as archive:
            archive.add(made.folder, arcname="")
    one, two = (reach.locate(f"{scheme}:{place}:{tag}") for tag in ("v1", "v2"))
    assert one.source is two.source
    assert one.root.digest != two.root.digest
    for located in (one, two):
        found = find_attached(located.finder, [located.root.digest])
        assert [(each.how, each.subject) for each in found] == [
            ("referrer", located.root.digest),
            ("tag", located.root.digest),
        ]
    # What was read is known: nothing is looked up again, though all of it is gone.
    for path in (made.folder / "blobs/sha256").iterdir():
        path.unlink()
    assert find_attached(one.finder, [one.root.digest]) == find_attached(one.finder, [one.root.digest])
    if isinstance(one.source, Archive):
        one.source.close()


def test_a_damaged_referrer_is_an_error_of_its_own_for_each_who_asks(made: images.Layout, reach: Reach) -> None:
    """Each caller says in it whose it is."""
    located = reach.locate("oci:made:v1")
    digest = str(located.root.digest)
    broken = {
        "schemaVersion": 2,
        "mediaType": images.MANIFEST,
        "subject": {"mediaType": images.MANIFEST, "digest": digest, "size": 1},
    }
    written = made.document(broken, images.MANIFEST)
    made.path(written["digest"]).write_bytes(made.read(written["digest"]).replace(b'"size":1', b'"size":2'))
    said = []
    for _ in range(2):
        with pytest.raises(IntegrityError) as caught:
            find_attached(reach.locate("oci:made:v1").finder, [Digest(digest)])
        said.append(caught.value.what)
        assert caught.value.with_where("changed").what == f"changed: {said[-1]}"
    assert said[0] == said[1]
    assert "changed" not in said[0]
