"""`DocumentReader`: walks one validated document, resolves its paths, and collects what a schema cannot say."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from airgap.base.errors import InputError
from airgap.content.lock import check_path
from airgap.net.config import Credentials, HostConfig
from airgap.resources.document import Document
from airgap.resources.problems import Problem, Steps, quoted, spell
from airgap.resources.references import url_complaint
from airgap.resources.validate import Found


class DocumentReader:
    """One document, the file's name in messages, and the folder where relative paths begin.

    Values at or above those that the schema refused are passed over, so that one typing error does not hide the
    other mistakes of a file. All problems end up in `problems`; the caller raises them.
    """

    def __init__(self, document: Document, label: str, base: Path, found: Sequence[Found]) -> None:
        self.document = document
        self.label = label
        self.base = base
        self.problems = [problem for _, problem in found]
        self._unsound = {steps[:count] for steps, _ in found for count in range(1, len(steps) + 1)}

    def at(self, steps: Steps) -> str:
        """`file:line:column` of a value."""
        return f"{self.label}:{self.document.mark(steps)}"

    def bad(self, steps: Steps, text: str) -> None:
        """Notes a problem with a value. An empty `text` is none, so that a complaint can be passed on as it is."""
        if text:
            self.problems.append(Problem(self.document.mark(steps), f"{spell(steps)}: {text}"))

    def spec(self, *steps: str) -> tuple[Steps, dict[str, Any] | None]:
        """The map at `spec.…` with its steps; `None` where it is left out or not sound."""
        where: Steps = ("spec", *steps)
        value = self._value(where)
        return where, value if isinstance(value, dict) and where not in self._unsound else None

    def entries(self, *steps: str) -> Iterator[tuple[Steps, dict[str, Any]]]:
        """The sound entries of the list of maps at `spec.…`."""
        value = self._value(("spec", *steps))
        for index, entry in enumerate(value if isinstance(value, list) else ()):
            where: Steps = ("spec", *steps, index)
            if isinstance(entry, dict) and where not in self._unsound:
                yield where, entry

    def keyed(self, *steps: str) -> Iterator[tuple[Steps, str, dict[str, Any]]]:
        """The sound entries of the map of maps at `spec.…`, with their keys."""
        value = self._value(("spec", *steps))
        for key, entry in value.items() if isinstance(value, dict) else ():
            where: Steps = ("spec", *steps, key)
            if isinstance(entry, dict) and where not in self._unsound:
                yield where, key, entry

    def _value(self, steps: Steps) -> Any:
        value = self.document.value
        for step in steps:
            value = value.get(step) if isinstance(value, dict) else None
        return value

    def path(self, steps: Steps, text: str) -> Path:
        """An absolute path; relative ones begin at the folder of the file."""
        if text.startswith("~"):
            self.bad(steps, f"got {quoted(text)}, expected a path without '~': it is not expanded here")
        return Path(os.path.normpath(self.base / text))

    def optional_path(self, steps: Steps, entry: Mapping[str, Any], name: str) -> Path | None:
        """The same for a field that may be left out."""
        return self.path((*steps, name), entry[name]) if name in entry else None

    def plain_path(self, steps: Steps, text: str) -> None:
        """Notes what `lock.check_path` has against a path inside a bucket."""
        try:
            check_path(text, "")
        except InputError as error:
            self.bad(steps, f"got {quoted(text)}, expected a plain relative path: {error.hint}")

    def unique(self, taken: dict[str, Steps], steps: Steps, key: str, what: str) -> None:
        """Notes a problem where `key` was used before, naming both places."""
        first = taken.setdefault(key, steps)
        if first != steps:
            self.bad(steps, f"{what} is used twice, first by {spell(first)} ({self.at(first)})")

    def host(self, steps: Steps, entry: Mapping[str, Any], *, plain_http: bool) -> HostConfig:
        """What registries, Git servers, S3 stores and upstream hosts have in common."""
        mirror = entry.get("mirror", "")
        if mirror:
            self.bad((*steps, "mirror"), url_complaint(mirror, query=False))
        given = entry.get("credentials")
        return HostConfig(
            credentials=self._credentials((*steps, "credentials"), given) if given else None,
            ca_file=self.optional_path(steps, entry, "caFile"),
            plain_http=plain_http,
            mirror=mirror.rstrip("/"),
            allowed_hosts=tuple(entry.get("allowedHosts", ())),
        )

    def _credentials(self, steps: Steps, entry: Mapping[str, Any]) -> Credentials:
        return Credentials(
            username=entry.get("username", ""),
            password_file=self.optional_path(
                steps, entry, "credentialsFile" if "credentialsFile" in entry else "passwordFile"
            ),
            token_file=self.optional_path(steps, entry, "tokenFile"),
            profile=entry.get("profile", ""),
            access_key_file=self.optional_path(steps, entry, "accessKeyFile"),
            secret_key_file=self.optional_path(steps, entry, "secretKeyFile"),
        )
