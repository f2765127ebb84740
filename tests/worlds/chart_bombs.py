"""Charts that strangers publish to hurt who reads them: small, and large or endless when they are read."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator

from tests.parts.images import MANIFEST, Descriptor, Layout, zipped

CONFIG = "application/vnd.cncf.helm.config.v1+json"
CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
NAME, VERSION = "hello", "0.1.0"
GOOD = f"apiVersion: v2\nname: {NAME}\nversion: {VERSION}\n"
PUBLISHED = f"""# A chart
apiVersion: v2
name: &name {NAME}
version: {VERSION}
appVersion: 1.10
description: |
  Says hello.

  Twice.
keywords: [a, "b"]
dependencies:
- &one {{name: *name, version: 1.x.x, repository: "@other", condition: a.enabled}}
- {{<<: *one, alias: second}}
annotations:
  artifacthub.io/changes: |
    - kind: added
  category: !!str Demo
  on: yes
"""
LAUGHS = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]\n" for n in range(12))
MERGES = "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9) if n else ''}]}}\n" for n in range(12))


def tar_header(name: str, kind: bytes = b"0", size: int = 0) -> bytes:
    """One header block, of any type and size."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def tar_member(name: str, data: bytes, kind: bytes = b"0") -> bytes:
    """A header and its content."""
    return tar_header(name, kind, len(data)) + data + bytes(-len(data) % 512)


def chart_tar(*files: bytes) -> bytes:
    """A packed chart of these members."""
    return zipped(b"".join(files) + bytes(1024))


def chart_yaml(text: str) -> bytes:
    """The member that Helm reads."""
    return tar_member(f"{NAME}/Chart.yaml", text.encode())


def zeros(mebibytes: int) -> bytes:
    """Gzip of so many zeros, made in no time: one piece of deflate that stands alone, again and again."""
    unit = 16
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(bytes(unit << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return piece * (mebibytes // unit)


def unpacks_to(mebibytes: int) -> bytes:
    """A chart with a file of zeros before Chart.yaml."""
    head = gzip.compress(b"", mtime=0)[:10]
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    begin = tar_header(f"{NAME}/zeros", size=mebibytes << 20)
    return head + packer.compress(begin) + packer.flush(zlib.Z_FULL_FLUSH) + zeros(mebibytes)


def bombs() -> Iterator[tuple[str, bytes, str]]:
    """Name, the packed chart, and a word of the answer about it."""
    yield "aliases", chart_tar(chart_yaml(LAUGHS + "name: *a11\n" + f"version: {VERSION}\n")), "says name nothing"
    yield "merges", chart_tar(chart_yaml(MERGES + "<<: *a11\n")), "merge key"
    yield "nesting", chart_tar(chart_yaml("[" * 100_000)), "nested deeper"
    yield "directives", chart_tar(chart_yaml("".join(f"%TAG !{n:x}! x\n" for n in range(60_000)))), "begin with '%'"
    yield "long-yaml", chart_tar(chart_yaml("a: b\n" * 300_000)), "Chart.yaml has more than"
    yield "long-name", chart_tar(tar_header("././@LongLink", b"L", 6 << 30), bytes(1 << 20)), "extension header"
    yield "negative", chart_tar(tar_header("x", size=-512)), "is not octal"
    chain = tar_member("x", b"13 comment=a\n", b"x") * 400
    yield "pax-chain", chart_tar(chain, chart_yaml(GOOD)), "extension headers"
    yield "pax-digits", chart_tar(tar_member("x", b"1" * (1 << 20), b"x")), "list of records"
    yield "pax-size", chart_tar(tar_member("x", b"29 size=11111111111111111111\n", b"x")), "not a number"
    yield "sparse", chart_tar(tar_header("x", b"S", 512), bytes(512)), "not supported"
    yield "entries", chart_tar(tar_header("x") * 20_001), "too many entries"
    yield "unpacked", unpacks_to(528), "more than"
    yield "twice", chart_tar(chart_yaml(GOOD), tar_member("other/./Chart.yaml", b"name: other\n")), "two files"
    for name, members, answer in disguises():
        yield name, chart_tar(chart_yaml(GOOD), *members), answer
    for name, value in (("verſion", "9.9.9"), ("verſion", "&a [9.9.9]"), ("Name", "evil")):
        yield f"case-{ord(value[0])}", chart_tar(chart_yaml(f"{GOOD}{name}: {value}\n")), "differ in case only"
    yield "parts", gzip.compress(b"", mtime=0) * 65 + chart_tar(chart_yaml(GOOD)), "gzip files"
    yield "cut", chart_tar(chart_yaml(GOOD))[:-30], "too early"


def disguises() -> Iterator[tuple[str, tuple[bytes, ...], str]]:
    """A second Chart.yaml that Helm takes, and that another reader of tar calls otherwise."""
    plain, other = f"{NAME}/Chart.yaml", f"{NAME}/other"
    evil = (b"apiVersion: v2\nname: evil\nversion: 9.9.9\n",)
    renamed, comment = tar_member("x", _record(f"path={other}"), b"x"), _record("comment=a")
    yield "backslash", (tar_member(f"{NAME}/x\\Chart.yaml", *evil),), "two files"
    long = tar_member("././@LongLink", f"{plain}\0".encode(), b"L")
    yield "two-names", (long, renamed, tar_member(other, *evil)), "say the same"
    yield "two-pax", (renamed, tar_member("x", comment, b"x"), tar_member(plain, *evil)), "say the same"
    yield "pax-global", (renamed, tar_member("x", comment, b"g"), tar_member(plain, *evil)), "global header"
    yield "zero-byte", (tar_member("x", f"{plain}\0x".encode(), b"L"), tar_member(other, *evil)), "zero byte"
    hidden = tar_member(plain, *evil)
    yield "old-folder", (tar_header(f"{NAME}/x/", b"\0", len(hidden)), hidden), "has content"
    block = bytearray(tar_member("Chart.yaml", *evil))
    block[345 : 345 + len(NAME)] = NAME.encode()
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 8 * ord(" ") + sum(block[156:512]))
    yield "old-prefix", (bytes(block),), "is not octal"


def _record(text: str) -> bytes:
    """A record of a pax header; its length counts itself."""
    size = len(text) + 4
    return f"{size if size > 9 else size - 1} {text}\n".encode()


def add_chart(layout: Layout, tag: str, packed: bytes, **said: object) -> Descriptor:
    """A chart of this content under a tag. Its config also says what is `said`."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.document({"name": NAME, "version": VERSION, **said}, CONFIG),
        "layers": [layout.blob(packed, CONTENT)],
    }
    return layout.tag(tag, layout.document(manifest, MANIFEST))


def helm_like() -> bytes:
    """A chart like those that publishers have: anchors, tags, text of several lines, sub-charts, Helm's mark."""
    files = [tar_member(f"{NAME}/{name}", b"x") for name in ("values.yaml", "templates/" + "long/" * 40 + "a.yaml")]
    inner = tar_member(f"{NAME}/charts/sub/Chart.yaml", b"name: sub\n")
    buffer = io.BytesIO()
    # Helm marks its files with an extra field in gzip's header.
    packed = chart_tar(chart_yaml(PUBLISHED), *files, inner)
    buffer.write(packed[:3] + bytes([packed[3] | 4]) + packed[4:10] + b"\x04\x00+ahR" + packed[10:])
    return buffer.getvalue()
