"""containerd with everything of its own: root, state, socket; without Kubernetes' interface."""

from __future__ import annotations

from pathlib import Path

from tests.parts.need import require_part, require_root, run
from tests.parts.process import Process


class Containerd:
    """A daemon that `ctr` reaches."""

    def __init__(self, folder: Path) -> None:
        """Start it in a folder whose path is short: a socket's is limited to 107 bytes."""
        require_root("containerd mounts what it unpacks")
        self._socket = folder / "c.sock"
        config = folder / "config.toml"
        config.write_text(
            f'version = 2\nroot = "{folder / "root"}"\nstate = "{folder / "state"}"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\n  address = "{self._socket}"\n'
        )
        program = require_part("containerd", "containerd")
        self._process = Process([program, "--config", config], log=folder / "containerd.log")
        self._process.wait_ready(self._answers)

    def _answers(self) -> bool:
        try:
            self.ctr("version")
        except AssertionError:
            return False
        return True

    def ctr(self, *args: str | Path) -> str:
        """Run ctr against it; gives its stdout."""
        return run("containerd", "--address", self._socket, *args)

    def stop(self) -> None:
        """Stop it."""
        self._process.stop()
