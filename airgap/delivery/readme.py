"""README.txt and SHA256SUMS, for people without airgap. Both depend only on AIRGAP.json's bytes and value."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from airgap.base.amounts import count
from airgap.base.digest import Digest
from airgap.base.times import utc_text
from airgap.delivery.fields import INDEX_NAME
from airgap.delivery.files import Listing, payload, volume_files
from airgap.delivery.index import README_NAME, Index
from airgap.delivery.journey import EVIDENCE_NAME
from airgap.delivery.sealed import Sealed


def sums(index: Listing, index_bytes: bytes, readme: bytes) -> bytes:
    """SHA256SUMS, for `sha256sum -c`. Signatures are not listed, because they can be added later."""
    lines = [(one.sha256, one.name) for one in payload(index)]
    lines.append((hashlib.sha256(index_bytes).hexdigest(), INDEX_NAME))
    lines.append((hashlib.sha256(readme).hexdigest(), README_NAME))
    return "".join(f"{digest}  {name}\n" for digest, name in lines).encode()


def readme(index: Listing, index_bytes: bytes) -> bytes:
    """README.txt: what the delivery is, how to import it, and how to check and open it by hand."""
    journey, volumes = index.journey, volume_files(index)
    size = sum(volume.size for volume in volumes)
    identity = " --identity sovereign.identity" if isinstance(index, Sealed) else ""
    resources = f"--sovereign sovereign.yaml --trust trust.yaml{identity}"
    lines = [
        f"This is an {'encrypted ' if identity else ''}airgap delivery for the Sovereign {journey.sovereign!r}.",
        "",
        f"  id        {journey.id}",
        f"  stream    {journey.stream}, number {journey.sequence}",
        f"  created   {utc_text(journey.created)}",
        f"  expires   {utc_text(journey.expires)}",
        f"  volumes   {len(volumes)}, {size} bytes together",
        *_parity(index),
        f"  index     sha256 {hashlib.sha256(index_bytes).hexdigest()} ({INDEX_NAME})",
        *_in_part(index),
        "",
        "To check it (needs the trust file that your security-officer gave you, and nothing else):",
        "  airgap verify . --trust trust.yaml",
        "To see what an import would do, and then to do it:",
        f"  airgap import . {resources} --dry-run",
        f"  airgap import . {resources} --key sovereign.key --receipt receipt.json",
        "The volumes may lie on several disks: name every folder that you can reach, in any order.",
        "Nothing is ever written to this medium by an import.",
        *_repair(index),
        "",
        "Without airgap, to find damage (this proves nothing about who made it):",
        "  sha256sum -c SHA256SUMS                          on Linux",
        f"  certutil -hashfile {volumes[0].name} SHA256    on Windows, each file; compare with SHA256SUMS",
        "",
        *(_encrypted() if isinstance(index, Sealed) else _plain(index)),
    ]
    return ("\n".join(lines) + "\n").encode()


def _encrypted() -> list[str]:
    return [
        f"It is encrypted with age: AIRGAP.json names no content. What is in it is listed in {INDEX_NAME}.age.",
        "Without airgap, to open it: age decrypts each file on its own, and all volumes together are one OCI layout.",
        "Write what you decrypt to a disk that may contain it, never to this medium.",
        "  mkdir layout && for v in vol-*.tar.age; do age -d -i sovereign.identity $v | tar -x -C layout; done",
        "  skopeo inspect oci:layout:NAME                   the names are in layout/index.json",
    ]


def _plain(index: Index) -> list[str]:
    volumes = index.contents.volumes
    lines = [
        f"Without airgap, to open it: all volumes together are one OCI image layout{_but(index)}.",
        "  mkdir layout && for v in vol-*.tar; do tar -xf $v -C layout; done",
        *_split(index),
        "  skopeo inspect oci:layout:NAME                   the names are in layout/index.json",
    ]
    if len(volumes) == 1:
        lines.append(f"  skopeo inspect oci-archive:{volumes[0].name}:NAME   this single volume needs no unpacking")
    lines += ["", "What is in it:"]
    return lines + [f"  {root.kind:<6} {root.item}  {root.digest}" for root in index.contents.roots]


def _in_part(index: Listing) -> list[str]:
    """What is not here, of a delta and of a selection."""
    if isinstance(index, Sealed):
        return []
    contents, lines = index.contents, list[str]()
    if contents.only:
        lines.append(f"  only      {len(contents.roots)} of the items of its locks; the others are not meant")
    if contents.omitted:
        size = sum(one.size for one in contents.omitted.values())
        many = f"{len(contents.omitted)} blobs, {size} bytes together"
        lines.append(f"  a delta   without {many}, which these deliveries brought:")
        lines += [f"            {one.delivery}" for one in index.journey.based_on]
    return lines


def _but(index: Index) -> str:
    return ", which lacks what the delta leaves out" if index.contents.omitted else ""


def _parity(index: Listing) -> list[str]:
    if index.parity is None:
        return []
    many = count(len(index.parity.files), "file")
    return [f"  parity    {many}: so many of the volumes and {EVIDENCE_NAME} may be lost or damaged"]


def _repair(index: Listing) -> list[str]:
    if index.parity is None:
        return []
    return [
        "Files lost or damaged? Import all the same. To have whole files again:",
        "  airgap repair . --to NEW --trust trust.yaml",
    ]


def _split(index: Index) -> list[str]:
    lines = []
    for digest, extents in index.contents.blobs.items():
        if len(extents) > 1:
            parts = f"{digest.hex}.part-*"
            lines.append(f"  (cd layout/blobs/sha256 && cat {parts} > {digest.hex} && rm {parts})")
    return lines


def shared_sums(indexes: Sequence[tuple[Listing, Digest]], readme: bytes) -> bytes:
    """SHA256SUMS of a folder whose volumes several Sovereigns share: `indexes` are theirs, with the digests."""
    own = [(index.journey.sovereign, index.index) for index, _ in indexes if isinstance(index, Sealed)]
    lines = [(file.sha256, file.name) for file in payload(indexes[0][0]) if file not in [one for _, one in own]]
    lines += [(digest.hex, f"{index.journey.sovereign}/{INDEX_NAME}") for index, digest in indexes]
    lines += [(file.sha256, f"{sovereign}/{file.name}") for sovereign, file in own]
    lines.append((hashlib.sha256(readme).hexdigest(), README_NAME))
    return "".join(f"{digest}  {name}\n" for digest, name in lines).encode()


def shared_readme(indexes: Sequence[Listing]) -> bytes:
    """README.txt of a folder whose volumes several Sovereigns share."""
    lines = [
        "These volumes are an airgap delivery for several Sovereigns. Each has a folder here, with its own AIRGAP.json",
        "and its own signatures, and imports that folder together with this one:",
        "",
    ]
    for index in indexes:
        line = f"  airgap import {index.journey.sovereign} . --sovereign sovereign.yaml --trust trust.yaml --dry-run"
        lines.append(line)
    lines += [
        "",
        "If the volumes are on several disks, name every folder that you can reach. Each has its own README.txt.",
        "Without airgap, to find damage (this proves nothing about who made it): sha256sum -c SHA256SUMS",
    ]
    return ("\n".join(lines) + "\n").encode()
