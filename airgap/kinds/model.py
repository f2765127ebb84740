"""Models: a Hugging Face repository at a commit, or a directory; packed by the CNCF ModelPack specification.

One raw layer per file, so a layer's digest is the file's sha256 (for a weight file its LFS oid), and the root is a pure
function of names, paths, sizes and hashes. Sources: model-spec docs/spec.md and docs/config.md; Hub API.
"""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import InputError, IntegrityError, TooLargeError, WrongItemError
from airgap.base.parallel import parallel
from airgap.base.secrets import read_secret
from airgap.base.streams import read_limited
from airgap.content.bound import LOCK_AGAIN, check_derived, measure, not_as_locked
from airgap.content.forms import Tree, named_layers
from airgap.content.graph import Descriptor, Opener, Source
from airgap.content.item import Item, LockedFile
from airgap.content.known_kinds import ItemFields
from airgap.content.lock import check_path
from airgap.kinds.kind import Kind
from airgap.net.origin import Origin
from airgap.resources.fields import given, one_of, spec, spec_map
from airgap.resources.parts import ALLOW_SECRETS, FOLDER
from airgap.resources.problems import quoted
from airgap.resources.references import path_complaint, plain_path_complaint
from airgap.resources.shapes import ListOf, Place, Text
from airgap.store.gathered import Gathered, artifact, hash_local, open_file
from airgap.store.memory import Memory
from airgap.store.tree_secrets import check_tree

if TYPE_CHECKING:
    from airgap.store.locate import Reach
    from airgap.tools.hub import Hub, HubFile

MODEL_TYPE = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
FILE_PATH = "org.cncf.model.filepath"
MAX_SMALL = 64 << 20
"""Bytes of a file that is not in LFS: the Hub itself refuses more than 10 MiB."""
MAX_FILES = 19_000
"""Files of a model: layers of one manifest, which holds 4 MiB."""
TOOL_FOLDERS = frozenset({".git", ".cache"})
"""What a clone and a download leave beside a model: the history, with tokens and all weights twice, and a cache."""
PICKLES = (".bin", ".ckpt", ".pkl", ".pickle", ".pt", ".pth")

_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_WEIGHTS = (".safetensors", ".gguf", ".onnx", ".h5", ".msgpack", ".npz", ".tflite", *PICKLES)
_DOCS = (".md", ".txt", ".pdf", ".rst", ".html", ".png", ".jpg", ".jpeg", ".svg")
_CODE = (".py", ".sh", ".ipynb", ".cpp", ".c", ".h", ".js", ".ts")


def media_type(path: str) -> str:
    """The layer's type, by the file's name: weights, documents, code, otherwise configuration."""
    lower = path.lower()
    for endings, kind in ((_WEIGHTS, "weight"), (_DOCS, "doc"), (_CODE, "code")):
        if lower.endswith(endings) or (kind == "doc" and lower.rsplit("/", 1)[-1] in ("license", "notice")):
            return f"application/vnd.cncf.model.{kind}.v1.raw"
    return "application/vnd.cncf.model.weight.config.v1.raw"


def _layer(file: LockedFile) -> Descriptor:
    return Descriptor(media_type(file.path), file.digest, file.size, {FILE_PATH: file.path})


def graph(name: str, files: Sequence[LockedFile]) -> tuple[Memory, Descriptor]:
    """Manifest and config of a model: the same files under the same name give the same root."""
    ordered = sorted(files, key=lambda file: file.path)
    config = {
        "descriptor": {"name": name},
        "modelfs": {"type": "layers", "diffIds": [str(file.digest) for file in ordered]},
        "config": {},
    }
    return artifact(MODEL_TYPE, (CONFIG_TYPE, canonical(config)), [_layer(file) for file in ordered])


def _total(files: Iterable[LockedFile], root: Descriptor) -> int:
    """Bytes of a model: its manifest, and the content of its files, each once."""
    return sum({file.digest: file.size for file in files}.values()) + root.size


