"""The entries of a Request, one dataclass for each kind of content."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import ClassVar

from airgap.content.lock import PHASES
from airgap.content.reference import CHART_SCHEME, ENGINE_SCHEME, LAYOUT_SCHEMES, local_scheme
from airgap.resources.fields import Choice, Flag, ListOf, Map, Place, Text, given, one_of, spec_field
from airgap.resources.parts import FILE, FOLDER, ITEM_NAME, RELATIVE, SHA256
from airgap.resources.problems import quoted
from airgap.resources.references import (
    chart_complaint,
    git_complaint,
    image_complaint,
    path_complaint,
    platform_complaint,
    ref_complaint,
    url_complaint,
)
from airgap.resources.request import ENTRIES, entries

PHASE = Choice(
    PHASES[::-1],
    "`seed` is what must run before the registry answers: it is handed over as image files too. "
    "`registry` is everything else.",
)
PLATFORM = Text(
    "os/architecture[/variant], such as linux/amd64",
    pattern=r"^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?$",
    complaint=platform_complaint,
)
MODEL = r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?$"


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """`ref` is a registry reference, `oci:DIR[:NAME]`, `oci-archive:FILE[:NAME]` or `docker-daemon:REF`."""

    spec: ClassVar = Map("a map with the image's ref")
    ref: str = field(
        metadata=spec_field(
            "ref",
            Text(
                "a full image reference, such as docker.io/library/alpine:3.20",
                "Registry host, repository, and a tag or digest or both. Also `oci:DIR[:NAME]` (an OCI layout), "
                "`oci-archive:FILE[:NAME]` (the same as a tar) and `docker-daemon:REF`.",
                least=1,
            ),
        )
    )
    name: str = field(
        metadata=spec_field(
            "name",
            ITEM_NAME,
            "Left out: the ref; of an OCI layout the NAME in it, and then one of the two is needed. What lies here "
            "(`oci:`, `oci-archive:`, `docker-daemon:`) goes inside by its name, which is a full reference: "
            "`registry.local/team/app:1.0`.",
            needed=False,
        )
    )
    platforms: tuple[str, ...] = field(
        default=(),
        metadata=spec_field(
            "platforms",
            ListOf(
                PLATFORM,
                "a list of platforms",
                "Only these children of a multi-arch index. Left out: the whole index.",
                least=1,
                unique=True,
            ),
        ),
    )
    phase: str = field(default="registry", metadata=spec_field("phase", PHASE))
    where: str = field(default="", metadata=given("where"))
    """`file:line:column`, for errors."""

    def checked(self, at: Place) -> ImageRequest:
        """The reference with an absolute path, and the name that it gives."""
        scheme = local_scheme(self.ref)
        if scheme:
            ref, name = _local(at)
            if not (self.name or name) and scheme != ENGINE_SCHEME:
                at.bad(f"{quoted(self.ref)} names no image in it, expected ':NAME' at its end or a 'name'")
            _goes_inside(at, self.name or name)
            return replace(self, ref=ref, name=self.name or name)
        if self.ref.startswith(CHART_SCHEME):
            bare = quoted(self.ref[6:])
            at.bad(f"got {quoted(self.ref)}, expected {bare}, or an entry of spec.charts if it is a chart", "ref")
            return replace(self, name=self.name or self.ref)
        complaint = image_complaint(self.ref)
        at.bad(complaint, "ref")
        return replace(self, name=self.name or ("" if complaint else self.ref))


@dataclass(frozen=True, slots=True)
class ChartRequest:
    """`ref` is `oci://registry/repository:version`."""

    spec: ClassVar = Map("a map with the chart's ref")
    ref: str = field(
        metadata=spec_field(
            "ref",
            Text(
                "a chart reference, such as oci://ghcr.io/openova-io/bp-cilium:1.1.1",
                "A `+` in the version is written `_`, as registries have it. "
                "Also `oci:DIR[:NAME]` and `oci-archive:FILE[:NAME]`.",
                least=1,
            ),
        )
    )
    name: str = field(
        metadata=spec_field(
            "name",
            ITEM_NAME,
            "Left out: the ref without `oci://`. Of a chart that lies here a full reference, as of an image.",
            needed=False,
        )
    )
    phase: str = field(default="registry", metadata=spec_field("phase", PHASE))
    where: str = field(default="", metadata=given("where"))

    def checked(self, at: Place) -> ChartRequest:
        """The reference with an absolute path, and the name that it gives."""
        if local_scheme(self.ref) in LAYOUT_SCHEMES:
            ref, name = _local(at)
            if not (self.name or name):
                at.bad(f"{quoted(self.ref)} names no chart in it, expected ':NAME' at its end or a 'name'")
            _goes_inside(at, self.name or name)
            return replace(self, ref=ref, name=self.name or name)
        at.bad(chart_complaint(self.ref), "ref")
        return replace(self, name=self.name or self.ref.removeprefix(CHART_SCHEME))


def _local(at: Place) -> tuple[str, str]:
    """The reference with an absolute path, and the name in it: everything after the path's colon."""
    ref = at.value["ref"]
    scheme, _, rest = ref.partition(":")
    if scheme == ENGINE_SCHEME:
        if not re.match(r"[^\s:@]\S*[:@]\S+\Z", rest):
            at.bad(f"got {quoted(ref)}, expected docker-daemon:NAME:TAG", "ref")
        return ref, rest
    path, colon, name = rest.partition(":")
    if not path or (colon and not re.match(r"\S+\Z", name)):
        at.bad(f"got {quoted(ref)}, expected {scheme}:PATH[:NAME]", "ref")
    return f"{scheme}:{at.reader.path((*at.steps, 'ref'), path)}{colon}{name}", name


