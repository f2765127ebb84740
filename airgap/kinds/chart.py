"""Helm charts in OCI registries: an artifact whose chart must match its name.

Sources: helm.sh, "Use OCI-based registries"; HIP 6. A chart is a manifest with a config of
`application/vnd.cncf.helm.config.v1+json`, one chart layer and at most one provenance layer. Helm before 3.7 gave the
chart layer another type (helm/helm, pkg/registry: `LegacyChartLayerMediaType`).
"""

from __future__ import annotations

import io
import posixpath
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from airgap.base.digest import CHUNK, Digest
from airgap.base.errors import AirgapError, DamageError, InputError, IntegrityError, NotFoundError, TooLargeError
from airgap.base.gunzip import BadGzipError, Gunzip
from airgap.base.strict_json import parse_json
from airgap.base.untar import BadTarError, TarReader
from airgap.content.attached import LEFT_OUT, left_out_field, left_out_notes, sort_attached
from airgap.content.bound import check_graph, measure, total
from airgap.content.forms import Graph, Tree
from airgap.content.graph import Descriptor, Node, Source, read_node, read_verified
from airgap.content.item import Item
from airgap.content.known_kinds import ItemFields
from airgap.content.reference import CHART_SCHEME, LAYOUT_SCHEMES, local_scheme
from airgap.content.scan_subject import ScanSubject, SubjectFile, SubjectForm, covered
from airgap.content.verified import verified
from airgap.kinds.kind import Declared
from airgap.kinds.references import PHASE, RegistryKind, check_inside, local_complaint, local_reference, phase_notes
from airgap.resources.document import read_top_texts
from airgap.resources.fields import given, spec, spec_map
from airgap.resources.parts import ITEM_NAME
from airgap.resources.problems import quoted
from airgap.resources.references import chart_complaint
from airgap.resources.shapes import Place, Text
from airgap.store.memory import Memory

if TYPE_CHECKING:
    from airgap.store.locate import Reach

CONFIG = "application/vnd.cncf.helm.config.v1+json"
CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
OLD_CHART = "application/tar+gzip"
"""The chart layer that Helm wrote before 3.7, when charts in registries were an experiment; it still reads it."""
CHARTS = frozenset({CHART, OLD_CHART})
PROVENANCE = "application/vnd.cncf.helm.chart.provenance.v1.prov"
MAX_ENTRIES = 20_000
"""Entries of a chart: umbrellas with forty sub-charts have under four thousand."""
IN_MEMORY = 8 << 20
"""Bytes of a chart that is not copied to the disk while it is read: nearly all are smaller."""
MAX_PACKED = 100 << 20
"""Bytes of a packed chart at most: Helm stops there, too."""
MAX_UNPACKED = 512 << 20
"""Bytes of an unpacked chart at most."""
MAX_CHART_YAML = 1 << 20
IMAGES = "artifacthub.io/images"
"""The annotation of a Chart.yaml that lists the chart's images, as YAML (artifacthub.io/docs)."""
SOURCE = "org.opencontainers.image.source"
"""The annotation of a manifest that names the source repository."""
MAX_DECLARED = 10_000
"""Images and sources of a chart that are looked for."""
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}\Z")
"""A chart's name or version, as far as it may be part of a file's name."""
PIECE = 1 << 18
"""Bytes that are unpacked at once."""


def _config(node: Node) -> Descriptor:
    assert node.config is not None, "a manifest has a config"  # noqa: S101  (parse_node refuses any other)
    return node.config


def _layers(node: Node, name: str) -> Descriptor:
    """The chart layer. Raises `IntegrityError` (`not-a-chart`)."""
    if node.config is None or node.config.media_type != CONFIG:
        got = node.config.media_type if node.config else node.descriptor.media_type
        raise IntegrityError(
            "not-a-chart",
            f"{name} is not a Helm chart: its config has type {got}, expected {CONFIG}",
            "list it under `images:` if it is an image or another artifact",
        )
    charts = [layer for layer in node.children[1:] if layer.media_type in CHARTS]
    others = [layer.media_type for layer in node.children[1:] if layer.media_type not in {*CHARTS, PROVENANCE}]
    if len(charts) != 1 or others:
        raise IntegrityError(
            "not-a-chart",
            f"{name}: got {len(charts)} chart layers and {others!r:.200}, expected one chart",
            "list it under `images:` to carry it as it is, or have the chart pushed again with `helm push`",
        )
    if charts[0].size > MAX_PACKED:
        raise TooLargeError("too-large", f"{name}: the chart has {charts[0].size} bytes, expected at most {MAX_PACKED}")
    return charts[0]


