"""JSON Schemas out of the declarations in `airgap/resources`, and Markdown out of the schemas.

For each kind the page has its description, examples and a table for each map of fields.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml

from airgap.resources.catalog import KINDS, schema

HEAD = """# Resources

Made by `scripts/reference` from the declarations in `airgap/resources`; change those instead.

Resources are YAML files in Kubernetes' manner. A file may hold one document of each kind, separated by `---`; documents
after the first may leave out `apiVersion` and `metadata`. YAML 1.2: `yes`, `no`, `on` and `off` are text, numbers where
text is expected stand in quotes. Anchors, aliases, tags, merge keys and keys that occur twice are refused, and so is
every field that is not listed here. Relative paths begin at the folder of the file, `~` is not expanded.

An editor that knows JSON Schema finds the schemas in the package: `airgap/resources/schemas/<kind>.json`.
"""


class _Dumper(yaml.SafeDumper):
    """Block style for maps, one line for lists of text."""


def _list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.Node:
    plain = all(isinstance(one, str) for one in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=plain)


_Dumper.add_representer(list, _list)


def example_yaml(value: dict[str, Any]) -> str:
    """One example of a schema as YAML."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100))


def render() -> str:
    """The whole page."""
    parts = [HEAD]
    for kind in KINDS:
        root = schema(kind)
        parts.append(f"## {kind}\n\n{root['description']}\n")
        parts += [f"```yaml\n{example_yaml(example)}```\n" for example in root["examples"]]
        spec = root["properties"]["spec"]
        parts += [_table(path, node) for path, node in _maps("spec", spec)]
    return "\n".join(parts)


def published() -> dict[str, str]:
    """The files of `airgap/resources/schemas` and their texts."""
    return {f"{kind.lower()}.json": json.dumps(schema(kind), indent=2, ensure_ascii=False) + "\n" for kind in KINDS}


def _maps(path: str, node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every map of fields in a schema, in its order."""
    if "properties" in node:
        yield path, node
        for name, field in node["properties"].items():
            yield from _maps(f"{path}.{name}", field)
    if isinstance(node.get("additionalProperties"), dict):
        yield from _maps(f"{path}.KEY", node["additionalProperties"])
    if "items" in node:
        yield from _maps(f"{path}[]", node["items"])


def _table(path: str, node: dict[str, Any]) -> str:
    lines = [f"### `{path}`", ""]
    if node.get("description"):
        lines += [str(node["description"]), ""]
    if "oneOf" in node:
        choices = [branch["title"] for branch in node["oneOf"]]
        lines += [f"Exactly one of: {'; '.join(choices)}.", ""]
    lines += ["| field | what it is | needed | notes |", "|---|---|---|---|"]
    for name, field in node["properties"].items():
        needed = "yes" if name in node.get("required", ()) else ""
        lines.append(f"| `{name}` | {field['title']} | {needed} | {_notes(field)} |")
    return "\n".join([*lines, ""])


def _notes(field: dict[str, Any]) -> str:
    notes = [field["description"]] if "description" in field else []
    if "default" in field:
        notes.append(f"Default: `{json.dumps(field['default'])}`.")
    return " ".join(notes).replace("|", "\\|")
