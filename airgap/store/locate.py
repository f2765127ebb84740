"""Resolves a reference to a registry, layout (`oci:`), archive (`oci-archive:`) or engine (`docker-daemon:`).

Returns the `Source` of its graph, its root, and a finder for what is attached (`airgap.store.attached`).
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, DamageError, IntegrityError, WrongItemError
from airgap.base.progress import Progress, Silent
from airgap.base.streams import read_limited
from airgap.base.strict_json import parse_json
from airgap.content.graph import (
    ANNOTATION_IMAGE_NAME,
    MAX_NODE,
    NODE_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Node,
    Source,
    read_node,
)
from airgap.content.reference import (
    DOCKER_HUB,
    ENGINE_SCHEME,
    LAYOUT_SCHEMES,
    is_referrers_tag,
    known_as,
    local_scheme,
    parse_reference,
    referrers_tag,
    split_local_digest,
    subject_of,
)
from airgap.net.http import Client
from airgap.store.archive import Archive
from airgap.store.attached import Finder, NoFinder, RepositoryFinder
from airgap.store.engine import EngineImage
from airgap.store.layout import Layout
from airgap.store.registry.client import RegistryClient
from airgap.store.registry.repository import RegistryRepository

WITHDRAWN = "application/vnd.oci.artifact.manifest.v1+json"
"""The type that ORAS and Notation wrote before OCI 1.1. It has subjects, and no current registry accepts it."""
_SAVED = {
    "dev.cosignproject.cosign/sigs": ".sig",
    "dev.cosignproject.cosign/atts": ".att",
}
"""The files that `cosign save` writes next to an image, by annotation `kind`: the suffix of the tag in the registry."""
MAX_LISTED_ROOTS = 20
"""Roots that a message lists: as many as fit a screen."""
_IMAGES = ("dev.cosignproject.cosign/image", "dev.cosignproject.cosign/imageIndex")


@dataclass(frozen=True, slots=True)
class Located:
    """A graph's source, its root, and a finder for attached artifacts; `converted` if the root was built here."""

    source: Source
    root: Descriptor
    finder: Finder
    converted: bool = False


