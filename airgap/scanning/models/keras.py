"""Reads what Keras models name: layers, functions, and the files that their weights are in.

A model is built of the classes that its configuration names, by `module` and `class_name`. A Lambda layer is code;
other names reach functions that download or open (CVE-2025-1550, -8747, -9906). So everything must be on a list.
Sources: keras/src/saving/serialization_lib.py; HDF5 File Format Specification 3.0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from airgap.base.streams import read_limited
from airgap.scanning.models.blob import Blob
from airgap.scanning.models.documents import read_document
from airgap.scanning.models.rules import Report

HDF5 = b"\x89HDF\r\n\x1a\n"
MAX_CONFIG = 64 << 20
"""Bytes of the configuration of a model."""
_PIECE = 1 << 20
_MODULES = frozenset(
    f"keras.{name}"
    for name in (
        *(
            "layers",
            "initializers",
            "optimizers",
            "optimizers.schedules",
            "losses",
            "metrics",
            "regularizers",
            "models",
        ),
        *("constraints", "activations", "src.models.functional", "src.models.sequential", "src.engine.functional"),
        *("src.engine.sequential", "dtype_policies", "mixed_precision"),
    )
) | {"keras"}
_ROOT = frozenset({"Sequential", "Functional", "Model", "DTypePolicy", "KerasTensor", "Variable", "Policy"})
_CODE = frozenset({"Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer", "function"})
_CLASS = re.compile(rb'"class_name"\s*:\s*("(?:[^"\\]|\\.){0,300}")|__lambda__')


def check_keras_config(data: bytes, report: Report) -> bool:
    """Reports what a Keras configuration names besides harmless classes; true if there is something."""
    try:
        config = read_document(data)
    except ValueError as error:
        report("keras-broken", str(error))
        return True
    said: set[tuple[str, str]] = set()
    for module, name, registered in _named(config):
        rule = _rule(module, name, registered)
        shown = ".".join(part for part in (module, name) if part) or str(registered)
        if rule and (rule, shown) not in said and len(said) < 100:
            said.add((rule, shown))
            report(rule, shown)
    return bool(said)


def _rule(module: str, name: str, registered: str) -> str:
    if name in _CODE:
        return "keras-lambda"
    known = not module or (module in _MODULES and (module != "keras" or name in _ROOT))
    return "" if known and (not registered or registered == name) else "keras-import-unknown"


def _named(value: Any) -> Iterator[tuple[str, str, str]]:
    """Module, class and registered name of everything in a configuration, at any depth."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            if "class_name" in one or "module" in one:
                found = (one.get("module"), one.get("class_name"), one.get("registered_name"))
                yield tuple("" if text is None else str(text)[:200] for text in found)  # type: ignore[misc]
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)


def check_hdf5(blob: Blob, report: Report) -> bool:
    """Reports Lambda layers in an HDF5 file; true if there is one.

    The file is searched from end to end: a configuration may be anywhere in it, and is never packed.
    """
    found: dict[str, None] = {}
    with blob.open() as stream:
        kept = b""
        while piece := read_limited(stream, _PIECE):
            data = kept + piece
            for match in _CLASS.finditer(data):
                name = _text(match[1]) if match[1] else "__lambda__"
                if name in _CODE and name != "function":
                    found[name] = None
            kept = data[-512:]
    for name in found:
        report("keras-lambda", name)
    return bool(found)


def _text(quoted: bytes) -> str:
    try:
        return str(json.loads(quoted))
    except ValueError:
        return ""
