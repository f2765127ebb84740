"""The scanner `models` as the run sees it: subjects in, results out, and the second opinion about pickles."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import ToolError
from airgap.content.graph import Descriptor
from airgap.content.scan_finding import Severity
from airgap.content.scan_result import ScanResult
from airgap.content.scan_subject import ScanSubject, SubjectFile, SubjectForm
from airgap.kinds.subjects import blob_file
from airgap.resources.station import ModelLimits
from airgap.scanning.models import second_opinion
from airgap.scanning.models.scanner import ModelScanner
from airgap.store.memory import Memory
from airgap.tools.sandbox import Ending, Sandbox, SandboxRun
from tests.worlds.model_files import SYSTEM, reduced, safetensors, tensor, torch

NODE = Descriptor("application/vnd.cncf.model.manifest.v1+json", Digest.of(b"x"), 1)


class _Pipe(io.RawIOBase):
    """A stream that cannot seek, as one out of a program is."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._inner.readinto(buffer)


def subject(files: dict[str, bytes], kind: str = "model", opener: Callable[[bytes], Any] = io.BytesIO) -> ScanSubject:
    def opened(data: bytes) -> Callable[[], BinaryIO]:
        return lambda: opener(data)

    listed = [SubjectFile(path, len(data), opened(data)) for path, data in files.items()]
    return ScanSubject(NODE.digest, kind, SubjectForm.FILES, "a", Memory(), NODE, 1, files=lambda: iter(listed))


def scan(tmp_path: Path, files: dict[str, bytes], limits: ModelLimits | None = None, **more: Any) -> ScanResult:
    scanner = ModelScanner(limits or ModelLimits())
    result = scanner.scan(subject(files, **more), tmp_path)
    assert result.scanner == scanner.identity()
    return ScanResult.decode(result.encode(), "a result")


def found(result: ScanResult) -> list[tuple[str, str]]:
    return sorted((one.id, one.path) for one in result.findings)


def test_a_model_of_tensors_is_clean_and_needs_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_opinion, "library", lambda: None)
    result = scan(tmp_path, {"model.safetensors": safetensors({}), "config.json": b"{}"})
    assert (result.findings, result.not_run) == ((), "")
    assert result.looked_for
    assert "without picklescan" in result.scanner.version


def test_a_pickle_without_the_library_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_opinion, "library", lambda: None)
    with pytest.raises(ToolError) as raised:
        scan(tmp_path, {"a/pytorch_model.bin": torch()})
    assert raised.value.code == "scanner-missing"
    assert "a/pytorch_model.bin!archive/data.pkl" in raised.value.what
    assert "airgap[models]" in raised.value.hint


@pytest.mark.parametrize("opener", [io.BytesIO, _Pipe])
def test_pickles_are_read_twice(tmp_path: Path, opener: Callable[[bytes], Any]) -> None:
    """The library knows by name what our own list does not: the finding becomes worse, and stays one."""
    unknown = reduced("cloudpickle.cloudpickle", "subimport"), reduced("acme", "Model")
    files = {"a.bin": torch(SYSTEM), "b.pkl": unknown[0], "c.pkl": unknown[1], "d.bin": torch()}
    result = scan(tmp_path, files, opener=opener)
    assert result.not_run == ""
    assert found(result) == [
        ("pickle", "d.bin!archive/data.pkl"),
        ("pickle-import-unknown", "c.pkl"),
        ("pickle-import-unsafe", "a.bin!archive/data.pkl"),
        ("pickle-import-unsafe", "b.pkl"),
    ]


def test_the_library_finds_what_our_list_does_not_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_opinion, "ask", lambda pickles, _work: [[("acme", "Model"), ("unknown", "x")]])
    (first, second) = scan(tmp_path, {"c.pkl": reduced("acme", "Model")}).findings
    assert (first.severity, second.severity) == (Severity.CRITICAL, Severity.CRITICAL)
    assert {first.id, second.id} == {"pickle-import-unsafe", "pickle-hidden-import"}


