"""Who reads what the command line says, and whether anybody does, changes nothing of what it does and finds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.parts import images
from tests.worlds.cli_site import AUDIT, DRIFT, NAME, airgap, make_site
from tests.worlds.site import CUT, GAP, Site

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"))


@contextmanager
def gone() -> Iterator[int]:
    """A pipe whose reader went away."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_drift_is_found_whoever_reads(site: Site, more: tuple[str, ...]) -> None:
    seen = airgap(site, *DRIFT, *more)
    assert seen.code == 3
    with gone() as pipe:
        unseen = airgap(site, *DRIFT, *more, stdout=pipe)
    assert (unseen.code, unseen.err) == (3, seen.err)


@pytest.mark.parametrize(
    ("line", "code"), [(AUDIT, 0), (("--version",), 0), (("--help",), 0), (("ls", "none", "--json"), 2)]
)
def test_a_reader_that_went_away_is_no_failure(site: Site, line: tuple[str, ...], code: int) -> None:
    with gone() as pipe:
        said = airgap(site, *line, stdout=pipe)
    assert said.code == code
    assert "Traceback" not in said.err
    assert "[output]" not in said.err


@pytest.mark.parametrize(
    ("line", "code"),
    [(("--version",), 5), (("--help",), 5), (("ls", "store"), 5), (DRIFT, 3), (("ls", "none", "--json"), 2)],
)
@pytest.mark.parametrize("closed", [True, False])
def test_a_result_that_can_be_written_nowhere_is_a_failure(
    site: Site, line: tuple[str, ...], code: int, closed: bool
) -> None:
    redirect = ">&-" if closed else ">/dev/full"
    said = airgap(site, *line, before=("sh", "-c", f'exec "$@" {redirect}', "sh"))
    assert said.code == code
    assert "Traceback" not in said.err
    assert "Exception ignored" not in said.err
    if code != 2:
        assert "[output]" in said.err


def test_messages_that_can_be_written_nowhere_stop_nothing(site: Site) -> None:
    for redirect in ("2>&-", "2>/dev/full"):
        said = airgap(site, *AUDIT, before=("sh", "-c", f'exec "$@" {redirect}', "sh"))
        assert said.code == 0


def test_a_log_file_that_takes_nothing_is_said_before_the_work(site: Site) -> None:
    airgap(site, *AUDIT, "--log-file", "/dev/full").refused(2, "log-file", "No space left")


def test_a_closed_stdout_is_not_mistaken_for_a_file_of_ours(site: Site, tmp_path: Path) -> None:
    line = ("lock", "r.request.yaml", "-o", str(tmp_path / "new.json"))
    said = airgap(site, *line, before=("sh", "-c", 'exec "$@" >&-', "sh"))
    assert said.code == 5
    assert airgap(site, "ls", str(tmp_path / "new.json")).out == airgap(site, "ls", "r.lock.json").out


# audit


@pytest.mark.parametrize("more", [("--key-password-file", "wrong"), ("--key", "missing.key")])
def test_an_audit_opens_its_key_before_hours_of_reading(site: Site, tmp_path: Path, more: tuple[str, ...]) -> None:
    report = tmp_path / "report.json"
    said = airgap(site, *DRIFT, "--key", "sovereign.key", "--report", str(report), *more)
    assert said.code == 2
    assert said.out == ""
    assert not report.exists()


def test_an_audit_without_a_report_needs_no_key(site: Site) -> None:
    said = airgap(site, *AUDIT, AIRGAP_KEY="sovereign.key", AIRGAP_KEY_PASSWORD_FILE="")
    assert (said.code, said.err) == (0, "")


def test_the_table_of_an_audit_names_item_and_destination(site: Site) -> None:
    lines = airgap(site, *DRIFT).out.splitlines()
    assert lines[0].endswith("changed/oci")
    assert lines[1].split() == ["STATE", "ITEM", "AT", "NAME", "EXPECTED", "FOUND"]
    assert NAME in lines[2]
    assert lines[-1] == "1 name checked: 1 not as expected"


# import


def test_reasons_stand_below_the_table_of_an_import(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    images.make_image(site.folder / "made", "v1", layers=({"new.txt": b"new\n"},))
    site.run("lock", "r.request.yaml", "--update")
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    site.run(*CUT, "later")
    site.run("import", "later", *GAP, "--key", "sovereign.key")
    said = airgap(site, "import", "media", *GAP, "--restore", "--dry-run")
    head, row, reason, end = said.out.splitlines()
    assert head.split() == ["OUTCOME", "AT", "NAME", "DIGEST", "BEFORE"]
    assert row.startswith("refused  demo.local/app")
    why = "delivery 2 of stream 'main', which was accepted later, has written this name"
    assert reason == f"  demo.local/app v1: refused: {why}"
    assert end.endswith("1 refused")