def _chosen(request: ModelRequest, paths: Iterable[str]) -> list[str]:
    """The paths that `include` names, sorted; a pattern that matches no path is an error."""
    everything = sorted(paths)
    for pattern in request.include:
        if not fnmatch.filter(everything, pattern):
            raise WrongItemError(
                "no-such-file",
                f"include {pattern!r} matches no file of {request.name!r}",
                f"it has {', '.join(everything[:8])}{', …' if len(everything) > 8 else ''}",
            )
    chosen = [p for p in everything if not request.include or any(fnmatch.fnmatch(p, i) for i in request.include)]
    if not chosen or len(chosen) > MAX_FILES:
        raise WrongItemError("bad-model", f"{request.name!r} has {len(chosen)} files, expected 1 to {MAX_FILES}")
    return [check_path(path, request.name) for path in chosen]


def _is_left_out(path: str) -> str:
    """The folder of tools in which a file lies, `""` if there is none."""
    return next((part for part in path.split("/") if part in TOOL_FOLDERS), "")


def _directory(request: ModelRequest, folder: Path, reach: Reach) -> list[LockedFile]:
    """The files of a folder, without those of tools, and without secrets unless the request allows them."""
    if not folder.is_dir():
        raise WrongItemError("no-such-path", f"{folder}: not a folder", "correct `directory:` in the request")
    every = [path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir()]
    tools = Counter(_is_left_out(path.relative_to(folder).as_posix()) for path in every)
    found = [path for path in every if not _is_left_out(path.relative_to(folder).as_posix())]
    del tools[""]
    if tools:
        said = ", ".join(f"{count} in {name}" for name, count in sorted(tools.items()))
        reach.progress.note(f"note: {request.name}: files of tools are left out: {said}")
    links = [path for path in found if path.is_symlink()]
    if links:
        raise InputError(
            "symlink",
            f"{links[0]}: a symbolic link",
            "copy its target instead of the link (`cp -rL`)",
        )
    paths = _chosen(request, (path.relative_to(folder).as_posix() for path in found))
    for pattern in request.allow_secrets:
        if not fnmatch.filter(paths, pattern):
            what = f"allowSecrets {pattern!r} matches no file of {request.name!r}"
            raise WrongItemError("no-such-file", what, "correct the path, which starts below `directory:`")
    check_tree(f"model {request.name!r}", folder, paths, request.allow_secrets)
    sums = parallel(reach.jobs, lambda path: hash_local(folder / path), paths)
    return [LockedFile(path, digest, size) for path, (digest, size) in zip(paths, sums, strict=True)]


def _hub(reach: Reach) -> Hub:
    """The Hub, with the token of Upstreams, which is read once for all files."""
    from airgap.net.http import Fixed
    from airgap.tools.hub import Hub

    credentials = reach.http.host(Origin.of(reach.hub_endpoint)).credentials
    token = None if credentials is None else credentials.token_file
    auth = None if token is None else Fixed(f"Bearer {read_secret(token)}")
    return Hub(reach.http, reach.hub_endpoint, auth)


def _on_hub(request: ModelRequest, reach: Reach) -> tuple[list[LockedFile], str, str]:
    """Files, commit and licence of a repository on the Hub."""
    hub = _hub(reach)
    model = hub.model(request.repo, request.revision)
    entries = {entry.path: entry for entry in model.files}
    paths = _chosen(request, entries)

    def locked(path: str) -> LockedFile:
        return _hub_file(request.repo, entries[path], hub.opener(request.repo, model.commit, path))

    return parallel(reach.jobs, locked, paths), model.commit, model.licence


def _hub_file(repo: str, entry: HubFile, opener: Opener) -> LockedFile:
    """A file with its digest: the LFS oid, or of a small file the sha256 of bytes that have the Git blob id."""
    if entry.lfs is not None:
        return LockedFile(entry.path, entry.lfs, entry.size)
    with opener(0) as stream:
        data = read_limited(stream, MAX_SMALL + 1)
    if len(data) > MAX_SMALL:
        raise TooLargeError("too-large", f"{repo}: {entry.path}: more than {MAX_SMALL} bytes, and not in LFS")
    # Git's own naming (SHA-1): it ties the bytes to the commit that the Hub named, no more.
    oid = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    if entry.blob and entry.blob != oid:
        raise IntegrityError("blob-mismatch", f"{repo}: {entry.path}: got Git blob {oid}, expected {entry.blob}")
    return LockedFile(entry.path, Digest.of(data), len(data))


