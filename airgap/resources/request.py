"""A Request document and an Upstreams document as values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from airgap.content.reference import CHART_SCHEME, ENGINE_SCHEME, LAYOUT_SCHEMES, local_scheme
from airgap.resources.model import (
    ChartRequest,
    FileRequest,
    GitRequest,
    ImageRequest,
    ModelRequest,
    Request,
    Upstreams,
)
from airgap.resources.problems import Steps, quoted
from airgap.resources.reader import DocumentReader
from airgap.resources.references import (
    chart_complaint,
    git_complaint,
    image_complaint,
    platform_complaint,
    ref_complaint,
    url_complaint,
)

DEFAULT_REFS = ("refs/heads/*", "refs/tags/*")


def request(reader: DocumentReader, name: str) -> Request:
    """Reads a Request; what is wrong ends up in `reader.problems`."""
    made = Request(
        name=name,
        images=tuple(_image(reader, steps, entry) for steps, entry in reader.entries("images")),
        charts=tuple(_chart(reader, steps, entry) for steps, entry in reader.entries("charts")),
        git=tuple(_git(reader, steps, entry) for steps, entry in reader.entries("git")),
        models=tuple(_model(reader, steps, entry) for steps, entry in reader.entries("models")),
        files=tuple(_file(reader, steps, entry) for steps, entry in reader.entries("files")),
    )
    _names(reader, made)
    _paths(reader)
    return made


def upstreams(reader: DocumentReader) -> Upstreams:
    """Reads an Upstreams document; what is wrong ends up in `reader.problems`."""
    return Upstreams(
        {
            host: reader.host(steps, entry, plain_http=entry.get("plainHTTP", False))
            for steps, host, entry in reader.keyed("hosts")
        }
    )


def _image(reader: DocumentReader, steps: Steps, entry: Mapping[str, Any]) -> ImageRequest:
    ref, name = entry["ref"], entry.get("name", "")
    at = (*steps, "ref")
    scheme = local_scheme(ref)
    if scheme:
        ref, default = _local_image(reader, at, ref)
        if not (name or default) and scheme != ENGINE_SCHEME:
            reader.bad(steps, f"{quoted(entry['ref'])} names no image in it, expected ':NAME' at its end or a 'name'")
        _place(reader, steps, entry, name or default)
    elif ref.startswith(CHART_SCHEME):
        reader.bad(at, f"got {quoted(ref)}, expected {quoted(ref[6:])}, or an entry of spec.charts if it is a chart")
        default = ref
    else:
        complaint = image_complaint(ref)
        reader.bad(at, complaint)
        default = "" if complaint else ref
    platforms = entry.get("platforms", ())
    seen: dict[str, Steps] = {}
    for index, platform in enumerate(platforms):
        where = (*steps, "platforms", index)
        reader.bad(where, platform_complaint(platform))
        reader.unique(seen, where, platform, f"{quoted(platform)}")
    return ImageRequest(ref, name or default, tuple(platforms), entry.get("phase", "registry"), reader.at(steps))


def _local_image(reader: DocumentReader, steps: Steps, ref: str) -> tuple[str, str]:
    """The reference with an absolute path, and the name in it: everything after the path's colon."""
    scheme, _, rest = ref.partition(":")
    if scheme == ENGINE_SCHEME:
        if not re.match(r"[^\s:@]\S*[:@]\S+\Z", rest):
            reader.bad(steps, f"got {quoted(ref)}, expected docker-daemon:NAME:TAG")
        return ref, rest
    path, colon, name = rest.partition(":")
    if not path or (colon and not re.match(r"\S+\Z", name)):
        reader.bad(steps, f"got {quoted(ref)}, expected {scheme}:PATH[:NAME]")
    return f"{scheme}:{reader.path(steps, path)}{colon}{name}", name


def _place(reader: DocumentReader, steps: Steps, entry: Mapping[str, Any], name: str) -> None:
    """Of what lies here the name alone says where it goes inside. Behind the gap nobody could mend it."""
    complaint = image_complaint(name.removeprefix(CHART_SCHEME)) if name else ""
    if complaint:
        where = (*steps, "name" if "name" in entry else "ref")
        hint = "what lies here goes inside by its name: write it in full, such as registry.local/team/app:1.0"
        reader.bad(where, f"{complaint} ({hint})")


