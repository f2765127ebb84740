"""The kinds of resource, each declared in its own module. To add one, add a line here."""

from __future__ import annotations

from typing import Any

from airgap.resources.policy import Policy
from airgap.resources.request import Request
from airgap.resources.resource import resource_schema
from airgap.resources.sovereign import Sovereign
from airgap.resources.station import Station
from airgap.resources.trust import Trust
from airgap.resources.upstreams import Upstreams
from airgap.resources.waiver import Waiver

Value = Request | Upstreams | Sovereign | Trust | Policy | Waiver | Station
RESOURCES: dict[str, type[Any]] = {
    one.__name__: one for one in (Request, Upstreams, Sovereign, Trust, Policy, Waiver, Station)
}
KINDS = tuple(RESOURCES)


def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of a kind of resource, as published in `airgap/resources/schemas`."""
    return resource_schema(RESOURCES[kind])
