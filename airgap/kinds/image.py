"""Images, and any other OCI artifacts: carried unchanged, with index and signatures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airgap.base.errors import InputError, IntegrityError, NotFoundError
from airgap.content.attached import LEFT_OUT, left_out_field, left_out_notes, sort_attached
from airgap.content.bound import LOCK_AGAIN, check_graph, measure, not_as_locked, total
from airgap.content.forms import Graph
from airgap.content.graph import (
    ANNOTATION_IMAGE_NAME,
    ANNOTATION_PLATFORMS,
    Descriptor,
    Source,
    read_node,
)
from airgap.content.item import Item
from airgap.content.known_kinds import ItemFields
from airgap.content.platforms import about_children, arriving, check_platform, narrow
from airgap.content.reference import CHART_SCHEME, ENGINE_SCHEME, full_name, local_scheme
from airgap.content.scanner_database import (
    DATABASE,
    check_database_field,
    database_field,
    is_database_layer,
    shown_database,
)
from airgap.kinds.references import PHASE, RegistryKind, check_inside, local_complaint, local_reference, phase_notes
from airgap.resources.fields import given, spec, spec_map
from airgap.resources.parts import ITEM_NAME
from airgap.resources.problems import quoted
from airgap.resources.references import image_complaint, platform_complaint
from airgap.resources.shapes import ListOf, Place, Text
from airgap.store.memory import Memory

if TYPE_CHECKING:
    from airgap.store.locate import Reach


PLATFORM = Text(
    "os/architecture[/variant], such as linux/amd64",
    pattern=r"^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?$",
    complaint=platform_complaint,
)


@spec_map("a map with the image's ref")
class ImageRequest:
    """`ref` is a registry reference, `oci:DIR[:NAME]`, `oci-archive:FILE[:NAME]` or `docker-daemon:REF`."""

    ref: str = spec(
        Text("a full image reference, such as docker.io/library/alpine:3.20", least=1),
        "Registry host, repository, and a tag or a digest or both. Also `oci:DIR[:NAME]` (an OCI layout), "
        "`oci-archive:FILE[:NAME]` (an OCI layout in a tar file, also of `docker save` since 25 and of `ctr image "
        "export`) and `docker-daemon:REF`. NAME is `org.opencontainers.image.ref.name` or `io.containerd.image.name`; "
        "`@sha256:…` at the end chooses one of several.",
    )
    name: str = spec(
        ITEM_NAME,
        "Default: the ref. For an OCI layout the default is its NAME; one of the two is required. A local image "
        "(`oci:`, `oci-archive:`, `docker-daemon:`) is stored in the Sovereign under this name, which must be a full "
        "reference: `registry.local/team/app:1.0`.",
        default="",
    )
    platforms: tuple[str, ...] = spec(
        ListOf(PLATFORM, "a list of platforms", least=1, unique=True),
        "Carry only these children of a multi-arch index. Default: the complete index.",
        default=(),
    )
    phase: str = spec(PHASE, default="registry")
    where: str = given("where", default="")
    """`file:line:column`, for errors."""

    def checked(self, at: Place) -> ImageRequest:
        """The entry with an absolute path in a local reference. Its name is that of the reference by default."""
        scheme = local_scheme(self.ref)
        if scheme:
            ref, name = local_reference(at)
            if not (self.name or name) and scheme != ENGINE_SCHEME:
                at.bad(f"{quoted(self.ref)} names no image, expected ':NAME' at the end or a 'name'")
            check_inside(at, self.name or name)
            return replace(self, ref=ref, name=self.name or name)
        if self.ref.startswith(CHART_SCHEME):
            bare = quoted(self.ref[6:])
            at.bad(f"got {quoted(self.ref)}, expected {bare}, or an entry of spec.charts if it is a chart", "ref")
            return replace(self, name=self.name or self.ref)
        complaint = image_complaint(self.ref)
        at.bad(complaint, "ref")
        return replace(self, name=self.name or ("" if complaint else self.ref))


class ImageKind(RegistryKind[ImageRequest]):
    """A graph in a registry, a layout, an archive or an engine."""

    name = "image"
    section = "images"
    section_title = "a list of container images and other OCI artifacts"
    request = ImageRequest
    item_fields = ItemFields(
        frozenset({"root", "bytes", "phase"}),
        frozenset({"platforms", "inside", "attached", "converted", "asked", LEFT_OUT, DATABASE}),
        {"referrers": str},
    )

    def origin(self, asked: ImageRequest) -> str:
        """The reference."""
        return asked.ref

    def said(self, asked: ImageRequest) -> Mapping[str, Any]:
        """Platforms and phase."""
        return {"platforms": asked.platforms, "phase": asked.phase}

    def pinned(self, item: Item) -> Mapping[str, Any]:
        """Platforms and phase."""
        return {"platforms": item.platforms, "phase": item.phase}

    def resolve(self, asked: ImageRequest, reach: Reach) -> Item:
        """Pins a reference: its root, its size in bytes, and everything attached to the index and to every child.

        Raises `InputError`, `NotFoundError`, `UpstreamError`, `IntegrityError`.
        """
        from airgap.store.attached import find_attached

        located = reach.locate(asked.ref)
        try:
            check_platform(located.source, located.root, asked.platforms)
            inside, _ = narrow(located.source, located.root, asked.platforms)
            nodes, blobs = measure(located.source, located.root, asked.platforms)
        except (IntegrityError, NotFoundError) as error:
            raise about_children(error, located.source, located.root, asked.platforms) from error
        attached = sort_attached(find_attached(located.finder, nodes), nodes.keys(), located.source)
        more = database_field(read_node(located.source, inside)) if is_database_layer(blobs.values()) else {}
        blobs |= attached.blobs
        reach.blobs[asked.name] = tuple(blobs.values())
        return Item(
            name=asked.name,
            kind="image",
            source=asked.ref,
            root=Descriptor(located.root.media_type, located.root.digest, located.root.size),
            bytes=total(blobs),
            phase=asked.phase,
            platforms=asked.platforms,
            inside=None if inside.digest == located.root.digest else inside,
            attached=attached.kept,
            converted=located.converted,
            more={**left_out_field(attached.left_out), **more},
        )

    def source_complaint(self, source: str) -> str:
        """A reference, or a local one."""
        return local_complaint(source) if local_scheme(source) else image_complaint(source)

    def check_item(self, item: Item, where: str) -> None:
        """Its platforms are those that a request can ask for, each once. Only an engine's image is converted."""
        super().check_item(item, where)
        check_database_field(item, where)
        good = all(re.fullmatch(PLATFORM.pattern, one) for one in item.platforms)
        if not good or len(set(item.platforms)) != len(item.platforms):
            got = quoted(", ".join(map(str, item.platforms)))
            what = f"{where}: platforms: got {got}, expected {PLATFORM.title}, each once"
            raise InputError("bad-lock", what, LOCK_AGAIN)
        if item.converted != (local_scheme(item.source) == ENGINE_SCHEME):
            what = f"{where}: converted: got {item.converted}, but the source is {item.source[:200]!r}"
            raise InputError("bad-lock", what, LOCK_AGAIN)

    def annotations(self, item: Item) -> dict[str, str]:
        """Its full name, and the platforms. containerd takes an image's name from the first."""
        full = full_name(item.name, item.source)
        said = {ANNOTATION_IMAGE_NAME: full} if full else {}
        return said | ({ANNOTATION_PLATFORMS: ",".join(item.platforms)} if item.platforms else {})

    def form(self, item: Item, root: Descriptor, source: Source) -> Graph:
        """A graph. Its original name is the reference, or the item's name where the source is local."""
        blobs = check_graph(item, root, source)
        if DATABASE in item.more:
            found = database_field(read_node(source, item.inside or root)).get(DATABASE)
            if found != item.more[DATABASE]:
                raise not_as_locked(item, DATABASE, shown_database(found), shown_database(item.more[DATABASE]))
        return replace(self._graph(item, root, source), walked=tuple(blobs.values()))

    def expect(self, item: Item) -> Graph:
        """The form as the lock alone tells it: with `platforms:` its root is what a registry is given."""
        root = item.inside or item.root
        if root is None:
            raise InputError("bad-lock", f"image {item.name!r} has no root in the lock", "lock it again")
        attached = arriving(item.attached, (item.root or root).digest, root.digest)
        whole = self._graph(item, root, Memory())
        return replace(whole, platforms=(), attached=attached)

    def notes(self, item: Item) -> list[str]:
        """Notes on what conversion and the choice of platforms did, and on its phase."""
        notes = []
        if DATABASE in item.more:
            notes.append(f"{item.name}: a database of a scanner: {shown_database(item.more[DATABASE])}")
        if item.converted:
            notes.append(
                f"{item.name}: converted: an engine's image has no digest of its own, so airgap gave it {item.root}"
            )
        if item.inside is not None and item.root is not None:
            # Design §4: the receiving side must not be surprised. A kept pin is not checked for attestations again,
            # so every note mentions them.
            notes.append(
                f"{item.name}: with `platforms:` the index itself does not arrive: @{item.root.digest} and signatures"
                " on it will not resolve inside, those on the chosen children will; what it lists for no chosen"
                " platform is left out, and so are BuildKit's attestation manifests (`unknown/unknown`)"
            )
        return notes + left_out_notes(item) + phase_notes(item)

    def shown(self, item: Item) -> str:
        """The digest; of a database, also which one it is, and of what date."""
        return "  ".join(filter(None, (super().shown(item), shown_database(item.more.get(DATABASE)))))

    def changed(self, field: str, before: Any, after: Any) -> list[str]:
        """The change in one field, in words."""
        if field != DATABASE:
            return super().changed(field, before, after)
        return [f"database: {shown_database(before) or 'none'} → {shown_database(after) or 'none'}"]

    def _graph(self, item: Item, root: Descriptor, source: Source) -> Graph:
        return Graph(item.name, str(self.original(item)), root, source, item.platforms, item.attached)


KIND = ImageKind()
