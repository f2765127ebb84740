"""What the zones deploy: every airgap command line in stages/ is one that this version understands."""

from __future__ import annotations

import configparser
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from airgap.cli.app import build
from airgap.resources.load import load_policy, load_request, load_station

STAGES = Path(__file__).parents[2] / "stages"
OURS = sorted(path for path in STAGES.rglob("*.yaml") if "airgap.openova.io/" in path.read_text())
"""Resources of airgap; the others are Kubernetes'."""
RESOURCES = sorted({*STAGES.rglob("*.yaml")} - {*OURS})
SERVICES = sorted(STAGES.rglob("*.service"))
TIMERS = sorted(STAGES.rglob("*.timer"))


def name(path: Path) -> str:
    """A file of stages/ in a test's name."""
    return str(path.relative_to(STAGES))


def pods(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The pod specifications of a Job or a CronJob."""
    spec = document["spec"]
    if document["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    yield spec["template"]["spec"]


def containers(path: Path) -> list[dict[str, Any]]:
    """Every container of a resource file, those that run first included."""
    documents = yaml.safe_load_all(path.read_text())
    found = [pod for document in documents for pod in pods(document)]
    return [one for pod in found for one in (*pod.get("initContainers", ()), *pod["containers"])]


def unit(path: Path) -> list[tuple[str, str]]:
    """The directives of a systemd unit, of all sections, in their order."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return [
        (key, value)
        for line in lines
        if "=" in line and not line.startswith("[")
        for key, _, value in [line.partition("=")]
    ]


def airgap_line(command: list[str]) -> list[str] | None:
    """The arguments that a command gives to airgap; `None` for another program."""
    if Path(command[0]).name == "sh":
        command = [word for word in shlex.split(command[-1]) if word != "exec"]
    return command[1:] if Path(command[0]).name == "airgap" else None


def command_lines() -> list[tuple[str, list[str]]]:
    """Every airgap command line in stages/, with the file where it stands."""
    found = []
    for path in RESOURCES:
        found += [(name(path), airgap_line(one["command"])) for one in containers(path)]
    for path in SERVICES:
        for key, value in unit(path):
            if key == "ExecStart":
                found.append((name(path), airgap_line(shlex.split(value))))
    return [(where, line) for where, line in found if line is not None]


@pytest.mark.parametrize(("where", "line"), command_lines())
def test_command_lines_are_understood(where: str, line: list[str], tmp_path: Path) -> None:
    # `import` wants a delivery that is there.
    line = [str(tmp_path) if word.startswith("/media/") else word for word in line]
    arguments = build().parse(line)
    assert arguments.command == line[0]
    assert callable(arguments.handler)


def test_every_zone_has_its_commands() -> None:
    commands: dict[str, set[str]] = {}
    for where, line in command_lines():
        commands.setdefault(where, set()).add(line[0])
    assert commands == {
        "audit/airgap-audit.service": {"audit"},
        "audit/cronjob.yaml": {"audit"},
        "connected/airgap-export.service": {"lock", "pull", "bundle"},
        "connected/airgap-scanner.service": {"lock", "pull"},
        "connected/cronjob.yaml": {"lock", "pull", "bundle"},
        "diode/airgap-receive.service": {"receive"},
        "diode/airgap-send.service": {"send"},
        "dmz/airgap-scan.service": {"scan", "bundle"},
        "dmz/cronjob.yaml": {"scan", "bundle"},
        "sovereign/airgap-import@.service": {"import"},
        "sovereign/job.yaml": {"import"},
    }


def test_the_station_its_policy_and_its_databases_belong_together() -> None:
    station = load_station(STAGES / "dmz" / "station.yaml")
    policy = load_policy(STAGES / "dmz" / "policy.yaml")
    request, _ = load_request(STAGES / "connected" / "scanner.request.yaml")
    assert [STAGES / "connected" / "scanner.request.yaml", *sorted((STAGES / "dmz").glob("[ps]*.yaml"))] == OURS
    assert set(station.databases.by_type.values()) == {one.name for one in request.of("images")}
    assert policy.findings is not None
    assert station.clamd is not None
    assert all("malware" in wanted for wanted in policy.findings.required.values())


@pytest.mark.parametrize("path", RESOURCES, ids=name)
def test_pods_have_the_least_rights(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        for pod in pods(document):
            assert pod["automountServiceAccountToken"] is False
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(path):
        rights = container["securityContext"]
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["readOnlyRootFilesystem"] is True
        assert rights["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("path", RESOURCES, ids=name)
def test_every_mount_has_its_volume(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        for pod in pods(document):
            volumes = {volume["name"] for volume in pod["volumes"]}
            mounted = {m["name"] for one in containers(path) for m in one.get("volumeMounts", ())}
            assert mounted == volumes


@pytest.mark.parametrize("path", RESOURCES, ids=name)
def test_secrets_are_for_the_pods_group_alone(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        for pod in pods(document):
            assert pod["securityContext"]["fsGroup"] > 0
            secrets = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
            assert secrets
            assert {secret["defaultMode"] for secret in secrets} == {0o440}


@pytest.mark.parametrize("path", SERVICES, ids=name)
def test_services_have_the_least_rights(path: Path) -> None:
    found = dict(unit(path))
    assert found["User"] == "airgap"
    assert found["CapabilityBoundingSet"] == ""
    assert found["ProtectSystem"] == "strict"
    for key in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "RestrictNamespaces"):
        assert found[key] == "yes"


@pytest.mark.parametrize("path", TIMERS, ids=name)
def test_every_timer_has_its_service(path: Path) -> None:
    assert path.with_suffix(".service").exists()
    assert "OnCalendar" in dict(unit(path))


@pytest.mark.parametrize("path", [*SERVICES, *TIMERS], ids=name)
def test_units_have_their_sections(path: Path) -> None:
    read = configparser.RawConfigParser(strict=False, delimiters=("=",))
    read.read_string(path.read_text())
    assert {"Unit", "Service" if path.suffix == ".service" else "Timer"} <= set(read.sections())
