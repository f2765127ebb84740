"""Attack stories about what strangers publish or hand in: small files that crash a parser, or keep it busy for ever."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from tests.golden.site import FOLDER
from tests.parts.images import Layout
from tests.worlds import chart_bombs as bombs
from tests.worlds.commands import run_airgap, run_process
from tests.worlds.git_sources import Work
from tests.worlds.site import CUT, GAP, HEAD, Site

pytestmark = pytest.mark.e2e
LOCK = (FOLDER / "locks/without-asked.lock.json").read_text()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"name":"', '"name":"\\ud800'),
        ('"phase":"registry"', '"phase":"registry","platforms":[1]'),
        ('"size":', '"size":1e999,"more":'),
        ('"size":', '"size":1152921504606846976,"more":'),
        ('"lfs":', '"lfs":"no","more":'),
        ('"kind":"Lock"', '"kind":["Lock"]'),
    ],
    ids=["surrogate", "platforms", "1e999", "2^60", "flag", "kind"],
)
def test_a_lock_with_values_that_nobody_writes(tmp_path: Path, old: str, new: str) -> None:
    lock = tmp_path / "r.lock.json"
    assert old in LOCK
    lock.write_text(LOCK.replace(old, new, 1))
    for line in (("pull", lock.name, "--store", "store"), ("show", lock.name), ("diff", lock.name, lock.name)):
        said = run_airgap((*line, "--json"), tmp_path)
        assert said.code == 2, said
        assert json.loads(said.out)["code"] in ("bad-lock", "unknown-thing")


def _pulled(folder: Path, charts: dict[str, bytes]) -> tuple[int, dict[str, str]]:
    """Locks and pulls charts in a process with little memory and time; the exit code, and what is said of each."""
    layout = Layout(folder / "made")
    for tag, packed in charts.items():
        bombs.add_chart(layout, tag, packed)
    lines = "".join(f"  - {{ref: 'oci:made:{tag}', name: 'demo.local/{tag}/hello:0.1.0'}}\n" for tag in charts)
    text = f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  charts:\n{lines}"
    (folder / "r.request.yaml").write_text(text)
    assert run_airgap(("lock", "r.request.yaml"), folder).code == 0
    # Address space, of which the C library reserves up to 64 MiB for each thread.
    limits = ("prlimit", f"--as={2 << 30}", "--cpu=60", "--")
    said = run_process(("pull", "r.lock.json", "--store", "store", "--json"), folder, before=limits)
    assert "Traceback" not in said.err, said.err
    return said.code, {one["name"].split("/")[1]: "; ".join(one["findings"]) for one in json.loads(said.out)["items"]}


def test_charts_that_crash_a_parser_or_never_end(tmp_path: Path) -> None:
    made = {name: (packed, answer) for name, packed, answer in bombs.bombs()}
    code, found = _pulled(tmp_path, {name: packed for name, (packed, _) in made.items()})
    assert code == 3
    assert {name: said for name, said in found.items() if made[name][1] not in said} == {}
    assert all(len(said) < 600 for said in found.values())


def test_a_registry_that_answers_with_a_chunk_of_negative_length(tmp_path: Path) -> None:
    def answer(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                peer, _ = server.accept()
                with peer:
                    peer.recv(1 << 16)
                    peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nxx\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        host = f"127.0.0.1:{server.getsockname()[1]}"
        hosts = f"spec:\n  hosts:\n    '{host}': {{plainHTTP: true}}\n"
        (tmp_path / "u.yaml").write_text(f"{HEAD}kind: Upstreams\nmetadata: {{name: u}}\n{hosts}")
        images = f"spec:\n  images: [{{ref: '{host}/a/b:v1'}}]\n"
        (tmp_path / "r.request.yaml").write_text(f"{HEAD}kind: Request\nmetadata: {{name: r}}\n{images}")
        said = run_airgap(("lock", "r.request.yaml", "--upstreams", "u.yaml"), tmp_path)
    said.refused(5, "connection-lost")


def test_a_chart_as_publishers_make_it(tmp_path: Path) -> None:
    assert _pulled(tmp_path, {"good": bombs.helm_like()}) == (0, {"good": ""})


def test_a_repository_whose_name_is_too_long_for_its_place_stops_before_anything_is_accepted(tmp_path: Path) -> None:
    site = Site(tmp_path)
    Work(tmp_path / "work").commit()
    entry = "spec:\n  git:\n  - {url: work, name: group/app}\n"
    site.write("r.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\n{entry}")
    mapped = f"{{group: {'n' * 253}}}"
    spec = f"spec:\n  stateDir: state\n  git: {{url: inside, organizations: {mapped}}}\n"
    site.write("sovereign.yaml", f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\n{spec}")
    site.run("lock", "r.request.yaml")
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    site.run(*CUT, "media")
    said = site.run("import", "media", *GAP, "--key", "sovereign.key", expect=2)
    assert said["code"] == "bad-place"
    assert not (tmp_path / "state/accepted.json").exists()
