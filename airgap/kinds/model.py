"""Models: a Hugging Face repository at a commit, or a directory; packed by the CNCF ModelPack specification.

One raw layer per file, so a layer's digest is the file's sha256 (for a weight file its LFS oid), and the root is a pure
function of names, paths, sizes and hashes. Sources: model-spec docs/spec.md and docs/config.md; Hub API.
"""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import InputError, IntegrityError, NotFoundError, TooLargeError, UpstreamError
from airgap.base.parallel import parallel
from airgap.base.secrets import read_secret
from airgap.base.streams import read_limited
from airgap.content.bound import LOCK_AGAIN, check_derived, not_as_locked
from airgap.content.forms import Tree
from airgap.content.graph import Descriptor, Opener, Source
from airgap.content.item import Item, LockedFile
from airgap.content.known_kinds import ItemFields
from airgap.content.lock import check_path
from airgap.kinds.kind import Kind
from airgap.net.origin import Origin
from airgap.resources.fields import given, one_of, spec, spec_map
from airgap.resources.parts import FOLDER
from airgap.resources.problems import quoted
from airgap.resources.references import path_complaint, plain_path_complaint
from airgap.resources.shapes import ListOf, Place, Text
from airgap.store.gathered import Gathered, artifact, hash_local, open_file
from airgap.store.memory import Memory

if TYPE_CHECKING:
    from airgap.net.http import Auth, Response
    from airgap.store.locate import Reach

MODEL_TYPE = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
FILE_PATH = "org.cncf.model.filepath"
MAX_SMALL = 64 << 20
"""Bytes of a file that is not in LFS: the Hub itself refuses more than 10 MiB."""
MAX_FILES = 19_000
"""Files of a model: layers of one manifest, which holds 4 MiB."""
INFO_SECONDS = 60.0
"""Seconds for the list of files: the library has no time limit of its own."""
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
            raise InputError(
                "no-such-file",
                f"include {pattern!r} matches no file of {request.name!r}",
                f"it has {', '.join(everything[:8])}{', …' if len(everything) > 8 else ''}",
            )
    chosen = [p for p in everything if not request.include or any(fnmatch.fnmatch(p, i) for i in request.include)]
    if not chosen or len(chosen) > MAX_FILES:
        raise InputError("bad-model", f"{request.name!r} has {len(chosen)} files, expected 1 to {MAX_FILES}")
    return [check_path(path, request.name) for path in chosen]


def _directory(request: ModelRequest, folder: Path, jobs: int) -> list[LockedFile]:
    if not folder.is_dir():
        raise InputError("no-such-path", f"{folder}: not a folder", "correct `directory:` in the request")
    found = [path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir()]
    links = [path for path in found if path.is_symlink()]
    if links:
        raise InputError(
            "symlink",
            f"{links[0]}: a symbolic link",
            "copy its target instead of the link (`cp -rL`)",
        )
    paths = _chosen(request, (path.relative_to(folder).as_posix() for path in found))
    sums = parallel(jobs, lambda path: hash_local(folder / path), paths)
    return [LockedFile(path, digest, size) for path, (digest, size) in zip(paths, sums, strict=True)]


def _auth(reach: Reach) -> tuple[Auth | None, str]:
    from airgap.net.http import Fixed

    credentials = reach.http.host(Origin.of(reach.hub_endpoint)).credentials
    if credentials is None or credentials.token_file is None:
        return None, ""
    token = read_secret(credentials.token_file)
    return Fixed(f"Bearer {token}"), token


@dataclass(frozen=True, slots=True)
class _Place:
    """A commit of a repository on the Hub; the token is read once for all of its files."""

    reach: Reach
    repo: str
    commit: str
    auth: Auth | None

    def opener(self, path: str) -> Opener:
        """Opens a file of the commit. The Hub answers with a redirect to its CDN, which gets no token."""
        endpoint = self.reach.hub_endpoint.rstrip("/")
        url = f"{endpoint}/{self.repo}/resolve/{self.commit}/{quote(path)}"
        return lambda offset: self.reach.http.open_stream(
            url, offset, auth=self.auth, explain=lambda answer: _explain(answer, self.repo)
        )


def _hub(request: ModelRequest, reach: Reach) -> tuple[list[LockedFile], str, str]:
    """Files, commit and licence of a repository on the Hub."""
    info = _model_info(request, reach)
    commit = str(info.sha or "")
    if len(commit) != 40:
        raise UpstreamError(
            "bad-hub-answer", f"{request.repo}: the Hub names no commit for {request.revision!r}", side="origin"
        )
    entries = {entry.rfilename: entry for entry in info.siblings or ()}
    paths = _chosen(request, entries)
    place = _Place(reach, request.repo, commit, _auth(reach)[0])
    files = parallel(reach.jobs, lambda path: _hub_file(place, entries[path]), paths)
    card = getattr(info, "card_data", None)
    licence = getattr(card, "license", None) if card is not None else None
    return files, commit, licence if isinstance(licence, str) else ""


