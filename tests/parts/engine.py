"""A local engine's API: Podman speaks Docker's, on a socket, with storage of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

from tests.parts.need import require_part
from tests.parts.process import Process


class Engine:
    """The API at `docker_host` (unix://…)."""

    def __init__(self, folder: Path) -> None:
        """Start it in a folder whose path is short: a socket's is limited to 107 bytes."""
        self.folder = folder
        self._podman = [
            *(str(require_part("podman")), "--storage-driver=vfs"),
            *(f"--root={folder / 'root'}", f"--runroot={folder / 'run'}"),
            *("--cgroup-manager=cgroupfs", "--events-backend=none"),
        ]
        socket = folder / "api.sock"
        self.docker_host = f"unix://{socket}"
        self._process = Process(
            [*self._podman, "system", "service", "--time=0", self.docker_host],
            log=folder / "podman.log",
            env=self._env(),
            cwd=folder,
            group=True,  # without root it runs as a child of itself
        )
        self._process.wait_ready(socket.exists)

    def podman(self, *args: str | Path) -> str:
        """Run podman on the same storage; gives its stdout."""
        done = subprocess.run(
            [*self._podman, *map(str, args)],
            env={**os.environ, **self._env()},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"podman {args} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def load(self, archive: Path) -> str:
        """Load an image; gives its id, sha256:…. Others may have loaded theirs before."""
        loaded = self.podman("load", "--input", archive).split()[-1]
        return "sha256:" + self.podman("image", "inspect", "--format", "{{.Id}}", loaded).strip()

    def stop(self) -> None:
        """Stop it, and make what it unpacked removable: roots of images are read-only folders."""
        self._process.stop()
        # Without root, a process that holds the user namespace outlives the service.
        pause = self.folder / "libpod" / "tmp" / "pause.pid"
        if pause.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pause.read_text()), signal.SIGKILL)
        for base, folders, _ in os.walk(self.folder):
            for name in folders:
                path = Path(base) / name
                if not path.is_symlink():
                    path.chmod(0o700)

    def _env(self) -> dict[str, str]:
        return {"XDG_RUNTIME_DIR": str(self.folder), "TMPDIR": str(self.folder)}
