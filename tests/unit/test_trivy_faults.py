"""A scanner that is missing, another one, refused, or that fails in any way: not-run with its reason, never clean."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from airgap.base.errors import AirgapError, PolicyError, TrustError
from airgap.content.scan_subject import ScanSubject
from airgap.tools.sandbox import MAX_NOTED
from airgap.tools.trivy import OFFLINE
from tests.parts.trivy import Trivy
from tests.worlds.trivy_station import ALPINE, TrivyStation, sha256_of, tree

HELP = " ".join((*OFFLINE, "--list-all-pkgs", "--secret-config"))
# It says of itself what Trivy says, and answers about the image that it is asked about.
SCRIPT = """\
#!/bin/sh
case "$1 $2" in
  "--version "*) echo 'Version: {version}'; exit 0 ;;
  "image --help") echo '{help}'; exit 0 ;;
esac
for last; do :; done
layout=${{last%@*}}; manifest=${{last#*@sha256:}}
config=$(sed 's/.*"config": {{[^}}]*"digest": "\\([^"]*\\)".*/\\1/' "$layout/blobs/sha256/$manifest")
{body}
"""
ANSWER = (
    """printf '{"SchemaVersion": 2, "ArtifactType": "container_image", "ArtifactName": "%s", """
    """"Metadata": {"ImageID": "%s", "DiffIDs": %s}, "Results": null}' "$last" "$config" """
    """"$(sed 's/.*"diff_ids": \\(\\[[^]]*\\]\\).*/\\1/' "$layout/blobs/sha256/${config#sha256:}")\""""
)


def station(folder: Path, body: str, version: str = "9.9.9") -> TrivyStation:
    """A station whose program is a script."""
    program = folder / "trivy"
    program.write_text(SCRIPT.format(version=version, help=HELP, body=body))
    program.chmod(0o755)
    return TrivyStation.of(folder, Trivy(program, version))


def code_of(made: TrivyStation, subject: ScanSubject | None = None) -> tuple[str, str]:
    """Why the scan did not run."""
    (result,) = made.scan(subject or made.image(ALPINE))
    assert not result.findings
    return result.not_run, result.detail


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("echo Scanning...", "scanner-garbage", "not valid JSON"),
        ("exit 0", "scanner-garbage", "it printed nothing"),
        (ANSWER + " | head -c 150", "scanner-garbage", "not valid JSON"),
        (ANSWER + "; exit 1", "scanner-crashed", "exit status 1"),
        ("echo '{}'", "scanner-garbage", "SchemaVersion"),
        ("last=other\n" + ANSWER, "scanner-mismatch", "ArtifactName"),
        (ANSWER.replace('"ImageID": "%s"', '"ImageID": "x%s"'), "scanner-mismatch", "ImageID"),
        (ANSWER.replace('"DiffIDs": %s', '"DiffIDs": [], "x": %s'), "scanner-mismatch", "DiffIDs"),
        ("kill -9 $$", "scanner-crashed", "signal 9"),
        ("kill -11 $$", "scanner-crashed", "signal 11"),
        ("echo 'fatal error: runtime: out of memory' >&2; exit 2", "scanner-memory", "memory"),
        ("printf 'x\\tFATAL\\twrite /tmp/x: no space left on device' >&2; exit 1", "scan-disk-full", "no space"),
        ("echo \"--skip-db-update cannot be specified on the first run\" >&2; exit 1", "database-missing", "first run"),
        ("echo \"the version of DB schema doesn't match\" >&2; exit 1", "database-schema", "schema"),
    ],
)  # fmt: skip
def test_a_scan_that_fails_has_its_reason(tmp_path: Path, body: str, code: str, said: str) -> None:
    got, detail = code_of(station(tmp_path, body))
    assert got == code, detail
    assert said in detail


def test_the_answer_of_the_script_is_taken_without_a_fault(tmp_path: Path) -> None:
    """So the test above is about its faults."""
    made = station(tmp_path, ANSWER)
    (result,) = made.scan(made.image(ALPINE))
    assert (result.not_run, result.packages) == ("", 0)


def test_a_scan_that_does_not_end(tmp_path: Path) -> None:
    made = station(tmp_path, "sleep 60").other(time_limit=timedelta(seconds=0.3))
    assert code_of(made)[0] == "scanner-timeout"


def test_a_scan_that_prints_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airgap.tools.trivy.MAX_OUTPUT", 1 << 20)
    assert code_of(station(tmp_path, "exec yes"))[0] == "scanner-garbage"


