"""SBOMs of one image by different programs, compared: their ids are random, and their order is that of the ids."""

from __future__ import annotations

import json
import re
from typing import Any

_RANDOM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def comparable(bom: dict[str, Any], *, licenses: bool) -> dict[str, Any]:
    """What is the same in every SBOM of an image; without licenses where programs name them in different ways."""
    root = bom["metadata"]["component"]
    parts = [dict(one) for one in (root, *bom["components"])]
    names = {}
    for one in parts:
        ref = one.pop("bom-ref")
        if not licenses:
            one.pop("licenses", None)
        names[ref] = json.dumps(one, sort_keys=True) if _RANDOM.fullmatch(ref) else ref
    needs = {names[one["ref"]]: sorted(names[ref] for ref in one["dependsOn"]) for one in bom["dependencies"]}
    return {
        "bomFormat": bom["bomFormat"],
        "root": parts[0],
        "components": sorted(parts[1:], key=lambda one: json.dumps(one, sort_keys=True)),
        "refs": sorted(ref for ref in names if not _RANDOM.fullmatch(ref)),
        "dependencies": needs,
    }
