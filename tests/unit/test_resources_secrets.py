"""Secret files: what is taken, who may have access, and that no error holds any of the content."""

from __future__ import annotations

import argparse
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.base.errors import InputError
from airgap.base.secrets import MAX_SECRET, read_private, read_secret
from airgap.cli.context import Context
from tests.parts.need import require_root


def put(path: Path, data: bytes, mode: int = 0o600) -> Path:
    """A file with this content and mode."""
    path.write_bytes(data)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("data", "secret"),
    [
        (b"hunter2", "hunter2"),
        (b"hunter2\n", "hunter2"),
        (b"hunter2\r\n", "hunter2"),
        (b" with spaces \n", " with spaces "),
        ("pässwörd\n".encode(), "pässwörd"),
        (b"x" * MAX_SECRET, "x" * MAX_SECRET),
    ],
)
def test_one_newline_at_the_end_does_not_count(tmp_path: Path, data: bytes, secret: str) -> None:
    assert read_secret(put(tmp_path / "secret", data)) == secret


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"hunter2\n\n", "several lines"),
        (b"hunter2\r\nX-Evil: 1\n", "several lines"),
        (b'{"secret":\n"hunter2"}', "several lines"),
        (b"hunter2\0", "control characters"),
        (b"hunter2\xff", "is not text"),
        (b"hunter2" * MAX_SECRET, "more than 65536 bytes"),
    ],
)
def test_bad_secrets_are_refused_without_showing_them(tmp_path: Path, data: bytes, what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        read_secret(put(tmp_path / "file", data))
    assert caught.value.code == "bad-secret-file"
    assert "hunter2" not in repr(caught.value)
    assert caught.value.__cause__ is None


def test_json_may_have_several_lines_where_it_is_expected(tmp_path: Path) -> None:
    path = put(tmp_path / "robot.json", b'{\n  "name": "robot"\n}\n')
    assert read_secret(path, may_be_json=True) == '{\n  "name": "robot"\n}'
    with pytest.raises(InputError):
        read_secret(put(path, b"two\nlines"), may_be_json=True)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent' cannot be read: No such file") as caught:
        read_secret(tmp_path / "absent", "password")
    assert caught.value.code == "password-missing"


@pytest.mark.parametrize("mode", [0o640, 0o440, 0o604, 0o620, 0o610, 0o601, 0o644])
def test_a_file_of_ours_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = put(tmp_path / "mine", b"hunter2", mode)
    link = tmp_path / "link"
    link.symlink_to(path)
    for way in (path, link):
        with pytest.raises(InputError) as caught:
            read_secret(way, "password")
        assert caught.value.code == "password-readable"
        assert f"chmod 600 {way}" in caught.value.hint


def test_what_is_not_a_file_is_refused_without_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    for path in (tmp_path, pipe):
        with pytest.raises(InputError) as caught:
            read_private(path, "key")
        assert caught.value.code == "key-not-file"


def test_the_password_of_a_key_is_a_secret_like_any_other(tmp_path: Path) -> None:
    path = put(tmp_path / "pw", b"hunter2\n")
    context, arguments = Context({}), argparse.Namespace(key_password_file=path)
    assert context.password(arguments, Path("a.key")) == b"hunter2"
    path.chmod(0o640)
    with pytest.raises(InputError) as caught:
        context.password(arguments, Path("a.key"))
    assert caught.value.code == "password-readable"


# --- as somebody else, as in a pod ---------------------------------------------------------------

UID, GID, FS_GROUP, OTHER_GROUP = 10001, 10001, 2000, 3000
# All is imported before the rights are given up: the interpreter may lie where only root can read.
AS_ANOTHER = """
import os, sys
from pathlib import Path
from airgap.base.errors import InputError
from airgap.base.secrets import read_secret
os.chdir(sys.argv[1])
os.setgroups([int(group) for group in sys.argv[2].split(",") if group])
os.setresgid(*[int(sys.argv[3])] * 3)
os.setresuid(*[int(sys.argv[4])] * 3)
try:
    print(read_secret(Path("secret")))
except InputError as error:
    print(error.code)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users can reach, which they cannot with pytest's own."""
    require_root("files of other users")
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


def place(folder: Path, owner: int, group: int, mode: int) -> Path:
    """The secret, as somebody mounted it."""
    path = put(folder / "secret", b"hunter2")
    os.chown(path, owner, group)
    path.chmod(mode)
    return path


def read_as(folder: Path, uid: int, gid: int, *groups: int) -> str:
    """What the secret is to a process with these ids, or the code of its error."""
    ids = [",".join(map(str, groups)), str(gid), str(uid)]
    argv = [sys.executable, "-c", AS_ANOTHER, str(folder), *ids]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("mode", [0o440, 0o640, 0o040])
def test_roots_file_is_read_by_way_of_its_group(folder: Path, mode: int) -> None:
    place(folder, 0, FS_GROUP, mode)
    assert read_as(folder, UID, GID, FS_GROUP) == "hunter2"
    assert read_as(folder, UID, FS_GROUP) == "hunter2"
    assert read_as(folder, UID, GID, OTHER_GROUP) == "secret-missing"  # the kernel's own no


@pytest.mark.parametrize(
    ("owner", "group", "mode", "why"),
    [
        (0, FS_GROUP, 0o460, "the group can write"),
        (0, FS_GROUP, 0o450, "the group can run it"),
        (0, FS_GROUP, 0o444, "everybody can read"),
        (0, FS_GROUP, 0o441, "everybody can run it"),
        (0, OTHER_GROUP, 0o444, "everybody can read, as in a pod without fsGroup"),
        (UID, FS_GROUP, 0o440, "it is our own: 0400 does"),
        (UID, GID, 0o640, "it is our own: 0600 does"),
        (UID + 1, FS_GROUP, 0o440, "it belongs to another user"),
    ],
)
def test_nothing_else_is_read_by_way_of_a_group(folder: Path, owner: int, group: int, mode: int, why: str) -> None:
    place(folder, owner, group, mode)
    assert read_as(folder, UID, GID, FS_GROUP) == "secret-readable", why


def test_root_needs_no_group(folder: Path) -> None:
    place(folder, 0, FS_GROUP, 0o440)
    assert read_as(folder, 0, 0, FS_GROUP) == "secret-readable"
    place(folder, 0, FS_GROUP, 0o400)
    assert read_as(folder, 0, 0) == "hunter2"


def test_an_access_list_may_name_anybody(folder: Path) -> None:
    path = place(folder, 0, FS_GROUP, 0o440)
    # u::r g::r u:4000:r m::r o::-, as `setfacl -m u:4000:r` writes it: version, then tag, rights, id.
    entries = [(0x01, 4, -1), (0x02, 4, 4000), (0x04, 4, -1), (0x10, 4, -1), (0x20, 0, -1)]
    packed = b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + packed)
    except OSError as error:
        pytest.skip(f"no access lists on this file system: {error}")
    assert path.stat().st_mode & 0o777 == 0o440
    assert read_as(folder, UID, GID, FS_GROUP) == "secret-readable"
