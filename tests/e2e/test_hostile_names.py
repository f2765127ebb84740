"""Names that strangers chose, in everything that people read: they forge no line, and move no cursor."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from airgap.base.text import one_line
from airgap.statements.log import StationLog
from tests.worlds.commands import Said, run_airgap
from tests.worlds.row import Row

pytestmark = pytest.mark.e2e
FORGED = "vol-0002-of-0002.tar  good"
NAMES = (
    f"a\n{FORGED}\nb",
    "\x1b[2K\x1b[1Aall good",
    "\u202egood.rat",
    "x\r\u2028\u0085y\x9b2J",
    "\u200b",
    "q\u3164\ufe0f",
    "z\udcff",
)


@pytest.fixture(scope="module")
def row(tmp_path_factory: pytest.TempPathFactory) -> Row:
    """A site with a delivery. Its stories only add files."""
    row = Row(tmp_path_factory.mktemp("hostile"))
    row.layout.tag("v1", row.layout.image({"a": b"a"}))
    row.deliver(1, {"demo.local/app:v1": "v1"})
    return row


def run(row: Row, *line: str, code: int) -> Said:
    """A command. All that it says is printable, and no line is the forged one."""
    said = run_airgap((*line, "--log-file", "messages.log"), row.folder)
    assert said.code == code, said
    log = row.folder / "messages.log"
    for text in (said.out, said.err, log.read_text() if log.exists() else ""):
        assert all(one.isprintable() for one in text.split("\n")), text
        assert [one for one in text.split("\n") if one.startswith(("vol-0002", "airgap: ok"))] == []
    return said


def shows(said: Said, *names: str) -> None:
    for name in names:
        assert one_line(name) in said.out + said.err, name


def test_files_that_do_not_belong_to_a_delivery(row: Row) -> None:
    for name in NAMES:
        (row.folder / "media1" / name).write_text("x")
    try:
        shows(run(row, "verify", "media1", "--trust", "trust.yaml", code=0), *NAMES)
        said = run_airgap(("verify", "media1", "--trust", "trust.yaml", "--json"), row.folder)
        assert len([one for one in json.loads(said.out)["files"] if one["state"] == "unlisted"]) == len(NAMES)
        assert said.out.replace("\n", "").isprintable()
    finally:
        for name in NAMES:
            (row.folder / "media1" / name).unlink()


@pytest.mark.parametrize("name", NAMES[:-1])
def test_what_nobody_signed_says_of_itself(row: Row, name: str) -> None:
    folder = row.folder / "unsigned"
    folder.mkdir(exist_ok=True)
    index = json.loads((row.folder / "media1/AIRGAP.json").read_bytes())
    for edit in ("stream", "sovereign", "item"):
        made = json.loads(json.dumps(index))
        if edit == "item":
            made["contents"]["roots"][0]["item"] = name
        else:
            made["journey"][edit] = name
        (folder / "AIRGAP.json").write_text(json.dumps(made, indent=2))
        for line in (
            ("show", "unsigned"),
            ("ls", "unsigned"),
            ("extract", "unsigned", name, "--unverified", "--to", "x"),
        ):
            said = run_airgap((*line,), row.folder)
            run(row, *line, code=said.code)


def test_names_in_a_store_and_a_lock(row: Row) -> None:
    store = row.folder / "other"
    (store / "blobs/sha256").mkdir(parents=True)
    (store / "oci-layout").write_bytes((row.folder / "store/oci-layout").read_bytes())
    index = json.loads((row.folder / "store/index.json").read_bytes())
    entry = index["manifests"][0]
    index["manifests"] = [
        {**entry, "annotations": {"org.opencontainers.image.ref.name": name}} for name in NAMES if name.isascii()
    ]
    (store / "index.json").write_text(json.dumps(index))
    for command in ("ls", "show"):
        shows(run(row, command, "other", code=0), *(name for name in NAMES if name.isascii()))
    lock = (row.folder / "r1.lock.json").read_text()
    for name in NAMES[:-1]:
        (row.folder / "evil.lock.json").write_text(lock.replace('"demo.local/app:v1"', json.dumps(name)))
        for line in (("show", "evil.lock.json"), ("diff", "r1.lock.json", "evil.lock.json")):
            run(row, *line, code=run_airgap(line, row.folder).code)


def test_names_on_the_command_line_and_in_a_log(row: Row) -> None:
    for name in NAMES:
        shows(run(row, "show", name, code=2), name)
        run(row, "extract", "store", name, "--to", "x", code=2)
        log = StationLog(row.folder / "log.jsonl")
        if name != NAMES[-1]:
            log.append(time=datetime.now(UTC), actor=name, action=name)
    shows(run(row, "log", "show", "--log", "log.jsonl", code=0), *NAMES[:-1])
