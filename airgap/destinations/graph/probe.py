"""Whether a registry would take an import: its login, rights, projects, room and settings. Only reads.

What Harbor answers: /api/v2.0 of Harbor 2.15.2, and the claims of its tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from airgap.base.amounts import human
from airgap.base.errors import AirgapError, BlockedError, NotFoundError, UpstreamError
from airgap.base.probe import Probes
from airgap.content.forms import Change
from airgap.net.http import Fixed
from airgap.resources.sovereign import RegistryConfig
from airgap.store.registry.client import RegistryClient
from airgap.store.registry.harbor import Harbor, HarborProject, Quota

NEEDED = ("pull", "push")
"""What an import does in a repository. With Harbor, push does not imply pull."""
_NO_PROJECT = (
    "create it in Harbor (Projects, New Project), or correct it in the Sovereign resource; imports create no projects"
)
FORBIDDEN = 403
"""Harbor's answer where a permission is missing."""


@dataclass(slots=True)
class GraphNeeds:
    """What a delivery would bring to one registry."""

    missing: Callable[[str], int] = lambda _project: 0
    """How many bytes a project lacks. It asks for each blob, and is called only where there is a limit."""
    moved: list[Change] = field(default_factory=list)
    """Names that would move."""


def projects_of(config: RegistryConfig) -> dict[str, list[str]]:
    """Each project that a registry's configuration names → the fields that name it."""
    named = [(value, f"projects[{key!r}]") for key, value in config.projects.items()]
    named += [(config.records, "records")] if config.records else []
    signatures = config.signatures
    named += [(signatures.repository, "signatures")] if signatures and signatures.repository else []
    found: dict[str, list[str]] = {}
    for value, where in named:
        found.setdefault(value.partition("/")[0], []).append(where)
    return found


def probe_registry(found: Probes, config: RegistryConfig, client: RegistryClient, needs: GraphNeeds | None) -> None:
    """Looks at everything that an import needs of a registry. A login that is refused ends it."""
    projects = projects_of(config)
    harbor = client.harbor if client.harbor.there() else None
    if harbor is not None:
        _system(found, harbor)
    probe_login(found, client)
    if any(one.what == "login" and one.exit_code for one in found.found):
        return
    there = list(projects) if harbor is None else _existing(found, harbor, projects)
    with found.looking("rights"):
        _rights(found, client, there)
    if harbor is not None:
        _settings(found, harbor, {name: projects[name] for name in there}, needs)
        _immutable(found, harbor, needs.moved if needs is not None else [])


def _system(found: Probes, harbor: Harbor) -> None:
    sick = harbor.sick()
    if sick:
        what = f"Harbor says that these of its parts do not work: {', '.join(sick)[:200]}"
        found.problem(
            "health",
            UpstreamError("upstream-failed", what, "see the logs of these parts, and restart them", side="destination"),
        )
    try:
        system = harbor.system()
    except AirgapError:
        return  # the login tells why
    found.ok("service", f"Harbor {system.version}".rstrip())
    if system.read_only:
        hint = "switch it off in Harbor (Administration, Configuration, System Settings, Repository Read Only)"
        found.problem(
            "read-only",
            UpstreamError("read-only", "Harbor is in read-only mode, and refuses pushes", hint, side="destination"),
        )


def probe_login(found: Probes, client: RegistryClient) -> None:
    """Checks a login by itself: Harbor gives a token without rights to a wrong password."""
    with found.looking("login"):
        _login(client)
        found.ok("login", f"accepted: {client.authority.who}")


def _login(client: RegistryClient) -> None:
    login, who = client.authority.login, client.authority.who
    if login is None or not login.username:
        client.call("GET", f"{client.api}/", client.authority.scoped())
        return
    answer = client.http.request("GET", f"{client.api}/", auth=Fixed(login.header), expect=None)
    if answer.status == 401 and "bearer" in (answer.headers.get("Www-Authenticate") or "").lower():
        client.authority.granted("registry:catalog:*")  # its token server knows the login
    elif answer.status in (401, 403):
        raise UpstreamError(
            "login-failed",
            f"{who} was refused: the user name or the password is wrong, or the account has expired or is disabled",
            "check the user name (robot accounts have their full name, robot$…) and the password file; in Harbor, see "
            "Robot Accounts: renew or enable it there",
            answer.status,
            side="destination",
        )
    elif not 200 <= answer.status < 300:
        raise answer.error()


def _existing(found: Probes, harbor: Harbor, projects: Mapping[str, Sequence[str]]) -> list[str]:
    """The projects that exist. A missing one is a problem."""
    there = []
    for name, fields in projects.items():
        try:
            if harbor.has_project(name):
                there.append(name)
                continue
        except AirgapError as error:
            found.problem(f"project {name}", error)
            continue
        what = f"project {name} does not exist; it is named by {', '.join(fields)}"
        found.problem(f"project {name}", UpstreamError("project-missing", what, _NO_PROJECT, side="destination"))
    return there


