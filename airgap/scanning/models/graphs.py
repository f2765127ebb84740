"""Reads graphs in protobuf: ONNX models, and TensorFlow's graphs and saved models.

An ONNX model is data but for two things: the files that its tensors are in, and operators of others. A TensorFlow graph
is a program: some operators read and write files. Sources: onnx/onnx.proto (field numbers), onnx "External data";
tensorflow/core/protobuf/saved_model.proto, meta_graph.proto, framework/graph.proto, node_def.proto, function.proto.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from airgap.scanning.models.blob import Blob
from airgap.scanning.models.protobuf import BYTES, BadProtobufError, Field, ProtobufLimitError, Walker
from airgap.scanning.models.rules import Report
from airgap.scanning.models.stream import BoundedStream, EndsTooEarlyError

MAX_GRAPH_DEPTH = 32
"""Graphs within one another: the branches of loops and conditions."""
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "com.microsoft"})
_UNSAFE_OPS = frozenset(
    {"ReadFile", "WriteFile", "PyFunc", "PyFuncStateless", "EagerPyFunc", "PrintV2", "DebugIdentity", "DebugIdentityV2"}
    | {"MatchingFiles", "SaveV2", "Save", "SaveSlices", "DebugIdentityV3", "ShellExecute", "LoadDataset", "SaveDataset"}
    | {"WholeFileReader", "WholeFileReaderV2", "TextLineDataset", "FixedLengthRecordDataset", "TFRecordDataset"}
) - {"PrintV2", "SaveV2", "Save", "SaveSlices"}
"""Every saved model has `SaveV2`, which writes its own variables when it is asked to."""


class _Graph:
    """What is known of a graph while it is walked."""

    def __init__(self, walker: Walker) -> None:
        self.walker = walker
        self.places: dict[str, None] = {}
        """The files that tensors are in."""
        self.domains: dict[str, None] = {}
        self.models = 0


def check_onnx(blob: Blob, report: Report) -> set[str]:
    """Reports what an ONNX model reads outside of its folder, and what it needs; the files that it reads."""
    with blob.open() as file:
        graph = _Graph(Walker(BoundedStream(file)))
        try:
            _model(graph, blob.size)
        except (BadProtobufError, EndsTooEarlyError) as error:
            report("onnx-broken", str(error) or "it ends too early")
        except ProtobufLimitError as error:
            report("not-read-limit", str(error))
        else:
            if not graph.models:
                report("onnx-broken", "it has no graph")
    for place in graph.places:
        pure = PurePosixPath(place.replace("\\", "/"))
        if pure.is_absolute() or ".." in pure.parts or place[1:2] == ":" or not place:
            report("onnx-external-path", place)
    for domain in graph.domains:
        if domain not in _DOMAINS:
            report("onnx-operator-unknown", domain)
    return set(graph.places)


def _model(graph: _Graph, end: int) -> None:
    for field in graph.walker.fields(end):
        if field.type != BYTES:
            continue
        if field.number == 7:  # graph
            graph.models += 1
            _graph(graph, field, 0)
        elif field.number == 8:  # opset_import
            _domain(graph, field, 1)
        elif field.number == 25:  # functions
            _nodes(graph, field, 7, 0)


def _domain(graph: _Graph, outer: Field, number: int) -> None:
    for field in graph.walker.fields(outer.end):
        if field.number == number and field.type == BYTES and len(graph.domains) < _MAX_NOTED:
            graph.domains[graph.walker.text(field, 200)] = None


_MAX_NOTED = 1000


def _graph(graph: _Graph, outer: Field, depth: int) -> None:
    """node = 1, initializer = 5, sparse_initializer = 15."""
    if depth > MAX_GRAPH_DEPTH:
        raise ProtobufLimitError(f"more than {MAX_GRAPH_DEPTH} graphs within one another")
    for field in graph.walker.fields(outer.end):
        if field.type != BYTES:
            continue
        if field.number == 1:
            _node(graph, field, depth)
        elif field.number == 5:
            _tensor(graph, field)
        elif field.number == 15:
            for inner in graph.walker.fields(field.end):
                if inner.type == BYTES and inner.number in (1, 2):
                    _tensor(graph, inner)


def _nodes(graph: _Graph, outer: Field, number: int, depth: int) -> None:
    for field in graph.walker.fields(outer.end):
        if field.type == BYTES and field.number == number:
            _node(graph, field, depth)


def _node(graph: _Graph, outer: Field, depth: int) -> None:
    """attribute = 5, domain = 7; of an attribute: t = 5, g = 6, tensors = 10, graphs = 11."""
    for field in graph.walker.fields(outer.end):
        if field.type != BYTES:
            continue
        if field.number == 7 and len(graph.domains) < _MAX_NOTED:
            graph.domains[graph.walker.text(field, 200)] = None
        elif field.number == 5:
            for inner in graph.walker.fields(field.end):
                if inner.type == BYTES and inner.number in (5, 10):
                    _tensor(graph, inner)
                elif inner.type == BYTES and inner.number in (6, 11):
                    _graph(graph, inner, depth + 1)


def _tensor(graph: _Graph, outer: Field) -> None:
    """external_data = 13: pairs of key = 1 and value = 2."""
    for field in graph.walker.fields(outer.end):
        if field.type == BYTES and field.number == 13:
            pair = {inner.number: graph.walker.text(inner) for inner in graph.walker.fields(field.end)}
            if pair.get(1) == "location" and len(graph.places) < _MAX_NOTED:
                graph.places[pair.get(2, "")] = None


def check_tensorflow(blob: Blob, report: Report, *, saved: bool) -> bool:
    """Reports operators that reach outside. `saved`: a saved model, else a graph. False if it is neither."""
    found: dict[str, None] = {}
    with blob.open() as file:
        walker = Walker(BoundedStream(file))
        try:
            nodes = _saved(walker, blob.size, found) if saved else _definition(walker, blob.size, found)
        except (BadProtobufError, EndsTooEarlyError):
            nodes = 0
        except ProtobufLimitError as error:
            report("not-read-limit", str(error))
            return True
    for op in found:
        report("tensorflow-op-unsafe", op)
    return nodes > 0 or bool(found)


def _saved(walker: Walker, end: int, found: dict[str, None]) -> int:
    """saved_model.meta_graphs = 2, meta_graph.graph_def = 2."""
    nodes = 0
    for field in walker.fields(end):
        if field.type == BYTES and field.number == 2:
            for inner in walker.fields(field.end):
                if inner.type == BYTES and inner.number == 2:
                    nodes += _definition(walker, inner.end, found)
    return nodes


def _definition(walker: Walker, end: int, found: dict[str, None]) -> int:
    """graph_def.node = 1, graph_def.library = 2, library.function = 1, function.node_def = 3."""
    nodes = 0
    for field in walker.fields(end):
        if field.type != BYTES:
            continue
        if field.number == 1:
            nodes += _operator(walker, field, found)
        elif field.number == 2:
            for function in walker.fields(field.end):
                if function.type == BYTES and function.number == 1:
                    for node in walker.fields(function.end):
                        if node.type == BYTES and node.number == 3:
                            nodes += _operator(walker, node, found)
    return nodes


def _operator(walker: Walker, outer: Field, found: dict[str, None]) -> int:
    """node_def.op = 2."""
    named = 0
    for field in walker.fields(outer.end):
        if field.type == BYTES and field.number == 2:
            op = walker.text(field, 200)
            named = 1
            if op in _UNSAFE_OPS:
                found[op] = None
    return named
