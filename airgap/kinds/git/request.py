"""The entry for a Git repository in a Request."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath

from airgap.content.names import claimed_place, is_url, repository_complaint, without_git
from airgap.kinds.git.left_out import is_lfs_oid
from airgap.resources.fields import given, spec, spec_map
from airgap.resources.parts import ITEM_NAME, RELATIVE
from airgap.resources.problems import quoted
from airgap.resources.references import git_complaint, path_complaint, ref_complaint
from airgap.resources.shapes import Flag, ListOf, Place, Text

GIT_TYPE = "application/vnd.airgap.git.v1"
"""The artifact type of a packed repository."""


def name_complaint(name: str) -> str:
    """Checks the name of a local repository: inside, it is the path of its place, in its one spelling."""
    usual = claimed_place(name)
    complaint = path_complaint(without_git(name))
    if usual and not complaint and usual != without_git(name):
        return f"got {quoted(name)}, expected {quoted(usual)}: inside, a local repository is stored under its name"
    return complaint


def oid_complaint(oid: str) -> str:
    """Checks the id of an LFS object."""
    return "" if is_lfs_oid(oid) else f"got {quoted(oid)}, expected 64 lower-case hex digits"


@spec_map("a map with the repository's url")
class GitRequest:
    """`url` is https (or http) or a path; `refs` are full names or patterns with `*`."""

    url: str = spec(
        Text("an https URL or a path", least=1), f"{RELATIVE} ssh is not supported: airgap has no ssh keys."
    )
    name: str = spec(ITEM_NAME, "Default: the last part of the url, without `.git`.", default="")
    refs: tuple[str, ...] = spec(
        ListOf(
            Text("HEAD or a full ref name, such as refs/heads/main or refs/tags/v*", least=1, complaint=ref_complaint),
            "a list of refs",
            least=1,
            unique=True,
        ),
        "HEAD is the default branch. `*` matches any characters. A pattern after `^` leaves refs out. `refs/*` does "
        "not match what servers keep for themselves, such as refs/pull/*; a pattern that begins with this does.",
        default=("refs/heads/*", "refs/tags/*"),
    )
    lfs: bool = spec(Flag(), "true: also carry the LFS objects that the refs reach.", default=False)
    lost_lfs: tuple[str, ...] = spec(
        ListOf(
            Text("the id of an LFS object, 64 lower-case hex digits", least=1, complaint=oid_complaint),
            "a list of ids of LFS objects",
            unique=True,
        ),
        "With `lfs: true`: objects that the origin has lost for good. Everything else is carried. `airgap lock "
        "--partial` makes each a finding, which a waiver has to accept.",
        default=(),
        name="lostLFS",
    )
    where: str = given("where", default="")

    def checked(self, at: Place) -> GitRequest:
        """The entry with a URL or an absolute path. Its name is the last part of that by default."""
        complaint = git_complaint(self.url)
        at.bad(complaint, "url")
        if complaint:
            return self
        if self.lost_lfs and not self.lfs:
            at.bad("is only for a repository with 'lfs: true'", "lostLFS")
        url = self.url if "://" in self.url else str(at.reader.path((*at.steps, "url"), self.url))
        name = self.name or without_git(PurePosixPath(url).name)
        if not re.match(r"\S{1,300}\Z", name):
            at.bad(f"{quoted(url)} gives no valid name, expected a 'name'")
        elif not is_url(url):
            odd = repository_complaint(without_git(name))
            at.bad(name_complaint(name) or (f"{odd}; choose a 'name'" if odd else ""), "name" if self.name else "url")
        return replace(self, url=url, name=name)
