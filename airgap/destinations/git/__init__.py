"""Git repositories into Gitea, any Git server over HTTP(S), or a folder of bare repositories.

Content is unpacked and checked here before any of it is sent. LFS objects go before refs. Refs are only created or
moved forward, never deleted, never mirrored; only a rollback moves one back, to what it held. A receipt lists every
ref, `HEAD`, and every LFS object as `lfs/<id>`. A repository without refs is one line without a name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from airgap.base.disk import check_free
from airgap.base.errors import AbsentError, AirgapError, InputError, IntegrityError, OmittedError, UpstreamError
from airgap.base.locks import locked
from airgap.base.parallel import parallel
from airgap.content.finding import Finding
from airgap.content.forms import Change, ChangeOutcome, Refs
from airgap.content.graph import Descriptor
from airgap.content.lock import check_path
from airgap.content.ref_name import MAX_PART
from airgap.content.removal import NOT_OURS, Removal
from airgap.destinations.base import Inside, Moved, Run, Spot
from airgap.destinations.git import verdicts
from airgap.destinations.git.audit import GitAuditor
from airgap.destinations.git.back import move_refs_back, plan_refs_back, work_key
from airgap.destinations.git.contents import GitContents
from airgap.destinations.git.folder import FolderPlace
from airgap.destinations.git.gitea import GiteaApi, check_name
from airgap.destinations.git.omitted import lfs_spots, omitted_of, unpack_on_held
from airgap.destinations.git.place import LFS_PREFIX, GitPlace, Listing, check_lfs
from airgap.destinations.git.push import Pusher, set_head
from airgap.destinations.git.remove import remove_refs
from airgap.destinations.git.server import ServerPlace
from airgap.destinations.mapping import map_prefix
from airgap.net.http import Client, Fixed
from airgap.net.origin import Origin
from airgap.resources.sovereign import GitConfig
from airgap.tools.git import Git
from airgap.tools.git_content import differences, unpack_whole
from airgap.tools.git_refs import check_refs, object_format
from airgap.tools.git_remote import authorization, git_remote
from airgap.tools.git_repository import BareRepository
from airgap.tools.lfs import LfsClient, endpoint

MAX_AT = 1024
"""Bytes of the path of a repository, as of a key in S3."""
CHEAP = 256 << 20
"""Bytes of bundles that a plan unpacks to check that a branch would only move forward. This takes a few seconds."""


class GitDestination:
    """A `Destination` for Git repositories.

    `config.url` is a server's address or the absolute path of a folder. Without `organizations` (the embedded
    Sovereign) a repository keeps its original name. `workdir` is where content is unpacked before it is sent.
    """

    form = "refs"
    plan_suffices = False

    def __init__(self, config: GitConfig, client: Client, workdir: Path, run: Run) -> None:
        self.url = config.url
        self._config = config
        self._client = client
        self._workdir = workdir
        self._run = run
        self._places: dict[str, GitPlace] = {}
        self._taken: dict[str, str] = {}
        self._plans: dict[str, Sequence[Change]] = {}
        self._lock = threading.Lock()

    # --- the steps -----------------------------------------------------------------------------

    def check(self, forms: Sequence[Refs]) -> None:
        """See `Destination.check`: raises `InputError` (`no-mapping`, `git-collision`)."""
        for refs in forms:
            self._at(refs)

    def expected(self, refs: Refs) -> Sequence[Change]:
        """See `Destination.expected`. Only the server knows which refs it refuses, so this is the plan."""
        place = self._place_of(refs)
        return self._planned(refs, place, place.look())

    def plan(self, refs: Refs) -> Sequence[Change]:
        """See `Destination.plan`. Checks that a branch only moves forward if that is cheap."""
        place = self._place_of(refs)
        present = place.look()
        if present is None:
            place.check_new(object_format(refs.refs.values()))
        return self._planned(refs, place, present)

    def _planned(self, refs: Refs, place: GitPlace, present: Listing | None) -> Sequence[Change]:
        verdicts.check_format(refs, place, present)
        changes = verdicts.plan_refs(refs, place, present, self._run)
        moving = any(change.outcome is ChangeOutcome.MOVED for change in changes)
        # An audit against a lock has no bundles: it only needs the present state.
        if moving and refs.bundles and sum(bundle.size for bundle in refs.bundles) <= CHEAP:
            # What is on another disc is judged when that is attached; what a delta omits is asked for next (`omitted`).
            with suppress(AbsentError, OmittedError), self._unpacked(refs, place) as repository:
                changes = self._judged(refs, changes, repository, present)
        changes += verdicts.plan_head(refs, place, present, changes, self._run)
        stored = place.lfs_present(refs.lfs) if refs.lfs and present is not None else set()
        changes += verdicts.plan_lfs(refs, place, stored)
        self._plans[refs.item] = changes
        return changes

    def _judged(
        self, refs: Refs, changes: Sequence[Change], repository: BareRepository, present: Listing | None
    ) -> list[Change]:
        held = present.refs if present is not None else {}
        return verdicts.judge(changes, repository, held, rewrites=refs.item in self._run.rewrites)

    def _keep_old(
        self, refs: Refs, changes: list[Change], pusher: Pusher, repository: BareRepository, place: GitPlace
    ) -> list[Change]:
        """Gives refs of airgap's own to old values that are about to be replaced, before anything moves."""
        kept = verdicts.keeping(changes)
        if not kept:
            return changes
        # A push needs the objects here.
        repository.fetch(place.remote, {**refs.refs, **{change.name: change.digest for change in kept}})
        pusher.push(kept)
        repository.set_refs(refs.refs)
        return verdicts.unless_lost(changes, pusher.failed)

    def omitted(self, refs: Refs, plan: Sequence[Change]) -> Sequence[tuple[Descriptor, bool]]:
        """See `Destination.omitted`."""
        if not self._run.omitted or self._complete(refs):
            return ()
        place = self._place_of(refs)
        return [*omitted_of(refs, plan, self._run.omitted, lambda: self._unpacked(refs, place))]

    def spots(self, blob: Descriptor, _item: str, _ats: Collection[str]) -> Iterator[Spot]:
        """See `Destination.spots`: LFS objects, as receipts list them."""
        name = LFS_PREFIX + blob.digest.hex
        return lfs_spots(self.url, self._place_at, blob, [at for at, one in self._run.ours if one == name])

    def announce(self, forms: Sequence[Refs]) -> int:
        """See `Destination.announce`."""
        return sum(blob.size for refs in forms for blob in refs.blobs())

    def transfer(self, forms: Sequence[Refs]) -> Mapping[str, AirgapError]:
        """See `Destination.transfer`: unpacks and checks every bundle, creates repositories, uploads LFS objects."""
        failed: dict[str, AirgapError] = {}
        for refs in forms:
            self._run.progress.item(refs.item)
            try:
                if not self._complete(refs):
                    self._transfer(refs)
            except AirgapError as error:
                failed[refs.item] = error
        return failed

    def moved(self, _refs: Refs) -> Moved:
        """See `Destination.moved`: bytes sent by Git are not counted."""
        return Moved()

    def publish(self, refs: Refs, plan: Sequence[Change]) -> Sequence[Change]:
        """See `Destination.publish`. Refs that changed since the plan are left alone."""
        place = self._place_of(refs)
        if self._complete(refs) or not plan:
            return [replace(change, outcome=ChangeOutcome.PRESENT) for change in plan]
        check_lfs(refs, place)
        with self._unpacked(refs, place) as repository:
            before = place.look()
            if before is None:
                raise _gone(place)
            now = self._judged(refs, verdicts.plan_refs(refs, place, before, self._run), repository, before)
            now = verdicts.since(plan, now)
            pusher = Pusher(repository, place)
            now = self._keep_old(refs, now, pusher, repository, place)
            order = verdicts.in_order(now, refs.head)
            if place.first_is_head and not verdicts.branches(before):
                # Alone: a push of many branches is processed in parts, and any part may decide what HEAD is.
                pusher.push([change for change in order if change.name == refs.head])
                order = [change for change in order if change.name != refs.head]
                if verdicts.branches(place.look() or Listing()):
                    place.settle()
            pusher.push(order)
            head = verdicts.plan_head(refs, place, before, now, self._run)
            problem = set_head(head, place, refs, new=not before.refs)
            after = place.look()
            if after is None:
                raise _gone(place)
            pusher.failed |= problem
            now += head
            now += [change for change in plan if change.name.startswith(LFS_PREFIX)]
            done = [verdicts.outcome(change, refs, after, pusher.failed) for change in now]
            if all(change.outcome is not ChangeOutcome.FAILED for change in done):
                repository.remove()
        return done

    def plan_back(self, lines: Sequence[Change], _known: Sequence[Change]) -> Sequence[Change]:
        """See `Destination.plan_back`."""
        return self._back(lines, plan_refs_back)

    def move_back(self, plan: Sequence[Change], _known: Sequence[Change]) -> Sequence[Change]:
        """See `Destination.move_back`. This is the only push that is not a fast-forward."""
        return self._back(plan, move_refs_back)

    def _back(
        self, lines: Sequence[Change], work: Callable[[Sequence[Change], GitPlace, Git, str], Sequence[Change]]
    ) -> Sequence[Change]:
        done: list[Change] = []
        for at in dict.fromkeys(line.at for line in lines):
            self._run.progress.item(at)
            mine = [line for line in lines if line.at == at]
            done += work(mine, self._place_at(at), self._git, work_key(at, self.url))
        return done

    def inspect(self, changes: Sequence[Change], *, deep: bool) -> Sequence[Finding]:
        """See `Destination.inspect`: everything is fetched and checked, including LFS objects."""
        auditor = GitAuditor(self._git, self._place_at, self._run, deep=deep)
        return auditor.inspect(changes)

    def contents(self, known: Collection[str]) -> Iterator[Inside]:
        """See `Destination.contents`. LFS objects and HEAD are no names of their own."""
        folder = Path(self.url) if self.url.startswith("/") else None
        try:
            api = None if folder is not None else self._api
        except AirgapError as error:
            return iter([Inside("", problem=error)])
        organizations = self._config.organization_names
        return GitContents(self._place_at, organizations, api, folder, self._run.jobs)(known)

    def remove(self, lines: Sequence[Removal]) -> Iterator[Removal]:
        """See `Destination.remove`. LFS objects stay: the server's own clean-up takes what no ref needs."""
        by_place: dict[str, list[Removal]] = {}
        ours = self._config.organization_names
        for line in lines:
            if ours and line.at.partition("/")[0] not in ours:
                yield line.kept(NOT_OURS)
            else:
                by_place.setdefault(line.at, []).append(line)
        for at, here in by_place.items():
            try:
                yield from remove_refs(here, self._place_at(at))
            except AirgapError as error:
                for line in here:
                    yield line.failed(error)

    def address(self, at: str, name: str) -> str:
        """See `Destination.address`."""
        listing = self._place_at(at).look(to_write=False)
        return "" if listing is None else listing.refs.get(name, "")

    # --- how ------------------------------------------------------------------------------------

    @cached_property
    def _git(self) -> Git:
        return Git(self._workdir)

    @cached_property
    def _auth(self) -> Fixed | None:
        secret = authorization(self._config.host.credentials)
        return Fixed(secret) if secret else None

    @cached_property
    def _api(self) -> GiteaApi | None:
        api = GiteaApi(self._client, self.url, self._auth, create=self._config.create)
        return api if api.there() else None

    def _place_of(self, refs: Refs) -> GitPlace:
        at = self._at(refs)
        try:
            return self._place_at(at)
        except InputError as error:
            hint = f"give it another name there: `{refs.original}: ORGANIZATION/NAME` under git.organizations"
            raise error.with_hint(hint) from error

    def _at(self, refs: Refs) -> str:
        """The place of a form. Raises `InputError` if it has none, or if another item has it (`git-collision`)."""
        table = self._config.organizations
        at = map_prefix(refs.original, table, "git.organizations") if table else refs.original
        with self._lock:
            other = self._taken.setdefault(at.casefold(), refs.item)
        if other != refs.item:
            raise InputError(
                "git-collision",
                f"{other!r} and {refs.item!r} would both be {at} at {self.url}",
                "map one of them to another place under git.organizations, or leave it out",
            )
        return at

    def _place_at(self, at: str) -> GitPlace:
        with self._lock:
            if at not in self._places:
                self._places[at] = self._make_place(at)
            return self._places[at]

    def _make_place(self, at: str) -> GitPlace:
        check_path(at, "repository")
        if any(part.lower().endswith(".git") for part in at.split("/")):
            raise InputError("bad-place", f"{at!r} cannot be the path of a repository: a part ends in .git")
        if len(at.encode()) > MAX_AT or any(len(part.encode()) > MAX_PART for part in at.split("/")):
            what = f"{at!r:.300}: got {len(at.encode())} bytes, expected at most {MAX_AT}, and {MAX_PART} in each part"
            raise InputError("bad-place", what)
        if self.url.startswith("/"):
            return FolderPlace(self._git, Path(self.url), at)
        if self._api is not None:
            check_name(at)
        url = f"{self.url}/{quote(at)}.git"
        host = self._client.host(Origin.of(url))
        remote = git_remote(url, host, self._auth.value if self._auth else "", side="destination")
        lfs = LfsClient(self._client, endpoint(url), self._auth)
        return ServerPlace(self._git, at, remote, lfs, self._api)

    def _complete(self, refs: Refs) -> bool:
        """True if everything is there, and a receipt of this Sovereign lists it as complete."""
        plan = self._plans.get(refs.item, ())
        return (
            bool(plan)
            and not self._run.deep
            and all(change.outcome is ChangeOutcome.PRESENT and self._run.wrote(change) for change in plan)
        )

    @contextmanager
    def _unpacked(self, refs: Refs, place: GitPlace) -> Iterator[BareRepository]:
        """A checked repository with all objects of a form. It is kept between runs until the form is published."""
        key = refs.root.digest.hex[:32]
        git = self._git
        with locked(git.folder / f"{key}.lock"):
            repository = BareRepository(git, git.folder / f"{key}.git")
            repository.create(object_format(refs.refs.values()))
            if repository.refs() != dict(refs.refs):
                self._unpack(refs, place, repository)
            yield repository

    def _unpack(self, refs: Refs, place: GitPlace, repository: BareRepository) -> None:
        carried = [one for one in refs.bundles if one.digest not in self._run.omitted or refs.source.has(one)]
        lacking = [bundle.digest for bundle in carried if not refs.source.has(bundle)]
        if lacking:
            raise AbsentError(lacking)
        # Twice: the bundle, and the unpacked objects.
        check_free(repository.path.parent, 2 * sum(b.size for b in refs.bundles), refs.item)
        path = repository.path.with_suffix(".bundle")
        if carried == [*refs.bundles]:
            named = unpack_whole(refs, repository, path)
        else:
            named = unpack_on_held(refs, carried, place, repository, path)
        check_refs(refs.refs, refs.item, IntegrityError)
        difference = next(differences(refs, named, repository), None)
        if difference is not None:
            raise IntegrityError("git-wrong-ref", f"{refs.item}: {difference}")
        repository.set_refs(refs.refs)

    def _transfer(self, refs: Refs) -> None:
        place = self._place_of(refs)
        with self._unpacked(refs, place):
            pass
        self._run.progress.advance(sum(bundle.size for bundle in refs.bundles))
        place.ready(refs.head, object_format(refs.refs.values()))
        present = place.lfs_present(refs.lfs) if refs.lfs else set()
        lacking: list[str] = []

        def bring(descriptor: Descriptor) -> None:
            if descriptor.digest.hex not in present:
                if not refs.source.has(descriptor):
                    lacking.append(descriptor.digest)
                    return
                place.lfs_put(descriptor, lambda offset: refs.source.open(descriptor, offset))
            self._run.progress.advance(descriptor.size)

        parallel(self._run.jobs, bring, refs.lfs)
        if lacking:
            raise AbsentError(lacking)
        check_lfs(refs, place)


def _gone(place: GitPlace) -> UpstreamError:
    what = f"{place.at}: the repository no longer exists"
    return UpstreamError("git-gone", what, "run the same command again", side="destination")
