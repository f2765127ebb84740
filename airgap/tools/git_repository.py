"""`BareRepository`: airgap's own bare repository, in which objects are fetched, checked and measured before use."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from airgap.base.disk import disk_errors
from airgap.base.errors import AirgapError, IntegrityError
from airgap.tools.git import LONG, Git, Remote
from airgap.tools.git_faults import shown
from airgap.tools.git_refs import check_ids, is_oid, ref_lines

HELD = "refs/airgap-held"
"""Below it are old values while a fetch offers them to the remote."""
MAX_PACKS = 50
"""Packs of a repository: each fetch adds one, and git looks for an object in one after the other."""


class BareRepository:
    """A bare repository at `path`, used only by airgap. The caller lets only one thread of one process use it."""

    def __init__(self, git: Git, path: Path) -> None:
        self.git = git
        self.path = path.absolute()  # git runs in another folder

    def create(self, object_format: str) -> bool:
        """Creates the repository if it does not exist, and removes leftovers of an interrupted run; true if it is new.

        Raises `StoreError`.
        """
        with disk_errors(self.path):
            for litter in self.path.glob("objects/pack/tmp_*"):
                litter.unlink(missing_ok=True)
            if self.path.exists() and self.object_format() == object_format:
                return False
        self.remove()
        self.git.run("init", "--quiet", "--bare", f"--object-format={object_format}", str(self.path))
        return True

    def remove(self) -> None:
        """Deletes the repository from the disk. Raises `StoreError`."""
        with disk_errors(self.path):
            if self.path.exists():
                shutil.rmtree(self.path)
            self.path.parent.mkdir(parents=True, exist_ok=True)

    def object_format(self) -> str:
        """`sha1` or `sha256`; `""` if this is not (or no longer) a repository."""
        done = self.git.run("rev-parse", "--show-object-format", repository=self.path, ok=())
        return done.stdout.decode().strip() if done.status == 0 else ""

    def refs(self) -> dict[str, str]:
        """Full name → unpeeled object id, sorted."""
        done = self.git.run("for-each-ref", "--format=%(objectname) %(refname)", repository=self.path)
        return {name: oid for oid, _, name in (line.partition(" ") for line in ref_lines(done.stdout))}

    def head(self) -> str:
        """The ref that HEAD points to, `""` if HEAD is detached."""
        done = self.git.run("symbolic-ref", "--quiet", "HEAD", repository=self.path, ok=(0, 1))
        return next(ref_lines(done.stdout), "")

    def set_head(self, ref: str) -> None:
        """Points HEAD to `ref`."""
        self.git.run("symbolic-ref", "HEAD", ref, repository=self.path)

    def set_refs(self, refs: Mapping[str, str]) -> None:
        """Makes `refs` its only refs: one transaction deletes, a second one creates."""
        present = self.refs()
        gone = [f"delete {name}\n" for name in present if name not in refs]
        new = [f"update {name} {oid}\n" for name, oid in refs.items() if present.get(name) != oid]
        # Two steps, because a branch `a` must be deleted before `a/b` can be created.
        for lines in filter(None, (gone, new)):
            stdin = "".join(lines).encode()
            self.git.run("update-ref", "--stdin", "--no-deref", repository=self.path, stdin=stdin)

    def has(self, oids: Iterable[str]) -> set[str]:
        """Those of `oids` whose objects are here. Objects that they reach may still be missing."""
        stdin = "".join(f"{oid}\n" for oid in oids).encode()
        done = self.git.run("cat-file", "--batch-check=%(objectname)", "--buffer", repository=self.path, stdin=stdin)
        return {line for line in done.stdout.decode().splitlines() if is_oid(line)}

    def fetch(self, remote: Remote, wanted: Mapping[str, str], offered: Iterable[str] = ()) -> None:
        """Fetches exactly `wanted` (name → object id) and everything they reach; git checks every object.

        The remote is offered everything that the refs here and `offered`, ids of objects that are here, reach: only
        what is new is transferred. Raises `UpstreamError`, `NotFoundError` (`git-object-gone`) or `IntegrityError`.
        """
        present = self.refs()
        kept = {name: oid for name, oid in present.items() if wanted.get(name) == oid}
        missing = {name: oid for name, oid in wanted.items() if name not in kept}
        if not missing:
            self.set_refs(kept)
            return
        # Git offers what refs name. Under their own names, old values would be in the way of new ones.
        folder = _free(HELD, [*present, *wanted])
        held = {f"{folder}/{oid}": oid for oid in self.has({*present.values(), *offered} - {*kept.values()})}
        self.set_refs(present | held)
        self.set_refs(kept | held)
        lines = "".join(f"+{oid}:{name}\n" for name, oid in missing.items())
        self.git.run(
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--stdin",
            "--end-of-options",
            remote.url,
            repository=self.path,
            remote=remote,
            stdin=lines.encode(),
            timeout=LONG,
        )
        self.set_refs({name: oid for name, oid in self.refs().items() if name not in held})
        try:
            self.check_whole(wanted.values(), remote.url)
        except AirgapError:
            self.set_refs({})
            raise
        for name, oid in self.refs().items():
            if wanted.get(name) != oid:
                raise IntegrityError("git-wrong-ref", f"{name}: got {oid}, expected {wanted.get(name)}")

    def check_whole(self, oids: Iterable[str], where: str) -> None:
        """Walks everything that `oids` reach. Raises `IntegrityError` (`git-incomplete`) if an object is missing.

        A server with a shallow repository sends what it has, and git accepts that if object ids are requested.
        """
        lacking = self.lacking(oids)
        if lacking:
            raise IntegrityError(
                "git-incomplete",
                f"{where}: the history is incomplete: {lacking}",
                "it is a shallow or filtered clone, or damaged: use the origin itself, or run `git fetch "
                "--unshallow` there",
            )

    def lacking(self, oids: Iterable[str]) -> str:
        """What is missing of everything that `oids` reach, in git's words; `""` if all of it is here."""
        stdin = "".join(f"{oid}\n" for oid in sorted(set(oids))).encode()
        done = self.git.run(
            *("rev-list", "--objects", "--quiet", "--stdin"),
            repository=self.path,
            stdin=stdin,
            timeout=LONG,
            ok=(),
        )
        if done.status != 0:
            return shown(done.stderr) or "an object is missing"
        return "shallow" if (self.path / "shallow").exists() else ""

    def size(self) -> int:
        """The bytes of all packs. Raises `StoreError`."""
        with disk_errors(self.path):
            return sum(pack.stat().st_size for pack in self.path.glob("objects/pack/*.pack"))

    def tidy(self) -> None:
        """Joins packs if they are many; no object is dropped. Raises `ToolError`, `StoreError`."""
        with disk_errors(self.path):
            packs = len(list(self.path.glob("objects/pack/*.pack")))
        if packs > MAX_PACKS:
            self.git.run("repack", "--quiet", "--geometric=2", "-d", repository=self.path, timeout=LONG)

    def is_ancestor(self, old: str, new: str) -> bool:
        """True if both are commits in this repository, and `old` is `new` or in its history."""
        if self.has((old, new)) != {old, new}:
            return False
        done = self.git.run("merge-base", "--is-ancestor", old, new, repository=self.path, ok=(), timeout=LONG)
        return done.status == 0

    def unreached(self, oids: Iterable[str], tips: Iterable[str]) -> set[str]:
        """Those of `oids` that are not in the history of `tips`. What is no commit must be one of the tips itself."""
        tips = sorted(set(tips))
        left = sorted(set(oids).difference(tips))
        if not left:
            return set()
        stdin = "".join(f"{oid}\n" for oid in left).encode()
        done = self.git.run("cat-file", "--batch-check=%(objecttype)", "--buffer", repository=self.path, stdin=stdin)
        kinds = dict(zip(left, done.stdout.decode().splitlines(), strict=True))
        commits = [oid for oid, kind in kinds.items() if kind == "commit"]
        new = self._commits(commits, tips) if commits else []
        return set(left).difference(commits) | set(new).intersection(commits)

    def boundary(self, oids: Sequence[str], without: Sequence[str]) -> list[str]:
        """The commits in the history of `without` on which those are based that only `oids` reach, sorted."""
        found = self._commits(oids, without, "--boundary") if without else []
        return sorted(line[1:] for line in found if line.startswith("-"))

    def _commits(self, oids: Sequence[str], without: Sequence[str], *options: str) -> list[str]:
        """The commits that `oids` reach and `without` do not."""
        stdin = difference(oids, without)
        done = self.git.run("rev-list", *options, "--stdin", repository=self.path, stdin=stdin, timeout=LONG)
        return done.stdout.decode().splitlines()

    def resolve_symbolic(self, name: str) -> str:
        """The object id that the symbolic `name` (`HEAD`) points to, `""` if there is none."""
        done = self.git.run(
            "rev-parse",
            "--quiet",
            "--verify",
            "--end-of-options",
            name,
            repository=self.path,
            ok=(),
        )
        return done.stdout.decode().strip() if done.status == 0 else ""