_NAME = r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?$"


def _pattern_complaint(pattern: str) -> str:
    outside = pattern.startswith("/") or ".." in pattern.split("/")
    return f"got {quoted(pattern)}, expected a pattern of relative paths without '..'" if outside else ""


@spec_map("a map with the model's repo or directory", one_of=one_of("repo", "directory"))
class ModelRequest:
    """A Hugging Face repository at a revision, or a directory. `include` are fnmatch patterns; empty means all."""

    repo: str = spec(Text("a Hugging Face repository, such as BAAI/bge-m3", pattern=_NAME), default="")
    directory: Path | None = spec(FOLDER, default=None)
    name: str = spec(
        Text("the model's name, such as BAAI/bge-m3", pattern=_NAME),
        "The path of the model in its bucket. Default: the repo. Required with `directory`.",
        default="",
    )
    revision: str = spec(
        Text("a branch, a tag or a commit", pattern=r"^\S+$", complaint=path_complaint), default="main"
    )
    include: tuple[str, ...] = spec(
        ListOf(
            Text("a file name pattern, such as *.safetensors", least=1, complaint=_pattern_complaint),
            "a list of patterns",
            least=1,
        ),
        "Carry only files whose path matches one of them. `*` also matches `/`. Default: all files.",
        default=(),
    )
    allow_secrets: tuple[str, ...] = spec(ALLOW_SECRETS, name="allowSecrets", default=())
    where: str = given("where", default="")

    def checked(self, at: Place) -> ModelRequest:
        """The entry; its name is the repository by default. What is on the Hub is public, and not looked at."""
        if self.allow_secrets and self.directory is None:
            at.bad("only for a directory: what is on the Hub is not looked at", "allowSecrets")
        name = self.name or self.repo
        if not name:
            at.bad("missing, expected the model's name, such as BAAI/bge-m3, with a directory", "name")
        return replace(self, name=name)


