"""Databases of scanners, as registries keep them: an artifact with one layer, whose media type says which it is.

Sources: the media types are constants of Trivy (pkg/db/db.go, pkg/javadb/client.go, pkg/policy/policy.go); what the
artifacts look like is in the workflows that push them (trivy-db, trivy-java-db and trivy-checks: `oras push`). Older
ones have the artifact type as the media type of their config, newer ones as `artifactType`: neither is asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from airgap.base.json_fields import plain_complaint
from airgap.content.graph import Descriptor, Node

ANNOTATION_CREATED = "org.opencontainers.image.created"
ANNOTATION_VERSION = "org.opencontainers.image.version"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class DatabaseType:
    """One sort of database."""

    name: str
    """As verdicts and `airgap show` call it."""
    media_type: str
    """Of its layer, a tar.gz."""
    place: str
    """The folder in the cache of Trivy where the program looks for its files."""
    files: tuple[str, ...]
    """Files that must be in it."""
    schema: int
    """The version of the format that Trivy reads; 0 if it has none."""
    ages: bool
    """True if it is worth less each day: advisories are. Rules are as good as on the day of their release."""


METADATA = "metadata.json"
"""The file in which a database says its version and its date."""
TRIVY_DB = DatabaseType(
    *("trivy-db", "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip", "db", ("trivy.db", METADATA)), 2, ages=True
)
TRIVY_JAVA_DB = DatabaseType(
    "trivy-java-db",
    "application/vnd.aquasec.trivy.javadb.layer.v1.tar+gzip",
    "java-db",
    ("trivy-java.db", METADATA),
    1,
    ages=True,
)
TRIVY_CHECKS = DatabaseType(
    *("trivy-checks", "application/vnd.cncf.openpolicyagent.layer.v1.tar+gzip", "policy/content", (), 0), ages=False
)
DATABASE_TYPES = (TRIVY_DB, TRIVY_JAVA_DB, TRIVY_CHECKS)


def database_type(node: Node) -> DatabaseType | None:
    """Which database a manifest is; `None` if it is none."""
    layer = database_layer(node)
    return next((one for one in DATABASE_TYPES if layer is not None and one.media_type == layer.media_type), None)


def database_layer(node: Node) -> Descriptor | None:
    """The one layer of a manifest; `None` if it has none or several: Trivy takes no such artifact."""
    if node.descriptor.is_index or node.config is None or len(node.children) != 2:
        return None
    return node.children[1]


def said_time(text: object) -> datetime | None:
    """A time as Go and OCI tools write it (RFC 3339, with parts of a second), in UTC; `None` for anything else."""
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        return None


def created(node: Node) -> datetime | None:
    """When the artifact was pushed, as it says itself."""
    return said_time(node.annotations.get(ANNOTATION_CREATED))


def said_version(node: Node) -> str:
    """The version of a release; `""` if it says none that can be shown."""
    text = node.annotations.get(ANNOTATION_VERSION)
    return text if isinstance(text, str) and not plain_complaint(text, 60) else ""
