"""Pushes refs in batches, each ref with a lease on its old value, and sets HEAD. What a failure left is read back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from airgap.base.errors import AirgapError, UpstreamError
from airgap.content.forms import Change, ChangeOutcome, Refs
from airgap.destinations.git.place import HEAD, GitPlace, Listing
from airgap.tools.git import LONG
from airgap.tools.git_faults import failure, shown
from airgap.tools.git_repository import BareRepository

BATCH = 250
"""Refs in one push. Each costs Gitea a process (0.09 s), and proxies in front of it give up after a minute."""

_FAULT = re.compile(r"error: object [0-9a-f]{40,64}: ([a-zA-Z]{1,40}): ")
_STRICT = (
    "its git checks objects (receive.fsckObjects), and refuses an old fault that harms no reader: set "
    "receive.fsck.{} to ignore in the server's git configuration, then run the same command again"
)


class Pusher:
    """Pushes from `repository`, which has all objects, to a place."""

    def __init__(self, repository: BareRepository, place: GitPlace) -> None:
        self._repository = repository
        self._place = place
        self.failed: dict[str, AirgapError] = {}
        """Ref → why it did not arrive."""

    def push(self, changes: Sequence[Change]) -> None:
        """Creates or moves the refs of `changes`. Refs that the server refuses are added to `failed`.

        Raises the errors of `GitPlace.look` if the destination can no longer be reached.
        """
        for start in range(0, len(changes), BATCH):
            self._push(changes[start : start + BATCH])

    def _push(self, batch: Sequence[Change]) -> None:
        """Pushes once. After a failure it checks which refs arrived and retries the rest in halves.

        One refused ref (a protected branch) makes a server refuse the complete push. A proxy that refuses a large body
        or a long request may accept a smaller one.
        """
        fault = self._try(batch)
        if fault is None:
            return
        present = self._present()
        left = [change for change in batch if present.get(change.name) != change.digest]
        if len(left) == 1 and len(batch) == 1:
            self.failed[left[0].name] = fault
        elif left:
            half = len(left) if len(left) < len(batch) else (len(left) + 1) // 2
            for part in (left[:half], left[half:]):
                if part:
                    self._push(part)

    def _present(self) -> Mapping[str, str]:
        listing = self._place.look()
        if listing is None:
            raise UpstreamError("git-gone", f"{self._place.at}: the repository no longer exists", side="destination")
        return listing.refs

    def _try(self, batch: Sequence[Change]) -> AirgapError | None:
        # A lease is a forced push. It names only old values that are known to be in the history of the new ones.
        leases = [f"--force-with-lease={change.name}:{change.previous}" for change in batch]
        refspecs = [f"{change.digest}:{change.name}" for change in batch]
        try:
            done = self._repository.git.run(
                "push",
                "--porcelain",
                "--atomic",
                "--no-verify",
                "--no-follow-tags",
                "--no-signed",
                *leases,
                "--end-of-options",
                self._place.remote.url,
                *refspecs,
                repository=self._repository.path,
                remote=self._place.remote,
                timeout=LONG,
                ok=(),
            )
        except AirgapError as error:
            return error
        if done.status == 0:
            return None
        lines = done.stdout.decode(errors="replace").split("\n")
        rejected = [line.split("\t", 2)[-1] for line in lines if line.startswith("!\t")]
        if rejected:
            reason = shown("\n".join([*dict.fromkeys(rejected), done.stderr]))
            fault = _FAULT.search(done.stderr)
            hint = _STRICT.format(fault[1]) if fault else ""
            what = f"{self._place.at}: the server refused: {reason}"
            return UpstreamError("git-rejected", what, hint, side="destination")
        return failure("push", done.status, done.stderr, self._place.remote.url, "destination")


def set_head(head: Sequence[Change], place: GitPlace, refs: Refs, *, new: bool) -> dict[str, AirgapError]:
    """Points HEAD to its ref if required by the changes `head`. Returns the error, by name.

    In a `new` repository, HEAD named the right branch from its creation, but the first push may have changed it.
    """
    now = place.look() or Listing()
    wanted = bool(head) and new
    wanted |= any(change.outcome in (ChangeOutcome.WRITE, ChangeOutcome.MOVED) for change in head)
    if not wanted or now.head == refs.head or refs.head not in now.refs:
        return {}
    if not place.can_set_head:
        what = f"{place.at}: HEAD names {now.head or 'no ref'}, expected {refs.head}"
        hint = "set it there by hand: the server has no API for it"
        return {HEAD: UpstreamError("git-head", what, hint, side="destination")}
    try:
        place.set_head(refs.head)
    except AirgapError as error:
        return {HEAD: error}
    return {}
