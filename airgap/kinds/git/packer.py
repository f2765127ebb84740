"""Git repositories: refs pinned by object id, carried as one bundle and their LFS objects.

The graph is a manifest of type `GIT_TYPE`: its config lists refs and LFS objects, its layers are the bundle and one
blob for each LFS object, whose digest is its LFS id. Shape: docs/format.md, "Git".
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from airgap.base.disk import disk_errors
from airgap.base.errors import (
    AirgapError,
    InputError,
    IntegrityError,
    NotFoundError,
    ObjectGoneError,
    OmittedError,
    UpstreamError,
    WrongItemError,
)
from airgap.base.locks import locked
from airgap.base.parallel import parallel
from airgap.base.progress import Progress
from airgap.content.forms import Refs
from airgap.content.graph import Descriptor, Opener, Source, Target
from airgap.content.item import Item
from airgap.kinds.git.chain import Last, extend, in_order, last_pull
from airgap.kinds.git.graph import BUNDLE_TYPE, PASSING_BUNDLE, git_form, put_graph
from airgap.kinds.git.left_out import LEFT_OUT, left_out
from airgap.kinds.git.source import check_whole_source, choose_refs, file_opener, local_objects
from airgap.kinds.git.submodules import submodules
from airgap.net.http import Client, Fixed
from airgap.net.origin import Origin
from airgap.net.probe import check_name
from airgap.net.proxies import proxy_for
from airgap.tools.git import Git, Remote
from airgap.tools.git_bundle import write_bundle
from airgap.tools.git_content import differences, unpack_bundles, unpack_whole
from airgap.tools.git_refs import check_refs, object_format
from airgap.tools.git_remote import authorization, check_url, git_remote
from airgap.tools.git_repository import BareRepository, list_refs
from airgap.tools.lfs import PUSH_LOST, LfsClient, endpoint, find_pointers, lfs_descriptor
from airgap.tools.lfs_places import find_places

if TYPE_CHECKING:
    from airgap.kinds.git.request import GitRequest

MAX_SHOWN = 10
"""Submodules that a note lists."""
MAX_COMPARED = 200
"""Refs that are compared with the last pull; each costs a process."""
MAX_LOST = 5
"""LFS objects whose file and commit a message names."""
MAX_LFS = 19_000
"""LFS objects of one repository: the layers of one manifest, which holds 4 MiB."""


class GitPacker:
    """`workdir` keeps a bare repository for each source between runs, so that only what is new is fetched.

    `client` reaches hosts; `proxies` are those of the connected zone.
    """

    def __init__(
        self,
        workdir: Path,
        client: Client,
        progress: Progress,
        *,
        proxies: Mapping[str, str] | None = None,
        jobs: int = 4,
    ) -> None:
        self._workdir = workdir
        self._client = client
        self._progress = progress
        self._proxies = dict(proxies or {})
        self._jobs = jobs

    @cached_property
    def _git(self) -> Git:
        return Git(self._workdir)

    def resolve(self, request: GitRequest, *, partial: bool = False) -> Item:
        """Asks the source for its refs and pins those that the request names. An empty repository has none.

        `partial` allows that LFS objects are left out. Raises `InputError` (`git-no-ref`, `git-shallow`, `git-partial`,
        `bad-url`, `lfs-left-out`), `UpstreamError`.
        """
        where = request.where or f"git {request.name!r}"
        if request.lost_lfs and not partial:
            raise WrongItemError(
                "lfs-left-out",
                f"{where}: lostLFS leaves out {len(request.lost_lfs)} LFS objects of the repository",
                "add --partial: they become findings of the lock, which a waiver has to accept; or remove lostLFS",
            )
        remote = self._remote(request.url, where)
        present, head, _ = list_refs(self._git, remote)
        if remote.url.startswith("/"):
            check_whole_source(self._git, remote.url)
        chosen = choose_refs(request.refs, present, head, where)
        if chosen.hidden:
            counts = ", ".join(f"{prefix}* ({count})" for prefix, count in sorted(chosen.hidden.items()))
            self._progress.note(f"{request.name}: refs that servers keep for themselves are left out: {counts}")
        refs = chosen.refs
        return Item(
            name=request.name,
            kind="git",
            source=request.url,
            refs=refs,
            head=head if head in refs else "",
            lfs=request.lfs,
            more={LEFT_OUT: sorted(request.lost_lfs)} if request.lost_lfs else {},
        )

    def pack(self, item: Item, target: Target) -> Descriptor:
        """Fetches exactly the locked refs, and puts the repository's graph into `target`; returns its root.

        Raises `UpstreamError` (`git-moved` where a locked object is gone), `IntegrityError`, `StoreError`.
        """
        remote = self._remote(item.source, item.name)
        check_refs(item.refs, item.name, InputError)
        key = sha256(f"{item.source}\n{object_format(item.refs.values())}".encode()).hexdigest()[:32]
        git = self._git
        with disk_errors(git.folder), locked(git.folder / f"{key}.lock"):
            repository = BareRepository(git, git.folder / f"{key}.git")
            bundles, pointers = self._pack_objects(item, remote, repository, target)
            lfs: list[Descriptor] = []
            if item.lfs:
                lfs = self._put_lfs(item, remote, repository, pointers, target)
            elif pointers:
                self._progress.note(f"{item.name}: {len(pointers)} LFS objects are not carried: `lfs: true` is not set")
            self._tell_submodules(item, repository)
        return put_graph(target, item, bundles, lfs)

    def _tell_rewritten(self, item: Item, repository: BareRepository, before: Mapping[str, str]) -> None:
        """Says what an import will refuse: refs that do not move forward from where they were at the last pull."""
        moved = [name for name, oid in item.refs.items() if before.get(name, oid) != oid]
        found = [
            name
            for name in moved[:MAX_COMPARED]
            if name.startswith("refs/tags/") or not repository.is_ancestor(before[name], item.refs[name])
        ]
        if found:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            self._progress.note(
                f"{item.name}: upstream rewrote its history since the last pull: {found[0]}{more}. An import takes it "
                f"only with an approval: see `airgap help import`, --allow-rewrite {item.name}"
            )

    def _tell_submodules(self, item: Item, repository: BareRepository) -> None:
        found = submodules(repository, item.refs.values())
        if found:
            shown = ", ".join(str(one) for one in found[:MAX_SHOWN])
            more = f" and {len(found) - MAX_SHOWN} more" if len(found) > MAX_SHOWN else ""
            self._progress.note(
                f"{item.name}: it has submodules, which are repositories of their own and carried only if the request "
                f"names them: {shown}{more}"
            )

    def _pack_objects(
        self, item: Item, remote: Remote, repository: BareRepository, target: Target
    ) -> tuple[list[Descriptor], dict[str, int]]:
        """Fetches and bundles; returns the bundles and the LFS objects that its history names."""
        new = repository.create(object_format(item.refs.values()))
        last = last_pull(item, target)
        # What an earlier run kept here can be damaged, and so can the chain: then all of it is fetched again.
        rounds = [*([] if new else [last]), last, *([] if last is None else [None])]
        for number, known in enumerate(rounds, 1):
            try:
                before = self._before(known, repository)
                self._fetch(item, remote, repository, before.values())
                self._tell_rewritten(item, repository, before)
                pointers = find_pointers(repository, item.refs.values())
                bundles = self._put_bundles(item, known or Last({}, (), target), repository, target)
            except IntegrityError:
                if number == len(rounds):
                    raise
                repository.remove()
                repository.create(object_format(item.refs.values()))
            else:
                repository.tidy()
                return bundles, pointers
        raise AssertionError("the last round returns or raises")

    def _before(self, last: Last | None, repository: BareRepository) -> Mapping[str, str]:
        """The refs of the last pull. Their objects come back from the store if the working folder has lost them."""
        if last is None:
            return repository.refs()
        if not repository.has(last.refs.values()).issuperset(last.refs.values()):
            bundles = [link.bundle for link in last.links]
            unpack_bundles(last.source, bundles, repository, repository.path.with_suffix(".bundle"))
        return last.refs

    def check(self, item: Item, root: Descriptor, source: Source) -> list[str]:
        """The mistakes of a packed repository, found by unpacking it into an empty one; empty if there are none."""
        try:
            form = self.form(item, root, source)
            if not item.refs:
                return []
            with (
                disk_errors(self._workdir),
                tempfile.TemporaryDirectory(dir=self._git.folder) as temp,
            ):
                return list(self._check_content(form, item, Path(temp)))
        except OmittedError:
            raise  # the content does not differ: it is somewhere else
        except AirgapError as error:
            return [f"{item.name}: {error}"]

    def _check_content(self, form: Refs, item: Item, folder: Path) -> Iterator[str]:
        repository = BareRepository(self._git, folder / "check.git")
        repository.create(object_format(item.refs.values()))
        named = unpack_whole(form, repository, folder / "bundle")
        for difference in differences(form, named, repository):
            yield f"{item.name}: {difference}"
        for layer in form.lfs:
            if not form.source.has(layer):
                yield f"{item.name}: LFS object {layer.digest.hex} is not in the store"

    def form(self, item: Item, root: Descriptor, source: Source) -> Refs:
        """The packed repository as `Refs`. Raises `IntegrityError` (`bad-git-graph`)."""
        return git_form(item, root, source)

    def _remote(self, url: str, where: str) -> Remote:
        if re.match(r"https?://", url, re.IGNORECASE):
            check_url(url, where)
            host = self._client.host(Origin.of(url))
            secret = authorization(host.credentials)
            if not proxy_for(Origin.of(url), self._proxies):
                check_name(Origin.of(url), "origin")
            return git_remote(url.rstrip("/"), host, secret, self._proxies, redirects=True, side="origin")
        if not url.startswith("/") or not url.isprintable():
            raise InputError(
                "bad-url",
                f"{where}: got {url!r}, expected an https URL or a path",
                "use the https address: ssh and git URLs are not supported",
            )
        return Remote(url, side="origin")

    def _fetch(self, item: Item, remote: Remote, repository: BareRepository, offered: Iterable[str]) -> None:
        if remote.url.startswith("/"):
            check_whole_source(self._git, remote.url)
        try:
            repository.fetch(remote, item.refs, offered)
        except ObjectGoneError as error:
            # The lock's object is gone. Say which ref it was, and what it is now.
            present, _, _ = list_refs(self._git, remote)
            moved = [
                f"{name} is now {present.get(name, 'gone')}, locked was {oid}"
                for name, oid in item.refs.items()
                if present.get(name) != oid
            ]
            raise UpstreamError(
                "git-moved",
                f"{item.name}: moved since it was locked: {'; '.join(moved[:3]) or error}",
                f"run `airgap lock --update {item.name}`, and get the new lock approved",
                side="origin",
            ) from error

    def _put_bundles(self, item: Item, last: Last, repository: BareRepository, target: Target) -> list[Descriptor]:
        """The bundles of the last pull as far as they are of use, and new ones with what they lack."""
        if not item.refs:
            return []
        kept, increments = extend(item, last, repository)
        path = repository.path.with_suffix(".bundle")
        made: list[Descriptor] = []
        for one in increments:
            try:
                digest, size = write_bundle(repository, path, one.refs, one.head, one.without)
                made.append(Descriptor(BUNDLE_TYPE, digest, size, PASSING_BUNDLE if one.passing else {}))
                target.put(made[-1], file_opener(path))
                self._progress.advance(size)
            finally:
                path.unlink(missing_ok=True)
        return in_order([*(link.bundle for link in kept), *made])

    def _put_lfs(
        self,
        item: Item,
        remote: Remote,
        repository: BareRepository,
        pointers: Mapping[str, int],
        target: Target,
    ) -> list[Descriptor]:
        if len(pointers) > MAX_LFS:
            raise InputError(
                "too-many-lfs",
                f"{item.name}: {len(pointers)} LFS objects, at most {MAX_LFS}",
                "split its refs over several items",
            )
        without = set(left_out(item))
        layers = [lfs_descriptor(oid, size) for oid, size in pointers.items() if oid not in without]
        missing = [layer for layer in layers if not target.has(layer)]
        lost: list[str] = []
        if remote.url.startswith("/"):
            folder = check_whole_source(self._git, remote.url)
            openers: Iterable[tuple[Descriptor, Opener]] = local_objects(folder, missing, lost)
        else:
            client = self._lfs_client(item, remote, repository)
            openers = client.openers([(layer.digest.hex, layer.size) for layer in missing], lost)

        def put(pair: tuple[Descriptor, Opener]) -> None:
            target.put(*pair)
            self._progress.advance(pair[0].size)

        parallel(self._jobs, put, openers)
        if lost:
            raise self._lost(item, remote, repository, sorted(lost))
        return layers

    def _lost(self, item: Item, remote: Remote, repository: BareRepository, lost: Sequence[str]) -> NotFoundError:
        """The error for LFS objects that the origin does not have, with the file and the commit of some of them."""
        places = find_places(repository, item.refs.values(), lost[:MAX_LOST])
        shown = "; ".join(f"{oid} ({places[oid]})" if oid in places else oid for oid in lost[:MAX_LOST])
        more = f"; and {len(lost) - MAX_LOST} more" if len(lost) > MAX_LOST else ""
        many = "LFS object is missing" if len(lost) == 1 else f"{len(lost)} LFS objects are missing"
        fetch = "; run `git lfs fetch --all` there" if remote.url.startswith("/") else ""
        return NotFoundError(
            "lfs-missing",
            f"{remote.url}: {many}: {shown}{more}{fetch}",
            f"{PUSH_LOST}. If it is lost for good: list it under `lostLFS` of the repository in the request, and run "
            "`airgap lock --partial`; it becomes a finding, which a waiver has to accept",
            side="origin",
        )

    def _lfs_client(self, item: Item, remote: Remote, repository: BareRepository) -> LfsClient:
        """The LFS server: that of `.lfsconfig` on the default branch, or else the repository's own."""
        url = endpoint(remote.url)
        if item.head:
            blob = f"--blob={item.refs[item.head]}:.lfsconfig"
            done = self._git.run("config", blob, "--get", "lfs.url", repository=repository.path, ok=())
            named = done.stdout.decode(errors="replace").strip()
            if done.status == 0 and named:
                url = self._client.resolve(url, check_url(named, ".lfsconfig"), "lfs.url of .lfsconfig")
        secret = authorization(self._client.host(Origin.of(url)).credentials)
        return LfsClient(self._client, url, Fixed(secret) if secret else None)
