"""What people get wrong at the command line: each mistake has its exit code, a sentence and a next step, no traceback.

One small site, made once, is what all tests look at; what writes does so into a folder of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.content.lock import Lock
from tests.parts import images, need, tls
from tests.parts.scripted import Scripted
from tests.worlds.cli_site import AUDIT, NAME, airgap, make_site
from tests.worlds.root_site import OFFICER
from tests.worlds.site import CUT, GAP, HEAD, TRUST, Site

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"))


@pytest.fixture
def folder(site: Site, tmp_path: Path) -> Path:
    """A folder of the test's own, with a copy of the delivery."""
    shutil.copytree(site.folder / "media", tmp_path / "media")
    return tmp_path


# what may not be read


def unprivileged() -> tuple[str, ...]:
    """What starts a program as somebody for whom modes count."""
    if os.geteuid() != 0:
        return ()
    drop = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
    if shutil.which("setpriv") is None or subprocess.run([*drop, "true"], check=False).returncode:
        need.missing("setpriv that may drop root's rights", "apt install util-linux, or run as another user")
    return drop


@contextmanager
def unreadable(path: Path) -> Iterator[Path]:
    mode = path.stat().st_mode
    path.chmod(0)
    yield path
    path.chmod(mode)


@pytest.mark.parametrize(
    "line",
    [
        ("verify", "{}", "--trust", "trust.yaml"), ("ls", "{}"), ("show", "{}"), ("import", "{}", *GAP, "--dry-run"),
        ("sign", "{}", "--key", "exporter.key"), ("extract", "{}", NAME, "--to", "x"),
        ("extract", "store", NAME, "--to", "{}/x"), ("extract", "store", NAME, "--to", "{}/x.tar"),
        ("lock", "r.request.yaml", "-o", "{}/x"), ("demo", "--dir", "{}/x"), ("demo", "--dir", "{}"),
        ("keys", "generate", "{}/x"), (*CUT, "{}/x"), ("pull", "r.lock.json", "--store", "{}"),
        (*AUDIT, "--key", "sovereign.key", "--report", "{}/x"),
    ],
)  # fmt: skip
def test_a_folder_that_may_not_be_read(site: Site, folder: Path, line: tuple[str, ...]) -> None:
    drop = unprivileged()
    with unreadable(folder / "media") as media:
        said = airgap(site, *(word.replace("{}", str(media)) for word in line), before=drop)
    said.refused(5, "no-permission", str(media))


@pytest.mark.parametrize(
    "line", [("show", "{}"), ("ls", "{}"), ("sign", "{}", "--key", "exporter.key"), ("diff", "{}", "r.lock.json")]
)
def test_a_lock_that_may_not_be_read(site: Site, folder: Path, line: tuple[str, ...]) -> None:
    drop = unprivileged()
    shutil.copy(site.folder / "r.lock.json", folder / "locked")
    with unreadable(folder / "locked") as lock:
        said = airgap(site, *(word.replace("{}", str(lock)) for word in line), before=drop)
    assert said.code == 2
    assert "Permission denied" in said.err
    assert "check the owner and mode" in said.err
    assert "airgap lock" not in said.err


def test_receipts_that_may_not_be_read(site: Site) -> None:
    drop = unprivileged()
    with unreadable(site.folder / "state/receipts"):
        said = airgap(site, *AUDIT, before=drop)
    assert "Traceback" not in said.err
    assert said.code in (0, 5)  # they only spare work


# what is no place, and what is no such file