def _model_info(request: ModelRequest, reach: Reach) -> Any:
    """The library's answer, with its errors translated. It gets a token, so that it does not look for one itself."""
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import (
            GatedRepoError,
            HFValidationError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ImportError as error:
        raise InputError(
            "missing-extra",
            "models from the Hub require the huggingface-hub library",
            "pip install 'airgap[models]'",
        ) from error
    api = HfApi(endpoint=reach.hub_endpoint, token=_auth(reach)[1] or False)
    try:
        return api.model_info(request.repo, revision=request.revision, files_metadata=True, timeout=INFO_SECONDS)
    except GatedRepoError as error:
        raise UpstreamError(
            "model-gated",
            f"{request.repo}: the licence must be accepted first",
            f"accept it at {reach.hub_endpoint}/{request.repo}, and set credentials.tokenFile in Upstreams",
            side="origin",
        ) from error
    except RevisionNotFoundError as error:
        raise NotFoundError(
            "no-revision", f"{request.repo}: no revision {request.revision!r}", side="origin"
        ) from error
    except RepositoryNotFoundError as error:
        raise NotFoundError(
            "no-model",
            f"{request.repo}: not found, or this account may not read it",
            "check the name; a private repository needs credentials.tokenFile in Upstreams",
            side="origin",
        ) from error
    except HFValidationError as error:
        raise InputError(
            "bad-repo",
            f"{request.repo!r} is not the name of a model on the Hub: {error}",
            "write organization/name in `repo:`",
        ) from error
    except Exception as error:
        # Any error: besides its own, the library lets errors of its HTTP library through (requests before 1.0,
        # httpx since), and errors of parsing an answer that is not from the Hub.
        raise _other_fault(request, error) from error


def _other_fault(request: ModelRequest, error: Exception) -> UpstreamError:
    status = getattr(getattr(error, "response", None), "status_code", 0)
    hint = "check the connection to the Hub, then run the same command again"
    if status in (401, 403):
        hint = "check the token in credentials.tokenFile in Upstreams"
    words = " ".join(str(error).split()) or type(error).__name__
    return UpstreamError("hub", f"{request.repo}: {words}", hint, status, side="origin")


def _hub_file(place: _Place, entry: Any) -> LockedFile:
    """A file with its digest: the LFS oid, or of a small file the sha256 of bytes that have the Git blob id."""
    if entry.lfs is not None:
        return LockedFile(entry.rfilename, Digest(f"sha256:{entry.lfs.sha256}"), int(entry.lfs.size))
    with place.opener(entry.rfilename)(0) as stream:
        data = read_limited(stream, MAX_SMALL + 1)
    if len(data) > MAX_SMALL:
        what = f"{place.repo}: {entry.rfilename}: more than {MAX_SMALL} bytes, and not in LFS"
        raise TooLargeError("too-large", what)
    # Git's own naming (SHA-1): it ties the bytes to the commit that the Hub named, no more.
    oid = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    if entry.blob_id and entry.blob_id != oid:
        what = f"{place.repo}: {entry.rfilename}: got Git blob {oid}, expected {entry.blob_id}"
        raise IntegrityError("blob-mismatch", what)
    return LockedFile(entry.rfilename, Digest.of(data), len(data))


def _explain(response: Response, repo: str) -> UpstreamError:
    error = response.error()
    if response.status in (401, 403):
        return error.with_hint(f"accept the licence of {repo} in a browser, and set credentials.tokenFile in Upstreams")
    return error


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
    where: str = given("where", default="")

    def checked(self, at: Place) -> ModelRequest:
        """The entry; its name is the repository by default."""
        name = self.name or self.repo
        if not name:
            at.bad("missing, expected the model's name, such as BAAI/bge-m3, with a directory", "name")
        return replace(self, name=name)


class ModelKind(Kind[ModelRequest]):
    """A repository of the Hugging Face Hub at a commit, or a directory."""

    name = "model"
    section = "models"
    section_title = "a list of LLM weights and embedding models"
    request = ModelRequest
    item_fields = ItemFields(
        frozenset({"root", "bytes", "revision", "files"}),
        frozenset({"licence", "asked"}),
        {"include": list, "revision": str},
    )
    path_prefixes = ("directory:",)

    def origin(self, asked: ModelRequest) -> str:
        """`hf:` and the repository, or `directory:` and the path."""
        return f"hf:{asked.repo}" if asked.repo else f"directory:{asked.directory}"

    def unwritten(self, asked: ModelRequest, reach: Reach) -> Mapping[str, str | list[str]]:
        """The patterns, and for the Hub the requested revision."""
        revision = {"revision": asked.revision} if asked.repo else {}
        return {"include": sorted(asked.include), **revision}

    def resolve(self, asked: ModelRequest, reach: Reach) -> Item:
        """Pins a model: every file with its path, digest and size in bytes.

        Raises `InputError`, `NotFoundError`, `UpstreamError`, `IntegrityError`.
        """
        licence, revision = "", ""
        if asked.directory is not None:
            files = _directory(asked, asked.directory, reach.jobs)
        else:
            files, revision, licence = _hub(asked, reach)
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

    def source(self, item: Item, reach: Reach) -> Source:
        """The source: the manifest from memory, the files from their places."""
        opener: Callable[[str], Opener]
        if item.source.startswith("hf:"):
            repo = item.source.removeprefix("hf:")
            opener = _Place(reach, repo, item.revision, _auth(reach)[0]).opener
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
