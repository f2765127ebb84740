"""Git histories as importers of old have left them: with faults that git tells and no reader minds."""

from __future__ import annotations

import subprocess

from tests.worlds.git_sources import Work

WHO = "A <a@example.org> 1300000000 +0000"
# What importers of old have left in commits (fsck calls each by another name), and what none of it does to a reader.
LINES = (
    "A <a@example.org> Thu Jan 1 2009",
    "A a@example.org 1300000000 +0000",
    "A <a <a@example.org>> 1300000000 +0000",
    "<a@example.org> 1300000000 +0000",
    "A<a@example.org> 1300000000 +0000",
    "A <a@example.org> 18446744073709551616 +0000",
    "A <a@example.org> 1300000000 +051800",
    "A <a@example.org>1300000000 +0000",
    "A <a@example.org> 01300000000 +0000",
    f"{WHO}\nauthor {WHO}",
)


def old_history(work: Work) -> None:
    """Adds to main a commit for each of `LINES`, and a tree with a mode in an old spelling."""
    blob, tip = work.oid("HEAD:file"), work.oid("HEAD")
    entry = b"0100644 f\0" + bytes.fromhex(blob)
    tree = written(work, "tree", entry)
    for line in LINES:
        text = f"tree {tree}\nparent {tip}\nauthor {line}\ncommitter {WHO}\n\nold\n"
        tip = written(work, "commit", text.encode())
    work.git("update-ref", "refs/heads/main", tip)


def written(work: Work, kind: str, content: bytes) -> str:
    """An object, however odd it is."""
    command = ["git", "hash-object", "-t", kind, "-w", "--stdin", "--literally"]
    return (
        subprocess.run(command, cwd=work.path, input=content, capture_output=True, check=True).stdout.decode().strip()
    )