def _copy(source: Source, layer: Descriptor) -> BinaryIO:
    """A copy of a layer, whose digest was verified before anything in it is parsed: the source may be a medium."""
    copy = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  (its reader closes it)
    with verified(source.open(layer), layer) as stream:
        shutil.copyfileobj(stream, copy, CHUNK)
    copy.seek(0)
    return cast("BinaryIO", copy)


def read_chart_yaml(stream: BinaryIO, name: str) -> dict[str, str]:
    """The texts at the top of a packed chart's Chart.yaml. Reads the archive as a stream and unpacks nothing.

    Helm reads every Chart.yaml that it finds, one over the other: a second one is refused. Raises `IntegrityError`.
    """
    found: bytes | None = None
    with _bad_archive(name), stream:
        archive = _opened(stream)
        for member in archive:
            if not _is_chart_yaml(member.name):
                continue
            if found is not None or member.type != "file":
                raise IntegrityError("bad-chart", f"{name}: got two files Chart.yaml, or one that is a link")
            found = archive.read(MAX_CHART_YAML + 1)
    if found is None:
        raise IntegrityError("bad-chart", f"{name}: there is no Chart.yaml in the chart")
    if len(found) > MAX_CHART_YAML:
        raise IntegrityError("bad-chart", f"{name}: Chart.yaml has more than {MAX_CHART_YAML} bytes")
    try:
        return read_top_texts(found, "Chart.yaml")
    except InputError as error:
        raise IntegrityError("bad-chart", f"{name}: {error.what}") from error


def _opened(stream: BinaryIO) -> TarReader:
    unpacked = io.BufferedReader(Gunzip(stream, MAX_UNPACKED), PIECE)
    return TarReader(unpacked, entries=MAX_ENTRIES, total=MAX_UNPACKED)


def _files(node: Node, source: Source, name: str) -> Iterator[SubjectFile]:
    """The files of a chart with their content, in the order of the archive. Raises `IntegrityError` (`bad-chart`)."""
    from airgap.kinds.subjects import Paths, blob_file, piece

    paths = Paths()
    for layer in node.children[1:]:
        if layer.media_type == PROVENANCE:
            yield blob_file(source, paths.plain("provenance.prov"), layer)
    with _copy(source, _layers(node, name)) as stream:
        archive = _opened(stream)
        members = iter(archive)

        def read(size: int) -> bytes:
            with _bad_archive(name):
                return archive.read(size)

        while True:
            with _bad_archive(name):
                member = next(members, None)
            if member is None:
                return
            if member.type == "file":
                content, opened = piece(read, member.size)
                yield SubjectFile(paths.plain(member.name), member.size, opened)
                content.end()


@contextmanager
def _bad_archive(name: str) -> Iterator[None]:
    try:
        yield
    except (BadTarError, BadGzipError) as error:
        raise IntegrityError("bad-chart", f"{name}: the chart cannot be unpacked: {error}") from error


def _shown(value: object) -> str:
    return quoted(value) if isinstance(value, str) else "nothing"


def _is_chart_yaml(member: str) -> bool:
    """True for what Helm may take for the Chart.yaml: it leaves out the first folder, whatever its name.

    A name with a backslash is divided there, and at no slash: `a/b\\Chart.yaml` is the Chart.yaml of `a/b`.
    """
    inner = (member.partition(by)[2].replace("\\", "/") for by in ("/", "\\"))
    return any(posixpath.normpath(one) == "Chart.yaml" for one in inner)