def _rights(found: Probes, client: RegistryClient, projects: Iterable[str]) -> None:
    """What tokens allow. Projects that lack the same right are one problem."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    unknown = False
    for project in projects:
        granted = client.authority.granted(f"repository:{project}/airgap:pull,push")
        if granted is None:
            unknown = True
            break
        lacking.setdefault(tuple(one for one in NEEDED if one not in granted and "*" not in granted), []).append(
            project
        )
    who = client.authority.who
    if unknown:
        found.unknown("rights", f"{who}: this registry does not say what the account may do before it pushes")
    for rights, names in lacking.items():
        if not rights:
            found.ok("rights", f"{who} may pull and push: {', '.join(names)}")
            continue
        needs = " and ".join(f"repository:{one}" for one in rights)
        found.problem(
            "rights",
            UpstreamError(
                "no-rights",
                f"{who} lacks {needs} in {', '.join(names)}",
                f"give the account {needs} there (Harbor: Robot Accounts, Edit, Permissions; push does not imply pull)",
                side="destination",
            ),
        )


def _settings(found: Probes, harbor: Harbor, projects: Mapping[str, Sequence[str]], needs: GraphNeeds | None) -> None:
    """What the projects' settings say. Projects that may not be read are one line."""
    unread: list[str] = []
    for name in projects:
        try:
            _project(found, harbor, harbor.project(name), projects[name])
            quota = harbor.quota(name)
        except AirgapError as error:
            if isinstance(error, UpstreamError) and error.status == FORBIDDEN:
                unread.append(name)
            else:
                found.problem(f"project {name}", error)
            continue
        _room(found, name, quota, needs)
    if unread:
        said = f"the account may not read the settings of {', '.join(unread)}: proxy cache, quota"
        found.unknown("settings", said, "give it project:read there, or look in Harbor (Projects, Summary)")


def _project(found: Probes, harbor: Harbor, project: HarborProject, fields: Sequence[str]) -> None:
    if project.proxy:
        what = f"project {project.name} is a proxy cache, which refuses pushes"
        hint = "map to an ordinary project in the Sovereign resource"
        error = UpstreamError("proxy-project", what, hint, side="destination")
        found.problem(f"project {project.name}", error)
    if project.blocking:
        _blocked(found, harbor, project, fields)


def _blocked(found: Probes, harbor: Harbor, project: HarborProject, fields: Sequence[str]) -> None:
    """A project whose images may not be read: only Harbor's own API confirms what a name holds there."""
    what = f"project {project.name} blocks reading ({', '.join(project.blocking)})"
    if "records" in fields:
        said = f"{what}, so the list of accepted deliveries cannot be read"
        hint = "switch that off there, or name another project under records"
        found.problem(f"project {project.name}", BlockedError("blocked-by-policy", said, hint, side="destination"))
        return
    try:
        harbor.artifact(f"{project.name}/airgap", "latest")
    except NotFoundError:
        pass
    except UpstreamError as error:
        said = f"{what}, and the account may not read artifacts: its names would stay unconfirmed"
        hint = f"{error.hint or 'give the account artifact:read there'} (Harbor: Robot Accounts, Edit, Permissions)"
        found.problem(f"project {project.name}", BlockedError("blocked-by-policy", said, hint, side="destination"))
        return
    found.ok(f"project {project.name}", f"{what}; Harbor's own API confirms names")


def _room(found: Probes, name: str, quota: Quota, needs: GraphNeeds | None) -> None:
    what, room, limit = f"quota {name}", quota.room, quota.limit
    if room is None:
        found.ok(what, "no limit")
        return
    wanted = needs.missing(name) if needs is not None else 0
    said = f"{human(room)} of {human(limit)} are left"
    said += f", the delivery needs up to {human(wanted)}" if wanted else ""
    if wanted > room or room == 0:
        hint = f"raise the storage quota of {name} (Harbor: Administration, Project Quotas), or remove content there"
        error = UpstreamError("quota-exceeded", f"project {name}: {said}", hint, side="destination")
        found.problem(what, error)
    else:
        found.ok(what, said)


def _immutable(found: Probes, harbor: Harbor, moved: Sequence[Change]) -> None:
    """Tags with other content that may not be moved: one problem for all of them."""
    fixed: list[Change] = []
    unread = 0
    for change in moved:
        try:
            if change.name in harbor.artifact(change.at, change.name).immutable:
                fixed.append(change)
        except NotFoundError:
            continue
        except AirgapError:
            unread += 1
    if fixed:
        shown = ", ".join(f"{one.at}:{one.name} ({one.previous[:19]}, here {one.digest[:19]})" for one in fixed[:3])
        more = f" and {len(fixed) - 3} more" if len(fixed) > 3 else ""
        said = f"{len(fixed)} tag{'s are' if len(fixed) > 1 else ' is'} immutable with other content: {shown}{more}"
        hint = "exempt the tag from the rule (Harbor: project, Policy, Tag Immutability), or use another tag"
        found.problem("tags", UpstreamError("immutable-tag", said, hint, side="destination"))
    if unread:
        said = f"{unread} tags would move, and the account may not read whether they are immutable"
        found.unknown("tags", said, "give it artifact:read and immutable-tag:list, or look in Harbor")
