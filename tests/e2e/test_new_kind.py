"""A kind that exists only here goes the whole way: request, lock, pull, scan, bundle, verify, import, audit, and back.

It is added through the table of kinds and taken away again; nothing else in the program is touched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from airgap.base.errors import InputError, IntegrityError
from airgap.content.forms import Tree
from airgap.content.graph import EMPTY_BLOB, OCI_EMPTY, Descriptor, Source
from airgap.content.item import Item, LockedFile
from airgap.content.known_kinds import ItemFields
from airgap.content.lock import Lock
from airgap.kinds import table
from airgap.kinds.kind import Kind
from airgap.resources.fields import given, spec, spec_map
from airgap.resources.load import load_policy, load_request
from airgap.resources.shapes import Choice, Text, path
from airgap.store.gathered import Gathered, artifact, hash_local, open_file
from airgap.store.locate import Reach
from airgap.store.memory import Memory
from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.site import CHECKED, GAP, HEAD, TRUST, Site

pytestmark = pytest.mark.e2e

COLOURS = ("yellow", "green")
REQUEST = """\
kind: Request
metadata: {name: r}
spec:
  notes:
  - {note: hello.txt, name: hello, colour: COLOUR}
"""
POLICY = """\
kind: Policy
metadata: {name: bank}
spec:
  rules:
  - match: [hello]
    kinds: [note]
    digestOnly: {approver: officer, reason: a test, local: true, expires: 2036-01-01T00:00:00Z}
"""
SOVEREIGN = "kind: Sovereign\nmetadata: {name: bank}\nspec: {stateDir: state, directory: inside}\n"
STATION = """\
  - name: station
    role: station
    publicKeyFile: station.pub
    notBefore: 2026-01-01T00:00:00Z
    notAfter: 2036-01-01T00:00:00Z
