"""Running git: nothing of the user's reaches it, nothing secret leaves it, failures become our errors."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from airgap.base.errors import (
    AirgapError,
    DiskFullError,
    InputError,
    IntegrityError,
    ObjectGoneError,
    RepositoryMissingError,
    TooLargeError,
    ToolError,
    UpstreamError,
)
from airgap.content.ref_name import ref_fault
from airgap.net.config import Credentials
from airgap.tools.git import Git, Remote, scrub
from airgap.tools.git_bundle import unpack_bundle
from airgap.tools.git_faults import failure, shown
from airgap.tools.git_refs import check_refs
from airgap.tools.git_remote import authorization, check_url
from airgap.tools.git_repository import BareRepository, list_refs
from airgap.tools.limits import LEAST, MOST, Limits
from tests.worlds import bombs
from tests.worlds.git_sources import Work

OID = "a" * 40


@pytest.fixture
def git(tmp_path: Path) -> Git:
    return Git(tmp_path / "git")


def test_the_users_git_does_not_reach_it(git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_SSL_NO_VERIFY", "1")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_TRACE", "1")
    monkeypatch.setenv("https_proxy", "http://proxy.example.org")
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'alias.leak=!env'")
    git.run("init", "--bare", "--quiet", str(git.folder / "x.git"))
    with pytest.raises(ToolError):
        git.run("leak")
    done = git.run("-c", "alias.show=!env", "show-it", ok=())
    assert done.status != 0
    seen = git.run("-c", "alias.showenv=!env", "showenv").stdout.decode()
    for name in ("GIT_SSL_NO_VERIFY", "GIT_TRACE=", "https_proxy", "leak"):
        assert name not in seen
    assert "HOME=/dev/null" in seen


def test_a_repository_around_the_folder_does_not_reach_it(tmp_path: Path) -> None:
    origin = BareRepository(Git(tmp_path / "other"), tmp_path / "origin.git")
    origin.create("sha1")
    for line in (("init", "--quiet"), ("config", "url./nowhere.insteadOf", str(origin.path))):
        subprocess.run(["git", *line], cwd=tmp_path, check=True)
    assert list_refs(Git(tmp_path / "git"), Remote(str(origin.path))) == ({}, "", "")


def test_a_relative_folder_and_repository_are_those_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    BareRepository(Git(Path("git")), Path("git/x.git")).create("sha1")
    assert {path.name for path in (tmp_path / "git").iterdir()} == {"gitconfig", "x.git"}


def test_without_git_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError) as caught:
        Git(tmp_path / "git")
    assert (caught.value.code, caught.value.hint) == ("git-missing", "install git")


@pytest.mark.parametrize(
    ("version", "patched", "words"),
    [
        ("2.31.8", True, "2.32 or later"),
        ("nonsense", True, "2.32 or later"),
        ("2.39.3", False, "CVE-2024-32465"),
        ("2.43.0", False, "2.43.4"),
        ("2.45.0", True, "2.45.1"),
        ("2.34.1", True, ""),
        ("2.39.4", False, ""),
        ("2.45.1", False, ""),
        ("2.50.1 (Apple Git-155)", False, ""),
        ("3.0.0", False, ""),
    ],
)
def test_git_has_the_known_fixes_by_its_number_or_from_its_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, patched: bool, words: str
) -> None:
    fake = tmp_path / "bin/git"
    fake.parent.mkdir()
    mark = "# GIT_NO_LAZY_FETCH" if patched else ""
    say = f"case $1 in version) echo 'git version {version}';; *) echo '{fake.parent}';; esac"
    fake.write_text(f"#!/bin/sh\n{say}\n{mark}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    if not words:
        assert Git(tmp_path / "git").version
        return
    with pytest.raises(ToolError) as caught:
        Git(tmp_path / "git")
    assert (caught.value.code, words in caught.value.what) == ("git-too-old", True)
    assert "update git" in caught.value.hint


def test_a_secret_goes_by_environment_and_never_by_argv(git: Git) -> None:
    remote = Remote("https://git.example.org/x", authorization="token s3cret")
    seen = git.run("-c", "alias.showenv=!env; tr '\\0' ' ' </proc/$PPID/cmdline", "showenv", remote=remote)
    variables, _, argv = seen.stdout.decode().rpartition("\n")
    assert "s3cret" in variables
    assert "s3cret" not in argv
    assert "showenv" in argv
    assert "s3cret" not in repr(remote)


def test_secrets_are_taken_out_of_what_git_prints() -> None:
    basic = base64.b64encode(b"me:pass word").decode()
    remote = Remote("https://x", authorization=f"Basic {basic}")
    text = scrub(f"header Basic {basic} pass word, https://u:p@host/x and {basic}", remote.secrets)
    assert "pass word" not in text
    assert basic not in text
    assert "u:p" not in text


def test_a_token_never_follows_a_redirect() -> None:
    anonymous = Remote("https://x", redirects=True)
    assert anonymous.config["http.followRedirects"] == "initial"
    secret = Remote("https://x", authorization="token t", redirects=True)
    assert secret.config["http.followRedirects"] == "false"
    assert Remote("https://x").config["http.followRedirects"] == "false"


def test_certificates_and_proxies_are_those_that_were_named(git: Git) -> None:
    proxies = {"https": "http://user:pr0xy@proxy:3128", "no": "inside.example.org"}
    remote = Remote("https://x", ca_file=Path("/ca.pem"), proxies=proxies)
    assert remote.config["http.sslCAInfo"] == "/ca.pem"
    seen = git.run("-c", "alias.showenv=!env", "showenv", remote=remote).stdout.decode()
    assert "https_proxy=http://user:pr0xy@proxy:3128" in seen
    assert "no_proxy=inside.example.org,localhost,127.0.0.1,::1" in seen
    assert "pr0xy" not in scrub("proxy http://user:pr0xy@proxy:3128 failed", remote.secrets)
    assert Remote("https://x").environment == {}


def test_a_time_limit_ends_git_and_what_it_started(git: Git) -> None:
    with pytest.raises(ToolError) as caught:
        git.run("-c", "alias.hang=!sleep 600", "hang", timeout=0.5)
    assert caught.value.code == "git-timeout"


def test_leaving_the_block_early_ends_git(git: Git) -> None:
    with git.start("-c", "alias.hang=!echo; sleep 600", "hang") as running:
        assert running.stdout.readline() == b"\n"
    assert running._process.poll() is not None


def test_it_can_print_much_on_both_pipes(git: Git) -> None:
    noise = "for i in $(seq 20000); do echo 0123456789; echo 0123456789 >&2; done"
    done = git.run("-c", f"alias.noise=!{noise}", "noise")
    assert len(done.stdout) == 20000 * 11
    assert len(done.stderr) <= 64 << 10


def test_runs_in_threads_do_not_disturb_each_other(git: Git, tmp_path: Path) -> None:
    failed: list[Exception] = []

    def work(number: int) -> None:
        try:
            repository = BareRepository(git, tmp_path / f"{number}.git")
            repository.create("sha1")
            assert repository.refs() == {}
        except Exception as error:  # noqa: BLE001 (shown by the assertion below)
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_foreign_transports_are_closed(git: Git) -> None:
    for url in ("ext::sh -c true", "ssh://host/x", "git://host/x", "-u/bin/true"):
        with pytest.raises(AirgapError):
            list_refs(git, Remote(url))


def test_hooks_do_not_run(git: Git, tmp_path: Path) -> None:
    work = Work(tmp_path / "work")
    work.commit()
    repository = BareRepository(git, tmp_path / "bare.git")
    repository.create("sha1")
    hook = repository.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    source = BareRepository(git, work.path / ".git")
    git.run("push", str(repository.path), "refs/heads/main:refs/heads/main", repository=source.path)
    assert repository.refs() == work.refs()


@pytest.mark.parametrize(
    ("stderr", "kind", "code"),
    [
        ("fatal: could not read Username: terminal prompts disabled", UpstreamError, "git-unauthorized"),
        ("fatal: The requested URL returned error: 403", UpstreamError, "git-unauthorized"),
        ("remote: Not found.\nfatal: repository 'https://x/' not found", RepositoryMissingError, "git-not-found"),
        ("fatal: unable to access 'x': Could not resolve host: x", UpstreamError, "git-unreachable"),
        ("error: RPC failed; HTTP 413 curl 22\nEverything up-to-date", UpstreamError, "git-too-large"),
        ("error: RPC failed; HTTP 504 curl 22", UpstreamError, "git-unreachable"),
        ("fatal: unable to access 'x': The requested URL returned error: 301", UpstreamError, "git-redirected"),
        ("fatal: unable to access 'x': server certificate verification failed", UpstreamError, "tls-untrusted"),
        ("fatal: write error: No space left on device", DiskFullError, "disk-full"),
        ("fatal: fsck error in packed object", IntegrityError, "git-corrupt"),
        ("fatal: remote error: upload-pack: not our ref " + OID, ObjectGoneError, "git-object-gone"),
        ("fatal: something else", ToolError, "git-failed"),
    ],
)  # fmt: skip
def test_what_git_says_becomes_an_error(stderr: str, kind: type[AirgapError], code: str) -> None:
    error = failure("fetch", 128, stderr, "https://x")
    assert type(error) is kind
    assert error.code == code
    assert error.what.startswith("git fetch https://x: ")


def test_what_git_says_is_shown_in_one_short_line() -> None:
    assert shown("a\rb\n\n\x1b[31mc\n") == "b; ?[31mc"
    assert len(shown("x" * 5000)) == 600


@pytest.mark.parametrize(
    "name",
    ["refs/heads/main", "refs/tags/v1.0", "refs/notes/commits", "refs/heads/a/b-c", "refs/heads/-x", "refs/heads/ä",
     "refs/heads/\U0001f469\u200d\U0001f4bb", "refs/heads/no\u00a0break", "refs/heads/\u202e", "refs/heads/a\u0301"],
)  # fmt: skip
def test_good_ref_names(name: str) -> None:
    assert ref_fault(name) == ""


@pytest.mark.parametrize(
    "name",
    [
        "main", "HEAD", "-x", "--upload-pack=x", "refs/heads", "refs/heads/", "refs//heads/a", "refs/heads/a b",
        "refs/heads/..", "refs/heads/a..b", "refs/heads/.a", "refs/heads/a.lock", "refs/heads/a.", "refs/heads/a~1",
        "refs/heads/a\n", "refs/heads/a\x00", "refs/heads/a:b", "refs/heads/@{1}", "refs/heads/*", "refs/heads/a\\b",
        "refs/heads/\x85", "refs/heads/\u2028", "refs/heads/\udce9", "refs/heads/" + "x" * 2000,
    ],
)  # fmt: skip
def test_bad_ref_names(name: str) -> None:
    assert ref_fault(name)
    with pytest.raises(UpstreamError, match="bad-ref"):
        check_refs({name: OID}, "there")


@pytest.mark.parametrize("oid", ["", "a" * 39, "A" * 40, "a" * 40 + "\n", "a" * 63, "--x"])
def test_bad_object_ids(oid: str) -> None:
    with pytest.raises(UpstreamError, match="bad-ref"):
        check_refs({"refs/heads/main": oid}, "there")


@pytest.mark.parametrize(
    "url",
    [
        "https://me:pw@host/x", "https://host/x?token=1", "https://host", "https://host/../x", "https://host/a//b",
        "https://host/x#y", "ssh://host/x", "https:///x", "https://host/a b",
    ],
)  # fmt: skip
def test_bad_urls(url: str) -> None:
    with pytest.raises(InputError) as caught:
        check_url(url, "here")
    assert "pw" not in str(caught.value)


def test_credentials_come_from_files(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret\n")
    file.chmod(0o600)
    basic = Credentials(username="me", password_file=file)
    assert authorization(basic) == "Basic " + base64.b64encode(b"me:s3cret").decode()
    assert authorization(Credentials(token_file=file)) == "Basic " + base64.b64encode(b"oauth2:s3cret").decode()
    assert authorization(None) == ""
    with pytest.raises(InputError):
        authorization(Credentials(username="me", password_file=tmp_path / "none"))


def test_a_run_and_what_it_starts_have_limits(git: Git) -> None:
    line = ("-c", "alias.limits=!ulimit -d && ulimit -t && ulimit -f && ulimit -c", "limits")
    said = git.run(*line, limits=Limits(memory=1 << 30, seconds=77, file=1 << 20)).stdout.split()
    assert said == [b"1048576", b"77", b"2048", b"0"]
    usual = git.run(*line).stdout.split()
    assert LEAST // 1024 <= int(usual[0]) <= MOST // 1024


def test_limits_grow_with_a_pack() -> None:
    small, large = Limits.of_pack(16 << 10), Limits.of_pack(1 << 30)
    assert (small.memory >> 20, small.seconds, small.file >> 20) == (1280, 120, 1024)
    assert (large.memory >> 20, large.seconds, large.file >> 20) == (5376, 5240, 3072)
    assert Limits.of_pack(1 << 40).memory == MOST


def test_a_bundle_that_needs_gigabytes_is_refused_before_it_has_them(git: Git, tmp_path: Path) -> None:
    data, _ = bombs.git_bundle(3 << 30)
    assert len(data) < 20_000
    (tmp_path / "x.bundle").write_bytes(data)
    repository = BareRepository(git, tmp_path / "x.git")
    repository.create("sha1")
    with pytest.raises(TooLargeError) as caught:
        unpack_bundle(repository, tmp_path / "x.bundle")
    assert caught.value.code == "too-large"
    assert "LFS" in caught.value.hint


@pytest.mark.parametrize("number", [signal.SIGXCPU, signal.SIGXFSZ])
def test_a_run_that_reached_a_limit_is_said_to_be_too_large(number: int) -> None:
    assert failure("index-pack", -number, "").code == "too-large"
    assert (
        failure("fetch", 128, f"error: index-pack died of signal {number}\nfatal: index-pack failed").code
        == "too-large"
    )
