"""Proxies and plain HTTP from the command line: one rule for requests, and for git."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.harbor_double import HarborDouble
from tests.parts.scripted import Answer, Scripted
from tests.worlds.commands import run_airgap
from tests.worlds.site import HEAD

pytestmark = [pytest.mark.e2e, pytest.mark.part("git")]


@pytest.fixture
def proxy() -> Iterator[Scripted]:
    """A proxy that finds nothing."""
    made = Scripted(Answer(404, b"nothing"))
    yield made
    made.stop()


def _request(folder: Path, items: str) -> None:
    (folder / "r.yaml").write_text(f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n{items}")


def test_requests_and_git_use_the_proxy_and_leave_it_alike(tmp_path: Path, proxy: Scripted) -> None:
    file = f"{{url: 'http://files.invalid/a', path: a/a, sha256: {hashlib.sha256(b'').hexdigest()}}}"
    _request(tmp_path, f"  files: [{file}]\n  git: [{{url: 'http://git.invalid/team/app'}}]\n")
    environ = {"http_proxy": proxy.url, "HTTPS_PROXY": "http://127.0.0.1:9", "no_proxy": "", "ALL_PROXY": ""}
    said = run_airgap(["lock", "r.yaml"], tmp_path, environ)
    assert said.code == 5
    asked = [one.path for one in proxy.asked]
    assert any(path.startswith("http://files.invalid/a") for path in asked), asked
    assert any(path.startswith("http://git.invalid/team/app") for path in asked), asked
    proxy.asked.clear()
    said = run_airgap(["lock", "r.yaml"], tmp_path, environ | {"no_proxy": "files.invalid:80, *.git.invalid"})
    assert (said.code, proxy.asked) == (5, [])


def test_a_registry_at_loopback_needs_no_plain_http(tmp_path: Path) -> None:
    harbor = HarborDouble({"robot": "pw"})
    try:
        (tmp_path / "r.yaml").write_text("")
        _request(tmp_path, f"  images: [{{ref: '{harbor.host}/p/a:1'}}]\n")
        said = run_airgap(["lock", "r.yaml"], tmp_path)
    finally:
        harbor.stop()
    assert said.code == 5, said
    assert f"http://{harbor.host}/" in said.err
    assert "TLS" not in said.err


def test_a_token_does_not_go_to_an_http_address_that_nobody_allowed(tmp_path: Path, proxy: Scripted) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    (tmp_path / "token").chmod(0o600)
    _request(tmp_path, "  git: [{url: 'http://git.invalid/team/app'}]\n")
    for more, code in (("", "plain-http"), (", plainHTTP: true", "")):
        login = f"{{credentials: {{tokenFile: token}}{more}}}"
        (tmp_path / "u.yaml").write_text(
            f"{HEAD}kind: Upstreams\nmetadata: {{name: u}}\nspec:\n  hosts:\n    git.invalid: {login}\n"
        )
        said = run_airgap(["lock", "r.yaml", "--upstreams", "u.yaml"], tmp_path, {"http_proxy": proxy.url})
        if code:
            said.refused(2, code, "http://git.invalid")
            assert proxy.asked == []
        else:
            assert said.code == 5
            assert any("authorization" in one.headers for one in proxy.asked)
        assert "s3cret" not in said.err


def test_a_host_that_does_not_resolve_is_one_mistake(tmp_path: Path) -> None:
    images = "".join(f"  - {{ref: 'registry.invalid/a/b{number}:1'}}\n" for number in range(3))
    _request(
        tmp_path,
        f"  images:\n{images}  git:\n  - {{url: 'https://git.invalid/a/b'}}\n  - {{url: 'https://git.invalid/a/c'}}\n",
    )
    said = run_airgap(["lock", "r.yaml"], tmp_path)
    told = [line for line in said.err.splitlines() if line.startswith("airgap: ")]
    assert (said.code, len(told)) == (5, 2), said.err
    assert "3 items fail alike" in told[0]
    assert "2 items fail alike" in told[1]
