"""What `HarborDouble` keeps: projects, repositories, tokens."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

SIGNATURE_TAG = re.compile(r"sha256-([0-9a-f]{64})\.sig")


@dataclass(slots=True)
class Repository:
    """Blobs and manifests (type, bytes) by digest, tags by name."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def accessories(self) -> dict[str, str]:
        """Digest → subject: manifests with a subject, and those under the tag of a cosign signature."""
        found = {}
        for digest, (_, data) in self.manifests.items():
            subject = json.loads(data).get("subject")
            if subject:
                found[digest] = subject["digest"]
        for tag, digest in self.tags.items():
            match = SIGNATURE_TAG.fullmatch(tag)
            if match and f"sha256:{match[1]}" in self.manifests:
                found[digest] = f"sha256:{match[1]}"
        return found

    def children(self, roots: set[str]) -> set[str]:
        """Every manifest that an index of `roots` names, at any depth."""
        found, left = set[str](), list(roots)
        while left:
            for child in json.loads(self.manifests[left.pop()][1]).get("manifests") or []:
                if child["digest"] in self.manifests and child["digest"] not in found:
                    found.add(child["digest"])
                    left.append(child["digest"])
        return found

    def listed(self) -> list[str]:
        """What the list of artifacts shows: no accessory, and no child of an index that has no tag of its own."""
        tagged = set(self.tags.values())
        hidden = self.children(set(self.manifests)) - tagged
        return sorted(set(self.manifests) - set(self.accessories()) - hidden)

    def delete(self, digest: str) -> None:
        """An artifact, its tags, what is attached to it, and its children that nothing else names."""
        attached = [one for one, subject in self.accessories().items() if subject == digest]
        children = [one["digest"] for one in json.loads(self.manifests[digest][1]).get("manifests") or []]
        del self.manifests[digest]
        self.tags = {tag: of for tag, of in self.tags.items() if of != digest}
        named = self.children(set(self.manifests)) | set(self.tags.values())
        for one in (*attached, *(child for child in children if child not in named)):
            if one in self.manifests:
                self.delete(one)

    def delete_untagged(self) -> None:
        """As a retention rule with "delete untagged" does: what was pushed by digest alone goes, with its accessories;
        an accessory without a subject here is itself an artifact without a tag."""
        kept = set(self.tags.values())
        kept |= self.children(kept)
        subjects = self.accessories()
        while more := {one for one, subject in subjects.items() if subject in kept} - kept:
            kept |= more
        # A subject that is elsewhere makes no difference: signatures alone are accessories, and are not looked at.
        kept |= {one for one, subject in subjects.items() if subject not in self.manifests}
        for digest in set(self.manifests) - kept:
            del self.manifests[digest]


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
