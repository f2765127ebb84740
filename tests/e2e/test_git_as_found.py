"""Git repositories as they are found: old histories, odd names, submodules. From the command line, into a folder."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from tests.worlds.cli_site import airgap
from tests.worlds.git_sources import Work, git, refs
from tests.worlds.old_git import old_history, written
from tests.worlds.site import CUT, GAP, HEAD, Site

pytestmark = [pytest.mark.e2e, pytest.mark.part("git")]

OFFICER = (
    "  - {name: officer, role: security-officer, publicKeyFile: officer.pub, "
    "notBefore: 2026-01-01T00:00:00Z, notAfter: 2036-01-01T00:00:00Z}\n  require:"
)
INSIDE = "inside/git/demo.local/src.git"
EMOJI = "refs/heads/feature/\U0001f469\u200d\U0001f4bb"
NO_BREAK = "refs/heads/no\u00a0break"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    spec = "spec: {stateDir: state, directory: inside}\n"
    made.write("sovereign.yaml", f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\n{spec}")
    return made


def ask(site: Site, *patterns: str, more: str = "", url: str = "./src", name: str = "demo.local/src") -> None:
    """A request for one repository."""
    entry = f"{{url: {url}, name: {name}, refs: {json.dumps(patterns)}{more}}}"
    site.write("r.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  git:\n  - {entry}\n")


def carry(site: Site) -> str:
    """The whole way from the lock; gives what `pull` said."""
    said = airgap(site, "pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    assert said.code == 0, said.err
    site.run(*CUT, "media")
    done = site.run("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    assert {change["outcome"] for change in done["changes"]} == {"written"}
    site.run("audit", *GAP, "--receipt", "receipt.json")
    return said.err


def deliver(site: Site, name: str) -> str:
    """Another delivery of what upstream has now; gives what `pull` said."""
    site.run("lock", "r.request.yaml", "--update")
    said = airgap(site, "pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    assert said.code == 0, said.err
    site.run(*CUT, name)
    return said.err


def test_old_histories_odd_names_and_submodules(site: Site) -> None:
    work = Work(site.folder / "src")
    work.commit(".gitmodules", '[submodule "x"]\n\tpath = vendor/lib\n\turl = https://me:secret@git.example.org/lib\n')
    work.git("branch", "with-submodule")
    work.commit()
    old_history(work)
    for name in (EMOJI, NO_BREAK, "refs/notes/commits", "refs/pull/1/head", "refs/pull/2/head"):
        work.git("update-ref", name, "HEAD")
    latin = os.fsencode(work.path / ".git/refs/heads/caf") + b"\xe9"
    with open(latin, "w") as file:
        file.write(work.oid("main") + "\n")
    # Refused by its name, if it was asked for; and it is in nobody's way, if it was not.
    ask(site, "refs/heads/*")
    airgap(site, "lock", "r.request.yaml").refused(2, "bad-ref", r"refs/heads/caf\xe9", "not UTF-8", "begins with ^")
    ask(site, "HEAD")
    site.run("lock", "r.request.yaml")
    [item] = json.loads((site.folder / "r.lock.json").read_bytes())["items"]
    assert (item["head"], list(item["refs"])) == ("refs/heads/main", ["refs/heads/main"])
    ask(site, "refs/*", "^refs/heads/caf*")
    said = airgap(site, "lock", "r.request.yaml")
    assert "refs/pull/* (2)" in said.err
    said_by_pull = carry(site)
    assert "vendor/lib (https://git.example.org/lib)" in said_by_pull
    assert "secret" not in said_by_pull
    inside = refs(site.folder / "inside/git/demo.local/src.git")
    assert inside.keys() == {"refs/heads/main", "refs/heads/with-submodule", EMOJI, NO_BREAK, "refs/notes/commits"}
    assert inside["refs/heads/main"] == work.oid("main")
    # It is carried as it is, and shown in its letters and escapes: a name must not act on a terminal.
    assert "\u200d" not in airgap(site, "show", "r.lock.json").out


def test_a_fault_that_harms_readers_is_refused(site: Site) -> None:
    work = Work(site.folder / "src")
    work.commit()
    blob = bytes.fromhex(work.oid("HEAD:file"))
    below = written(work, "tree", b"100644 config\0" + blob)
    tree = written(work, "tree", b"40000 .git\0" + bytes.fromhex(below))
    work.git("update-ref", "refs/heads/main", git("commit-tree", tree, "-m", "trap", cwd=work.path).strip())
    ask(site, "refs/heads/*")
    site.run("lock", "r.request.yaml")
    said = airgap(site, "pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    said.refused(4, "git-corrupt", "hasDotgit")


@pytest.mark.part("git", "git-lfs")
def test_a_lost_lfs_object_is_left_out_with_a_waiver(site: Site) -> None:
    work = Work(site.folder / "src")
    first = work.lfs("lost.bin", b"old")
    work.lfs("lost.bin", b"new")
    lost, kept = (hashlib.sha256(content).hexdigest() for content in (b"old", b"new"))
    objects = work.path / ".git/lfs/objects"
    (objects / lost[:2] / lost[2:4] / lost).unlink()
    ask(site, "refs/heads/*", more=", lfs: true")
    site.run("lock", "r.request.yaml")
    pull = ("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    airgap(site, *pull).refused(5, "lfs-missing", f"{lost} (lost.bin, commit {first})", "lostLFS", "--partial")
    # It is left out on purpose only, and everybody is told.
    ask(site, "refs/heads/*", more=f", lfs: true, lostLFS: [{lost}]")
    airgap(site, "lock", "r.request.yaml").refused(2, "lfs-left-out", "--partial")
    [found] = site.run("lock", "r.request.yaml", "--partial")["findings"]
    assert (found["item"], found["code"], lost in found["detail"]) == ("demo.local/src", "lfs-left-out", True)
    site.run(*pull)
    airgap(site, *CUT, "media").refused(3, "finding-not-waived")
    spec = (
        f"{{digests: ['{found['digest']}'], checks: [finding], approver: A, reason: x, expires: 2035-01-01T00:00:00Z}}"
    )
    site.write("w.yaml", f"{HEAD}kind: Waiver\nmetadata: {{name: w}}\nspec: {spec}\n")
    site.run("keys", "generate", "officer")
    site.write("trust.yaml", (site.folder / "trust.yaml").read_text().replace("  require:", OFFICER))
    site.run("sign", "w.yaml", "--key", "officer.key", "--role", "security-officer")
    site.run(*CUT, "media", "--waiver", "w.yaml", "--trust", "trust.yaml")
    done = site.run("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    assert [one["code"] for one in done["findings"]] == ["lfs-left-out"]
    assert {change["name"] for change in done["changes"]} == {"refs/heads/main", "HEAD", f"lfs/{kept}"}
    site.run("audit", *GAP, "--receipt", "receipt.json", "--deep")
    site.run("extract", "store", "demo.local/src", "--to", "out")
    assert (site.folder / "out/lost.bin").read_bytes() == b"new"


def test_a_name_that_no_gitea_takes_is_said_when_locking(site: Site) -> None:
    work = Work(site.folder / "c++")
    work.commit()
    ask(site, "refs/heads/*", url="./c++", name="demo.local/c++")
    airgap(site, "lock", "r.request.yaml").refused(2, "bad-resource", "got 'c++'", "choose a 'name'")
    ask(site, "refs/heads/*", url="./c++", name="demo.local/.github")
    site.run("lock", "r.request.yaml")
    carry(site)
    assert refs(site.folder / "inside/git/demo.local/.github.git") == work.refs()


def test_a_rewritten_history_is_taken_with_an_approval_and_the_old_one_stays(site: Site) -> None:
    work = Work(site.folder / "src")
    work.commit()
    work.git("tag", "v1")
    ask(site, "refs/heads/*", "refs/tags/*")
    site.run("lock", "r.request.yaml")
    carry(site)
    old = work.oid("main")
    work.git("commit", "--quiet", "--amend", "--message", "another history")
    work.git("tag", "--force", "v1")
    new = work.oid("main")
    assert "rewrote its history since the last pull: refs/heads/main and 1 more" in deliver(site, "second")
    into = ("import", "second", *GAP, "--key", "sovereign.key", "--receipt", "second.json")
    refused = airgap(site, *into)
    assert (refused.code, "not a fast-forward" in refused.out, "--allow-rewrite" in refused.out) == (3, True, True)
    allowed = (*into, "--allow-rewrite", "demo.local/src")
    airgap(site, *into, "--allow-rewrite", "src").refused(2, "no-such-item", "did you mean 'demo.local/src'?")
    airgap(site, *allowed).refused(4, "rewrite-unapproved", "airgap sign DELIVERY --allow-rewrite demo.local/src")
    site.run("keys", "generate", "officer")
    site.write("trust.yaml", (site.folder / "trust.yaml").read_text().replace("  require:", OFFICER))
    sign = ("sign", "second", "--key", "officer.key", "--trust", "trust.yaml")
    site.run(*sign)  # an approval of the delivery alone does not say that this was seen
    assert airgap(site, *allowed).code == 4
    airgap(site, *sign, "--allow-rewrite", "demo.local/other").refused(2, "no-such-item")
    assert (
        "rewritten history of demo.local/src in delivery 2"
        in airgap(site, *sign, "--allow-rewrite", "demo.local/src").err
    )
    assert airgap(site, *into).code == 3, "an approval alone changes nothing"
    planned = site.run(*allowed, "--dry-run")["changes"]
    assert {one["outcome"] for one in planned} == {"write", "moved"}
    done = {one["name"]: one for one in site.run(*allowed)["changes"]}
    kept = {f"refs/airgap/rewritten/{old}/{name}": old for name in ("heads/main", "tags/v1")}
    assert refs(site.folder / INSIDE) == {"refs/heads/main": new, "refs/tags/v1": new, **kept}
    assert {one["outcome"] for one in done.values()} == {"written"}
    assert (done["refs/heads/main"]["previous"], done["HEAD"]["previous"]) == (old, old)
    site.run("audit", *GAP, "--receipt", "second.json")
    # The next delivery needs none of this, and the old history is still known to be ours.
    work.commit("third")
    assert "rewrote" not in deliver(site, "third")
    site.run("import", "third", *GAP, "--key", "sovereign.key", "--receipt", "third.json")
    site.run("audit", *GAP, "--receipt", "third.json")
