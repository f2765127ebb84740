"""Secret files: what is taken, what is refused, and that no error holds any of the content."""

from __future__ import annotations

from pathlib import Path

import pytest

from airgap.errors import InputError
from airgap.resources.secrets import MAX_SECRET, read_secret


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
    path = tmp_path / "secret"
    path.write_bytes(data)
    path.chmod(0o644)
    assert read_secret(path) == secret


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"hunter2\n\n", "several lines"),
        (b"hunter2\r\nX-Evil: 1\n", "several lines"),
        (b"hunter2\0", "control characters"),
        (b"hunter2\xff", "is not text"),
        (b"hunter2" * MAX_SECRET, "more than 65536 bytes"),
    ],
)
def test_bad_secrets_are_refused_without_showing_them(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(data)
    with pytest.raises(InputError, match=what) as caught:
        read_secret(path)
    assert caught.value.code == "secret-file"
    assert "hunter2" not in repr(caught.value)
    assert caught.value.__cause__ is None


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent' cannot be read: No such file") as caught:
        read_secret(tmp_path / "absent")
    assert caught.value.code == "secret-file"
