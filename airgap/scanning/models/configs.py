"""Looks at the configurations of models: which Python code, and which other repositories, they make a loader fetch.

Sources: transformers (dynamic_module_utils.py: `auto_map`, `--` for another repository; pipelines: `custom_pipelines`),
sentence-transformers (modules.json: `type` is imported), diffusers (model_index.json: library and class), peft
(`auto_mapping`: `parent_library` is imported; `base_model_name_or_path`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airgap.scanning.models.documents import read_document
from airgap.scanning.models.rules import Report
from airgap.scanning.models.templates import check_template

MAX_CONFIG = 16 << 20
"""Bytes of a configuration that is parsed: tokenizer_config.json of a large vocabulary has 5 MiB."""
NAMES = frozenset(
    {
        *("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json", "modules.json"),
        *(
            "video_preprocessor_config.json",
            "image_processor_config.json",
            "generation_config.json",
            "model_index.json",
        ),
        *(
            "adapter_config.json",
            "chat_template.json",
            "feature_extractor_config.json",
            "config_sentence_transformers.json",
        ),
    }
)
"""The files in which loaders look for names of code."""
_LIBRARIES = frozenset({"diffusers", "transformers", "optimum", "sentence_transformers", "peft", "onnxruntime", "flax"})
_MAX_NOTED = 50


def check_config(name: str, data: bytes, report: Report) -> None:
    """Reports what a configuration makes a loader fetch or run. `name` is the file's, without folders."""
    try:
        value = read_document(data)
    except ValueError as error:
        report("config-broken", str(error))
        return
    said: dict[tuple[str, str], None] = {}
    for rule, detail in _findings(name, value):
        said[rule, detail[:300]] = None
        if len(said) >= _MAX_NOTED:
            break
    for rule, detail in said:
        report(rule, detail)
    for text in _templates(value):
        check_template(text, report)


def check_index(data: bytes, report: Report) -> None:
    """Reports an index of weights (`*.index.json`) that names files elsewhere."""
    try:
        value = read_document(data)
    except ValueError as error:
        report("config-broken", str(error))
        return
    files = value.get("weight_map") if isinstance(value, dict) else None
    for name in sorted({str(one) for one in files.values()} if isinstance(files, dict) else ()):
        if name.startswith("/") or "\\" in name or ".." in name.split("/") or ":" in name:
            report("index-outside", name)
            return


def _findings(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if name == "modules.json" and isinstance(value, list):
        for module in value:
            kind = str(module.get("type", "")) if isinstance(module, dict) else ""
            if not kind.startswith("sentence_transformers."):
                yield "remote-code", f"type: {kind}"
    if name == "model_index.json" and isinstance(value, dict):
        for key, pair in value.items():
            if isinstance(pair, list) and pair and pair[0] is not None and str(pair[0]).split(".")[0] not in _LIBRARIES:
                yield "remote-code", f"{key}: {pair[0]}"
    for one in _objects(value):
        yield from _of_object(name, one)


def _of_object(name: str, one: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "auto_map" in one:
        for text in _texts(one["auto_map"]):
            yield ("remote-code-elsewhere" if "--" in text else "remote-code"), f"auto_map: {text}"
    for pipeline in one["custom_pipelines"].values() if isinstance(one.get("custom_pipelines"), dict) else ():
        for text in _texts(pipeline.get("impl", "") if isinstance(pipeline, dict) else pipeline):
            yield ("remote-code-elsewhere" if "--" in text else "remote-code"), f"custom_pipelines: {text}"
    if one.get("trust_remote_code") is True:
        yield "remote-code", "trust_remote_code: true"
    mapping = one.get("auto_mapping")
    library = str(mapping.get("parent_library") or "") if isinstance(mapping, dict) else ""
    if library and library.split(".")[0] not in _LIBRARIES:
        yield "remote-code", f"auto_mapping: {library}"
    base = one.get("base_model_name_or_path")
    if name == "adapter_config.json" and isinstance(base, str) and base:
        yield "other-repository", base


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            yield one
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)


def _texts(value: Any) -> Iterator[str]:
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict | list):
            left.extend(one.values() if isinstance(one, dict) else one)


def _templates(value: Any) -> Iterator[str]:
    for one in _objects(value):
        found = one.get("chat_template")
        for each in found if isinstance(found, list) else [found]:
            text = each.get("template") if isinstance(each, dict) else each
            if isinstance(text, str):
                yield text
