"""Git repositories as content: refs are pinned, packed whole, and checked by really unpacking them."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import shutil
import subprocess
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError, IntegrityError, UpstreamError
from airgap.base.progress import Silent
from airgap.content.graph import Descriptor, read_node, walk
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.kinds.git import KIND
from airgap.kinds.git.graph import BUNDLE_TYPE, put_graph
from airgap.kinds.git.packer import GitPacker
from airgap.kinds.git.request import GitRequest
from airgap.net.http import Client
from airgap.store.memory import Memory
from airgap.tools.git import Git
from airgap.tools.git_bundle import read_header, unpack_bundle
from airgap.tools.git_repository import BareRepository
from airgap.tools.lfs import find_pointers, parse_pointer
from tests.worlds.effort import cases
from tests.worlds.git_sources import Work, git, refs

ALL = ("refs/heads/*", "refs/tags/*")


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "source")


@pytest.fixture
def kind(tmp_path: Path) -> GitPacker:
    return GitPacker(tmp_path / "workdir", Client(zone="connected"), Silent())


def request(work: Work | Path, refs: Sequence[str] = ALL, *, lfs: bool = False) -> GitRequest:
    path = work.path if isinstance(work, Work) else work
    return GitRequest(url=str(path), name="thing", refs=tuple(refs), lfs=lfs)


def bundle_of(store: Memory, root: Descriptor) -> bytes:
    (bundle,) = [x for x in read_node(store, root).children if x.media_type == BUNDLE_TYPE]
    return store.open(bundle).read()


def clone(store: Memory, root: Descriptor, folder: Path) -> Path:
    """What a person without airgap gets out of the bundle."""
    path = folder / "out.bundle"
    path.write_bytes(bundle_of(store, root))
    git("clone", "--quiet", "--mirror", path, folder / "out.git", cwd=folder)
    return folder / "out.git"


def test_lock_pins_unpeeled_ids_and_the_head(work: Work, kind: GitPacker) -> None:
    work.commit()
    work.git("tag", "light")
    work.git("tag", "-a", "v1", "-m", "one")
    work.git("tag", "-a", "nested", "-m", "two", "v1")
    work.git("update-ref", "refs/pull/1/head", "HEAD")
    item = kind.resolve(request(work))
    assert item.refs == {k: v for k, v in work.refs().items() if not k.startswith("refs/pull")}
    assert item.head == "refs/heads/main"
    assert work.git("cat-file", "-t", item.refs["refs/tags/nested"]).strip() == "tag"
    lock = Lock.of("x", [item])
    assert Lock.decode(lock.encode(), "x") == lock


def test_head_is_left_out_when_its_ref_is_not_carried(work: Work, kind: GitPacker) -> None:
    work.commit()
    work.git("tag", "v1")
    item = kind.resolve(request(work, ["refs/tags/v1"]))
    assert item.head == ""
    assert list(item.refs) == ["refs/tags/v1"]


def test_patterns(work: Work, kind: GitPacker) -> None:
    work.commit()
    for name in (
        "refs/tags/v1",
        "refs/tags/v2",
        "refs/tags/w",
        "refs/pull/7/head",
        "refs/notes/x",
        "refs/heads/a/b",
    ):
        work.git("update-ref", name, "HEAD")
    assert list(kind.resolve(request(work, ["refs/tags/v*"])).refs) == [
        "refs/tags/v1",
        "refs/tags/v2",
    ]
    assert "refs/heads/a/b" in kind.resolve(request(work, ["refs/heads/*"])).refs
    everything = kind.resolve(request(work, ["refs/*"])).refs
    assert "refs/notes/x" in everything
    assert "refs/pull/7/head" not in everything
    assert list(kind.resolve(request(work, ["refs/pull/*"])).refs) == ["refs/pull/7/head"]
    assert list(kind.resolve(request(work, ["HEAD"])).refs) == ["refs/heads/main"]
    assert list(kind.resolve(request(work, ["^refs/tags/v*"])).refs) == [
        "refs/heads/a/b",
        "refs/heads/main",
        "refs/tags/w",
    ]


@pytest.mark.parametrize("pattern", ["refs/heads/mian", "refs/tags/v*"])
def test_a_pattern_that_matches_nothing_is_refused(work: Work, kind: GitPacker, pattern: str) -> None:
    work.commit()
    with pytest.raises(InputError) as caught:
        kind.resolve(request(work, ["refs/heads/*", pattern]))
    assert caught.value.code == "git-no-ref"
    assert "refs/heads/main" in caught.value.hint


@pytest.mark.parametrize("pattern", ["main", "^main", "--upload-pack=touch /tmp/x", "refs/heads/a b", ""])
def test_a_pattern_that_is_no_ref_is_refused(work: Work, kind: GitPacker, pattern: str) -> None:
    work.commit()
    with pytest.raises(InputError, match="bad-ref"):
        kind.resolve(request(work, [pattern]))


@pytest.mark.parametrize(
    "url",
    ["-x", "--upload-pack=touch x", "ext::sh -c true", "git@host:x", "ssh://host/x", "relative/path",
     "/a\nb", "/nowhere"],
)  # fmt: skip
def test_sources_that_are_no_address_are_refused(kind: GitPacker, url: str) -> None:
    with pytest.raises(AirgapError) as caught:
        kind.resolve(GitRequest(url=url, name="x"))
    assert caught.value.code in ("bad-url", "git-not-found")


def test_pack_carries_annotated_nested_and_odd_tags(work: Work, kind: GitPacker, tmp_path: Path) -> None:
    first = work.commit()
    work.commit("other", "more\n")
    work.git("tag", "-a", "v1", "-m", "one", first)
    work.git("tag", "-a", "nested", "-m", "two", "v1")
    work.git("tag", "tree", f"{first}^{{tree}}")
    work.git("tag", "blob", f"{first}:file")
    item = kind.resolve(request(work))
    store = Memory()
    root = kind.pack(item, store)
    assert kind.check(item, root, store) == []
    assert refs(clone(store, root, tmp_path)) == work.refs()


def test_the_bundle_can_be_cloned_with_its_head(work: Work, kind: GitPacker, tmp_path: Path) -> None:
    work.commit()
    work.git("switch", "--quiet", "-c", "develop")
    work.commit("second", "x")
    store = Memory()
    root = kind.pack(kind.resolve(request(work)), store)
    (tmp_path / "b.bundle").write_bytes(bundle_of(store, root))
    git("clone", "--quiet", tmp_path / "b.bundle", tmp_path / "clone", cwd=tmp_path)
    assert (tmp_path / "clone" / "second").read_text() == "x"


def test_an_empty_repository_is_carried_without_a_bundle(work: Work, kind: GitPacker) -> None:
    item = kind.resolve(request(work))
    assert item.refs == {}
    store = Memory()
    root = kind.pack(item, store)
    assert kind.check(item, root, store) == []
    form = kind.form(item, root, store)
    assert (form.bundles, form.lfs, form.head, dict(form.refs)) == ((), (), "", {})


def test_many_refs(work: Work, kind: GitPacker, tmp_path: Path) -> None:
    work.commit()
    count = cases(300, 3000)
    work.many_refs(count)
    item = kind.resolve(request(work))
    store = Memory()
    root = kind.pack(item, store)
    assert kind.check(item, root, store) == []
    assert len(kind.form(item, root, store).refs) == count + 1


def test_sha256_repositories(tmp_path: Path, kind: GitPacker) -> None:
    work = Work(tmp_path / "sha256", object_format="sha256")
    work.commit()
    item = kind.resolve(request(work))
    assert len(item.refs["refs/heads/main"]) == 64
    store = Memory()
    root = kind.pack(item, store)
    assert kind.check(item, root, store) == []
    assert refs(clone(store, root, tmp_path)) == work.refs()


def test_the_same_refs_packed_twice_are_the_same_bytes(work: Work, kind: GitPacker) -> None:
    for number in range(20):
        work.commit(f"file{number}", f"{number}\n" * 100)
    item = kind.resolve(request(work))
    assert kind.pack(item, Memory()) == kind.pack(item, Memory())


def test_a_second_pull_after_more_history(work: Work, kind: GitPacker) -> None:
    work.commit()
    work.git("branch", "topic")
    store = Memory()
    kind.pack(kind.resolve(request(work)), store)
    # `topic` gives way to `topic/one`, which a file system can't hold beside it.
    work.git("branch", "-D", "topic")
    work.git("branch", "topic/one")
    work.commit("second", "x")
    item = kind.resolve(request(work))
    root = kind.pack(item, store)
    assert kind.check(item, root, store) == []
    assert set(kind.form(item, root, store).refs) == {"refs/heads/main", "refs/heads/topic/one"}


def test_a_second_pull_fetches_only_what_is_new(work: Work, kind: GitPacker, tmp_path: Path) -> None:
    for number in range(20):
        work.commit(f"file{number}", f"{number}\n")
    kind.pack(kind.resolve(request(work)), Memory())
    before = objects_in(tmp_path / "workdir")
    # Neither name is what it was, so nothing of what is here has the name that is asked for.
    work.git("branch", "-m", "main", "trunk")
    work.commit("second", "x")
    item = kind.resolve(request(work))
    root = kind.pack(item, store := Memory())
    assert kind.check(item, root, store) == []
    # The commit, its tree and its file; git may add a delta's base again.
    assert objects_in(tmp_path / "workdir") - before in (3, 4)
    (repository,) = (tmp_path / "workdir").glob("*.git")
    assert refs(repository) == work.refs()


def objects_in(folder: Path) -> int:
    (repository,) = folder.glob("*.git")
    counted = git("count-objects", "-v", cwd=repository)
    return int(dict(line.split(": ") for line in counted.splitlines())["in-pack"])


def test_the_locked_commit_is_carried_when_the_branch_moved_on(work: Work, kind: GitPacker) -> None:
    locked = work.commit()
    item = kind.resolve(request(work))
    work.commit("second", "x")
    store = Memory()
    root = kind.pack(item, store)
    assert kind.check(item, root, store) == []
    assert kind.form(item, root, store).refs == {"refs/heads/main": locked}


def test_moved_since_lock_names_both_when_the_locked_object_is_gone(work: Work, kind: GitPacker) -> None:
    locked = work.commit()
    item = kind.resolve(request(work))
    work.git("commit", "--quiet", "--amend", "--message", "rewritten")
    work.git("reflog", "expire", "--expire=now", "--all")
    work.git("gc", "--quiet", "--prune=now")
    with pytest.raises(UpstreamError) as caught:
        kind.pack(item, Memory())
    assert caught.value.code == "git-moved"
    assert locked in caught.value.what
    assert work.oid("HEAD") in caught.value.what


def test_shallow_sources_are_refused(work: Work, kind: GitPacker, tmp_path: Path) -> None:
    work.commit()
    work.commit("second", "x")
    git("clone", "--quiet", "--depth=1", f"file://{work.path}", tmp_path / "shallow", cwd=tmp_path)
    with pytest.raises(InputError, match="git-shallow"):
        kind.resolve(request(tmp_path / "shallow"))
    item = dataclasses.replace(kind.resolve(request(work)), source=str(tmp_path / "shallow"))
    with pytest.raises(InputError, match="git-shallow"):
        kind.pack(item, Memory())


def test_filtered_sources_are_refused(work: Work, kind: GitPacker, tmp_path: Path) -> None:
    work.commit()
    work.git("config", "uploadpack.allowFilter", "true")
    source = f"file://{work.path}"
    git(
        "clone",
        "--quiet",
        "--bare",
        "--filter=blob:none",
        source,
        tmp_path / "part.git",
        cwd=tmp_path,
    )
    with pytest.raises(InputError, match="git-partial"):
        kind.resolve(request(tmp_path / "part.git"))


def test_a_worktree_and_a_bare_repository_are_sources_too(work: Work, kind: GitPacker, tmp_path: Path) -> None:
    work.commit()
    work.git("worktree", "add", "--quiet", tmp_path / "tree", "-b", "other")
    assert kind.resolve(request(tmp_path / "tree")).refs == work.refs()
    git("clone", "--quiet", "--mirror", work.path, tmp_path / "bare.git", cwd=tmp_path)
    item = kind.resolve(request(tmp_path / "bare.git"))
    store = Memory()
    assert kind.check(item, kind.pack(item, store), store) == []


def test_a_damaged_source_is_refused(work: Work, kind: GitPacker) -> None:
    work.commit("file", "precious\n" * 100)
    item = kind.resolve(request(work))
    oid = work.oid("HEAD:file")
    path = work.path / ".git" / "objects" / oid[:2] / oid[2:]
    path.unlink()
    with pytest.raises(AirgapError):
        kind.pack(item, Memory())


def test_malformed_objects_are_refused(work: Work, kind: GitPacker) -> None:
    blob = work.git("hash-object", "-w", "--stdin", stdin="x").strip()
    raw = b"100644 .git\x00" + bytes.fromhex(blob)
    done = subprocess.run(
        ["git", "hash-object", "-t", "tree", "-w", "--stdin", "--literally"],
        cwd=work.path, input=raw, capture_output=True, check=True,
    )  # fmt: skip
    tree = done.stdout.decode().strip()
    commit = work.git("commit-tree", "-m", "evil", tree).strip()
    work.git("update-ref", "refs/heads/main", commit)
    item = kind.resolve(request(work))
    with pytest.raises(IntegrityError, match="git-corrupt"):
        kind.pack(item, Memory())


@pytest.mark.parametrize("where", [0.05, 0.3, 0.5, 0.7, 0.95])
def test_one_flipped_byte_in_the_bundle_is_found(work: Work, kind: GitPacker, tmp_path: Path, where: float) -> None:
    for number in range(5):
        work.commit(f"f{number}", f"{number}\n" * 200)
    store = Memory()
    data = bytearray(bundle_of(store, kind.pack(kind.resolve(request(work)), store)))
    data[int(len(data) * where)] ^= 0x01
    path = tmp_path / "b.bundle"
    path.write_bytes(data)
    repository = BareRepository(Git(tmp_path / "g"), tmp_path / "empty.git")
    repository.create("sha1")
    try:
        header = unpack_bundle(repository, path)
    except IntegrityError:
        return
    # In the header a flipped byte may give another good ref name: which is compared with the lock's.
    assert dict(header.refs) != work.refs()


def test_a_cut_bundle_is_found(work: Work, kind: GitPacker, tmp_path: Path) -> None:
    work.commit("f", "0123456789" * 1000)
    store = Memory()
    data = bundle_of(store, kind.pack(kind.resolve(request(work)), store))
    repository = BareRepository(Git(tmp_path / "g"), tmp_path / "empty.git")
    repository.create("sha1")
    for size in (10, len(data) // 2, len(data) - 21, len(data) - 1):
        (tmp_path / "b.bundle").write_bytes(data[:size])
        with pytest.raises(IntegrityError):
            unpack_bundle(repository, tmp_path / "b.bundle")


def test_a_bundle_whose_history_is_not_whole_is_refused(work: Work, tmp_path: Path) -> None:
    work.commit()
    work.commit("second", "x")
    work.git("bundle", "create", "--quiet", tmp_path / "b.bundle", "HEAD~1..main")
    repository = BareRepository(Git(tmp_path / "g"), tmp_path / "empty.git")
    repository.create("sha1")
    with pytest.raises(IntegrityError, match="git-prerequisite"):
        unpack_bundle(repository, tmp_path / "b.bundle")


def test_a_pack_with_a_missing_link_is_refused(work: Work, tmp_path: Path) -> None:
    work.commit()
    second = work.commit("second", "x")
    pack = subprocess.run(
        ["git", "pack-objects", "--stdout", "-q"], cwd=work.path, input=second.encode() + b"\n",
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    (tmp_path / "b.bundle").write_bytes(f"# v2 git bundle\n{second} refs/heads/main\n\n".encode() + pack)
    repository = BareRepository(Git(tmp_path / "g"), tmp_path / "empty.git")
    repository.create("sha1")
    with pytest.raises(IntegrityError):
        unpack_bundle(repository, tmp_path / "b.bundle")


@pytest.mark.parametrize(
    "header",
    [b"", b"# v4 git bundle\n\n", b"# v3 git bundle\n@filter=blob:none\n\n", b"# v2 git bundle\nrubbish\n\n",
     b"# v2 git bundle\n" + b"a" * 40 + b" ../../x\n\n", b"# v2 git bundle\n" + b"x" * 5000],
)  # fmt: skip
def test_bundle_headers_that_are_refused(header: bytes) -> None:
    with pytest.raises(IntegrityError):
        read_header(io.BytesIO(header), "b")


def test_check_compares_with_the_lock(work: Work, kind: GitPacker) -> None:
    work.commit()
    item = kind.resolve(request(work))
    store = Memory()
    root = kind.pack(item, store)
    other = dataclasses.replace(item, refs={"refs/heads/main": "b" * 40})
    assert kind.check(other, root, store) != []
    work.commit("second", "x")
    newer = kind.resolve(request(work))
    assert kind.check(newer, root, store) != []


def test_check_unpacks_what_the_config_only_claims(work: Work, kind: GitPacker) -> None:
    work.commit()
    item = kind.resolve(request(work))
    store = Memory()
    root = kind.pack(item, store)
    forged = _forge(store, root, "bundle", lambda data: data.replace(b"refs/heads/main", b"refs/heads/evil"))
    assert kind.check(item, forged, store) != []


def _forge(store: Memory, root: Descriptor, kind: str, change) -> Descriptor:  # type: ignore[no-untyped-def]
    """The same graph with one layer changed, all digests right."""
    node = read_node(store, root)
    (old,) = [x for x in node.children if kind in x.media_type]
    new = store.add(old.media_type, change(store.open(old).read()))
    data = node.data.replace(str(old.digest).encode(), str(new.digest).encode())
    data = data.replace(f'"size":{old.size}'.encode(), f'"size":{new.size}'.encode())
    return store.add(root.media_type, data)


def test_graphs_of_another_type_are_refused(kind: GitPacker) -> None:
    store = Memory()
    config = store.add("application/vnd.oci.empty.v1+json", b"{}")
    manifest = {"schemaVersion": 2, "config": config.as_dict(), "layers": []}
    root = store.add("application/vnd.oci.image.manifest.v1+json", canonical(manifest))
    item = Item(name="x", kind="git", source="/x")
    with pytest.raises(IntegrityError, match="bad-git-graph"):
        kind.form(item, root, store)


@pytest.mark.parametrize(
    ("source", "original"),
    [
        ("https://github.com/openova-io/openova", "github.com/openova-io/openova"),
        ("https://GitHub.com/openova-io/openova.git", "github.com/openova-io/openova"),
        ("http://host:3000/a/b.git/", "host:3000/a/b"),
        ("/srv/git/x.git", "thing"),
    ],
)
def test_the_original_name(kind: GitPacker, source: str, original: str) -> None:
    store = Memory()
    work_item = Item(name="thing", kind="git", source=source)
    root = put_graph(store, work_item, [], [])
    assert kind.form(work_item, root, store).original == original


# --- LFS ---------------------------------------------------------------------------------------

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n"


def test_lfs_objects_of_the_whole_history_are_carried(work: Work, kind: GitPacker) -> None:
    old, new = b"old" * 1000, b"new" * 2000
    work.lfs("weights.bin", old)
    work.lfs("weights.bin", new)
    item = kind.resolve(request(work, lfs=True))
    store = Memory()
    root = kind.pack(item, store)
    assert kind.check(item, root, store) == []
    form = kind.form(item, root, store)
    expected = {hashlib.sha256(data).hexdigest(): len(data) for data in (old, new)}
    assert {layer.digest.hex: layer.size for layer in form.lfs} == expected
    assert all(store.has(leaf) for leaf in walk(store, root) if isinstance(leaf, Descriptor))


def test_lfs_objects_that_are_missing_or_damaged_are_refused(work: Work, kind: GitPacker) -> None:
    work.lfs("weights.bin", b"x" * 5000)
    item = kind.resolve(request(work, lfs=True))
    (path,) = [x for x in (work.path / ".git/lfs/objects").rglob("*") if x.is_file()]
    path.chmod(0o644)
    path.write_bytes(b"y" * 5000)
    with pytest.raises(IntegrityError, match="digest-mismatch"):
        kind.pack(item, Memory())
    path.unlink()
    with pytest.raises(UpstreamError, match="lfs-missing"):
        kind.pack(item, Memory())


def test_left_out_lfs_objects_are_told(work: Work, tmp_path: Path) -> None:
    work.lfs("weights.bin", b"x" * 5000)
    notes = Notes()
    kind = GitPacker(tmp_path / "workdir", Client(zone="connected"), notes)
    item = kind.resolve(request(work))
    store = Memory()
    root = kind.pack(item, store)
    assert kind.form(item, root, store).lfs == ()
    assert "1 LFS objects are not carried" in notes.notes[0]


def test_check_finds_an_lfs_object_that_is_not_carried(work: Work, kind: GitPacker) -> None:
    work.lfs("weights.bin", b"x" * 5000)
    plain = kind.resolve(request(work))
    store = Memory()
    root = kind.pack(plain, store)
    assert kind.check(dataclasses.replace(plain, lfs=True), root, store) != []


def test_one_object_with_two_sizes_is_refused(work: Work, kind: GitPacker) -> None:
    work.commit("a", POINTER.format("a" * 64, 10))
    work.commit("b", POINTER.format("a" * 64, 11))
    with pytest.raises(IntegrityError, match="lfs-pointer"):
        kind.pack(kind.resolve(request(work, lfs=True)), Memory())


def test_a_tag_on_a_large_blob_is_not_held_in_memory(work: Work, tmp_path: Path) -> None:
    oid = work.lfs("large.bin", b"large")
    pointer = work.oid(f"{oid}:large.bin")
    big = tmp_path / "big"
    big.write_bytes(bytes(64 << 20))
    work.git("tag", "big", work.git("hash-object", "-w", big).strip())
    work.git("tag", "--annotate", "--message", "m", "noted", "big")
    work.git("tag", "pointer", pointer)
    repository = BareRepository(Git(tmp_path / "git"), work.path / ".git")
    tracemalloc.start()
    try:
        found = find_pointers(repository, refs(work.path).values())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == {hashlib.sha256(b"large").hexdigest(): 5}
    assert peak < 8 << 20


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (POINTER.format("a" * 64, 12), ("a" * 64, 12)),
        (POINTER.format("a" * 64, 12).replace("\n", "\r\n"), ("a" * 64, 12)),
        (POINTER.format("a" * 64, 12).replace("git-lfs", "hawser"), ("a" * 64, 12)),
        (POINTER.format("a" * 64, 12).replace("\noid", f"\next-0-foo sha256:{'b' * 64}\noid"), ("a" * 64, 12)),
        (POINTER.format("a" * 63, 12), None),
        (POINTER.format("a" * 64, -1), None),
        (POINTER.format("a" * 64, 12).replace("spec/v1", "spec/v9"), None),
        ("x" + POINTER.format("a" * 64, 12), None),
        ("", None),
    ],
)  # fmt: skip
def test_pointers(text: str, found: tuple[str, int] | None) -> None:
    assert parse_pointer(text.encode()) == found


def test_an_interrupted_pull_leaves_nothing_in_the_way(work: Work, kind: GitPacker) -> None:
    work.commit()
    item = kind.resolve(request(work))
    kind.pack(item, Memory())
    (cache,) = kind._workdir.glob("*.git")
    (cache / "objects/pack/tmp_pack_x").write_bytes(b"torn")
    (cache / "config").write_bytes(b"")
    kind.pack(item, Memory())
    shutil.rmtree(cache / "objects")
    store = Memory()
    assert kind.check(item, kind.pack(item, store), store) == []
    assert Digest(str(item.pin))


def test_what_gitea_refuses_is_told_when_locking() -> None:
    refs = {"refs/heads/main": "a" * 40, "refs/pull/1/head": "a" * 40, "refs/pull/2/head": "a" * 40}
    pulls, name = KIND.notes(Item("x", "git", "https://example.org/team/a.wiki", refs=refs, lfs=False))
    assert "refuse these 2 refs" in pulls
    assert "`example.org/team/a.wiki: ORGANIZATION/NAME`" in name
    assert KIND.notes(Item("x", "git", "https://example.org/team/.github", refs={}, lfs=False)) == []
