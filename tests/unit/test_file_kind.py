"""Plain files: what the lock says, what is refused when locking, and where the bytes are read from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import InputError, IntegrityError, NotFoundError, UpstreamError
from airgap.content.copy import Copied, Copy, copy_graph
from airgap.content.graph import Descriptor, read_node
from airgap.content.item import Item, LockedFile
from airgap.kinds.file import KIND, FileRequest
from airgap.net.http import Client, Retries
from airgap.store.layout import Layout
from airgap.store.locate import Reach
from tests.parts.scripted import Answer, Scripted

DATA = b"hello, gap\n"
SUM = hashlib.sha256(DATA).hexdigest()
ROOT = "sha256:75bbc718a466b0744a91e5c883c6e2028524258f4c70959b6bf8b59a17d1ab75"
"""The root of DATA at docs/hello.txt. It must never change: locks that people have signed name it."""
Start = Callable[..., Scripted]


@pytest.fixture
def start() -> Iterator[Start]:
    """start(answers…) → a server that gives them in turn."""
    made: list[Scripted] = []

    def begin(*answers: Answer) -> Scripted:
        made.append(Scripted(*answers))
        return made[-1]

    yield begin
    for server in made:
        server.stop()


@pytest.fixture
def reach(tmp_path: Path) -> Reach:
    """The connected zone, with a lock in tmp_path."""
    http = Client(zone="connected", retries=Retries(attempts=2, base=0.0, jitter=0.0))
    return Reach(http, tmp_path / "spool", tmp_path)


def by_url(url: str, sha256: str = SUM) -> FileRequest:
    return FileRequest(name="hello", sha256=sha256, path="docs/hello.txt", url=url)


def local(folder: Path, data: bytes = DATA) -> FileRequest:
    path = folder / "hello.txt"
    path.write_bytes(data)
    return FileRequest(name="hello", sha256=SUM, path="docs/hello.txt", file=path)


def pull(item: Item, reach: Reach, folder: Path) -> Copied:
    assert item.root is not None
    (copied,) = copy_graph([Copy(item.name, KIND.source(item, reach), Layout(folder, create=True), item.root)])
    return copied


def test_the_root_of_a_file_stays_what_it_is(tmp_path: Path, reach: Reach) -> None:
    item = KIND.resolve(local(tmp_path), reach)
    assert item.root is not None
    assert str(item.root.digest) == ROOT
    assert item.files == (LockedFile("docs/hello.txt", Digest(f"sha256:{SUM}"), len(DATA)),)
    assert (item.kind, item.path) == ("file", "docs/hello.txt")
    assert item.source == f"file:{tmp_path / 'hello.txt'}"


def test_the_root_is_the_same_from_a_url(start: Start, reach: Reach) -> None:
    item = KIND.resolve(by_url(start(Answer(200, DATA)).url), reach)
    assert item.root is not None
    assert str(item.root.digest) == ROOT


def test_path_and_content_each_change_the_root(tmp_path: Path, reach: Reach) -> None:
    request = local(tmp_path)
    moved = KIND.resolve(replace(request, path="docs/other.txt"), reach)
    assert moved.root is not None
    assert str(moved.root.digest) != ROOT


def test_the_manifest_is_an_oci_artifact(tmp_path: Path, reach: Reach) -> None:
    item = KIND.resolve(local(tmp_path), reach)
    assert item.root is not None
    node = read_node(KIND.source(item, reach), item.root)
    config, layer = node.children
    assert node.artifact_type == "application/vnd.airgap.file.v1"
    assert config.media_type == "application/vnd.oci.empty.v1+json"
    title = {"org.opencontainers.image.title": "docs/hello.txt"}
    digest = Digest(f"sha256:{SUM}")
    assert layer == Descriptor("application/octet-stream", digest, len(DATA), title)
    assert item.bytes == item.root.size + config.size + layer.size


def test_a_local_file_with_another_digest_is_refused_with_both(tmp_path: Path, reach: Reach) -> None:
    other = b"something else"
    with pytest.raises(IntegrityError) as caught:
        KIND.resolve(local(tmp_path, other), reach)
    assert caught.value.code == "digest-mismatch"
    assert SUM in caught.value.what
    assert hashlib.sha256(other).hexdigest() in caught.value.what


def test_a_local_path_that_is_no_file_is_refused(tmp_path: Path, reach: Reach) -> None:
    request = local(tmp_path)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "hello.txt")
    for path in (link, tmp_path, tmp_path / "nothing"):
        with pytest.raises(InputError) as caught:
            KIND.resolve(replace(request, file=path), reach)
        assert caught.value.code == "not-a-file"


def test_the_size_is_asked_for_and_the_content_is_not(start: Start, reach: Reach) -> None:
    server = start(Answer(200, DATA))
    item = KIND.resolve(by_url(server.url), reach)
    assert item.files[0].size == len(DATA)
    assert [asked.method for asked in server.asked] == ["HEAD"]


@pytest.mark.parametrize("status", [403, 405, 501])
def test_a_server_that_refuses_head_is_read_once(start: Start, reach: Reach, status: int) -> None:
    server = start(Answer(status), Answer(200, DATA))
    item = KIND.resolve(by_url(server.url), reach)
    assert item.root is not None
    assert str(item.root.digest) == ROOT
    assert [asked.method for asked in server.asked] == ["HEAD", "GET"]


def test_what_was_read_to_count_it_is_compared_too(start: Start, reach: Reach) -> None:
    server = start(Answer(405), Answer(200, b"something else"))
    with pytest.raises(IntegrityError) as caught:
        KIND.resolve(by_url(f"{server.url}/hello.txt?signature=secret"), reach)
    assert caught.value.code == "digest-mismatch"
    assert "secret" not in str(caught.value)


def test_a_url_that_is_not_there_is_said_to_be_missing(start: Start, reach: Reach) -> None:
    with pytest.raises(NotFoundError):
        KIND.resolve(by_url(start(Answer(404)).url), reach)
    with pytest.raises(UpstreamError):
        KIND.resolve(by_url(start(Answer(500)).url), reach)


def test_a_path_below_the_locks_folder_is_read_from_there(tmp_path: Path, reach: Reach) -> None:
    item = KIND.resolve(local(tmp_path), reach)
    copied = pull(replace(item, source="file:hello.txt"), reach, tmp_path / "store")
    assert copied.error is None
    assert len(copied.outcomes) == 3


def test_content_that_changed_after_the_lock_is_not_stored(tmp_path: Path, start: Start, reach: Reach) -> None:
    flipped = bytes([DATA[0] ^ 1]) + DATA[1:]
    item = KIND.resolve(local(tmp_path), reach)
    (tmp_path / "hello.txt").write_bytes(flipped)
    remote = KIND.resolve(by_url(start(Answer(200, DATA), Answer(200, flipped)).url), reach)
    for number, one in enumerate((item, remote)):
        copied = pull(one, reach, tmp_path / f"store{number}")
        assert isinstance(copied.error, IntegrityError)
        assert copied.error.code == "digest-mismatch"
        assert not Layout(tmp_path / f"store{number}").has(KIND.expect(one).entries[one.path])


def test_the_lock_alone_gives_the_form(tmp_path: Path, reach: Reach) -> None:
    item = KIND.resolve(local(tmp_path), reach)
    assert item.root is not None
    made = KIND.form(item, item.root, KIND.source(item, reach))
    told = KIND.expect(item)
    assert (made.bucket, made.prefix, made.pointer) == ("files", "", None)
    assert dict(made.entries) == dict(told.entries)
    assert made.entries["docs/hello.txt"].annotations == told.entries["docs/hello.txt"].annotations
    assert told.root == item.root


def test_a_root_that_is_not_the_locks_is_found(tmp_path: Path, reach: Reach) -> None:
    item = KIND.resolve(local(tmp_path), reach)
    assert item.root is not None
    assert KIND.check(item, item.root, KIND.source(item, reach)) == []
    other = replace(item.root, digest=Digest.of(b"other"))
    assert ROOT in KIND.check(item, other, KIND.source(item, reach))[0]


def test_a_lock_without_the_file_is_refused(tmp_path: Path, reach: Reach) -> None:
    item = replace(KIND.resolve(local(tmp_path), reach), files=())
    with pytest.raises(InputError) as caught:
        KIND.source(item, reach)
    assert caught.value.code == "bad-lock"