@spec_map("a map with the chart's ref")
class ChartRequest:
    """`ref` is `oci://registry/repository:version`."""

    ref: str = spec(
        Text("a chart reference, such as oci://ghcr.io/openova-io/bp-cilium:1.1.1", least=1),
        "Write a `+` in the version as `_`, as registries do. Also `oci:DIR[:NAME]` and `oci-archive:FILE[:NAME]`.",
    )
    name: str = spec(
        ITEM_NAME,
        "Default: the ref without `oci://`. For a local chart, a full reference is required, as for an image.",
        default="",
    )
    phase: str = spec(PHASE, default="registry")
    where: str = given("where", default="")

    def checked(self, at: Place) -> ChartRequest:
        """The entry with an absolute path in a local reference. Its name is that of the reference by default."""
        if local_scheme(self.ref) in LAYOUT_SCHEMES:
            ref, name = local_reference(at)
            if not (self.name or name):
                at.bad(f"{quoted(self.ref)} names no chart, expected ':NAME' at the end or a 'name'")
            check_inside(at, self.name or name)
            return replace(self, ref=ref, name=self.name or name)
        at.bad(chart_complaint(self.ref), "ref")
        return replace(self, name=self.name or self.ref.removeprefix(CHART_SCHEME))


class ChartKind(RegistryKind[ChartRequest]):
    """A Helm chart in a registry, a layout or an archive."""

    name = "chart"
    artifact_type = CONFIG
    section = "charts"
    section_title = "a list of Helm charts in OCI registries"
    request = ChartRequest
    item_fields = ItemFields(
        frozenset({"root", "bytes", "phase"}), frozenset({"attached", "asked", LEFT_OUT}), {"referrers": str}
    )

    def origin(self, asked: ChartRequest) -> str:
        """The reference, with its scheme."""
        return asked.ref

    def said(self, asked: ChartRequest) -> Mapping[str, Any]:
        """The phase."""
        return {"phase": asked.phase}

    def pinned(self, item: Item) -> Mapping[str, Any]:
        """The phase."""
        return {"phase": item.phase}

    def resolve(self, asked: ChartRequest, reach: Reach) -> Item:
        """Pins a chart; anything that is not a chart is refused here, and not only at the receiving side.

        Raises `InputError`, `NotFoundError`, `UpstreamError`, `IntegrityError` (`not-a-chart`).
        """
        from airgap.store.attached import find_attached

        located = reach.locate(asked.ref)
        _layers(read_node(located.source, located.root), asked.ref)
        nodes, blobs = measure(located.source, located.root)
        attached = sort_attached(find_attached(located.finder, nodes), nodes.keys(), located.source)
        blobs |= attached.blobs
        reach.blobs[asked.name] = tuple(blobs.values())
        return Item(
            name=asked.name,
            kind="chart",
            source=asked.ref,
            root=Descriptor(located.root.media_type, located.root.digest, located.root.size),
            bytes=total(blobs),
            phase=asked.phase,
            attached=attached.kept,
            more=left_out_field(attached.left_out),
        )

    def source_complaint(self, source: str) -> str:
        """A reference with its scheme, or a layout or archive."""
        return local_complaint(source) if local_scheme(source) in LAYOUT_SCHEMES else chart_complaint(source)

    def check_content(self, item: Item, root: Descriptor, source: Source) -> list[str]:
        """Opens the chart: Chart.yaml must agree with the config and, where there is one, with the tag."""
        try:
            node = read_node(source, root)
            chart_layer = _layers(node, item.name)
            config = parse_json(read_verified(source, _config(node)), f"config of {item.name}")
            chart = read_chart_yaml(_copy(source, chart_layer), item.name)
        except (DamageError, NotFoundError):
            raise
        except AirgapError as error:
            return [error.what]
        findings = []
        for key in ("name", "version"):
            said = config.get(key) if isinstance(config, dict) else None
            if not isinstance(said, str) or said != chart.get(key):
                findings.append(f"Chart.yaml says {key} {_shown(chart.get(key))}, the OCI config says {_shown(said)}")
        reference = self.original(item)
        version = chart.get("version", "")
        # OCI tags cannot hold a plus sign: Helm writes an underscore.
        if reference.tag and reference.tag != version.replace("+", "_"):
            findings.append(f"the tag is {reference.tag!r}, the chart's version is {_shown(version)}")
        if reference.repository.rsplit("/", 1)[-1] != chart.get("name"):
            findings.append(
                f"the repository is {reference.repository!r}, the chart's name is {_shown(chart.get('name'))}"
            )
        return findings

    def own_files(self, root: Node) -> tuple[Digest, ...]:
        """The packed chart: publishers describe the .tgz before it is pushed."""
        return tuple(layer.digest for layer in root.children[1:] if layer.media_type in CHARTS)

    def declares(self, item: Item, root: Descriptor, source: Source) -> Declared:
        """The images and the source repository that the chart's config and manifest name."""
        node = read_node(source, root)
        config = parse_json(read_verified(source, _config(node)), f"config of {item.name}")
        if not isinstance(config, dict):
            return Declared()
        annotations = config.get("annotations")
        listed = annotations.get(IMAGES) if isinstance(annotations, dict) else None
        lines = (line.strip().removeprefix("-").strip() for line in str(listed or "").splitlines())
        images = (line.removeprefix("image:").strip().strip("'\"") for line in lines if line.startswith("image:"))
        sources = config.get("sources")
        urls = [one for one in sources if isinstance(one, str)] if isinstance(sources, list) else []
        urls += [node.annotations[SOURCE]] if SOURCE in node.annotations else []
        return Declared(tuple(islice(images, MAX_DECLARED)), tuple(urls[:MAX_DECLARED]))

    def opened(self, item: Item, root: Descriptor, source: Source) -> Sequence[Descriptor]:
        """The chart itself."""
        return (_layers(read_node(source, root), item.name),)

    def form(self, item: Item, root: Descriptor, source: Source) -> Graph:
        """A graph, like an image."""
        blobs = check_graph(item, root, source)
        _layers(read_node(source, root), item.name)
        return replace(self._graph(item, root, source), walked=tuple(blobs.values()))

    def expect(self, item: Item) -> Graph:
        """The form as the lock alone tells it."""
        if item.root is None:
            raise IntegrityError("bad-lock", f"chart {item.name!r} has no root in the lock", "lock it again")
        return self._graph(item, item.root, Memory())

    def thing(self, name: str, root: Descriptor, source: Source) -> Tree:
        """The .tgz that `helm pull` would write, and the .prov if there is one."""
        node = read_node(source, root)
        packed = _layers(node, name)
        config = parse_json(read_verified(source, _config(node)), f"config of {name}")
        said = [config.get(key) if isinstance(config, dict) else None for key in ("name", "version")]
        if not all(isinstance(one, str) and _FILE_NAME.match(one) for one in said):
            what = f"{name}: the config gives no name for a file: got {_shown(said[0])} and {_shown(said[1])}"
            raise IntegrityError("bad-chart", what, "extract it with `--as oci`")
        file = f"{said[0]}-{said[1]}.tgz"
        entries = {file: packed}
        entries |= {f"{file}.prov": layer for layer in node.children[1:] if layer.media_type == PROVENANCE}
        return Tree(name, "files", "", entries, root, source)

    def subjects(self, item: Item, root: Descriptor, source: Source, work: Path) -> Iterable[ScanSubject]:
        """The unpacked chart, and its provenance."""
        from airgap.kinds.subjects import manifest_subject

        node = read_node(source, root)
        files = partial(_files, node, source, item.name)
        subject = manifest_subject(item, node, source, item.name)
        return (replace(subject, form=SubjectForm.FILES, files=files, coverage=covered),)

    def claims(self, node: Node) -> bool:
        """True if something in it has the type of a chart's config: Helm takes a layer of that type for the config."""
        return any(child.media_type == CONFIG for child in node.children)

    def notes(self, item: Item) -> list[str]:
        """Notes on what could not be carried with it, and on its phase."""
        return left_out_notes(item) + phase_notes(item)

    def _graph(self, item: Item, root: Descriptor, source: Source) -> Graph:
        return Graph(item.name, str(self.original(item)), root, source, (), item.attached)


KIND = ChartKind()