def _free(folder: str, names: Sequence[str]) -> str:
    """`folder`, or a longer name for it that is in no ref's way."""
    while any(name == folder or name.startswith(f"{folder}/") for name in names):
        folder += "-"
    return folder


def difference(oids: Iterable[str], without: Iterable[str]) -> bytes:
    """For git's stdin: what `oids` reach and `without` do not."""
    return "".join([*(f"{oid}\n" for oid in oids), *(f"^{oid}\n" for oid in without)]).encode()


def list_refs(git: Git, remote: Remote) -> tuple[dict[str, str], str, str]:
    """`git ls-remote`: refs (unpeeled), the ref that HEAD points to and HEAD's object id, `""` for none.

    Names are as the server sends them, see `ref_lines`: `check_refs` is for those that are used. Raises
    `UpstreamError`, `NotFoundError`; `bad-ref` for ids that are none, `too-many-refs`.
    """
    done = git.run("ls-remote", "--symref", "--end-of-options", remote.url, remote=remote)
    refs: dict[str, str] = {}
    head = head_oid = ""
    for line in ref_lines(done.stdout):
        left, _, name = line.partition("\t")
        if left.startswith("ref: ") and name == "HEAD":
            head = left[5:]
        elif name == "HEAD":
            head_oid = left
        elif not name.endswith("^{}"):
            refs[name] = left
    check_ids(refs, remote.url)
    return refs, head, head_oid
