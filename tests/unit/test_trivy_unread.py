"""What Trivy leaves out without a word is found in the layer itself."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile

import pytest

from airgap.base.untar import TarReader
from airgap.scanning.trivy.unread import MAX_LISTED, MAX_VALUES, UnreadFiles
from tests.parts.images import tar_members

FILE, HARD, SYMBOLIC, PIPE = tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE


def seen(*members: tuple[str, bytes, bytes | str]) -> UnreadFiles:
    """What is found in a layer of (path, type, content or target)."""
    reader, made = TarReader(io.BytesIO(tar_members(*members)), entries=100_000, total=1 << 30), UnreadFiles()
    for entry in reader:
        made.see(entry, reader)
    return made


def why(path: str, content: bytes) -> str:
    """Why one file is not read, `""` if it is."""
    return "".join(one.why for one in seen((path, FILE, content)).found)


def archive(comment: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
        made.comment = comment
    return buffer.getvalue()


GOOD = b'{"name": "lodash", "version": "4.17.4", "dependencies": {"a": "1"}}'


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        b" \n" + GOOD + b"more",
        b'{"name": "\xff", "version": "1"}'.replace(b"\xff", b"a"),
        b'{"version": "1", "description": "\xff \\ud83d"}',
        b'{"a": 1, "a": 2}',
        b'{"name": null, "dependencies": null}',
        b"{}",
        b"",
    ],
)
def test_package_json_that_is_read(content: bytes) -> None:
    assert why("app/node_modules/lodash/package.json", content) == ""


@pytest.mark.parametrize(
    "content",
    [
        b'{"name":"lodash",,}',
        b"\xef\xbb\xbf" + GOOD,
        b'{"name":"lodash","x":NaN}',
        b'{"name":"lodash","version":["4.17.4"]}',
        b'{"name":"lodash","version":"1","dependencies":[]}',
        b'{"name":"lodash","version":"1","devDependencies":{"a":1}}',
        b'{"name":"no spaces"}',
        b"[" * 100_000,
        b'{"name":"lodash","version":"1","x":[' + b"0," * MAX_VALUES + b"0]}",
        b"[]",
        b"x",
    ],
)
def test_package_json_that_is_left_out(content: bytes) -> None:
    assert why("app/node_modules/lodash/package.json", content)
    assert why("app/node_modules/lodash/other.json", content) == ""


def test_documents_of_other_ecosystems() -> None:
    composer = {"packages": [{"name": "a/b", "version": "1", "require": {"php": ">=7"}}]}
    path = "app/vendor/composer/installed.json"
    assert why(path, json.dumps(composer).encode()) == ""
    assert why(path, json.dumps([composer]).encode()) == "it is not a JSON object"  # Composer 1
    assert why(path, b'{"packages": [], "packages": []}')
    assert why(path, b'{"packages": [{"name": 1}]}')
    assert why("app/x.deps.json", b'{"libraries": {"a/1": {"type": "package"}}}') == ""
    assert why("app/x.deps.json", b'{"libraries": []}')
    assert why("opt/conda/conda-meta/zlib-1.2.11-h1.json", b'{"name": "zlib", "version": "1.2.11"}') == ""
    assert why("opt/conda/conda-meta/zlib-1.2.11-h1.json", b'{"name": "zlib", "version": 1.2}')


@pytest.mark.parametrize("name", ["a.jar", "a.WAR", "b/c.ear", "d.par"])
def test_java_archives(name: str) -> None:
    assert why(name, archive()) == ""
    assert why(name, archive(b"a comment PK\5\6 in it")) == ""
    assert why(name, b"#!/bin/sh\nexec java -jar $0\n" + archive()) == ""
    for broken in (b"PK\3\4" * 100, archive()[:-1], archive()[:-30], b"version https://git-lfs.github.com/spec/v1\n"):
        assert why(name, broken), broken
    assert seen((name, FILE, archive())).java
    assert not seen(("a.txt", FILE, archive())).java


@pytest.mark.parametrize(
    ("path", "kind", "target"),
    [
        ("app/node_modules/lodash/package.json", HARD, "store/ab12"),
        ("app/node_modules/lodash/package.json", SYMBOLIC, "../../../store/ab12"),
        ("var/lib/dpkg/status", HARD, "x/blob"),
        ("./var/lib/dpkg/status", SYMBOLIC, "/x/blob"),
        ("lib/apk/db/installed", SYMBOLIC, "installed.old"),
        ("var/lib/rpm/rpmdb.sqlite", HARD, "x"),
        ("app/a.jar", SYMBOLIC, "/dev/shm/a"),
        ("usr/lib/python3/dist-packages/a-1.dist-info/METADATA", HARD, "cache/1"),
    ],
)
def test_links_to_what_has_another_name(path: str, kind: bytes, target: str) -> None:
    """The scanner reads no links, and takes the target for something else."""
    [found] = seen((path, kind, target)).found
    assert target in found.why


@pytest.mark.parametrize(
    ("path", "kind", "target"),
    [
        ("app/node_modules/lodash/package.json", SYMBOLIC, "../../.pnpm/lodash@4/node_modules/lodash/package.json"),
        ("usr/share/java/a.jar", SYMBOLIC, "a-1.jar"),
        ("usr/share/java/a.jar", HARD, "./usr/share/java/a-1.JAR"),
        ("var/lib/rpm/rpmdb.sqlite", SYMBOLIC, "../../../usr/lib/sysimage/rpm/rpmdb.sqlite"),
        ("bin/sh", HARD, "bin/busybox"),
        ("loop", SYMBOLIC, "loop"),
        ("etc/os-release", SYMBOLIC, "../usr/lib/os-release"),
    ],
)
def test_links_that_hide_nothing(path: str, kind: bytes, target: str) -> None:
    assert seen((path, kind, target)).found == ()


def test_the_last_entry_of_a_path_counts() -> None:
    path = "node_modules/a/package.json"
    assert seen((path, FILE, b"{"), (path, FILE, GOOD)).found == ()
    assert [one.path for one in seen((path, FILE, GOOD), (path, HARD, "x")).found] == [path]
    assert [one.why for one in seen((path, PIPE, "")).found] == ["it is a device or a pipe"]


def test_many_are_counted_and_hostile_names_are_plain() -> None:
    made = seen(*((f"a\n\x1b[31m{number:03}/package.json", FILE, b"x") for number in range(50)))
    assert (len(made.found), made.more) == (MAX_LISTED, 50 - MAX_LISTED)
    assert all(one.path.isprintable() for one in made.found)