def _chart(reader: DocumentReader, steps: Steps, entry: Mapping[str, Any]) -> ChartRequest:
    ref = entry["ref"]
    at = (*steps, "ref")
    if local_scheme(ref) in LAYOUT_SCHEMES:
        ref, default = _local_image(reader, at, ref)
        if not (entry.get("name") or default):
            reader.bad(steps, f"{quoted(entry['ref'])} names no chart in it, expected ':NAME' at its end or a 'name'")
        _place(reader, steps, entry, entry.get("name", default))
        return ChartRequest(ref, entry.get("name", default), entry.get("phase", "registry"), reader.at(steps))
    reader.bad(at, chart_complaint(ref))
    name = entry.get("name", ref.removeprefix(CHART_SCHEME))
    return ChartRequest(ref, name, entry.get("phase", "registry"), reader.at(steps))


def _git(reader: DocumentReader, steps: Steps, entry: Mapping[str, Any]) -> GitRequest:
    url = entry["url"]
    at = (*steps, "url")
    complaint = git_complaint(url)
    reader.bad(at, complaint)
    if not complaint and "://" not in url:
        url = str(reader.path(at, url))
    name = entry.get("name") or ("" if complaint else PurePosixPath(url).name.removesuffix(".git"))
    if not complaint and not re.match(r"\S{1,300}\Z", name):
        reader.bad(steps, f"no name can be made of {quoted(url)}, expected a 'name'")
    refs = entry.get("refs", DEFAULT_REFS)
    seen: dict[str, Steps] = {}
    for index, ref in enumerate(refs):
        where = (*steps, "refs", index)
        reader.bad(where, ref_complaint(ref))
        reader.unique(seen, where, ref, f"{quoted(ref)}")
    return GitRequest(url, name, tuple(refs), entry.get("lfs", False), reader.at(steps))


def _model(reader: DocumentReader, steps: Steps, entry: Mapping[str, Any]) -> ModelRequest:
    name = entry.get("name") or entry.get("repo", "")
    if not name:
        reader.bad((*steps, "name"), "missing, expected the model's name, such as BAAI/bge-m3, with a directory")
    revision = entry.get("revision", "main")
    reader.plain_path((*steps, "revision"), revision)
    for index, pattern in enumerate(entry.get("include", ())):
        if pattern.startswith("/") or ".." in pattern.split("/"):
            where = (*steps, "include", index)
            reader.bad(where, f"got {quoted(pattern)}, expected a pattern of relative paths without '..'")
    return ModelRequest(
        name=name,
        repo=entry.get("repo", ""),
        directory=reader.optional_path(steps, entry, "directory"),
        revision=revision,
        include=tuple(entry.get("include", ())),
        where=reader.at(steps),
    )


def _file(reader: DocumentReader, steps: Steps, entry: Mapping[str, Any]) -> FileRequest:
    path, url = entry["path"], entry.get("url", "")
    reader.plain_path((*steps, "path"), path)
    if url:
        reader.bad((*steps, "url"), url_complaint(url))
    return FileRequest(
        name=entry.get("name", path),
        sha256=entry["sha256"],
        path=path,
        url=url,
        file=reader.optional_path(steps, entry, "file"),
        where=reader.at(steps),
    )


def _names(reader: DocumentReader, made: Request) -> None:
    """No two items of a kind may have one name: a lock, a tag and a receipt would not know which is which."""
    for section in ("images", "charts", "git", "models", "files"):
        taken: dict[str, Steps] = {}
        for (steps, _), item in zip(reader.entries(section), getattr(made, section), strict=True):
            if item.name:
                reader.unique(taken, steps, item.name, f"the name {quoted(item.name)}")


def _paths(reader: DocumentReader) -> None:
    """No two files may have one path, nor may one's path be a folder of another's: a directory cannot hold both."""
    taken: dict[str, Steps] = {}
    for steps, entry in reader.entries("files"):
        reader.unique(taken, (*steps, "path"), entry["path"], f"the path {quoted(entry['path'])}")
    for path, steps in taken.items():
        parts = path.split("/")
        for count in range(1, len(parts)):
            folder = "/".join(parts[:count])
            if folder in taken:
                reader.bad(steps, f"{quoted(folder)} is a file already ({reader.at(taken[folder])})")