@dataclass(slots=True)
class Reach:
    """Access in the connected zone: HTTP, registries (each created once), local paths, the engine's address.

    Archives and images of an engine stay open until `close`, because what is located is read later. It is a context
    manager.
    """

    http: Client
    spool: Path
    base: Path
    docker_config: Path | None = None
    docker_host: str = ""
    progress: Progress = field(default_factory=Silent)
    proxies: Mapping[str, str] = field(default_factory=dict)
    hub_endpoint: str = "https://huggingface.co"
    jobs: int = 4
    blobs: dict[str, Sequence[Descriptor]] = field(default_factory=dict)
    """All blobs of what was resolved in this run, by item name, where the lock alone does not tell them."""
    partial: bool = False
    """True for `lock --partial`: a kind may pin an item that lacks something, and say so in `Kind.findings`."""
    _registries: dict[str, RegistryClient] = field(default_factory=dict)
    _layouts: dict[tuple[str, Path], LayoutFinder] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _opened: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the archives and engine images, which frees the disk space of what was spooled."""
        self._opened.close()

    def registry(self, host: str) -> RegistryClient:
        """The client for a registry."""
        with self._lock:
            if host not in self._registries:
                self._registries[host] = RegistryClient(host, self.http, docker_config=self.docker_config)
            return self._registries[host]

    def path(self, text: str) -> Path:
        """A path from a request or lock; a relative path is relative to its folder."""
        return self.base / text

    def locate(self, ref: str, pinned: Descriptor | None = None) -> Located:
        """Resolves `ref`. With `pinned`, uses that root only, and does not look up the name again.

        Raises `InputError`, `NotFoundError`, `UpstreamError`.
        """
        scheme, rest = local_scheme(ref), ref.partition(":")[2]
        if scheme in LAYOUT_SCHEMES:
            rest, digest = split_local_digest(rest)
            path, name = self._split(rest)
            finder = self._local(scheme, path)
            return Located(finder.source, pinned or _choose(finder, name, digest, ref), finder)
        if scheme == ENGINE_SCHEME:
            image = EngineImage(rest, self.spool, self.docker_host)
            with self._lock:
                self._opened.callback(image.close)
            return Located(image, image.root, NoFinder(), converted=True)
        reference = parse_reference(ref)
        repository = RegistryRepository(self.registry(reference.host), reference.repository)
        root = pinned or repository.resolve(reference.wanted or "latest")
        return Located(repository, root, RepositoryFinder(repository, self.attached_at(ref)))

    def attached_at(self, ref: str) -> str:
        """How attached artifacts are looked up where `ref` is: `tags` or `none` if Upstreams says so, else `""`."""
        if local_scheme(ref):
            return ""
        hosts = self.http.hosts
        return next((hosts[one].referrers for one in known_as(parse_reference(ref).host) if one in hosts), "")

    def _local(self, scheme: str, path: Path) -> LayoutFinder:
        """The layout or archive at `path`, opened only once, because many references may lead into it."""
        with self._lock:
            if (scheme, path) not in self._layouts:
                source: Layout | Archive
                if scheme == "oci":
                    source = Layout(path)
                else:
                    source = Archive(path, self.spool)
                    self._opened.callback(source.close)
                self._layouts[scheme, path] = LayoutFinder(source)
            return self._layouts[scheme, path]

    def _split(self, rest: str) -> tuple[Path, str]:
        """Splits `PATH[:NAME]`. The longest existing path counts, because both parts may contain colons."""
        parts = rest.split(":")
        for count in range(len(parts), 0, -1):
            path = self.path(":".join(parts[:count]))
            if path.exists():
                return path, ":".join(parts[count:])
        raise WrongItemError("no-such-path", f"{rest}: no such file or folder", "check the path in the request")


def _choose(finder: LayoutFinder, name: str, digest: Digest | None, ref: str) -> Descriptor:
    """The root with this name and this digest, as far as they are given. Raises `InputError` (`no-such-root`)."""
    roots = [(known, root) for known, root in finder.roots if _kind(root) not in _SAVED]
    found = [root for known, root in roots if not name or name in _names(known, root)]
    several = [root for root in found if digest is None or root.digest == digest]
    if len({root.digest for root in several}) == 1:
        return Descriptor(several[0].media_type, several[0].digest, several[0].size)
    problem = f"has several roots called {name!r}" if found and name else f"has no root called {name!r}"
    if not name:
        problem = f"has {len(found)} roots, and the reference names none of them"
    if digest is not None:
        problem = f"has no root {digest}" + (f" called {name!r}" if name else "")
    scheme = ref.partition(":")[0]
    listed = [f"{_best(known, root)}{root.digest}" for known, root in roots]
    more = f" and {len(listed) - MAX_LISTED_ROOTS} more" if len(listed) > MAX_LISTED_ROOTS else ""
    raise WrongItemError(
        "no-such-root",
        f"{ref}: {problem}",
        f"write {scheme}:PATH:NAME, or {scheme}:PATH@DIGEST; it has {', '.join(listed[:MAX_LISTED_ROOTS])}{more}",
    )


def _names(known: str, root: Descriptor) -> set[str]:
    """What a root may be called: containerd and Docker write the full name beside one that is only the tag."""
    full = root.annotations.get(ANNOTATION_IMAGE_NAME, "")
    short = full.removeprefix(f"{DOCKER_HUB}/").removeprefix("library/") if full.startswith(f"{DOCKER_HUB}/") else ""
    return {one for one in (known, full, short) if one}


def _best(known: str, root: Descriptor) -> str:
    name = root.annotations.get(ANNOTATION_IMAGE_NAME, "") or known
    return f"{name} " if name else ""


def _kind(root: Descriptor) -> str:
    return root.annotations.get("kind", "")


@dataclass(slots=True)
class LayoutFinder:
    """Scans a layout or an archive once: names, indexes of referrers, and every small blob that has a subject.

    cosign and oras keep referrers in `blobs/` without listing them in index.json, so the index is not enough.
    Thread-safe; later changes to the layout are not seen.
    """

    source: Layout | Archive
    _roots: Sequence[tuple[str, Descriptor]] | None = None
    _tags: dict[str, Descriptor] = field(default_factory=dict)
    _subjects: dict[Digest, list[Descriptor]] | None = None
    _broken: dict[Digest, AirgapError] = field(default_factory=dict)
    """Subject → the error of a manifest that names it. It is raised only to a caller that asks for this subject."""
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def roots(self) -> Sequence[tuple[str, Descriptor]]:
        """Names and roots, as they were at the first call."""
        with self._lock:
            if self._roots is None:
                self._roots = self.source.roots()
            return self._roots

    def referrers(self, digest: Digest) -> Sequence[Descriptor]:
        """Manifests whose subject is `digest`, sorted by digest, then those that only the fallback index names.

        Raises `IntegrityError` if one of them is broken.
        """
        with self._lock:
            if self._subjects is None:
                found = self._scan()
                self._read_indexes(found)
                self._subjects = found
        if digest in self._broken:
            raise copy.copy(self._broken[digest])  # several threads may raise it
        return self._subjects.get(digest, [])

    def tagged(self, tag: str) -> Descriptor | None:
        """A root whose name is the tag, or ends with it."""
        root = self._by_tag().get(tag)
        if root is None:
            return self._saved(tag)
        return Descriptor(root.media_type, root.digest, root.size, artifact_type=root.artifact_type)

    def _by_tag(self) -> Mapping[str, Descriptor]:
        """Roots by the part of their names after the last colon; the first of several."""
        roots = self.roots
        with self._lock:
            if not self._tags:
                for name, root in reversed(roots):
                    self._tags[name.rpartition(":")[2]] = root
            return self._tags

    def _saved(self, tag: str) -> Descriptor | None:
        """Like `tagged`, for the output of `cosign save`: one image, and its artifacts by kind instead of by name."""
        roots = [root for _, root in self.roots if _kind(root)]
        images = {root.digest for root in roots if _kind(root) in _IMAGES}
        for root in roots:
            suffix = _SAVED.get(_kind(root))
            if suffix and len(images) == 1 and tag == referrers_tag(min(images)) + suffix:
                return Descriptor(root.media_type, root.digest, root.size)
        return None

    def _scan(self) -> dict[Digest, list[Descriptor]]:
        found: dict[Digest, list[Descriptor]] = {}
        for blob in sorted(self.source.digests(), key=lambda one: one.digest):
            if blob.size > MAX_NODE or (said := self._manifest(blob)) is None:
                continue
            descriptor, subject = said
            try:
                node = read_node(self.source, descriptor)
            except DamageError as error:
                placed = error.with_where(f"a manifest that refers to {subject}")
                hint = error.hint or "remove it from the layout, or create it again"
                self._broken.setdefault(subject, placed.with_hint(hint))
                continue
            except IntegrityError:
                # Not one that airgap can carry. Whoever reads it says why.
                found.setdefault(subject, []).append(descriptor)
                continue
            found.setdefault(subject, []).append(_typed(node))
        return found

    def _read_indexes(self, found: dict[Digest, list[Descriptor]]) -> None:
        """Adds the manifests that fallback indexes name and that are present; they need not have a subject."""
        for name, root in self.roots:
            tag = name.rpartition(":")[2]
            if not (is_referrers_tag(tag) and root.is_index):
                continue
            subject = subject_of(tag)
            known = found.setdefault(subject, [])
            here = {one.digest for one in known}
            try:
                for entry in read_node(self.source, root).children:
                    if entry.is_node and entry.digest not in here and self.source.has(entry):
                        here.add(entry.digest)
                        known.append(_typed(read_node(self.source, entry)))
            except IntegrityError as error:
                placed = error.with_where(f"the referrers index of {subject}")
                hint = error.hint or "remove it from the layout, or create it again"
                self._broken.setdefault(subject, placed.with_hint(hint))

    def _manifest(self, blob: Descriptor) -> tuple[Descriptor, Digest] | None:
        """The blob with its media type, and its subject, if it is a manifest with a subject, even a malformed one."""
        with self.source.open(blob) as stream:
            if stream.read(1) != b"{":
                return None
        with self.source.open(blob) as stream:
            data = read_limited(stream, blob.size)
        if b'"subject"' not in data:
            return None
        try:
            document = parse_json(data, str(blob.digest))
            subject = Digest(document["subject"]["digest"])
        except (AirgapError, KeyError, TypeError):
            return None
        media_type = str(document.get("mediaType") or _untold_type(document))
        # Do not skip types that airgap cannot carry: reading them raises an error that names the type.
        if media_type in {*NODE_TYPES, WITHDRAWN} or document.get("schemaVersion") == 2:
            return Descriptor(media_type, blob.digest, blob.size), subject
        return None


def _typed(node: Node) -> Descriptor:
    made = node.descriptor
    return Descriptor(made.media_type, made.digest, made.size, artifact_type=node.artifact_type)


def _untold_type(document: Mapping[str, object]) -> str:
    """The media type of a manifest that does not state it: the field is optional (image-spec v1.1.1, manifest.md)."""
    return OCI_INDEX if "manifests" in document else OCI_MANIFEST
