"""The rules of the scanner `models`: the id of each finding, how bad it is, and what it means.

What is not known to be harmless is a finding. A rule is `critical` if loading the file runs what a stranger wrote,
`high` if it may, `medium` if the format could and this file does not, `low` if it only depends on something else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airgap.base.text import one_line
from airgap.content.scan_finding import FindingKind, ScanFinding, Severity

MAX_DETAIL = 300
"""Characters of what a file says, in a finding."""

CRITICAL, HIGH, MEDIUM, LOW = Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW


@dataclass(frozen=True, slots=True)
class ModelRule:
    """One rule: its stable id, its severity, and its meaning in words."""

    id: str
    severity: Severity
    title: str
    kind: FindingKind = FindingKind.MODEL


_RULES = (
    # pickles
    ModelRule("pickle-import-unsafe", CRITICAL, "a pickle imports something that runs code or programs"),
    ModelRule("pickle-hidden-import", CRITICAL, "a pickle computes what it imports"),
    ModelRule("pickle-call-computed", CRITICAL, "a pickle calls or changes something that it computed"),
    ModelRule("pickle-import-unknown", HIGH, "a pickle imports something that is not known to be harmless"),
    ModelRule("pickle-broken", HIGH, "a pickle is damaged; what stands before the damage runs when it is loaded"),
    ModelRule("pickle-frame", CRITICAL, "a pickle crosses the end of a frame: readers disagree about what follows"),
    ModelRule("pickle-trailing", MEDIUM, "something follows the end of a pickle"),
    ModelRule("pickle", MEDIUM, "a pickle: everything that it imports is known to be harmless"),
    # formats with code
    ModelRule("torchscript", HIGH, "a TorchScript file contains a program"),
    ModelRule("keras-lambda", CRITICAL, "a Keras model contains a Lambda layer: Python code"),
    ModelRule("keras-import-unknown", HIGH, "a Keras model names a class that is not known to be harmless"),
    ModelRule("keras-broken", HIGH, "a Keras model whose configuration cannot be read"),
    ModelRule("keras", MEDIUM, "a Keras model: every class that it names is known to be harmless"),
    ModelRule("hdf5", MEDIUM, "an HDF5 file: no Lambda layer was found in it"),
    ModelRule("tensorflow-op-unsafe", CRITICAL, "a TensorFlow graph reads or writes files, or calls Python"),
    ModelRule("tensorflow-graph", MEDIUM, "a TensorFlow graph is a program"),
    ModelRule("remote-code", HIGH, "a configuration names Python code that is loaded along (trust_remote_code)"),
    ModelRule("remote-code-elsewhere", CRITICAL, "a configuration names Python code of another repository"),
    ModelRule("other-repository", LOW, "a configuration names another repository, which is not carried"),
    ModelRule("code", HIGH, "a model contains program text"),
    ModelRule("program", CRITICAL, "a model contains a program or a library for the processor"),
    ModelRule("template-unsafe", CRITICAL, "a chat template reaches for the inside of Python"),
    # headers that do not keep what they promise
    ModelRule("safetensors-header", HIGH, "a safetensors header that cannot be read"),
    ModelRule("safetensors-size", HIGH, "a safetensors file is shorter or longer than its tensors"),
    ModelRule("safetensors-overlap", HIGH, "tensors of a safetensors file overlap"),
    ModelRule("safetensors-hole", HIGH, "a safetensors file has bytes that belong to no tensor"),
    ModelRule("safetensors-tensor", HIGH, "a tensor of a safetensors file has not the size of its type and shape"),
    ModelRule("gguf-header", HIGH, "a GGUF header that cannot be read"),
    ModelRule("gguf-size", HIGH, "a GGUF file is shorter or longer than its tensors"),
    ModelRule("gguf-tensor", HIGH, "a tensor of a GGUF file overlaps another, or its place is not aligned"),
    ModelRule("onnx-broken", HIGH, "an ONNX file that cannot be read"),
    ModelRule("onnx-external-path", CRITICAL, "an ONNX model reads data outside of its folder"),
    ModelRule("onnx-operator-unknown", MEDIUM, "an ONNX model needs operators that are not part of ONNX"),
    ModelRule("numpy-header", HIGH, "a NumPy header that cannot be read"),
    ModelRule("zip-broken", HIGH, "a zip archive that readers understand differently"),
    ModelRule("config-broken", HIGH, "a configuration that is not valid JSON"),
    ModelRule("index-outside", HIGH, "an index of weights names files outside of the model"),
    # formats
    ModelRule("format-mismatch", HIGH, "the content of a file is not what its name says"),
    ModelRule("format-unlisted", MEDIUM, "the format is not on the list of those that are only data"),
    # what could not be read
    ModelRule("not-read-encrypted", HIGH, "an encrypted archive cannot be looked into", FindingKind.COVERAGE),
    ModelRule("not-read-format", HIGH, "a packed file of this format cannot be looked into", FindingKind.COVERAGE),
    ModelRule("not-read-limit", HIGH, "a file is beyond a limit of this scanner", FindingKind.COVERAGE),
)
RULES = {rule.id: rule for rule in _RULES}

Report = Callable[[str, str], None]
"""`report(rule, detail)`: how a reader says what it found in the file that it reads."""


def finding(rule_id: str, path: str, detail: str = "") -> ScanFinding:
    """The finding: its title is the rule's, and `detail`, which may be foreign text."""
    rule = RULES[rule_id]
    title = f"{rule.title}: {one_line(detail[:MAX_DETAIL])[:MAX_DETAIL]}" if detail else rule.title
    return ScanFinding(kind=rule.kind, id=rule.id, severity=rule.severity, title=title, path=one_line(path)[:2048])
