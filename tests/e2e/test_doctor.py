"""`airgap doctor` from the command line: what would stop an import is said before it, and nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.parts import tls
from tests.parts.fault_proxy import FaultProxy
from tests.parts.gitea import Gitea
from tests.parts.harbor_double import HarborDouble
from tests.parts.s3 import S3Service
from tests.parts.scripted import Answer, Scripted
from tests.parts.web import Handler, Server
from tests.worlds.commands import run_airgap
from tests.worlds.row import Row
from tests.worlds.site import GAP, HEAD, Site

pytestmark = [pytest.mark.e2e, pytest.mark.part("git")]

MakeProxy = Callable[[str], FaultProxy]
READS = {"GET", "HEAD"}


@pytest.fixture
def harbor() -> Iterator[HarborDouble]:
    made = HarborDouble({"robot$import": "good"})
    made.project("p1")
    yield made
    made.stop()


def _resource(site: Site, spec: str) -> None:
    site.write("sovereign.yaml", f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\nspec:\n  stateDir: state\n{spec}")


def _secret(site: Site, name: str, text: str) -> None:
    site.write(name, text + "\n")
    (site.folder / name).chmod(0o600)


@pytest.fixture
def row(tmp_path: Path, harbor: HarborDouble) -> Row:
    """A site with a registry, and a delivery of one image."""
    made = Row(tmp_path)
    _secret(made.site, "robot", "good")
    made.inside(
        f"  registries:\n  - {{url: '{harbor.url}', projects: {{demo.local: p1}},"
        " credentials: {username: robot$import, passwordFile: robot}}\n"
    )
    made.layout.tag("v1", made.layout.image({"a": b"a" * 50_000}))
    made.deliver(1, {"demo.local/app:v1": "v1"})
    return made


def _doctor(site: Site, *more: str, expect: int = 0) -> dict[str, Any]:
    """The problems, warnings and unknowns by code or what they are about."""
    said = site.run("doctor", "sovereign.yaml", "trust.yaml", *more, expect=expect)
    assert said["exit"] == expect
    bad = [one for one in said["probes"] if one["state"] == "problem"]
    assert all(one["next"] for one in bad), bad
    assert all("password" not in one["said"] or "good" not in one["said"] for one in bad)
    return {one["code"] or one["what"]: one for one in said["probes"] if one["state"] != "ok"}


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_what_is_well_is_said_and_nothing_is_changed(row: Row, harbor: HarborDouble, tmp_path: Path) -> None:
    before = _files(tmp_path)
    found = _doctor(row.site, "--key", "sovereign.key", "--delivery", "media1")
    assert found == {}
    assert _files(tmp_path) == before
    assert {method for method, _, _ in harbor.requests} <= READS
    assert not harbor.projects["p1"].repositories or not harbor.projects["p1"].repositories["app"].manifests


def _quota(harbor: HarborDouble) -> None:
    harbor.projects["p1"].quota = 500


def _proxy(harbor: HarborDouble) -> None:
    harbor.projects["p1"].proxy = True


def _read_only(harbor: HarborDouble) -> None:
    harbor.read_only = True


def _pull_only(harbor: HarborDouble) -> None:
    harbor.rights = lambda user, project, action: bool(user) and action != "push"


def _push_only(harbor: HarborDouble) -> None:
    harbor.rights = lambda user, project, action: bool(user) and action != "pull"


def _no_project(harbor: HarborDouble) -> None:
    harbor.projects.clear()


def _expired(harbor: HarborDouble) -> None:
    harbor.expired.add("robot$import")


def _core_down(harbor: HarborDouble) -> None:
    harbor.core_down = True


def _registry_down(harbor: HarborDouble) -> None:
    harbor.registry_down = True


def test_harbor_s_refusals_are_foreseen(row: Row, harbor: HarborDouble) -> None:
    cases: list[tuple[Callable[[HarborDouble], None], str, str]] = [
        (_quota, "quota-exceeded", "500 B of 500 B are left, the delivery needs up to "),
        (_proxy, "proxy-project", "p1"),
        (_read_only, "read-only", "read-only"),
        (_pull_only, "no-rights", "lacks repository:push in p1"),
        (_push_only, "no-rights", "lacks repository:pull in p1"),
        (_no_project, "project-missing", "projects['demo.local']"),
        (_expired, "login-failed", "robot$import"),
        (_core_down, "upstream-failed", "502"),
        (_registry_down, "upstream-failed", "registry"),
    ]
    usual = harbor.rights
    for change, code, word in cases:
        harbor.projects.clear()
        harbor.project("p1")
        harbor.expired.clear()
        harbor.read_only = harbor.core_down = harbor.registry_down = False
        harbor.rights = usual
        change(harbor)
        said = row.site.run("doctor", "sovereign.yaml", "trust.yaml", "--delivery", "media1", expect=5)
        [problem] = [one for one in said["probes"] if one["state"] == "problem"]
        assert problem["code"] == code, problem
        assert word in problem["said"]
        assert problem["next"]
        dry = row.site.run("import", "media1", *GAP, "--dry-run", expect=5)
        told = {one["code"] for one in dry["errors"]}
        assert code in told if change in (_quota, _proxy, _read_only, _pull_only) else told, told
    assert {method for method, _, _ in harbor.requests} <= READS


def test_a_robot_that_may_only_pull_and_push_is_enough(row: Row, harbor: HarborDouble) -> None:
    harbor.only("pull", "push")
    assert set(_doctor(row.site, "--delivery", "media1")) == {"settings"}


def test_an_immutable_tag_with_other_content_is_foreseen(row: Row, harbor: HarborDouble) -> None:
    row.take("media1")
    row.layout.tag("v2", row.layout.image({"a": b"b" * 50_000}))
    row.deliver(2, {"demo.local/app:v1": "v2"})
    harbor.projects["p1"].immutable.add("v1")
    found = _doctor(row.site, "--delivery", "media2", expect=5)
    assert "p1/app:v1" in found["immutable-tag"]["said"]


def test_a_delivery_that_is_refused_is_said_with_everything_else(row: Row, harbor: HarborDouble) -> None:
    harbor.read_only = True
    row.site.run("keys", "generate", "other")
    row.site.write("trust.yaml", (row.folder / "trust.yaml").read_text().replace("exporter.pub", "other.pub"))
    found = _doctor(row.site, "--delivery", "media1", expect=5)
    assert set(found) == {"read-only", "unknown-key"}


def test_names_ports_certificates_and_files_are_all_in_one_table(tmp_path: Path, harbor: HarborDouble) -> None:
    site = Site(tmp_path)
    (tmp_path / "ca").mkdir()
    authority = tls.make_authority(tmp_path / "ca")
    secure = HarborDouble({"robot$import": "good"}, certificate=tls.issue(tmp_path, authority))
    secure.project("p1")
    _secret(site, "robot", "good")
    login = "credentials: {username: robot$import, passwordFile: robot}"
    _resource(
        site,
        f"  signingKey: {{file: none.key, passwordFile: none}}\n  registries:\n"
        f"  - {{url: '{secure.url}', projects: {{a.b: p1}}, {login}}}\n"
        f"  - {{url: '{secure.url.replace('https', 'http')}', projects: {{a.b: p1}}}}\n"
        f"  - {{url: '{harbor.url.replace('http', 'https')}', projects: {{a.b: p1}}}}\n"
        f"  - {{url: 'https://harbor.invalid', projects: {{a.b: p1}}}}\n"
        f"  - {{url: '{harbor.url}', projects: {{a.b: p1}}, credentials: {{username: x, passwordFile: none}},"
        " signatures: {repository: s/s}}\n",
    )
    try:
        said = site.run("doctor", "sovereign.yaml", "trust.yaml", "missing.yaml", expect=2)
        assert said["code"] == "usage"
        said = site.run("doctor", "sovereign.yaml", expect=5)
        codes = {(one["place"], one["code"]) for one in said["probes"] if one["state"] == "problem"}
        trusted = (
            (tmp_path / "sovereign.yaml").read_text().replace(f"{login}}}", f"{login}, caFile: {authority.cert_file}}}")
        )
        site.write("sovereign.yaml", trusted)
        again = site.run("doctor", "sovereign.yaml", expect=5)
    finally:
        secure.stop()
    assert codes >= {
        (secure.url, "tls-untrusted"),
        (harbor.url.replace("http", "https"), "tls-failed"),
        ("https://harbor.invalid", "unreachable"),
        (harbor.url, "secret-missing"),
        (str(tmp_path / "none.key"), "key-missing"),
    }, codes
    assert any("issued by" in one["said"] for one in said["probes"] if one["code"] == "tls-untrusted")
    ends = [one for one in again["probes"] if (one["place"], one["what"]) == (secure.url, "certificate")]
    assert [one["state"] for one in ends] == ["warning"]


@pytest.mark.part("gitea")
def test_a_git_server_s_organizations_and_rights(tmp_path: Path, gitea: Gitea, fault_proxy: MakeProxy) -> None:
    site, proxy = Site(tmp_path), fault_proxy(gitea.url)
    org = gitea.new_org()
    gitea.new_repo(org, "app", auto_init=True)

    def found(secret: str, names: str, more: str = "", expect: int = 0) -> dict[str, Any]:
        _secret(site, "token", secret)
        _resource(
            site,
            f"  git:\n    url: '{proxy.url}'\n    organizations: {{{names}}}\n"
            f"    credentials: {{tokenFile: token}}\n{more}",
        )
        return _doctor(site, expect=expect)

    good = gitea.token(("write:organization", "write:repository"))
    assert found(good, f"a.b: {org}") == {}
    assert f"{org}x" in found(good, f"a.b: {org}, c.d: {org}x", expect=5)["git-no-organization"]["said"]
    assert found(good, f"a.b: {org}, c.d: {org}x", "    create: true\n") == {}
    reader = gitea.token(("read:organization", "read:repository"))
    assert "may not push" in found(reader, f"a.b: {org}", expect=5)["git-no-rights"]["said"]
    assert "git-unauthorized" in found("0" * 40, f"a.b: {org}", expect=5)
    assert {one.method for one in proxy.requests} <= READS


class _Odd(Handler):
    """A Git server whose list of repositories is not one."""

    repositories: object = [1]

    def do_GET(self) -> None:
        at = self.path.partition("?")[0].rpartition("/")[2]
        found = {"version": {"version": "1.23"}, "repos": self.repositories}.get(at, {})
        self.answer(200, json.dumps(found).encode(), {"Content-Type": "application/json"})


def test_a_git_server_that_answers_with_something_else(tmp_path: Path, stack: ExitStack) -> None:
    server, site = Server(_Odd), Site(tmp_path)
    stack.callback(server.stop)
    _secret(site, "token", "good")
    git = f"  git:\n    url: '{server.url}'\n    organizations: {{a.b: c}}\n    credentials: {{tokenFile: token}}\n"
    _resource(site, git)
    for _Odd.repositories in ([1], ["x"], [None], {"a": 1}):
        assert set(_doctor(site)) == {"rights"}


def test_a_store_that_redirects(tmp_path: Path, stack: ExitStack) -> None:
    server, site = Scripted(Answer(302, headers={"Location": "/elsewhere"})), Site(tmp_path)
    stack.callback(server.stop)
    _secret(site, "key", "good")
    keys = "credentials: {accessKeyFile: key, secretKeyFile: key}"
    _resource(site, f"  s3:\n    endpoint: '{server.url}'\n    buckets: {{models: aaa}}\n    {keys}\n")
    found = _doctor(site, expect=5)
    assert "s3.endpoint" in found["redirect-refused"]["next"]
    assert len(server.asked) < 10


def test_each_fault_of_a_resource_has_a_line(tmp_path: Path) -> None:
    site = Site(tmp_path)
    _resource(site, "  strems: [a]\n  direktory: x\n")
    said = run_airgap(["doctor", "sovereign.yaml"], tmp_path)
    assert (said.code, "\\n" in said.out) == (2, False)
    assert [line for line in said.out.splitlines() if "direktory" in line][-1].endswith("[bad-resource]")


def test_a_store_s_buckets_and_keys(tmp_path: Path, any_s3: S3Service, fault_proxy: MakeProxy) -> None:
    site, proxy = Site(tmp_path), fault_proxy(any_s3.endpoint)
    bucket = any_s3.new_bucket()

    def found(name: str, key: str, expect: int = 0) -> dict[str, Any]:
        _secret(site, "id", any_s3.access_key)
        _secret(site, "key", key)
        _resource(
            site,
            f"  s3:\n    endpoint: '{proxy.url}'\n    buckets: {{models: {name}, files: {name}}}\n"
            "    credentials: {accessKeyFile: id, secretKeyFile: key}\n",
        )
        return _doctor(site, expect=expect)

    assert set(found(bucket, any_s3.secret_key)) == {"rights"}
    missing = found(f"{bucket}-x", any_s3.secret_key, expect=2)
    assert "mb" in missing["no-bucket"]["next"]
    assert "bad-credentials" in found(bucket, "wrong-wrong-wrong", expect=5)
    assert {one.method for one in proxy.requests} <= READS
    assert f"{bucket}-x" not in {one["Name"] for one in any_s3.client().list_buckets()["Buckets"]}


def test_one_cause_is_one_line_also_with_a_delivery(row: Row, harbor: HarborDouble) -> None:
    resource = row.folder / "sovereign.yaml"
    store = f"  s3:\n    endpoint: '{harbor.url}'\n    buckets: {{models: one, files: two}}\n"
    resource.write_text(f"{resource.read_text()}{store}    credentials: {{profile: nobody}}\n")
    said = row.site.run("doctor", "sovereign.yaml", "trust.yaml", "--delivery", "media1", expect=2)
    assert [one["code"] for one in said["probes"] if one["state"] == "problem"] == ["no-credentials"]


def test_the_hosts_of_a_request_are_tried(tmp_path: Path, harbor: HarborDouble) -> None:
    site = Site(tmp_path)
    _secret(site, "robot", "wrong")
    site.write(
        "request.yaml",
        f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n"
        f"  images:\n  - {{ref: '{harbor.host}/p1/a:1'}}\n  - {{ref: 'oci:x:y', name: demo.local/a:1}}\n"
        "  git:\n  - {url: 'https://git.invalid/a/b'}\n---\nkind: Upstreams\nspec:\n  hosts:\n"
        f"    '{harbor.host}': {{credentials: {{username: robot$import, passwordFile: robot}}}}\n",
    )
    said = site.run("doctor", "request.yaml", expect=5)
    problems = {one["place"]: one["code"] for one in said["probes"] if one["state"] == "problem"}
    assert problems == {harbor.host: "login-failed", "git.invalid": "unreachable"}
