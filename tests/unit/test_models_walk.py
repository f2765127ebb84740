"""The scanner `models`: what is found in which file. Each case is a file that a loader would take."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.content.scan_finding import Severity
from airgap.scanning.models.blob import Blob, Budget
from airgap.scanning.models.rules import RULES
from airgap.scanning.models.thing import Thing
from airgap.scanning.models.walk import SlowScanError, Walk
from tests.worlds.commands import ROOT
from tests.worlds.model_files import (
    DENSE,
    LAMBDA,
    STATE_DICT,
    SYSTEM,
    TORCH_START,
    array,
    gguf,
    gguf_text,
    keras,
    message,
    old_reduced,
    reduced,
    safetensors,
    tarred,
    tensor,
    text,
    torch,
    zipped,
)

GOLDEN = ROOT / "tests/golden/models"
FRAMED = b"\x80\x05\x95" + struct.pack("<Q", 2)
ONE = {"a": tensor("F32", [2], 0, 8)}
PROD = (
    b"\x80\x05cnumpy\nprod\nN(Va\nVos\nd\x86bN(Vb\nVsystem\nd\x86b0cnumpy\nprod.a\np0\ncnumpy\nprod.b\np1\n00g0\ng1\n\x93"
    b"Vid\n\x85R."
)
MEMO = (
    b"\x80\x04U\x02osq\x00U\x06systemq\x010" + text("torch._utils") + b"\x94" + text("_rebuild_tensor_v2")
    + b"\x9400h\x00h\x01\x93" + text("id") + b"\x85R."
)  # fmt: skip


def look(tmp_path: Path, name: str, data: bytes, *, model: bool = True, **more: object) -> Walk:
    path = tmp_path / "file"
    path.write_bytes(data)
    walk = Walk(tmp_path, 4 << 20, is_model=model, **more)  # type: ignore[arg-type]
    walk.look(Thing.of(name, Blob(len(data), lambda: path.open("rb", buffering=0))))
    return walk


def ids(walk: Walk) -> set[str]:
    return {one.id for one in walk.findings}


CASES: dict[str, tuple[str, bytes, str]] = {
    # pickles, under any name
    "system": ("a.pkl", SYSTEM, "pickle-import-unsafe"),
    "renamed": ("a.json", SYSTEM, "pickle-import-unsafe"),
    "renamed-safetensors": ("a.safetensors", SYSTEM, "pickle-import-unsafe"),
    "old-renamed": ("vocab.txt", old_reduced("os", "system"), "pickle-import-unsafe"),
    "without-name": ("weights", old_reduced("posix", "system"), "pickle-import-unsafe"),
    "broken-after": ("a.bin", SYSTEM[:-1] + b"\xff", "pickle-broken"),
    "broken-after-too": ("a.bin", SYSTEM[:-1] + b"\xff", "pickle-import-unsafe"),
    "cut": ("a.pkl", SYSTEM[:-1], "pickle-broken"),
    "unknown": ("a.pkl", reduced("sklearn.tree", "Tree"), "pickle-import-unknown"),
    "attribute-of-harmless": ("a.pkl", reduced("collections", "OrderedDict.__class__"), "pickle-import-unsafe"),
    "numpy-builtins": ("a.pkl", reduced("numpy", "size.__builtins__"), "pickle-import-unsafe"),
    "changed-import": ("a.pkl", PROD, "pickle-call-computed"),
    "memo-of-two-kinds": ("a.pkl", MEMO, "pickle-import-unsafe"),
    "escaped-name": ("a.pkl", b"V\\u006fs\nVsystem\n\x93(Vid\ntR.", "pickle-hidden-import"),
    "extension": ("a.pkl", b"\x80\x02\x82\x01)R.", "pickle-hidden-import"),
    "instance": ("a.bin", b"(S'id'\nios\nsystem\n.", "pickle-import-unsafe"),
    "object": ("a.bin", b"(cos\nsystem\nS'id'\no.", "pickle-import-unsafe"),
    "new-object": ("a.bin", b"\x80\x04csubprocess\nPopen\n" + text("id") + b"\x85\x81.", "pickle-import-unsafe"),
    "nested": ("a.pkl", b"\x80\x05cpickle\nloads\nB" + struct.pack("<I", len(SYSTEM)) + SYSTEM + b"\x85R.",
               "pickle-import-unsafe"),
    "frame-that-hides": ("a.pkl", FRAMED + b"B\x04\x00\x00\x00abcd.", "pickle-frame"),
    "frame-in-frame": ("a.pkl", b"\x80\x05\x95" + struct.pack("<Q", 12) + b"N\x95" + struct.pack("<Q", 2) + b"N0.",
                       "pickle-frame"),
    "frame-too-long": ("a.pkl", b"\x80\x05\x95" + struct.pack("<Q", 99) + b"N." + bytes(99), "pickle-frame"),
    "second": ("a.pkl", pickle.dumps([1], 4) + SYSTEM, "pickle-import-unsafe"),
    "second-old": ("a.pkl", pickle.dumps([1], 4) + old_reduced("os", "system"), "pickle-import-unsafe"),
    "trailing": ("a.pkl", pickle.dumps([1], 4) + b"more", "pickle-trailing"),
    "harmless": ("a.pkl", pickle.dumps({"a": [1, "b", None]}, 4), "pickle"),
    "torch-legacy": ("a.pt", TORCH_START + SYSTEM + pickle.dumps([], 2) + bytes(99), "pickle-import-unsafe"),
    "torch-legacy-harmless": ("a.pt", TORCH_START + STATE_DICT + pickle.dumps(["0"], 2) + b"\xff" * 99, "pickle"),
    # in archives
    "torch": ("a.bin", torch(SYSTEM), "pickle-import-unsafe"),
    "torch-harmless": ("a.bin", torch(), "pickle"),
    "torch-as-safetensors": ("a.safetensors", torch(), "format-mismatch"),
    "torchscript": ("a.pt", torch(**{"archive/constants.pkl": STATE_DICT}), "torchscript"),
    "odd-member": ("a.pt", zipped({"x/notes.md": SYSTEM}), "pickle-import-unsafe"),
    "deflated": ("a.zip", zipped({"x": old_reduced("os", "system")}, zipfile.ZIP_DEFLATED), "pickle-import-unsafe"),
    "zip-in-zip": ("a.zip", zipped({"b": zipped({"c": SYSTEM}, zipfile.ZIP_DEFLATED)}), "pickle-import-unsafe"),
    "zip-behind-junk": ("a.pt", b"junk" + torch(SYSTEM), "pickle-import-unsafe"),
    "zip-behind-tensors": ("a.safetensors", safetensors(ONE, bytes(8)) + torch(), "zip-broken"),
    "zip-behind-tensors-too": ("a.safetensors", safetensors(ONE, bytes(8)) + torch(), "safetensors-size"),
    "zip-of-two-names": ("a.pt", torch(SYSTEM).replace(b"archive/data.pkl", b"archive/DATA.pkl", 1), "zip-broken"),
    "zip-encrypted": ("a.pt", torch().replace(b"PK\1\2\x14\x03\x14\x00\x00", b"PK\1\2\x14\x03\x14\x00\x01", 1),
                      "zip-broken"),
    "tar": ("a.pth", tarred({"pickle": SYSTEM}), "pickle-import-unsafe"),
    "tar-gz": ("a.tar.gz", gzip.compress(tarred({"x": SYSTEM})), "pickle-import-unsafe"),
    "gzip": ("a.joblib", gzip.compress(SYSTEM), "pickle-import-unsafe"),
    "zlib": ("a.joblib", zlib.compress(SYSTEM), "pickle-import-unsafe"),
    "bzip2": ("a.joblib", bz2.compress(SYSTEM), "pickle-import-unsafe"),
    "xz": ("a.joblib", lzma.compress(SYSTEM), "pickle-import-unsafe"),
    "lzma": ("a.joblib", lzma.compress(SYSTEM, lzma.FORMAT_ALONE), "pickle-import-unsafe"),
    "7z": ("a.7z", b"7z\xbc\xaf'\x1c" + bytes(90), "not-read-format"),
    # NumPy
    "objects": ("a.npy", array("'|O'", "1,", SYSTEM), "pickle-import-unsafe"),
    "objects-in-fields": ("a.npy", array("[('a', '|O')]", "1,", SYSTEM), "pickle-import-unsafe"),
    "objects-renamed": ("a.bin", array("'|O'", "1,", SYSTEM), "pickle-import-unsafe"),
    "objects-in-npz": ("a.npz", zipped({"a.npy": array("'|O'", "1,", SYSTEM)}), "pickle-import-unsafe"),
    "header": ("a.npy", array("__import__('os')", "1,", b""), "numpy-header"),
    "array-too-short": ("a.npy", array("'<f4'", "9,", bytes(8)), "numpy-header"),
    # Keras, HDF5, TensorFlow
    "lambda": ("a.keras", keras(LAMBDA), "keras-lambda"),
    "lambda-escaped": ("a.keras", zipped({"metadata.json": b"{}", "config.json": json.dumps(LAMBDA).encode()
                       .replace(b"Lambda", b"L\\u0061mbda")}), "keras-lambda"),
    "get-file": ("a.keras", keras({"module": "keras.utils", "class_name": "get_file"}), "keras-import-unknown"),
    "custom": ("a.keras", keras({**DENSE, "registered_name": "mine>Dense"}), "keras-import-unknown"),
    "dense": ("a.keras", keras(DENSE), "keras"),
    "not-json": ("a.keras", zipped({"metadata.json": b"{}", "config.json": b"{"}), "keras-broken"),
    "npz-in-keras": ("a.keras", zipped({"metadata.json": b"{}", "config.json": b"{}", "model.weights.npz": SYSTEM}),
                     "pickle-import-unsafe"),
    "lambda-h5-real": ("a.h5", gzip.decompress((GOLDEN / "lambda.h5.gz").read_bytes()), "keras-lambda"),
    "lambda-h5-behind-block": ("a.bin", bytes(512) + gzip.decompress((GOLDEN / "lambda.h5.gz").read_bytes()),
                               "keras-lambda"),
    "hdf5": ("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(99), "hdf5"),
    "saved-model": ("saved_model.pb", message((2, message((2, message((1, message((1, b"n"), (2, b"ReadFile"))))))))
                    , "tensorflow-op-unsafe"),
    "in-a-function": ("saved_model.pb", message((2, message((2, message((2, message((1, message((3, message(
                      (2, b"WriteFile")))))))))))), "tensorflow-op-unsafe"),
    "graph": ("graph.pb", message((1, message((1, b"n"), (2, b"MatMul")))), "tensorflow-graph"),
    # ONNX
    "onnx-elsewhere": ("a.onnx", (GOLDEN / "external.onnx").read_bytes(), "onnx-external-path"),
    "onnx-in-a-branch": ("a.onnx", (GOLDEN / "branch.onnx").read_bytes(), "onnx-external-path"),
    "onnx-custom": ("a.onnx", (GOLDEN / "custom.onnx").read_bytes(), "onnx-operator-unknown"),
    "onnx-cut": ("a.onnx", (GOLDEN / "model.onnx").read_bytes()[:-9], "onnx-broken"),
    "onnx-empty": ("a.onnx", b"", "onnx-broken"),
    # safetensors
    "header-beyond": ("a.safetensors", safetensors(ONE, bytes(8), length=1 << 40), "safetensors-size"),
    "header-not-json": ("a.safetensors", safetensors(b"{]"), "safetensors-header"),
    "header-key-twice": ("a.safetensors", safetensors(b'{"a":{},"a":{}}'), "safetensors-header"),
    "tensor-odd": ("a.safetensors", safetensors({"a": {"dtype": "F32"}}), "safetensors-header"),
    "metadata": ("a.safetensors", safetensors({"__metadata__": {"a": 1}}), "safetensors-header"),
    "too-short": ("a.safetensors", safetensors(ONE, bytes(7)), "safetensors-size"),
    "too-long": ("a.safetensors", safetensors(ONE, bytes(9)), "safetensors-size"),
    "overlap": ("a.safetensors", safetensors({**ONE, "b": tensor("F32", [2], 4, 12)}, bytes(12)),
                "safetensors-overlap"),
    "hole": ("a.safetensors", safetensors({**ONE, "b": tensor("F32", [2], 12, 20)}, bytes(20)), "safetensors-hole"),
    "shape": ("a.safetensors", safetensors({"a": tensor("F32", [3], 0, 8)}, bytes(8)), "safetensors-tensor"),
    "dtype": ("a.safetensors", safetensors({"a": tensor("F33", [2], 0, 8)}, bytes(8)), "safetensors-tensor"),
    "shape-huge": ("a.safetensors", safetensors({"a": tensor("F32", [1 << 40] * 3, 0, 8)}, bytes(8)),
                   "safetensors-tensor"),
    "renamed-text": ("a.safetensors", b"hello, world", "format-mismatch"),
    # GGUF
    "counts": ("a.gguf", b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1), "gguf-header"),
    "old-version": ("a.gguf", gguf(version=1), "gguf-header"),
    "text-beyond": ("a.gguf", gguf({"a": (8, struct.pack("<Q", 1 << 62))}), "not-read-limit"),
    "gguf-type": ("a.gguf", gguf({"a": (77, b"")}), "gguf-header"),
    "nested-arrays": ("a.gguf", gguf({"a": (9, struct.pack("<IQ", 9, 1) * 9)}), "gguf-header"),
    "gguf-overlap": ("a.gguf", gguf(tensors=[("a", [32], 0, 0), ("b", [32], 0, 64)], data=bytes(256)), "gguf-tensor"),
    "gguf-short": ("a.gguf", gguf(tensors=[("a", [32], 0, 0)], data=bytes(64)), "gguf-size"),
    "gguf-long": ("a.gguf", gguf(tensors=[("a", [32], 0, 0)], data=bytes(256)), "gguf-size"),
    "gguf-template": ("a.gguf", (GOLDEN / "template.gguf").read_bytes(), "template-unsafe"),
    "gguf-named-template": ("a.gguf", gguf({"tokenizer.chat_template.x": (8, gguf_text("{{ cycler }}"))}),
                            "template-unsafe"),
    # configurations
    "auto-map": ("config.json", b'{"auto_map": {"AutoModel": "modeling_x.X"}}', "remote-code"),
    "auto-map-inside": ("config.json", b'{"text_config": {"auto_map": {"AutoModel": ["a.X", null]}}}', "remote-code"),
    "auto-map-elsewhere": ("config.json", b'{"auto_map": {"AutoModel": "evil/repo--m.X"}}', "remote-code-elsewhere"),
    "pipelines": ("config.json", b'{"custom_pipelines": {"x": {"impl": "a.B"}}}', "remote-code"),
    "trusting": ("tokenizer_config.json", b'{"trust_remote_code": true}', "remote-code"),
    "modules": ("modules.json", b'[{"type": "os.Transformer"}]', "remote-code"),
    "diffusers": ("model_index.json", b'{"unet": ["my_unet", "UNet"]}', "remote-code"),
    "peft": ("adapter_config.json", b'{"auto_mapping": {"parent_library": "evil"}}', "remote-code"),
    "adapter": ("adapter_config.json", b'{"base_model_name_or_path": "acme/base"}', "other-repository"),
    "config-broken": ("config.json", b'{"a": 1, "a": 2}', "config-broken"),
    "index": ("model.safetensors.index.json", b'{"weight_map": {"a": "../x.safetensors"}}', "index-outside"),
    "template": ("tokenizer_config.json", json.dumps({"chat_template": "{{ ''.__class__ }}"}).encode(),
                 "template-unsafe"),
    "templates": ("tokenizer_config.json", json.dumps({"chat_template": [{"template": "{{ x|attr('y') }}"}]}).encode(),
                  "template-unsafe"),
    "jinja": ("chat_template.jinja", b"{% set x = messages['\\x5f\\x5fclass\\x5f\\x5f'] %}", "template-unsafe"),
    # formats
    "text-that-closes": ("a.jinja", b"{{ '}}' ~ x.__class__ }}", "template-unsafe"),
    "after-a-comment": ("a.jinja", b"{# {{ #}{{ cycler }}", "template-unsafe"),
    "spaced": ("a.jinja", b"{{ x | \n attr ('y') }}", "template-unsafe"),
    "underscores": ("a.jinja", b"{{ x['_' * 2 + 'class__'] }}", "template-unsafe"),
    "a-piece-of-a-text": ("a.jinja", b"{{ x['a_'[1] ~ 'a_' [1] ~ 'class'] }}", "template-unsafe"),
    "the-first-of-a-text": ("a.jinja", b"{% set u = '_a' | first %}{{ x[u] }}", "template-unsafe"),
    "a-character-by-number": ("a.jinja", b"{{ x['%c' % 95] }}", "template-unsafe"),
    "header-of-many-values": ("a.safetensors", safetensors(b"[" + b"[]," * 800_000 + b"0]"), "safetensors-header"),
    "included": ("a.jinja", b"{%- include '/etc/passwd' -%}", "template-unsafe"),
    "never-closed": ("a.jinja", b"{{ x._private", "template-unsafe"),
    "python": ("modeling_x.py", b"import os\n", "code"),
    "script": ("run", b"#!/bin/sh\nid\n", "code"),
    "program": ("lib.so.1", b"\x7fELF" + bytes(99), "program"),
    "unlisted": ("weights.msgpack", b"\x83\xa1a" + bytes(50), "format-unlisted"),
    "image-that-is-none": ("logo.png", b"\x00\x01\x02\x03" * 9, "format-mismatch"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_it_is_found(case: str, tmp_path: Path) -> None:
    name, data, expected = CASES[case]
    walk = look(tmp_path, name, data)
    assert expected in ids(walk), walk.findings
    assert all(one.title and one.path for one in walk.findings)


CHAT = (
    b"{%- set ns = namespace(found=false) -%}{% for message in messages %}{% if not loop.first %}{{ '\\n' }}{% endif %}"
    b"{{ '<|' + message['role'] + '|>' }}{{ message.content | trim | tojson }}{% if message.name is defined %}"
    b"{{ raise_exception('no }}') }}{% endif %}{% macro x(self_id) %}{{ self_id }}{% endmacro %}{% endfor %}"
    b"{# cycler.__init__ #}{% raw %}{{ cycler }}{% endraw %}"
)
HARMLESS: dict[str, tuple[str, bytes]] = {
    "safetensors": ("a.safetensors", (GOLDEN / "model.safetensors").read_bytes()),
    "no-tensors": ("a.safetensors", (GOLDEN / "none.safetensors").read_bytes()),
    "gguf": ("a.gguf", (GOLDEN / "model.gguf").read_bytes()),
    "onnx": ("a.onnx", (GOLDEN / "model.onnx").read_bytes()),
    "onnx-with-data": ("a.onnx", (GOLDEN / "inside.onnx").read_bytes()),
    "numpy": ("a.npy", (GOLDEN / "struct.npy").read_bytes()),
    "npz": ("a.npz", (GOLDEN / "two.npz").read_bytes()),
    "config": ("config.json", b'{"architectures": ["BertModel"], "vocab_size": 3}'),
    "modules": ("modules.json", b'[{"type": "sentence_transformers.models.Pooling"}]'),
    "diffusers": ("model_index.json", b'{"_class_name": "X", "vae": ["diffusers", "V"], "safety": [null, null]}'),
    "index": ("model.safetensors.index.json", b'{"weight_map": {"a": "model-1.safetensors"}}'),
    "words": ("vocab.txt", b"cat\ndog\nRover\n(yes)\n" * 9),
    "readme": ("README.md", "# A model of Größe\n".encode()),
    "licence": ("LICENSE", b"Apache"),
    "empty": ("merges.txt", b""),
    "image": ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(99)),
    "sentencepiece": ("tokenizer.model", b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02"),
    "template": ("chat_template.jinja", CHAT),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_nothing_is_found(case: str, tmp_path: Path) -> None:
    assert look(tmp_path, *HARMLESS[case]).findings == []


def test_the_real_pickle_of_numpy_is_harmless_and_still_a_pickle(tmp_path: Path) -> None:
    walk = look(tmp_path, "a.pkl", (GOLDEN / "ndarray.pkl").read_bytes())
    assert [one.id for one in walk.findings] == ["pickle"]
    assert "numpy" in walk.findings[0].title


def test_an_import_is_named_with_its_module(tmp_path: Path) -> None:
    found = look(tmp_path, "x/pytorch_model.bin", torch(SYSTEM)).findings
    assert [(one.id, one.severity, one.path) for one in found] == [
        ("pickle-import-unsafe", Severity.CRITICAL, "x/pytorch_model.bin!archive/data.pkl")
    ]
    assert found[0].title.endswith(": os.system")


def test_a_file_of_data_that_an_onnx_model_names_is_no_finding(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(bytes(range(256)))
    walk = Walk(tmp_path, 1 << 20)
    for name, path in (("a/weights.bin", tmp_path / "weights"), ("a/m.onnx", GOLDEN / "inside.onnx")):
        blob = Blob(path.stat().st_size, lambda path=path: path.open("rb"))  # type: ignore[misc]
        walk.look(Thing.of(name, blob))
    assert [one.path for one in walk.findings] == ["a/weights.bin"]
    assert walk.found() == []


def test_elsewhere_only_what_may_run_is_said(tmp_path: Path) -> None:
    for name, data in (
        ("setup.py", b"import os\n"),
        ("a.pkl", b'amends "Config.pkl"\n'),
        ("a.pkl", pickle.dumps([1], 4)),
        ("a.bin", bytes(99)),
        ("a.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        ("a.7z", b"7z\xbc\xaf'\x1c" + bytes(90)),
        ("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(99)),
        ("config.json", b"{"),
        ("a.zip", b"PK\x03\x04nothing"),
    ):
        assert look(tmp_path, name, data, model=False).findings == [], name
    assert "pickle-import-unsafe" in ids(look(tmp_path, "data/x", SYSTEM, model=False))
    assert "keras-lambda" in ids(look(tmp_path, "a.keras", keras(LAMBDA), model=False))
    assert "remote-code" in ids(look(tmp_path, "config.json", b'{"auto_map": {"A": "b.C"}}', model=False))


def test_a_station_lets_formats_in_and_not_what_runs_code(tmp_path: Path) -> None:
    allowed = ("*.msgpack", "*.py", "*.pkl")
    assert look(tmp_path, "x/a.msgpack", b"\x83\xa1a" + bytes(9), allowed=allowed).findings == []
    assert look(tmp_path, "a.py", b"import os\n", allowed=allowed).findings == []
    assert look(tmp_path, "a.pkl", pickle.dumps([1], 4), allowed=allowed).findings == []
    assert ids(look(tmp_path, "a.pkl", SYSTEM, allowed=allowed)) == {"pickle-import-unsafe"}


def test_limits_are_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(bytes(9000) + bytes(1 << 20))
    walk = look(tmp_path, "a.gz", gzip.compress(torch(x=bytes(1 << 20))), budget=Budget(1000))
    assert ids(walk) >= {"not-read-limit"}, walk.findings
    assert look(tmp_path, "a.gz", bomb, budget=Budget(1 << 30)).findings[0].id == "format-unlisted"
    deep = SYSTEM
    for _ in range(9):
        deep = zipped({"x": deep})
    assert "not-read-limit" in ids(look(tmp_path, "a.zip", deep))
    monkeypatch.setattr("airgap.scanning.models.pickle_machine.MAX_DEPTH", 50)
    assert "not-read-limit" in ids(look(tmp_path, "a.pkl", b"\x80\x04(" + b"N" * 99 + b"t."))
    monkeypatch.setattr("airgap.scanning.models.walk.MAX_FINDINGS", 3)
    many = look(tmp_path, "a.zip", zipped({str(number): SYSTEM for number in range(9)}))
    assert [one.id for one in many.findings][-1] == "not-read-limit"
    assert len(many.findings) == 4


def test_files_that_take_too_long_stop_the_scan(tmp_path: Path) -> None:
    with pytest.raises(SlowScanError, match=r"stopped at a\.pkl"):
        look(tmp_path, "a.pkl", SYSTEM, deadline=0.0)


def _used() -> Iterator[str]:
    for path in (ROOT / "airgap/scanning/models").glob("*.py"):
        text = path.read_text()
        yield from (rule for rule in RULES if path.name != "rules.py" and f'"{rule}"' in text)


def test_each_rule_is_used_and_found_by_a_case() -> None:
    assert set(_used()) == set(RULES)
    assert {expected for _, _, expected in CASES.values()} | {"not-read-encrypted"} == set(RULES)


def test_the_runbook_has_a_row_for_each_rule() -> None:
    page = (ROOT / "docs/runbooks/scanner.md").read_text()
    table = page.split("| finding | severity |")[1].split("\n\n")[0]
    listed: dict[str, str] = {}
    for row in table.splitlines()[2:]:
        names, severities = (cell.strip() for cell in row.strip("|").split("|")[:2])
        rules = [name.strip("` ") for name in names.split(",")]
        said = [one.strip() for one in severities.split(",")]
        listed |= dict(zip(rules, said if len(said) == len(rules) else said * len(rules), strict=True))
    assert listed == {rule.id: str(rule.severity) for rule in RULES.values()}