class ModelKind(Kind[ModelRequest]):
    """A repository of the Hugging Face Hub at a commit, or a directory."""

    name = "model"
    artifact_type = MODEL_TYPE
    section = "models"
    section_title = "a list of LLM weights and embedding models"
    request = ModelRequest
    item_fields = ItemFields(
        frozenset({"root", "bytes", "revision", "files"}),
        frozenset({"licence", "asked"}),
        {"include": list, "revision": str, "allowSecrets": list},
    )
    path_prefixes = ("directory:",)

    def origin(self, asked: ModelRequest) -> str:
        """`hf:` and the repository, or `directory:` and the path."""
        return f"hf:{asked.repo}" if asked.repo else f"directory:{asked.directory}"

    def unwritten(self, asked: ModelRequest, reach: Reach) -> Mapping[str, str | list[str]]:
        """The patterns, and for the Hub the requested revision."""
        revision = {"revision": asked.revision} if asked.repo else {}
        allowed = {"allowSecrets": sorted(asked.allow_secrets)} if asked.allow_secrets else {}
        return {"include": sorted(asked.include), **revision, **allowed}

    def said(self, asked: ModelRequest) -> Mapping[str, Any]:
        """That files of tools are left out: earlier versions carried them, with the tokens in `.git/config`."""
        return {"files of tools": "left out"}

    def pinned(self, item: Item) -> Mapping[str, Any]:
        """Whether they are left out."""
        local = self.is_local(item) and any(_is_left_out(file.path) for file in item.files)
        return {"files of tools": "carried" if local else "left out"}

    def resolve(self, asked: ModelRequest, reach: Reach) -> Item:
        """Pins a model: every file with its path, digest and size in bytes.

        Raises `InputError`, `NotFoundError`, `UpstreamError`, `IntegrityError`.
        """
        licence, revision = "", ""
        if asked.directory is not None:
            files = _directory(asked, asked.directory, reach)
        else:
            files, revision, licence = _on_hub(asked, reach)
        _, root = graph(asked.name, files)
        return Item(
            name=asked.name,
            kind="model",
            source=self.origin(asked),
            root=root,
            bytes=_total(files, root),
            revision=revision or f"sha256-{root.digest.hex}",
            licence=licence,
            files=tuple(sorted(files, key=lambda file: file.path)),
        )

    def blobs(self, item: Item) -> Sequence[Descriptor]:
        """Manifest, config and files."""
        memory, root = graph(item.name, item.files)
        return tuple(measure(memory, root)[1].values())

    def source(self, item: Item, reach: Reach) -> Source:
        """The source: the manifest from memory, the files from their places."""
        opener: Callable[[str], Opener]
        if item.source.startswith("hf:"):
            repo = item.source.removeprefix("hf:")
            hub = _hub(reach)
            opener = lambda path: hub.opener(repo, item.revision, path)  # noqa: E731
        else:
            folder = reach.path(item.source.removeprefix("directory:"))
            opener = lambda path: open_file(folder / check_path(path, item.name))  # noqa: E731
        openers = {file.digest: opener(file.path) for file in item.files}
        return Gathered(graph(item.name, item.files)[0], openers)

    def check_item(self, item: Item, where: str) -> None:
        """Its files, in order, have the root and the size that the lock says; its revision is that of its source."""
        paths = [file.path for file in item.files]
        if not 0 < len(paths) <= MAX_FILES or any(one >= following for one, following in pairwise(paths)):
            what = f"{where}: files: expected 1 to {MAX_FILES} files in the order of their paths, each once"
            raise InputError("bad-lock", what, LOCK_AGAIN)
        made = graph(item.name, item.files)[1]
        check_derived(item, made, _total(item.files, made), where)
        from_hub = item.source.startswith("hf:")
        if not (_COMMIT.match(item.revision) if from_hub else item.revision == f"sha256-{made.digest.hex}"):
            expected = "a commit" if from_hub else f"sha256-{made.digest.hex}"
            what = f"{where}: revision: got {item.revision[:100]!r}, expected {expected}"
            raise InputError("bad-lock", what, LOCK_AGAIN)

    def form(self, item: Item, root: Descriptor, source: Source) -> Tree:
        """The plain repository tree under `<name>/<revision>/`; the pointer `<name>/refs/main` is written last."""
        made = graph(item.name, item.files)[1]
        if root.digest != made.digest:
            raise not_as_locked(item, "root", root.digest, made.digest)
        entries = {file.path: _layer(file) for file in item.files}
        pointer = (f"{item.name}/refs/main", item.revision.encode())
        return Tree(item.name, "models", f"{item.name}/{item.revision}", entries, root, source, pointer)

    def thing(self, name: str, root: Descriptor, source: Source) -> Tree:
        """The plain repository tree."""
        return named_layers(name, root, source, FILE_PATH)

    def expect(self, item: Item) -> Tree:
        """The form as the lock alone tells it."""
        return self.form(item, graph(item.name, item.files)[1], Memory())

    def source_complaint(self, source: str) -> str:
        """`hf:` and a repository, or `directory:` and a path."""
        folder = source.removeprefix("directory:")
        if folder != source:
            return plain_path_complaint(folder)
        good = source.startswith("hf:") and re.fullmatch(_NAME, source[3:], re.ASCII)
        return "" if good else f"got {quoted(source)}, expected hf:… or directory:…"

    def check_names(self, item: Item, where: str) -> None:
        """The source is one of a request, and the name is a path that the Hub could have, too."""
        super().check_names(item, where)
        if not re.fullmatch(_NAME, item.name, re.ASCII):
            what = f"{where}: name: expected the model's name, such as BAAI/bge-m3"
            raise InputError("bad-lock", what, "give it such a name in the request, and lock it again")

    def address(self, item: Item) -> str:
        """The repository on the Hub."""
        return self.upstream(item.source.removeprefix("hf:"))

    def upstream(self, inside: str) -> str:
        """The repository on the Hub that has this name."""
        return f"huggingface.co/{inside}"


KIND = ModelKind()