ENDINGS = [
    (Ending.SIGNAL, 11, b"", "scanner-crashed"),
    (Ending.TIMEOUT, 0, b"", "scanner-timeout"),
    (Ending.MEMORY, 0, b"", "scanner-memory"),
    (Ending.OUTPUT, 0, b"", "scanner-garbage"),
    (Ending.EXIT, 1, b"{}", "scanner-crashed"),
    (Ending.EXIT, 0, b'{"0": [', "scanner-garbage"),
    (Ending.EXIT, 0, b"{}", "scanner-mismatch"),
    (Ending.EXIT, 0, b"[]", "scanner-mismatch"),
    (Ending.EXIT, 0, b'{"0": [["os"]]}', "scanner-garbage"),
    (Ending.EXIT, 0, b"", "scanner-garbage"),
]


@pytest.mark.parametrize(("ending", "status", "stdout", "code"), ENDINGS)
def test_an_answer_that_does_not_come_is_not_run(
    ending: Ending, status: int, stdout: bytes, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object) -> SandboxRun:
        return SandboxRun(ending, status, stdout, "", 0)

    monkeypatch.setattr(Sandbox, "run", run)
    with pytest.raises(ToolError) as raised:
        scan(tmp_path, {"c.pkl": SYSTEM})
    assert raised.value.code == code
    assert "safetensors" in raised.value.hint


def test_a_library_that_needs_too_much_memory_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_opinion, "MEMORY", 40 << 20)
    with pytest.raises(ToolError) as raised:
        scan(tmp_path, {"c.pkl": b"\x80\x04(" + b"K\x01" * 300_000 + b"t."})
    assert raised.value.code == "scanner-memory"


def test_what_the_library_is_not_asked_about_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_opinion, "library", lambda: None)
    monkeypatch.setattr("airgap.scanning.models.walk.MAX_ASKED_STEPS", 3)
    result = scan(tmp_path, {"c.pkl": SYSTEM})
    assert [one[0] for one in found(result)] == ["not-read-limit", "pickle-import-unsafe"]


def test_a_large_file_of_the_store_is_read_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airgap.scanning.models.scanner.MAX_COPIED", 1000)
    store = Memory()
    data = safetensors({"a": tensor("U8", [20_000], 0, 20_000)}, bytes(20_000)), torch(SYSTEM, x=bytes(9000))
    blobs = [store.add("x", one) for one in data]
    files = [blob_file(store, name, one) for name, one in zip(("a.safetensors", "b.bin"), blobs, strict=True)]
    node = ScanSubject(NODE.digest, "model", SubjectForm.FILES, "a", store, NODE, 1, files=lambda: iter(files))
    result = ModelScanner(ModelLimits()).scan(node, tmp_path)
    assert found(result) == [("pickle-import-unsafe", "b.bin!archive/data.pkl")]


def test_the_time_limit_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airgap.scanning.models.walk.MAX_SECONDS", -1)
    assert scan(tmp_path, {"a.json": b"{}"}).not_run == "scanner-timeout"


def test_limits_of_the_station_are_part_of_the_identity(tmp_path: Path) -> None:
    usual, other = ModelScanner(ModelLimits()), ModelScanner(ModelLimits(formats=("*.msgpack",), header_limit=10))
    assert usual.identity().own_digest != other.identity().own_digest
    assert usual.identity().version.split(", ")[1].startswith("picklescan 1.")
    files = {"a.msgpack": b"\x83\xa1a" + bytes(9), "b.safetensors": safetensors({"__metadata__": {"a": "b" * 50}})}
    assert [one[0] for one in found(scan(tmp_path, files))] == ["format-unlisted"]
    assert [one[0] for one in found(scan(tmp_path, files, other.limits))] == ["not-read-limit"]


def test_trees_of_files_are_taken_and_images_are_not() -> None:
    scanner = ModelScanner(ModelLimits())
    assert scanner.takes(subject({}, "git"))
    image = ScanSubject(NODE.digest, "image", SubjectForm.IMAGE, "a", Memory(), NODE, 1)
    assert not scanner.takes(image)
