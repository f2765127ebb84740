"""What `HarborDouble` keeps: projects, repositories, tokens."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Repository:
    """Blobs and manifests (type, bytes) by digest, tags by name."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Project:
    """`quota` in bytes (-1: none), `immutable` tags, `proxy`: a cache that takes no pushes,
    `policy`: reading manifests is forbidden ("signed only")."""

    quota: int = -1
    immutable: set[str] = field(default_factory=set)
    proxy: bool = False
    policy: bool = False
    repositories: dict[str, Repository] = field(default_factory=dict)

    @property
    def used(self) -> int:
        """Bytes, each digest charged once."""
        sizes: dict[str, int] = {}
        for repository in self.repositories.values():
            sizes |= {digest: len(data) for digest, data in repository.blobs.items()}
            sizes |= {digest: len(data) for digest, (_, data) in repository.manifests.items()}
        return sum(sizes.values())


@dataclass(frozen=True, slots=True)
class Token:
    """Who has it, the projects of its scopes, and when it ends."""

    user: str
    projects: frozenset[str]
    until: float
