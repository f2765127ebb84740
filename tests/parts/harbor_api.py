"""The API under `/api/v2.0` of `HarborDouble`: what preflight, read-back and audit ask. Each answer is as the real
Harbor's was seen."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tests.parts.harbor_state import Project, Repository

if TYPE_CHECKING:
    from tests.parts.harbor_double import HarborDouble
    from tests.parts.harbor_handler import HarborHandler

API = "/api/v2.0/"
MAX_PAGE = 100
PAGE = 10
BUNDLE = "application/vnd.dev.sigstore.bundle"
HTML = b"<!doctype html><title>Harbor</title>"


class HarborApi:
    """One request to the API."""

    def __init__(self, handler: HarborHandler, query: dict[str, list[str]]) -> None:
        """For the request that `handler` has; `query` is parsed already."""
        self._handler = handler
        self._harbor: HarborDouble = handler.harbor
        self._query = query
        self._user = ""

    def serve(self, path: str) -> None:
        """Answers a GET, HEAD or DELETE of `path`, which is not decoded."""
        given = self._handler.basic()
        if given is not None:
            self._user = given[0] if self._harbor.knows(*given) else ""
        if self._handler.headers.get("Authorization") and not self._user:
            self._refuse(401, "UNAUTHORIZED", "unauthorized")
        # nginx decodes a path once before core sees it: names with a slash have to be encoded twice.
        parts = urllib.parse.unquote(path.removeprefix(API)).split("/")
        self._change(parts)
        match parts:
            case ["ping"]:
                self._handler.reply(200, b"Pong", {"Content-Type": "text/plain; charset=utf-8"})
            case ["health"]:
                self._json(self._health())
            case ["systeminfo"]:
                self._json(self._systeminfo())
            case ["users", "current"]:
                self._current()
            case ["projects"]:
                self._projects()
            case ["projects", name, *rest]:
                self._project(name, rest)
            case _:
                self._handler.reply(200, HTML, {"Content-Type": "text/html"})

    # --- deleting --------------------------------------------------------------------------

    def _change(self, parts: list[str]) -> None:
        """Answers what is no GET and no HEAD."""
        if self._handler.command == "DELETE":
            self._delete(parts)
        if self._handler.command not in ("GET", "HEAD"):
            self._refuse(405, "METHOD_NOT_ALLOWED", "method not allowed")

    def _delete(self, parts: list[str]) -> None:
        match parts:
            case ["projects", name, "repositories", at, "artifacts", wanted, *rest] if name in self._harbor.projects:
                project = self._harbor.projects[name]
                self._need(name, "tag:delete" if rest else "artifact:delete")
                found = project.repositories.get(urllib.parse.unquote(at))
                digest = found.tags.get(wanted, wanted) if found else ""
                if found is None or digest not in found.manifests:
                    self._refuse(404, "NOT_FOUND", f"artifact {at}:{wanted} not found")
                    return
                fixed = [tag for tag, of in found.tags.items() if of == digest and tag in project.immutable]
                if fixed and (not rest or rest[1] in fixed):
                    self._refuse(412, "PRECONDITION", f"the tag {fixed[0]} configured as immutable, cannot be deleted")
                if rest:
                    if found.tags.get(rest[1]) != digest:
                        self._refuse(404, "NOT_FOUND", f"tag {rest[1]} not found")
                    del found.tags[rest[1]]
                elif any(digest in found.children({other}) for other in found.manifests if other != digest):
                    self._refuse(412, "PRECONDITION", "the deleting artifact is referenced by others")
                else:
                    found.delete(digest)
                self._handler.reply(200)
            case _:
                self._refuse(405, "METHOD_NOT_ALLOWED", "method not allowed")

    # --- the system ------------------------------------------------------------------------

    def _health(self) -> dict[str, Any]:
        sick = "unhealthy" if self._harbor.registry_down else "healthy"
        parts = [{"name": name, "status": "healthy"} for name in ("core", "database", "jobservice", "redis")]
        return {"status": sick, "components": [*parts, {"name": "registry", "status": sick}]}

    def _systeminfo(self) -> dict[str, Any]:
        known = {"auth_mode": "db_auth", "banner_message": "", "primary_auth_mode": False}
        if not self._user:
            return known
        return known | {
            "harbor_version": "v2.15.2-0a1b2c3d",
            "external_url": self._harbor.url,
            "registry_url": self._harbor.host,
            "read_only": self._harbor.read_only,
            "project_creation_restriction": "everyone",
            "has_ca_root": False,
        }

    def _current(self) -> None:
        if self._user.startswith("robot$"):
            self._refuse(412, "PRECONDITION", "get current user not available for security context: robot")
        self._signed_in()
        self._json({"username": self._user, "sysadmin_flag": self._user in self._harbor.admins})

    # --- projects --------------------------------------------------------------------------

    def _projects(self) -> None:
        self._signed_in()
        wanted = self._query.get("project_name", self._query.get("name", [""]))[0]
        if self._handler.command == "HEAD":
            self._handler.reply(200 if wanted in self._harbor.projects else 404)
        names = [name for name in self._harbor.projects if self._may(name, "project:read")]
        self._listed([self._described(name) for name in sorted(names) if not wanted or wanted in name])

    def _project(self, name: str, rest: list[str]) -> None:
        project = self._harbor.projects.get(name)
        if project is None:
            self._signed_in()
        if project is None and self._user in self._harbor.admins:
            self._refuse(404, "NOT_FOUND", f"project {name} not found")
        if project is None:
            self._refuse(403, "FORBIDDEN", "forbidden")
            raise AssertionError
        match rest:
            case []:
                self._need(name, "project:read")
                self._json(self._described(name))
            case ["summary"]:
                self._need(name, "project:read")
                used = {"hard": {"storage": project.quota}, "used": {"storage": project.used}}
                self._json({"repo_count": len(project.repositories), "quota": used})
            case ["immutabletagrules"]:
                self._need(name, "immutable-tag:list")
                self._listed([_rule(number, tag) for number, tag in enumerate(sorted(project.immutable), 1)])
            case ["repositories"]:
                self._need(name, "repository:list")
                self._listed([_repository(f"{name}/{at}", one) for at, one in _repositories(project)])
            case ["artifacts"]:
                self._need(name, "artifact:list")
                self._listed([
                    self._artifact(f"{name}/{at}", one, digest)
                    for at, one in _repositories(project)
                    for digest in one.listed()
                ])  # fmt: skip
            case ["repositories", at, "artifacts", *more]:
                self._artifacts(name, project, urllib.parse.unquote(at), more)
            case _:
                self._handler.reply(200, HTML, {"Content-Type": "text/html"})

    def _artifacts(self, name: str, project: Project, at: str, more: list[str]) -> None:
        full = f"{name}/{at}"
        found = dict(_repositories(project)).get(at)
        match more:
            case []:
                self._need(name, "artifact:list")
                if found is None:
                    self._refuse(404, "NOT_FOUND", f"repository {full} not found")
                    return
                self._listed([self._artifact(full, found, digest) for digest in found.listed()])
            case [wanted, *rest]:
                self._need(name, "accessory:list" if rest == ["accessories"] else "artifact:read")
                digest = found.tags.get(wanted, wanted) if found else ""
                if found is None or digest not in found.manifests:
                    self._refuse(404, "NOT_FOUND", f"artifact {full}:{wanted} not found")
                    return
                if rest == ["accessories"]:
                    self._listed(_accessories(found, digest))
                self._json(self._artifact(full, found, digest))

    def _artifact(self, full: str, repository: Repository, digest: str) -> dict[str, Any]:
        kind, data = repository.manifests[digest]
        document = json.loads(data)
        fixed = self._harbor.projects[full.partition("/")[0]].immutable
        tags = [{"name": tag, "immutable": tag in fixed} for tag, of in sorted(repository.tags.items()) if of == digest]
        children = [{"child_digest": one["digest"], "platform": None} for one in document.get("manifests") or []]
        wants = {name for name in ("with_tag", "with_accessory") if self._query.get(name, [""])[0] == "true"}
        accessories = _accessories(repository, digest)
        return {
            "digest": digest,
            "repository_name": full,
            "type": "UNKNOWN" if "artifactType" in document else "IMAGE",
            "manifest_media_type": kind,
            "size": len(data),
            "tags": (tags or None) if "with_tag" in wants else None,
            "accessories": (accessories or None) if "with_accessory" in wants else None,
            "references": children or None,
        }

    def _described(self, name: str) -> dict[str, Any]:
        project = self._harbor.projects[name]
        metadata = {"public": "false"}
        if project.policy:
            metadata["prevent_vul"] = "true"
        made: dict[str, Any] = {"name": name, "metadata": metadata, "repo_count": len(project.repositories)}
        return made | ({"registry_id": 1} if project.proxy else {})

    # --- answers ---------------------------------------------------------------------------

    def _may(self, project: str, action: str) -> bool:
        return self._harbor.rights(self._user, project, action)

    def _signed_in(self) -> None:
        if not self._user:
            self._refuse(401, "UNAUTHORIZED", "unauthorized")

    def _need(self, project: str, action: str) -> None:
        if not self._may(project, action):
            self._signed_in()  # anonymous people may read what is public
            self._refuse(403, "FORBIDDEN", "forbidden")

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._handler.reply_error(status, code, message)

    def _json(self, document: Any, headers: dict[str, str] | None = None) -> None:
        more = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
        self._handler.reply(200, json.dumps(document).encode(), more)

    def _listed(self, entries: list[Any]) -> None:
        """One page. An empty list is `[]`; the next page is in `Link`, as a path without a host."""
        page, size = (int(self._query.get(key, [str(usual)])[0]) for key, usual in (("page", 1), ("page_size", PAGE)))
        if size > MAX_PAGE:
            self._refuse(422, "UNPROCESSABLE_ENTITY", f"page_size in query should be less than or equal to {MAX_PAGE}")
        headers = {"X-Total-Count": str(len(entries))}
        links = []
        path = urllib.parse.urlsplit(self._handler.path).path
        for number, rel, there in ((page - 1, "prev", page > 1), (page + 1, "next", page * size < len(entries))):
            asked = {key: values[0] for key, values in self._query.items()}
            query = urllib.parse.urlencode(asked | {"page": number, "page_size": size})
            links += [f'<{path}?{query}>; rel="{rel}"'] if there else []
        if links:
            headers["Link"] = " , ".join(links)
        self._json(entries[(page - 1) * size : page * size], headers)


def _repositories(project: Project) -> Iterator[tuple[str, Repository]]:
    """Those in which a manifest arrived: Harbor makes a repository with its first artifact."""
    return ((name, one) for name, one in sorted(project.repositories.items()) if one.manifests)


def _repository(full: str, repository: Repository) -> dict[str, Any]:
    return {"name": full, "artifact_count": len(repository.listed()), "pull_count": 0}


def _accessories(repository: Repository, subject: str) -> list[dict[str, Any]]:
    found = []
    for digest, of in sorted(repository.accessories().items()):
        if of == subject:
            document = json.loads(repository.manifests[digest][1])
            signature = str(document.get("artifactType", "")).startswith(BUNDLE) or "subject" not in document
            kind = "signature.cosign" if signature else "subject.accessory"
            found.append({"digest": digest, "type": kind, "subject_artifact_digest": subject})
    return found


def _rule(number: int, tag: str) -> dict[str, Any]:
    return {
        "id": number,
        "disabled": False,
        "action": "immutable",
        "template": "immutable_template",
        "scope_selectors": {"repository": [{"kind": "doublestar", "decoration": "repoMatches", "pattern": "**"}]},
        "tag_selectors": [{"kind": "doublestar", "decoration": "matches", "pattern": tag}],
    }