def _goes_inside(at: Place, name: str) -> None:
    """Of what lies here the name alone says where it goes inside. Behind the gap nobody can correct it."""
    complaint = image_complaint(name.removeprefix("oci://")) if name else ""
    if complaint:
        hint = "what lies here goes inside by its name: write it in full, such as registry.local/team/app:1.0"
        at.bad(f"{complaint} ({hint})", "name" if "name" in at.value else "ref")


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


def _pattern_complaint(pattern: str) -> str:
    outside = pattern.startswith("/") or ".." in pattern.split("/")
    return f"got {quoted(pattern)}, expected a pattern of relative paths without '..'" if outside else ""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A Hugging Face repository at a revision, or a directory. `include` are fnmatch patterns; empty means all."""

    spec: ClassVar = Map(
        "a map with the model's repo or directory",
        one_of=one_of("repo", "directory"),
        order=("repo", "directory", "name", "revision", "include", "where"),
    )
    name: str = field(
        metadata=spec_field(
            "name",
            Text(
                "the model's name, such as BAAI/bge-m3",
                "Where the model goes in its bucket. Left out: the repo. A directory needs one.",
                pattern=MODEL,
            ),
            needed=False,
        )
    )
    repo: str = field(
        default="",
        metadata=spec_field("repo", Text("a Hugging Face repository, such as BAAI/bge-m3", pattern=MODEL)),
    )
    directory: Path | None = field(default=None, metadata=spec_field("directory", FOLDER))
    revision: str = field(
        default="main",
        metadata=spec_field(
            "revision", Text("a branch, a tag or a commit", pattern=r"^\S+$", complaint=path_complaint)
        ),
    )
    include: tuple[str, ...] = field(
        default=(),
        metadata=spec_field(
            "include",
            ListOf(
                Text("a file name pattern, such as *.safetensors", least=1, complaint=_pattern_complaint),
                "a list of patterns",
                "Only files whose path fits one of them. `*` fits `/` too. Left out: all files.",
                least=1,
            ),
        ),
    )
    where: str = field(default="", metadata=given("where"))

    def checked(self, at: Place) -> ModelRequest:
        """With the name that the repository gives."""
        name = self.name or self.repo
        if not name:
            at.bad("missing, expected the model's name, such as BAAI/bge-m3, with a directory", "name")
        return replace(self, name=name)


@dataclass(frozen=True, slots=True)
class FileRequest:
    """A file by https URL or local path. `sha256` is 64 hex digits; `path` is where it goes in the bucket."""

    spec: ClassVar = Map(
        "a map with the file's url, sha256 and path",
        one_of=one_of("url", "file"),
        order=("url", "file", "sha256", "path", "name", "where"),
    )
    name: str = field(metadata=spec_field("name", ITEM_NAME, "Left out: the path.", needed=False))
    sha256: str = field(metadata=spec_field("sha256", SHA256))
    path: str = field(
        metadata=spec_field(
            "path",
            Text(
                "a path in the bucket, such as k3s/v1.31/k3s",
                "Relative, without `.` and `..`.",
                least=1,
                complaint=path_complaint,
            ),
        )
    )
    url: str = field(default="", metadata=spec_field("url", Text("an https address", least=1, complaint=url_complaint)))
    file: Path | None = field(default=None, metadata=spec_field("file", FILE))
    where: str = field(default="", metadata=given("where"))

    def checked(self, at: Place) -> FileRequest:
        """With the name that the path gives. A path is neither another's nor a folder of another's."""
        if at.once(self.path, f"the path {quoted(self.path)}", "path"):
            section = at.steps[:-1]
            here, files = (*at.steps, "path"), at.reader.taken((*section, "path"))
            parts = self.path.split("/")
            for folder in ("/".join(parts[:count]) for count in range(1, len(parts))):
                at.reader.taken((*section, "folder", folder))[self.path] = here
                if folder in files:
                    at.bad(f"{quoted(folder)} is a file already ({at.reader.at(files[folder])})", "path")
            for steps in at.reader.taken((*section, "folder", self.path)).values():
                at.reader.bad(steps, f"{quoted(self.path)} is a file already ({at.reader.at(here)})")
        return replace(self, name=self.name or self.path)


ENTRIES.offer("images", entries(ImageRequest, "a list of container images and other OCI artifacts"))
ENTRIES.offer("charts", entries(ChartRequest, "a list of Helm charts in OCI registries"))
ENTRIES.offer("git", entries(GitRequest, "a list of Git repositories"))
ENTRIES.offer("models", entries(ModelRequest, "a list of LLM weights and embedding models"))
ENTRIES.offer("files", entries(FileRequest, "a list of plain files"))
