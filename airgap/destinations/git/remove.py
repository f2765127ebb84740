"""Deletes refs of one repository, each with a lease on the value that the plan says. HEAD never loses its branch."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from airgap.base.disk import disk_errors
from airgap.base.errors import AirgapError, UpstreamError
from airgap.content.removal import Removal, RemovalOutcome
from airgap.destinations.git.place import GitPlace
from airgap.tools.git import LONG, Git
from airgap.tools.git_faults import failure, shown
from airgap.tools.git_refs import object_format
from airgap.tools.git_repository import BareRepository


def remove_refs(lines: Sequence[Removal], place: GitPlace) -> Iterator[Removal]:
    """See `Destination.remove`, for the lines of one repository. The branch that HEAD names comes last.

    It stays, unless the plan deletes every ref of the repository. Raises the errors of `GitPlace.look`.
    """
    listing = place.look()
    if listing is None:
        yield from (line.ended(RemovalOutcome.ABSENT) for line in lines)
        return
    whole = listing.refs.keys() <= {line.name for line in lines}
    for line in sorted(lines, key=lambda one: one.name == listing.head):
        found = listing.refs.get(line.name, "")
        if not found:
            yield line.ended(RemovalOutcome.ABSENT)
        elif found != line.digest:
            yield line.changed(found)
        elif line.name == listing.head and not whole:
            yield line.kept("HEAD names it: point HEAD to another branch first")
        else:
            yield _remove(line, place)


def _remove(line: Removal, place: GitPlace) -> Removal:
    try:
        problem = place.delete(line.name, line.digest)
        after = place.look(to_write=False)
    except AirgapError as error:
        return line.failed(error)
    held = "" if after is None else after.refs.get(line.name, "")
    if not held:
        return line.ended(RemovalOutcome.DELETED)
    if held != line.digest:
        return line.changed(held)
    what = f"{place.at}: {line.name} is still there"
    return line.failed(problem or UpstreamError("git-rejected", what, side="destination"))


def push_away(git: Git, place: GitPlace, ref: str, oid: str) -> AirgapError | None:
    """Deletes a ref on a server if it still has this value; returns why not. Raises the errors of running git."""
    lease = f"--force-with-lease={ref}:{oid}"
    with disk_errors(git.folder), tempfile.TemporaryDirectory(dir=git.folder, prefix="prune-") as temp:
        repository = BareRepository(git, Path(temp) / "empty.git")
        repository.create(object_format([oid]))
        done = git.run(
            "push", "--porcelain", "--no-verify", "--no-follow-tags", "--no-signed", lease,
            "--end-of-options", place.remote.url, f":{ref}",
            repository=repository.path, remote=place.remote, timeout=LONG, ok=(),
        )  # fmt: skip
    if done.status == 0:
        return None
    rejected = [one.split("\t", 2)[-1] for one in done.stdout.decode(errors="replace").splitlines() if one[:1] == "!"]
    if not rejected:
        return failure("push", done.status, done.stderr, place.remote.url, "destination")
    what = f"{place.at}: the server refused: {shown(chr(10).join([*dict.fromkeys(rejected), done.stderr]))}"
    hint = "a default or protected branch cannot go otherwise: delete it, or the repository, in the server"
    return UpstreamError("git-rejected", what, hint, side="destination")
