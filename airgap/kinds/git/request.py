"""What a Request says about a Git repository."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import ClassVar

from airgap.resources.fields import Flag, ListOf, Map, Place, Text, given, spec_field
from airgap.resources.parts import ITEM_NAME, RELATIVE
from airgap.resources.problems import quoted
from airgap.resources.references import git_complaint, ref_complaint


@dataclass(frozen=True, slots=True)
class GitRequest:
    """`url` is https (or http) or a path; `refs` are full names or patterns with `*`."""

    spec: ClassVar = Map("a map with the repository's url")
    url: str = field(
        metadata=spec_field(
            "url",
            Text(
                "an https address or a path",
                f"{RELATIVE} ssh is not taken: airgap holds no ssh keys.",
                least=1,
            ),
        )
    )
    name: str = field(
        metadata=spec_field("name", ITEM_NAME, "Left out: the last part of the url, without `.git`.", needed=False)
    )
    refs: tuple[str, ...] = field(
        default=("refs/heads/*", "refs/tags/*"),
        metadata=spec_field(
            "refs",
            ListOf(
                Text("a full ref name, such as refs/heads/main or refs/tags/v*", least=1, complaint=ref_complaint),
                "a list of refs",
                least=1,
                unique=True,
            ),
        ),
    )
    lfs: bool = field(
        default=False, metadata=spec_field("lfs", Flag("Whether the LFS objects that the refs reach come along."))
    )
    where: str = field(default="", metadata=given("where"))

    def checked(self, at: Place) -> GitRequest:
        """The address or absolute path, and the name that it gives."""
        complaint = git_complaint(self.url)
        at.bad(complaint, "url")
        if complaint:
            return self
        url = self.url if "://" in self.url else str(at.reader.path((*at.steps, "url"), self.url))
        name = self.name or PurePosixPath(url).name.removesuffix(".git")
        if not re.match(r"\S{1,300}\Z", name):
            at.bad(f"no name can be made of {quoted(url)}, expected a 'name'")
        return replace(self, url=url, name=name)