"""


@spec_map("a map with the note")
class NoteRequest:
    """A small text in a file, and the colour of its paper."""

    note: Path = spec(path("a file's path"))
    name: str = spec(Text("the note's name", least=1))
    colour: str = spec(Choice(COLOURS), default="yellow")
    where: str = given("where", default="")


class NoteKind(Kind[NoteRequest]):
    """A note arrives as a file among others, `notes/NAME.txt`. Its colour is a field that no other kind has."""

    name = "note"
    section = "notes"
    section_title = "a list of notes"
    request = NoteRequest
    item_fields = ItemFields(frozenset({"root", "bytes", "files", "colour"}))
    path_prefixes = ("note:",)

    def origin(self, asked: NoteRequest) -> str:
        return f"note:{asked.note}"

    def said(self, asked: NoteRequest) -> Mapping[str, Any]:
        return {"colour": asked.colour}

    def pinned(self, item: Item) -> Mapping[str, Any]:
        return item.more

    def check_item(self, item: Item, where: str) -> None:
        if item.more["colour"] not in COLOURS:
            raise InputError("bad-lock", f"{where}: {item.more['colour']!r} is no colour", "lock it again")

    def resolve(self, asked: NoteRequest, reach: Reach) -> Item:
        digest, size = hash_local(asked.note)
        file = LockedFile(f"notes/{asked.name}.txt", digest, size)
        root = _graph(file)[1]
        total = size + root.size + len(EMPTY_BLOB)
        return Item(asked.name, "note", self.origin(asked), root, total, files=(file,), more={"colour": asked.colour})

    def source(self, item: Item, reach: Reach) -> Source:
        (file,) = item.files
        opener = open_file(reach.path(item.source.removeprefix("note:")))
        return Gathered(_graph(file)[0], {file.digest: opener})

    def check_content(self, item: Item, root: Descriptor, source: Source) -> list[str]:
        return [] if _graph(item.files[0])[1].digest == root.digest else ["another note"]

    def form(self, item: Item, root: Descriptor, source: Source) -> Tree:
        return Tree(item.name, "files", "", {file.path: _layer(file) for file in item.files}, root, source)

    def expect(self, item: Item) -> Tree:
        assert item.root is not None
        return self.form(item, item.root, Memory())

    def shown(self, item: Item) -> str:
        return f"on {item.more['colour']} paper"


def _layer(file: LockedFile) -> Descriptor:
    return Descriptor("text/plain", file.digest, file.size)


def _graph(file: LockedFile) -> tuple[Memory, Descriptor]:
    return artifact("application/vnd.example.note.v1", (OCI_EMPTY, EMPTY_BLOB), [_layer(file)])


@pytest.fixture
def note() -> Iterator[Kind[Any]]:
    """The kind, as long as a test needs it."""
    kind = NoteKind()
    table.register(kind)
    yield kind
    table.unregister(kind)


def write(site: Site, colour: str = "green") -> None:
    site.write("r.request.yaml", HEAD + REQUEST.replace("COLOUR", colour))


@pytest.fixture
def site(tmp_path: Path, note: Kind[Any], monkeypatch: pytest.MonkeyPatch) -> Site:
    # A process of its own would not know the kind.
    monkeypatch.delenv("AIRGAP_TEST_PROCESSES", raising=False)
    made = Site(tmp_path)
    made.run("keys", "generate", "station")
    made.write("hello.txt", "Hello inside.\n")
    made.write("trust.yaml", TRUST.replace("  require: [", f"{STATION}  require: [verdict, "))
    made.write("policy.yaml", HEAD + POLICY)
    made.write("sovereign.yaml", HEAD + SOVEREIGN)
    write(made)
    made.run("lock", "r.request.yaml")
    return made


def text(site: Site, *line: str) -> str:
    """What a command says to people."""
    said = run_airgap(line, site.folder, PASSWORD)
    assert said.code == 0, said
    return said.out


def test_the_whole_way(site: Site) -> None:
    (pulled,) = site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")["items"]
    assert (pulled["kind"], pulled["outcome"]) == ("note", "pass")
    scan = ("scan", "r.lock.json", "--store", "store", "--policy", "policy.yaml", "--key", "station.key")
    (scanned,) = site.run(*scan)["locks"]
    assert scanned["outcome"] == "pass"
    site.run("bundle", "r.lock.json", "--store", "store", "--key", "exporter.key", "--for", "bank", "--to", "media")
    site.run("verify", "media", "--trust", "trust.yaml")
    done = site.run("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    assert [(row["name"], row["outcome"]) for row in done["changes"]] == [("notes/hello.txt", "written")]
    inside = list((site.folder / "inside").rglob("notes/hello.txt"))
    assert [found.read_text() for found in inside] == ["Hello inside.\n"]
    by_receipt = ("audit", *GAP, "--receipt", "receipt.json")
    for audit in (by_receipt, ("audit", "--sovereign", "sovereign.yaml", "--lock", "r.lock.json")):
        audited = site.run(*audit)
        assert (audited["outcome"], audited["checked"]) == ("pass", 1)
    for thing in ("r.lock.json", "media"):
        (row,) = site.run("ls", thing)["items"]
        assert (row["kind"], row["name"]) == ("note", "hello")
    assert "note   hello  on green paper" in text(site, "show", "r.lock.json")
    site.run("extract", "media", *CHECKED, "hello", "--to", "out")
    assert b"Hello inside.\n" in [
        path.read_bytes() for path in (site.folder / "out" / "blobs").rglob("*") if path.is_file()
    ]


def test_a_policy_without_a_rule_for_it_keeps_it_out(site: Site) -> None:
    site.write("policy.yaml", HEAD + POLICY.replace("[note]", "[file]"))
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    scan = ("scan", "r.lock.json", "--store", "store", "--policy", "policy.yaml", "--key", "station.key")
    site.run(*scan, expect=3)


def test_its_own_field_is_compared_and_checked(site: Site) -> None:
    before = (site.folder / "r.lock.json").read_bytes()
    site.run("lock", "r.request.yaml")
    assert (site.folder / "r.lock.json").read_bytes() == before
    write(site, "yellow")
    (row,) = site.run("lock", "r.request.yaml")["changes"]
    assert row["detail"] == "colour: green → yellow"
    assert json.loads((site.folder / "r.lock.json").read_bytes())["items"][0]["colour"] == "yellow"
    with pytest.raises(InputError, match="'blue' is no colour"):
        Lock.decode(before.replace(b"green", b"blue"), "lock")
    with pytest.raises(InputError, match="colour is missing"):
        Lock.decode(before.replace(b'"colour":"green",', b""), "lock")
    with pytest.raises(InputError, match="unknown field 'paper'"):
        Lock.decode(before.replace(b'"files"', b'"paper":1,"files"'), "lock")


def test_its_request_is_checked_like_any_other(site: Site) -> None:
    write(site, "blue")
    with pytest.raises(InputError, match=r"notes\[0\].colour: got 'blue', expected 'yellow' or 'green'"):
        load_request(site.folder / "r.request.yaml")


def test_without_it_nobody_knows_it(tmp_path: Path) -> None:
    kind = NoteKind()
    table.register(kind)
    data = HEAD.encode() + REQUEST.replace("COLOUR", "green").encode()
    asked, _ = load_request(data, base_dir=tmp_path)
    (tmp_path / "hello.txt").write_text("Hello.\n")
    item = kind.resolve(asked.of("notes")[0], None)  # type: ignore[arg-type]  # it asks nobody
    lock = Lock.of("r", [item]).encode()
    assert Lock.decode(lock, "lock").items == (item,)
    table.unregister(kind)
    with pytest.raises(InputError, match="unknown kind") as caught:
        Lock.decode(lock, "lock")
    assert caught.value.code == "bad-lock"
    with pytest.raises(IntegrityError, match="'note'"):
        table.kind_of(item)
    with pytest.raises(InputError, match="notes: unknown field"):
        load_request(data, base_dir=tmp_path)
    with pytest.raises(InputError, match="got 'note', expected 'image', 'chart', 'git', 'model' or 'file'"):
        load_policy((HEAD + POLICY).encode(), base_dir=tmp_path)