def test_warnings_that_are_too_many_to_keep_are_no_silence(tmp_path: Path) -> None:
    """One that says that something was not covered may be among those that are lost."""
    warn = "awk 'BEGIN {{ for (n = 0; n < {0}; n++) print \"x\\tWARN\\ty\" }}' >&2\n"
    answer = """printf '{"SchemaVersion": 2, "ArtifactType": "filesystem", "ArtifactName": "%s"}' "$last"\n"""
    found = {}
    for number in (MAX_NOTED, MAX_NOTED + 7):
        made = station(tmp_path, warn.format(number) + answer)
        (result,) = made.scan(tree("git", {"a": b"x"}))
        found[number] = [(one.id, one.title.partition(" times")[0]) for one in result.findings]
    assert found == {MAX_NOTED: [], MAX_NOTED + 7: [("log-too-long", "the scanner warned 7")]}


def test_another_program_is_not_started(tmp_path: Path) -> None:
    made = station(tmp_path, "exit 0").other(sha256="0" * 64)
    made.config.program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    with pytest.raises(TrustError) as raised:
        made.scanner().identity()
    assert raised.value.code == "scanner-changed"
    assert not (tmp_path / "started").exists()


def test_the_program_that_was_hashed_is_the_one_that_runs(tmp_path: Path) -> None:
    made = station(tmp_path, "echo first")
    scanner = made.scanner()
    scanner.identity()
    other = tmp_path / "other"
    other.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    other.chmod(0o755)
    other.replace(made.config.program)
    (tmp_path / "work").mkdir()
    with pytest.raises(AirgapError) as raised:
        scanner.scan(made.image(ALPINE), tmp_path / "work")
    assert raised.value.code == "scanner-garbage"
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("version", ["0.69.4", "0.69.5", "0.69.6", "v0.69.6", "0.70.0"])
def test_versions_that_are_refused(tmp_path: Path, version: str) -> None:
    made = station(tmp_path, "exit 0", version).other(refuse=("0.70.0",))
    with pytest.raises(PolicyError) as raised:
        made.scanner().identity()
    assert raised.value.code == "scanner-refused"


@pytest.mark.parametrize("state", ["missing", "folder", "not executable"])
def test_a_program_that_is_missing(tmp_path: Path, state: str) -> None:
    made = station(tmp_path, "exit 0")
    program = made.config.program
    if state == "not executable":
        program.chmod(0o644)
    else:
        program.unlink()
    if state == "folder":
        program.mkdir()
    with pytest.raises(AirgapError) as raised:
        made.scanner().identity()
    assert raised.value.code == "scanner-missing"


def test_a_program_that_is_not_trivy(tmp_path: Path) -> None:
    program = tmp_path / "trivy"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    made = TrivyStation.of(tmp_path, Trivy(program, ""))
    with pytest.raises(AirgapError) as raised:
        made.scanner().identity()
    assert raised.value.code == "scanner-garbage"


def test_a_program_that_cannot_be_kept_offline(tmp_path: Path) -> None:
    made = station(tmp_path, ANSWER)
    text = made.config.program.read_text().replace("--skip-db-update", "--other")
    made.config.program.write_text(text)
    other = made.other(sha256=sha256_of(made.config.program))
    assert code_of(other) == ("scanner-garbage", "trivy image --help: it does not know the options of Trivy")


def test_no_database(tmp_path: Path) -> None:
    made = station(tmp_path, "exit 0")
    made.layout._write_index([])
    with pytest.raises(AirgapError) as raised:
        made.scanner().identity()
    assert raised.value.code == "database-missing"


@pytest.mark.parametrize("fault", ["damaged", "cut", "not packed"])
def test_a_layer_that_cannot_be_read(tmp_path: Path, fault: str) -> None:
    made = station(tmp_path, "exit 0")
    layer, diff_id = made.layer(ALPINE)
    path = made.layout.path(layer["digest"])
    data = path.read_bytes()
    if fault == "damaged":
        path.write_bytes(data[:40] + bytes([data[40] ^ 255]) + data[41:])
    else:
        layer = made.layout.blob(data[:-20] if fault == "cut" else data[:40], layer["mediaType"])
    code, _ = code_of(made, made.odd_image([layer], [diff_id]))
    assert code == ("digest-mismatch" if fault == "damaged" else "layer-unreadable")


def test_the_answer_about_a_tree_must_be_about_that_tree(tmp_path: Path) -> None:
    answer = {"SchemaVersion": 2, "ArtifactType": "filesystem", "ArtifactName": "/elsewhere"}
    made = station(tmp_path, f"echo '{json.dumps(answer)}'")
    assert code_of(made, tree("git", {"a.txt": b"text"}))[0] == "scanner-mismatch"


def test_two_identities_of_two_programs(tmp_path: Path) -> None:
    one = station(tmp_path, "exit 0")
    first = one.scanner().identity()
    one.config.program.write_text(one.config.program.read_text() + "# other\n")
    other = one.other(sha256=sha256_of(one.config.program)).scanner().identity()
    assert first.own_digest != other.own_digest
    assert (first.version, first.databases) == (other.version, other.databases)
