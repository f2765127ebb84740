"""Layers and archives that hurt who unpacks them, or show one thing to a scanner and another to others."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator

from tests.worlds.chart_bombs import tar_header, tar_member, zeros

END = bytes(1024)
Expected = list[tuple[str, str, str]]
"""Severity, rule and path of each finding."""


def member(name: str, data: bytes = b"", **more: object) -> bytes:
    """A member with any field: `mode`, `type`, `linkname`, `uid`, `devmajor`, `pax_headers`."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape") + data + bytes(-len(data) % 512)


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> bytes:
    """A link, symbolic or hard."""
    return member(name, type=kind, linkname=target)


def tar_of(*members: bytes) -> bytes:
    """A tar archive."""
    return b"".join(members) + END


def zip_of(files: dict[str, bytes]) -> bytes:
    """A zip archive."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def bomb(mebibytes: int) -> bytes:
    """Gzip of a tar archive with one file of zeros."""
    head = gzip.compress(b"", mtime=0)[:10]
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    begin = tar_header("zeros", size=mebibytes << 20)
    return head + packer.compress(begin) + packer.flush(zlib.Z_FULL_FLUSH) + zeros(mebibytes)


def capability(number: int) -> dict[str, str]:
    """The attribute of a file with one capability."""
    value = b"\1\0\0\2" + (1 << number).to_bytes(4, "little") + bytes(12)
    return {"SCHILY.xattr.security.capability": value.decode("latin-1")}


def usual() -> bytes:
    """What every distribution has: none of it is a finding."""
    return tar_of(
        member("./", type=tarfile.DIRTYPE, mode=0o755),
        member("./tmp/", type=tarfile.DIRTYPE, mode=0o1777),
        link("./bin", "usr/bin"),
        link("./var/run", "/run"),
        member("./usr/bin/passwd", b"x", mode=0o4755),
        member("./usr/bin/perl", b"x"),
        link("./usr/bin/perl5.36", "usr/bin/perl", tarfile.LNKTYPE),
        member("./bin/extra", b"through a link that stays inside"),
        member("./usr/bin/ping", b"x", pax_headers=capability(13)),
        member("./dev/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
        member("./var/mail/", type=tarfile.DIRTYPE, mode=0o2775),
        member("./usr/share/Ünïcode", b"x"),
        member("./usr/share/doc/changelog.gz", gzip.compress(b"changes" * 99, mtime=0)),
        member("./usr/lib/a.jar", zip_of({"META-INF/MANIFEST.MF": b"x", "a/B.class": b"y"})),
        member("./old/.wh..wh..opq"),
        member("./old/.wh.gone"),
    )


def layers() -> Iterator[tuple[str, bytes, Expected]]:
    """Name, the unpacked layer, and what is found in it."""
    yield "usual", usual(), []
    yield from _places()
    yield from _modes()
    yield from _names()
    yield from _forms()
    yield from _nested()


def _places() -> Iterator[tuple[str, bytes, Expected]]:
    yield "leaves", tar_of(member("a/../../evil", b"x")), [("high", "path-leaves", "a/../../evil")]
    yield "absolute", tar_of(member("/etc/x", b"x")), [("low", "absolute-path", "/etc/x")]
    out = link("x", "../../etc")
    yield "through", tar_of(out, member("x/cron", b"x")), [("high", "through-link", "x/cron")]
    yield (
        "through-far",
        tar_of(link("a", "b"), link("b", "c/../../.."), member("a/d/e", b"x")),
        [("high", "through-link", "a/d/e")],
    )
    yield "through-absolute", tar_of(link("x", "/etc"), member("x/y", b"x")), [("medium", "through-link", "x/y")]
    yield "loop", tar_of(link("a", "b"), link("b", "a"), member("a/x", b"x")), [("medium", "through-link", "a/x")]
    yield "hard", tar_of(link("x", "../../etc/shadow", tarfile.LNKTYPE)), [("high", "link-leaves", "x")]
    yield "hard-through", tar_of(out, link("y", "x/shadow", tarfile.LNKTYPE)), [("high", "link-leaves", "y")]
    yield "hard-nothing", tar_of(link("y", "etc/shadow", tarfile.LNKTYPE)), [("low", "link-without-target", "y")]


def _modes() -> Iterator[tuple[str, bytes, Expected]]:
    yield "block", tar_of(member("dev/sda", type=tarfile.BLKTYPE, devmajor=8)), [("high", "device", "dev/sda")]
    yield (
        "memory",
        tar_of(member("dev/mem", type=tarfile.CHRTYPE, devmajor=1, devminor=1)),
        [("medium", "device", "dev/mem")],
    )
    yield (
        "null-elsewhere",
        tar_of(member("srv/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)),
        [("medium", "device", "srv/null")],
    )
    yield "overlay-whiteout", tar_of(member("etc/x", type=tarfile.CHRTYPE)), [("high", "whiteout-device", "etc/x")]
    yield "pipe", tar_of(member("run/p", type=tarfile.FIFOTYPE)), [("low", "pipe", "run/p")]
    yield "setuid", tar_of(member("srv/.x/sh", b"x", mode=0o4755)), [("medium", "set-id", "srv/.x/sh")]
    yield "setuid-disguised", tar_of(member("tmp/sudo", b"x", mode=0o4755)), [("medium", "set-id", "tmp/sudo")]
    yield "setuid-unknown", tar_of(member("usr/bin/x", b"x", mode=0o4755)), [("low", "set-id", "usr/bin/x")]
    yield "setuid-of-user", tar_of(member("srv/x", b"x", mode=0o4755, uid=1000)), [("low", "set-id", "srv/x")]
    yield "capability", tar_of(member("app", b"x", pax_headers=capability(21))), [("medium", "capability", "app")]
    yield "port", tar_of(member("coredns", b"x", pax_headers=capability(10))), [("low", "capability", "coredns")]
    yield (
        "writable",
        tar_of(
            member("etc/passwd", b"x", mode=0o666), member("usr/share/x", b"x", mode=0o666), member("srv/x", mode=0o777)
        ),
        [("medium", "world-writable", "etc/passwd")],
    )


def _names() -> Iterator[tuple[str, bytes, Expected]]:
    yield "twice", tar_of(member("etc/x", b"1"), member("./etc//x", b"2")), [("medium", "duplicate-path", "./etc//x")]
    yield "folders-twice", tar_of(member("a/", type=tarfile.DIRTYPE), member("a/", type=tarfile.DIRTYPE)), []
    yield "hidden", tar_of(member("etc/x", b"1"), member("etc/.wh.x")), [("medium", "whiteout-and-member", "etc/.wh.x")]
    yield (
        "hidden-after",
        tar_of(member("etc/.wh.x"), member("etc/x", b"1")),
        [("medium", "whiteout-and-member", "etc/x")],
    )
    yield "whiteout-of-parent", tar_of(member("a/.wh...")), [("high", "whiteout-odd", "a/.wh...")]
    yield "whiteout-full", tar_of(member("a/.wh.b", b"x")), [("medium", "whiteout-odd", "a/.wh.b")]
    yield "whiteout-folder", tar_of(member("a/.wh.b/c", b"x")), [("medium", "whiteout-odd", "a/.wh.b/c")]
    yield "not-utf8", tar_of(tar_member("caf\udce9", b"x")), [("low", "name-not-utf8", "caf\\xe9")]
    yield "control", tar_of(member("a\x1b[2Jb", b"x")), [("medium", "name-unprintable", "a\\u001b[2Jb")]
    yield "bidi", tar_of(member("a\u202eb", b"x")), [("low", "name-unprintable", "a\\u202eb")]
    long = "l" * 300
    yield "long", tar_of(member(long, b"x")), [("medium", "name-too-long", long)]


def _forms() -> Iterator[tuple[str, bytes, Expected]]:
    yield "tail", tar_of(member("a", b"x")) + member("b", b"hidden"), [("medium", "trailing-data", "")]
    yield (
        "one-zero-block",
        member("a", b"x") + bytes(512) + tar_of(member("b", b"x")),
        [("medium", "trailing-data", "")],
    )
    yield "cut", tar_of(member("a", b"x" * 2000))[:1500], [("high", "bad-layer", "")]
    yield "no-tar", b"#!/bin/sh\n" * 100, [("high", "bad-layer", "")]
    yield "sparse", tar_of(tar_header("x", b"S", 512), bytes(512)), [("high", "bad-layer", "")]
    yield "negative", tar_of(tar_header("x", size=-512)), [("high", "bad-layer", "")]
    yield "global", tar_of(tar_member("x", b"14 path=a/../b\n"[:14] + b"\n", b"g")), [("high", "bad-layer", "")]


def _nested() -> Iterator[tuple[str, bytes, Expected]]:
    evil = zip_of({"../../evil": b"x", "good": b"y"})
    yield "zip-slip", tar_of(member("a.zip", evil)), [("medium", "path-leaves", "a.zip!../../evil")]
    inner = gzip.compress(tar_of(member("../up", b"x"), link("etc", "/etc"), member("etc/x", b"x")), mtime=0)
    yield (
        "nested-tar",
        tar_of(member("a.tgz", inner)),
        [
            ("medium", "path-leaves", "a.tgz!../up"),
            ("medium", "through-link", "a.tgz!etc/x"),
        ],
    )
    deep = b"x" * 100
    for _ in range(7):
        deep = zip_of({"x.zip": deep})
    yield "deep", tar_of(member("a.zip", deep)), [("medium", "too-deep", "a.zip!x.zip!x.zip!x.zip!x.zip")]
    yield "broken", tar_of(member("a.zip", zip_of({"a": b"x"})[:-3])), [("low", "bad-archive", "a.zip")]
    yield "bomb-inside", tar_of(member("a.tgz", bomb(160))), [("critical", "bomb", "a.tgz")]
    yield "zip-bomb", tar_of(member("a.zip", zip_of({"zeros": bytes(90 << 20)}))), [("critical", "bomb", "a.zip")]