WRONG_PLACES = [
    (("lock", "r.request.yaml", "-o", "nodir/x"), "no-folder", "-o nodir/x"),
    (("lock", "r.request.yaml", "-o", "store"), "bad-path", "-o store"),
    (("keys", "generate", "nodir/x"), "no-folder", "nodir/x"),
    (("pull", "r.lock.json", "--store", "r.lock.json"), "bad-path", "--store r.lock.json"),
    ((*CUT, "r.lock.json"), "bad-path", "--to r.lock.json"),
    ((*CUT, "r.lock.json/x"), "bad-path", "--to r.lock.json/x"),
    (("extract", "store", NAME, "--to", "/dev/null"), "bad-path", "--to /dev/null"),
    (("demo", "--dir", "r.lock.json"), "bad-path", "--dir r.lock.json"),
    (("sign", "media", "--key", "exporter.key", "--out", "r.lock.json"), "bad-path", "--out r.lock.json"),
    (("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "."), "bad-path", "--receipt ."),
    (("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "nodir/r"), "no-folder", "--receipt nodir/r"),
    (("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "/dev/null"), "bad-path", "--receipt"),
    ((*AUDIT, "--key", "sovereign.key", "--report", "nodir/f"), "no-folder", "--report nodir/f"),
]


@pytest.mark.parametrize(("line", "code", "named"), WRONG_PLACES)
def test_a_place_that_is_none_is_the_users_to_mend(site: Site, line: tuple[str, ...], code: str, named: str) -> None:
    log = (site.folder / "state/log.jsonl").read_bytes()
    airgap(site, *line).refused(2, code, named)
    assert (site.folder / "state/log.jsonl").read_bytes() == log  # nothing was done


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (("diff", "missing.json", "r.lock.json"), "no-lock", "airgap lock REQUEST"),
        (("diff", "store", "r.lock.json"), "no-lock", "name the file itself"),
        (
            ("diff", "trust.yaml", "r.lock.json"),
            "bad-lock",
            ": trust.yaml is a Trust resource, not a lock [bad-lock]",
        ),
        (("diff", "media/AIRGAP.json", "r.lock.json"), "bad-lock", "is the index of a delivery, not a lock"),
        (("verify", "media", "--trust", "exporter.key"), "bad-resource", "this is a private key, expected a Trust"),
        (("verify", "r.lock.json", "--trust", "trust.yaml"), "no-delivery", "is a lock, not the folder of a delivery"),
        (("sign", "receipt.json", "--key", "exporter.key"), "unknown-thing", "is a signed statement, not a lock"),
        (("audit", *GAP[:2], "--lock", "/dev/zero"), "no-lock", "not a file"),
        (("show", "/dev/zero"), "unknown-thing", "not a file"),
        (("show", "{huge}"), "unknown-thing", "more than"),
        (("ls", "{huge}"), "unknown-thing", "more than"),
        (("sign", "{huge}", "--key", "exporter.key"), "resource-file", "more than"),
        (("keys", "show", "{huge}"), "bad-public-key", "more than"),
        (("keys", "show", "/tmp"), "bad-public-key", "Is a directory"),
        (("keys", "show", "trust.yaml"), "bad-public-key", "PREFIX.pub"),
        (("keys", "show", "{pipe}"), "bad-public-key", "not a file"),
        (("keys", "check"), "no-key", "neither a key nor a Trust resource was given"),
        (("show", "trust.yaml"), "unknown-thing", "airgap sign trust.yaml --dry-run"),
        (("show", "media/AIRGAP.json"), "unknown-thing", "name its folder, media"),
        (("ls", "receipt.json"), "unknown-thing", "airgap show receipt.json"),
        (("audit", *GAP, "--receipt", "trust.yaml"), "no-receipt", "--receipt"),
        (("audit", *GAP, "--receipt", "/dev/zero"), "no-receipt", "not a file"),
        ((*CUT, "out", "--approval", "/dev/zero"), "bad-approval", "not a file"),
        (("verify", "media", "--trust", "missing"), "resource-file", "check the path"),
        (("import", "media", *GAP[:2], "--trust", "{pipe}"), "resource-file", "not a file"),
        ((*CUT, "out", "--volume-size", "1"), "volume-size", "larger --volume-size"),
        (("lock", "r.request.yaml", "--jobs", "²"), "usage", "expected a number"),
        (("ls", "nothing"), "usage", "check the path"),
        (("lokc",), "usage", "did you mean 'lock'?"),
        (("lock", "r.request.yaml", "--upstraems", "x"), "usage", "did you mean '--upstreams'?"),
        (("scan", "r.lock.json", "--polcy", "p"), "usage", "unknown option --polcy"),
        (("scan", "r.lock.json", "--polcy=p"), "usage", "did you mean '--policy'?"),
        (("import", "media", "--soverign", "s", "--trust", "t"), "usage", "did you mean '--sovereign'?"),
        (("scan", "r.lock.json", "-j4"), "usage", "scan: --policy is required"),
        (("keys", "--json"), "usage", "keys: ACTION is required"),
        (("lock", "r.request.yaml", "more"), "usage", "unexpected argument: more"),
        (("help", "lokc"), "usage", "did you mean 'lock'?"),
        (("help", "keys", "rotaet"), "usage", "did you mean 'rotate'?"),
        (("help", "lock", "more"), "usage", "`airgap lock` has no subcommands"),
        (("--json", "ls", "store"), "usage", "write flags after the command"),
        (("keys", "--json", "show", "exporter.pub"), "usage", "write flags after the command"),
        ((*CUT, "out", "--expires-in", "²"), "usage", "expected a number of days"),
        ((*CUT[:-2], "", "--to", "out"), "usage", "--for: got ''"),
        ((*CUT[:-2], "x\ny", "--to", "out"), "usage", "expected a name of"),
        ((*CUT[:-2], "bank\n", "--to", "out"), "usage", "expected a name of"),
        ((*CUT, "out", "--stream", "\x1b[2J"), "usage", "expected a name of"),
    ],
)
def test_a_mistake_is_said_with_the_next_step(
    site: Site, folder: Path, line: tuple[str, ...], code: str, words: str
) -> None:
    with (folder / "huge").open("wb") as file:
        file.truncate(1 << 40)  # takes no room, and nobody reads it
    os.mkfifo(folder / "pipe")
    places = {"{huge}": str(folder / "huge"), "{pipe}": str(folder / "pipe")}
    said = airgap(site, *(places.get(word, word) for word in line)).refused(2, code, words)
    assert said.err.count("did you mean") == (words.count("did you mean") or words.count("unknown option"))
    assert not (site.folder / "out").exists()


def test_a_receipt_that_does_not_verify_is_no_mistake_of_the_user(site: Site, folder: Path) -> None:
    bundle = json.loads((site.folder / "receipt.json").read_bytes())
    bundle["dsseEnvelope"]["payload"] += "AAAA"
    (folder / "bad.json").write_text(json.dumps(bundle))
    assert airgap(site, *AUDIT[:-1], str(folder / "bad.json")).code == 4


def test_all_that_failed_is_told_each_with_its_code_and_next_step(site: Site, folder: Path) -> None:
    file = f"{{file: none, path: a/b, sha256: {'a' * 64}}}"
    spec = f"spec:\n  images:\n  - {{ref: 'oci:none:v1', name: demo.local/a:1}}\n  files:\n  - {file}\n"
    (folder / "two.yaml").write_text(f"{HEAD}kind: Request\nmetadata: {{name: r}}\n{spec}")
    said = airgap(site, "lock", str(folder / "two.yaml"))
    told = [line for line in said.err.splitlines() if line.startswith("airgap: ")]
    assert len(told) == 2, said.err
    assert said.err.count("  next: ") == 2
    assert all(line.endswith("]") for line in told)


def test_a_pull_says_that_it_does_not_read_the_upstreams_beside_the_request(site: Site, folder: Path) -> None:
    server = Scripted(certificate=tls.issue(folder, tls.make_authority(folder)))
    try:
        host = server.host
        [item] = Lock.decode((site.folder / "r.lock.json").read_bytes(), "r").items
        asked = Lock.of("r", [replace(item, name=f"{host}/a/b:1", source=f"{host}/a/b:1")])
        (folder / "r.lock.json").write_bytes(asked.encode())
        line = ("pull", str(folder / "r.lock.json"), "--store", str(folder / "store"))
        (folder / "up.yaml").write_text(f"{HEAD}kind: Upstreams\nmetadata: {{name: u}}\nspec: {{hosts: {{}}}}\n")
        without, given = airgap(site, *line), airgap(site, *line, "--upstreams", str(folder / "up.yaml"))
    finally:
        server.stop()
    assert (without.code, given.code) == (5, 5)
    assert "set caFile" in given.err
    assert "--upstreams" in without.err
    assert "--upstreams" not in given.err


def test_an_error_without_advice_of_its_own_says_who_has_to_act(site: Site, folder: Path) -> None:
    (folder / "no.tar").write_bytes(b"no archive")
    made = images.Layout(folder / "made")
    made.tag("v1", made.blob(b"{}", images.MANIFEST))
    for ref, code, name, words in (
        ("oci-archive:no.tar", 2, "bad-archive", "correct what the message names"),
        ("oci:made:v1", 4, "bad-manifest", "do not use it"),
    ):
        spec = f"spec:\n  images:\n  - {{ref: '{ref}', name: {NAME}}}\n"
        (folder / "x.request.yaml").write_text(f"{HEAD}kind: Request\nmetadata: {{name: x}}\n{spec}")
        said = airgap(site, "lock", str(folder / "x.request.yaml"), "--json").refused(code, name, words)
        assert words in json.loads(said.out)["hint"]


def test_what_is_no_lock_is_not_called_a_newer_one(site: Site, folder: Path) -> None:
    newer = folder / "newer.json"
    newer.write_text('{"apiVersion": "airgap.openova.io/v9", "kind": "Lock", "metadata": {"name": "x"}, "items": []}')
    store = ("--store", str(folder / "store"))
    airgap(site, "pull", "receipt.json", *store).refused(
        2, "bad-lock", "is a signed statement, not a lock", "airgap lock"
    )
    airgap(site, "pull", str(newer), *store).refused(2, "bad-lock", "v9", "newer airgap")


# signatures


def test_an_approval_from_another_folder_is_found_by_import(site: Site, folder: Path) -> None:
    site.run("keys", "generate", str(folder / "officer"))
    rules = TRUST.replace("  require: [pull, delivery]\n", OFFICER)
    for name in ("exporter", "sovereign"):
        rules = rules.replace(f"{name}.pub", str(site.folder / f"{name}.pub"))
    (folder / "strict.yaml").write_text(rules)
    media, strict = str(folder / "media"), (*GAP[:2], "--trust", str(folder / "strict.yaml"), "--dry-run")
    airgap(site, "import", media, *strict).refused(4, "statement-missing", "an approval", "airgap sign")
    out = str(folder / "approvals")
    signed = airgap(site, "sign", media, "--key", str(folder / "officer.key"), "--out", out)
    assert (folder / "approvals/signatures/security-officer.sigstore.json").is_file()
    assert f"next: airgap import {media} {out}" in signed.out
    assert airgap(site, "import", media, out, *strict).code == 0


def test_what_a_desktop_leaves_beside_the_signatures_is_passed_over(site: Site, folder: Path) -> None:
    signatures = folder / "media/signatures"
    for name in (".DS_Store", "._exporter.sigstore.json", "notes.txt"):
        (signatures / name).write_bytes(b"\x00\x05")
    (signatures / "folder.sigstore.json").mkdir()
    (signatures / "link.sigstore.json").symlink_to("exporter.sigstore.json")
    os.mkfifo(signatures / "pipe.sigstore.json")
    verified = airgap(site, "verify", str(folder / "media"), "--trust", "trust.yaml", "--json")
    assert verified.code == 0
    odd = [file["name"] for file in json.loads(verified.out)["files"] if file["state"] == "unlisted"]
    assert len(odd) == 6
    assert airgap(site, "import", str(folder / "media"), *GAP, "--dry-run").code == 0
