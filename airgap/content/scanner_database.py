"""Databases of scanners, as registries keep them: an artifact with one layer, whose media type says which it is.

Sources: the media types are constants of Trivy (pkg/db/db.go, pkg/javadb/client.go, pkg/policy/policy.go); what the
artifacts look like is in the workflows that push them (trivy-db, trivy-java-db and trivy-checks: `oras push`). Older
ones have the artifact type as the media type of their config, newer ones as `artifactType`: neither is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airgap.base.errors import AirgapError, InputError
from airgap.base.json_fields import Fields, plain_complaint
from airgap.base.times import utc_text
from airgap.content.bound import LOCK_AGAIN
from airgap.content.graph import Descriptor, Node
from airgap.content.item import Item

DATABASE = "database"
"""The field of an item in a lock: which database it is, and when it was pushed."""

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


METADATA = "metadata.json"
"""The file in which a database says its version and its date."""
TRIVY_DB = DatabaseType(
    *("trivy-db", "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip", "db", ("trivy.db", METADATA), 2)
)
TRIVY_JAVA_DB = DatabaseType(
    *("trivy-java-db", "application/vnd.aquasec.trivy.javadb.layer.v1.tar+gzip", "java-db"),
    *(("trivy-java.db", METADATA), 1),
)
TRIVY_CHECKS = DatabaseType(
    *("trivy-checks", "application/vnd.cncf.openpolicyagent.layer.v1.tar+gzip", "policy/content", (), 0)
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


def is_database_layer(blobs: Iterable[Descriptor]) -> bool:
    """True if one of these blobs is the layer of a database."""
    types = {one.media_type for one in DATABASE_TYPES}
    return any(blob.media_type in types for blob in blobs)


def database_field(node: Node) -> Mapping[str, Any]:
    """The field of an item with this root, for `Item.more`; nothing if it is no database."""
    found, when = database_type(node), created(node)
    if found is None:
        return {}
    return {DATABASE: {"name": found.name} | ({"created": utc_text(when)} if when else {})}


def check_database_field(item: Item, where: str) -> None:
    """Checks the field of an item. Raises `InputError` (`bad-lock`)."""
    if DATABASE not in item.more:
        return
    fields = Fields(item.more, where, _bad).inner(DATABASE, frozenset({"name"}), frozenset({"created"}))
    fields.choice("name", frozenset(one.name for one in DATABASE_TYPES))
    if fields.has("created"):
        fields.time("created")


def shown_database(said: Mapping[str, str] | None) -> str:
    """The field in words: `trivy-db, created 2026-11-29T06:12:33Z`; `""` if there is none."""
    if not said:
        return ""
    return ", ".join((said["name"], *(f"created {said[name]}" for name in ("created",) if name in said)))


def _bad(what: str) -> AirgapError:
    return InputError("bad-lock", what, LOCK_AGAIN)
